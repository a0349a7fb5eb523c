//! What is kept of a person, and how it is named to be taken out.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use uuid::Uuid;

use super::{
    plan::MailFacts,
    threads::{AddressHash, DedupKey},
    view::Queue,
};
use crate::types::{EmailAddress, HeldId, RequestId};

/// What is kept of a person and is to be taken out, by the places where it is: no address is written down, and the digest by
/// which the rest of the journal is searched goes with the last of it. Opaque outside of the engines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Forget {
    /// Whose it is; a replay finds it by the digest.
    #[serde(skip)]
    pub(super) address: Option<EmailAddress>,
    /// The address as participants are remembered.
    pub(super) digest: AddressHash,
    /// The decisions about mails of this sender.
    pub(super) decisions: Vec<u64>,
    /// Rows of comments by this author.
    pub(super) comments: Vec<ByteBuf>,
    /// Rows of requests and waiting mails that others wrote, with this participant.
    pub(super) named_in: Vec<ByteBuf>,
    /// Where the mails are remembered, and as what.
    pub(super) seen: Vec<(ByteBuf, DedupKey)>,
    /// What is under way to or from the address.
    pub(super) jobs: Vec<(Queue, Uuid)>,
    /// Rows that go: verifications, tokens, mails of ours.
    pub(super) rows: Vec<ByteBuf>,
}

/// What the rows have of a person: what [`super::Effect::Forget`] takes out.
#[derive(Debug, Clone)]
pub struct Traces {
    /// For the plan.
    pub forget: Forget,
    /// Requests of the address.
    pub requests: Vec<RequestId>,
    /// Requests that it has commented on, once for each comment.
    pub comments: Vec<RequestId>,
    /// Requests of others that its address stands in To or Cc of.
    pub mentions: Vec<RequestId>,
    /// The same of mails of others that wait.
    pub waiting_mentions: Vec<HeldId>,
    /// Decisions about its mails.
    pub decisions: usize,
    /// Mails of it that were dropped at intake, once for each project.
    pub dropped: usize,
    /// Verifications that are on record.
    pub verifications: usize,
    /// Mails to it, and forwarded ones of it, that are not sent yet.
    pub outbox: usize,
    /// Mails of ours to it that are remembered because they may come back, those not sent yet included.
    pub sent: usize,
    /// Bytes of its mails that are kept.
    pub bytes: u64,
}

impl MailFacts {
    /// Leaves what says nothing of its sender: id, times, size, and the others in To and Cc.
    pub(super) fn forget_sender(&mut self) {
        *self = Self {
            id: self.id,
            session: self.session,
            peer: Ipv6Addr::UNSPECIFIED.into(),
            helo: String::new(),
            protocol: self.protocol,
            reverse_path: String::new(),
            recipients: Vec::new(),
            sender: None,
            sender_name: None,
            sent_by: None,
            subject: String::new(),
            message_id: None,
            participants: std::mem::take(&mut self.participants),
            size: self.size,
            received_at: self.received_at,
            may_answer: false,
        };
    }
}
