//! What people see of a mail. Made when it is asked for, never while mail comes in.

use super::{
    clean,
    fields::HeaderBlock,
    parse::{self, Part},
    sender, text,
};
use crate::types::EmailAddress;

/// Most bytes of body text.
const MAX_BODY: usize = 512 * 1024;
/// Longest attachment name in bytes.
const MAX_FILE_NAME: usize = 255;
/// Ends a body that was cut.
const CUT: &str = "\n[The text is longer; the rest is in the raw mail.]\n";
/// Stands for a body that could not be read.
const UNREADABLE: &str = "[This mail can't be parsed; the raw mail holds it.]\n";

/// A mail for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The text: plain text where there is any, else HTML made text; without controls, at most 512 KiB.
    pub body: String,
    /// Everything else, in order; a message inside the mail is one attachment.
    pub attachments: Vec<AttachmentInfo>,
    /// The addresses of To and Cc, each once. Nobody gets an account for standing there.
    pub participants: Vec<EmailAddress>,
    /// The addresses of Reply-To: a hint for whoever answers, never an identity.
    pub reply_to: Vec<EmailAddress>,
    /// The reverse-path that an earlier server wrote into a Return-Path field, empty for `<>`: for `explain`, which has no
    /// envelope. Mail that comes in has its own.
    pub return_path: Option<String>,
}

/// One attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentInfo {
    /// A file name without path, controls and invisible characters, 1 to 255 bytes.
    pub name: String,
    /// `type/subtype` in lower case. What the sender says it is: never serve it inline.
    pub content_type: String,
    /// Bytes after the transfer encoding is undone.
    pub size: usize,
}

/// Reads the content of a mail that has passed [`prescan`](super::prescan).
pub fn content(raw: &[u8]) -> Content {
    let block = HeaderBlock::of(raw);
    let mut content = Content {
        participants: addresses(&block, &["to", "cc"]),
        reply_to: addresses(&block, &["reply-to"]),
        return_path: block
            .first("return-path")
            .map(|field| field.unfolded().trim().trim_start_matches('<').trim_end_matches('>').to_owned()),
        ..Content::default()
    };
    let Ok(parsed) = parse::parse(raw) else {
        UNREADABLE.clone_into(&mut content.body);
        return content;
    };
    content.body = body(parsed.texts());
    content.attachments =
        parsed.attachments().enumerate().map(|(n, part)| info(&part, n, part.bytes().len())).collect();
    content
}

/// The `n`th attachment, counted from 0 as [`Content::attachments`] lists them, and its bytes.
pub fn attachment(raw: &[u8], n: usize) -> Option<(AttachmentInfo, Vec<u8>)> {
    let parsed = parse::parse(raw).ok()?;
    let part = parsed.attachments().nth(n)?;
    let bytes = part.bytes().into_owned();
    Some((info(&part, n, bytes.len()), bytes))
}

/// The addresses of these fields, each once.
pub(super) fn addresses(block: &HeaderBlock<'_>, names: &[&'static str]) -> Vec<EmailAddress> {
    let fields = names.iter().flat_map(|name| block.all(name));
    let mut seen = std::collections::HashSet::new();
    fields
        .flat_map(|field| sender::addresses(&field.unfolded()))
        .filter(|address| seen.insert(address.key().to_owned()))
        .collect()
}

fn body<'a>(parts: impl Iterator<Item = Part<'a>>) -> String {
    let mut body = String::new();
    for part in parts {
        let text = match part.media_type().as_str() {
            "text/html" => clean::lines(&text::from_html(&part.text())),
            kind if kind.starts_with("text/") => clean::lines(&part.text()),
            // Inline images stand among the attachments.
            _ => continue,
        };
        body.push_str(&text);
        if body.len() > MAX_BODY {
            body.truncate(clean::cut(&body, MAX_BODY).len());
            body.push_str(CUT);
            break;
        }
    }
    body
}

fn info(part: &Part<'_>, n: usize, size: usize) -> AttachmentInfo {
    let content_type = part.media_type();
    let name = part.name().map(|name| file_name(&name)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| {
        let end = if content_type == "message/rfc822" { ".eml" } else { "" };
        format!("attachment-{}{end}", n + 1)
    });
    AttachmentInfo { name, content_type, size }
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
    fn a_long_body_is_cut_and_says_so() {
        let raw = format!("Content-Type: text/plain\r\n\r\n{}", "äöü\r\n".repeat(100_000));
        let body = content(raw.as_bytes()).body;
        assert!(body.len() <= MAX_BODY + CUT.len());
        assert!(body.ends_with(CUT));
    }
}
