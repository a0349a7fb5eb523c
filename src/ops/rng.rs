//! The one place that asks for randomness.

use std::sync::{Mutex, PoisonError};

use uuid::{Timestamp, Uuid, timestamp::context::ContextV7};

use crate::types::Time;

/// `N` random bytes from the operating system.
///
/// # Panics
/// When the operating system has none to give, which it does only before it has booted; nothing secret can be made then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "a daemon without randomness must not go on")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Counts within a millisecond, and keeps the last time when the clock is set back.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// A version 7 UUID (RFC 9562 §5.7) of the given time, greater than every one that this process has made before: what a
/// verification page has listed is told from what came later by it.
pub fn time_ordered_uuid(now: Time) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let nanos = u32::try_from(millis % 1_000 * 1_000_000).unwrap_or(0);
    let ids = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    Uuid::new_v7(Timestamp::from_unix(&*ids, millis / 1_000, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_when_the_clock_is_set_back() {
        let mut last = time_ordered_uuid(Time::from_millis(1_767_225_600_000));
        for millis in
            std::iter::repeat_n(1_767_225_600_000, 5_000).chain([1_767_225_599_000, 0, 1_767_225_600_001])
        {
            let next = time_ordered_uuid(Time::from_millis(millis));
            assert!(next > last, "{next} after {last} at {millis}");
            assert_eq!(next.get_version_num(), 7);
            last = next;
        }
    }
}
