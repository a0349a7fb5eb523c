//! Queues: which jobs are due, and to whom mail is on its way.

use std::{ops::ControlFlow, time::Duration};

use uuid::Uuid;

use crate::{
    store::{
        Backlog, DeliveryRow, Job, JobKind, Lease, Order, Queue, StoreError,
        leases::Leases,
        rows::{HeldIndex, Rows, decode, key},
    },
    types::{EmailAddress, Time},
};

/// [`crate::store::Store::claim`]: takes leases on what is due.
pub(in crate::store) fn claim(
    rows: &dyn Rows,
    leases: &mut Leases,
    (queue, now): (Queue, Time),
    max: usize,
    lease: Duration,
) -> Result<Vec<Lease>, StoreError> {
    let mut jobs = Vec::new();
    rows.scan(&key::jobs(queue), Order::Oldest, &mut |place, value| {
        let job: Job = decode(place, value)?;
        if jobs.len() == max || job.due_at > now {
            return Ok(ControlFlow::Break(()));
        }
        if leases.is_free(queue, job.id, now) {
            jobs.push(job);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let until = now.plus(lease);
    Ok(jobs.into_iter().map(|job| Lease { queue, fence: leases.take(queue, job.id, until), job }).collect())
}

/// [`crate::store::Store::next_due`]. A leased job is due again when its lease ends.
pub(in crate::store) fn next_due(
    rows: &dyn Rows,
    leases: &Leases,
    queue: Queue,
) -> Result<Option<Time>, StoreError> {
    let mut next: Option<Time> = None;
    rows.scan(&key::jobs(queue), Order::Oldest, &mut |place, value| {
        let job: Job = decode(place, value)?;
        let due = leases.until(queue, job.id).map_or(job.due_at, |until| until.max(job.due_at));
        let others_may_come_first = due > job.due_at;
        next = Some(next.map_or(due, |next| next.min(due)));
        Ok(if others_may_come_first { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(next)
}

/// [`crate::store::Store::deliveries`].
pub(in crate::store) fn deliveries(
    rows: &dyn Rows,
    to: &EmailAddress,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let mut found = Vec::new();
    rows.scan(&key::jobs(Queue::Outbox), Order::Oldest, &mut |place, value| {
        let job: Job = decode(place, value)?;
        if let JobKind::Deliver(delivery) = job.kind
            && delivery.to == *to
        {
            found.push(DeliveryRow {
                delivery,
                enqueued_at: job.enqueued_at,
                due_at: job.due_at,
                attempts: job.attempts,
                last_error: job.last_error,
            });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// [`crate::store::Store::backlog`].
pub(in crate::store) fn backlog(rows: &dyn Rows) -> Result<Backlog, StoreError> {
    let mut backlog = Backlog::default();
    rows.scan(&key::jobs(Queue::Outbox), Order::Oldest, &mut |place, value| {
        let job: Job = decode(place, value)?;
        if let JobKind::Deliver(delivery) = job.kind {
            backlog.outbox.push((delivery.kind.as_str(), job.enqueued_at));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    rows.scan(&key::all(b'h'), Order::Oldest, &mut |place, value| {
        let held: HeldIndex = decode(place, value)?;
        backlog.held.push(held.received_at);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(backlog)
}

/// Mails of ours that wait for another try after `now`: at start they are due at once.
pub(in crate::store) fn hurried(rows: &dyn Rows, now: Time) -> Result<Vec<Uuid>, StoreError> {
    let mut ids = Vec::new();
    rows.scan(&key::jobs(Queue::Outbox), Order::Oldest, &mut |place, value| {
        let job: Job = decode(place, value)?;
        if job.attempts > 0 && job.due_at > now {
            ids.push(job.id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids)
}
