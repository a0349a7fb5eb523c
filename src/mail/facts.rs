//! What reading a mail can find out about its author.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A sign that a message was not written by a person, or not to be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticSign {
    /// The name of the sign's row in `mail/signs.rs`, such as `auto-submitted`.
    pub name: Cow<'static, str>,
    /// What stood there, cut to 100 characters.
    pub value: String,
}

/// Whether a person wrote the mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nature {
    /// Nothing says that it was a machine.
    Person {
        /// A sign that is too weak to drop the mail for, and enough to answer nothing to it.
        weak: Option<AutomaticSign>,
    },
    /// A machine, or bulk mail.
    Automatic(AutomaticSign),
    /// A bounce or another report about a mail: never a customer's, whoever sends it.
    Report(AutomaticSign),
    /// Our own mail come back, or one that goes round in circles.
    Loop(AutomaticSign),
}

impl Nature {
    /// A person, without any sign of a machine.
    pub const PERSON: Self = Self::Person { weak: None };

    /// Whether a mail may go out because of this one, be it a verification mail, an acknowledgement or anything else
    /// (access-rules: *What never happens*; RFC 3834 §2). The one place of this rule; a decision to let a machine in does
    /// not change it. What authentication says of mail counts beside it.
    pub fn may_be_answered(&self) -> bool {
        *self == Self::PERSON
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
