//! Who is connected: the caps of connections, in all and for each peer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// A peer as limits count it: an IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    total: usize,
    peers: HashMap<Peer, usize>,
}

impl Connections {
    /// Takes a place, if there are fewer than `most` connections and fewer than `most_of_peer` of this peer; otherwise
    /// the key of the setting that forbids it.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: Peer,
        most: usize,
        most_of_peer: usize,
    ) -> Result<Place, &'static str> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = open.peers.get(&peer).copied().unwrap_or(0);
        if open.total >= most {
            return Err("smtp.max_connections");
        }
        if of_peer >= most_of_peer {
            return Err("smtp.max_connections_per_peer");
        }
        open.total += 1;
        open.peers.insert(peer, of_peer + 1);
        Ok(Place { connections: Arc::clone(self), peer })
    }
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    peer: Peer,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        match open.peers.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_customer_is_one_peer() {
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }

    #[test]
    fn places_are_counted_in_all_and_for_each_peer() {
        let connections = Arc::new(Connections::default());
        let (a, b) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let first = connections.enter(a, 3, 2).unwrap();
        let second = connections.enter(a, 3, 2).unwrap();
        assert_eq!(connections.enter(a, 3, 2).unwrap_err(), "smtp.max_connections_per_peer");
        let third = connections.enter(b, 3, 2).unwrap();
        assert_eq!(connections.enter(b, 3, 2).unwrap_err(), "smtp.max_connections");
        drop(first);
        assert!(connections.enter(b, 3, 2).is_ok());
        drop((second, third));
        let open = connections.0.lock().unwrap();
        assert_eq!((open.total, open.peers.len()), (0, 0), "nothing is remembered of who has left");
    }
}
