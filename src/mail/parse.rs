//! The only user of mail-parser. It reads structure; what a mail's fields say about its sender is read by `sender`.
//!
//! Transfer encodings are kept from it and undone here, part by part: it would decode the whole mail at once, and parse an
//! encoded message inside the mail, whose structure `prescan` can't have counted.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use mail_parser::{
    Address, ContentType, Header, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders,
    decoders::{charsets::map::charset_decoder, html::add_html_token},
    parsers::MessageStream,
};

use super::parameter::parameter;

/// Most bytes of a field's value that are decoded; nothing that is shown is longer.
const MAX_DECODED_VALUE: usize = 4 * 1024;
/// Most bytes of one text that are decoded: charsets may triple them (security: M04), and four times the longest body is
/// longer than it in each.
const MAX_DECODED_TEXT: usize = 2 * 1024 * 1024;

static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .header_address(HeaderName::From)
        .default_header_ignore()
});

/// Longest white space between a soft line end and the line end.
const MAX_SOFT_SPACE: usize = 1_000;

/// The parser panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParserFailed;

/// A mail's structure.
pub(super) struct Parsed<'a> {
    raw: &'a [u8],
    /// `None` for a mail without a single field.
    message: Option<Message<'a>>,
}

/// Parses. `raw` has passed `prescan`.
pub(super) fn parse(raw: &[u8]) -> Result<Parsed<'_>, ParserFailed> {
    parse_as(raw, None)
}

/// Parses `masked` in place of `raw`, and reads the parts out of `raw`: every byte stands where it stood.
pub(super) fn parse_as<'a>(raw: &'a [u8], masked: Option<&'a [u8]>) -> Result<Parsed<'a>, ParserFailed> {
    let message = guard(|| PARSER.parse(masked.unwrap_or(raw)))?;
    Ok(Parsed { raw, message })
}

fn guard<T>(work: impl FnOnce() -> T) -> Result<T, ParserFailed> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| ParserFailed)
}

impl<'a> Parsed<'a> {
    /// What mail-parser takes for the addresses of all From fields: the second opinion.
    pub(super) fn addresses_of_from(&self) -> Vec<String> {
        let Some(message) = &self.message else { return Vec::new() };
        message
            .header_values(HeaderName::From)
            .filter_map(HeaderValue::as_address)
            .flat_map(Address::iter)
            .map(|addr| addr.address().unwrap_or_default().to_owned())
            .collect()
    }

    /// The media type of the whole mail, `type/subtype` in lower case; `text/plain` when it names none (RFC 2045 §5.2).
    pub(super) fn media_type(&self) -> String {
        self.root().map_or_else(|| media_type(None), |root| root.media_type())
    }

    /// The whole mail as one part.
    pub(super) fn root(&self) -> Option<Part<'_>> {
        Some(Part { raw: self.raw, part: self.message.as_ref()?.parts.first()? })
    }

    /// The parts that make up the text of the mail, plain text preferred (RFC 2046 §5.1.4).
    pub(super) fn texts(&self) -> impl Iterator<Item = Part<'_>> {
        let cut_off = self.parts(|message| &message.attachments).filter(Part::is_cut_off_text);
        self.parts(|message| &message.text_body).chain(cut_off)
    }

    /// The parts that make up the mail where HTML is preferred.
    pub(super) fn html_body(&self) -> impl Iterator<Item = Part<'_>> {
        self.parts(|message| &message.html_body)
    }

    /// Of them those that are HTML.
    pub(super) fn htmls(&self) -> impl Iterator<Item = Part<'_>> {
        self.html_body().filter(|part| part.media_type() == "text/html")
    }

    /// All other leaves; a message inside the mail is one of them.
    pub(super) fn attachments(&self) -> impl Iterator<Item = Part<'_>> {
        self.parts(|message| &message.attachments).filter(|part| !part.is_cut_off_text())
    }

    fn parts(&self, list: for<'m> fn(&'m Message<'a>) -> &'m [u32]) -> impl Iterator<Item = Part<'_>> {
        let message = self.message.as_ref();
        let ids = message.map(list).unwrap_or_default();
        ids.iter()
            .filter_map(move |id| message?.parts.get(*id as usize))
            .map(|part| Part { raw: self.raw, part })
    }
}

/// What the parser holds of a mail, messages inside it included.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Census {
    pub parts: usize,
    pub fields: usize,
    pub multiparts: usize,
}

#[cfg(test)]
impl Parsed<'_> {
    pub(super) fn census(&self) -> Census {
        let mut seen = Census::default();
        let mut messages: Vec<&Message<'_>> = self.message.iter().collect();
        while let Some(message) = messages.pop() {
            for part in &message.parts {
                seen.parts += 1;
                seen.fields += part.headers.len();
                seen.multiparts += usize::from(matches!(part.body, mail_parser::PartType::Multipart(_)));
                messages.extend(part.message());
            }
        }
        seen
    }
}

/// One leaf of a mail.
pub(super) struct Part<'a> {
    raw: &'a [u8],
    part: &'a MessagePart<'a>,
}

impl<'a> Part<'a> {
    /// `type/subtype` in lower case.
    pub(super) fn media_type(&self) -> String {
        media_type(self.part.content_type())
    }

    /// Text whose multipart never ends (RFC 2046 §5.1.1 asks for a last boundary; cut mails have none), and a multipart
    /// whose boundary is missing, undivided. The parser puts both among the attachments; for people they are the mail.
    fn is_cut_off_text(&self) -> bool {
        if self.media_type().starts_with("multipart/") {
            return true;
        }
        let attached = self.part.content_disposition().is_some_and(ContentType::is_attachment);
        self.part.is_encoding_problem
            && !attached
            && self.part.attachment_name().is_none()
            && matches!(self.media_type().as_str(), "text/plain" | "text/html")
    }

    /// The name that the sender gave it (RFC 2183 §2.3, RFC 2045 name parameter), uncleaned.
    pub(super) fn name(&self) -> Option<String> {
        self.field(&HeaderName::ContentDisposition)
            .and_then(|value| parameter(value, "filename"))
            .or_else(|| self.field(&HeaderName::ContentType).and_then(|value| parameter(value, "name")))
    }

    /// Its Content-ID without brackets (RFC 2045 §7).
    pub(super) fn content_id(&self) -> Option<String> {
        let value = String::from_utf8_lossy(self.field(&HeaderName::ContentId)?).trim().to_owned();
        let id = value.trim_start_matches('<').trim_end_matches('>').trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// A parameter of its Content-Type, in lower case.
    pub(super) fn type_parameter(&self, name: &str) -> Option<String> {
        let value = self.part.content_type().and_then(|kind| kind.attribute(name));
        value.map(|value| value.trim().to_ascii_lowercase())
    }

    /// The bytes, transfer encoding undone (RFC 2045 §6); an unknown one is left as it is.
    pub(super) fn bytes(&self) -> Cow<'a, [u8]> {
        let body = self.encoded();
        match self.transfer_encoding().as_str() {
            "base64" => Cow::Owned(decode_base64(body)),
            "quoted-printable" => Cow::Owned(decode_quoted_printable(body)),
            _ => Cow::Borrowed(body),
        }
    }

    fn encoded(&self) -> &'a [u8] {
        let (start, end) = (self.part.offset_body as usize, self.part.offset_end as usize);
        self.raw.get(start..end).unwrap_or_default()
    }

    /// Whether its base64 holds what is none, or its end is missing: some bytes are lost or wrong.
    pub(super) fn is_damaged(&self) -> bool {
        self.transfer_encoding() == "base64" && is_damaged_base64(self.encoded())
    }

    /// The bytes as text, and the charset that is named if nobody knows it. What is far beyond any body is left out.
    pub(super) fn text(&self) -> (String, Option<String>) {
        let bytes = self.bytes();
        let bytes = &bytes[..bytes.len().min(MAX_DECODED_TEXT)];
        let named = self.type_parameter("charset").or_else(|| self.charset_of_html(bytes));
        let charset = named.as_deref().unwrap_or_default();
        match decode_charset(charset, bytes) {
            Some(text) => (text, None),
            None => (in_unknown_charset(bytes), Some(charset.to_owned())),
        }
    }

    /// What `<meta charset=…>` says (HTML, *prescan a byte stream to determine its encoding*, roughly).
    fn charset_of_html(&self, bytes: &[u8]) -> Option<String> {
        if self.media_type() != "text/html" {
            return None;
        }
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
        let (_, after) = head.split_once("charset=")?;
        let name: String = after.chars().skip_while(|c| matches!(c, '"' | '\'' | ' ')).collect();
        let end =
            name.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).unwrap_or(name.len());
        // Who could read this in ASCII reads no UTF-16.
        Some(name[..end].to_owned()).filter(|name| !name.is_empty() && !name.starts_with("utf-16"))
    }

    fn field(&self, name: &HeaderName<'_>) -> Option<&'a [u8]> {
        let header = self.part.headers.iter().rfind(|header| header.name == *name)?;
        Some(raw_value(self.raw, header))
    }

    fn transfer_encoding(&self) -> String {
        let value = self.field(&HeaderName::ContentTransferEncoding).unwrap_or_default().trim_ascii();
        let token = value.split(|b| matches!(b, b';' | b'(' | b' ' | b'\t' | b'\r' | b'\n')).next();
        String::from_utf8_lossy(token.unwrap_or_default()).to_ascii_lowercase()
    }
}

fn raw_value<'a>(raw: &'a [u8], header: &Header<'_>) -> &'a [u8] {
    raw.get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default()
}

fn media_type(kind: Option<&ContentType<'_>>) -> String {
    let token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    match kind.map(|kind| (kind.ctype(), kind.subtype().unwrap_or_default())) {
        None => "text/plain".to_owned(),
        Some((main, sub)) if token(main) && token(sub) && main.len() + sub.len() <= 126 => {
            format!("{main}/{sub}").to_ascii_lowercase()
        }
        Some(_) => "application/octet-stream".to_owned(),
    }
}

/// The boundary of a multipart Content-Type, read as the parser will read it. `value` is all after the colon.
pub(super) fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    let read = || {
        let line = with_line_end(value);
        let parsed = MessageStream::new(&line).parse_content_type();
        let kind = parsed.as_content_type()?;
        kind.attribute("boundary").filter(|text| !text.is_empty()).map(|text| text.as_bytes().to_vec())
    };
    guard(read).ok().flatten()
}

/// A field's value as text: encoded words decoded (RFC 2047), lines unfolded. Longer values are cut.
pub(super) fn decode(value: &[u8]) -> String {
    let value = &value[..value.len().min(MAX_DECODED_VALUE)];
    let line = with_line_end(value);
    let decoded = guard(|| match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => Some(text.into_owned()),
        _ => None,
    });
    decoded.ok().flatten().unwrap_or_default()
}

fn with_line_end(value: &[u8]) -> Cow<'_, [u8]> {
    if value.ends_with(b"\n") { Cow::Borrowed(value) } else { Cow::Owned([value, b"\n"].concat()) }
}

/// Text in a charset; `None` where the name says nothing. Without one, or in false ASCII: UTF-8, else Windows-1252.
pub(super) fn decode_charset(name: &str, bytes: &[u8]) -> Option<String> {
    let name = name.trim().trim_matches(['"', '\'']);
    match name.to_ascii_lowercase().as_str() {
        "" | "us-ascii" | "ascii" | "ansi_x3.4-1968" => Some(in_unknown_charset(bytes)),
        "utf-8" | "utf8" | "unicode-1-1-utf-8" => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => {
            let decode = charset_decoder(name.as_bytes())?;
            guard(|| decode(bytes)).ok()
        }
    }
}

fn in_unknown_charset(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Cut within its last character.
        Err(error) if error.error_len().is_none() && bytes.len() == MAX_DECODED_TEXT => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Err(_) => decode_charset("windows-1252", bytes).unwrap_or_default(),
    }
}

/// What is no escape stays as it is (RFC 2045 §6.7, notes 1 to 5).
fn decode_quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr2(b'=', b'\n', rest) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if rest[at] == b'\n' {
            // White space at the end of a line was added on the way.
            out.extend_from_slice(before.trim_ascii_end());
            out.extend_from_slice(if before.ends_with(b"\r") { b"\r\n" } else { b"\n" });
            rest = after;
            continue;
        }
        out.extend_from_slice(before);
        let line = &after[..memchr::memchr(b'\n', after).unwrap_or(after.len()).min(MAX_SOFT_SPACE)];
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(byte) =
            digits.filter(|d| !d.starts_with('+')).and_then(|d| u8::from_str_radix(d, 16).ok())
        {
            out.push(byte);
            rest = &after[2..];
        } else if line.trim_ascii().is_empty() && line.len() < MAX_SOFT_SPACE {
            rest = after.get(line.len() + 1..).unwrap_or_default();
        } else {
            out.push(b'=');
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Whether it holds a character that is none of base64, or ends within a group of four without its `=`.
fn is_damaged_base64(body: &[u8]) -> bool {
    let foreign =
        body.iter().any(|byte| sextet(*byte).is_none() && *byte != b'=' && !byte.is_ascii_whitespace());
    let sextets = body.iter().filter(|byte| sextet(**byte).is_some()).count();
    foreign || sextets % 4 == 1
}

/// Characters outside the alphabet are skipped (RFC 2045 §6.8), missing padding is forgiven.
fn decode_base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in body {
        if *byte == b'=' {
            held = 0;
        }
        let Some(sextet) = sextet(*byte) else { continue };
        bits = bits << 6 | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    out
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// The character that a reference names, without `&` and `;`. C1 numbers are those of Windows-1252 (HTML).
pub(super) fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let (digits, radix) =
            number.strip_prefix(['x', 'X']).map_or((number, 10), |hexadecimal| (hexadecimal, 16));
        return u32::from_str_radix(digits, radix).ok().map(numbered);
    }
    let token = format!("&{name};");
    let mut found = String::new();
    guard(|| add_html_token(&mut found, token.as_bytes(), false)).ok()?;
    let mut characters = found.chars();
    let first = characters.next()?;
    // Unknown names come back as they are.
    characters.next().is_none().then_some(first)
}

fn numbered(number: u32) -> char {
    let windows = || charset_decoder(b"windows-1252")?(&[u8::try_from(number).ok()?]).chars().next();
    let shown = if matches!(number, 0x80..=0x9f) { windows() } else { char::from_u32(number) };
    shown.filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_however_it_is_broken() {
        for (text, bytes) in [
            ("aGVsbG8=", "hello"),
            ("aGVsbG8", "hello"),
            ("aGV\r\nsbG8=\r\n", "hello"),
            ("aGVs!bG8=", "hello"),
            ("aGVsbG8=aGVsbG8=", "hellohello"),
            ("a", ""),
            ("", ""),
        ] {
            assert_eq!(decode_base64(text.as_bytes()), bytes.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn damage_is_told_from_forgiven_sloppiness() {
        for (text, damaged) in
            [("aGVsbG8=", false), ("aGVsbG8\r\n", false), ("aGVs!bG8=", true), ("aGVsb", true), ("", false)]
        {
            assert_eq!(is_damaged_base64(text.as_bytes()), damaged, "{text:?}");
        }
    }

    #[test]
    fn quoted_printable_is_read_however_it_is_broken() {
        for (text, bytes) in [
            ("a=20b=\r\nc", "a bc"),
            ("=C3=A4=c3=a4", "ää"),
            ("a = b=ZZ =", "a = b=ZZ "),
            ("a \t\r\nb\t\n", "a\r\nb\n"),
            ("a=  \r\nb", "ab"),
            ("a=\nb", "ab"),
            ("=+1=-1", "=+1=-1"),
        ] {
            assert_eq!(decode_quoted_printable(text.as_bytes()), bytes.as_bytes(), "{text:?}");
        }
        // Linear, however many signs there are in a line.
        assert_eq!(decode_quoted_printable(&b"= ".repeat(100_000)).len(), 199_998);
    }

    #[test]
    fn charsets_are_read_by_their_many_names() {
        for (name, bytes, text) in [
            ("ISO-2022-JP", &b"\x1b$BF|K\\\x1b(B"[..], Some("日本")),
            ("gb18030", b"\xc4\xe3\xba\xc3", Some("你好")),
            ("gb2312", b"\xc4\xe3", Some("你")),
            ("big5", b"\xa7\x41", Some("你")),
            ("euc-kr", b"\xb0\xa1", Some("가")),
            ("shift_jis", b"\x93\xfa", Some("日")),
            ("KOI8-R", b"\xf0\xd2", Some("Пр")),
            ("windows-1251", b"\xcf", Some("П")),
            ("windows-1250", b"\x9a", Some("š")),
            ("windows-1256", b"\xc7", Some("ا")),
            ("iso-8859-15", b"\xa4", Some("€")),
            ("iso-8859-8-i", b"\xe0", Some("א")),
            ("utf-7", b"+AOQ-", Some("ä")),
            ("\"utf-8\"", "ä".as_bytes(), Some("ä")),
            ("us-ascii", "ä".as_bytes(), Some("ä")),
            ("us-ascii", b"\xe4", Some("ä")),
            ("", b"\x80", Some("€")),
            ("x-nobody", b"a", None),
        ] {
            assert_eq!(decode_charset(name, bytes).as_deref(), text, "{name}");
        }
    }

    #[test]
    fn boundaries_are_read_as_the_parser_reads_them() {
        for (value, found) in [
            (" multipart/mixed; boundary=abc", Some("abc")),
            (" multipart/mixed;\r\n boundary=\"a b\"; x=y\r\n", Some("a b")),
            (" multipart/mixed; BOUNDARY*0=ab; boundary*1=cd\r\n", Some("abcd")),
            (" multipart/mixed; boundary=\"\"\r\n", None),
            (" multipart/mixed\r\n", None),
            ("", None),
        ] {
            assert_eq!(boundary(value.as_bytes()).as_deref(), found.map(str::as_bytes), "{value:?}");
        }
    }

    #[test]
    fn an_encoded_message_is_never_parsed() {
        // Its inside would be structure that nothing has counted.
        let inner =
            data_encoding::BASE64.encode("Content-Type: message/rfc822\r\n\r\n".repeat(100).as_bytes());
        let raw =
            format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{inner}\r\n");
        let parsed = parse(raw.as_bytes()).unwrap();
        let attachments: Vec<_> = parsed.attachments().map(|part| part.bytes().len()).collect();
        assert_eq!(attachments, [3200]);
    }
}
