//! What is kept of the facts of a decision, so that other settings can decide it again.

use serde::{Deserialize, Serialize};

use super::{AccessSettings, AccountFacts, ReplyTo, SenderFacts, Stage, Verdict, decide};
use crate::{
    mail::{AutomaticSign, Nature, UnusableSender},
    types::{EmailAddress, Standing},
};

/// The facts of one decision at intake, but for the sender and its standing, which are kept beside them. What is usual is
/// left out of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFacts {
    /// Whether the mail repeated one that was created or held before (check 1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub duplicate: bool,
    /// Whether a person wrote it (check 2).
    #[serde(default, skip_serializing_if = "is_default")]
    pub nature: NatureKind,
    /// The account of the From address as the decision saw it (checks 5, 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountFacts>,
    /// What the mail answers (check 6).
    #[serde(default, skip_serializing_if = "is_default")]
    pub reply_to: ReplyTo,
    /// How many mails of the address waited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: usize,
    /// The first bytes of what copies of the mail share in the project (check 1), as a number; none without a sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<u64>,
}

/// [`Nature`] without its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatureKind {
    /// Nothing says that it was a machine, or nothing that a mail is dropped for.
    #[default]
    Person,
    /// A machine, or bulk mail.
    Automatic,
    /// A report about a mail.
    Report,
    /// Our own mail come back.
    Loop,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl NatureKind {
    /// The kind of this nature.
    pub fn of(nature: &Nature) -> Self {
        match nature {
            Nature::Person { .. } => Self::Person,
            Nature::Automatic(_) => Self::Automatic,
            Nature::Report(_) => Self::Report,
            Nature::Loop(_) => Self::Loop,
        }
    }

    /// A nature that is decided like the one recorded.
    fn nature(self) -> Nature {
        let sign = AutomaticSign { name: "recorded".into(), value: String::new() };
        match self {
            Self::Person => Nature::PERSON,
            Self::Automatic => Nature::Automatic(sign),
            Self::Report => Nature::Report(sign),
            Self::Loop => Nature::Loop(sign),
        }
    }
}

impl RecordedFacts {
    /// What is kept of these facts.
    pub fn of(facts: &SenderFacts<'_>, copy: Option<u64>) -> Self {
        Self {
            duplicate: facts.duplicate.is_some(),
            nature: NatureKind::of(facts.nature),
            account: facts.account,
            reply_to: facts.reply_to.clone(),
            held: facts.held,
            copy,
        }
    }

    /// Decides again as at intake. `sender` is the From address; `None` where there was none that could be used. The
    /// reason is what these settings would have given; the trail names no signs, for they are not kept.
    pub fn decide(
        &self,
        sender: Option<&EmailAddress>,
        standing: Standing,
        settings: &AccessSettings<'_>,
    ) -> Verdict {
        let nature = self.nature.nature();
        let facts = SenderFacts {
            stage: Stage::Intake,
            duplicate: self.duplicate.then_some("seen before"),
            nature: &nature,
            sender: sender.ok_or(&UnusableSender::Missing),
            standing,
            account: self.account,
            reply_to: &self.reply_to,
            held: self.held,
        };
        decide(&facts, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AccountKind, AccountStatus, Role};

    fn usual() -> RecordedFacts {
        RecordedFacts {
            duplicate: false,
            nature: NatureKind::Person,
            account: None,
            reply_to: ReplyTo::Nothing,
            held: 0,
            copy: None,
        }
    }

    #[test]
    fn what_is_usual_takes_no_room_and_all_reads_back() {
        assert_eq!(rmp_serde::to_vec_named(&usual()).unwrap().len(), 1);
        let account = AccountFacts {
            kind: AccountKind::Internal,
            status: AccountStatus::Deactivated,
            role: Role::Agent,
            in_project: true,
        };
        let all = RecordedFacts {
            duplicate: true,
            nature: NatureKind::Report,
            account: Some(account),
            reply_to: ReplyTo::Request { id: "IT-7".parse().unwrap(), closed: true },
            held: 5,
            copy: Some(u64::MAX),
        };
        for facts in [usual(), all] {
            let packed = rmp_serde::to_vec_named(&facts).unwrap();
            assert_eq!(rmp_serde::from_slice::<RecordedFacts>(&packed).unwrap(), facts);
            let json = serde_json::to_string(&facts).unwrap();
            assert_eq!(serde_json::from_str::<RecordedFacts>(&json).unwrap(), facts);
        }
    }
}
