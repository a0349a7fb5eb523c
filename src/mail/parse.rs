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
    decoders::{
        charsets::map::charset_decoder, html::html_to_text as collapse,
        quoted_printable::quoted_printable_decode,
    },
    parsers::MessageStream,
};

/// Most bytes of a field's value that are decoded; nothing that is shown is longer.
const MAX_DECODED_VALUE: usize = 4 * 1024;

static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .header_address(HeaderName::From)
        .default_header_ignore()
});

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
    let message = guard(|| PARSER.parse(raw))?;
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
        let root = self.message.as_ref().and_then(|message| message.parts.first());
        root.map_or_else(|| media_type(None), |part| media_type(part.content_type()))
    }

    /// The report-type parameter of the whole mail, in lower case; empty without one (RFC 6522 §3).
    pub(super) fn report_type(&self) -> String {
        let root = self.message.as_ref().and_then(|message| message.parts.first());
        let kind = root.and_then(|part| part.content_type()?.attribute("report-type"));
        kind.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The parts that make up the text of the mail, plain text preferred (RFC 2046 §5.1.4).
    pub(super) fn texts(&self) -> impl Iterator<Item = Part<'_>> {
        let cut_off = self.parts(|message| &message.attachments).filter(Part::is_cut_off_text);
        self.parts(|message| &message.text_body).chain(cut_off)
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

    /// Text whose multipart never ends (RFC 2046 §5.1.1 asks for a last boundary; cut mails have none). The parser puts it
    /// among the attachments; for people it is the mail.
    fn is_cut_off_text(&self) -> bool {
        let attached = self.part.content_disposition().is_some_and(ContentType::is_attachment);
        self.part.is_encoding_problem
            && !attached
            && self.part.attachment_name().is_none()
            && matches!(self.media_type().as_str(), "text/plain" | "text/html")
    }

    /// The name that the sender gave it (RFC 2183 §2.3, RFC 2045 name parameter), uncleaned.
    pub(super) fn name(&self) -> Option<String> {
        let named = self.part.attachment_name().filter(|name| !name.is_empty());
        named.map(|name| if name.contains("=?") { decode(name.as_bytes()) } else { name.to_owned() })
    }

    /// The bytes, transfer encoding undone (RFC 2045 §6); a broken or unknown one is left as it is.
    pub(super) fn bytes(&self) -> Cow<'a, [u8]> {
        let (start, end) = (self.part.offset_body as usize, self.part.offset_end as usize);
        let body = self.raw.get(start..end).unwrap_or_default();
        match self.transfer_encoding().as_str() {
            "base64" => Cow::Owned(decode_base64(body)),
            "quoted-printable" => {
                guard(|| quoted_printable_decode(body)).ok().flatten().map_or(Cow::Borrowed(body), Cow::Owned)
            }
            _ => Cow::Borrowed(body),
        }
    }

    /// The bytes as text: in the charset that is named, else UTF-8 with U+FFFD for what is none.
    pub(super) fn text(&self) -> String {
        let bytes = self.bytes();
        let charset = self.part.content_type().and_then(|kind| kind.attribute("charset"));
        let decoder = charset.and_then(|name| charset_decoder(name.as_bytes()));
        decoder
            .and_then(|decode| guard(|| decode(&bytes)).ok())
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn transfer_encoding(&self) -> String {
        let field = self.part.headers.iter().rfind(|h| h.name == HeaderName::ContentTransferEncoding);
        let value = field.map_or(&b""[..], |header| raw_value(self.raw, header)).trim_ascii();
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

/// Markup without attributes as text: entities decoded, white space collapsed, `<br>` a line end.
pub(super) fn simple_html_to_text(html: &str) -> Option<String> {
    guard(|| collapse(html)).ok()
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
