//! Rows past their retention: decisions that were drops, what is left of their senders, free lanes.

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use serde_bytes::ByteBuf;

use super::RetireEvent;
use crate::{
    access::Outcome,
    config::{Keep, Retention},
    store::{
        CommitError, Disposition, Effect, Lane, Order, StoreError,
        query::View,
        rows::{DecisionIndex, Key, Location, Rows, SenderRow, Txn, decode, key, read},
    },
    types::{EmailAddress, HeldId, Time},
};

/// How long a mail of ours counts for the caps.
const DAY: Duration = Duration::from_hours(24);

/// What may be retired.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Before {
    /// Decisions made before this time; none without.
    pub(in crate::store) decided: Option<Time>,
    /// Whose records lie before this segment.
    pub(in crate::store) segment: u64,
    /// Now.
    pub(in crate::store) now: Time,
}

impl Before {
    /// What is past its retention now.
    pub(in crate::store) fn at(retention: &Retention, now: Time, segment: u64) -> Self {
        let decided = match retention.decisions {
            Keep::For(length) => Some(now.minus(length)),
            Keep::Forever => None,
        };
        Self { decided, segment, now }
    }
}

impl RetireEvent {
    /// Removes these rows, and nothing that is past its time.
    pub(in crate::store) fn of_rows(
        keys: Vec<ByteBuf>,
        now: Time,
        rows: &dyn Rows,
    ) -> Result<Self, StoreError> {
        Ok(Self { at: now, keys, upto: read(rows, &key::retired())?.unwrap_or(0) })
    }

    /// How many decisions it retires.
    pub(in crate::store) fn decisions(&self) -> u64 {
        self.keys.iter().filter(|place| place.starts_with(b"x/")).count() as u64
    }
}

/// What may be retired now, at most some `max` rows; `None` when there is nothing.
///
/// A hold goes together with its end, and only when that was a drop. The last decision stays: the next number is counted
/// from it.
pub(in crate::store) fn retirable(
    view: View<'_>,
    before: Before,
    max: usize,
) -> Result<Option<RetireEvent>, StoreError> {
    let upto = read(view.rows, &key::retired())?.unwrap_or(0);
    let mut found = Retirable { view, keys: BTreeSet::new(), upto };
    for (seq, row) in dropped(view, before, max)? {
        found.decision(seq, &row)?;
    }
    found.senders(before.now, max)?;
    found.lanes(before.now)?;
    let keys: Vec<ByteBuf> = found.keys.into_iter().map(|place| ByteBuf::from(place.into_vec())).collect();
    let event = RetireEvent { at: before.now, keys, upto: found.upto };
    Ok(Some(event).filter(|event| !event.keys.is_empty()))
}

/// The drops before that time, the ends of holds among them.
fn dropped(view: View<'_>, before: Before, max: usize) -> Result<Vec<(u64, DecisionIndex)>, StoreError> {
    let mut found = Vec::new();
    let Some(decided) = before.decided else { return Ok(found) };
    let mut last = None;
    view.rows.scan(&key::all(b'x'), Order::Oldest, &mut |place, value| {
        found.extend(last.take());
        let row: DecisionIndex = decode(place, value)?;
        if row.at >= decided || row.record.segment >= before.segment || found.len() >= max {
            return Ok(ControlFlow::Break(()));
        }
        let seq = key::number(place).unwrap_or(0);
        last = Some((seq, row)).filter(|(_, row)| row.reason.outcome() == Outcome::Drop);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

struct Retirable<'a> {
    view: View<'a>,
    keys: BTreeSet<Key>,
    upto: u64,
}

impl Retirable<'_> {
    fn decision(&mut self, seq: u64, row: &DecisionIndex) -> Result<(), StoreError> {
        let Some(held_at) = row.held_at else {
            let sender = self.sender(row, row.record)?;
            self.add(seq, sender.as_ref());
            let again = key::reprocessed(row.mail, &row.project);
            self.keys.extend(self.view.rows.get(&again)?.map(|_| again));
            return Ok(());
        };
        let sender = self.sender(row, held_at)?;
        if let Some(hold) = self.hold(row, held_at)? {
            self.add(hold, sender.as_ref());
            self.add(seq, sender.as_ref());
        }
        Ok(())
    }

    fn add(&mut self, seq: u64, sender: Option<&EmailAddress>) {
        self.keys.insert(key::decision(seq));
        self.keys.extend(sender.map(|sender| key::sender_decision(sender, seq)));
        self.upto = self.upto.max(seq);
    }

    /// Whose key the decision has; none who was forgotten, whom the journal may name yet.
    fn sender(&self, row: &DecisionIndex, at: Location) -> Result<Option<EmailAddress>, StoreError> {
        if row.forgotten {
            return Ok(None);
        }
        let plan = self.view.plan(at)?.ok();
        Ok(plan.and_then(|event| event.plan.mail).and_then(|mail| mail.facts.sender))
    }

    /// The decision that made the hold which ended with this one.
    fn hold(&self, end: &DecisionIndex, held_at: Location) -> Result<Option<u64>, StoreError> {
        let (Ok(ended), Ok(made)) = (self.view.plan(end.record)?, self.view.plan(held_at)?) else {
            return Ok(None);
        };
        let held = ended.decisions().nth(end.nth as usize).and_then(|(_, effect)| match effect {
            Effect::Resolve(end) => Some(end.held),
            _ => None,
        });
        let makes = |effect: &Effect, wanted: HeldId| match effect {
            Effect::Record(entry) => {
                matches!(entry.disposition, Disposition::Hold { held, .. } if held == wanted)
            }
            _ => false,
        };
        let Some(held) = held else { return Ok(None) };
        let mut holds = made.decisions().filter(|(_, effect)| makes(effect, held)).map(|(seq, _)| seq);
        Ok(holds.next())
    }

    fn senders(&mut self, now: Time, max: usize) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        self.view.rows.scan(&key::all(b'a'), Order::Oldest, &mut |place, value| {
            let row: SenderRow = decode(place, value)?;
            if cleaned(&row, now).as_ref() != Some(&row) {
                keys.push(Key::from_slice(place));
            }
            let go_on = keys.len() < max;
            Ok(if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        self.keys.extend(keys);
        Ok(())
    }

    fn lanes(&mut self, now: Time) -> Result<(), StoreError> {
        for place in [Lane::Approved, Lane::External, Lane::Acknowledgements].map(key::lane) {
            if read::<Time>(self.view.rows, &place)?.is_some_and(|arrival| arrival < now.minus(DAY)) {
                self.keys.insert(place);
            }
        }
        Ok(())
    }
}

/// What a sender's row says yet; `None` for nothing.
fn cleaned(row: &SenderRow, now: Time) -> Option<SenderRow> {
    let mut row = row.clone();
    row.mailed.retain(|mailed| *mailed > now.minus(DAY));
    row.acknowledged = row.acknowledged.filter(|(since, _)| *since > now.minus(DAY));
    row.quiet_until = row.quiet_until.filter(|until| *until > now);
    let empty = SenderRow { version: row.version, ..SenderRow::default() };
    Some(row).filter(|row| *row != empty)
}

/// Removes the rows.
pub(super) fn apply(event: &RetireEvent, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    for place in &event.keys {
        match place.as_slice() {
            [b'a', b'/', ..] => clean(place, event.at, txn)?,
            [b'm', b'/', ..] => {
                if txn.read::<Time>(place)?.is_some_and(|arrival| arrival < event.at.minus(DAY)) {
                    txn.remove(Key::from_slice(place));
                }
            }
            _ => txn.remove(Key::from_slice(place)),
        }
    }
    txn.put(key::retired(), &event.upto)
}

/// The row's version stays as it is where the row stays: nothing that a decision rests on has changed.
fn clean(place: &[u8], at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let Some(row) = txn.read::<SenderRow>(place)? else { return Ok(()) };
    if let Some(row) = cleaned(&row, at) {
        return txn.put(Key::from_slice(place), &row);
    }
    txn.remove(Key::from_slice(place));
    Ok(())
}
