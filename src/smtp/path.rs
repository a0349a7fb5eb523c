//! Paths of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3).
//!
//! Reverse-paths are read liberally, because a mail whose bounce address is odd is still somebody's request: long VERP
//! local parts, `a..b@example.com`, underscores in domains and address literals pass.

/// Longest path in octets. RFC 5321 §4.5.3.1.3 asks for 256 at least; 64 + 1 + 255 make 320, and VERP likes more.
const MAX_PATH: usize = 512;
/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
const MAX_DOMAIN: usize = 255;

/// A path between its brackets, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// The mailbox without brackets and source route; empty for `<>`.
    pub(super) mailbox: &'a str,
    /// The parameters behind it, as written.
    pub(super) rest: &'a str,
}

/// Reads `<[@route:]mailbox>` and what follows; `None` where it is not that.
pub(super) fn parse(text: &str) -> Option<Path<'_>> {
    let text = text.trim_start_matches(' ').strip_prefix('<')?;
    let end = closing_bracket(text)?;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    if !(rest.is_empty() || rest.starts_with(' ')) || inner.len() > MAX_PATH {
        return None;
    }
    Some(Path { mailbox: without_route(inner)?, rest })
}

/// The place of the `>` outside quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let plain = !std::mem::take(&mut escaped);
        match byte {
            b'"' if plain => quoted = !quoted,
            b'\\' if plain && quoted => escaped = true,
            b'>' if !quoted => return true,
            _ => {}
        }
        false
    })
}

/// Drops a source route, `@a.example,@b.example:` (RFC 5321 Appendix C: accepted and ignored).
fn without_route(inner: &str) -> Option<&str> {
    if !inner.starts_with('@') {
        return Some(inner);
    }
    let (route, mailbox) = inner.split_once(':')?;
    let hop = |hop: &str| hop.strip_prefix('@').is_some_and(is_domain);
    (route.split(',').all(hop) && !mailbox.is_empty()).then_some(mailbox)
}

/// Whether the text is `local@domain` or `local@[literal]`, read liberally.
pub(super) fn is_mailbox(text: &str) -> bool {
    let Some(at) = at_sign(text) else { return false };
    is_local_part(&text[..at]) && is_domain_or_literal(&text[at + 1..])
}

/// The place of the only `@` outside quotes.
fn at_sign(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return text.find('@');
    }
    let mut escaped = false;
    let quote = text.bytes().skip(1).position(|byte| {
        let plain = !std::mem::take(&mut escaped);
        escaped = plain && byte == b'\\';
        plain && byte == b'"'
    })?;
    let at = quote + 2;
    (text.as_bytes().get(at) == Some(&b'@')).then_some(at)
}

fn is_local_part(local: &str) -> bool {
    // A quoted one was delimited by `at_sign`; control characters never come this far.
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    quoted
        || (!local.is_empty()
            && !local.contains([' ', '"', '\\', '<', '>', '(', ')', '[', ']', ',', ':', ';']))
}

fn is_domain_or_literal(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => {
            !literal.is_empty() && literal.chars().all(|c| c.is_ascii_alphanumeric() || ".:-".contains(c))
        }
        None => is_domain(text),
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii())
    };
    text.len() <= MAX_DOMAIN && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_between_their_brackets() {
        for (text, mailbox, rest) in [
            ("<a@b.example>", "a@b.example", ""),
            ("  <a@b.example> SIZE=1", "a@b.example", " SIZE=1"),
            ("<>", "", ""),
            ("<@x.example,@y.example:a@b.example>", "a@b.example", ""),
            ("<\"a>b\"@c.example>", "\"a>b\"@c.example", ""),
            ("<\"a\\\">b\"@c.example> X", "\"a\\\">b\"@c.example", " X"),
            ("<postmaster>", "postmaster", ""),
        ] {
            assert_eq!(parse(text), Some(Path { mailbox, rest }), "{text}");
        }
        for text in [
            "a@b.example",
            "<a@b.example",
            "<a@b.example>x",
            "",
            "<@x.example>",
            "<@:a@b>",
            "<\"a@b.example>",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(&format!("<{}>", "a".repeat(513))).is_none());
    }

    #[test]
    fn mailboxes_are_read_liberally_but_not_wildly() {
        let long = format!("{}@{}.example", "l".repeat(64), "d".repeat(240));
        for good in [
            "a@b.example",
            "a..b@c.example",
            "a@host_name.example",
            "\"a b\"@c.example",
            "\"a@b\"@c.example",
            "a@[127.0.0.1]",
            "a@[IPv6:2001:db8::1]",
            "é@bücher.example",
            &long,
        ] {
            assert!(is_mailbox(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b@c.example",
            "a b@c.example",
            "\"a\"b@c.example",
            "a@b..c",
            "a@[]",
            "a@b.",
            "a:b@c.example",
            "\"\"@c.example",
        ] {
            assert!(!is_mailbox(bad), "{bad}");
        }
    }
}
