//! A mail that is handed on: our own trace fields on top, and nothing left that speaks in our name. What is stored stays as it
//! came.

use bytes::Bytes;

use crate::{authn::Results, mail};

/// The mail with `trace` above it, without the Authentication-Results that carry our name already (RFC 8601 §5), and without
/// Return-Path, which only final delivery writes (RFC 5321 §4.4).
pub(super) fn handed_on(raw: &[u8], trace: &str, hostname: &str) -> Bytes {
    let kept = mail::without_fields(raw, |name, value| {
        name.eq_ignore_ascii_case("return-path")
            || name.eq_ignore_ascii_case("authentication-results") && is_named(value, hostname)
    });
    // A mail that begins with white space would go on with our last field, in our name; it has no header block of its own.
    let folded = !trace.is_empty() && matches!(kept.first(), Some(b' ' | b'\t'));
    let end: &[u8] = if folded { b"\r\n" } else { b"" };
    Bytes::from([trace.as_bytes(), end, &kept].concat())
}

fn is_named(value: &str, hostname: &str) -> bool {
    Results::parse(value).authserv_id.is_some_and(|id| id.eq_ignore_ascii_case(hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_in_our_name_is_taken_out_and_the_rest_stays() {
        let raw = "Return-Path: <x@evil.example>\r\n\
             Received: from a by b; x\r\n\
             Authentication-Results: MX.example (really);\r\n dmarc=pass header.from=a.example\r\n\
             authentication-results: \"mx.example\" 1; none\r\n\
             Authentication-Results : mx.example; none\r\n\
             Authentication-Results: mx.other.example; dkim=pass\r\n\
             Subject: x\r\n\
             \r\n\
             Authentication-Results: mx.example; none\r\n.\r\n";
        let sent = handed_on(raw.as_bytes(), "Received: ours\r\n", "mx.example");
        assert_eq!(
            std::str::from_utf8(&sent).unwrap(),
            "Received: ours\r\n\
             Received: from a by b; x\r\n\
             Authentication-Results: mx.other.example; dkim=pass\r\n\
             Subject: x\r\n\
             \r\n\
             Authentication-Results: mx.example; none\r\n.\r\n"
        );
    }

    /// The first line of a mail can't be made a part of our own field.
    #[test]
    fn a_mail_that_begins_folded_adds_nothing_to_our_fields() {
        let trace = "Authentication-Results: mx.example; none\r\n";
        for raw in [" ; dmarc=pass header.from=a.example\r\n\r\n", "\t; dmarc=pass\r\n", " \r\n"] {
            assert_eq!(handed_on(raw.as_bytes(), trace, "mx.example"), format!("{trace}\r\n{raw}"));
        }
        let hidden = "Return-Path: <>\r\n\t; x\r\nSubject: y\r\n";
        assert_eq!(handed_on(hidden.as_bytes(), trace, "mx.example"), format!("{trace}Subject: y\r\n"));
    }

    #[test]
    fn a_mail_without_such_fields_is_not_touched() {
        for raw in ["", "\r\n", "x", "Subject: x\r\n\r\n\u{17e}", "junk\r\n folded\r\nA: b\r\n\r\n"] {
            assert_eq!(handed_on(raw.as_bytes(), "R: s\r\n", "mx.example"), format!("R: s\r\n{raw}"));
        }
    }
}
