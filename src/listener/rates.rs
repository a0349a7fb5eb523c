//! Rate limits at MAIL (`[smtp.rate]`). governor keeps every key until it is told to drop those at rest, so the number of
//! keys is capped here and a task drops them.

use std::{hash::Hash, num::NonZeroU32, sync::Arc};

use arc_swap::ArcSwapOption;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{
    limits::{RATE_KEYS, RATE_SHARED},
    peers::Peer,
};
use crate::config::SmtpConfig;

/// Both limits.
#[derive(Debug, Default)]
pub(super) struct Rates {
    peers: Limit<Peer>,
    senders: Limit<String>,
}

impl Rates {
    /// Whether one more mail of this peer and reverse-path is within the limits; counts it. The null reverse-path is
    /// exempt from the second: all bounces share it.
    pub(super) fn allow(&self, config: &SmtpConfig, peer: Peer, reverse_path: &str) -> bool {
        if !self.peers.allow(config.per_peer_per_minute, Quota::per_minute, &peer) {
            return false;
        }
        config.per_envelope_sender_per_hour.is_none()
            || reverse_path.is_empty()
            || self.senders.allow(
                config.per_envelope_sender_per_hour,
                Quota::per_hour,
                &reverse_path.to_lowercase(),
            )
    }

    /// Drops keys that are at rest.
    pub(super) fn evict(&self) {
        self.peers.evict();
        self.senders.evict();
    }
}

/// One limit with a count for each key.
#[derive(Debug)]
struct Limit<K: Clone + Hash + Eq> {
    counts: ArcSwapOption<Counts<K>>,
}

impl<K: Clone + Hash + Eq> Default for Limit<K> {
    fn default() -> Self {
        Self { counts: ArcSwapOption::empty() }
    }
}

#[derive(Debug)]
struct Counts<K: Clone + Hash + Eq> {
    rate: NonZeroU32,
    keyed: DefaultKeyedRateLimiter<K>,
    shared: DefaultDirectRateLimiter,
}

impl<K: Clone + Hash + Eq> Limit<K> {
    fn allow(&self, rate: Option<NonZeroU32>, quota: fn(NonZeroU32) -> Quota, key: &K) -> bool {
        let Some(rate) = rate else { return true };
        let counts = self.counts(rate, quota);
        if counts.keyed.len() >= RATE_KEYS {
            return counts.shared.check().is_ok();
        }
        counts.keyed.check_key(key).is_ok()
    }

    /// The counts for this rate; begun anew when a reload has changed it.
    fn counts(&self, rate: NonZeroU32, quota: fn(NonZeroU32) -> Quota) -> Arc<Counts<K>> {
        if let Some(counts) = &*self.counts.load()
            && counts.rate == rate
        {
            return Arc::clone(counts);
        }
        let counts = Arc::new(Counts {
            rate,
            keyed: RateLimiter::keyed(quota(rate)),
            shared: RateLimiter::direct(quota(rate.saturating_mul(SHARED))),
        });
        self.counts.store(Some(Arc::clone(&counts)));
        counts
    }

    fn evict(&self) {
        if let Some(counts) = &*self.counts.load() {
            counts.keyed.retain_recent();
            counts.keyed.shrink_to_fit();
        }
    }
}

const SHARED: NonZeroU32 = match NonZeroU32::new(RATE_SHARED) {
    Some(times) => times,
    None => NonZeroU32::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Option<NonZeroU32> = NonZeroU32::new(2);

    #[test]
    fn each_key_has_its_own_count_and_a_new_rate_begins_anew() {
        let limit = Limit::<u32>::default();
        let allow = |rate, key| limit.allow(rate, Quota::per_hour, &key);
        assert!(allow(TWO, 1) && allow(TWO, 1) && !allow(TWO, 1));
        assert!(allow(TWO, 2));
        assert!(allow(None, 1), "off");
        assert!(allow(NonZeroU32::new(3), 1));
    }

    #[test]
    fn past_the_cap_of_keys_no_key_is_added() {
        let limit = Limit::<usize>::default();
        for key in 0..RATE_KEYS + 10 {
            assert!(limit.allow(TWO, Quota::per_hour, &key));
        }
        let keys = || limit.counts.load().as_ref().unwrap().keyed.len();
        assert_eq!(keys(), RATE_KEYS);
        limit.evict();
        assert_eq!(keys(), RATE_KEYS, "keys in use stay");
    }
}
