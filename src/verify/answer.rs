//! What the calls of [`super::Verify`] answer.

use crate::{
    access::Reason,
    store::{CommitError, DecisionRow, DeliveryRow, HeldRow, StoreError, VerificationView},
    types::{Account, EmailAddress, HeldId, ProjectKey, RequestId, Time},
};

/// Why a call could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    /// There is no such hold, or it has ended.
    #[error("no such held mail")]
    NotFound,
    /// The store can't be read or written now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<CommitError> for VerifyError {
    fn from(error: CommitError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// One mail on the page.
#[derive(Debug, Clone)]
pub struct PageMail {
    /// Its id: the value of its box.
    pub id: HeldId,
    /// When it came.
    pub received_at: Time,
    /// The project's name for people.
    pub project: String,
    /// Its subject.
    pub subject: String,
    /// Who sent it on behalf, when a Sender field says so.
    pub sent_by: Option<String>,
}

/// What the page behind a working link shows.
#[derive(Debug, Clone)]
pub struct PageView {
    /// The address being confirmed.
    pub address: EmailAddress,
    /// The waiting mails in order of arrival; the last one is `until`.
    pub mails: Vec<PageMail>,
    /// Until when the link works.
    pub expires_at: Time,
}

/// What a token stands for now.
#[derive(Debug, Clone)]
pub enum TokenAnswer {
    /// It can be redeemed.
    Pending(PageView),
    /// It was redeemed; the answer stays the same on every repeat.
    Redeemed(Redeemed),
    /// The reader has disowned what waited.
    Disowned(Disowned),
    /// The link is too old. `renewable`: mails still wait, a new link can be had.
    Expired {
        /// Whether a new link can be had.
        renewable: bool,
    },
    /// No such token, or nothing waits for it any more.
    Unknown,
}

/// A redemption, fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redeemed {
    /// Mails handed on to be decided.
    pub handed_on: usize,
    /// Mails that the reader did not send.
    pub not_mine: usize,
}

/// All that waited was disowned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disowned {
    /// Mails dropped.
    pub not_mine: usize,
}

/// What came of asking for a new link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewLink {
    /// A mail with a new link is in the outbox.
    Sent,
    /// The caps allow the next mail at this time; it is in the outbox and waits until then.
    Delayed(Time),
    /// There was one less than `resend_after` ago: the reader should look for it.
    TooSoon(Time),
    /// The address gets no mail (`never_mail`, or it was disowned): an administrator can release.
    Never,
    /// Nothing waits for this token any more.
    Nothing,
}

/// An administrator's release.
#[derive(Debug, Clone)]
pub enum Release {
    /// Decided and done.
    Created {
        /// The reason of the new decision.
        reason: Reason,
        /// The request opened or commented on.
        request: RequestId,
        /// The project.
        project: ProjectKey,
    },
    /// It would be dropped for this reason, so nothing was changed.
    WouldDrop(Reason),
}

/// All that is known of one sender.
#[derive(Debug, Clone)]
pub struct SenderReport {
    /// The account.
    pub account: Option<Account>,
    /// Verifications, newest first, at most 5.
    pub verifications: Vec<VerificationView>,
    /// What waits, in order of arrival.
    pub held: Vec<HeldRow>,
    /// Mails of ours to the address that are not sent yet.
    pub deliveries: Vec<DeliveryRow>,
    /// The last decisions, newest first, at most 20.
    pub decisions: Vec<DecisionRow>,
    /// No verification mail before this time.
    pub quiet_until: Option<Time>,
    /// Whether `never_mail` names the address or its domain.
    pub never_mailed: bool,
}
