//! The audit log: found by its rows, told by the journal.

use std::{borrow::Cow, ops::ControlFlow, time::Duration};

use super::{View, walk::Walk};
use crate::{
    access::{Basis, Check, Outcome},
    store::{
        DecisionFilter, DecisionRow, Disposition, Dropped, Effect, Order, Page, PageRequest, RawState,
        StoreError,
        machine::PlanEvent,
        rows::{DecisionIndex, decode, key, read},
    },
    types::{HeldId, MailId, RequestId, Time},
};

/// How much a decision's time may lie before that of an earlier one: plans wait for one another.
const SKEW: Duration = Duration::from_mins(10);

/// What the journal tells of one decision.
struct Told {
    trail: Vec<Check>,
    settings_version: String,
    basis: Option<Basis>,
    request: Option<RequestId>,
    held: Option<HeldId>,
    raw: RawState,
}

impl View<'_> {
    /// [`crate::store::Store::decisions`].
    pub(in crate::store) fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let mut found = Vec::new();
        let mut over = false;
        let range = filter.sender.as_ref().map_or_else(|| key::all(b'x'), key::sender_decisions);
        let walk = Walk { rows: self.rows, range, page };
        let mut met = walk.run(&mut |seq| {
            let row: Option<DecisionIndex> = if over { None } else { read(self.rows, &key::decision(seq))? };
            let Some(row) = row else { return Ok(false) };
            over = page.order == Order::Newest && is_long_before(row.at, filter.since);
            let wanted = matches(&row, filter);
            if wanted {
                found.push((seq, row));
            }
            Ok(wanted)
        })?;
        met.next = met.next.filter(|_| !over);
        let items = found.into_iter().map(|(seq, row)| self.decision(seq, row));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: met.next })
    }

    fn decision(&self, seq: u64, row: DecisionIndex) -> Result<DecisionRow, StoreError> {
        let record = self.plan(row.record)?;
        let facts = match (row.held_at, &record) {
            (None, Ok(event)) => event.plan.mail.as_ref().map(|mail| mail.facts.clone()),
            (None, Err(_)) => None,
            (Some(held_at), _) => {
                self.plan(held_at)?.ok().and_then(|event| event.plan.mail).map(|mail| mail.facts)
            }
        };
        let told = match record {
            Ok(event) => tell(event, row.nth as usize),
            Err(damage) => damaged(damage),
        };
        let (sender, message_id) = facts.map(|facts| (facts.sender, facts.message_id)).unwrap_or_default();
        Ok(DecisionRow {
            seq,
            at: row.at,
            mail_id: row.mail,
            message_id,
            sender,
            project: row.project,
            outcome: row.reason.outcome(),
            reason: row.reason,
            basis: told.basis,
            trail: told.trail,
            settings_version: told.settings_version,
            request: told.request,
            held: told.held,
            raw: told.raw,
        })
    }
}

impl View<'_> {
    /// [`crate::store::Store::dropped`].
    pub(in crate::store) fn dropped(&self, mail: MailId, since: Time) -> Result<Vec<Dropped>, StoreError> {
        let mut found = Vec::new();
        self.rows.scan(&key::all(b'x'), Order::Newest, &mut |place, value| {
            let row: DecisionIndex = decode(place, value)?;
            if is_long_before(row.at, Some(since)) {
                return Ok(ControlFlow::Break(()));
            }
            if row.mail == mail && row.held_at.is_none() && row.reason.outcome() == Outcome::Drop {
                found.push((key::number(place).unwrap_or(0), row));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let dropped = found.into_iter().map(|(seq, row)| self.dropped_one(seq, &row));
        dropped.filter_map(Result::transpose).collect()
    }

    /// `None` where the record is damaged: the list of decisions says so.
    fn dropped_one(&self, seq: u64, row: &DecisionIndex) -> Result<Option<Dropped>, StoreError> {
        let Ok(event) = self.plan(row.record)? else { return Ok(None) };
        let entry = event.decisions().nth(row.nth as usize).and_then(|(_, effect)| match effect {
            Effect::Record(entry) => Some(entry.clone()),
            _ => None,
        });
        let raw_until = event.raw_until;
        let Some((entry, facts)) = entry.zip(event.plan.mail.map(|mail| mail.facts)) else { return Ok(None) };
        let again: Option<u64> = read(self.rows, &key::reprocessed(row.mail, &row.project))?;
        let again =
            again.map(|seq| Ok::<_, StoreError>((seq, read(self.rows, &key::decision(seq))?))).transpose()?;
        let became = match again {
            Some((seq, Some(row))) => Some(self.decision(seq, row)?),
            _ => None,
        };
        let keeps = entry.disposition == Disposition::Drop { keep_raw: true };
        let raw = (keeps && raw_until.is_none()).then(|| row.record.body(row.mail));
        Ok(Some(Dropped { seq, at: row.at, entry, facts, raw, raw_until, became }))
    }
}

fn is_long_before(at: Time, since: Option<Time>) -> bool {
    since.is_some_and(|since| at.plus(SKEW) < since)
}

fn matches(row: &DecisionIndex, filter: &DecisionFilter) -> bool {
    filter.outcome.is_none_or(|outcome| row.reason.outcome() == outcome)
        && filter.reason.is_none_or(|reason| row.reason == reason)
        && filter.project.as_ref().is_none_or(|project| row.project == *project)
        && filter.since.is_none_or(|since| row.at >= since)
}

/// What the plan says of its `nth` decision.
fn tell(event: PlanEvent, nth: usize) -> Told {
    let opened = event.opened.into_iter().nth(nth).flatten();
    let gone = event.raw_until.is_some();
    let mut decisions = event.plan.effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(entry) => {
            Some((entry.trail, entry.settings_version, entry.basis, entry.disposition, None))
        }
        Effect::Resolve(end) => {
            Some((end.trail, end.settings_version, Some(end.basis), end.disposition, Some(end.held)))
        }
        Effect::Retired => Some(retired()),
        _ => None,
    });
    let Some((trail, settings_version, basis, disposition, ended)) = decisions.nth(nth) else {
        return damaged("the record has no such decision".to_owned());
    };
    let raw = match (&disposition, gone, ended) {
        // The mail is that of the hold, whose own decision says what became of it.
        (Disposition::Drop { keep_raw: false }, ..) | (_, _, Some(_)) => RawState::None,
        (_, true, None) => RawState::Gone,
        (_, false, None) => RawState::Kept,
    };
    let (request, held) = match disposition {
        Disposition::Open | Disposition::Follow(_) => (opened, ended),
        Disposition::Comment(request) => (Some(request), ended),
        Disposition::Hold { held, .. } => (None, Some(held)),
        Disposition::Drop { .. } => (None, ended),
    };
    Told { trail, settings_version, basis, request, held, raw }
}

/// Holds the place of a decision that is past its time; no row leads to it.
fn retired() -> (Vec<Check>, String, Option<Basis>, Disposition, Option<HeldId>) {
    (Vec::new(), String::new(), None, Disposition::Drop { keep_raw: false }, None)
}

fn damaged(what: String) -> Told {
    let check = Check {
        check: Cow::Borrowed("record"),
        input: Cow::Owned(what),
        result: Cow::Borrowed("damaged: the trail is lost"),
    };
    Told {
        trail: vec![check],
        settings_version: String::new(),
        basis: None,
        request: None,
        held: None,
        raw: RawState::None,
    }
}
