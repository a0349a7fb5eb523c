//! Looking after the store while the daemon runs.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time;

use crate::{
    config::Config,
    ops::{Event, Ops, Shutdown, StoreCompacted, StoreDamaged, StoreFailed},
    store::{Effort, Store},
};

/// Between two looks at the store's health.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Between two measurements of what the store's files take.
const MEASURE_EVERY: Duration = Duration::from_mins(1);
/// Between two readings of everything that the store keeps.
const SCRUB_EVERY: Duration = Duration::from_hours(24);

/// Between two compactions, and before the first.
const COMPACT_EVERY: Duration = Duration::from_hours(12);
const FIRST_COMPACTION: Duration = Duration::from_mins(10);

/// Takes away what is past its retention, now and then.
pub(super) async fn compact(
    store: Arc<dyn Store>,
    config: Arc<ArcSwap<Config>>,
    ops: Ops,
    shutdown: Shutdown,
) {
    let mut wait = FIRST_COMPACTION;
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = time::sleep(wait) => {}
        }
        wait = COMPACT_EVERY;
        let (retention, began) = (config.load().retention, time::Instant::now());
        match store.compact(&retention, ops.clock.now(), Effort::Gentle).await {
            Ok(compacted) if compacted.is_nothing() => {}
            Ok(compacted) => StoreCompacted::new(compacted.parts(), began.elapsed(), None).emit(&ops),
            Err(error) => StoreFailed { error: &error.to_string(), fatal: false }.emit(&ops),
        }
    }
}

/// Reads all that the store keeps, after the start and once a day, and names what is damaged, once.
pub(super) async fn scrub(store: Arc<dyn Store>, ops: Ops, shutdown: Shutdown) {
    let mut told = HashSet::new();
    loop {
        // A store that can't be read now is told of by whoever needs it.
        for damage in store.scrub().await.unwrap_or_default() {
            if told.insert(damage.clone()) {
                StoreDamaged { damage: &damage }.emit(&ops);
            }
        }
        tokio::select! {
            () = shutdown.begun() => return,
            () = time::sleep(SCRUB_EVERY) => {}
        }
    }
}

/// Measures what the files of the store take, once a minute.
pub(super) async fn measure(path: PathBuf, ops: Ops, shutdown: Shutdown) {
    loop {
        let folder = path.clone();
        let measured = tokio::task::spawn_blocking(move || size_of(&folder)).await;
        // A folder that can't be read now keeps its last size; the store itself tells what is wrong.
        if let Ok(Ok(bytes)) = measured {
            ops.metrics.store_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        tokio::select! {
            () = shutdown.begun() => return,
            () = time::sleep(MEASURE_EVERY) => {}
        }
    }
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path())?,
            Ok(metadata) => metadata.len(),
            // Removed since the folder was read.
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

/// Looks after the store: says when it stops and starts taking writes, and stops the daemon when it can't be trusted any
/// more. Answers why.
pub(super) async fn watch(store: Arc<dyn Store>, ops: Ops, shutdown: Shutdown) -> Option<String> {
    let mut writable = true;
    loop {
        let health = store.health();
        let problem = || health.problem.clone().unwrap_or_else(|| "the store takes no writes".to_owned());
        if health.fatal {
            let why = problem();
            StoreFailed { error: &why, fatal: true }.emit(&ops);
            shutdown.begin();
            return Some(why);
        }
        if writable && !health.writable {
            StoreFailed { error: &problem(), fatal: false }.emit(&ops);
        }
        writable = health.writable;
        tokio::select! {
            () = shutdown.begun() => return None,
            () = time::sleep(WATCH_EVERY) => {}
        }
    }
}
