//! How fast everything that is kept is read: the disk is the others' first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long it reads everything before it rests.
const WORK: Duration = Duration::from_millis(5);
/// How fast everything is read.
pub(super) struct Pace {
    gently: bool,
    closed: Arc<AtomicBool>,
    /// Others who wait for the end.
    pub(super) give_way: Arc<AtomicUsize>,
    since: Instant,
}

impl Pace {
    /// Ends when the store is closed.
    pub(super) fn new(gently: bool, closed: Arc<AtomicBool>) -> Self {
        Self { gently, closed, give_way: Arc::default(), since: Instant::now() }
    }

    /// Whether the store is being closed, or others wait.
    pub(super) fn ended(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.give_way.load(Ordering::Acquire) > 0
    }

    /// Rests three times as long as it has worked; whether to go on.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.gently && self.since.elapsed() >= WORK {
            thread::sleep(self.since.elapsed().min(10 * WORK) * 3);
            self.since = Instant::now();
        }
        !self.ended()
    }
}
