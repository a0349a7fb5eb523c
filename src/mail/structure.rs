//! The structure of a mail as far as a parser could see it, counted without one; for `scan`.

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memmem};

use super::{
    parse,
    scan::{
        MAX_CONTENT_TYPES, MAX_ENCODED_WORDS, MAX_LINE, MAX_MESSAGES, MAX_MULTIPARTS, MAX_PART_FIELDS,
        MAX_PART_HEADERS, MAX_PARTS, MAX_STRUCTURED_FIELD, ScanError, limit,
    },
};

/// How many encoded words seem to begin.
pub(super) fn encoded_words(text: &[u8]) -> usize {
    memmem::find_iter(text, b"=?").count()
}

/// A multipart's boundary, and where the fields end that declare it.
pub(super) struct Boundary {
    pub text: Vec<u8>,
    pub declared: Vec<usize>,
}

/// What one pass over the lines finds.
#[derive(Default)]
pub(super) struct Sweep {
    types: usize,
    multiparts: usize,
    messages: usize,
    pub digest: bool,
    pub boundaries: Vec<Boundary>,
}

impl Sweep {
    pub(super) fn over(raw: &[u8]) -> Result<Self, ScanError> {
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
                self.multipart(&raw[start..], raw.len())?;
            }
            end = start;
        }
        Ok(())
    }

    fn multipart(&mut self, value: &[u8], end: usize) -> Result<(), ScanError> {
        self.multiparts += 1;
        limit(self.multiparts, MAX_MULTIPARTS, "more than 50 multiparts")?;
        limit(value.len(), MAX_STRUCTURED_FIELD, "a From or Content field of more than 8 KiB")?;
        let Some(text) = parse::boundary(value) else { return Ok(()) };
        match self.boundaries.iter_mut().find(|known| known.text == text) {
            Some(known) => known.declared.push(end),
            None => self.boundaries.push(Boundary { text, declared: vec![end] }),
        }
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

/// Whether a Content-Type among the fields makes the part a message.
fn opens_message(block: &[u8]) -> bool {
    let mut line = 0;
    for at in memchr2_iter(b'\n', b':', block) {
        if block[at] == b'\n' {
            line = at + 1;
        } else if names_content_type(&block[line..at]) && is_nested_message(logical_line(&block[at + 1..])) {
            return true;
        }
    }
    false
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
pub(super) struct Parts {
    count: usize,
    fields: usize,
    bytes: usize,
}

impl Parts {
    /// Every `--boundary`, wherever in a line: mail-parser does not ask for the beginning of one. Returns the end of
    /// the last one; 0 when there is none.
    pub(super) fn of(&mut self, raw: &[u8], boundary: &[u8]) -> Result<usize, ScanError> {
        let delimiter = [b"--", boundary].concat();
        let (mut walked, mut end) = (0, 0);
        for at in memmem::find_iter(raw, &delimiter) {
            self.count += 1;
            limit(self.count, MAX_PARTS, "more than 1000 parts")?;
            // A delimiter inside fields that were counted already begins nothing new.
            if at >= walked {
                walked = self.follow(raw, at + delimiter.len())?;
            }
            end = at + delimiter.len();
        }
        Ok(end)
    }

    /// Counts the fields from `at` to the first empty line; where they make the part a message (RFC 2046 §5.2.1), those of
    /// the message too. Returns where it ended.
    pub(super) fn follow(&mut self, raw: &[u8], mut at: usize) -> Result<usize, ScanError> {
        let top = at == 0;
        loop {
            let start = at;
            at = self.fields(raw, start, top && start == 0)?;
            if at >= raw.len() || !opens_message(&raw[start..at]) {
                return Ok(at);
            }
        }
    }

    pub(super) fn all_lines(&mut self, raw: &[u8]) -> Result<(), ScanError> {
        let mut field = None;
        for line in raw.split(|byte| *byte == b'\n') {
            field = self.line(line, field)?;
        }
        Ok(())
    }

    fn fields(&mut self, raw: &[u8], start: usize, top: bool) -> Result<usize, ScanError> {
        let mut line = start;
        let mut field = None;
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

    /// Counts one line into its field; `None` for a line that is no part of a field.
    fn line(&mut self, content: &[u8], field: Option<Size>) -> Result<Option<Size>, ScanError> {
        let open = field.filter(|_| matches!(content.first(), Some(b' ' | b'\t')));
        if open.is_none() && memchr(b':', content).is_none() {
            return Ok(None);
        }
        self.fields += usize::from(open.is_none());
        self.bytes += content.len() + 1;
        let mut size = open.unwrap_or_default();
        size.bytes += content.len() + 1;
        size.words += encoded_words(content);
        limit(size.bytes, MAX_STRUCTURED_FIELD, "a field of a part of more than 8 KiB")?;
        limit(size.words, MAX_ENCODED_WORDS, "more than 64 encoded words in a field of a part")?;
        limit(self.fields, MAX_PART_FIELDS, "more than 10000 fields in parts")?;
        limit(self.bytes, MAX_PART_HEADERS, "more than 1 MiB of fields in parts")?;
        Ok(Some(size))
    }
}

/// How large a field is so far.
#[derive(Clone, Copy, Default)]
struct Size {
    bytes: usize,
    words: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::fields::HeaderBlock, *};

    /// What mail is made of, in short forms that meet in all ways.
    fn structure() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b\r\n",
            "Content-Type:\n multipart/alternative; boundary=\"c\"\n",
            "Con tent-type : multipart/digest;boundary=b\r\n",
            "Content-Type: message/rfc822\r\n",
            "content-type: message(x)/global\n",
            "Content-Type: text/plain\r\n",
            "--b",
            "--c",
            "--b\r\n",
            "--c\n",
            "--b--\r\n",
            "--c--\r\n",
            "-",
            "a: b\r\n",
            "a:",
            "x",
            " ",
            "\r",
            "\n",
            "\r\n",
            "\r\n\r\n",
            "junk\n",
            " \n",
            "\"",
            "(",
            "From: a@b\r\n",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The limits bind the parser only if it never sees more than was counted.
        #[test]
        fn the_parser_sees_no_more_than_was_counted(raw in structure()) {
            let found = Sweep::over(&raw).unwrap();
            let mut parts = Parts::default();
            if found.digest {
                parts.all_lines(&raw).unwrap();
            }
            parts.follow(&raw, 0).unwrap();
            for boundary in &found.boundaries {
                parts.of(&raw, &boundary.text).unwrap();
            }
            let Ok(parsed) = parse::parse(&raw) else { return Ok(()) };
            let seen = parsed.census();
            // One more: it takes a name that the end of the mail cuts off for a field.
            let top = HeaderBlock::of(&raw).fields.len() + 1;
            prop_assert!(seen.multiparts <= found.multiparts, "{seen:?} {:?}", String::from_utf8_lossy(&raw));
            prop_assert!(seen.fields <= top + parts.fields, "{seen:?} {:?}", String::from_utf8_lossy(&raw));
            let nested = found.messages + if found.digest { parts.count } else { 0 };
            prop_assert!(seen.parts <= 1 + parts.count + nested, "{seen:?} {:?}", String::from_utf8_lossy(&raw));
        }
    }
}
