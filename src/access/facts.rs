//! Everything that a decision rests on, gathered before it.

use serde::{Deserialize, Serialize};

use crate::{
    mail::{Nature, UnusableSender},
    types::{
        Account, AccountKind, AccountStatus, EmailAddress, HeldId, ProjectKey, RequestId, Role, Standing,
    },
};

/// Where in a mail's life the decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// As it comes in: all checks.
    Intake,
    /// At the end of a hold: from check 5 on; checks 1 to 4 keep their results from intake.
    Release,
}

/// The sender's account, as far as a decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountFacts {
    /// Internal or portal-only.
    pub kind: AccountKind,
    /// Active or deactivated.
    pub status: AccountStatus,
    /// Customer or agent; makes no difference to the decision, stands in the trail.
    pub role: Role,
    /// Whether an administrator has put the account into the project.
    pub in_project: bool,
}

impl AccountFacts {
    /// The facts of `account` for `project`.
    pub fn of(account: &Account, project: &ProjectKey) -> Self {
        Self {
            kind: account.kind,
            status: account.status,
            role: account.role,
            in_project: account.projects.contains(project),
        }
    }
}

/// What a mail names with its In-Reply-To, its References, or an address of ours that stands for a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyTo {
    /// Nothing of this project.
    #[default]
    Nothing,
    /// Nobody could be asked: `explain` without a store.
    Unknown,
    /// A request in which the sender has no part.
    NotInvolved(RequestId),
    /// A mail that waits; there is no request yet.
    Waiting(HeldId),
    /// A request that the sender is involved in.
    Request {
        /// Its id.
        id: RequestId,
        /// Whether it is closed.
        closed: bool,
    },
}

/// What is known of a mail and its sender when it is decided for one project.
#[derive(Debug, Clone)]
pub struct SenderFacts<'a> {
    /// Intake or release.
    pub stage: Stage,
    /// What this mail repeats, in words for the trail, when it was created or held before (check 1).
    pub duplicate: Option<&'a str>,
    /// Whether a person wrote it (check 2).
    pub nature: &'a Nature,
    /// The From address, or why there is none (check 3).
    pub sender: Result<&'a EmailAddress, &'a UnusableSender>,
    /// How far the From address is proven (checks 4, 6, 7).
    pub standing: Standing,
    /// The account of the From address, if there is one (checks 5, 6).
    pub account: Option<AccountFacts>,
    /// What this mail answers (check 6).
    pub reply_to: &'a ReplyTo,
    /// How many mails of the address wait already.
    pub held: usize,
}
