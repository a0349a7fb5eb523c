//! Jobs: added by plans, moved and removed when they are settled.

use uuid::Uuid;

use super::{HurryEvent, SettleEvent, verifications};
use crate::{
    store::{
        CommitError, Job, JobKind, Queue, Settlement,
        rows::{JobIndex, MailState, Txn, key},
    },
    types::Time,
};

/// Most bytes of a kept error.
const MAX_ERROR: usize = 512;

/// Adds a job.
pub(super) fn add(queue: Queue, job: &Job, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let place = key::job_id(queue, job.id);
    if txn.read::<JobIndex>(&place)?.is_some() {
        return Err(CommitError::Gone);
    }
    txn.put(place, &JobIndex(job.due_at))?;
    txn.put(key::job(queue, job.due_at, job.id), job)
}

/// Removes a job, if it is there.
pub(super) fn remove(queue: Queue, id: Uuid, txn: &mut Txn<'_>) -> Result<Option<Job>, CommitError> {
    let place = key::job_id(queue, id);
    let Some(JobIndex(due)) = txn.read(&place)? else { return Ok(None) };
    let row = key::job(queue, due, id);
    let job = txn.read(&row)?;
    txn.remove(place);
    txn.remove(row);
    Ok(job)
}

/// Ends a lease. `Gone` when the job is.
pub(super) fn settle(event: &SettleEvent, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let mut job = remove(event.queue, event.id, txn)?.ok_or(CommitError::Gone)?;
    match &event.settlement {
        Settlement::Done(reply) => {
            verifications::settled(&job, |_, text| MailState::Sent(event.at, text(reply)), txn)
        }
        Settlement::Dead(error) => {
            verifications::settled(&job, |_, text| MailState::Failed(event.at, text(error)), txn)?;
            give_back(&job, txn)
        }
        Settlement::RetryAt(due, error) => {
            job.attempts += 1;
            job.last_error = Some(cut(error, MAX_ERROR));
            move_to(event.queue, job, *due, txn)
        }
    }
}

/// Makes jobs due earlier; those that are gone or due earlier already stay as they are.
pub(super) fn hurry(event: &HurryEvent, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    for id in &event.ids {
        if let Some(job) = remove(event.queue, *id, txn)? {
            let due = job.due_at.min(event.at);
            move_to(event.queue, job, due, txn)?;
        }
    }
    Ok(())
}

fn move_to(queue: Queue, mut job: Job, due: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    job.due_at = due;
    verifications::settled(
        &job,
        |mail, _| {
            mail.due_at = due;
            MailState::Waiting
        },
        txn,
    )?;
    txn.put(key::job_id(queue, job.id), &JobIndex(due))?;
    txn.put(key::job(queue, due, job.id), &job)
}

/// A release that was given up leaves no mail without a way on: what it has not got to waits again.
fn give_back(job: &Job, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let JobKind::Release { address, release, not_mine } = &job.kind else { return Ok(()) };
    txn.change_sender(address, |row| {
        let listed = |id: &_| release.contains(id) || not_mine.contains(id);
        let (back, stay) = row.releasing.iter().partition(|id| listed(id));
        row.releasing = stay;
        let later = std::mem::replace(&mut row.held, back);
        row.held.extend(later);
    })
}

/// The text, cut to at most `max` bytes at a character's end.
pub(super) fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}
