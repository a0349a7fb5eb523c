//! The one place that asks for randomness.

use uuid::Uuid;

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

/// A version 7 UUID (RFC 9562 §5.7) of the given time.
pub fn time_ordered_uuid(now: Time) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}
