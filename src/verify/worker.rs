//! The workers behind holds: one releases what was verified, one ends what has waited too long, one sweeps.

use std::time::Duration;

use tokio::time;

use super::{answer::VerifyError, service::Verify};
use crate::{
    access::{Basis, Reason},
    ops::{Event, HoldExpired, Shutdown, StoreFailed},
    store::{Job, JobKind, Lease, Queue, Settlement},
    types::Time,
};

/// How long a claimed job belongs to its worker.
const LEASE: Duration = Duration::from_mins(5);
/// Jobs claimed at once.
const BATCH: usize = 16;
/// After the store could not be read or written.
const RETRY: Duration = Duration::from_secs(5);
/// Longest sleep: a clock that was set back must not stop the worker for good.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Rows removed in one step of a sweep.
const SWEEP_ROWS: usize = 1_000;

impl Verify {
    /// The verification-token worker: decides the mails of redeemed verifications again, in order of arrival. A worker
    /// that dies in the middle starts again where it was: what has ended already is passed over.
    pub async fn run_releases(self, shutdown: Shutdown) {
        self.run(Queue::Release, shutdown).await;
    }

    /// Ends holds whose time is over.
    pub async fn run_expiry(self, shutdown: Shutdown) {
        self.run(Queue::Expiry, shutdown).await;
    }

    /// Removes what is past its time: keys against duplicates, old tokens.
    pub async fn run_sweeps(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                () = time::sleep(SWEEP_EVERY) => self.sweep().await,
            }
        }
    }

    async fn sweep(&self) {
        let config = self.config.load_full();
        let now = self.ops.clock.now();
        let duplicates = now.minus(config.store.duplicate_window);
        // An expired link still leads to a page that explains it, for as long again as a mail may wait.
        let verification = &config.verification;
        let tokens = now.minus(verification.hold_for).minus(verification.link_lifetime);
        loop {
            match self.store.sweep(duplicates, tokens, SWEEP_ROWS).await {
                Ok(removed) if removed == SWEEP_ROWS => {}
                Ok(_) => return,
                Err(error) => return self.store_failed(&error.to_string()),
            }
        }
    }

    async fn run(&self, queue: Queue, shutdown: Shutdown) {
        let _handle = shutdown.handle();
        let wake = self.store.wakes(queue);
        loop {
            // Enabled before looking: what is enqueued while this round works wakes the next.
            let woken = wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let sleep = self.work(queue, &shutdown).await;
            tokio::select! {
                () = shutdown.begun() => return,
                () = woken => {}
                () = time::sleep(sleep) => {}
            }
        }
    }

    /// Does what is due; answers how long to sleep.
    async fn work(&self, queue: Queue, shutdown: &Shutdown) -> Duration {
        while !shutdown.has_begun() {
            let now = self.ops.clock.now();
            let leases = match self.store.claim(queue, now, BATCH, LEASE).await {
                Ok(leases) => leases,
                Err(error) => {
                    self.store_failed(&error.to_string());
                    return RETRY;
                }
            };
            if leases.is_empty() {
                return self.until_next(queue, now).await;
            }
            for lease in leases {
                self.carry_out(&lease).await;
            }
        }
        Duration::ZERO
    }

    async fn until_next(&self, queue: Queue, now: Time) -> Duration {
        match self.store.next_due(queue).await {
            Ok(Some(due)) => due.since(now).clamp(Duration::from_millis(10), LONGEST_SLEEP),
            Ok(None) => LONGEST_SLEEP,
            Err(_) => RETRY,
        }
    }

    async fn carry_out(&self, lease: &Lease) {
        let now = self.ops.clock.now();
        let settlement = match self.job(&lease.job).await {
            Ok(true) => Settlement::Done(String::new()),
            Ok(false) => Settlement::RetryAt(now.plus(LEASE), "it is being released".to_owned()),
            Err(error) => {
                self.store_failed(&error.to_string());
                Settlement::RetryAt(now.plus(RETRY), error.to_string())
            }
        };
        // Lost: the job ended with what it did (an expiry goes with its hold). Not written: it is claimed again, and
        // what was done is passed over then.
        if let Err(error) = self.store.settle(lease, settlement, self.ops.clock.now()).await {
            self.store_failed(&error.to_string());
        }
    }

    /// Whether the job is done; `false` when it is not its turn yet.
    async fn job(&self, job: &Job) -> Result<bool, VerifyError> {
        match &job.kind {
            JobKind::Release { release, not_mine, .. } => {
                for held in not_mine {
                    self.drop_held(*held, (Reason::NotMine, Basis::NotMine), None).await?;
                }
                for held in release {
                    self.release_verified(*held).await?;
                }
            }
            JobKind::Expire(held) => {
                let Some(row) = self.expire(*held).await? else {
                    return Ok(self.store.held(*held).await?.is_none());
                };
                HoldExpired { held: row.id.to_string(), sender: &row.sender }.emit(&self.ops);
            }
            // The outbox has a worker of its own and a queue of its own.
            JobKind::Deliver(_) => {}
        }
        Ok(true)
    }

    fn store_failed(&self, error: &str) {
        StoreFailed { error, fatal: false }.emit(&self.ops);
    }
}
