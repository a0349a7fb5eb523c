//! What a mail asks of the store, and what the store knows that a decision about it rests on.

use sha2::{Digest, Sha256};

use super::plan::Incoming;
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
    /// Where it is remembered, for each project; nowhere without a sender.
    pub(super) fn once(&self) -> Vec<Once> {
        let message_id = self.message.message_id.as_deref();
        let once =
            |project: &&Project| Some(Once::of(&project.key, message_id, self.once_key(&project.key)?));
        self.projects.iter().filter_map(once).collect()
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
        sender.map(|sender| self.config.participants(sender, &self.message.participants)).unwrap_or_default()
    }
}
