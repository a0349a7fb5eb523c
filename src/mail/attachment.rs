//! Attachments: everything in a mail that is not its text. Nothing is unpacked but winmail.dat, which is no archive of
//! the sender's making but how Outlook sends attachments.

use std::collections::HashSet;

use super::{
    clean, delimiter,
    html::{Token, Tokens},
    parse::{self, Parsed, Part},
    tnef::{self, Tnef},
};

/// Longest attachment name in bytes.
const MAX_FILE_NAME: usize = 255;
/// Longest Content-ID in characters.
const MAX_CONTENT_ID: usize = 255;
/// Most attachments that are listed. A mail has at most 1,000 parts; winmail.dat may hold more.
const MAX_ATTACHMENTS: usize = 1_000;

/// One attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentInfo {
    /// A file name without path, controls and invisible characters, 1 to 255 bytes.
    pub name: String,
    /// `type/subtype` in lower case. What the sender says it is: never serve it inline.
    pub content_type: String,
    /// Bytes after the transfer encoding is undone.
    pub size: usize,
    /// Whether it is an image that the HTML of the mail shows in its text (RFC 2392), not a file that somebody attached.
    pub inline: bool,
    /// Its Content-ID without brackets (RFC 2045 §7), by which HTML names it.
    pub content_id: Option<String>,
    /// What it is, as far as that asks for other treatment than a file.
    pub kind: AttachmentKind,
}

/// What an attachment is, by its media type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentKind {
    /// Anything else.
    #[default]
    File,
    /// A mail inside the mail (RFC 2046 §5.2.1). Its From is nobody.
    Message,
    /// An invitation or the answer to one (RFC 5545, RFC 6047).
    Calendar,
    /// What Outlook packs rich text and its attachments into (MS-OXTNEF): winmail.dat.
    Tnef,
    /// A signature over the mail (RFC 8551, RFC 3156). Nobody has checked it.
    Signature,
    /// A mail that only its recipient can read (RFC 8551, RFC 3156).
    Encrypted,
}

/// The `n`th attachment, counted from 0 as [`Content::attachments`](super::Content::attachments) lists them, and its bytes.
pub fn attachment(raw: &[u8], n: usize) -> Option<(AttachmentInfo, Vec<u8>)> {
    let masked = delimiter::masked(raw);
    let parsed = parse::parse_as(raw, masked.as_deref()).ok()?;
    let mut listing = Listing::of(&parsed);
    (n < listing.items.len()).then(|| listing.items.swap_remove(n))
}

/// All attachments of a mail with their bytes, and what is to be said about them.
#[derive(Default)]
pub(super) struct Listing {
    pub items: Vec<(AttachmentInfo, Vec<u8>)>,
    pub notices: Vec<String>,
    /// What winmail.dat holds besides attachments.
    pub tnef: Option<Tnef>,
}

impl Listing {
    pub(super) fn of(parsed: &Parsed<'_>) -> Self {
        let shown = shown_ids(parsed);
        let mut listing = Self::default();
        for part in parsed.attachments() {
            listing.take(&part, &shown);
        }
        if listing.items.len() > MAX_ATTACHMENTS {
            let more = listing.items.len() - MAX_ATTACHMENTS;
            listing.items.truncate(MAX_ATTACHMENTS);
            listing
                .notices
                .push(format!("{more} more attachments are in the raw mail; {MAX_ATTACHMENTS} are listed"));
        }
        listing.name_apart();
        listing
    }

    fn take(&mut self, part: &Part<'_>, shown: &HashSet<String>) {
        let info = info(part, self.items.len(), shown);
        if part.is_damaged() {
            self.notices.push(format!(
                "{}: its base64 is damaged; these are the bytes that could be read",
                info.name
            ));
        }
        let bytes = part.bytes().into_owned();
        let opened = (info.kind == AttachmentKind::Tnef).then(|| tnef::read(&bytes));
        let name = info.name.clone();
        self.items.push((AttachmentInfo { size: bytes.len(), ..info }, bytes));
        match opened {
            Some(Ok(tnef)) => self.unpack(tnef, &name),
            Some(Err(error)) => self.notices.push(format!("{name} can't be opened: {error}")),
            None => {}
        }
    }

    /// Lists what winmail.dat holds behind winmail.dat itself.
    fn unpack(&mut self, mut tnef: Tnef, name: &str) {
        self.notices.extend(tnef.cut.then(|| format!("{name} ends too early; what could be read is listed")));
        for file in std::mem::take(&mut tnef.files) {
            let content_type = file.content_type.as_deref().map_or_else(unknown_type, clean_type);
            let given = file.name.as_deref().map(file_name).filter(|name| !name.is_empty());
            let info = AttachmentInfo {
                name: given.unwrap_or_else(|| unnamed(self.items.len(), &content_type)),
                size: file.bytes.len(),
                inline: false,
                content_id: file.content_id.map(|id| clean::line(&id, MAX_CONTENT_ID)),
                kind: kind(&content_type, None),
                content_type,
            };
            self.items.push((info, file.bytes));
        }
        self.tnef = Some(tnef);
    }

    /// Two files of one name become two names: `a.png`, `a-2.png`.
    fn name_apart(&mut self) {
        let mut taken: HashSet<String> = HashSet::new();
        let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for (info, _) in &mut self.items {
            let count = counts.entry(info.name.to_lowercase()).or_insert(0);
            let mut name = info.name.clone();
            while !taken.insert(name.to_lowercase()) {
                *count = (*count).max(1) + 1;
                name = numbered(&info.name, *count);
            }
            info.name = name;
        }
    }
}

fn numbered(name: &str, n: usize) -> String {
    let (stem, end) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 12 => name.split_at(dot),
        _ => (name, ""),
    };
    format!("{}-{n}{end}", clean::cut(stem, MAX_FILE_NAME - end.len() - 6))
}

/// The Content-IDs that the HTML of a mail refers to with `cid:` (RFC 2392).
fn shown_ids(parsed: &Parsed<'_>) -> HashSet<String> {
    let mut ids = HashSet::new();
    for part in parsed.htmls() {
        let (html, _) = part.text();
        let Ok(mut tokens) = Tokens::of(&html) else { continue };
        while let Ok(Some(token)) = tokens.next() {
            let Token::Tag(tag) = token else { continue };
            let sources = ["src", "background"].iter().filter_map(|name| tag.attribute(name));
            ids.extend(sources.filter_map(|source| content_id_of(&source)));
        }
    }
    ids
}

/// The Content-ID that a `cid:` URL names.
pub(super) fn content_id_of(url: &str) -> Option<String> {
    let url = url.trim();
    let scheme = url.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:"))?;
    let id = percent_encoding::percent_decode_str(&url[scheme.len()..]).decode_utf8_lossy();
    Some(clean::line(&id, MAX_CONTENT_ID))
}

fn info(part: &Part<'_>, n: usize, shown: &HashSet<String>) -> AttachmentInfo {
    let content_type = part.media_type();
    let name = part.name().map(|name| file_name(&name)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| unnamed(n, &content_type));
    let content_id = part.content_id().map(|id| clean::line(&id, MAX_CONTENT_ID)).filter(|id| !id.is_empty());
    AttachmentInfo {
        size: 0,
        inline: content_type.starts_with("image/")
            && content_id.as_ref().is_some_and(|id| shown.contains(id)),
        kind: kind(&content_type, Some(&name)),
        content_id,
        name,
        content_type,
    }
}

fn kind(content_type: &str, name: Option<&str>) -> AttachmentKind {
    let named = |wanted: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
    let ends = |end: &str| name.is_some_and(|name| name.to_ascii_lowercase().ends_with(end));
    match content_type {
        "message/rfc822" | "message/global" => AttachmentKind::Message,
        "text/calendar" | "application/ics" => AttachmentKind::Calendar,
        "application/ms-tnef" | "application/vnd.ms-tnef" => AttachmentKind::Tnef,
        "application/pgp-signature" | "application/pkcs7-signature" | "application/x-pkcs7-signature" => {
            AttachmentKind::Signature
        }
        "application/pkcs7-mime" | "application/x-pkcs7-mime" | "application/pgp-encrypted" => {
            AttachmentKind::Encrypted
        }
        "application/octet-stream" if named("winmail.dat") => AttachmentKind::Tnef,
        "application/octet-stream" if ends(".ics") => AttachmentKind::Calendar,
        "application/octet-stream" if ends(".p7m") || named("encrypted.asc") => AttachmentKind::Encrypted,
        _ => AttachmentKind::File,
    }
}

fn unnamed(n: usize, content_type: &str) -> String {
    let end = match content_type {
        "message/rfc822" => ".eml",
        "text/calendar" => ".ics",
        "text/plain" => ".txt",
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        "image/gif" => ".gif",
        "application/pdf" => ".pdf",
        _ => "",
    };
    format!("attachment-{}{end}", n + 1)
}

fn unknown_type() -> String {
    "application/octet-stream".to_owned()
}

/// `type/subtype` in lower case of what winmail.dat says.
fn clean_type(text: &str) -> String {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b))
    };
    match text.trim().split_once('/') {
        Some((main, sub)) if token(main) && token(sub) && text.len() <= 127 => {
            text.trim().to_ascii_lowercase()
        }
        _ => unknown_type(),
    }
}

/// A name that is safe to write anywhere: no path, no leading dots, nothing unseen.
fn file_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let line = clean::line(base, MAX_FILE_NAME);
    let safe: String = line.chars().map(|c| if r#"<>:"|?*"#.contains(c) { '_' } else { c }).collect();
    clean::cut(safe.trim_matches(['.', ' ']), MAX_FILE_NAME).trim_end_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_anywhere() {
        for (name, safe) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/x", "x"),
            (r"C:\dir\x.doc", "x.doc"),
            ("a\0.exe", "a .exe"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            ("..", ""),
            (".profile", "profile"),
            ("a. . ", "a"),
            ("dir/", ""),
            ("a<b>:\"c|?*", "a_b___c___"),
            ("a\r\nX: y", "a X_ y"),
        ] {
            assert_eq!(file_name(name), safe, "{name:?}");
        }
        let long = file_name(&"ä".repeat(300));
        assert!(long.len() <= MAX_FILE_NAME && long.starts_with("ää"));
    }

    #[test]
    fn names_are_told_apart() {
        let item = |name: &str| (info_named(name), Vec::new());
        let mut listing = Listing {
            items: ["a.png", "a.png", "A.PNG", "a-2.png", "b", "b"].map(item).into(),
            ..Listing::default()
        };
        listing.name_apart();
        let names: Vec<_> = listing.items.iter().map(|(info, _)| &*info.name).collect();
        assert_eq!(names, ["a.png", "a-2.png", "A-3.PNG", "a-2-2.png", "b", "b-2"]);
    }

    fn info_named(name: &str) -> AttachmentInfo {
        AttachmentInfo {
            name: name.to_owned(),
            content_type: unknown_type(),
            size: 0,
            inline: false,
            content_id: None,
            kind: AttachmentKind::File,
        }
    }
}
