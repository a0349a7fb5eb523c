//! The audit log: found by its rows, told by the journal.

use std::{borrow::Cow, ops::ControlFlow, time::Duration};

use super::{View, walk::Walk};
use crate::{
    access::{Basis, Check, Outcome, RecordedFacts},
    store::{
        DecisionFilter, DecisionRow, Disposition, Dropped, Effect, Order, Page, PageRequest, RawState,
        StoreError,
        machine::PlanEvent,
        rows::{DecisionIndex, decode, key, read},
    },
    types::{Actor, Domain, HeldId, MailId, RequestId, Standing, Time},
};

/// How much a decision's time may lie before that of an earlier one: plans wait for one another.
const SKEW: Duration = Duration::from_mins(10);

/// What the journal tells of one decision.
#[derive(Default)]
struct Told {
    trail: Vec<Check>,
    settings_version: String,
    basis: Option<Basis>,
    actor: Option<Actor>,
    request: Option<RequestId>,
    held: Option<HeldId>,
    standing: Option<Standing>,
    facts: Option<RecordedFacts>,
    raw: RawState,
}

impl Told {
    /// Leaves what says nothing of the sender.
    fn forget(&mut self) {
        (self.trail, self.facts) = (Vec::new(), None);
        if self.raw == RawState::Kept {
            self.raw = RawState::Gone;
        }
    }
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
            let wanted = matches(&row, filter) && self.is_of_domain(&row, filter.domain.as_ref())?;
            if wanted {
                found.push((seq, row));
            }
            Ok(wanted)
        })?;
        met.next = met.next.filter(|_| !over);
        let items = found.into_iter().map(|(seq, row)| self.decision(seq, row));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: met.next })
    }

    fn is_of_domain(&self, row: &DecisionIndex, domain: Option<&Domain>) -> Result<bool, StoreError> {
        let Some(domain) = domain else { return Ok(true) };
        if row.forgotten {
            return Ok(false);
        }
        let mail = self.plan(row.held_at.unwrap_or(row.record))?.ok().and_then(|event| event.plan.mail);
        Ok(mail.and_then(|mail| mail.facts.sender).is_some_and(|sender| sender.domain() == domain))
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
        let mut told = match record {
            Ok(event) => tell(event, row.nth as usize),
            Err(damage) => damaged(damage),
        };
        let facts = facts.filter(|_| !row.forgotten);
        if row.forgotten {
            // The journal may have it until the next compaction.
            told.forget();
        }
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
            actor: told.actor,
            trail: told.trail,
            settings_version: told.settings_version,
            request: told.request,
            held: told.held,
            standing: told.standing,
            facts: told.facts,
            raw: told.raw,
            forgotten: row.forgotten,
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
            let told = row.held_at.is_none() && !row.forgotten;
            if row.mail == mail && told && row.reason.outcome() == Outcome::Drop {
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
    filter.mail.is_none_or(|mail| row.mail == mail)
        && filter.outcome.is_none_or(|outcome| row.reason.outcome() == outcome)
        && filter.reason.is_none_or(|reason| row.reason == reason)
        && filter.project.as_ref().is_none_or(|project| row.project == *project)
        && filter.since.is_none_or(|since| row.at >= since)
        && filter.until.is_none_or(|until| row.at < until)
}

/// What the plan says of its `nth` decision.
fn tell(event: PlanEvent, nth: usize) -> Told {
    let opened = event.opened.into_iter().nth(nth).flatten();
    let gone = event.raw_until.is_some() || event.forgotten;
    let actor = event.plan.actor;
    let mut decisions = event.plan.effects.into_iter().filter_map(|effect| match effect {
        // Holds the place of a decision that is past its time; no row leads to it.
        Effect::Retired => Some((Told::default(), Disposition::Drop { keep_raw: false })),
        Effect::Record(entry) => Some((
            Told {
                trail: entry.trail,
                settings_version: entry.settings_version,
                basis: entry.basis,
                standing: Some(entry.standing),
                facts: entry.facts,
                ..Told::default()
            },
            entry.disposition,
        )),
        Effect::Resolve(end) => Some((
            Told {
                trail: end.trail,
                settings_version: end.settings_version,
                basis: Some(end.basis),
                held: Some(end.held),
                ..Told::default()
            },
            end.disposition,
        )),
        _ => None,
    });
    let Some((mut told, disposition)) = decisions.nth(nth) else {
        return damaged("the record has no such decision".to_owned());
    };
    told.actor = actor;
    let ended = told.held.is_some();
    told.raw = match (&disposition, gone) {
        // The mail is that of the hold, whose own decision says what became of it.
        (Disposition::Drop { keep_raw: false }, _) => RawState::None,
        _ if ended => RawState::None,
        (_, true) => RawState::Gone,
        (_, false) => RawState::Kept,
    };
    match disposition {
        Disposition::Open | Disposition::Follow(_) => told.request = opened,
        Disposition::Comment(request) => told.request = Some(request),
        Disposition::Hold { held, .. } => told.held = Some(held),
        Disposition::Drop { .. } => {}
    }
    told
}

fn damaged(what: String) -> Told {
    let check = Check {
        check: Cow::Borrowed("record"),
        input: Cow::Owned(what),
        result: Cow::Borrowed("damaged: the trail is lost"),
    };
    Told { trail: vec![check], ..Told::default() }
}
