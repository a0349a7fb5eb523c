//! The thread that brings committed rows into the index, behind the answers.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use super::{Shared, overlay::Unit};
use crate::store::StoreError;

/// Most records in one write of the index: larger ones cost sled more memory and are slower.
pub(super) const MAX_RECORDS: usize = 256;
/// How long the index waits for more records before it writes fewer: nobody waits for it, as all reads see the overlay, and
/// a write of few records costs almost as much as one of many.
const LINGER: Duration = Duration::from_millis(10);
/// How often the index is synced.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Writes of the index after which sled hands its log to the system: each time wakes all of its threads, and its memory
/// holds what it has not handed over. What a crash takes back is in the journal, behind the checkpoint.
const FLUSH_EVERY: u32 = 16;

/// Applies all that comes; returns whether all of it is in the index and on disk.
pub(super) fn run(shared: &Arc<Shared>, units: &Receiver<Vec<Unit>>) -> bool {
    let (mut unsynced, mut writes) = (None, 0);
    let sync = || {
        shared.rows.index.flush()?;
        shared.rows.index.sync()?;
        shared.status.synced();
        Ok(())
    };
    loop {
        match units.recv_timeout(SYNC_EVERY) {
            Ok(batch) => {
                let batch = gather(batch, units);
                if !guarded(shared, || apply(shared, &batch, &mut writes)) {
                    return false;
                }
                unsynced.get_or_insert_with(Instant::now);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return guarded(shared, sync),
        }
        if unsynced.is_some_and(|since: Instant| since.elapsed() >= SYNC_EVERY) {
            if !guarded(shared, sync) {
                return false;
            }
            unsynced = None;
        }
    }
}

/// What comes within the time to linger, up to a full write.
fn gather(mut gathered: Vec<Unit>, units: &Receiver<Vec<Unit>>) -> Vec<Unit> {
    let until = Instant::now() + LINGER;
    while gathered.iter().map(|unit| unit.records).sum::<usize>() < MAX_RECORDS {
        let Ok(more) = units.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
        gathered.extend(more);
    }
    gathered
}

fn apply(shared: &Shared, mut units: &[Unit], writes: &mut u32) -> Result<(), StoreError> {
    while !units.is_empty() {
        let (mut records, mut count) = (0, 0);
        while let Some(unit) =
            units.get(count).filter(|unit| count == 0 || records + unit.records <= MAX_RECORDS)
        {
            records += unit.records;
            count += 1;
        }
        let (now, later) = units.split_at(count);
        write(shared, now)?;
        units = later;
        *writes += 1;
        if writes.is_multiple_of(FLUSH_EVERY) {
            shared.rows.index.flush()?;
        }
    }
    Ok(())
}

/// One write of the index.
fn write(shared: &Shared, units: &[Unit]) -> Result<(), StoreError> {
    let Some(last) = units.last() else { return Ok(()) };
    // On a full disk the reserve is given up here, so that this write finds room. The writer refuses mail from then on.
    let _ = shared.status.reserve.admit(0);
    shared.rows.index.apply(units.iter().flat_map(|unit| &unit.changes), last.checkpoint)?;
    shared.rows.overlay.retire(units);
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
