//! What compaction leaves of a record: the least that a replay needs to come to the same rows.
//!
//! A change is taken out when what it is about is gone from the rows. What ends something (the end of a hold, a settlement,
//! a removed row) is taken out only when no earlier record that is kept begins it: nothing may come back to life in a
//! replay. What begins something may go first; the replay of a compacted journal passes over the end of what is not there.

use std::time::Duration;

use serde_bytes::ByteBuf;

use super::{
    Event, Forgotten, PlanEvent, RetireEvent, SweepEvent,
    creators::{Begun, Creators},
};
use crate::{
    access::Outcome,
    config::Retention,
    store::{
        Delivery, DeliveryKind, Disposition, Effect, Entry, MailFacts, Once, Order, Queue, StoreError,
        rows::{DecisionIndex, Location, Rows, SeenRow, key, read},
    },
    types::{EmailAddress, MailId, Time, VerificationId},
};

/// How long a mail of ours counts for the caps.
const DAY: Duration = Duration::from_hours(24);

/// What is kept of a record.
#[derive(Debug)]
pub(in crate::store) struct Kept {
    /// The event, as it is to be written; `None` when nothing is left of it.
    pub(in crate::store) event: Option<Event>,
    /// Whether the bytes of its mail are kept.
    pub(in crate::store) body: bool,
    /// Whether anything of it has gone.
    pub(in crate::store) changed: bool,
    /// A mail whose file is past its time.
    pub(in crate::store) big_over: Option<MailId>,
    /// Whether something of a person has gone who was forgotten.
    pub(in crate::store) forgotten: bool,
}

/// How long the bytes of a mail are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needed {
    Never,
    Until(Time),
    ForGood,
}

/// Says what is kept of the records of one segment, met in their order.
pub(in crate::store) struct Judge<'a> {
    /// The rows.
    pub(in crate::store) rows: &'a dyn Rows,
    /// How long what is kept.
    pub(in crate::store) retention: &'a Retention,
    /// Now.
    pub(in crate::store) now: Time,
    /// What the kept records of earlier segments begin.
    pub(in crate::store) earlier: &'a Creators,
    /// What those of this segment begin, which were kept so far.
    pub(in crate::store) own: Creators,
    /// Rows removed by a record below this number are begun by no record that is kept.
    pub(in crate::store) clean_below: u64,
    /// Who was forgotten.
    pub(in crate::store) forgotten: &'a Forgotten,
    /// Whether earlier segments have nothing of them.
    pub(in crate::store) through: bool,
}

impl Judge<'_> {
    /// What is kept of the record.
    pub(in crate::store) fn judge(
        &mut self,
        seq: u64,
        at: Location,
        event: &Event,
    ) -> Result<Kept, StoreError> {
        let nothing = || Kept { event: None, body: false, changed: true, ..whole(&Event::Noop) };
        let kept = match event {
            Event::Plan(plan) => self.plan(plan, at)?,
            Event::Settle(settle) => {
                let keep = settle.queue == Queue::Expiry || self.knows(&Begun::Job(settle.id));
                if keep { whole(event) } else { nothing() }
            }
            Event::Hurry(hurry) => {
                let keep = hurry.ids.iter().any(|id| self.knows(&Begun::Job(*id)));
                if keep { whole(event) } else { nothing() }
            }
            Event::Sweep(sweep) => self.keys(&sweep.keys, seq).map_or_else(nothing, |(keys, changed)| {
                let event = Event::Sweep(SweepEvent { keys, ..sweep.clone() });
                Kept { event: Some(event), changed, ..whole(&Event::Noop) }
            }),
            Event::Retire(retire) => self.retire(retire, seq)?,
            Event::Noop => nothing(),
        };
        if let Some(event) = &kept.event {
            self.own.note(event);
        }
        Ok(kept)
    }

    fn knows(&self, begun: &Begun<'_>) -> bool {
        self.own.has(begun) || self.earlier.has(begun)
    }

    /// The keys that a replay still has to remove, and whether they are fewer; `None` for none.
    fn keys(&self, keys: &[ByteBuf], seq: u64) -> Option<(Vec<ByteBuf>, bool)> {
        let needed = |place: &&ByteBuf| match place.as_slice() {
            [b't' | b'e', b'/', digest @ ..] => self.knows(&Begun::Token(digest)),
            [b'o', b'/', ..] => key::uuid_of(place).is_none_or(|id| self.knows(&Begun::Job(id))),
            [b'v', b'/', ..] => key::uuid_of(place).is_none_or(|id| self.knows(&Begun::Verification(id))),
            [b'a', b'/', address @ ..] => self.knows(&Begun::Sender(address)),
            [b'm', b'/', ..] => true,
            [b'd', b'/', once @ ..] => seq >= self.clean_below || self.knows(&Begun::Once(once)),
            _ => seq >= self.clean_below,
        };
        let kept: Vec<_> = keys.iter().filter(needed).cloned().collect();
        let changed = kept.len() < keys.len();
        Some((kept, changed)).filter(|(kept, _)| !kept.is_empty())
    }

    /// The last one stays whole: it says up to where the numbers of decisions have gaps.
    fn retire(&self, retire: &RetireEvent, seq: u64) -> Result<Kept, StoreError> {
        let upto: Option<u64> = read(self.rows, &key::retired())?;
        let mut keys = retire.keys.clone();
        // Not as long as an earlier record may begin them.
        keys.retain(|place| !(self.through && self.forgotten.is_key(place)));
        let forgotten = keys.len() < retire.keys.len();
        let retires = keys.iter().any(|place| place.starts_with(b"x/"));
        let kept =
            if retires && upto == Some(retire.upto) { Some((keys, false)) } else { self.keys(&keys, seq) };
        let event = kept
            .as_ref()
            .map(|(keys, _)| Event::Retire(RetireEvent { keys: keys.clone(), ..retire.clone() }));
        let changed = forgotten || kept.is_none_or(|(_, changed)| changed);
        Ok(Kept { event, changed, forgotten, ..whole(&Event::Noop) })
    }

    /// What is kept of a plan.
    pub(in crate::store) fn plan(&self, event: &PlanEvent, at: Location) -> Result<Kept, StoreError> {
        let mut kept = event.clone();
        let scrubbed = self.forgotten.scrub(&mut kept, (at, self.through), self.rows)?;
        let needed = self.body_needed(&kept, at)?;
        let body = needed > Needed::Until(self.now);
        let mail = event.plan.mail.as_ref().map(|mail| mail.facts.id);
        let has_file = event.big && mail.map_or(Ok(false), |mail| self.has(&key::big(mail)))?;
        let mut changed = self.strip(&mut kept)? || scrubbed.any();
        if !body && !has_file && event.raw_until.is_none() {
            kept.raw_until = if let Needed::Until(until) = needed { Some(until) } else { None };
            kept.big = false;
        }
        changed |= event.big && !kept.big;
        let is_empty = kept.plan.effects.is_empty() && kept.plan.spend.is_none() && !has_file;
        Ok(Kept {
            event: (!is_empty).then(|| Event::Plan(Box::new(kept))),
            // A file goes first, and the record's word for it when that is known to the rows.
            body: body || has_file,
            changed: changed || is_empty,
            big_over: mail.filter(|_| has_file && !body),
            forgotten: scrubbed.person,
        })
    }

    /// Takes out the changes whose subjects are gone; whether there were any.
    fn strip(&self, event: &mut PlanEvent) -> Result<bool, StoreError> {
        let mut changed = false;
        let facts = event.plan.mail.as_ref().map(|mail| &mail.facts);
        let (mut number, mut turn) = (event.first, 0);
        let mut effects = Vec::with_capacity(event.plan.effects.len());
        for mut effect in std::mem::take(&mut event.plan.effects) {
            let decides = effect.decides();
            let keep = self.keeps(&mut effect, (number, facts, event.plan.at), &mut changed)?;
            number += u64::from(decides);
            match (matches!(effect, Effect::Enqueue(_)), keep) {
                (true, true) => turn += 1,
                (true, false) if turn < event.turns.len() => {
                    event.turns.remove(turn);
                }
                _ => {}
            }
            match (keep, decides) {
                (true, _) => effects.push(effect),
                (false, true) => {
                    changed |= !matches!(effect, Effect::Retired);
                    effects.push(Effect::Retired);
                }
                (false, false) => changed = true,
            }
        }
        let spent = event.plan.spend.as_ref().map(|spend| spend.verification);
        if let Some(id) = spent
            && self.is_over(id)?
            && !self.knows(&Begun::Verification(id.uuid()))
        {
            event.plan.spend = None;
            changed = true;
        }
        event.plan.effects = effects;
        tidy(event);
        Ok(changed)
    }

    fn keeps(
        &self,
        effect: &mut Effect,
        (number, facts, at): (u64, Option<&MailFacts>, Time),
        changed: &mut bool,
    ) -> Result<bool, StoreError> {
        Ok(match effect {
            Effect::PutAccount(_) | Effect::DeleteAccount(_) | Effect::SetStatus(..) | Effect::Forget(_) => {
                true
            }
            Effect::Retired => false,
            Effect::Reprocess { mail, project } => self.has(&key::reprocessed(*mail, project))?,
            Effect::Record(entry) => {
                *changed |= self.free_key(entry, number, facts)?;
                self.has(&key::decision(number))?
            }
            Effect::Resolve(end) => {
                self.has(&key::decision(number))? || self.knows(&Begun::Hold(end.held.uuid()))
            }
            Effect::OpenVerification { id, .. } => !self.is_over(*id)?,
            Effect::MarkOpened(id) => !self.is_over(*id)? || self.knows(&Begun::Verification(id.uuid())),
            Effect::Enqueue(delivery) => self.keeps_delivery(delivery, at)?,
            Effect::Bounced { delivery, .. } => self.knows(&Begun::Job(delivery.uuid())),
        })
    }

    /// Whether it counts for a cap, waits, may come back, or has a link that is known.
    fn keeps_delivery(&self, delivery: &Delivery, at: Time) -> Result<bool, StoreError> {
        let counts = at.max(delivery.not_before).plus(DAY) > self.now;
        if counts
            || self.has(&key::job_id(Queue::Outbox, delivery.id.uuid()))?
            || self.has(&key::sent(delivery.id))?
        {
            return Ok(true);
        }
        match &delivery.kind {
            DeliveryKind::Verification { verification, token, .. } => {
                Ok(!self.is_over(*verification)? || self.has(&key::token(token))?)
            }
            DeliveryKind::Confirmation { token, .. } => self.has(&key::confirmation(token)),
            DeliveryKind::Acknowledgement { .. } | DeliveryKind::Forward { .. } => Ok(false),
        }
    }

    /// Takes away a key against copies that no row has any more; whether there was one.
    fn free_key(
        &self,
        entry: &mut Entry,
        number: u64,
        facts: Option<&MailFacts>,
    ) -> Result<bool, StoreError> {
        let Some(digest) = entry.once else { return Ok(false) };
        let message_id = facts.and_then(|facts| facts.message_id.as_deref());
        let once = Once::of(&entry.project, message_id, digest);
        let seen: Option<SeenRow> = read(self.rows, &key::seen(&once))?;
        let needed = seen.is_some_and(|seen| seen.find(&digest).is_some()) || self.has(&key::held(number))?;
        if !needed {
            entry.once = None;
        }
        Ok(!needed)
    }

    fn has(&self, place: &[u8]) -> Result<bool, StoreError> {
        Ok(self.rows.get(place)?.is_some())
    }

    /// Whether nothing is left of the verification.
    fn is_over(&self, id: VerificationId) -> Result<bool, StoreError> {
        Ok(!self.has(&key::verification(id))? && !self.has(&key::job_id(Queue::Release, id.uuid()))?)
    }

    /// How long the bytes of the plan's mail are needed.
    fn body_needed(&self, event: &PlanEvent, at: Location) -> Result<Needed, StoreError> {
        let mut until = Needed::Never;
        if event.forgotten {
            return Ok(until);
        }
        let sender = event.plan.mail.as_ref().and_then(|mail| mail.facts.sender.as_ref());
        let mut keep = |one: Option<Time>| {
            until = until.max(one.map_or(Needed::ForGood, Needed::Until));
        };
        for (number, effect) in event.decisions() {
            let Effect::Record(entry) = effect else { continue };
            if !self.has(&key::decision(number))? {
                continue;
            }
            match &entry.disposition {
                Disposition::Drop { keep_raw: false } => {}
                Disposition::Drop { keep_raw: true } => {
                    keep(self.retention.dropped_mail.until(event.plan.at));
                }
                Disposition::Open | Disposition::Follow(_) | Disposition::Comment(_) => {
                    keep(self.retention.requests.until(event.plan.at));
                }
                Disposition::Hold { .. } => keep(self.hold_until(number, entry, at, sender)?),
            }
        }
        for effect in &event.plan.effects {
            if let Effect::Enqueue(Delivery { id, kind: DeliveryKind::Forward { .. }, .. }) = effect
                && self.has(&key::job_id(Queue::Outbox, id.uuid()))?
            {
                keep(None);
            }
        }
        Ok(until)
    }

    /// A mail that waits is kept; one that has ended as what it has become.
    fn hold_until(
        &self,
        number: u64,
        entry: &Entry,
        at: Location,
        sender: Option<&EmailAddress>,
    ) -> Result<Option<Time>, StoreError> {
        let waits = self.has(&key::held(number))?;
        let Some(sender) = sender.filter(|_| !waits) else { return Ok(None) };
        let mut range = key::sender_decisions(sender);
        range.from = key::sender_decision(sender, number + 1);
        let mut kept = None;
        self.rows.scan(&range, Order::Oldest, &mut |place, _| {
            let row: Option<DecisionIndex> =
                read(self.rows, &key::decision(key::number(place).unwrap_or(0)))?;
            let end = row.filter(|row| row.held_at == Some(at) && row.project == entry.project);
            let Some(end) = end else { return Ok(std::ops::ControlFlow::Continue(())) };
            kept = match end.reason.outcome() {
                Outcome::Create => self.retention.requests.until(end.at),
                Outcome::Hold | Outcome::Drop => self.retention.ended_holds.until(end.at),
            };
            Ok(std::ops::ControlFlow::Break(()))
        })?;
        Ok(kept)
    }
}

fn whole(event: &Event) -> Kept {
    Kept { event: Some(event.clone()), body: true, changed: false, big_over: None, forgotten: false }
}

/// Leaves out what only decisions need where none is left, and what no replay reads.
fn tidy(event: &mut PlanEvent) {
    event.plan.fences.clear();
    let decides = |effect: &Effect| effect.decides() && !matches!(effect, Effect::Retired);
    if !event.plan.effects.iter().any(decides) {
        event.plan.effects.retain(|effect| !matches!(effect, Effect::Retired));
        event.opened.clear();
    }
    let needs_mail = |effect: &Effect| match effect {
        Effect::Record(_) => true,
        Effect::Enqueue(delivery) => matches!(delivery.kind, DeliveryKind::Forward { .. }),
        _ => false,
    };
    if !event.plan.effects.iter().any(needs_mail) && !event.big {
        event.plan.mail = None;
    }
}
