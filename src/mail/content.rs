//! What people see of a mail. Made when it is asked for, never while mail comes in.

use std::ops::Range;

use super::{
    attachment::{AttachmentInfo, Listing},
    clean, delimiter,
    fields::HeaderBlock,
    flowed,
    parse::{self, Parsed, Part},
    quote::{self, Hint, Relation},
    sender,
    text::{self, Converted},
    tnef::Tnef,
};
use crate::types::EmailAddress;

/// Most bytes of body text.
const MAX_BODY: usize = 512 * 1024;
/// Ends a body that was cut.
const CUT: &str = "\n[The text is longer; the rest is in the raw mail.]\n";
/// Stands for a body that could not be read.
const UNREADABLE: &str = "[This mail can't be parsed; the raw mail holds it.]\n";

/// A mail for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The text: plain text where there is any, else HTML made text; without controls, at most 512 KiB.
    pub body: String,
    /// Which bytes of `body` are new: without the mail that is answered below them, and without the signature. All of
    /// `body` where nothing is surely quoted; answers between quoted lines keep what they answer.
    pub new_part: Range<usize>,
    /// Everything else, in order; a message inside the mail is one attachment.
    pub attachments: Vec<AttachmentInfo>,
    /// Whether the mail has HTML that [`display_html`](super::display_html) can show.
    pub has_html: bool,
    /// What could not be shown or read as the sender meant it: a sentence each, without a full stop.
    pub notices: Vec<String>,
    /// The addresses of To and Cc, each once. Nobody gets an account for standing there.
    pub participants: Vec<EmailAddress>,
    /// The addresses of Reply-To: a hint for whoever answers, never an identity.
    pub reply_to: Vec<EmailAddress>,
    /// The reverse-path that an earlier server wrote into a Return-Path field, empty for `<>`: for `explain`, which has no
    /// envelope. Mail that comes in has its own.
    pub return_path: Option<String>,
}

impl Content {
    /// The text of [`Self::new_part`].
    pub fn new_text(&self) -> &str {
        self.body.get(self.new_part.clone()).unwrap_or(&self.body)
    }
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
    let masked = delimiter::masked(raw);
    if let Ok(parsed) = parse::parse_as(raw, masked.as_deref()) {
        content.read(&parsed, relation(&block));
    } else {
        UNREADABLE.clone_into(&mut content.body);
        content.new_part = 0..content.body.len();
    }
    content
}

impl Content {
    fn read(&mut self, parsed: &Parsed<'_>, relation: Relation) {
        let listing = Listing::of(parsed);
        let body = Body::of(parsed, listing.tnef.as_ref());
        self.new_part = quote::new_part(&body.text, &body.hints, relation);
        self.body = body.text;
        self.has_html = parsed.htmls().next().is_some();
        self.notices = body.notices;
        self.notices.extend(listing.notices);
        self.attachments = listing.items.into_iter().map(|(info, _)| info).collect();
    }
}

fn relation(block: &HeaderBlock<'_>) -> Relation {
    let subject = block.first("subject").map(|field| parse::decode(field.value)).unwrap_or_default();
    let names_another = block.first("in-reply-to").is_some() || block.first("references").is_some();
    Relation::of(subject.trim(), names_another)
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

#[derive(Default)]
struct Body {
    text: String,
    hints: Vec<Hint>,
    notices: Vec<String>,
}

impl Body {
    /// Plain text; where that is missing or blank the HTML, then what winmail.dat holds.
    fn of(parsed: &Parsed<'_>, tnef: Option<&Tnef>) -> Self {
        let mut body = Self::default();
        body.take(parsed.texts());
        if body.text.trim().is_empty() {
            body.take(parsed.htmls());
        }
        if let Some(tnef) = tnef.filter(|_| body.text.trim().is_empty()) {
            body.take_tnef(tnef);
        }
        body
    }

    fn take<'a>(&mut self, parts: impl Iterator<Item = Part<'a>>) {
        for part in parts {
            match part.media_type().as_str() {
                "text/html" => {
                    let html = self.text_of(&part);
                    self.push(&text::from_html(&html));
                }
                kind if kind.starts_with("text/") || kind.starts_with("multipart/") => self.push_plain(&part),
                // Inline images stand among the attachments.
                _ => {}
            }
            if self.text.ends_with(CUT) {
                return;
            }
        }
    }

    fn take_tnef(&mut self, tnef: &Tnef) {
        match (&tnef.text, &tnef.html) {
            (Some(text), _) => self.push_text(clean::lines(text)),
            (None, Some(html)) => self.push(&text::from_html(html)),
            (None, None) => {}
        }
    }

    fn text_of(&mut self, part: &Part<'_>) -> String {
        let (text, unknown) = part.text();
        self.notices.extend(unknown.map(|name| {
            format!(
                "the charset {:?} is not known; the text is shown as UTF-8 or Windows-1252",
                clean::line(&name, 60)
            )
        }));
        text
    }

    fn push_plain(&mut self, part: &Part<'_>) {
        let mut text = self.text_of(part);
        if part.type_parameter("format").is_some_and(|format| format == "flowed") {
            text = flowed::joined(&text, part.type_parameter("delsp").is_some_and(|delsp| delsp == "yes"));
        }
        self.push_text(clean::lines(&text));
    }

    fn push_text(&mut self, text: String) {
        self.push(&Converted { text, hints: Vec::new() });
    }

    /// Adds a piece, up to the longest body.
    fn push(&mut self, piece: &Converted) {
        let base = self.text.len();
        let moved =
            |hint: &Hint| Hint { start: hint.start + base, end: hint.end.saturating_add(base), ..*hint };
        self.hints.extend(piece.hints.iter().map(moved));
        self.text.push_str(&piece.text);
        if self.text.len() > MAX_BODY {
            self.text.truncate(clean::cut(&self.text, MAX_BODY).len());
            self.text.push_str(CUT);
            self.notices.push("the text is cut at 512 KiB".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        let raw = format!("Content-Type: text/plain\r\n\r\n{}", "äöü\r\n".repeat(100_000));
        let body = content(raw.as_bytes()).body;
        assert!(body.len() <= MAX_BODY + CUT.len());
        assert!(body.ends_with(CUT));
    }
}
