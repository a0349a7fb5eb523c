//! Leases on jobs. They live in memory: the process that holds the store is the only one that can hold them, and when it
//! ends they all end.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use super::{Lease, Queue};
use crate::types::Time;

/// Who works on what.
#[derive(Debug, Default)]
pub(super) struct Leases {
    taken: HashMap<(Queue, Uuid), Taken>,
    last_fence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    until: Time,
    fence: u64,
    /// Its end is being written: nobody else gets it meanwhile.
    settling: bool,
}

impl Leases {
    /// Whether nobody works on the job.
    pub(super) fn is_free(&self, queue: Queue, id: Uuid, now: Time) -> bool {
        self.taken.get(&(queue, id)).is_none_or(|taken| !taken.settling && taken.until <= now)
    }

    /// Until when the job is leased.
    pub(super) fn until(&self, queue: Queue, id: Uuid) -> Option<Time> {
        self.taken.get(&(queue, id)).map(|taken| taken.until)
    }

    /// Leases the job and returns the fencing number.
    pub(super) fn take(&mut self, queue: Queue, id: Uuid, until: Time) -> u64 {
        self.last_fence += 1;
        self.taken.insert((queue, id), Taken { until, fence: self.last_fence, settling: false });
        self.last_fence
    }

    /// Begins to write the end of a lease; `None` when it was lost. A lease that has expired still counts until somebody
    /// else takes the job.
    pub(super) fn settle<'a>(leases: &'a Mutex<Self>, lease: &Lease) -> Option<Settling<'a>> {
        let place = (lease.queue, lease.job.id);
        let mut locked = leases.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = locked.taken.get_mut(&place)?;
        if taken.fence != lease.fence || taken.settling {
            return None;
        }
        taken.settling = true;
        drop(locked);
        Some(Settling { leases, place })
    }
}

/// The end of a lease is being written. Dropped before it is over, the lease goes on.
pub(super) struct Settling<'a> {
    leases: &'a Mutex<Leases>,
    place: (Queue, Uuid),
}

impl Settling<'_> {
    /// The end is written.
    pub(super) fn over(self) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.place);
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = leases.taken.get_mut(&self.place) {
            taken.settling = false;
        }
    }
}
