//! The header block as it stands in the bytes (RFC 5322 §2.2), read strictly: a field is what its name says letter by
//! letter, and what merely looks like a From field to a lenient reader is noticed.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memrchr};

/// One field, nothing decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// Where it begins in the mail.
    pub at: usize,
    /// All before the first colon.
    pub name: &'a [u8],
    /// All after the colon up to and with the end of its last line; still folded.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the name is exactly this, in any case (RFC 5322 §2.2: no space before the colon).
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value with line ends removed (RFC 5322 §2.2.3), trimmed; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn unfolded(&self) -> Cow<'a, str> {
        let value = self.value.trim_ascii();
        let text = String::from_utf8_lossy(value);
        if memchr(b'\n', value).is_none() {
            return text;
        }
        Cow::Owned(text.replace("\r\n", "").replace('\n', ""))
    }
}

/// The fields of a mail in order, and its body.
#[derive(Debug)]
pub(super) struct HeaderBlock<'a> {
    /// All fields.
    pub fields: Vec<Field<'a>>,
    /// A name such as `From `, `Fr om` or `:From`, or a From hidden behind a bare CR: some reader takes it for From.
    pub resembles_from: bool,
    /// A line that is neither a field nor part of one, or a name with other than printable ASCII (RFC 5322 §2.2): readers
    /// differ about where the header block ends or what the field is.
    pub irregular: bool,
    /// The bytes after the first empty line.
    pub body: &'a [u8],
}

impl<'a> HeaderBlock<'a> {
    /// Reads up to the first empty line. Lines end in LF, with or without CR before it: mail that came over SMTP has
    /// CRLF throughout, files that `explain` is given often have not.
    pub(super) fn of(raw: &'a [u8]) -> Self {
        let mut block =
            Self { fields: Vec::with_capacity(32), resembles_from: false, irregular: false, body: &[] };
        let (mut at, mut open) = (0, None);
        while at < raw.len() {
            let end = memchr(b'\n', &raw[at..]).map_or(raw.len(), |lf| at + lf + 1);
            let line = line_content(&raw[at..end]);
            if line.is_empty() {
                block.close(raw, open.take(), at);
                block.body = &raw[end..];
                return block;
            }
            let continues = open.is_some() && matches!(line[0], b' ' | b'\t');
            if !continues {
                block.close(raw, open.take(), at);
                // A line without a colon is no field, and what follows does not continue it.
                open = memchr(b':', line).map(|colon| (at, at + colon));
                let name = open.map_or(&line[..0], |(start, colon)| &raw[start..colon]);
                block.irregular |= name.is_empty() || !name.iter().all(u8::is_ascii_graphic);
            }
            block.resembles_from |= hides_from(line, continues);
            at = end;
        }
        block.close(raw, open, raw.len());
        block
    }

    fn close(&mut self, raw: &'a [u8], open: Option<(usize, usize)>, end: usize) {
        if let Some((start, colon)) = open {
            self.fields.push(Field { at: start, name: &raw[start..colon], value: &raw[colon + 1..end] });
        }
    }

    /// Whether all readers see the same fields and the same end: nothing irregular, and no CR but before an LF.
    pub(super) fn is_plain(&self) -> bool {
        let lone = |bytes: &[u8]| memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1) != Some(&b'\n'));
        !self.irregular && !self.fields.iter().any(|field| lone(field.name) || lone(field.value))
    }

    /// All fields of that name.
    pub(super) fn all<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// The first field of that name.
    pub(super) fn first(&self, name: &'static str) -> Option<&Field<'a>> {
        self.all(name).next()
    }
}

/// Whether all readers see the same header block in this mail, and the same body behind it.
pub fn has_plain_header(raw: &[u8]) -> bool {
    HeaderBlock::of(raw).is_plain()
}

/// The mail without the fields of its header block that are unwanted: asked with the name (white space around it left out) and
/// the unfolded value. All other bytes stay.
pub fn without_fields(raw: &[u8], unwanted: impl Fn(&str, &str) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(raw.len());
    let mut from = 0;
    for field in HeaderBlock::of(raw).fields {
        let name = String::from_utf8_lossy(field.name.trim_ascii()).into_owned();
        if unwanted(&name, &field.unfolded()) {
            kept.extend_from_slice(&raw[from..field.at]);
            from = field.at + field.name.len() + 1 + field.value.len();
        }
    }
    kept.extend_from_slice(&raw[from..]);
    kept
}

fn line_content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether the line, or what follows a bare CR in it, reads as a From field only to those who forgive its spelling.
fn hides_from(line: &[u8], continues: bool) -> bool {
    let mut segments = line.split(|byte| *byte == b'\r');
    let first = segments.next().unwrap_or_default();
    let plain = first.len() > 4 && first[..4].eq_ignore_ascii_case(b"from") && first[4] == b':';
    !continues && !plain && reads_as_from(first) || segments.any(reads_as_from)
}

/// Leading colons skipped, everything that is no printable ASCII left out: the name is `from`.
fn reads_as_from(line: &[u8]) -> bool {
    let mut expected = b"from".iter();
    for byte in line {
        match byte {
            b':' if expected.len() == 4 => {}
            b':' => return expected.len() == 0,
            0x21..=0x7e => match expected.next() {
                Some(letter) if byte.eq_ignore_ascii_case(letter) => {}
                _ => return false,
            },
            _ => {}
        }
    }
    false
}

/// The ids between angle brackets; the whole value when there are no brackets (RFC 5322 §3.6.4, and clients that forget
/// them). Each without brackets and white space, at most 255 characters.
pub(super) fn message_ids(value: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((inside, next)) = after.split_once('>') else { break };
        // `<<id>`: the innermost bracket counts.
        let inside = &inside[memrchr(b'<', inside.as_bytes()).map_or(0, |at| at + 1)..];
        ids.push(message_id(inside));
        rest = next;
    }
    if ids.is_empty() && !value.contains('<') {
        ids.extend(value.split_ascii_whitespace().map(message_id));
    }
    ids.retain(|id| !id.is_empty());
    ids
}

fn message_id(text: &str) -> String {
    super::clean::line(text, 255).replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_and_unfolded() {
        let raw = b"Subject: a\r\n b\r\nFROM: x@y\r\njunk\r\nTo:z\n\nbody: 1\r\n";
        let block = HeaderBlock::of(raw);
        let values: Vec<_> = block.fields.iter().map(|f| (f.name, f.unfolded().into_owned())).collect();
        assert_eq!(
            values,
            [(&b"Subject"[..], "a b".to_owned()), (b"FROM", "x@y".to_owned()), (b"To", "z".to_owned())]
        );
        assert_eq!(block.body, b"body: 1\r\n");
        assert!(block.first("from").is_some());
        assert!(!block.resembles_from);
    }

    #[test]
    fn a_mail_may_end_anywhere() {
        for (raw, fields) in [
            (&b""[..], 0),
            (b"\r\n", 0),
            (b"\r", 0),
            (b"A", 0),
            (b"A:", 1),
            (b"A: b\r\n c", 1),
            (b"\r\nA: b\r\n", 0),
            (b" A: b\r\n", 1),
        ] {
            assert_eq!(HeaderBlock::of(raw).fields.len(), fields, "{raw:?}");
        }
    }

    #[test]
    fn spellings_that_resemble_from_are_noticed() {
        for raw in [
            "From : a@b\r\n",
            "Fr om: a@b\r\n",
            ":From: a@b\r\n",
            " From: a@b\r\n",
            "\tfrom: a@b\r\n",
            "\u{b}From: a@b\r\n",
            "Fr\u{200b}om: a@b\r\n",
            "X: y\rFrom: a@b\r\n",
            "Subject: y\r\n z\rfrom: a@b\r\n",
            "junk\r\n From: a@b\r\n",
        ] {
            assert!(HeaderBlock::of(raw.as_bytes()).resembles_from, "{raw:?}");
        }
        for raw in
            ["From: a@b\r\n", "X-From: a\r\n", "Subject: x\r\n From: a@b\r\n", "Fromage: x\r\n", "F\r\n"]
        {
            assert!(!HeaderBlock::of(raw.as_bytes()).resembles_from, "{raw:?}");
        }
    }

    #[test]
    fn ids_stand_between_brackets_or_alone() {
        for (value, ids) in [
            ("<a@b>", &["a@b"][..]),
            ("<a@b> (c) <d@e>", &["a@b", "d@e"]),
            ("a@b d@e", &["a@b", "d@e"]),
            ("<<a@b>>", &["a@b"]),
            ("<a b>", &["ab"]),
            ("<> <", &[]),
            ("", &[]),
        ] {
            assert_eq!(message_ids(value), ids, "{value}");
        }
    }
}
