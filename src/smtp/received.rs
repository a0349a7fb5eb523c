//! Our own Received field (RFC 5321 §4.4), for what is handed on.

use std::net::IpAddr;

use super::{Envelope, Protocol};

/// Longest name of a client that is shown, in characters; no host name is longer (RFC 5321 §4.5.3.1.2).
const MAX_HELO: usize = 255;
/// Longest recipient that is shown, so that the line stays below 998 octets.
const MAX_FOR: usize = 320;

impl Envelope {
    /// The field with its last CRLF. It names the recipient only where there is one (RFC 5321 §7.2), and only in ASCII, so
    /// that the mail needs no extension that it did not need before.
    pub fn received(&self, hostname: &str) -> String {
        let mut lines = vec![
            format!("Received: from {} ({})", shown(&self.helo), literal(self.peer)),
            format!("by {hostname} with {} id {}", self.protocol.as_str(), self.mail_id),
        ];
        if let [one] = self.recipients.as_slice()
            && one.address.is_ascii()
            && one.address.len() <= MAX_FOR
        {
            lines.push(format!("for <{}>", one.address));
        }
        let at = self.received_at.to_jiff().strftime("%a, %d %b %Y %H:%M:%S +0000");
        format!("{};\r\n\t{at}\r\n", lines.join("\r\n\t"))
    }
}

impl Protocol {
    /// The `with` of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Esmtp => "ESMTP",
            Self::Utf8Smtp => "UTF8SMTP",
            Self::Esmtps => "ESMTPS",
            Self::Utf8Smtps => "UTF8SMTPS",
        }
    }
}

/// What the client called itself, which may be anything: nothing in it begins a comment, a clause or a line.
fn shown(helo: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let name: String = helo.chars().take(MAX_HELO).map(|c| if plain(c) { c } else { '?' }).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// RFC 5321 §4.1.3.
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        smtp::{Recipient, Route},
        types::{MailId, SessionId},
    };

    fn envelope(helo: &str, peer: &str, protocol: Protocol, recipients: &[&str]) -> Envelope {
        let route = Route::Postmaster;
        let recipient = |address: &&str| Recipient { address: (*address).to_owned(), route: route.clone() };
        Envelope {
            mail_id: MailId::new(uuid::Uuid::from_u128(7)),
            session: SessionId::new(uuid::Uuid::from_u128(8)),
            peer: peer.parse().unwrap(),
            relay: peer.parse().unwrap(),
            helo: helo.to_owned(),
            protocol,
            reverse_path: String::new(),
            recipients: recipients.iter().map(recipient).collect(),
            received_at: "2026-11-22T08:00:05.120Z".parse().unwrap(),
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn the_field_tells_from_whom_by_whom_how_and_when() {
        let one = envelope("relay.example", "192.0.2.1", Protocol::Esmtps, &["postmaster@help.example"]);
        assert_eq!(
            one.received("mx.example"),
            "Received: from relay.example ([192.0.2.1])\r\n\
             \tby mx.example with ESMTPS id 00000000-0000-0000-0000-000000000007\r\n\
             \tfor <postmaster@help.example>;\r\n\
             \tSun, 22 Nov 2026 08:00:05 +0000\r\n"
        );
    }

    #[test]
    fn each_part_is_as_rfc_5321_has_it() {
        let field = |helo: &str, peer: &str, protocol, recipients: &[&str]| {
            envelope(helo, peer, protocol, recipients).received("mx.example")
        };
        for (protocol, with) in [
            (Protocol::Smtp, " with SMTP id "),
            (Protocol::Esmtp, " with ESMTP id "),
            (Protocol::Utf8Smtp, " with UTF8SMTP id "),
            (Protocol::Esmtps, " with ESMTPS id "),
            (Protocol::Utf8Smtps, " with UTF8SMTPS id "),
        ] {
            assert!(field("a", "192.0.2.1", protocol, &["a@b.example"]).contains(with));
        }
        let esmtp = Protocol::Esmtp;
        for recipients in [&["a@b.example", "c@b.example"][..], &["\u{17e}@b.example"], &[&"x".repeat(400)]] {
            assert!(!field("a", "192.0.2.1", esmtp, recipients).contains("for <"), "{recipients:?}");
        }
        for (helo, peer, from) in [
            ("a", "::ffff:192.0.2.1", "from a ([192.0.2.1])\r\n"),
            ("[192.0.2.1]", "2001:db8::1", "from [192.0.2.1] ([IPv6:2001:db8::1])\r\n"),
            ("", "192.0.2.1", "from unknown ([192.0.2.1])\r\n"),
            ("x (y) by mx.example; z\u{e9}", "192.0.2.1", "from x??y??by?mx.example??z? ([192.0.2.1])\r\n"),
        ] {
            assert!(field(helo, peer, esmtp, &["a@b.example"]).contains(from), "{helo}");
        }
        let longest = "x".repeat(9000);
        let long = field(&longest, "192.0.2.1", esmtp, &[&"y".repeat(320)]);
        assert!(long.split("\r\n").all(|line| line.len() < 500), "{long}");
    }
}
