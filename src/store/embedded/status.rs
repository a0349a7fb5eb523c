//! Whether the store takes writes, and how much room there is.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::store::Health;

/// How long a reading of the free space serves.
const FREE_FOR: Duration = Duration::from_secs(1);

/// What the threads tell, and everybody asks.
pub(super) struct Status {
    path: PathBuf,
    takes_writes: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    problem: Option<String>,
    fatal: bool,
    oldest: Option<Instant>,
    free: Option<(Instant, u64)>,
}

impl Status {
    /// All is well.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, takes_writes: AtomicBool::new(true), state: Mutex::default() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why no writes are taken, if they are not.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.takes_writes.load(Ordering::Acquire) {
            return None;
        }
        self.with(|state| state.problem.clone())
    }

    /// A write failed; another may succeed.
    pub(super) fn fail(&self, problem: String) {
        self.with(|state| {
            state.problem.get_or_insert(problem);
        });
        self.takes_writes.store(false, Ordering::Release);
    }

    /// What is on disk is uncertain: nothing more is taken by this process.
    pub(super) fn fail_for_good(&self, problem: String) {
        self.with(|state| {
            if !state.fatal {
                (state.problem, state.fatal) = (Some(problem), true);
            }
        });
        self.takes_writes.store(false, Ordering::Release);
    }

    /// Writes get through again.
    pub(super) fn recover(&self) {
        let recovered = self.with(|state| {
            if !state.fatal {
                state.problem = None;
            }
            !state.fatal
        });
        self.takes_writes.store(recovered, Ordering::Release);
    }

    /// Whether nothing more is taken by this process.
    pub(super) fn is_fatal(&self) -> bool {
        self.with(|state| state.fatal)
    }

    /// Since when the oldest commit under way waits.
    pub(super) fn waiting_since(&self, oldest: Option<Instant>) {
        self.with(|state| state.oldest = oldest);
    }

    /// The answer for readiness, MAIL and metrics.
    pub(super) fn health(&self) -> Health {
        let free = self.free();
        self.with(|state| Health {
            writable: state.problem.is_none(),
            problem: state.problem.clone(),
            fatal: state.fatal,
            free,
            oldest_waiting: state.oldest.map(|since| since.elapsed()),
        })
    }

    fn free(&self) -> u64 {
        if let Some((at, free)) = self.with(|state| state.free)
            && at.elapsed() < FREE_FOR
        {
            return free;
        }
        // A file system that can't be asked is as good as full.
        let free = rustix::fs::statvfs(&self.path).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        self.with(|state| state.free = Some((Instant::now(), free)));
        free
    }
}
