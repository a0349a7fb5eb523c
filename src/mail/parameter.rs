//! Parameters of Content-Type and Content-Disposition, for the names of attachments (RFC 2045 §5.1, RFC 2231).

use super::parse;

/// Most parameters of a field that are read.
const MAX_PARAMETERS: usize = 200;

/// The decoded value of a parameter: the extended form before continued pieces before the plain one.
pub(super) fn parameter(field: &[u8], name: &str) -> Option<String> {
    let all = parameters(field);
    let find = |wanted: &str| all.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_slice());
    let value = find(&format!("{name}*"))
        .map(extended)
        .or_else(|| continued(name, find))
        .or_else(|| find(name).map(plain))?;
    Some(value).filter(|value| !value.trim().is_empty())
}

/// Encoded words stand here too, though RFC 2047 §5 forbids it.
fn plain(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.contains("=?") => parse::decode(value),
        Ok(text) => text.to_owned(),
        Err(_) => parse::decode_charset("windows-1252", value).unwrap_or_default(),
    }
}

/// `charset'language'%41bc` (RFC 2231 §4).
fn extended(value: &[u8]) -> String {
    let (charset, text) = split_charset(value);
    in_charset(charset, &percent_decoded(text))
}

/// `name*0`, `name*1*`, … (RFC 2231 §3, §4.1). The charset stands in the first piece.
fn continued<'v>(name: &str, find: impl Fn(&str) -> Option<&'v [u8]>) -> Option<String> {
    let piece = |n: usize| {
        let starred = find(&format!("{name}*{n}*")).map(|value| (value, true));
        starred.or_else(|| find(&format!("{name}*{n}")).map(|value| (value, false)))
    };
    let (first, is_extended) = piece(0)?;
    let (charset, first) = if is_extended { split_charset(first) } else { ("", first) };
    let mut bytes = if is_extended { percent_decoded(first) } else { first.to_vec() };
    for (value, is_extended) in (1..MAX_PARAMETERS).map_while(piece) {
        bytes.extend(if is_extended { percent_decoded(value) } else { value.to_vec() });
    }
    Some(if charset.is_empty() { plain(&bytes) } else { in_charset(charset, &bytes) })
}

fn split_charset(value: &[u8]) -> (&str, &[u8]) {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(text)) => (std::str::from_utf8(charset).unwrap_or_default(), text),
        _ => ("", value),
    }
}

fn in_charset(charset: &str, bytes: &[u8]) -> String {
    parse::decode_charset(charset, bytes).unwrap_or_else(|| plain(bytes))
}

fn percent_decoded(value: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(value).collect()
}

/// Names in lower case, and values without quotes.
fn parameters(field: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pieces = Pieces(field);
    // What stands before the first semicolon is the type.
    pieces.next();
    for piece in pieces.take(MAX_PARAMETERS) {
        let Some(equals) = memchr::memchr(b'=', piece) else { continue };
        let key: Vec<u8> = piece[..equals].iter().filter(|b| b.is_ascii_graphic()).copied().collect();
        let key = String::from_utf8_lossy(&key).to_ascii_lowercase();
        found.push((key, unquoted(piece[equals + 1..].trim_ascii())));
    }
    found
}

/// The pieces between semicolons that stand in no quotes.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.iter().position(|byte| {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'\\' if quoted && !was_escaped => escaped = true,
                b'"' if !was_escaped => quoted = !quoted,
                b';' => return !quoted,
                _ => {}
            }
            false
        });
        // A quote that never ends: the semicolon counts after all.
        let end = end.or_else(|| quoted.then(|| memchr::memchr(b';', self.0)).flatten());
        let (piece, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        Some(piece)
    }
}

/// Without the quotes around it, without line ends, `\"` and `\\` undone. Other backslashes are those of paths.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inside) = value.strip_prefix(b"\"") else {
        let end = value.iter().position(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | b'('));
        return value[..end.unwrap_or(value.len())].trim_ascii().to_vec();
    };
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'"', _) => break,
            (b'\r' | b'\n', _) => {}
            (b'\\', Some(next @ (b'"' | b'\\'))) => {
                out.push(**next);
                bytes.next();
            }
            _ => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_form() {
        for (field, name) in [
            ("attachment; filename=a.pdf", Some("a.pdf")),
            ("attachment; filename=\"a b.pdf\"; size=3", Some("a b.pdf")),
            ("attachment;\r\n\tFileName = \"a;b.pdf\"\r\n", Some("a;b.pdf")),
            ("attachment; filename=\"O'Brien.pdf\"", Some("O'Brien.pdf")),
            ("attachment; filename*0=\"O'Brien \"; filename*1=\"2026.pdf\"", Some("O'Brien 2026.pdf")),
            ("attachment; filename*=utf-8''O%27Brien%20%e2%82%ac.pdf", Some("O'Brien €.pdf")),
            ("attachment; filename*=iso-8859-1'de'%FCber.pdf; filename=ueber.pdf", Some("über.pdf")),
            ("attachment; filename*0*=utf-8''%c3%bc; filename*1=b; filename*2*=%20er", Some("üb er")),
            ("attachment; filename=\"=?utf-8?q?=C3=BCber=2Epdf?=\"", Some("über.pdf")),
            ("attachment; filename=\"C:\\\\dir\\\\a \\\"b\\\".doc\"", Some("C:\\dir\\a \"b\".doc")),
            ("attachment; filename=\"C:\\dir\\x.doc\"", Some("C:\\dir\\x.doc")),
            ("attachment; filename=\"open; size=3", Some("open")),
            ("attachment; filename*=broken", Some("broken")),
            ("attachment; filename*=x-none''%41", Some("A")),
            ("attachment; filename=a b c.pdf", Some("a b c.pdf")),
            ("attachment; filename=\"\"", None),
            ("attachment", None),
            ("", None),
        ] {
            assert_eq!(parameter(field.as_bytes(), "filename").as_deref(), name, "{field}");
        }
    }
}
