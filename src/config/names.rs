//! Readers of addresses, names and networks.

use std::net::{IpAddr, SocketAddr};

use data_encoding::HEXLOWER_PERMISSIVE;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use toml::de::DeValue;

use super::{
    model::Mailbox,
    values::{Read, Wrong, str},
};
use crate::{
    access::DomainEntry,
    templates::Language,
    types::{Actor, ActorError, AddressError, Domain, EmailAddress, ProjectKey},
};

pub(super) fn domain(value: &DeValue<'_>) -> Read<Domain> {
    let text = str(value, "\"help.example.com\"")?;
    text.parse().map_err(|error| {
        let fix = "write letters, digits and hyphens between the dots, such as \"help.example.com\"";
        Wrong::new(format!("\"{text}\" is no domain: {error}"), fix)
    })
}

pub(super) fn domain_entry(value: &DeValue<'_>) -> Read<DomainEntry> {
    let text = str(value, "\"example.com\"")?;
    text.parse().map_err(|error| {
        let after_at =
            text.rsplit_once('@').map(|(_, domain)| domain).filter(|d| d.parse::<Domain>().is_ok());
        let fix = match after_at {
            Some(domain) => format!("write the domain alone: \"{domain}\""),
            None => {
                "write a domain such as \"example.com\", or \"*.example.com\" for all below it".to_owned()
            }
        };
        Wrong::new(format!("\"{text}\" is no entry of a domain list: {error}"), fix)
    })
}

pub(super) fn address(value: &DeValue<'_>) -> Read<EmailAddress> {
    let text = str(value, "\"ops@example.com\"")?;
    text.parse().map_err(|error| {
        Wrong::new(
            format!("\"{text}\" is no mail address: {error}"),
            "write an address such as \"ops@example.com\"",
        )
    })
}

/// One entry of a list of senders: `never_mail`, `allow_automatic_from`.
#[derive(Debug, Clone)]
pub(super) enum SenderEntry {
    Address(EmailAddress),
    Domain(DomainEntry),
}

pub(super) fn sender_entry(value: &DeValue<'_>) -> Read<SenderEntry> {
    let text = str(value, "\"ceo@example.com\"")?;
    if let Some(domain) = text.strip_prefix("*@") {
        let fix = format!("write the domain alone: \"{domain}\"");
        return Err(Wrong::new(format!("\"{text}\" is no mail address: a * stands in domains only"), fix));
    }
    if text.contains('@') {
        return address(value).map(SenderEntry::Address);
    }
    domain_entry(value).map(SenderEntry::Domain)
}

/// One entry of a project's `addresses`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Inbox {
    Exactly(EmailAddress),
    AllOf(Domain),
}

impl Inbox {
    /// The entry as it is compared with others.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Exactly(address) => address.key().to_owned(),
            Self::AllOf(domain) => format!("*@{domain}"),
        }
    }
}

pub(super) fn inbox(value: &DeValue<'_>) -> Read<(String, Inbox)> {
    let fix = "write an address such as \"it@help.example.com\", or \"*@it.example.com\" for every address of a domain";
    let text = str(value, "\"it@help.example.com\"")?;
    let read = match text.strip_prefix("*@") {
        Some(domain) => domain.parse().map(Inbox::AllOf).map_err(|error| error.to_string()),
        None if text.contains('*') => Err("a * may only stand alone before the @".to_owned()),
        None => text.parse().map(Inbox::Exactly).map_err(|error: AddressError| error.to_string()),
    };
    read.map(|inbox| (text.to_owned(), inbox))
        .map_err(|error| Wrong::new(format!("\"{text}\" is no inbox address: {error}"), fix))
}

pub(super) fn project_key(value: &DeValue<'_>) -> Read<ProjectKey> {
    let text = str(value, "\"IT\"")?;
    text.parse().map_err(|_| {
        let upper = text.to_ascii_uppercase();
        let fix = match upper.parse::<ProjectKey>() {
            Ok(_) => format!("write it in capitals: \"{upper}\""),
            Err(_) => "write 1 to 10 capital letters and digits, a letter first, such as \"IT\"".to_owned(),
        };
        Wrong::new(format!("\"{text}\" is no project key"), fix)
    })
}

/// The language of our mails.
pub(super) fn language(value: &DeValue<'_>) -> Read<Language> {
    let text = str(value, "\"de\"")?;
    let fix = "write its tag, such as \"en\", \"de\" or \"pt-br\"";
    text.parse().map_err(|error| Wrong::new(format!("\"{text}\" is {error}"), fix))
}

/// A List-Id (RFC 2919), with or without angle brackets; lower case, without them.
pub(super) fn list_id(value: &DeValue<'_>) -> Read<String> {
    let text = str(value, "\"it-group.example.com\"")?.trim();
    let bare = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '@');
    if bare.is_empty() || bare.contains(unfit) {
        let fix =
            "write what stands in the angle brackets of its List-Id field, such as \"it-group.example.com\"";
        return Err(Wrong::new(format!("\"{text}\" is no List-Id"), fix));
    }
    Ok(bare.to_lowercase())
}

/// An IP address and a port; `port` is the one that examples have.
pub(super) fn socket(port: u16) -> impl Fn(&DeValue<'_>) -> Read<SocketAddr> {
    move |value| {
        let text = str(value, &format!("\"127.0.0.1:{port}\""))?;
        text.parse().map_err(|_| {
            let ip = text.trim_matches(['[', ']']).parse::<IpAddr>();
            let fix = match (ip, text.rsplit_once(':')) {
                (Ok(ip), _) => format!("add a port: \"{}\"", SocketAddr::new(ip, port)),
                (_, Some(("localhost", port))) => format!("write \"127.0.0.1:{port}\""),
                (_, Some(("" | "*", port))) => format!("write \"0.0.0.0:{port}\" for all addresses"),
                _ => format!(
                    "write an IP address and a port, such as \"127.0.0.1:{port}\" or \"[::1]:{port}\""
                ),
            };
            Wrong::new(format!("\"{text}\" is no IP address with a port"), fix)
        })
    }
}

/// The address and port of a name server.
pub(super) fn resolver(value: &DeValue<'_>) -> Read<SocketAddr> {
    let address = socket(53)(value)?;
    if address.port() == 0 || address.ip().is_unspecified() {
        let fix = "write where your name server answers, such as \"127.0.0.1:53\"";
        return Err(Wrong::new(format!("{address} is no address that answers"), fix));
    }
    Ok(address)
}

pub(super) fn network(value: &DeValue<'_>) -> Read<IpNet> {
    let text = str(value, "\"10.0.0.0/8\"")?;
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| {
        let fix = "write an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"";
        Wrong::new(format!("\"{text}\" is no network"), fix)
    })
}

/// `detail_separator`: one character that may stand in a local part, or none.
pub(super) fn detail_separator(value: &DeValue<'_>) -> Read<Option<char>> {
    let text = str(value, "\"+\"")?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        (Some(c), None) if "+-=_#!$%&'*/?^`{|}~".contains(c) => Ok(Some(c)),
        _ => {
            let fix = "write one such character, as in \"+\" or \"-\", or \"\" for none";
            Err(Wrong::new(format!("\"{text}\" is no single character that separates a detail"), fix))
        }
    }
}

/// `Name <address>` or a bare address.
pub(super) fn mailbox(value: &DeValue<'_>) -> Read<Mailbox> {
    let text = str(value, "\"Example Help <help@example.com>\"")?.trim();
    let wrong = |problem: String| {
        Wrong::new(
            problem,
            "write \"Name <address>\" or an address, such as \"Example Help <help@example.com>\"",
        )
    };
    if text.chars().any(char::is_control) {
        return Err(wrong("a line break or another control character".to_owned()));
    }
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let address = address
        .parse()
        .map_err(|error: AddressError| wrong(format!("\"{address}\" is no mail address: {error}")))?;
    let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = quoted.unwrap_or(name);
    if name.contains(['<', '>', '"']) {
        return Err(wrong(format!("\"{}\" is no single mailbox", text.replace('"', "'"))));
    }
    Ok(Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), address })
}

/// A token that fits into `Authorization: Bearer TOKEN`.
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    let make = "make one with `openssl rand -hex 32`";
    if text.is_empty() {
        return Err(Wrong::new("the token is empty", make));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::new("the token has a space or a character that no HTTP header carries", make));
    }
    Ok(text.to_owned())
}

/// What a token of the API is called.
pub(super) fn actor(value: &DeValue<'_>) -> Read<Actor> {
    let fix = "write who or what uses the token, in at most 64 characters, such as \"anna\"";
    str(value, "\"anna\"")?.parse().map_err(|error: ActorError| Wrong::new(error.to_string(), fix))
}

/// The SHA-256 of a token, in hexadecimal.
pub(super) fn sha256(value: &DeValue<'_>) -> Read<[u8; 32]> {
    let fix = "write the 64 digits that `printf %s TOKEN | sha256sum` prints";
    let text = str(value, "\"9f86d081…\"")?.trim();
    let digest = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let digest = digest.ok_or_else(|| Wrong::new("this is no SHA-256 in hexadecimal", fix))?;
    if digest == <[u8; 32]>::from(Sha256::digest("")) {
        return Err(Wrong::new("this is the SHA-256 of an empty token", fix));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn mailboxes_have_one_address() {
        for (text, mailbox) in [
            ("help@example.com", Some((None, "help@example.com"))),
            ("<help@example.com>", Some((None, "help@example.com"))),
            ("Example Help <help@example.com>", Some((Some("Example Help"), "help@example.com"))),
            ("\"Help, Desk\" <help@example.com>", Some((Some("Help, Desk"), "help@example.com"))),
            ("Größe <help@example.com>", Some((Some("Größe"), "help@example.com"))),
            ("a@example.com, b@example.com", None),
            ("A <a@example.com>, B <b@example.com>", None),
            ("Help\r\nBcc: x <help@example.com>", None),
            ("Help <help>", None),
            ("", None),
        ] {
            let read = super::mailbox(&value(text)).ok();
            let expected = mailbox.map(|(name, address): (Option<&str>, &str)| Mailbox {
                name: name.map(str::to_owned),
                address: address.parse().unwrap(),
            });
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses() {
        for (text, network) in [
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("::1", Some("::1/128")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("10.0.0.0/33", None),
            ("relay.example.com", None),
            ("", None),
        ] {
            assert_eq!(
                super::network(&value(text)).ok().map(|n| n.to_string()).as_deref(),
                network,
                "{text}"
            );
        }
    }

    #[test]
    fn tokens_fit_a_header() {
        for good in ["0123456789abcdef", "t", "a+b/c=="] {
            assert_eq!(token(good).ok().as_deref(), Some(good));
        }
        for bad in ["", " ", "0123456789abcdef 0", "0123456789abcdefé", "0123456789abcdef\n0"] {
            assert!(token(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn details_begin_with_one_character() {
        for (text, separator) in [
            ("+", Some(Some('+'))),
            ("-", Some(Some('-'))),
            ("", Some(None)),
            ("++", None),
            ("@", None),
            ("é", None),
        ] {
            assert_eq!(detail_separator(&value(text)).ok(), separator, "{text:?}");
        }
    }
}
