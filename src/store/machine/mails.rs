//! Decisions about mails: requests, comments, holds and their ends.

use super::{jobs, malformed, plan::Applying, threads};
use crate::{
    access::{Basis, Reason},
    store::{
        BodyRef, CommitError, CommittedEntry, Disposition, Entry, Job, JobKind, Kept, MailFacts, Once, Queue,
        RequestStatus, Resolution,
        rows::{
            CommentIndex, DecisionIndex, HeldIndex, Location, RequestIndex, Rows, SenderKind, Txn, key, read,
        },
        threads::AddressHash,
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
    participants: Vec<AddressHash>,
    /// Whether it is about a mail whose sender was forgotten: that is so in replays alone.
    forgotten: bool,
}

impl<'a> Decision<'a> {
    /// The sender; none of a mail whose sender was forgotten.
    fn sender_or(&self, lacking: &str) -> Result<Option<&'a EmailAddress>, CommitError> {
        if self.sender.is_some() || self.forgotten { Ok(self.sender) } else { Err(malformed(lacking)) }
    }
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
        participants: mail.facts.participants.iter().map(AddressHash::of).collect(),
        forgotten: applying.event.forgotten,
    };
    let (seq, request) = write_decision(&decision, applying)?;
    let mut committed = CommittedEntry { project: entry.project.clone(), request: None, held: None };
    let once = entry.once.map(|digest| Once::of(&entry.project, mail.facts.message_id.as_deref(), digest));
    match &entry.disposition {
        Disposition::Open | Disposition::Follow(_) | Disposition::Comment(_) => {
            committed.request = create(&decision, &entry.disposition, (seq, request), applying)?;
        }
        Disposition::Hold { held, expires_at } => {
            hold(&decision, (&mail.facts, entry), (*held, *expires_at), (seq, once), applying)?;
            committed.held = Some(*held);
        }
        Disposition::Drop { .. } => {}
    }
    let kept = committed.request.as_ref().map(|request| Kept::Request(request.number));
    if let (Some(once), Some(kept)) = (&once, kept.or(committed.held.map(Kept::Held))) {
        threads::remember(once, kept, applying.event.plan.at, applying.txn)?;
    }
    Ok(committed)
}

/// The request or comment that comes of a decision, if one does.
fn create(
    decision: &Decision<'_>,
    disposition: &Disposition,
    (seq, opened): (u64, Option<RequestId>),
    applying: &mut Applying<'_, '_>,
) -> Result<Option<RequestId>, CommitError> {
    match disposition {
        Disposition::Open => open(decision, None, (seq, opened), applying).map(Some),
        Disposition::Follow(old) => open(decision, Some(old), (seq, opened), applying).map(Some),
        Disposition::Comment(request) => {
            comment(decision, request, seq, applying)?;
            Ok(Some(request.clone()))
        }
        Disposition::Drop { .. } => Ok(None),
        Disposition::Hold { .. } => Err(malformed("a hold that ends as a hold")),
    }
}

/// The end of a hold.
pub(super) fn resolve(
    resolution: &Resolution,
    applying: &mut Applying<'_, '_>,
) -> Result<CommittedEntry, CommitError> {
    let held = take_held(resolution.held, applying.txn)?;
    let decision = Decision {
        project: &held.project,
        sender: held.sender.as_ref(),
        reason: resolution.reason,
        basis: Some(resolution.basis),
        body: held.body,
        held_at: Some(Location::from(&held.body)),
        participants: held.participants.clone(),
        forgotten: held.sender.is_none(),
    };
    let numbers = write_decision(&decision, applying)?;
    let request = create(&decision, &resolution.disposition, numbers, applying)?;
    threads::end_hold(&held, request.as_ref().map(|request| request.number), applying.txn)?;
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
        forgotten: decision.forgotten,
    };
    applying.txn.put(key::decision(seq), &row)?;
    if let Some(sender) = decision.sender {
        applying.txn.mark(key::sender_decision(sender, seq));
    }
    Ok((seq, opened.clone()))
}

fn open(
    decision: &Decision<'_>,
    follows: Option<&RequestId>,
    (seq, request): (u64, Option<RequestId>),
    applying: &mut Applying<'_, '_>,
) -> Result<RequestId, CommitError> {
    let reporter = decision.sender_or("a request without a sender")?;
    let request = request.ok_or_else(|| malformed("a request without a number"))?;
    let known =
        reporter.map(|reporter| applying.txn.read::<SenderKind>(&key::sender(reporter))).transpose()?;
    let known = known.flatten();
    let mut row = RequestIndex {
        seq,
        at: applying.event.plan.at,
        reporter: reporter.cloned(),
        kind: known.and_then(|row| row.account).map_or(AccountKind::PortalOnly, |account| account.kind),
        basis: decision.basis,
        closed_at: None,
        follows: follows.map(|request| request.number),
        participants: Vec::new(),
        body: decision.body,
    };
    row.add_participants(&decision.participants);
    if decision.forgotten {
        row.forget_reporter();
    }
    applying.txn.put(key::request(&request.project, request.number), &row)?;
    Ok(request)
}

fn comment(
    decision: &Decision<'_>,
    request: &RequestId,
    seq: u64,
    applying: &mut Applying<'_, '_>,
) -> Result<(), CommitError> {
    let author = decision.sender_or("a comment without a sender")?;
    let (project, number) = (&request.project, request.number);
    if project != decision.project {
        return Err(malformed("a comment on another project's request"));
    }
    change_request(request, applying, |row| {
        // Whoever decided it may not have seen that somebody closes it at this moment.
        row.closed_at = None;
        row.add_participants(&decision.participants);
    })?;
    let mut row = CommentIndex { author: author.cloned(), at: applying.event.plan.at, body: decision.body };
    if decision.forgotten {
        row.forget_author();
    }
    applying.txn.put(key::comment(project, number, seq), &row)
}

/// Changes a request's row, if that changes anything; `Gone` when there is none.
fn change_request(
    request: &RequestId,
    applying: &mut Applying<'_, '_>,
    change: impl FnOnce(&mut RequestIndex),
) -> Result<(), CommitError> {
    let place = key::request(&request.project, request.number);
    let before: RequestIndex = applying.txn.read(&place)?.ok_or(CommitError::Gone)?;
    let mut row = before.clone();
    change(&mut row);
    if row == before { Ok(()) } else { applying.txn.put(place, &row) }
}

/// Closes or opens a request; a closed one keeps the time of its closing.
pub(super) fn set_status(
    request: &RequestId,
    status: RequestStatus,
    applying: &mut Applying<'_, '_>,
) -> Result<(), CommitError> {
    let at = applying.event.plan.at;
    change_request(request, applying, |row| {
        row.closed_at = match status {
            RequestStatus::Open => None,
            RequestStatus::Closed => Some(row.closed_at.unwrap_or(at)),
        };
    })
}

fn hold(
    decision: &Decision<'_>,
    (facts, entry): (&MailFacts, &Entry),
    (id, expires_at): (HeldId, Time),
    (seq, once): (u64, Option<Once>),
    applying: &mut Applying<'_, '_>,
) -> Result<(), CommitError> {
    let sender = decision.sender_or("a hold without a sender")?;
    let row = HeldIndex {
        id,
        project: entry.project.clone(),
        sender: sender.cloned(),
        reason: entry.reason,
        received_at: facts.received_at,
        expires_at,
        standing: entry.standing,
        once,
        participants: decision.participants.clone(),
        body: decision.body,
    };
    let (at, txn) = (applying.event.plan.at, &mut *applying.txn);
    if txn.read::<u64>(&key::held_id(id))?.is_some() {
        return Err(CommitError::Gone);
    }
    txn.put(key::held(seq), &row)?;
    txn.put(key::held_id(id), &seq)?;
    if let Some(sender) = sender {
        txn.change_sender(sender, |row| row.held.push(id))?;
    }
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
fn take_held(id: HeldId, txn: &mut Txn<'_>) -> Result<HeldIndex, CommitError> {
    let (seq, held) = waiting(id, &txn.rows())?;
    txn.remove(key::held_id(id));
    txn.remove(key::held(seq));
    jobs::remove(Queue::Expiry, id.uuid(), txn)?;
    if let Some(sender) = &held.sender {
        txn.change_sender(sender, |row| {
            row.held.retain(|other| *other != id);
            row.releasing.retain(|other| *other != id);
        })?;
    }
    Ok(held)
}
