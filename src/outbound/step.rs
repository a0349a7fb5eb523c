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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::samples;

    #[test]
    fn waits_double_from_ten_seconds_to_half_an_hour() {
        let waits: Vec<u64> = (0..10).map(|failed| wait_after(failed).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]);
        for many in [31, 32, 33, u32::MAX] {
            assert_eq!(wait_after(many), LONGEST_WAIT, "{many}");
        }
    }

    #[test]
    fn each_end_keeps_the_words() {
        let job = samples::job(samples::verification_delivery());
        let now = samples::enqueued();
        let transient = || Err(SendError::Transient("451 later".to_owned()));
        let done = next_step(Ok("250 ok".to_owned()), &job, now);
        assert!(matches!(done, Settlement::Done(reply) if reply == "250 ok"));
        let dead = next_step(Err(SendError::Permanent("550 no".to_owned())), &job, now);
        assert!(matches!(dead, Settlement::Dead(error) if error == "550 no"));
        let again = next_step(transient(), &Job { attempts: 2, ..job.clone() }, now);
        let at = now.plus(Duration::from_secs(40));
        assert!(matches!(again, Settlement::RetryAt(due, error) if due == at && error == "451 later"));
        let over = next_step(transient(), &job, now.plus(TRIED_FOR));
        assert!(matches!(over, Settlement::Dead(error) if error == "given up after 3 days: 451 later"));
    }

    #[test]
    fn three_days_count_from_when_the_mail_might_first_go_out_and_end_with_a_last_try() {
        let mut delivery = samples::verification_delivery();
        delivery.not_before = samples::enqueued().plus(Duration::from_hours(20));
        let job = Job { attempts: 20, ..samples::job(delivery) };
        let end = samples::enqueued().plus(Duration::from_hours(92));
        for (before_end, due_before_end) in [(3600, 1800), (1800, 0), (60, 0)] {
            let now = end.minus(Duration::from_secs(before_end));
            let step = next_step(Err(SendError::Transient(String::new())), &job, now);
            let due = end.minus(Duration::from_secs(due_before_end));
            assert!(matches!(step, Settlement::RetryAt(at, _) if at == due), "{before_end}: {step:?}");
        }
    }
}
