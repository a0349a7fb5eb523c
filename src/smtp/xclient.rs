//! The attributes of XCLIENT and XFORWARD (Postfix's `XCLIENT_README` and `XFORWARD_README`): what a trusted relay tells
//! of the client that it speaks for.

use std::net::{IpAddr, Ipv6Addr};

/// For the EHLO reply. LOGIN is taken and ignored, so it is not asked for.
pub(super) const XCLIENT: &str = "XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT";
/// For the EHLO reply.
pub(super) const XFORWARD: &str = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";

/// Names that both commands have.
const COMMON: [&str; 5] = ["NAME", "ADDR", "PORT", "PROTO", "HELO"];
/// Further ones of XCLIENT.
pub(super) const ONLY_XCLIENT: [&str; 3] = ["LOGIN", "DESTADDR", "DESTPORT"];
/// Further ones of XFORWARD.
pub(super) const ONLY_XFORWARD: [&str; 2] = ["IDENT", "SOURCE"];

/// Longest value in octets, decoded (RFC 5321 §4.5.3.1.2).
const MAX_VALUE: usize = 255;

/// What is told of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: Told<IpAddr>,
    pub(super) helo: Told<String>,
}

/// One attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Told<T> {
    /// Nothing is said of it: what was told before stands.
    #[default]
    Not,
    /// The relay does not know it; what was told before was another client's.
    Unknown,
    /// This.
    Known(T),
}

impl<T> Told<T> {
    /// What stands after `later` was told, too.
    pub(super) fn then(self, later: Self) -> Self {
        if matches!(later, Self::Not) { self } else { later }
    }

    /// What is known.
    pub(super) fn known(self) -> Option<T> {
        if let Self::Known(value) = self { Some(value) } else { None }
    }
}

/// Reads attributes. `None`: there is none, or one that is unknown, repeated or malformed.
pub(super) fn parse(rest: &str, further: &[&str]) -> Option<Client> {
    let mut client = Client::default();
    let mut seen: Vec<String> = Vec::new();
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=')?;
        let name = name.to_ascii_uppercase();
        let known = COMMON.contains(&name.as_str()) || further.contains(&name.as_str());
        if !known || seen.contains(&name) {
            return None;
        }
        let value = decoded(value)?;
        match (name.as_str(), value) {
            ("ADDR", None) => client.address = Told::Unknown,
            ("HELO", None) => client.helo = Told::Unknown,
            (_, None) => {}
            ("ADDR", Some(value)) => client.address = Told::Known(address(&value)?),
            // A name with a space can't be one that EHLO told.
            ("HELO", Some(value)) if value.contains(' ') => client.helo = Told::Unknown,
            ("HELO", Some(value)) => client.helo = Told::Known(value),
            (name, Some(value)) => is_well_formed(name, &value).then_some(())?,
        }
        seen.push(name);
    }
    (!seen.is_empty()).then_some(client)
}

/// xtext (RFC 3461 §4): `+` and two hexadecimal digits stand for an octet. `Some(None)` would be a value that is unknown.
#[expect(clippy::option_option, reason = "malformed, unknown, known")]
fn decoded(value: &str) -> Option<Option<String>> {
    if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|unknown| value.eq_ignore_ascii_case(unknown)) {
        return Some(None);
    }
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            b'=' => return None,
            plain => plain,
        });
    }
    let text = String::from_utf8(octets).ok()?;
    let valid = (1..=MAX_VALUE).contains(&text.len()) && !text.contains(char::is_control);
    valid.then_some(Some(text))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// An IPv4 address, or `IPV6:` and an IPv6 address.
fn address(value: &str) -> Option<IpAddr> {
    let address = match value.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("IPV6:") => value[5..].parse::<Ipv6Addr>().ok()?.into(),
        _ => value.parse::<IpAddr>().ok()?,
    };
    Some(address.to_canonical())
}

/// The attributes that are not used must still be what they say.
fn is_well_formed(name: &str, value: &str) -> bool {
    match name {
        "PORT" | "DESTPORT" => value.parse::<u16>().is_ok() && !value.starts_with('+'),
        "PROTO" => ["SMTP", "ESMTP"].iter().any(|known| value.eq_ignore_ascii_case(known)),
        "SOURCE" => ["LOCAL", "REMOTE"].iter().any(|known| value.eq_ignore_ascii_case(known)),
        "DESTADDR" => address(value).is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_in_any_case_and_order() {
        fn told<T>(text: &str, known: impl FnOnce(&str) -> T) -> Told<T> {
            match text {
                "" => Told::Not,
                "?" => Told::Unknown,
                text => Told::Known(known(text)),
            }
        }
        let client = |address: &str, helo: &str| Client {
            address: told(address, |text| text.parse().unwrap()),
            helo: told(helo, str::to_owned),
        };
        for (text, wanted) in [
            ("ADDR=192.0.2.9", client("192.0.2.9", "")),
            ("addr=ipv6:2001:db8::9", client("2001:db8::9", "")),
            ("ADDR=IPV6:::ffff:192.0.2.9", client("192.0.2.9", "")),
            ("ADDR=2001:db8::9", client("2001:db8::9", "")),
            ("NAME=a.example ADDR=192.0.2.9  HELO=b.example PROTO=esmtp", client("192.0.2.9", "b.example")),
            ("PORT=12345 DESTADDR=198.51.100.1 DESTPORT=25 LOGIN=me", client("", "")),
            ("ADDR=[UNAVAILABLE] HELO=[tempunavail] NAME=[TEMPUNAVAIL]", client("?", "?")),
            ("HELO=+5B192.0.2.9+5d", client("", "[192.0.2.9]")),
            ("NAME=b+C3+BCcher.example", client("", "")),
            ("HELO=two+20words", client("", "?")),
        ] {
            assert_eq!(parse(text, &ONLY_XCLIENT), Some(wanted), "{text}");
        }
        assert_eq!(parse("IDENT=12 SOURCE=remote", &ONLY_XFORWARD), Some(Client::default()));
    }

    #[test]
    fn what_is_malformed_is_refused_as_a_whole() {
        for text in [
            "",
            " ",
            "ADDR",
            "ADDR=",
            "=192.0.2.9",
            "ADDR=192.0.2.999",
            "ADDR=192.0.2.9/24",
            "ADDR=IPV6:192.0.2.9",
            "ADDR=192.0.2.9 ADDR=192.0.2.10",
            "ADDR=192.0.2.9 addr=[UNAVAILABLE]",
            "ADDR=192.0.2.9 COLOUR=red",
            "ADDR=192.0.2.9 IDENT=12",
            "ADDR=192.0.2.9 HELO=a+0",
            "ADDR=192.0.2.9 HELO=a+0D+0Ab",
            "ADDR=192.0.2.9 HELO=a+GG",
            "HELO=+FF",
            "HELO=a=b",
            "PORT=65536",
            "PORT=+2B1",
            "PROTO=LMTP",
            "DESTADDR=here",
        ] {
            assert_eq!(parse(text, &ONLY_XCLIENT), None, "{text}");
        }
        assert_eq!(parse(&format!("HELO={}", "h".repeat(MAX_VALUE + 1)), &[]), None);
        assert_eq!(parse("LOGIN=me", &ONLY_XFORWARD), None);
        assert_eq!(parse("SOURCE=MARS", &ONLY_XFORWARD), None);
    }
}
