//! Under what a mail is remembered in its project: against copies of it, and for the replies that name it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::types::{DeliveryId, EmailAddress, HeldId, ProjectKey};

/// What makes two mails the same mail for one project: the first 16 bytes of SHA-256 over project, From address,
/// Message-ID (or none, and then the fields that a person writes) and body digest (access-rules, check 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DedupKey(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl DedupKey {
    /// Its first 8 bytes as a number, for those who compare the mails of a few days.
    pub fn short(self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// A Message-ID in one project: the first 16 bytes of SHA-256 over both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ThreadKey(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl ThreadKey {
    /// Of a Message-ID without brackets, as the mail reader gives it.
    pub fn of(project: &ProjectKey, message_id: &str) -> Self {
        Self(hash(&[b"thread", project.as_str().as_bytes(), message_id.as_bytes()]))
    }
}

/// A participant's address, as the rows keep it: they hold no text that a sender chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct AddressHash(#[serde(with = "serde_bytes")] [u8; 16]);

impl AddressHash {
    pub(super) fn of(address: &EmailAddress) -> Self {
        Self::of_key(address.key().as_bytes())
    }

    /// Of an address as it stands in the rows' keys.
    pub(super) fn of_key(key: &[u8]) -> Self {
        Self(hash(&[b"participant", key]))
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

/// Where a mail is remembered in one project, and how its copies are told from other mails with its Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Once {
    /// Its Message-ID; `None` for a mail without one, which no reply can name.
    pub thread: Option<ThreadKey>,
    /// What its copies share.
    pub digest: DedupKey,
}

impl Once {
    /// Of a mail with this Message-ID.
    pub fn of(project: &ProjectKey, message_id: Option<&str>, digest: DedupKey) -> Self {
        Self { thread: message_id.map(|id| ThreadKey::of(project, id)), digest }
    }
}

/// What became of a mail that was created or held, within its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// It opened the request of this number, or is a comment on it.
    #[serde(rename = "r")]
    Request(u64),
    /// It waits.
    #[serde(rename = "h")]
    Held(HeldId),
}

/// A mail that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The key that was asked for.
    pub digest: DedupKey,
    /// What became of it.
    pub kept: Kept,
}

/// What a mail names in one project, the surest name first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The project.
    pub project: ProjectKey,
    /// Numbers of requests that only we can have told.
    pub requests: Vec<u64>,
    /// Mails of ours that are about no request: what each answers is meant.
    pub ours: Vec<DeliveryId>,
    /// Message-IDs, the nearest first.
    pub threads: Vec<ThreadKey>,
}

impl Named {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.ours.is_empty() && self.threads.is_empty()
    }
}

/// One thing that a mail names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// What it is.
    pub kept: Kept,
    /// Whether it is a request that was closed.
    pub closed: bool,
    /// Whether the sender asked about is its reporter or a participant.
    pub involved: bool,
}
