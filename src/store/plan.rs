//! What policy asks of the store: plain data, loggable and replayable (distributed engine notes: *typed commit*).

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    body::BodyRef,
    forget::Forget,
    threads::{DedupKey, Once},
    view::{RequestStatus, SentMail},
};
use crate::{
    access::{Basis, Check, Reason, RecordedFacts},
    smtp::Protocol,
    types::{
        Account, Actor, DeliveryId, EmailAddress, HeldId, MailId, ProjectKey, RequestId, SessionId, Standing,
        Time, TokenDigest, VerificationId,
    },
};

/// One atomic step. The engine applies all of it or nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// When it was planned; the time of all its rows.
    pub at: Time,
    /// The senders whose versions it was decided on. Every plan that touches a sender carries its fence; only the import
    /// of accounts touches more than one.
    pub fences: Vec<Fence>,
    /// Who asked for it by the API; in the journal alone. None of what changes by mail, by a link or by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The verification that this plan ends; it must be pending.
    pub spend: Option<Spend>,
    /// The mail that it brings in, if any; [`Effect::Record`] is about this mail.
    pub mail: Option<NewMail>,
    /// What it changes, in order.
    pub effects: Vec<Effect>,
}

impl Plan {
    /// These changes, resting on nothing, for nobody, and by no mail.
    pub fn new(at: Time, effects: Vec<Effect>) -> Self {
        Self { at, fences: Vec::new(), actor: None, spend: None, mail: None, effects }
    }
}

/// Compare: the sender is still as it was read. The engine raises the version when an effect changes what a decision
/// reads (account, pending verification, what waits, verification mails), so a busy known sender is never stale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fence {
    /// The sender.
    pub address: EmailAddress,
    /// [`super::SenderView::version`] that the plan rests on.
    pub version: u64,
}

/// Compare and set: the verification was pending and is now spent, with all its tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spend {
    /// The verification.
    pub verification: VerificationId,
    /// How it ends.
    pub redemption: Redemption,
}

/// How a verification ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redemption {
    /// The address is proven. The release worker hands on what is listed in `release`, in this order, and drops what is
    /// listed in `not_mine`; the engine enqueues that job in the same step and takes both out of what waits for a
    /// verification.
    Verified {
        /// Mails to decide again.
        release: Vec<HeldId>,
        /// Mails that the reader did not send.
        not_mine: Vec<HeldId>,
    },
    /// The reader sent none of it: `not_mine` are dropped by the worker, and no verification mail goes to the address
    /// until `quiet_until`.
    Disowned {
        /// Mails that the reader did not send: all that were listed.
        not_mine: Vec<HeldId>,
        /// End of the silence.
        quiet_until: Time,
    },
    /// Nothing waits for it any more: everything that it was for has ended otherwise.
    Moot,
}

/// A mail that came in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewMail {
    /// What is kept beside the bytes.
    pub facts: MailFacts,
    /// The bytes as received. Empty when nothing of the plan keeps them (every decision is a drop).
    #[serde(skip)]
    pub raw: Bytes,
}

/// What is kept of a mail beside its bytes: envelope and the few fields that lists show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFacts {
    /// Our id.
    pub id: MailId,
    /// The session it came in.
    pub session: SessionId,
    /// The relay it came from.
    pub peer: IpAddr,
    /// HELO or EHLO name.
    pub helo: String,
    /// How it came.
    pub protocol: Protocol,
    /// Reverse-path; empty for `<>`.
    pub reverse_path: String,
    /// Recipients as written, in order.
    pub recipients: Vec<String>,
    /// The From address; `None` when there is no usable one.
    pub sender: Option<EmailAddress>,
    /// The From display name, cleaned of controls, cut to 128 characters.
    pub sender_name: Option<String>,
    /// The Sender field's address when it differs from From, as text, cut to 255 characters.
    pub sent_by: Option<String>,
    /// Decoded subject, cleaned of controls, cut to 256 characters.
    pub subject: String,
    /// Message-ID without angle brackets, cut to 255 characters.
    pub message_id: Option<String>,
    /// Those in To and Cc, without the sender and our own addresses, at most [`crate::mail::MAX_PARTICIPANTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<EmailAddress>,
    /// Size of the mail in bytes.
    pub size: u64,
    /// When its last byte had come.
    pub received_at: Time,
    /// Whether a mail of ours may answer it: nothing about it hints at a machine, and its sender was not disproven
    /// (RFC 3834 §2).
    #[serde(default)]
    pub may_answer: bool,
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Writes an account: a new one, or the changed state of an old one.
    PutAccount(Account),
    /// Removes an account: the address is unknown again.
    DeleteAccount(EmailAddress),
    /// The decision about the plan's mail for one project, with what follows from it: the request, the comment, the
    /// waiting mail, or the bare record of a drop.
    Record(Entry),
    /// The end of a hold. Fails with `Gone` when the hold has ended already.
    Resolve(Resolution),
    /// A verification begins; it is the sender's pending one from now on.
    OpenVerification {
        /// Its id.
        id: VerificationId,
        /// Whose address is to be verified.
        address: EmailAddress,
    },
    /// Closes a request or opens it again. Fails with `Gone` when there is no such request.
    SetStatus(RequestId, RequestStatus),
    /// The page behind a link was fetched for the first time.
    MarkOpened(VerificationId),
    /// A mail of ours to send. A verification mail adds its token to the verification and counts for the caps of the
    /// address. An acknowledgement is of the request that the decision ahead of it in the plan opens; past its cap it is
    /// left out.
    Enqueue(Delivery),
    /// A mail of ours has come back. A verification mail is marked with the words. What is known of it no more is passed
    /// over, and what has come back before.
    Bounced {
        /// The mail.
        delivery: DeliveryId,
        /// Why, in the words of the bounce.
        words: String,
    },
    /// The plan's first decision is about this mail again, which was dropped for the project. Fails with `Gone` when it was
    /// decided again before.
    Reprocess {
        /// The mail as it was dropped.
        mail: MailId,
        /// The project.
        project: ProjectKey,
    },
    /// Takes out what is kept of a person; [`super::Store::traces`] finds it. It comes behind the ends of the person's holds.
    Forget(Forget),
    /// Stands where a decision stood that is past its time and was taken out of the journal. No planner makes it.
    Retired,
}

impl Effect {
    /// Whether it is a decision, which has a number.
    pub fn decides(&self) -> bool {
        matches!(self, Self::Record(_) | Self::Resolve(_) | Self::Retired)
    }
}

/// One decision about one mail for one project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The project.
    pub project: ProjectKey,
    /// Why; the outcome follows from it.
    pub reason: Reason,
    /// All checks.
    pub trail: Vec<Check>,
    /// What comes to be.
    pub disposition: Disposition,
    /// What copies of the mail share; none for a drop.
    pub once: Option<DedupKey>,
    /// Where no copy may have been seen: in other projects, where one mail is one request. Asked at commit, and not kept.
    #[serde(skip)]
    pub once_elsewhere: Vec<Once>,
    /// A key seen before this time does not count any more.
    pub once_since: Time,
    /// How far the sender was proven.
    pub standing: Standing,
    /// Why it was decided again; none at intake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The version of the settings that the decision rests on.
    pub settings_version: String,
    /// What else it rests on; in the journal alone. None in what older versions have decided.
    pub facts: Option<RecordedFacts>,
}

/// What comes of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// A request; the engine gives it the project's next number.
    Open,
    /// The same, and it follows this closed request of the project.
    Follow(RequestId),
    /// A comment on this request, which is open from then on.
    Comment(RequestId),
    /// A mail that waits.
    Hold {
        /// Its id.
        held: HeldId,
        /// When it is dropped as expired.
        expires_at: Time,
    },
    /// Only the record. `keep_raw` keeps the bytes too, as long as `retention.dropped_mail` says.
    Drop {
        /// Whether the bytes are kept.
        keep_raw: bool,
    },
}

impl Disposition {
    /// Whether a request comes to be.
    pub fn opens(&self) -> bool {
        matches!(self, Self::Open | Self::Follow(_))
    }
}

/// How a hold ends. The row stays as a decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resolution {
    /// The mail that waited.
    pub held: HeldId,
    /// Why it ends so.
    pub reason: Reason,
    /// What ended it.
    pub basis: Basis,
    /// The checks at release; empty where nothing was decided again.
    pub trail: Vec<Check>,
    /// `Open`, `Follow`, `Comment` or `Drop`; a drop frees the mail's key against copies.
    pub disposition: Disposition,
    /// The version of the settings that the decision rests on.
    pub settings_version: String,
}

/// A mail that the daemon sends, with all that composing it anew needs: each try sends the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id; its Message-ID is made of it.
    pub id: DeliveryId,
    /// The one recipient.
    pub to: EmailAddress,
    /// When it may go out at the earliest, before the lane's rate is asked.
    pub not_before: Time,
    /// Which rate it waits for; none = at once.
    pub lane: Option<LaneRate>,
    /// What it is.
    pub kind: DeliveryKind,
}

/// A lane and the rate in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRate {
    /// The lane.
    pub lane: Lane,
    /// Most mails in any 60 seconds. The engine gives each delivery its turn: at most half of it (and at most 10) in one
    /// burst, the rest evenly spread.
    pub per_minute: u32,
}

/// Mails wait their turn in lanes, so that strangers can't use up the rate of the organisation's verification mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// To domains on the approved list.
    Approved,
    /// To all others.
    External,
    /// Acknowledgements, which must not keep verification mails waiting.
    Acknowledgements,
}

/// What a delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// The mail with the link.
    Verification {
        /// What the link verifies.
        verification: VerificationId,
        /// The digest by which the token is found.
        token: TokenDigest,
        /// The token, sealed with the key of the data directory (`verify::token`).
        #[serde(with = "serde_bytes")]
        sealed: [u8; 32],
        /// Until when the link works.
        expires_at: Time,
        /// The project that the mail was for.
        project: ProjectKey,
        /// When the mail that it answers was received.
        received_at: Time,
        /// Message-ID of that mail, for In-Reply-To, without angle brackets.
        in_reply_to: Option<String>,
    },
    /// "We have your request IT-12".
    Acknowledgement {
        /// The project of the request.
        project: ProjectKey,
        /// The request; filled in by the engine, which gives it its number.
        request: Option<RequestId>,
        /// Most acknowledgements to the address in 24 hours, counted from the first of them.
        per_day: u32,
        /// Whether it is the last one of the day, and says so; filled in by the engine.
        last: bool,
        /// When the mail that it answers was received.
        received_at: Time,
        /// Message-ID of that mail, for In-Reply-To, without angle brackets.
        in_reply_to: Option<String>,
    },
    /// The mail with a link that confirms the address of a new customer.
    Confirmation {
        /// The digest by which the token is found.
        token: TokenDigest,
        /// The token, sealed with the key of the data directory.
        #[serde(with = "serde_bytes")]
        sealed: [u8; 32],
        /// Until when the link works.
        expires_at: Time,
        /// The project that the first mail was for.
        project: ProjectKey,
        /// When the mail that it answers was received.
        received_at: Time,
        /// Message-ID of that mail, for In-Reply-To, without angle brackets.
        in_reply_to: Option<String>,
    },
    /// A mail for the postmaster, handed on as it came but for its trace fields.
    Forward {
        /// The mail's own reverse-path; empty for `<>`.
        reverse_path: String,
        /// Where its bytes are; filled in by the engine from the plan's mail.
        body: Option<BodyRef>,
        /// Our own Received and Authentication-Results fields, each with its CRLF, to go on top; none in what older
        /// versions have enqueued.
        #[serde(default)]
        trace: String,
    },
}

/// A plan that was applied.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// One for each `Record` and `Resolve`, in their order.
    pub entries: Vec<CommittedEntry>,
    /// The mails of ours of `Bounced` that have come back for the first time.
    pub returned: Vec<SentMail>,
}

/// What one `Record` or `Resolve` became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEntry {
    /// The project.
    pub project: ProjectKey,
    /// The request that was opened or commented on.
    pub request: Option<RequestId>,
    /// The mail that waits, or waited.
    pub held: Option<HeldId>,
}
