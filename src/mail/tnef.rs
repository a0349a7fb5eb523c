//! winmail.dat: Outlook's own wrapping of rich text and attachments (MS-OXTNEF), as far as files and text go.
//!
//! Every length is checked against what is there; what is not understood is stepped over. Nothing that is read is larger
//! than the file, but compressed rich text, which has a cap of its own.

use super::parse;

mod properties;
mod rtf;

use properties::Properties;

/// Begins every such stream (§2.1.3.1).
const SIGNATURE: u32 = 0x223e_9f78;
/// Bytes of signature and legacy key.
const HEAD: usize = 6;
/// Most attributes that are read.
const MAX_ATTRIBUTES: usize = 20_000;

// Attributes (§2.1.3.2 and 2.1.3.3): the lower half is the id.
const BODY: u16 = 0x800c;
const MESSAGE_PROPERTIES: u16 = 0x9003;
const CODE_PAGE: u16 = 0x9007;
const ATTACHMENT_RENDERING: u16 = 0x9002;
const ATTACHMENT_TITLE: u16 = 0x8010;
const ATTACHMENT_DATA: u16 = 0x800f;
const ATTACHMENT_PROPERTIES: u16 = 0x9005;

/// Why a stream can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TnefError {
    /// It begins otherwise.
    #[error("it is not what Outlook writes into winmail.dat")]
    Foreign,
}

/// What a stream holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tnef {
    /// The attachments in order; rich text is the last of them.
    pub files: Vec<TnefFile>,
    /// The plain text.
    pub text: Option<String>,
    /// The HTML.
    pub html: Option<String>,
    /// Whether the stream ends before it should.
    pub cut: bool,
}

/// An attachment, nothing in it cleaned.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct TnefFile {
    /// The long name, else the short one.
    pub name: Option<String>,
    /// Media type.
    pub content_type: Option<String>,
    /// Content-ID without brackets.
    pub content_id: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a stream.
pub(super) fn read(stream: &[u8]) -> Result<Tnef, TnefError> {
    let head = stream.first_chunk::<4>().copied().map(u32::from_le_bytes);
    if head != Some(SIGNATURE) || stream.len() < HEAD {
        return Err(TnefError::Foreign);
    }
    let mut reader = Reader { rest: &stream[HEAD..], found: Tnef::default(), code_page: 1252 };
    for _ in 0..MAX_ATTRIBUTES {
        if reader.rest.is_empty() {
            break;
        }
        let Some((id, data)) = reader.attribute() else {
            reader.found.cut = true;
            break;
        };
        reader.take(id, data);
    }
    Ok(reader.found.finished())
}

struct Reader<'a> {
    rest: &'a [u8],
    found: Tnef,
    code_page: u32,
}

impl<'a> Reader<'a> {
    /// Level, id, type, length, data, checksum (§2.1.3.1).
    fn attribute(&mut self) -> Option<(u16, &'a [u8])> {
        let (head, rest) = self.rest.split_first_chunk::<9>()?;
        let id = u16::from_le_bytes([head[1], head[2]]);
        let length = u32::from_le_bytes([head[5], head[6], head[7], head[8]]) as usize;
        let data = rest.get(..length)?;
        self.rest = rest.get(length..)?.get(2..)?;
        Some((id, data))
    }

    fn take(&mut self, id: u16, data: &[u8]) {
        match id {
            CODE_PAGE => self.code_page = data.first_chunk().map_or(1252, |bytes| u32::from_le_bytes(*bytes)),
            BODY => self.found.text = Some(self.narrow(data)),
            MESSAGE_PROPERTIES => self.message(&Properties::of(data)),
            ATTACHMENT_RENDERING => self.found.files.push(TnefFile::default()),
            _ => self.attachment(id, data),
        }
    }

    fn message(&mut self, properties: &Properties<'_>) {
        let text = |id| properties.text(id, |bytes| self.narrow(bytes));
        let (plain, html) = (text(0x1000), text(0x1013));
        let rich = properties.bytes(0x1009).and_then(rtf::decompressed);
        self.found.text = plain.or(self.found.text.take());
        self.found.html = html.or(self.found.html.take());
        self.found.rich(rich);
    }

    fn attachment(&mut self, id: u16, data: &[u8]) {
        let narrow = |bytes: &[u8]| narrow(self.code_page, bytes);
        let Some(file) = self.found.files.last_mut() else { return };
        match id {
            ATTACHMENT_TITLE => file.name = file.name.take().or_else(|| Some(narrow(data))),
            ATTACHMENT_DATA => file.bytes = data.to_vec(),
            ATTACHMENT_PROPERTIES => {
                let properties = Properties::of(data);
                let text = |id| properties.text(id, narrow).filter(|text| !text.is_empty());
                // Long name, display name, short name.
                file.name =
                    text(0x3707).or_else(|| text(0x3001)).or(file.name.take()).or_else(|| text(0x3704));
                file.content_type = text(0x370e);
                file.content_id = text(0x3712);
                if file.bytes.is_empty() {
                    file.bytes = properties.bytes(0x3701).unwrap_or_default().to_vec();
                }
            }
            _ => {}
        }
    }

    fn narrow(&self, bytes: &[u8]) -> String {
        narrow(self.code_page, bytes)
    }
}

impl Tnef {
    /// Rich text is kept as a file: nothing here shows it.
    fn rich(&mut self, rich: Option<Vec<u8>>) {
        self.files.extend(rich.filter(|bytes| !bytes.is_empty()).map(|bytes| TnefFile {
            name: Some("message.rtf".to_owned()),
            content_type: Some("application/rtf".to_owned()),
            content_id: None,
            bytes,
        }));
    }

    fn finished(mut self) -> Self {
        // Renderings without a name and data are places in the text, not files.
        self.files.retain(|file| file.name.is_some() || !file.bytes.is_empty());
        self
    }
}

/// Text of the code page, up to a NUL.
fn narrow(code_page: u32, bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = match code_page {
        65001 | 20127 => "utf-8".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        page => format!("windows-{page}"),
    };
    parse::decode_charset(&name, bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests;
