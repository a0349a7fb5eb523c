//! The mails that have templates, and what each can say.

/// A mail of ours that is made of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The mail with the link that proves an address.
    Verification,
    /// "We have your request IT-12".
    Acknowledgement,
    /// The same for the last time today.
    LastAcknowledgement,
    /// The mail with the link that confirms a new customer's address.
    Confirmation,
}

/// What every mail can say. `contact` is empty where the site names none. Those that invite a reply can say `marker`:
/// whatever a reply has below it is not new (`mail::REPLY_MARKER`).
const COMMON: [&str; 5] = ["who", "hostname", "project", "received", "contact"];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Verification, Self::Acknowledgement, Self::LastAcknowledgement, Self::Confirmation];

    /// The name: begins the names of its files, and stands in X-Vestibule-Mail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Acknowledgement => "acknowledgement",
            Self::LastAcknowledgement => "acknowledgement-last",
            Self::Confirmation => "confirmation",
        }
    }

    /// The names that its templates may use.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let own = self.required().iter().copied().filter(|name| !COMMON.contains(name));
        COMMON.into_iter().chain(own).chain((!self.has_link()).then_some("marker"))
    }

    /// Of them, those that both of its parts must use: without them the mail is not what it is for.
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Verification => &["link", "until", "project", "received"],
            Self::Acknowledgement | Self::LastAcknowledgement => &["request"],
            Self::Confirmation => &["link", "until"],
        }
    }

    /// Whether it holds the one link.
    pub(super) fn has_link(self) -> bool {
        self.required().contains(&"link")
    }
}

/// One of the two alternatives of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Plain text, with the subject ahead of it.
    Text,
    /// HTML.
    Html,
}

impl Part {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Text, Self::Html];

    /// How the names of its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}
