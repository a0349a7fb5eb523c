//! Decisions about mails: requests, comments, holds and their ends.

use super::{jobs, malformed, plan::Applying};
use crate::{
    access::{Basis, Reason},
    store::{
        BodyRef, CommitError, CommittedEntry, Disposition, Entry, Job, JobKind, MailFacts, Queue, Resolution,
        rows::{
            CommentIndex, DecisionIndex, HeldIndex, Location, RequestIndex, Rows, SeenRow, Txn, key, read,
        },
    },
    types::{AccountKind, EmailAddress, HeldId, ProjectKey, RequestId, Time},
};

/// A decision being written.
struct Decision<'a> {
    project: &'a ProjectKey,
    sender: Option<&'a EmailAddress>,
    reason: Reason,
    basis: Option<Basis>,
    body: BodyRef,
    held_at: Option<Location>,
}

/// A waiting mail and its place; `Gone` when it does not wait any more.
pub(super) fn waiting(id: HeldId, rows: &dyn Rows) -> Result<(u64, HeldIndex), CommitError> {
    let seq: u64 = read(rows, &key::held_id(id))?.ok_or(CommitError::Gone)?;
    let held = read(rows, &key::held(seq))?.ok_or(CommitError::Gone)?;
    Ok((seq, held))
}

/// The decision about the plan's mail for one project.
pub(super) fn record(entry: &Entry, applying: &mut Applying<'_, '_>) -> Result<CommittedEntry, CommitError> {
    let mail = applying.event.plan.mail.as_ref().ok_or_else(|| malformed("a decision without a mail"))?;
    let decision = Decision {
        project: &entry.project,
        sender: mail.facts.sender.as_ref(),
        reason: entry.reason,
        basis: entry.basis,
        body: applying.at.body(mail.facts.id),
        held_at: None,
    };
    let (seq, request) = write_decision(&decision, applying)?;
    if let Some(once) = &entry.once {
        applying.txn.put(key::seen(once), &SeenRow { seq, at: applying.event.plan.at })?;
    }
    let mut committed = CommittedEntry { project: entry.project.clone(), request: None, held: None };
    match &entry.disposition {
        Disposition::Open => committed.request = Some(open(&decision, seq, request, applying)?),
        Disposition::Comment(request) => {
            comment(&decision, request, seq, applying)?;
            committed.request = Some(request.clone());
        }
        Disposition::Hold { held, expires_at } => {
            hold(&mail.facts, entry, (*held, *expires_at), seq, applying)?;
            committed.held = Some(*held);
        }
        Disposition::Drop { .. } => {}
    }
    Ok(committed)
}

/// The end of a hold.
pub(super) fn resolve(
    resolution: &Resolution,
    applying: &mut Applying<'_, '_>,
) -> Result<CommittedEntry, CommitError> {
    let (place, held) = take_held(resolution.held, applying.txn)?;
    let decision = Decision {
        project: &held.project,
        sender: Some(&held.sender),
        reason: resolution.reason,
        basis: Some(resolution.basis),
        body: held.body,
        held_at: Some(Location::from(&held.body)),
    };
    let (seq, request) = write_decision(&decision, applying)?;
    let request = match &resolution.disposition {
        Disposition::Open => Some(open(&decision, seq, request, applying)?),
        Disposition::Comment(request) => {
            comment(&decision, request, seq, applying)?;
            Some(request.clone())
        }
        Disposition::Drop { .. } => {
            free_key(&held, place, applying.txn)?;
            None
        }
        Disposition::Hold { .. } => return Err(malformed("a hold that ends as a hold")),
    };
    Ok(CommittedEntry { project: held.project.clone(), request, held: Some(held.id) })
}

/// The row that every decision has, and its place among the sender's.
fn write_decision(
    decision: &Decision<'_>,
    applying: &mut Applying<'_, '_>,
) -> Result<(u64, Option<RequestId>), CommitError> {
    let nth = applying.decided;
    let opened = applying.event.opened.get(nth).ok_or_else(|| malformed("a decision has no number"))?;
    let seq = applying.event.first + nth as u64;
    let row = DecisionIndex {
        at: applying.event.plan.at,
        mail: decision.body.mail,
        project: decision.project.clone(),
        reason: decision.reason,
        record: applying.at,
        nth: u32::try_from(nth).map_err(|_| malformed("too many decisions"))?,
        held_at: decision.held_at,
        opened: opened.as_ref().map(|request| request.number),
    };
    applying.txn.put(key::decision(seq), &row)?;
    if let Some(sender) = decision.sender {
        applying.txn.mark(key::sender_decision(sender, seq));
    }
    Ok((seq, opened.clone()))
}

fn open(
    decision: &Decision<'_>,
    seq: u64,
    request: Option<RequestId>,
    applying: &mut Applying<'_, '_>,
) -> Result<RequestId, CommitError> {
    let reporter = decision.sender.ok_or_else(|| malformed("a request without a sender"))?;
    let request = request.ok_or_else(|| malformed("a request without a number"))?;
    let account = applying.txn.sender(reporter)?.account;
    let row = RequestIndex {
        seq,
        at: applying.event.plan.at,
        reporter: reporter.clone(),
        kind: account.map_or(AccountKind::PortalOnly, |account| account.kind),
        basis: decision.basis,
        body: decision.body,
    };
    applying.txn.put(key::request(&request.project, request.number), &row)?;
    Ok(request)
}

fn comment(
    decision: &Decision<'_>,
    request: &RequestId,
    seq: u64,
    applying: &mut Applying<'_, '_>,
) -> Result<(), CommitError> {
    let author = decision.sender.ok_or_else(|| malformed("a comment without a sender"))?;
    let (project, number) = (&request.project, request.number);
    let found: Option<RequestIndex> = applying.txn.read(&key::request(project, number))?;
    found.ok_or(CommitError::Gone)?;
    let row = CommentIndex { author: author.clone(), at: applying.event.plan.at, body: decision.body };
    applying.txn.put(key::comment(project, number, seq), &row)
}

fn hold(
    facts: &MailFacts,
    entry: &Entry,
    (id, expires_at): (HeldId, Time),
    seq: u64,
    applying: &mut Applying<'_, '_>,
) -> Result<(), CommitError> {
    let sender = facts.sender.as_ref().ok_or_else(|| malformed("a hold without a sender"))?;
    let row = HeldIndex {
        id,
        project: entry.project.clone(),
        sender: sender.clone(),
        reason: entry.reason,
        received_at: facts.received_at,
        expires_at,
        standing: entry.standing,
        once: entry.once,
        body: applying.at.body(facts.id),
    };
    let (at, txn) = (applying.event.plan.at, &mut *applying.txn);
    if txn.read::<u64>(&key::held_id(id))?.is_some() {
        return Err(CommitError::Gone);
    }
    txn.put(key::held(seq), &row)?;
    txn.put(key::held_id(id), &seq)?;
    txn.change_sender(sender, |row| row.held.push(id))?;
    let job = Job {
        id: id.uuid(),
        due_at: expires_at,
        enqueued_at: at,
        attempts: 0,
        last_error: None,
        kind: JobKind::Expire(id),
    };
    jobs::add(Queue::Expiry, &job, txn)
}

/// Takes a mail out of what waits.
fn take_held(id: HeldId, txn: &mut Txn<'_>) -> Result<(u64, HeldIndex), CommitError> {
    let (seq, held) = waiting(id, &txn.rows())?;
    txn.remove(key::held_id(id));
    txn.remove(key::held(seq));
    jobs::remove(Queue::Expiry, id.uuid(), txn)?;
    txn.change_sender(&held.sender, |row| {
        row.held.retain(|other| *other != id);
        row.releasing.retain(|other| *other != id);
    })?;
    Ok((seq, held))
}

/// A hold that ends in a drop frees its key: the same mail may come again (access-rules, check 1).
fn free_key(held: &HeldIndex, seq: u64, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let Some(once) = held.once else { return Ok(()) };
    let place = key::seen(&once);
    if txn.read::<SeenRow>(&place)?.is_some_and(|seen| seen.seq == seq) {
        txn.remove(place);
    }
    Ok(())
}
