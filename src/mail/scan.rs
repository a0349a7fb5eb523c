//! What a mail may be like before any parser sees it.
//!
//! mail-parser keeps every field and every part in memory, searches the rest of the mail for each boundary that is
//! declared, and gives nested messages back recursively. One mail of a megabyte can thereby cost seconds, gigabytes or the
//! whole process (a stack overflow can't be caught). So the structure is counted first, in linear time and a little more
//! than the parser could ever see: names are matched with white space left out and in the middle of lines, because that is
//! how it reads them.

use memchr::{memchr, memchr_iter};

use super::{
    fields::HeaderBlock,
    structure::{Parts, Sweep, encoded_words},
};

/// Most bytes of the header block.
pub const MAX_HEADER_BLOCK: usize = 256 * 1024;
/// Most fields in the header block.
pub const MAX_FIELDS: usize = 1_000;
/// Most bytes of one line, its end included. RFC 5322 §2.1.1 has 998; relays and mailers are known to exceed it.
pub const MAX_LINE: usize = 64 * 1024;
/// Most bytes of one From or Content-* field of the header block, and of any field of a part.
pub const MAX_STRUCTURED_FIELD: usize = 8 * 1024;
/// Most `Content-Type:` in the whole mail.
pub const MAX_CONTENT_TYPES: usize = 1_000;
/// Most of them that are `multipart/*`.
pub const MAX_MULTIPARTS: usize = 50;
/// Most of them that are `message/*`.
pub const MAX_MESSAGES: usize = 20;
/// Most addresses in one field of the header block.
pub const MAX_ADDRESSES: usize = 1_000;
/// Most parts of all multiparts together.
pub const MAX_PARTS: usize = 1_000;
/// Most fields of all parts together.
pub const MAX_PART_FIELDS: usize = 10_000;
/// Most encoded words (RFC 2047) in one such field: each that does not end is searched for to the end of the field.
pub const MAX_ENCODED_WORDS: usize = 64;
/// Most multiparts whose boundary does not occur after them: each is searched for to the end of the mail.
pub const MAX_LOST_MULTIPARTS: usize = 10;
/// Most bytes of the fields of all parts together.
pub const MAX_PART_HEADERS: usize = 1024 * 1024;

/// Why a mail is refused unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It holds a NUL (RFC 5322 §2.2 and §4: never in a message).
    #[error("the message holds a NUL")]
    Nul,
    /// It exceeds a limit of structure; the text says which.
    #[error("the message is too complex: {0}")]
    TooComplex(&'static str),
}

/// Checks `raw` against all limits of structure, in one pass over its lines and one for each boundary (at most 50).
pub fn prescan(raw: &[u8]) -> Result<(), ScanError> {
    if memchr(0, raw).is_some() {
        return Err(ScanError::Nul);
    }
    header_block(raw)?;
    let found = Sweep::over(raw)?;
    let mut parts = Parts::default();
    if found.digest {
        // The parts of a digest are messages without saying so (RFC 2046 §5.1.5): any line may be a field of one.
        parts.all_lines(raw)?;
    }
    parts.follow(raw, 0)?;
    let mut lost = 0;
    for boundary in &found.boundaries {
        let end = parts.of(raw, &boundary.text)?;
        lost += boundary.declared.iter().filter(|at| **at > end).count();
        limit(lost, MAX_LOST_MULTIPARTS, "more than 10 multiparts without their boundary")?;
    }
    Ok(())
}

pub(super) fn limit(reached: usize, most: usize, what: &'static str) -> Result<(), ScanError> {
    if reached > most { Err(ScanError::TooComplex(what)) } else { Ok(()) }
}

/// The limits of the header block itself.
fn header_block(raw: &[u8]) -> Result<(), ScanError> {
    let beginning = &raw[..raw.len().min(MAX_HEADER_BLOCK + 1)];
    let block = HeaderBlock::of(beginning);
    let size = beginning.len() - block.body.len();
    limit(size, MAX_HEADER_BLOCK, "more than 256 KiB of header")?;
    limit(block.fields.len(), MAX_FIELDS, "more than 1000 header fields")?;
    for field in &block.fields {
        let addresses = memchr_iter(b'@', field.value).take(MAX_ADDRESSES + 1).count();
        limit(addresses, MAX_ADDRESSES, "more than 1000 addresses in one field")?;
        if is_structured(field.name) {
            limit(field.value.len(), MAX_STRUCTURED_FIELD, "a From or Content field of more than 8 KiB")?;
            limit(
                encoded_words(field.value),
                MAX_ENCODED_WORDS,
                "more than 64 encoded words in a From or Content field",
            )?;
        }
    }
    Ok(())
}

/// Whether mail-parser takes the name for one of the fields that it is told to decode.
fn is_structured(name: &[u8]) -> bool {
    let mut squashed = name.iter().filter(|byte| byte.is_ascii_graphic() && **byte != b':');
    let start: Vec<u8> = squashed.by_ref().take(7).map(u8::to_ascii_lowercase).collect();
    start == b"from" || start == b"content"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: &[u8]) -> Option<String> {
        prescan(raw).err().map(|error| error.to_string())
    }

    fn mail(fields: &str, body: &str) -> Vec<u8> {
        format!("From: a@b.example\r\n{fields}\r\n{body}").into_bytes()
    }

    #[test]
    fn ordinary_mail_passes() {
        let long_line = format!("{{\"content-type: {}\": 1}}\r\n", "x".repeat(60_000));
        let pasted = "Content-Type: text/html; charset=utf-8\r\n".repeat(900);
        let mime = "Content-Type: multipart/mixed; boundary=b; type=\"multipart/alternative\"\r\n";
        let parts = format!("{}--b--\r\n", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(900));
        for raw in [mail("", ""), mail("", &long_line), mail("", &pasted), mail(mime, &parts), Vec::new()] {
            assert_eq!(refused(&raw), None);
        }
    }

    #[test]
    fn each_limit_is_where_it_says() {
        let many = |text: &str, n: usize| text.repeat(n);
        let address_list = |n: usize| mail(&format!("To: {}\r\n", many("a@b,", n)), "");
        let line = |n: usize| mail("", &format!("{}\r\n", "x".repeat(n)));
        let types = |n: usize| mail("", &many("Content-Type: text/plain\r\n", n));
        let multiparts = |n: usize| mail("", &many("Content-Type: multipart/mixed\r\n", n));
        let lost = |n: usize| {
            let declared = "Content-Type: multipart/mixed; boundary=lost\r\n\r\n";
            mail("", &format!("--lost\r\n{}", many(declared, n)))
        };
        let words = |n: usize| format!("From: {}\r\n\r\n", many("=?aa?q? ", n)).into_bytes();
        let messages = |n: usize| mail("", &many("Content-Type: message/rfc822\r\n", n));
        let parts = |n: usize| mail("Content-Type: multipart/mixed; boundary=b\r\n", &many("--b\r\n\r\n", n));
        let header = |n: usize| mail(&many(&format!("X: {}\r\n", "y".repeat(995)), n), "");
        let structured = |n: usize| mail(&format!("Content-Type: {}\r\n", "x".repeat(n)), "");
        for (passes, fails, limit) in [
            (mail(&many("a:\r\n", 999), ""), mail(&many("a:\r\n", 1000), ""), "more than 1000 header fields"),
            (header(260), header(263), "more than 256 KiB of header"),
            (address_list(1000), address_list(1001), "more than 1000 addresses in one field"),
            (line(MAX_LINE - 2), line(MAX_LINE - 1), "a line of more than 64 KiB"),
            (types(1000), types(1001), "more than 1000 Content-Types"),
            (multiparts(50), multiparts(51), "more than 50 multiparts"),
            (messages(20), messages(21), "more than 20 message parts"),
            (parts(1000), parts(1001), "more than 1000 parts"),
            (lost(10), lost(11), "more than 10 multiparts without their boundary"),
            (words(64), words(65), "more than 64 encoded words in a From or Content field"),
            (structured(8100), structured(8200), "a From or Content field of more than 8 KiB"),
        ] {
            assert_eq!(refused(&passes), None, "{limit}");
            assert_eq!(refused(&fails), Some(format!("the message is too complex: {limit}")));
        }
        assert_eq!(prescan(b"a: b\r\n\r\n\0"), Err(ScanError::Nul));
    }

    #[test]
    fn fields_of_parts_are_limited_too() {
        let mime = "Content-Type: multipart/mixed; boundary=b\r\n";
        let flood = "a:\r\n".repeat(MAX_PART_FIELDS);
        let continuations = format!("Content-Type: text/plain{}\r\n", ";\r\n a*1=b".repeat(1000));
        for (fields, limit) in [
            (&flood, "more than 10000 fields in parts"),
            (&continuations, "a field of a part of more than 8 KiB"),
            (
                &format!("X: {}\r\n", "=?aa?q?\r\n ".repeat(65)),
                "more than 64 encoded words in a field of a part",
            ),
            (&format!("X: {}\r\n", "y".repeat(8000)).repeat(140), "more than 1 MiB of fields in parts"),
        ] {
            // In a part, in a message inside the mail, and after a boundary in the middle of a line.
            for raw in [
                mail(mime, &format!("--b\r\n{fields}a:\r\n\r\nx\r\n--b--\r\n")),
                mail(mime, &format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{fields}a:\r\n\r\nx")),
                mail(mime, &format!("text--ba:\r\n{fields}a:\r\n\r\nx")),
                mail("Content-Type: message/rfc822\r\n", &format!("{fields}a:\r\n\r\nx")),
                mail(
                    "Content-Type: multipart/digest; boundary=b\r\n",
                    &format!("--b\r\n\r\n{fields}a:\r\n\r\nx\r\n--b--\r\n"),
                ),
            ] {
                assert_eq!(refused(&raw), Some(format!("the message is too complex: {limit}")));
            }
        }
    }

    #[test]
    fn no_spelling_hides_a_type() {
        let boundary = "multipart/mixed; boundary=b";
        for spelling in [
            format!("Content-Type:{boundary}\r\n"),
            format!("CONTENT-type: {}\r\n", boundary.to_uppercase()),
            format!("Content-Type:\r\n {boundary}\r\n"),
            format!("Content-Type \t:\r\n\t{boundary}\r\n"),
            format!("Con tent - Type: {boundary}\r\n"),
            format!(":Content-Type: {boundary}\n"),
            format!("\rContent-Type: {boundary}\n"),
            format!("--bContent-Type: {boundary}\r\n"),
            format!("Content-Type: (comment: \r\n \")) {boundary}\r\n"),
            format!("Content-Type: text/plain; Content-Type: {boundary}\n"),
            "Content-Type: multipart\r\n ;boundary=b\r\n".to_owned(),
        ] {
            let raw = mail("", &format!("{spelling}\r\n").repeat(51));
            assert_eq!(
                refused(&raw).as_deref(),
                Some("the message is too complex: more than 50 multiparts"),
                "{spelling:?}"
            );
        }
    }
}
