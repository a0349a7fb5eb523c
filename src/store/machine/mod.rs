//! The state machine: what a plan needs, what it is given, and which rows follow from it. The same for every engine.
//!
//! [`prepare`] checks an event against the rows and gives it what only the writer can give (numbers, turns). What comes
//! out goes into the journal. [`apply`] makes rows of it, and makes the same rows again when the journal is replayed.

mod acknowledgements;
mod creators;
mod event;
mod forget;
mod jobs;
mod lanes;
mod mails;
mod plan;
mod prepare;
mod residue;
mod retire;
mod scrub;
mod sweep;
mod threads;
mod verifications;

pub(super) use creators::Creators;
pub(super) use event::{Cap, Event, HurryEvent, PlanEvent, RetireEvent, SettleEvent, SweepEvent, Turn};
pub(super) use forget::Forgotten;
pub(super) use prepare::{Counters, prepare};
pub(super) use residue::Judge;
pub(super) use retire::{Before, retirable};
pub(super) use sweep::candidates;
pub(super) use threads::seen_since;

use super::{
    CommitError, Committed,
    rows::{Location, Txn},
};

/// Makes the rows that follow from an event whose record is at `at`.
pub(super) fn apply(event: &Event, at: Location, txn: &mut Txn<'_>) -> Result<Committed, CommitError> {
    match event {
        Event::Plan(event) => plan::apply(event, at, txn),
        Event::Settle(event) => {
            let settled = jobs::settle(event, txn);
            txn.lenient(settled).map(|_| Committed::default())
        }
        Event::Hurry(event) => jobs::hurry(event, txn).map(|()| Committed::default()),
        Event::Sweep(event) => sweep::apply(event, txn).map(|()| Committed::default()),
        Event::Retire(event) => retire::apply(event, txn).map(|()| Committed::default()),
        Event::Noop => Ok(Committed::default()),
    }
}

impl Txn<'_> {
    /// Replaying a compacted journal, what a change was about may be gone for being past its time, and the change with it.
    fn lenient<T>(&self, outcome: Result<T, CommitError>) -> Result<Option<T>, CommitError> {
        match outcome {
            Err(CommitError::Gone) if self.is_compacted() => Ok(None),
            outcome => outcome.map(Some),
        }
    }
}

/// A plan that no planner should make.
fn malformed(what: &str) -> CommitError {
    CommitError::Unavailable(format!("the plan is malformed: {what}"))
}
