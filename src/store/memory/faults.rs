//! What a test lets go wrong.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// Free bytes that [`super::Memory`] reports unless told otherwise.
const FREE: u64 = 1 << 40;

/// What goes wrong next.
#[derive(Debug)]
pub struct Faults {
    pub(super) unavailable: AtomicU32,
    pub(super) stale: AtomicU32,
    pub(super) free: AtomicU64,
    pub(super) late_ms: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            unavailable: AtomicU32::new(0),
            stale: AtomicU32::new(0),
            free: AtomicU64::new(FREE),
            late_ms: AtomicU64::new(0),
        }
    }
}

impl Faults {
    /// The next `n` writes are answered `Unavailable`; meanwhile [`crate::store::Health::writable`] is false.
    pub fn fail_commits(&self, n: u32) {
        self.unavailable.store(n, Ordering::SeqCst);
    }

    /// The next `n` plans are answered `Stale`.
    pub fn stale_commits(&self, n: u32) {
        self.stale.store(n, Ordering::SeqCst);
    }

    /// From now on each plan is answered so long after it was applied, like on a disk that stalls.
    pub fn answer_late(&self, by: Duration) {
        self.late_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Free bytes to report.
    pub fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn take(counter: &AtomicU32) -> bool {
        counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}
