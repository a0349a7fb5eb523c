//! The index: all rows, in sled. Nothing is lost with it: it is made anew from the journal.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    files::create_private,
    packed::{self, BucketChanges, Place},
};
use crate::store::{
    Order, StoreError,
    rows::{CheckpointRow, Key, KeyRange, Rows, Value, Visit, encode, key},
};

/// The version of the rows. Another one in the index: it is made anew.
pub(super) const SCHEMA: u64 = 5;
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
        let db = self.db()?;
        let mut batch = sled::Batch::default();
        let mut buckets = BTreeMap::<Key, BucketChanges<'_>>::new();
        for (key, value) in changes {
            match (packed::place(key), value) {
                (Some(place), value) => {
                    buckets.entry(place.bucket).or_default().insert(place.low, value.as_ref());
                }
                (None, Some(value)) => batch.insert(key.as_slice(), &**value),
                (None, None) => batch.remove(key.as_slice()),
            }
        }
        for (bucket, changes) in &buckets {
            let held = db.get(bucket).map_err(|error| unavailable(&error))?;
            packed::merge(bucket, held.as_deref(), changes, &mut batch)?;
        }
        let place = key::checkpoint();
        let row = encode(&place, &checkpoint).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        batch.insert(place.as_slice(), &*row);
        db.apply_batch(batch).map_err(|error| unavailable(&error))
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
        match packed::place(key) {
            None => Ok(self.one(key)?.map(|value| Arc::from(&*value))),
            Some(place) => match self.packed(&place)? {
                Packed::Here(value) => Ok(Some(value)),
                Packed::Aside => self.aside(key),
                Packed::Nowhere => Ok(None),
            },
        }
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut rows = self.db()?.range(packed::begin(&range.from).as_slice()..range.until.as_slice());
        loop {
            let row = match order {
                Order::Oldest => rows.next(),
                Order::Newest => rows.next_back(),
            };
            let Some(row) = row else { return Ok(()) };
            let (key, value) = row.map_err(|error| unavailable(&error))?;
            let flow = if packed::is_bucket(&key) {
                self.scan_bucket((&key, &value), range, order, visit)?
            } else if packed::is_aside(&key) {
                // Shown with its bucket.
                ControlFlow::Continue(())
            } else {
                visit(&key, &value)?
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }
}

/// Where a packed row is.
enum Packed {
    /// In its bucket.
    Here(Value),
    /// In a row of its own.
    Aside,
    Nowhere,
}

impl Index {
    /// One row of sled's.
    fn one(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.db()?.get(key).map_err(|error| unavailable(&error))
    }

    /// Where the bucket says that the row is.
    fn packed(&self, place: &Place) -> Result<Packed, StoreError> {
        let Some(bucket) = self.one(&place.bucket)? else { return Ok(Packed::Nowhere) };
        let found = packed::Rows::of(&bucket).find(place.low)?;
        Ok(found.map_or(Packed::Nowhere, |row| {
            row.value.map_or(Packed::Aside, |value| Packed::Here(Arc::from(value)))
        }))
    }

    /// The value of a row that stands aside, or did so a moment ago.
    fn aside(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        if let Some(value) = self.one(&packed::aside(key))? {
            return Ok(Some(Arc::from(&*value)));
        }
        // It was changed since its bucket was read.
        match packed::place(key).map(|place| self.packed(&place)).transpose()? {
            Some(Packed::Here(value)) => Ok(Some(value)),
            _ => Ok(None),
        }
    }

    fn scan_bucket(
        &self,
        (bucket, rows): (&[u8], &[u8]),
        range: &KeyRange,
        order: Order,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut rows = packed::Rows::of(rows).collect::<Result<Vec<_>, _>>()?;
        if order == Order::Newest {
            rows.reverse();
        }
        for row in rows {
            let key = row.key(bucket);
            if key < range.from || key >= range.until {
                continue;
            }
            let flow = match row.value {
                Some(value) => visit(&key, value)?,
                None => match self.aside(&key)? {
                    Some(value) => visit(&key, &value)?,
                    None => ControlFlow::Continue(()),
                },
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
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
