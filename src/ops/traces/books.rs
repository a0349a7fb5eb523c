//! What became of spans: counted, and told where they were dropped.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::ops::{Event, Ops, TracesDropped};

/// Between two lines about dropped spans: a collector that is away is told once a minute, not with each mail.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Counts spans.
pub(super) struct Books {
    ops: Ops,
    untold: Mutex<Untold>,
}

#[derive(Default)]
struct Untold {
    spans: u64,
    why: String,
    told: Option<Instant>,
}

impl Books {
    /// The counters and the log are those of `ops`; its traces are not kept alive.
    pub(super) fn new(ops: &Ops) -> Self {
        Self { ops: Ops { traces: super::Traces::default(), ..ops.clone() }, untold: Mutex::default() }
    }

    /// The collector has taken so many.
    pub(super) fn sent(&self, spans: usize) {
        self.ops.metrics.spans("sent", spans as u64);
    }

    /// So many are lost.
    pub(super) fn dropped(&self, spans: usize, why: &str) {
        if spans == 0 {
            return;
        }
        self.ops.metrics.spans("dropped", spans as u64);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.spans += spans as u64;
        why.clone_into(&mut untold.why);
        if untold.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.tell(&mut untold);
        }
    }

    /// Tells what is left to tell.
    pub(super) fn close(&self) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if untold.spans > 0 {
            self.tell(&mut untold);
        }
    }

    fn tell(&self, untold: &mut Untold) {
        TracesDropped { spans: std::mem::take(&mut untold.spans), error: &untold.why }.emit(&self.ops);
        untold.told = Some(Instant::now());
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}
