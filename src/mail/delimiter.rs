//! What looks like a delimiter in the middle of a line is text (RFC 2046 §5.1.1). mail-parser takes it for one and cuts the
//! text there.

use memchr::{memchr, memmem, memrchr};

use super::{scan::prescan, structure::Sweep};

/// The mail with such places made unlike any delimiter, each byte where it was; `None` where there is none, or where the
/// result would not pass [`prescan`].
pub(super) fn masked(raw: &[u8]) -> Option<Vec<u8>> {
    let found = Sweep::over(raw).ok()?;
    let mut copy = None;
    for boundary in &found.boundaries {
        let delimiter = [b"--", &boundary.text[..]].concat();
        for at in memmem::find_iter(raw, &delimiter).filter(|at| is_text(raw, *at, delimiter.len())) {
            copy.get_or_insert_with(|| raw.to_vec())[at..at + delimiter.len()].fill(b'.');
        }
    }
    copy.filter(|masked| prescan(masked).is_ok())
}

/// Whether a line goes on behind it and has begun before it, and does not declare it.
fn is_text(raw: &[u8], at: usize, length: usize) -> bool {
    let start = memrchr(b'\n', &raw[..at]).map_or(0, |lf| lf + 1);
    let after = &raw[at + length..];
    let after = &after[..memchr(b'\n', after).unwrap_or(after.len())];
    let after = after.strip_prefix(b"--").unwrap_or(after);
    start < at
        && !after.trim_ascii().is_empty()
        && !raw[start..at].to_ascii_lowercase().windows(8).any(|word| word == b"boundary")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(body: &str) -> String {
        format!("Content-Type: multipart/mixed; boundary=\"bb\"\r\n\r\n--bb\r\n\r\n{body}\r\n--bb--\r\n")
    }

    #[test]
    fn only_text_is_masked() {
        assert_eq!(
            masked(mail("see foo--bb inline").as_bytes()),
            Some(mail("see foo.... inline").into_bytes())
        );
        for body in ["text", "--bb\r\n\r\nx", "aGVsbG8=--bb", "x--bb--", "--bb x", "boundary=\"--bb\"; x"] {
            assert_eq!(masked(mail(body).as_bytes()), None, "{body}");
        }
    }
}
