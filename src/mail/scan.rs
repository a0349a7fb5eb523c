//! What a mail may be like before any parser sees it.
//!
//! mail-parser keeps every field and every part in memory, searches the rest of the mail for each boundary that is
//! declared, and gives nested messages back recursively. One mail of a megabyte can thereby cost seconds, gigabytes or the
//! whole process (a stack overflow can't be caught). So the structure is counted first, in linear time and a little more
//! than the parser could ever see: names are matched with white space left out and in the middle of lines, because that is
//! how it reads them.

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memmem};

use super::{fields::HeaderBlock, parse};

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
    let mut parts = Parts { digest: found.digest, ..Parts::default() };
    parts.follow(raw, 0)?;
    for boundary in &found.boundaries {
        parts.of(raw, boundary)?;
    }
    Ok(())
}

fn limit(reached: usize, most: usize, what: &'static str) -> Result<(), ScanError> {
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

/// What one pass over the lines finds.
#[derive(Default)]
struct Sweep {
    types: usize,
    multiparts: usize,
    messages: usize,
    digest: bool,
    boundaries: Vec<Vec<u8>>,
}

impl Sweep {
    fn over(raw: &[u8]) -> Result<Self, ScanError> {
        let mut found = Self::default();
        let mut line = 0;
        // Where the values of the Content-Types in the current (folded) line begin.
        let mut values: Vec<usize> = Vec::new();
        for at in memchr2_iter(b'\n', b':', raw) {
            if raw[at] == b':' {
                if names_content_type(&raw[line..at]) {
                    found.types += 1;
                    limit(found.types, MAX_CONTENT_TYPES, "more than 1000 Content-Types")?;
                    values.push(at + 1);
                }
                continue;
            }
            limit(at + 1 - line, MAX_LINE, "a line of more than 64 KiB")?;
            line = at + 1;
            if !values.is_empty() && !matches!(raw.get(line), Some(b' ' | b'\t')) {
                found.take(&values, &raw[..line])?;
                values.clear();
            }
        }
        limit(raw.len() - line, MAX_LINE, "a line of more than 64 KiB")?;
        found.take(&values, raw)?;
        Ok(found)
    }

    /// Takes in the values that all end where `raw` does. Each is looked at only up to the next, so that many of them in
    /// one line cost no more than one.
    fn take(&mut self, starts: &[usize], raw: &[u8]) -> Result<(), ScanError> {
        let mut end = raw.len();
        let (mut multipart, mut message) = (false, false);
        for &start in starts.iter().rev() {
            let own = &raw[start..end];
            multipart |= contains(own, b"multipart");
            message |= contains(own, b"message/") || is_nested_message(own);
            self.digest |= multipart && contains(own, b"digest");
            self.messages += usize::from(message);
            limit(self.messages, MAX_MESSAGES, "more than 20 message parts")?;
            if multipart {
                self.multipart(&raw[start..])?;
            }
            end = start;
        }
        Ok(())
    }

    fn multipart(&mut self, value: &[u8]) -> Result<(), ScanError> {
        self.multiparts += 1;
        limit(self.multiparts, MAX_MULTIPARTS, "more than 50 multiparts")?;
        limit(value.len(), MAX_STRUCTURED_FIELD, "a From or Content field of more than 8 KiB")?;
        self.boundaries.extend(parse::boundary(value).filter(|new| !self.boundaries.contains(new)));
        Ok(())
    }
}

/// Whether the bytes before a colon end in `content-type`, in any case, white space anywhere in it.
fn names_content_type(before: &[u8]) -> bool {
    let mut name = b"content-type".iter().rev();
    for byte in before.iter().rev() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        match name.next() {
            Some(letter) if byte.eq_ignore_ascii_case(letter) => {}
            Some(_) => return false,
            None => return true,
        }
    }
    name.len() == 0
}

/// Whether a Content-Type's value can be one that mail-parser descends into.
fn is_nested_message(value: &[u8]) -> bool {
    contains(value, b"message") && (contains(value, b"rfc822") || contains(value, b"global"))
}

/// Whether the fields have a Content-Type, and whether it makes the part a message.
fn opens_message(block: &[u8]) -> (bool, bool) {
    let (mut typed, mut line) = (false, 0);
    for at in memchr2_iter(b'\n', b':', block) {
        if block[at] == b'\n' {
            line = at + 1;
        } else if names_content_type(&block[line..at]) {
            typed = true;
            if is_nested_message(logical_line(&block[at + 1..])) {
                return (true, true);
            }
        }
    }
    (typed, false)
}

/// The beginning of `text` up to the first line end that is no fold.
fn logical_line(text: &[u8]) -> &[u8] {
    let end = memchr_iter(b'\n', text).find(|lf| !matches!(text.get(lf + 1), Some(b' ' | b'\t')));
    &text[..end.unwrap_or(text.len())]
}

/// Whether `word` (in lower case) occurs in `text`, in any case.
fn contains(text: &[u8], word: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr2(word[0], word[0].to_ascii_uppercase(), &text[at..]) {
        at += found;
        match text.get(at..at + word.len()) {
            Some(same) if same.eq_ignore_ascii_case(word) => return true,
            Some(_) => at += 1,
            None => return false,
        }
    }
    false
}

/// Counts the parts of all multiparts and the fields that begin them.
#[derive(Default)]
struct Parts {
    digest: bool,
    count: usize,
    fields: usize,
    bytes: usize,
}

impl Parts {
    /// Every `--boundary`, wherever in a line: mail-parser does not ask for the beginning of one.
    fn of(&mut self, raw: &[u8], boundary: &[u8]) -> Result<(), ScanError> {
        let delimiter = [b"--", boundary].concat();
        let mut walked = 0;
        for at in memmem::find_iter(raw, &delimiter) {
            self.count += 1;
            limit(self.count, MAX_PARTS, "more than 1000 parts")?;
            // A delimiter inside fields that were counted already begins nothing new.
            if at >= walked {
                walked = self.follow(raw, at + delimiter.len())?;
            }
        }
        Ok(())
    }

    /// Counts the fields from `at` to the first empty line; where they make the part a message (RFC 2046 §5.2.1, and
    /// §5.1.5 for digests), those of the message too. Returns where it ended.
    fn follow(&mut self, raw: &[u8], mut at: usize) -> Result<usize, ScanError> {
        let top = at == 0;
        loop {
            let start = at;
            at = self.fields(raw, start, top && start == 0)?;
            let (typed, message) = opens_message(&raw[start..at]);
            if !(message || self.digest && !typed) || at >= raw.len() {
                return Ok(at);
            }
        }
    }

    fn fields(&mut self, raw: &[u8], start: usize, top: bool) -> Result<usize, ScanError> {
        let mut line = start;
        let mut field = 0;
        while let Some(lf) = memchr(b'\n', &raw[line..]) {
            let content = &raw[line..line + lf];
            let end = line + lf + 1;
            if matches!(content, b"" | b"\r") && line > start {
                return Ok(end);
            }
            // The header block of the mail has limits of its own.
            if !top {
                field = self.line(content, field)?;
            }
            line = end;
        }
        Ok(raw.len())
    }

    /// Counts one line; returns the bytes of its field so far, none for a line that is no part of a field.
    fn line(&mut self, content: &[u8], field: usize) -> Result<usize, ScanError> {
        let continues = field > 0 && matches!(content.first(), Some(b' ' | b'\t'));
        if !continues && memchr(b':', content).is_none() {
            return Ok(0);
        }
        let size = content.len() + 1;
        let field = if continues { field + size } else { size };
        self.fields += usize::from(!continues);
        self.bytes += size;
        limit(field, MAX_STRUCTURED_FIELD, "a field of a part of more than 8 KiB")?;
        limit(self.fields, MAX_PART_FIELDS, "more than 10000 fields in parts")?;
        limit(self.bytes, MAX_PART_HEADERS, "more than 1 MiB of fields in parts")?;
        Ok(field)
    }
}
