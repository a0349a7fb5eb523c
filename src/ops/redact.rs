//! Addresses in the words of others: a relay's reply, an error, a line that a peer has sent.

use std::borrow::Cow;

use super::Ops;
use crate::{config::LogAddresses, types::EmailAddress};

/// What stands for text whose addresses can't be told from the rest.
const WITHHELD: &str = "[withheld: it holds an address]";

impl Ops {
    /// The text with its addresses as `[log] addresses` wants them.
    pub fn log_words<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.addresses_in_full() || !text.contains('@') {
            return Cow::Borrowed(text);
        }
        // A quoted local part may hold anything.
        if text.contains("\"@") {
            return Cow::Borrowed(WITHHELD);
        }
        let mut out = String::with_capacity(text.len());
        for piece in text.split_inclusive(is_between) {
            let word = piece.trim_end_matches(is_between);
            if word.contains('@') {
                out.push_str(&self.shown(word));
            } else {
                out.push_str(word);
            }
            out.push_str(&piece[word.len()..]);
        }
        Cow::Owned(out)
    }

    fn shown(&self, word: &str) -> String {
        // A sentence may end behind it.
        let plain = word.trim_end_matches('.');
        plain
            .parse::<EmailAddress>()
            .map_or_else(|_| WITHHELD.to_owned(), |address| self.log_address(&address))
    }

    fn addresses_in_full(&self) -> bool {
        **self.addresses.load() == LogAddresses::Full
    }
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "<>()[]{},;:\"'`".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Clock;

    #[test]
    fn addresses_are_shown_as_the_site_wants_them_wherever_they_stand() {
        let ops = |addresses| Ops::new(Clock::system(), addresses, None);
        let domain = ops(LogAddresses::Domain);
        for (text, shown) in [
            ("550 5.1.1 <Ada.L@Example.com>: no such user", "550 5.1.1 <@example.com>: no such user"),
            ("ada@example.com", "@example.com"),
            ("no ada@example.com.", "no @example.com"),
            ("rcpt=ada@example.com,b@c.example", "@example.com,@c.example"),
            ("to ada@[192.0.2.1]", "to [withheld: it holds an address][192.0.2.1]"),
            ("<\"ada l\"@example.com> no", WITHHELD),
            ("250 ok", "250 ok"),
            ("ä@b", "@b"),
            ("", ""),
        ] {
            assert_eq!(domain.log_words(text), shown, "{text}");
            assert_eq!(ops(LogAddresses::Full).log_words(text), text);
            assert!(!ops(LogAddresses::Hashed).log_words(text).to_lowercase().contains("ada"), "{text}");
        }
    }
}
