//! Slows down whoever guesses links. Only links that are not known count: a reader whose link is good is never turned
//! away, even when all readers come through one proxy and so have one address.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// Unknown links of one peer a minute, once its burst is used up.
const PEER_PER_MINUTE: NonZeroU32 = nonzero(10);
/// Unknown links of one peer at once.
const PEER_BURST: NonZeroU32 = nonzero(20);
/// Unknown links of all peers a minute, once the burst is used up.
const ALL_PER_MINUTE: NonZeroU32 = nonzero(120);
/// Unknown links of all peers at once.
const ALL_BURST: NonZeroU32 = nonzero(240);
/// Most peers that are remembered; beyond them only the limit for all holds.
const MAX_PEERS: usize = 10_000;

/// How often [`Guard::sweep`] is to be called.
pub(super) const SWEEP_EVERY: Duration = Duration::from_mins(1);

const fn nonzero(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

/// The limits, and who has used how much of them.
pub(super) struct Guard {
    peers: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Guard {
    /// Nobody has guessed yet.
    pub(super) fn new() -> Self {
        Self {
            peers: RateLimiter::keyed(Quota::per_minute(PEER_PER_MINUTE).allow_burst(PEER_BURST)),
            all: RateLimiter::direct(Quota::per_minute(ALL_PER_MINUTE).allow_burst(ALL_BURST)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a link that is not known. Over a limit: how long to wait.
    pub(super) fn unknown_link(&self, peer: IpAddr) -> Result<(), Duration> {
        self.all.check().map_err(|until| self.wait(&until))?;
        if self.peers.len() >= MAX_PEERS {
            return Ok(());
        }
        self.peers.check_key(&network(peer)).map_err(|until| self.wait(&until))
    }

    fn wait(&self, until: &NotUntil<<DefaultClock as Clock>::Instant>) -> Duration {
        until.wait_time_from(self.clock.now())
    }

    /// How many peers it remembers.
    pub(super) fn keys(&self) -> usize {
        self.peers.len()
    }

    /// Forgets peers whose burst is whole again; governor keeps them for ever.
    pub(super) fn sweep(&self) {
        self.peers.retain_recent();
        self.peers.shrink_to_fit();
    }
}

/// What counts as one peer: an IPv4 address, or a /64 of IPv6, which is what one household has.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_stopped_and_others_are_not() {
        let guard = Guard::new();
        let guesser = "192.0.2.1".parse().unwrap();
        let refused = (0..100).filter(|_| guard.unknown_link(guesser).is_err()).count();
        assert!(refused >= 70, "only {refused} of 100 refused");
        assert_eq!(guard.unknown_link("192.0.2.2".parse().unwrap()), Ok(()));
    }

    #[test]
    fn a_network_of_guessers_is_stopped_by_the_limit_for_all() {
        let guard = Guard::new();
        let peer = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
        let refused = (0..1000).filter(|n| guard.unknown_link(peer(*n)).is_err()).count();
        assert!(refused >= 700, "only {refused} of 1000 refused");
        assert!(guard.peers.len() <= 300, "{} peers kept", guard.peers.len());
        guard.sweep();
    }

    #[test]
    fn one_peer_is_one_ipv6_network() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    }
}
