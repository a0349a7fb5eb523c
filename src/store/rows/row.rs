//! The rows. They are rebuilt from the journal whenever their schema changes, so their encoding is compact and needs no
//! care for older versions. No row holds a text whose length a sender chooses: those are read from the journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use smallvec::SmallVec;

use super::{MAX_VALUE, Value};
use crate::{
    access::{Basis, Reason},
    mail::MAX_PARTICIPANTS,
    store::{
        BodyRef, CommitError, ConfirmationView, DedupKey, DeliveryState, Job, Kept, Once, SentMail,
        StoreError, VerificationMail, VerificationState, VerificationView, threads::AddressHash,
    },
    types::{
        Account, AccountKind, DeliveryId, EmailAddress, HeldId, MailId, ProjectKey, Standing, Time,
        VerificationId,
    },
};

/// What can be a row.
pub(in crate::store) trait Row: Serialize + DeserializeOwned {
    /// Whether fields carry their names. Needed where a field may be left out.
    const NAMED: bool = false;
}

/// The value of a row. Fails when it is over [`MAX_VALUE`]: such a row is never written.
pub(in crate::store) fn encode<T: Row>(key: &[u8], row: &T) -> Result<Value, CommitError> {
    let mut packed = SmallVec::<[u8; 256]>::new();
    let written = if T::NAMED {
        rmp_serde::encode::write_named(&mut packed, row)
    } else {
        rmp_serde::encode::write(&mut packed, row)
    };
    written.map_err(|error| CommitError::Unavailable(format!("a row can't be encoded: {error}")))?;
    if packed.len() > MAX_VALUE {
        let (name, len) = (key.escape_ascii(), packed.len());
        return Err(CommitError::Unavailable(format!(
            "the row {name} would be {len} bytes, and {MAX_VALUE} is the most"
        )));
    }
    Ok(Arc::from(packed.as_slice()))
}

/// The row of a value.
pub(in crate::store) fn decode<T: Row>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(value)
        .map_err(|error| StoreError::Damaged(format!("index row {}: {error}", key.escape_ascii())))
}

/// Where a record is in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub(in crate::store) struct Location {
    /// The segment's number.
    pub(in crate::store) segment: u64,
    /// Where the record begins.
    pub(in crate::store) offset: u64,
}

impl Location {
    /// The mail whose record is here.
    pub(in crate::store) fn body(self, mail: MailId) -> BodyRef {
        BodyRef { mail, segment: self.segment, offset: self.offset }
    }
}

impl From<&BodyRef> for Location {
    fn from(body: &BodyRef) -> Self {
        Self { segment: body.segment, offset: body.offset }
    }
}

/// All that is known of a sender, in one row: a fence on its version covers all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(in crate::store) struct SenderRow {
    /// Raised with each change of what decisions rest on; never goes back.
    pub(in crate::store) version: u64,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) account: Option<Account>,
    /// The pending verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) pending: Option<VerificationId>,
    /// Mails that wait for a verification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::store) held: Vec<HeldId>,
    /// Mails that a redemption has listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::store) releasing: Vec<HeldId>,
    /// Verification mails of the last 24 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::store) mailed: Vec<Time>,
    /// Acknowledgements of a day: since when they are counted, and how many there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) acknowledged: Option<(Time, u32)>,
    /// End of a silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) quiet_until: Option<Time>,
}

impl Row for SenderRow {
    const NAMED: bool = true;
}

/// A decision: what lists filter by, and where the rest of it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct DecisionIndex {
    /// When.
    pub(in crate::store) at: Time,
    /// The mail.
    pub(in crate::store) mail: MailId,
    /// The project.
    pub(in crate::store) project: ProjectKey,
    /// Why.
    pub(in crate::store) reason: Reason,
    /// The record that tells the rest.
    pub(in crate::store) record: Location,
    /// Which of the record's decisions.
    pub(in crate::store) nth: u32,
    /// Where a hold that ended here was recorded.
    pub(in crate::store) held_at: Option<Location>,
    /// The number of the request that was opened.
    pub(in crate::store) opened: Option<u64>,
    /// Whether its sender was forgotten: what the journal says of the mail is not told any more.
    pub(in crate::store) forgotten: bool,
}

impl Row for DecisionIndex {}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct RequestIndex {
    /// The decision that opened it.
    pub(in crate::store) seq: u64,
    /// When.
    pub(in crate::store) at: Time,
    /// Who sent it; none who was forgotten.
    pub(in crate::store) reporter: Option<EmailAddress>,
    /// The kind of the account then.
    pub(in crate::store) kind: AccountKind,
    /// What ended the hold before it.
    pub(in crate::store) basis: Option<Basis>,
    /// When it was closed.
    pub(in crate::store) closed_at: Option<Time>,
    /// The number of the closed request that it follows.
    pub(in crate::store) follows: Option<u64>,
    /// Those in To and Cc of its mails, at most [`MAX_PARTICIPANTS`].
    pub(in crate::store) participants: Vec<AddressHash>,
    /// The mail.
    pub(in crate::store) body: BodyRef,
}

impl RequestIndex {
    /// Adds participants, each once, as long as there is room.
    pub(in crate::store) fn add_participants(&mut self, more: &[AddressHash]) {
        for hash in more {
            if self.participants.len() < MAX_PARTICIPANTS && !self.participants.contains(hash) {
                self.participants.push(*hash);
            }
        }
    }

    /// Whether the address is the reporter's or a participant's.
    pub(in crate::store) fn involves(&self, address: &EmailAddress) -> bool {
        self.reporter.as_ref() == Some(address) || self.participants.contains(&AddressHash::of(address))
    }
}

impl Row for RequestIndex {}

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct HeldIndex {
    /// Its id.
    pub(in crate::store) id: HeldId,
    /// The project.
    pub(in crate::store) project: ProjectKey,
    /// Who sent it; none in a replay that comes to the end of the hold, of somebody who was forgotten.
    pub(in crate::store) sender: Option<EmailAddress>,
    /// Why it waits.
    pub(in crate::store) reason: Reason,
    /// When it came.
    pub(in crate::store) received_at: Time,
    /// Until when it waits.
    pub(in crate::store) expires_at: Time,
    /// How far the sender was proven.
    pub(in crate::store) standing: Standing,
    /// Where it is remembered.
    pub(in crate::store) once: Option<Once>,
    /// Those in To and Cc.
    pub(in crate::store) participants: Vec<AddressHash>,
    /// The mail.
    pub(in crate::store) body: BodyRef,
}

impl Row for HeldIndex {}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct CommentIndex {
    /// Who wrote it; none who was forgotten.
    pub(in crate::store) author: Option<EmailAddress>,
    /// When.
    pub(in crate::store) at: Time,
    /// The mail.
    pub(in crate::store) body: BodyRef,
}

impl Row for CommentIndex {}

/// The mails that were created or held under one Message-ID, or, for a mail without one, under what its copies share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(in crate::store) struct SeenRow(pub(in crate::store) Vec<Sighting>);

/// Most mails remembered under one Message-ID. More than one is rare by nature; a sender who makes many spoils the last
/// place only.
const MAX_SIGHTINGS: usize = 32;

/// A mail that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Sighting {
    /// What its copies share.
    pub(in crate::store) digest: DedupKey,
    /// When.
    pub(in crate::store) at: Time,
    /// What became of it.
    pub(in crate::store) kept: Kept,
}

impl SeenRow {
    /// The mail with this digest.
    pub(in crate::store) fn find(&self, digest: &DedupKey) -> Option<&Sighting> {
        self.0.iter().find(|seen| seen.digest == *digest)
    }

    /// Remembers a mail in the place of its older copy, else behind the others; in a full row in the last place.
    pub(in crate::store) fn put(&mut self, sighting: Sighting) {
        let copy = self.0.iter().position(|seen| seen.digest == sighting.digest);
        let last = (self.0.len() == MAX_SIGHTINGS).then_some(MAX_SIGHTINGS - 1);
        match copy.or(last) {
            Some(place) => self.0[place] = sighting,
            None => self.0.push(sighting),
        }
    }
}

impl Row for SeenRow {}

/// A token that was mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct TokenRow {
    /// What it verifies.
    pub(in crate::store) verification: VerificationId,
    /// Until when.
    pub(in crate::store) expires_at: Time,
}

impl Row for TokenRow {}

/// A verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct VerificationRow {
    /// Whose.
    pub(in crate::store) address: EmailAddress,
    /// Since when.
    pub(in crate::store) asked_at: Time,
    /// Pending: none of these. Verified: when, handed on, not mine.
    pub(in crate::store) end: Option<VerificationEnd>,
    /// When its page was first fetched.
    pub(in crate::store) opened_at: Option<Time>,
    /// Its mails.
    pub(in crate::store) mails: Vec<VerificationMailRow>,
}

impl Row for VerificationRow {}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) enum VerificationEnd {
    /// When, mails handed on, mails not theirs.
    Verified(Time, u32, u32),
    /// When, mails not theirs.
    Disowned(Time, u32),
    /// When.
    Moot(Time),
}

impl VerificationEnd {
    /// When it ended.
    pub(in crate::store) fn at(self) -> Time {
        match self {
            Self::Verified(at, ..) | Self::Disowned(at, _) | Self::Moot(at) => at,
        }
    }

    fn view(self) -> VerificationState {
        match self {
            Self::Verified(at, handed_on, not_mine) => {
                VerificationState::Verified { at, handed_on: handed_on as usize, not_mine: not_mine as usize }
            }
            Self::Disowned(at, not_mine) => VerificationState::Disowned { at, not_mine: not_mine as usize },
            Self::Moot(at) => VerificationState::Moot { at },
        }
    }
}

/// A mail that carried a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct VerificationMailRow {
    /// The delivery.
    pub(in crate::store) id: DeliveryId,
    /// When it was enqueued.
    pub(in crate::store) enqueued_at: Time,
    /// When it is due.
    pub(in crate::store) due_at: Time,
    /// Until when its link works.
    pub(in crate::store) expires_at: Time,
    /// What became of it.
    pub(in crate::store) state: MailState,
}

/// What became of a mail of ours; the texts are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) enum MailState {
    /// Not sent yet.
    Waiting,
    /// When, and the relay's words.
    Sent(Time, String),
    /// When, and why.
    Failed(Time, String),
    /// When it came back, and the words of the bounce.
    Undeliverable(Time, String),
}

impl VerificationRow {
    /// As it is shown.
    pub(in crate::store) fn view(self, id: VerificationId) -> VerificationView {
        VerificationView {
            id,
            address: self.address,
            asked_at: self.asked_at,
            state: self.end.map_or(VerificationState::Pending, VerificationEnd::view),
            opened_at: self.opened_at,
            mails: self.mails.into_iter().map(VerificationMailRow::view).collect(),
        }
    }
}

impl VerificationMailRow {
    fn view(self) -> VerificationMail {
        VerificationMail {
            id: self.id,
            enqueued_at: self.enqueued_at,
            due_at: self.due_at,
            expires_at: self.expires_at,
            state: match self.state {
                MailState::Waiting => DeliveryState::Waiting,
                MailState::Sent(at, reply) => DeliveryState::Sent { at, reply },
                MailState::Failed(at, error) => DeliveryState::Failed { at, error },
                MailState::Undeliverable(at, error) => DeliveryState::Undeliverable { at, error },
            },
        }
    }
}

impl Row for Job {}
impl Row for SentMail {
    const NAMED: bool = true;
}
impl Row for ConfirmationView {}

/// When a job is due: finds its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct JobIndex(pub(in crate::store) Time);

impl Row for JobIndex {}

/// Times, numbers and keys of the store's own.
impl Row for Time {}
impl Row for u64 {}
impl Row for AddressHash {}
impl Row for serde_bytes::ByteBuf {}

/// Up to where the journal is in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(in crate::store) struct CheckpointRow {
    /// Behind the last record.
    pub(in crate::store) end: Location,
    /// The number of the next record.
    pub(in crate::store) next: u64,
}

impl Row for CheckpointRow {}
