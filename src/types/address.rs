//! Mail addresses and domains, normalised once (access-rules: *Addresses and domains*).

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// Longest local part in octets (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;

/// Why a text is no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing there.
    #[error("the domain is empty")]
    Empty,
    /// Longer than 255 octets.
    #[error("the domain is longer than 255 octets")]
    TooLong,
    /// An address literal such as `[127.0.0.1]`.
    #[error("an address literal is no domain")]
    Literal,
    /// Ends in a dot.
    #[error("the domain ends in a dot")]
    TrailingDot,
    /// A label that is empty, too long, or has a character no host name has.
    #[error("the domain has an invalid label")]
    Label,
    /// A spelling that IDNA would map to another domain (`ⓐpproved.com`); it must be written as what it maps to.
    #[error("the domain is not in its normal form (IDNA would map it to another)")]
    NotNormal,
}

/// A domain name in lower case, international labels as A-labels (`xn--…`), without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as people write it, international labels in Unicode.
    pub fn to_unicode(&self) -> String {
        if self.0.contains("xn--") { idna::domain_to_unicode(&self.0).0 } else { self.0.to_string() }
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// ASCII must survive strict IDNA processing unchanged; a U-label must come back from its A-label as it was written
    /// (in lower case, NFC). Anything that IDNA would merely *map* is refused, so that no look-alike becomes a listed domain.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            [] => return Err(DomainError::Empty),
            [b'[', ..] => return Err(DomainError::Literal),
            [.., b'.'] => return Err(DomainError::TrailingDot),
            long if long.len() > MAX_DOMAIN => return Err(DomainError::TooLong),
            _ if becomes_ascii(text) => return Err(DomainError::NotNormal),
            _ => {}
        }
        if plain_host_name(text) {
            return Ok(Self(text.into()));
        }
        let lower = lower(text);
        if plain_host_name(&lower) {
            return Ok(Self(lower.into()));
        }
        let ascii = idna::domain_to_ascii_strict(&lower).map_err(|_| DomainError::Label)?;
        if ascii.len() > MAX_DOMAIN || ascii.is_empty() {
            return Err(DomainError::TooLong);
        }
        let (unicode, valid) = idna::domain_to_unicode(&ascii);
        let back = if lower.is_ascii() { &ascii } else { &unicode };
        if valid.is_err() || *back != lower {
            return Err(DomainError::NotNormal);
        }
        Ok(Self(ascii.into()))
    }
}

/// In lower case, NFC.
fn lower(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfc().flat_map(char::to_lowercase).nfc().collect()
    }
}

/// Whether NFC makes an ASCII character of one that is none: the Kelvin sign a `K`, the Greek question mark a `;`. An
/// address must not become another person's by being normalised.
fn becomes_ascii(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && std::iter::once(c).nfc().any(|n| n.is_ascii()))
}

/// A lower-case ASCII host name without A-labels, which IDNA leaves as it is: the common case, decided without tables.
fn plain_host_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let bytes = label.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
            && bytes.get(2..4) != Some(b"--")
    })
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or more than one outside quotes.
    #[error("an address has exactly one @ outside quotes")]
    At,
    /// The part before the `@` is not a dot-atom or quoted string (RFC 5322 §3.4.1).
    #[error("the part before the @ is not valid")]
    LocalPart,
    /// The part before the `@` is longer than 64 octets.
    #[error("the part before the @ is longer than 64 octets")]
    LocalPartTooLong,
    /// The domain is not valid.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// One mailbox, `local@domain`.
///
/// Two addresses are equal when their keys are: local part and domain in lower case (NFC, A-labels). There is no folding
/// of dots or of `+detail`. The spelling first seen is kept for sending and display.
#[derive(Debug, Clone)]
pub struct EmailAddress {
    key: Arc<str>,
    spelling: Arc<str>,
    domain: Domain,
}

impl EmailAddress {
    /// The normalised address: what accounts, lists and limits are kept by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address as it was first written: for sending and for people.
    pub fn spelling(&self) -> &str {
        &self.spelling
    }

    /// The domain, normalised.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The local part of the key.
    pub fn local_part(&self) -> &str {
        &self.key[..self.key.len() - self.domain.as_str().len() - 1]
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    /// Reads a bare `addr-spec` (RFC 5322 §3.4.1, without comments, folding or obsolete forms; RFC 6531 letters allowed).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = split_at_sign(text)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.len() > MAX_LOCAL {
            return Err(AddressError::LocalPartTooLong);
        }
        if !(is_dot_atom(local) || is_quoted_string(local)) || becomes_ascii(local) {
            return Err(AddressError::LocalPart);
        }
        let normal: Domain = domain.parse()?;
        let is_lower = local.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
        if is_lower && normal.as_str() == domain {
            let key: Arc<str> = text.into();
            return Ok(Self { spelling: Arc::clone(&key), key, domain: normal });
        }
        let key = format!("{}@{normal}", lower(local)).into();
        Ok(Self { key, spelling: text.into(), domain: normal })
    }
}

/// The place of the one `@` outside quotes.
fn split_at_sign(text: &str) -> Result<usize, AddressError> {
    let bytes = text.as_bytes();
    let (mut quoted, mut at, mut i) = (false, None, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => i += 1,
            b'@' if !quoted && at.replace(i).is_some() => return Err(AddressError::At),
            _ => {}
        }
        i += 1;
    }
    at.ok_or(AddressError::At)
}

fn is_atom_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let escaped = c == '\\';
        let shown = if escaped { chars.next() } else { Some(c) };
        match shown {
            Some('"') if !escaped => return false,
            Some(c) if !c.is_control() => {}
            _ => return false,
        }
    }
    !inner.is_empty()
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for EmailAddress {}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Borrow<str> for EmailAddress {
    fn borrow(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelling)
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_normalised_or_refused() {
        let good = [
            ("Example.COM", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a.b.c", "a.b.c"),
            ("localhost", "localhost"),
        ];
        for (text, normal) in good {
            assert_eq!(text.parse::<Domain>().as_ref().map(Domain::as_str), Ok(normal), "{text}");
        }
        let bad = [
            ("", DomainError::Empty),
            ("example.com.", DomainError::TrailingDot),
            ("[127.0.0.1]", DomainError::Literal),
            ("a..b", DomainError::Label),
            ("-a.com", DomainError::Label),
            ("a_b.com", DomainError::Label),
            ("a b.com", DomainError::Label),
            ("ⓐpproved.example", DomainError::NotNormal),
            ("approved。example", DomainError::NotNormal),
            ("boo\u{212a}.example", DomainError::NotNormal),
        ];
        for (text, error) in bad {
            assert_eq!(text.parse::<Domain>(), Err(error), "{text}");
        }
        assert!("appr\u{200d}oved.example".parse::<Domain>().is_err());
        assert!(format!("{}.com", "a".repeat(64)).parse::<Domain>().is_err());
    }

    #[test]
    fn addresses_compare_by_key_and_keep_their_spelling() {
        let first: EmailAddress = "Ada.Lovelace@Example.COM".parse().unwrap();
        let second: EmailAddress = "ada.lovelace@example.com".parse().unwrap();
        assert_eq!(first, second);
        assert_eq!(first.spelling(), "Ada.Lovelace@Example.COM");
        assert_eq!(first.key(), "ada.lovelace@example.com");
        assert_eq!(first.local_part(), "ada.lovelace");
        assert_ne!(first, "ada.lovelace+x@example.com".parse().unwrap());
    }

    /// Whoever can have mail for one of these must not thereby be the other (as in CVE-2019-19844).
    #[test]
    fn no_letter_of_another_script_becomes_a_latin_one() {
        let ascii: EmailAddress = "kim.i@example.com".parse().unwrap();
        for (alike, error) in [
            ("\u{212a}im.i@example.com", true), // Kelvin sign
            ("\u{212a}\u{e9}@example.com", true),
            ("kim\u{37e}i@example.com", true), // Greek question mark
            ("\"kim\u{37e}i\"@example.com", true),
            ("kim.\u{131}@example.com", false),  // dotless i
            ("KIM.\u{130}@example.com", false),  // I with a dot
            ("\u{43a}im.i@example.com", false),  // Cyrillic
            ("kim.\u{ff49}@example.com", false), // full width
            ("kim.i\u{307}@example.com", false),
        ] {
            match alike.parse::<EmailAddress>() {
                Ok(other) => {
                    assert!(!error, "{alike}");
                    assert_ne!(other, ascii, "{alike}");
                }
                Err(found) => assert_eq!((found, error), (AddressError::LocalPart, true), "{alike}"),
            }
        }
        // One spelling of one letter is still one letter.
        let (composed, apart) = ("jos\u{e9}@example.com", "JOSE\u{301}@example.com");
        assert_eq!(composed.parse::<EmailAddress>().unwrap(), apart.parse().unwrap());
    }

    #[test]
    fn quoted_local_parts_may_hold_an_at_sign() {
        let odd: EmailAddress = "\"a@approved.example\"@evil.example".parse().unwrap();
        assert_eq!(odd.domain().as_str(), "evil.example");
        for wrong in [
            "a",
            "a@b@c.example",
            "@example.com",
            "a@",
            ".a@example.com",
            "a..b@example.com",
            "a b@example.com",
            "\"a@example.com",
            "a\"b\"@example.com",
            "\"\"@example.com",
            "a@[127.0.0.1]",
            "a\n@example.com",
        ] {
            assert!(wrong.parse::<EmailAddress>().is_err(), "{wrong}");
        }
        assert!(format!("{}@example.com", "a".repeat(65)).parse::<EmailAddress>().is_err());
    }
}
