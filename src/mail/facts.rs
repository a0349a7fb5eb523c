//! What reading a mail can find out about its author.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A sign that a message was not written by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticSign {
    /// The name of the sign's row in `mail/nature.rs`, such as `auto-submitted`.
    pub name: Cow<'static, str>,
    /// What stood there, cut to 100 characters.
    pub value: String,
}

/// Whether a person wrote the mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nature {
    /// Nothing speaks against it.
    Person,
    /// A machine, a bounce, or bulk mail.
    Automatic(AutomaticSign),
    /// Our own mail come back, or too many Received fields.
    Loop(AutomaticSign),
}

impl Nature {
    /// Whether a mail of ours may answer it (RFC 3834 §2).
    pub fn may_be_answered(&self) -> bool {
        matches!(self, Self::Person)
    }
}

/// Why a mail has no sender that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum UnusableSender {
    /// There is no From field.
    #[error("no From field")]
    Missing,
    /// There is more than one From field.
    #[error("more than one From field")]
    SeveralFields,
    /// The one From field names several mailboxes, or a group.
    #[error("more than one mailbox in From")]
    SeveralMailboxes,
    /// From can't be read; the text says what is wrong.
    #[error("From can't be read: {0}")]
    Unreadable(String),
    /// One of our own inbox addresses, or the address of `[mail] from`.
    #[error("one of our own addresses")]
    Own,
    /// The message could not be parsed at all; its raw bytes are kept.
    #[error("the message can't be parsed")]
    ParserFailed,
}
