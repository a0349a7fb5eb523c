//! The index: all rows, in sled. Nothing is lost with it: it is made anew from the journal.

use std::{
    fs::{self, File},
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::files::create_private;
use crate::store::{
    Order, StoreError,
    rows::{CheckpointRow, Key, KeyRange, Rows, Value, Visit, encode, key},
};

/// The version of the rows. Another one in the index: it is made anew.
pub(super) const SCHEMA: u64 = 3;
/// How much of it sled is to keep in memory, in bytes; it takes a multiple of that.
const CACHE: u64 = 24 << 20;
/// How often sled's own thread syncs; never `None`, or sled never frees what it has written over.
const FLUSH_MS: u64 = 500;
/// Longest time for opening.
const OPEN_LIMIT: Duration = Duration::from_mins(2);
/// How long sled's threads may keep the index after it was closed. Nobody else has it: the data directory is locked.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries meanwhile.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Longest time for closing; sled has been seen to hang when its disk is full.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The rows in sled.
pub(super) struct Index {
    db: Option<sled::Db>,
    /// Our own descriptor: sled's flush does not wait for the device.
    file: File,
}

impl Index {
    /// Opens or makes it. Sled panics or hangs on some damage: both become errors.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        // Sled would make it readable for everybody.
        create_private(dir).map_err(|error| error.to_string())?;
        remove_unfinished_snapshots(dir).map_err(|error| error.to_string())?;
        let config = sled::Config::new().path(dir).cache_capacity(CACHE).flush_every_ms(Some(FLUSH_MS));
        let (sender, receiver) = mpsc::channel();
        let open = move || {
            let opened = panic::catch_unwind(AssertUnwindSafe(|| open_when_free(&config)));
            // Nobody listens any more when it took too long.
            let _ = sender.send(opened);
        };
        thread::Builder::new()
            .name("index-open".to_owned())
            .spawn(open)
            .map_err(|error| error.to_string())?;
        let opened = receiver.recv_timeout(OPEN_LIMIT).map_err(|_| "opening it takes too long".to_owned())?;
        let db = opened.map_err(|_| "sled panicked".to_owned())?.map_err(|error| error.to_string())?;
        let file = File::open(dir.join("db")).map_err(|error| error.to_string())?;
        let index = Self { db: Some(db), file };
        index.sync_files(dir).map_err(|error| error.to_string())?;
        Ok(index)
    }

    /// Makes sled's files and their directory entries durable.
    fn sync_files(&self, dir: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        File::open(dir)?.sync_all()?;
        dir.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    fn db(&self) -> Result<&sled::Db, StoreError> {
        self.db.as_ref().ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
    }

    /// Writes rows and how far they go, all or nothing. Of several changes of a row the last one counts.
    pub(super) fn apply<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a Key, &'a Option<Value>)>,
        checkpoint: CheckpointRow,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), &**value),
                None => batch.remove(key.as_slice()),
            }
        }
        let place = key::checkpoint();
        let row = encode(&place, &checkpoint).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        batch.insert(place.as_slice(), &*row);
        self.db()?.apply_batch(batch).map_err(|error| unavailable(&error))
    }

    /// Hands what is written to the system.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.db()?.flush().map_err(|error| unavailable(&error)).map(drop)
    }

    /// Waits until what is handed over is on the device.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::Unavailable(format!("index: {error}")))
    }
}

impl Rows for Index {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let found = self.db()?.get(key).map_err(|error| unavailable(&error))?;
        Ok(found.map(|value| Arc::from(&*value)))
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut rows = self.db()?.range(range.from.as_slice()..range.until.as_slice());
        loop {
            let row = match order {
                Order::Oldest => rows.next(),
                Order::Newest => rows.next_back(),
            };
            let Some(row) = row else { return Ok(()) };
            let (key, value) = row.map_err(|error| unavailable(&error))?;
            if visit(&key, &value)?.is_break() {
                return Ok(());
            }
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        let (sender, receiver) = mpsc::channel();
        let close = move || {
            drop(db);
            let _ = sender.send(());
        };
        if thread::Builder::new().name("index-close".to_owned()).spawn(close).is_ok() {
            let _ = receiver.recv_timeout(CLOSE_LIMIT);
        }
    }
}

/// Waits for the threads of an index that was closed a moment ago in this process: they have its lock until they end.
fn open_when_free(config: &sled::Config) -> sled::Result<sled::Db> {
    let began = Instant::now();
    let is_locked = |error: &io::Error| error.to_string().contains("could not acquire lock");
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && began.elapsed() < LOCK_LIMIT => {
                thread::sleep(LOCK_RETRY);
            }
            opened => return opened,
        }
    }
}

fn unavailable(error: &sled::Error) -> StoreError {
    StoreError::Unavailable(format!("index: {error}"))
}

/// A snapshot that a crash left unfinished would be taken for the newest one, and sled would not open.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
