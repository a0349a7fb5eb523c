//! What the kept records of a journal begin.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{Event, PlanEvent};
use crate::{
    store::{DeliveryKind, Disposition, Effect, Entry},
    types::EmailAddress,
};

/// What the records begin that are kept, as hashes: two with the same keep a little more than is needed.
#[derive(Debug, Default)]
pub(in crate::store) struct Creators(HashSet<u64>);

/// What a record can begin.
#[derive(Hash)]
pub(super) enum Begun<'a> {
    Hold(uuid::Uuid),
    Verification(uuid::Uuid),
    Job(uuid::Uuid),
    Token(&'a [u8]),
    Sender(&'a [u8]),
    /// A hold's key against copies: kept with the hold even when the key itself is past its time.
    Once(&'a [u8]),
}

fn hash(begun: &Begun<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    begun.hash(&mut hasher);
    hasher.finish()
}

impl Creators {
    /// Whether one of the records begins it.
    pub(super) fn has(&self, begun: &Begun<'_>) -> bool {
        self.0.contains(&hash(begun))
    }

    /// Takes in what another one has.
    pub(in crate::store) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes in what an event begins.
    pub(in crate::store) fn note(&mut self, event: &Event) {
        let Event::Plan(event) = event else { return };
        for effect in &event.plan.effects {
            self.note_effect(effect, event);
        }
        if let Some(spend) = &event.plan.spend {
            self.add(&Begun::Job(spend.verification.uuid()));
        }
    }

    fn note_effect(&mut self, effect: &Effect, event: &PlanEvent) {
        match effect {
            Effect::Record(Entry { disposition: Disposition::Hold { held, .. }, once, .. }) => {
                self.add(&Begun::Hold(held.uuid()));
                if let Some(once) = once {
                    self.add(&Begun::Once(&once.0));
                }
                let facts = event.plan.mail.as_ref().map(|mail| &mail.facts);
                if let Some(sender) = facts.and_then(|facts| facts.sender.as_ref()) {
                    self.add_sender(sender);
                }
            }
            Effect::OpenVerification { id, address } => {
                self.add(&Begun::Verification(id.uuid()));
                self.add_sender(address);
            }
            Effect::Enqueue(delivery) => {
                self.add(&Begun::Job(delivery.id.uuid()));
                self.add_sender(&delivery.to);
                if let DeliveryKind::Verification { token, .. } | DeliveryKind::Confirmation { token, .. } =
                    &delivery.kind
                {
                    self.add(&Begun::Token(&token.0));
                }
            }
            Effect::PutAccount(account) => self.add_sender(&account.address),
            Effect::DeleteAccount(address) => self.add_sender(address),
            _ => {}
        }
    }

    fn add(&mut self, begun: &Begun<'_>) {
        self.0.insert(hash(begun));
    }

    fn add_sender(&mut self, address: &EmailAddress) {
        self.add(&Begun::Sender(address.key().as_bytes()));
    }
}
