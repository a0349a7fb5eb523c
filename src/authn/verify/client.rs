//! Whose address SPF is asked with (RFC 7208 §2.4): the server that handed the mail to the organisation, never a relay of
//! our own. Our own relay's address stands in our own domains' SPF records, so a pass for it would prove every forgery.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::authn::relay::holds;

/// The address to ask SPF with, if `peer` (who connected, or whom XCLIENT, XFORWARD or PROXY told of) is one that says
/// something of the sender: not a peer of `relays`, and no loopback, private or link-local address. A network of all
/// addresses (`0.0.0.0/0`, `::/0`) in `relays` names nobody.
pub fn client<'n>(peer: IpAddr, relays: impl IntoIterator<Item = &'n IpNet>) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let mut named = relays.into_iter().filter(|network| network.prefix_len() > 0);
    let ours = named.any(|network| holds(std::slice::from_ref(network), peer));
    (!ours && is_public(peer)).then_some(peer)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // 100.64.0.0/10: shared between a provider and its customers (RFC 6598).
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_relays_are_no_clients() {
        let networks = |text: &str| -> Vec<IpNet> {
            text.split(' ').filter(|t| !t.is_empty()).map(|t| t.parse().unwrap()).collect()
        };
        for (peer, relays, asked) in [
            ("203.0.113.9", "", true),
            ("203.0.113.9", "0.0.0.0/0 ::/0", true),
            ("203.0.113.9", "0.0.0.0/0 203.0.113.9/32", false),
            ("203.0.113.9", "203.0.113.0/24", false),
            ("::ffff:203.0.113.9", "203.0.113.0/24", false),
            ("2001:db8::9", "::/0", true),
            ("2001:db8::9", "2001:db8::/32", false),
            ("127.0.0.1", "", false),
            ("::1", "", false),
            ("::ffff:10.1.2.3", "", false),
            ("10.0.0.1", "0.0.0.0/0", false),
            ("172.16.9.9", "", false),
            ("192.168.1.1", "", false),
            ("169.254.1.1", "", false),
            ("100.64.0.1", "", false),
            ("100.128.0.1", "", true),
            ("fd00::1", "", false),
            ("fe80::1", "", false),
        ] {
            let told = client(peer.parse().unwrap(), &networks(relays));
            assert_eq!(told.is_some(), asked, "{peer} with {relays:?}");
        }
    }
}
