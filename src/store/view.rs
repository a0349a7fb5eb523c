//! What the store answers: snapshots for decisions, rows for lists.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    body::BodyRef,
    plan::{Delivery, DeliveryKind, Entry, MailFacts},
    threads::{Seen, Thread, ThreadKey},
};
use crate::{
    access::{Basis, Check, Outcome, Reason, RecordedFacts},
    types::{
        Account, AccountKind, Actor, DeliveryId, Domain, EmailAddress, HeldId, MailId, ProjectKey, RequestId,
        Standing, Time, VerificationId,
    },
};

/// One sender, in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct SenderView {
    /// For the fence; 0 for an address that nothing is known of.
    pub version: u64,
    /// The account, if there is one.
    pub account: Option<Account>,
    /// The pending verification, if there is one.
    pub pending: Option<VerificationId>,
    /// The mails that wait for a verification, in order of arrival.
    pub held: Vec<HeldId>,
    /// The mails that a redemption has listed and the worker has not got to yet; they count as held.
    pub releasing: Vec<HeldId>,
    /// When verification mails to this address were enqueued, the oldest first; the engine keeps those of the last 24
    /// hours (counted from each one's `not_before`), at most 64.
    pub mailed: Vec<Time>,
    /// No verification mail before this time: the owner of the address disowned what was sent in its name.
    pub quiet_until: Option<Time>,
    /// Those of the asked keys that were seen.
    pub duplicates: Vec<Seen>,
    /// For each project what the mail names there; [`super::Store::threads`] answers it. `None` where nobody was asked.
    pub threads: Option<Vec<(ProjectKey, Vec<Thread>)>>,
}

impl SenderView {
    /// How many mails of the address wait, for `max_held_per_address`.
    pub fn held_count(&self) -> usize {
        self.held.len() + self.releasing.len()
    }
}

/// A token that was mailed.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// When the link stops working.
    pub expires_at: Time,
    /// What it verifies.
    pub verification: VerificationView,
}

/// One verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationView {
    /// Its id.
    pub id: VerificationId,
    /// Whose address is verified.
    pub address: EmailAddress,
    /// When the first mail was held for it.
    pub asked_at: Time,
    /// Pending, or how it ended.
    pub state: VerificationState,
    /// When the page was first fetched.
    pub opened_at: Option<Time>,
    /// The mails that carried its links, oldest first, at most the last 16.
    pub mails: Vec<VerificationMail>,
}

/// Where a verification stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum VerificationState {
    /// Waits for its reader.
    Pending,
    /// The address is proven.
    Verified {
        /// When.
        at: Time,
        /// How many mails were handed on to be decided: fixed.
        handed_on: usize,
        /// How many the reader did not send.
        not_mine: usize,
    },
    /// The reader sent none of it.
    Disowned {
        /// When.
        at: Time,
        /// How many mails were dropped.
        not_mine: usize,
    },
    /// Nothing waited for it any more.
    Moot {
        /// Since when.
        at: Time,
    },
}

/// One mail that carried a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationMail {
    /// The delivery.
    pub id: DeliveryId,
    /// When it was put into the outbox.
    pub enqueued_at: Time,
    /// When it was (or is) due.
    pub due_at: Time,
    /// Until when its link works.
    pub expires_at: Time,
    /// What became of it.
    pub state: DeliveryState,
}

/// What became of a mail that we send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum DeliveryState {
    /// In the outbox.
    Waiting,
    /// The relay has taken it.
    Sent {
        /// When.
        at: Time,
        /// The relay's words.
        reply: String,
    },
    /// Given up.
    Failed {
        /// When.
        at: Time,
        /// The relay's words, or what went wrong.
        error: String,
    },
    /// The relay had taken it, and it came back.
    Undeliverable {
        /// When.
        at: Time,
        /// The words of the bounce.
        error: String,
    },
}

/// A mail of ours, by its id: what a bounce is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMail {
    /// When it was enqueued.
    pub at: Time,
    /// To whom.
    pub to: EmailAddress,
    /// What it was.
    pub about: SentAbout,
    /// The Message-ID that it answers, in the project of that mail; `None` where that mail has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<ThreadKey>,
    /// When it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Time>,
}

/// What a mail of ours was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentAbout {
    /// A verification mail.
    Verification(VerificationId),
    /// The acknowledgement of a request.
    Acknowledgement(RequestId),
    /// A mail that asks a customer to confirm the address.
    Confirmation,
}

/// A link that confirms an address, by its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmationView {
    /// Whose address.
    pub address: EmailAddress,
    /// When it was asked for: when the account that it is about came to be.
    pub asked_at: Time,
    /// Until when the link works.
    pub expires_at: Time,
}

/// A mail in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// The mail.
    pub delivery: Delivery,
    /// When it was enqueued.
    pub enqueued_at: Time,
    /// When the next try is due.
    pub due_at: Time,
    /// Tries so far.
    pub attempts: u32,
    /// What the last try ended with.
    pub last_error: Option<String>,
}

/// Whether somebody still works on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestStatus {
    /// It was not closed, or opened again.
    Open,
    /// It is done with.
    Closed,
}

impl RequestStatus {
    /// The word used in logs and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// `IT-12`.
    pub id: RequestId,
    /// Place in the order of commits, for cursors.
    pub seq: u64,
    /// Decoded subject.
    pub subject: String,
    /// Who sent it; none who was forgotten.
    pub reporter: Option<EmailAddress>,
    /// Display name from the mail.
    pub reporter_name: Option<String>,
    /// The kind of the reporter's account when the request was opened.
    pub reporter_kind: AccountKind,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The mail.
    pub mail_id: MailId,
    /// When it was opened.
    pub created_at: Time,
    /// What ended the hold before it, if it was held.
    pub basis: Option<Basis>,
    /// When it was closed, if it is.
    pub closed_at: Option<Time>,
    /// The closed request that it follows.
    pub follows: Option<RequestId>,
    /// The mail's bytes.
    pub body: BodyRef,
}

impl RequestRow {
    /// Open or closed.
    pub fn status(&self) -> RequestStatus {
        if self.closed_at.is_some() { RequestStatus::Closed } else { RequestStatus::Open }
    }
}

/// A comment on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Who wrote it; none who was forgotten.
    pub author: Option<EmailAddress>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// When it was added.
    pub created_at: Time,
    /// The mail's bytes.
    pub body: BodyRef,
}

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// Its id.
    pub id: HeldId,
    /// Place in the order of commits: order of arrival, cursors, and the page's `until`.
    pub seq: u64,
    /// The mail.
    pub mail_id: MailId,
    /// The project it is for.
    pub project: ProjectKey,
    /// The From address.
    pub sender: EmailAddress,
    /// Display name.
    pub sender_name: Option<String>,
    /// The Sender field's address where it differs.
    pub sent_by: Option<String>,
    /// Decoded subject.
    pub subject: String,
    /// Message-ID.
    pub message_id: Option<String>,
    /// Recipients as written, in order.
    pub recipients: Vec<String>,
    /// Why it waits.
    pub reason: Reason,
    /// When it came.
    pub received_at: Time,
    /// When it is dropped as expired.
    pub expires_at: Time,
    /// How far the sender was proven.
    pub standing: Standing,
    /// The peer, session and size, for the log line at its end.
    pub size: u64,
    /// Whether a mail of ours may answer it.
    pub may_answer: bool,
    /// The mail's bytes.
    pub body: BodyRef,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// Place in the order of commits.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The mail.
    pub mail_id: MailId,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The From address, if usable.
    pub sender: Option<EmailAddress>,
    /// The project.
    pub project: ProjectKey,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// What ended the hold, where this is the end of one.
    pub basis: Option<Basis>,
    /// Who asked for it by the API, if anybody did.
    pub actor: Option<Actor>,
    /// All checks.
    pub trail: Vec<Check>,
    /// The version of the settings.
    pub settings_version: String,
    /// How far the sender was proven, at intake.
    pub standing: Option<Standing>,
    /// What else a decision at intake rests on; none in what older versions have decided.
    pub facts: Option<RecordedFacts>,
    /// The request opened or commented on.
    pub request: Option<RequestId>,
    /// The mail that waits, or waited.
    pub held: Option<HeldId>,
    /// Whether the bytes of the mail are there, as far as this decision kept them.
    pub raw: RawState,
    /// Whether the sender was forgotten.
    pub forgotten: bool,
}

/// A mail that was dropped at intake, for one project.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// Place in the order of commits.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The decision.
    pub entry: Entry,
    /// What is kept of the mail.
    pub facts: MailFacts,
    /// Its bytes; `None` when none were kept, or not any more.
    pub raw: Option<BodyRef>,
    /// Until when they were kept, when they are gone.
    pub raw_until: Option<Time>,
    /// The decision when it was decided again.
    pub became: Option<DecisionRow>,
}

/// What became of the bytes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RawState {
    /// They are there.
    Kept,
    /// They were past their retention.
    Gone,
    /// This decision kept none.
    #[default]
    None,
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Of this project.
    pub project: Option<ProjectKey>,
    /// Of this reporter.
    pub customer: Option<EmailAddress>,
}

/// Which waiting mails.
#[derive(Debug, Clone, Default)]
pub struct HeldFilter {
    /// Of this From address.
    pub sender: Option<EmailAddress>,
    /// For this project.
    pub project: Option<ProjectKey>,
}

/// Which accounts.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Of this kind.
    pub kind: Option<AccountKind>,
    /// Of this domain.
    pub domains: Option<crate::access::DomainList>,
}

/// Which decisions.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// About this mail. There is no index of mails: every row is looked at.
    pub mail: Option<MailId>,
    /// Of this From address.
    pub sender: Option<EmailAddress>,
    /// Of From addresses of this domain. The rows do not know it: each row that fits otherwise is looked up in the journal.
    pub domain: Option<Domain>,
    /// Of this outcome.
    pub outcome: Option<Outcome>,
    /// Of this reason.
    pub reason: Option<Reason>,
    /// For this project.
    pub project: Option<ProjectKey>,
    /// At or after this time.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
}

/// A place in a list, as text that only the engine understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Newest first, or oldest first for those who follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first; a cursor never skips a later commit.
    Oldest,
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// At most so many items.
    pub limit: usize,
    /// Behind this place.
    pub cursor: Option<Cursor>,
    /// In this order.
    pub order: Order,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end of a newest-first list. An oldest-first list always has one once it had an
    /// item: more may come.
    pub next: Option<Cursor>,
}

/// The kinds of work that wait in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// Mail of ours to send.
    Outbox,
    /// Redeemed verifications whose mails are to be released.
    Release,
    /// Holds whose time is over.
    Expiry,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id; unique in its queue.
    pub id: uuid::Uuid,
    /// When it is due.
    pub due_at: Time,
    /// When it was enqueued.
    pub enqueued_at: Time,
    /// Tries that ended with [`Settlement::RetryAt`].
    pub attempts: u32,
    /// What the last try ended with.
    pub last_error: Option<String>,
    /// What to do.
    pub kind: JobKind,
}

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Send this.
    Deliver(Delivery),
    /// Decide these again, in order; drop those.
    Release {
        /// The verified address.
        address: EmailAddress,
        /// Mails to decide again, in order of arrival.
        release: Vec<HeldId>,
        /// Mails to drop as `not-mine`.
        not_mine: Vec<HeldId>,
    },
    /// Drop this hold as expired, if it still waits.
    Expire(HeldId),
}

/// A job that was claimed.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The queue.
    pub queue: Queue,
    /// The job.
    pub job: Job,
    /// Fencing number: a later claim of the same job has a higher one.
    pub fence: u64,
}

/// How a claimed job ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// Done; for a delivery with the relay's words.
    Done(String),
    /// Again at this time, and why.
    RetryAt(Time, String),
    /// Given up, and why.
    Dead(String),
}

/// Whether the settlement counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did.
    Ok,
    /// The lease had been lost.
    Lost,
}

/// The store's state, for readiness, MAIL and metrics.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Whether it takes writes.
    pub writable: bool,
    /// Why not.
    pub problem: Option<String>,
    /// Whether the process must leave: a sync has failed, and what is on disk is uncertain.
    pub fatal: bool,
    /// Free bytes where it writes.
    pub free: u64,
    /// Age of the oldest commit that waits.
    pub oldest_waiting: Option<Duration>,
    /// Commits so far, and how often it has waited for its disk.
    pub work: StoreWork,
}

/// What waits in the store, for the gauges.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// Each mail of the outbox: what it is, and when it was enqueued.
    pub outbox: Vec<(&'static str, Time)>,
    /// When each mail that waits for its sender came.
    pub held: Vec<Time>,
}

impl DeliveryKind {
    /// The words for [`DeliveryKind::as_str`].
    pub const ALL: [&str; 4] = ["verification", "acknowledgement", "confirmation", "forward"];

    /// The word used in metrics and the API.
    pub fn as_str(&self) -> &'static str {
        let [verification, acknowledgement, confirmation, forward] = Self::ALL;
        match self {
            Self::Verification { .. } => verification,
            Self::Acknowledgement { .. } => acknowledgement,
            Self::Confirmation { .. } => confirmation,
            Self::Forward { .. } => forward,
        }
    }
}

/// What the store has done since it was opened. One wait for the disk serves all commits that wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreWork {
    /// Plans and other events that were made durable.
    pub commits: u64,
    /// Syncs of its files (fdatasync), those of the index and of big mails included.
    pub syncs: u64,
}
