//! What a mail asks of the store, and what the store knows that a decision about it rests on.

use sha2::{Digest, Sha256};

use super::incoming::Incoming;
use crate::{
    config::Project,
    store::{DedupKey, Named, Once, SenderView, Store, StoreError},
    types::{EmailAddress, MintKey, ProjectKey, Time},
    verify::reply,
};

/// The sender, the mail's copies, and what the mail names. Nothing is known of a mail without a usable sender.
pub(super) async fn view(
    store: &dyn Store,
    incoming: &Incoming<'_>,
    mint: &MintKey,
    now: Time,
) -> Result<SenderView, StoreError> {
    let Ok(address) = &incoming.sender else { return Ok(SenderView::default()) };
    let mut view = store.sender(address, &incoming.once(), incoming.once_since(now)).await?;
    view.threads = Some(reply::threads(store, address, incoming.named(mint)).await?);
    Ok(view)
}

impl Incoming<'_> {
    /// Where copies of it are looked for: in each of its projects, or in all; nowhere without a sender.
    pub(super) fn once(&self) -> Vec<Once> {
        if self.config.store.one_request_per_mail {
            return self.config.projects.iter().filter_map(|project| self.once_in(&project.key)).collect();
        }
        self.projects.iter().filter_map(|project| self.once_in(&project.key)).collect()
    }

    /// Where no copy may have been seen when the project takes it: in the others, where one mail is one request.
    pub(super) fn once_elsewhere(&self, project: &ProjectKey) -> Vec<Once> {
        let others = self.config.projects.iter().filter(|other| other.key != *project);
        let others = others.filter(|_| self.config.store.one_request_per_mail);
        others.filter_map(|other| self.once_in(&other.key)).collect()
    }

    /// Another project that has seen a copy.
    pub(super) fn seen_elsewhere(&self, view: &SenderView) -> Option<&ProjectKey> {
        let has_seen = |project: &&Project| {
            let once = self.once_key(&project.key);
            view.duplicates.iter().any(|seen| Some(seen.digest) == once)
        };
        self.config.projects.iter().find(has_seen).map(|project| &project.key)
    }

    fn once_in(&self, project: &ProjectKey) -> Option<Once> {
        Some(Once::of(project, self.message.message_id.as_deref(), self.once_key(project)?))
    }

    /// Since when copies count.
    pub(super) fn once_since(&self, now: Time) -> Time {
        let window = self.config.store.duplicate_window;
        if window.is_zero() { Time::MAX } else { now.minus(window) }
    }

    /// What it names, for each project.
    pub(super) fn named(&self, mint: &MintKey) -> Vec<Named> {
        let ids = self.message.named_ids();
        let recipients = || self.envelope.recipients.iter().map(|recipient| recipient.address.as_str());
        let named = |project: &&Project| reply::named((self.config, mint), &project.key, &ids, recipients());
        self.projects.iter().map(named).collect()
    }

    /// What its copies share in a project; nothing without a sender.
    pub(super) fn once_key(&self, project: &ProjectKey) -> Option<DedupKey> {
        let address = self.sender.as_ref().ok()?;
        let mut hash = Sha256::new();
        let message_id = self.message.message_id.as_deref();
        for part in [project.as_str(), address.key(), message_id.unwrap_or_default()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update([u8::from(message_id.is_some())]);
        hash.update(self.message.copy_digest);
        let digest: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Some(DedupKey(key))
    }

    /// Those in To and Cc that become participants.
    pub(super) fn participants(&self) -> Vec<EmailAddress> {
        let sender = self.sender.as_ref().ok();
        sender
            .map(|sender| self.config.participants(Some(sender), &self.message.participants))
            .unwrap_or_default()
    }
}
