//! What an event needs before it may be written: its conditions hold, and it gets its numbers and turns.

use std::collections::HashMap;

use super::{Cap, Event, Turn, acknowledgements, lanes, mails, malformed, sweep, threads};
use crate::{
    store::{
        CommitError, Delivery, Effect, Lane, Plan, StoreError,
        rows::{Rows, SenderVersion, VerificationRow, key, last_key, read},
    },
    types::{ProjectKey, RequestId, Time},
};

/// The next numbers. Kept beside the rows, so that a commit needs no scan for them.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Counters {
    decision: u64,
    requests: HashMap<ProjectKey, u64>,
}

impl Counters {
    /// As the rows say.
    pub(in crate::store) fn load(rows: &dyn Rows) -> Result<Self, StoreError> {
        let last = last_key(rows, &key::all(b'x'))?;
        let decision = last.as_deref().and_then(key::number).unwrap_or(0) + 1;
        Ok(Self { decision, requests: HashMap::new() })
    }

    /// Takes the numbers of an event that was applied.
    pub(in crate::store) fn take(&mut self, event: &Event) {
        let Event::Plan(event) = event else { return };
        self.decision = event.first + event.opened.len() as u64;
        for opened in event.opened.iter().flatten() {
            self.requests.insert(opened.project.clone(), opened.number + 1);
        }
    }

    fn next_request(&self, project: &ProjectKey, rows: &dyn Rows) -> Result<u64, StoreError> {
        if let Some(next) = self.requests.get(project) {
            return Ok(*next);
        }
        let last = last_key(rows, &key::requests(project))?;
        Ok(last.as_deref().and_then(key::number).unwrap_or(0) + 1)
    }
}

/// Checks an event's conditions and gives it its numbers and turns.
pub(in crate::store) fn prepare(
    event: &mut Event,
    rows: &dyn Rows,
    counters: &Counters,
) -> Result<(), CommitError> {
    match event {
        Event::Plan(event) => {
            check(&event.plan, rows)?;
            if event.plan.effects.iter().any(|effect| matches!(effect, Effect::Forget(_))) {
                // What was forgotten is not written down once more.
                event.plan.fences.clear();
            }
            event.first = counters.decision;
            event.opened = requests(&event.plan, rows, counters)?;
            event.turns = turns(&event.plan, rows)?;
            Ok(())
        }
        Event::Sweep(event) => sweep::retain_ended(event, rows),
        Event::Settle(_) | Event::Hurry(_) | Event::Retire(_) | Event::Noop => Ok(()),
    }
}

fn check(plan: &Plan, rows: &dyn Rows) -> Result<(), CommitError> {
    for fence in &plan.fences {
        let version = read::<SenderVersion>(rows, &key::sender(&fence.address))?.map_or(0, |row| row.version);
        if version != fence.version {
            return Err(CommitError::Stale);
        }
    }
    if let Some(spend) = &plan.spend {
        let row: Option<VerificationRow> = read(rows, &key::verification(spend.verification))?;
        if row.is_none_or(|row| row.end.is_some()) {
            return Err(CommitError::TokenSpent);
        }
    }
    let duplicates = threads::duplicates(plan, rows)?;
    if duplicates.is_empty() { Ok(()) } else { Err(CommitError::Duplicate(duplicates)) }
}

fn requests(
    plan: &Plan,
    rows: &dyn Rows,
    counters: &Counters,
) -> Result<Vec<Option<RequestId>>, CommitError> {
    let mut opened: Vec<Option<RequestId>> = Vec::new();
    for effect in plan.effects.iter().filter(|effect| effect.decides()) {
        let Some(project) = opens(effect, rows)? else {
            opened.push(None);
            continue;
        };
        let last = opened.iter().rev().flatten().find(|request| request.project == project);
        let number = match last {
            Some(last) => last.number + 1,
            None => counters.next_request(&project, rows)?,
        };
        opened.push(Some(RequestId { project, number }));
    }
    Ok(opened)
}

/// The project that the decision opens a request in.
fn opens(effect: &Effect, rows: &dyn Rows) -> Result<Option<ProjectKey>, CommitError> {
    match effect {
        Effect::Record(entry) => Ok(entry.disposition.opens().then(|| entry.project.clone())),
        Effect::Resolve(resolution) if resolution.disposition.opens() => {
            let (_, held) = mails::waiting(resolution.held, rows)?;
            Ok(Some(held.project))
        }
        _ => Ok(None),
    }
}

fn turns(plan: &Plan, rows: &dyn Rows) -> Result<Vec<Turn>, CommitError> {
    let mut taken: Vec<(Lane, Time)> = Vec::new();
    let mut turns = Vec::new();
    for effect in &plan.effects {
        let Effect::Enqueue(delivery) = effect else { continue };
        let cap = acknowledgements::cap(plan, turns.len(), delivery, rows)?;
        let turn = match cap {
            Cap::Over => Turn { due_at: plan.at, lane: None, cap },
            Cap::Below | Cap::Last => Turn { cap, ..turn(plan.at, delivery, &taken, rows)? },
        };
        taken.extend(turn.lane);
        turns.push(turn);
    }
    Ok(turns)
}

fn turn(at: Time, delivery: &Delivery, taken: &[(Lane, Time)], rows: &dyn Rows) -> Result<Turn, CommitError> {
    let earliest = at.max(delivery.not_before);
    let Some(rate) = delivery.lane else { return Ok(Turn { due_at: earliest, lane: None, cap: Cap::Below }) };
    if rate.per_minute == 0 {
        return Err(malformed("a lane without a rate"));
    }
    let arrival = match taken.iter().rev().find(|(lane, _)| *lane == rate.lane) {
        Some((_, arrival)) => Some(*arrival),
        None => read::<Time>(rows, &key::lane(rate.lane))?,
    };
    let (due_at, arrival) = lanes::turn(at, arrival, rate.per_minute);
    Ok(Turn { due_at: due_at.max(earliest), lane: Some((rate.lane, arrival)), cap: Cap::Below })
}
