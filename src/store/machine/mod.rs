//! The state machine: what a plan needs, what it is given, and which rows follow from it. The same for every engine.
//!
//! [`prepare`] checks an event against the rows and gives it what only the writer can give (numbers, turns). What comes
//! out goes into the journal. [`apply`] makes rows of it, and makes the same rows again when the journal is replayed.

mod acknowledgements;
mod event;
mod jobs;
mod lanes;
mod mails;
mod plan;
mod prepare;
mod sweep;
mod threads;
mod verifications;

pub(super) use event::{Cap, Event, HurryEvent, PlanEvent, SettleEvent, SweepEvent, Turn};
pub(super) use prepare::{Counters, prepare};
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
        Event::Settle(event) => jobs::settle(event, txn).map(|()| Committed::default()),
        Event::Hurry(event) => jobs::hurry(event, txn).map(|()| Committed::default()),
        Event::Sweep(event) => sweep::apply(event, txn).map(|()| Committed::default()),
        Event::Noop => Ok(Committed::default()),
    }
}

/// A plan that no planner should make.
fn malformed(what: &str) -> CommitError {
    CommitError::Unavailable(format!("the plan is malformed: {what}"))
}
