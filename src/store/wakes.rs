//! Wakes those who wait for jobs.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Queue;

/// One bell for each queue.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    outbox: Arc<Notify>,
    release: Arc<Notify>,
    expiry: Arc<Notify>,
}

impl Wakes {
    /// The bell of a queue.
    pub(super) fn of(&self, queue: Queue) -> &Arc<Notify> {
        match queue {
            Queue::Outbox => &self.outbox,
            Queue::Release => &self.release,
            Queue::Expiry => &self.expiry,
        }
    }
}
