//! Where HTML itself says that something is quoted, in no language: the names that clients give their elements.

use crate::mail::html::Tag;

/// What a piece of HTML is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail) enum HintKind {
    /// The line that says who wrote the quoted text behind it.
    Attribution,
    /// The head of a mail that is quoted without signs down to the end.
    Header,
    /// The signature.
    Signature,
}

/// Such a piece in the text that was made of HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail) struct Hint {
    /// What it is.
    pub kind: HintKind,
    /// Where its first line begins, in bytes.
    pub start: usize,
    /// Where it ends; `usize::MAX` while it is open.
    pub end: usize,
    /// How deep its element lies, itself counted.
    pub depth: usize,
}

/// Parts of a class or id, and what they mark: Outlook, Gmail, Thunderbird, Yahoo, Proton, Zoho, Roundcube, Apple.
const NAMES: &[(&str, HintKind)] = &[
    ("divrplyfwdmsg", HintKind::Header),
    ("appendonsend", HintKind::Header),
    ("mail-editor-reference-message-container", HintKind::Header),
    ("olk_src_body_section", HintKind::Header),
    ("yahoo_quoted", HintKind::Header),
    ("gmail_attr", HintKind::Attribution),
    ("moz-cite-prefix", HintKind::Attribution),
    ("protonmail_quote", HintKind::Attribution),
    ("zmail_extra", HintKind::Attribution),
    ("reply-intro", HintKind::Attribution),
    ("gmail_signature", HintKind::Signature),
    ("moz-signature", HintKind::Signature),
    ("ms-outlook-mobile-signature", HintKind::Signature),
    ("applemailsignature", HintKind::Signature),
    ("protonmail_signature_block", HintKind::Signature),
];

impl HintKind {
    /// What the element is, if its start tag says so.
    pub(in crate::mail) fn of(tag: &Tag<'_>) -> Option<Self> {
        if tag.name != "div" && tag.name != "span" && tag.name != "p" && tag.name != "pre" {
            return None;
        }
        let named = |part: &&(&str, Self)| {
            ["id", "class"].iter().any(|name| tag.has(name, |value| value.contains(part.0)))
        };
        if let Some((_, kind)) = NAMES.iter().find(named) {
            return Some(*kind);
        }
        if tag.has("id", |id| id == "signature") {
            return Some(Self::Signature);
        }
        (is_outlook_rule(tag) || tag.has("name", |name| name == "quote")).then_some(Self::Header)
    }
}

/// The line that Outlook draws above the head of the mail it quotes.
fn is_outlook_rule(tag: &Tag<'_>) -> bool {
    tag.has("style", |style| style.contains("border-top:solid") && style.contains("padding:3.0pt0"))
}
