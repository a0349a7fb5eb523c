//! Our own Authentication-Results field (RFC 8601 §2.2), for what is handed on.

use super::Entry;

/// Most results that the field repeats.
pub(super) const MAX_RESULTS: usize = 8;
/// Longest value that is repeated, in octets.
const MAX_VALUE: usize = 128;
/// The properties that are repeated: what a result is about.
const PROPERTIES: [&str; 6] =
    ["header.from", "header.d", "header.i", "header.s", "smtp.mailfrom", "smtp.auth"];

/// The field with its last CRLF; `none` where there is no result. Each result stands on a line of its own.
pub fn results_field(hostname: &str, results: &[String]) -> String {
    if results.is_empty() {
        return format!("Authentication-Results: {hostname}; none\r\n");
    }
    format!("Authentication-Results: {hostname};\r\n\t{}\r\n", results.join(";\r\n\t"))
}

/// A result in our words: what can't be said plainly is left out.
pub(super) fn resinfo(entry: &Entry) -> String {
    let method = word(&entry.method).unwrap_or("unknown");
    let result = word(&entry.result).filter(|_| entry.clean).unwrap_or("unknown");
    let told =
        PROPERTIES.iter().filter_map(|name| Some([" ", name, "=", &value(entry.first(name)?)?].concat()));
    [method, "=", result].into_iter().map(str::to_owned).chain(told).collect()
}

/// `Keyword` (RFC 5321 §4.1.2): letters, digits, hyphens.
fn word(text: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    Some(text).filter(|text| !text.is_empty() && text.len() <= MAX_VALUE && text.bytes().all(plain))
}

/// As a token where it is one, else quoted (RFC 2045 §5.1).
fn value(text: &str) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~@".contains(&b);
    if text.is_empty() || text.len() > MAX_VALUE || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return None;
    }
    if text.bytes().all(token) {
        return Some(text.to_owned());
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Results;

    /// What a relay wrote, in our field.
    fn repeated(value: &str) -> String {
        let entries = Results::parse(value).entries;
        results_field("mx.example", &entries.iter().map(resinfo).collect::<Vec<_>>())
    }

    #[test]
    fn what_counted_is_repeated_in_our_name() {
        for (value, field) in [
            ("a; none", "; none\r\n"),
            (
                "a; DMARC=pass (p=reject) header.from=b.example; dkim=pass reason=\"x\" header.i=@b.example header.b=Zx",
                ";\r\n\tdmarc=pass header.from=b.example;\r\n\tdkim=pass header.i=@b.example\r\n",
            ),
            (
                "a; spf=pass smtp.mailfrom=\"a; dmarc=pass \\\"x\"@b.example",
                ";\r\n\tspf=pass smtp.mailfrom=\"a; dmarc=pass \\\"x@b.example\"\r\n",
            ),
            ("a; spf=pass smtp.mailfrom=\"a\r\nBcc: x\"", ";\r\n\tspf=pass\r\n"),
            ("a; dkim=\"pass; dmarc=pass\" header.d=b.example", ";\r\n\tdkim=unknown header.d=b.example\r\n"),
            ("a; dkim=pass oh header.d=b.example", ";\r\n\tdkim=unknown header.d=b.example\r\n"),
        ] {
            let repeated = repeated(value);
            assert_eq!(repeated, format!("Authentication-Results: mx.example{field}"), "{value}");
            let again = Results::parse(&repeated["Authentication-Results:".len()..].replace("\r\n", ""));
            assert!(!again.malformed && again.authserv_id.as_deref() == Some("mx.example"), "{again:?}");
        }
    }
}
