//! What compaction takes out of a record of those who were forgotten. What is left makes the rows that are left of them.

use super::{Forgotten, PlanEvent};
use crate::store::{
    Delivery, DeliveryKind, Effect, StoreError,
    rows::{DecisionIndex, Location, Rows, key, read},
};

/// What was taken out of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scrubbed {
    /// Something of a person.
    pub(super) person: bool,
    /// That somebody was forgotten: nothing in the journal is known by it any more.
    pub(super) end: bool,
}

impl Scrubbed {
    /// Whether anything was.
    pub(super) fn any(self) -> bool {
        self.person || self.end
    }
}

impl Forgotten {
    /// Takes it out of a plan. `through`: the records before this one have nothing left.
    pub(super) fn scrub(
        &self,
        event: &mut PlanEvent,
        (at, through): (Location, bool),
        rows: &dyn Rows,
    ) -> Result<Scrubbed, StoreError> {
        let mut scrubbed = Scrubbed::default();
        if self.is_empty() {
            return Ok(scrubbed);
        }
        let told = told(event, rows)?;
        let sender = event.plan.mail.as_ref().and_then(|mail| mail.facts.sender.as_ref());
        let of_sender = sender.is_some_and(|sender| self.is(sender, at));
        if of_sender && told.iter().any(|(is_mail, forgotten)| *is_mail && *forgotten == Some(false)) {
            // It came in while the sender was being forgotten, and counts as later.
            return Ok(scrubbed);
        }
        scrubbed.person |= if of_sender { forget_mail(event) } else { self.leave_out(event, at) };
        scrubbed.person |= forget_ends(event, &told);
        let fences = event.plan.fences.len();
        event.plan.fences.retain(|fence| !self.is(&fence.address, at));
        scrubbed.person |= event.plan.fences.len() < fences;
        self.take_out(event, (at, through), &mut scrubbed);
        Ok(scrubbed)
    }

    /// The person in the mail of somebody else.
    fn leave_out(&self, event: &mut PlanEvent, at: Location) -> bool {
        let Some(mail) = &mut event.plan.mail else { return false };
        let facts = &mut mail.facts;
        let named = facts.participants.len();
        facts.participants.retain(|address| !self.is(address, at));
        let mut changed = facts.participants.len() < named;
        if facts.sent_by.as_ref().is_some_and(|text| self.is_text(text, at)) {
            facts.sent_by = None;
            changed = true;
        }
        if self.is_text(&facts.reverse_path, at) {
            facts.reverse_path.clear();
            changed = true;
        }
        changed
    }

    /// The changes that were about the person, each delivery with its turn: a lane whose last mail it was is free a little earlier
    /// in an index made anew.
    fn take_out(&self, event: &mut PlanEvent, place: (Location, bool), scrubbed: &mut Scrubbed) {
        let forgotten = event.forgotten;
        let mut turns = std::mem::take(&mut event.turns).into_iter();
        let kept = &mut event.turns;
        event.plan.effects.retain(|effect| {
            let turn = if matches!(effect, Effect::Enqueue(_)) { turns.next() } else { None };
            let goes = self.goes(effect, forgotten, place);
            scrubbed.end |= goes && matches!(effect, Effect::Forget(_));
            scrubbed.person |= goes && !matches!(effect, Effect::Forget(_));
            kept.extend(turn.filter(|_| !goes));
            !goes
        });
    }

    fn goes(&self, effect: &Effect, forgotten: bool, (at, through): (Location, bool)) -> bool {
        match effect {
            Effect::PutAccount(account) => self.is(&account.address, at),
            Effect::DeleteAccount(address) | Effect::OpenVerification { address, .. } => self.is(address, at),
            Effect::Enqueue(Delivery { kind: DeliveryKind::Forward { .. }, .. }) if forgotten => true,
            Effect::Enqueue(delivery) => self.is(&delivery.to, at),
            Effect::Forget(_) => through && self.places.contains(&at),
            _ => false,
        }
    }
}

/// For each decision whether it is about the plan's own mail, and whether its row says that the sender was forgotten; `None`
/// without a row.
fn told(event: &PlanEvent, rows: &dyn Rows) -> Result<Vec<(bool, Option<bool>)>, StoreError> {
    let mut told = Vec::new();
    for (seq, effect) in event.decisions() {
        let row: Option<DecisionIndex> = read(rows, &key::decision(seq))?;
        told.push((matches!(effect, Effect::Record(_)), row.map(|row| row.forgotten)));
    }
    Ok(told)
}

/// The plan's mail is of somebody who was forgotten.
fn forget_mail(event: &mut PlanEvent) -> bool {
    if let Some(mail) = &mut event.plan.mail {
        mail.facts.forget_sender();
    }
    for effect in &mut event.plan.effects {
        if let Effect::Record(entry) = effect {
            entry.trail.clear();
            (entry.facts, entry.once) = (None, None);
        }
    }
    (event.forgotten, event.raw_until) = (true, None);
    true
}

/// The ends of holds of somebody who was forgotten.
fn forget_ends(event: &mut PlanEvent, told: &[(bool, Option<bool>)]) -> bool {
    let mut changed = false;
    let decisions = event.plan.effects.iter_mut().filter(|effect| effect.decides());
    for (effect, (_, forgotten)) in decisions.zip(told) {
        if let (Effect::Resolve(end), Some(true)) = (effect, forgotten) {
            changed |= !end.trail.is_empty();
            end.trail.clear();
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{
            Fence, Order, Plan,
            rows::{Changes, KeyRange, Layered, Txn, Value, Visit},
            threads::AddressHash,
        },
        types::{EmailAddress, Time},
    };

    struct NoRows;

    impl Rows for NoRows {
        fn get(&self, _: &[u8]) -> Result<Option<Value>, StoreError> {
            Ok(None)
        }

        fn scan(&self, _: &KeyRange, _: Order, _: Visit<'_>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn at(offset: u64) -> Location {
        Location { segment: 1, offset }
    }

    /// Those are forgotten by the record at 100.
    fn forgotten(addresses: &[&EmailAddress]) -> Forgotten {
        let mut txn = Txn::new(&NoRows);
        for (n, address) in addresses.iter().enumerate() {
            txn.put(key::forgotten(at(100 + n as u64)), &AddressHash::of(address)).unwrap();
        }
        let changes: Changes = txn.into_changes();
        Forgotten::load(&Layered { base: &NoRows, changes: &changes }).unwrap()
    }

    /// A change may name a person in nothing but the fence that it rested on.
    #[test]
    fn a_fence_is_something_of_a_person_up_to_where_he_was_forgotten() {
        let (eva, bob): (EmailAddress, EmailAddress) =
            ("eva@a.example".parse().unwrap(), "bob@a.example".parse().unwrap());
        let fences = [&eva, &bob].map(|address| Fence { address: address.clone(), version: 1 });
        let plan = Plan { fences: fences.into(), ..Plan::new(Time::default(), vec![]) };
        for (who, offset, left) in [
            (vec![&eva], 99, vec![&bob]),
            (vec![&eva], 101, vec![&eva, &bob]),
            (vec![&eva, &bob], 7, vec![]),
            (vec![], 7, vec![&eva, &bob]),
        ] {
            let mut event = PlanEvent::new(plan.clone(), false);
            let scrubbed = forgotten(&who).scrub(&mut event, (at(offset), true), &NoRows).unwrap();
            let kept: Vec<_> = event.plan.fences.iter().map(|fence| &fence.address).collect();
            assert_eq!((scrubbed.person, &kept), (kept.len() < 2, &left), "{who:?} at {offset}");
        }
    }
}
