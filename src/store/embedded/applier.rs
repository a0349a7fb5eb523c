//! The thread that brings committed rows into the index, behind the answers.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::Shared;
use crate::store::{
    StoreError,
    rows::{Changes, CheckpointRow},
};

/// Most records in one write of the index: larger ones cost sled more memory and are slower.
pub(super) const MAX_RECORDS: usize = 64;
/// How long the index waits for more records before it writes fewer: nobody waits for it, as all reads see the overlay, and
/// a write of few records costs almost as much as one of many.
const LINGER: Duration = Duration::from_millis(10);
/// How often the index is synced.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What follows from one record.
pub(super) struct Unit {
    /// The record's number.
    pub(super) seq: u64,
    /// Its rows.
    pub(super) changes: Changes,
    /// Where the index is with them.
    pub(super) checkpoint: CheckpointRow,
}

/// Applies all that comes; returns whether all of it is in the index and on disk.
pub(super) fn run(shared: &Arc<Shared>, units: &Receiver<Vec<Unit>>) -> bool {
    let mut unsynced = None;
    loop {
        match units.recv_timeout(SYNC_EVERY) {
            Ok(batch) => {
                let batch = gather(batch, units);
                if !guarded(shared, || apply(shared, batch)) {
                    return false;
                }
                unsynced.get_or_insert_with(Instant::now);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return guarded(shared, || shared.rows.index.flush().and_then(|()| shared.rows.index.sync()));
            }
        }
        if unsynced.is_some_and(|since: Instant| since.elapsed() >= SYNC_EVERY) {
            if !guarded(shared, || shared.rows.index.sync()) {
                return false;
            }
            unsynced = None;
        }
    }
}

/// What comes within the time to linger, up to a full write.
fn gather(mut gathered: Vec<Unit>, units: &Receiver<Vec<Unit>>) -> Vec<Unit> {
    let until = Instant::now() + LINGER;
    while gathered.len() < MAX_RECORDS {
        let Ok(more) = units.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
        gathered.extend(more);
    }
    gathered
}

fn apply(shared: &Shared, batch: Vec<Unit>) -> Result<(), StoreError> {
    let mut batch = batch.into_iter();
    loop {
        let mut some = batch.by_ref().take(MAX_RECORDS).peekable();
        if some.peek().is_none() {
            return Ok(());
        }
        apply_some(shared, some)?;
    }
}

fn apply_some(shared: &Shared, units: impl Iterator<Item = Unit>) -> Result<(), StoreError> {
    let (mut changes, mut seq, mut checkpoint) = (Changes::new(), 0, None);
    for unit in units {
        changes.extend(unit.changes);
        (seq, checkpoint) = (unit.seq, Some(unit.checkpoint));
    }
    let Some(checkpoint) = checkpoint else { return Ok(()) };
    let keys: Vec<_> = changes.keys().cloned().collect();
    // On a full disk the reserve is given up here, so that this write finds room. The writer refuses mail from then on.
    let _ = shared.status.reserve.admit(0);
    shared.rows.index.apply(changes, checkpoint)?;
    shared.rows.index.flush()?;
    shared.rows.overlay.retire(keys.iter(), seq);
    Ok(())
}

/// The journal has everything: when the index fails, the process leaves, and the next start makes it anew.
fn guarded(shared: &Shared, act: impl FnOnce() -> Result<(), StoreError>) -> bool {
    let problem = match panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "sled panicked".to_owned(),
    };
    shared.status.fail_for_good(format!("the index can't be written: {problem}"));
    false
}
