//! What follows from one try to send. Pure.

use std::time::Duration;

use super::transport::SendError;
use crate::{
    store::{Job, JobKind, Settlement},
    types::Time,
};

/// Wait after the first failed try.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_mins(30);
/// How long a mail is tried, from when it was first allowed to go out.
const TRIED_FOR: Duration = Duration::from_hours(72);

/// How long to wait after a failed try that had `failed_before` failed tries before it: 10 s, doubling to 30 min.
pub(super) fn wait_after(failed_before: u32) -> Duration {
    let factor = 1_u32.checked_shl(failed_before).unwrap_or(u32::MAX);
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

/// How the job goes on. A last try is made when the three days are over; 5xx ends at once.
pub(super) fn next_step(result: Result<String, SendError>, job: &Job, now: Time) -> Settlement {
    let error = match result {
        Ok(reply) => return Settlement::Done(reply),
        Err(SendError::Permanent(error)) => return Settlement::Dead(error),
        Err(SendError::Transient(error)) => error,
    };
    let last_try = began(job).plus(TRIED_FOR);
    if now >= last_try {
        return Settlement::Dead(format!("given up after 3 days: {error}"));
    }
    Settlement::RetryAt(now.plus(wait_after(job.attempts)).min(last_try), error)
}

/// A mail that had to wait for its turn is tried as long as any other.
fn began(job: &Job) -> Time {
    match &job.kind {
        JobKind::Deliver(delivery) => delivery.not_before.max(job.enqueued_at),
        JobKind::Release { .. } | JobKind::Expire(_) => job.enqueued_at,
    }
}
