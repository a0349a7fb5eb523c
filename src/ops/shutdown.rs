//! Stopping, in order: first nothing new is taken, then what runs is finished, then the rest is left.

use std::time::Duration;

use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Told to parts of the daemon that must stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    over: CancellationToken,
    tracker: TaskTracker,
}

/// Held by work that the daemon waits for.
pub type ShutdownHandle = TaskTrackerToken;

impl Shutdown {
    /// Nothing stopped yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves once stopping has begun: take nothing new, finish what is under way.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Whether stopping has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves once the time for finishing is over: leave at once.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// The daemon waits for whoever holds this.
    pub fn handle(&self) -> ShutdownHandle {
        self.tracker.token()
    }

    /// Begins to stop.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Begins to stop and waits until all handles are dropped, at most for `grace`; then tells everyone to leave and
    /// waits `grace / 4` more. Returns whether all had left by themselves.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.begun.cancel();
        self.tracker.close();
        let finished = tokio::time::timeout(grace, self.tracker.wait()).await.is_ok();
        self.over.cancel();
        if !finished {
            let _ = tokio::time::timeout(grace / 4, self.tracker.wait()).await;
        }
        finished
    }
}
