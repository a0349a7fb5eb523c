//! The trace fields that tell who handled a mail (RFC 5321 §4.4, RFC 8601 §4.1).

use super::{clean, fields::HeaderBlock};
use crate::types::Time;

/// Longest host name kept, in characters.
const MAX_HOST: usize = 255;

/// A Received or Authentication-Results field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceField {
    /// Received: a server took the mail here.
    Received {
        /// The name that the server gave itself.
        by: Option<String>,
    },
    /// Authentication-Results, unfolded.
    Results(String),
}

/// All of them from the top of the mail.
pub(super) fn trace(block: &HeaderBlock<'_>) -> Vec<TraceField> {
    let fields = block.fields.iter().filter_map(|field| {
        if field.is("received") {
            return Some(TraceField::Received { by: by(&field.unfolded()) });
        }
        field.is("authentication-results").then(|| TraceField::Results(field.unfolded().into_owned()))
    });
    fields.collect()
}

/// When the server that hands the mail on has taken it: the time of the topmost Received field (RFC 5321 §4.4), or Date
/// where there is no such field. `None` where it can't be read.
pub fn handed_over_at(raw: &[u8]) -> Option<Time> {
    let block = HeaderBlock::of(raw);
    let text = match block.first("received") {
        Some(field) => field.unfolded().rsplit_once(';')?.1.to_owned(),
        None => block.first("date")?.unfolded().into_owned(),
    };
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(at.timestamp().into())
}

/// The word after the first `by` outside comments; what the client said of itself stands before it as one word.
fn by(value: &str) -> Option<String> {
    let (mut depth, mut plain) = (0_usize, String::with_capacity(value.len()));
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '\\' if depth > 0 => drop(chars.next()),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let mut words = plain.split([' ', '\t', ';']).filter(|word| !word.is_empty());
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    words.next().map(|host| clean::line(host, MAX_HOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_a_received_field_names_itself() {
        for (value, expected) in [
            (
                "from a.example (b [192.0.2.1]) by mx.example (Postfix) with ESMTP id 1; Mon",
                Some("mx.example"),
            ),
            ("by mx.example with SMTP id 1", Some("mx.example")),
            ("from a (by evil.example) BY mx.example; Mon", Some("mx.example")),
            ("from a ((x) by evil.example \\) y) by mx.example", Some("mx.example")),
            ("from by.example by mx.example", Some("mx.example")),
            ("from a.example", None),
            ("by", None),
            ("", None),
        ] {
            assert_eq!(by(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn the_topmost_server_tells_when_it_took_the_mail() {
        let new_year = Some(Time::from_millis(1_767_225_600_000));
        for (raw, expected) in [
            ("Received: from a by b;\r\n Thu, 1 Jan 2026 01:00:00 +0100 (CET)\r\n\r\n", new_year),
            ("X: y\r\nReceived: by b; Thu, 1 Jan 2026 00:00:00 GMT\r\nReceived: by a; x\r\n", new_year),
            ("Received: by b (a; b); 1 Jan 2026 00:00:00 -0000\r\nDate: x\r\n", new_year),
            ("Date: Thu, 1 Jan 2026 00:00 +0000\r\n", new_year),
            ("Received: by b\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n", None),
            ("Received: by b; yesterday\r\n", None),
            ("Subject: x\r\n", None),
            ("", None),
        ] {
            assert_eq!(handed_over_at(raw.as_bytes()), expected, "{raw}");
        }
    }

    #[test]
    fn the_order_of_the_mail_is_kept() {
        let raw = b"Received: by a\r\nX: y\r\nauthentication-results: mx;\r\n none\r\nReceived : by b\r\n\r\nReceived: by c\r\n";
        assert_eq!(
            trace(&HeaderBlock::of(raw)),
            [TraceField::Received { by: Some("a".to_owned()) }, TraceField::Results("mx; none".to_owned()),]
        );
    }
}
