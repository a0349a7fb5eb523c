//! Appending: records of one batch are put together in memory, written by one call and made durable by one sync.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{BigBodies, BigBody, Disk, Segment, record, segment};
use crate::{
    ops,
    store::{machine::Event, rows::Location},
};

/// A buffer is given back to the system above this capacity.
const KEEP_CAPACITY: usize = 2 << 20;

/// Zeros written ahead of the end at once, and when there are less than half as many left.
///
/// A batch that overwrites blocks which the file has already makes its sync write the data and nothing else; at the end
/// of a growing file each sync writes the file system's journal too.
const AHEAD: usize = 1 << 20;
static ZEROS: [u8; AHEAD] = [0; AHEAD];

/// Why a batch is not in the journal.
#[derive(Debug)]
pub(in crate::store) enum Append {
    /// It was not written: nothing of it is there, and another try may succeed.
    Unwritten(io::Error),
    /// It was written and the sync failed: what is on disk is unknown, and stays so.
    Unsynced(io::Error),
}

impl From<Append> for io::Error {
    fn from(error: Append) -> Self {
        match error {
            Append::Unwritten(error) | Append::Unsynced(error) => error,
        }
    }
}

/// The end of the journal.
pub(in crate::store) struct Appender {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    big: BigBodies,
    segment_size: u64,
    segment: Segment,
    file: File,
    offset: u64,
    /// Up to here the file has blocks of its own; zeros from `offset` on.
    zeroed: u64,
    next: u64,
    buffer: Vec<u8>,
    records: u16,
    big_written: bool,
    /// Behind `offset` lies what a failed write has left.
    dirty: bool,
    /// Asks for a new segment at the next batch.
    seal: Arc<AtomicBool>,
}

/// Where the journal lies, and how it is written.
pub(in crate::store) struct Place {
    pub(in crate::store) dir: PathBuf,
    pub(in crate::store) disk: Arc<dyn Disk>,
    pub(in crate::store) big: BigBodies,
    pub(in crate::store) segment_size: u64,
    /// Set by whoever wants the segment to be sealed: the next batch begins another one.
    pub(in crate::store) seal: Arc<AtomicBool>,
}

impl Appender {
    /// At the end of an existing segment, behind which nothing but zeros may stand; `next` is the number of the next
    /// record.
    pub(in crate::store) fn resume(place: Place, end: Location, next: u64) -> io::Result<Self> {
        let (segment, file) = Segment::open(&place.dir, end.segment)?.map_err(io::Error::other)?;
        let zeroed = file.metadata()?.len();
        Ok(Self { zeroed, ..Self::at(place, (segment, file), end.offset, next) })
    }

    /// In a new segment.
    pub(in crate::store) fn begin(place: Place, number: u64, next: u64) -> Result<Self, Append> {
        let segment = new_segment(number, next);
        let file = segment.create(&place.dir, &*place.disk)?;
        Ok(Self::at(place, (segment, file), segment::HEADER, next))
    }

    fn at(place: Place, (segment, file): (Segment, File), offset: u64, next: u64) -> Self {
        Self {
            dir: place.dir,
            disk: place.disk,
            big: place.big,
            segment_size: place.segment_size,
            seal: place.seal,
            segment,
            file,
            offset,
            zeroed: offset,
            next,
            buffer: Vec::new(),
            records: 0,
            big_written: false,
            dirty: false,
        }
    }

    /// Where the next record will be.
    pub(in crate::store) fn position(&self) -> Location {
        Location { segment: self.segment.number, offset: self.offset + self.buffer.len() as u64 }
    }

    /// The number of the next record.
    pub(in crate::store) fn next(&self) -> u64 {
        self.next + u64::from(self.records)
    }

    /// Makes ready for a batch: a full segment is followed by a new one, and the rest of a failed write is cut off.
    pub(in crate::store) fn begin_batch(&mut self) -> Result<(), Append> {
        self.drop_batch();
        if self.dirty {
            self.disk.set_len(&self.file, self.offset).map_err(Append::Unwritten)?;
            self.zeroed = self.offset;
            self.dirty = false;
        }
        let sealed = self.seal.load(Ordering::Acquire) && self.offset > segment::HEADER;
        if self.offset < self.segment_size && !sealed {
            return Ok(());
        }
        self.trim();
        let segment = new_segment(self.segment.number + 1, self.next);
        self.file = segment.create(&self.dir, &*self.disk)?;
        self.segment = segment;
        self.offset = segment::HEADER;
        self.zeroed = segment::HEADER;
        self.seal.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes zeros ahead of the end, where `admit` lets so many bytes be written. Called while nobody waits. Where it fails,
    /// batches make the file grow as they come.
    pub(in crate::store) fn write_ahead(&mut self, admit: impl FnOnce(u64) -> io::Result<()>) {
        let enough = self.zeroed >= self.offset + AHEAD as u64 / 2;
        if enough || self.dirty || self.offset >= self.segment_size || admit(AHEAD as u64).is_err() {
            return;
        }
        let from = self.zeroed.max(self.offset);
        if self.disk.write_ahead(&self.file, &ZEROS, from).is_ok() {
            self.zeroed = from + AHEAD as u64;
        }
    }

    /// Takes back the zeros ahead of the end: the segment is full, or the store closes. That they stay does no harm.
    pub(in crate::store) fn trim(&mut self) {
        if self.zeroed > self.offset && !self.dirty && self.disk.set_len(&self.file, self.offset).is_ok() {
            self.zeroed = self.offset;
        }
    }

    /// Adds a record to the batch.
    pub(in crate::store) fn push(
        &mut self,
        event: &Event,
        raw: &[u8],
        big: Option<BigBody>,
    ) -> Result<(), String> {
        let parts = record::Parts {
            salt: self.segment.salt,
            seq: self.next(),
            place: self.records,
            body: big
                .map_or(record::Body::Inline(raw), |big| record::Body::Big { len: big.len, crc: big.crc }),
        };
        record::write(&mut self.buffer, event, parts)?;
        self.records += 1;
        self.big_written |= big.is_some();
        Ok(())
    }

    /// Writes the batch and waits until it is on disk. One write, one sync.
    pub(in crate::store) fn commit(&mut self) -> Result<(), Append> {
        if self.records == 0 {
            return Ok(());
        }
        self.dirty = true;
        if self.big_written {
            self.big.sync_dir().map_err(Append::Unsynced)?;
        }
        self.disk.write_all_at(&self.file, &self.buffer, self.offset).map_err(Append::Unwritten)?;
        self.disk.sync_data(&self.file).map_err(Append::Unsynced)?;
        self.dirty = false;
        self.offset += self.buffer.len() as u64;
        self.next += u64::from(self.records);
        self.drop_batch();
        Ok(())
    }

    /// Forgets the batch.
    pub(in crate::store) fn drop_batch(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEEP_CAPACITY);
        self.records = 0;
        self.big_written = false;
    }
}

fn new_segment(number: u64, first: u64) -> Segment {
    Segment { number, salt: u64::from_le_bytes(ops::random()), first, compacted: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RealDisk;

    #[test]
    fn zeros_are_written_ahead_where_there_is_room() {
        let home = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let place = Place {
            dir: home.path().to_owned(),
            big: BigBodies::new(home.path().to_owned(), Arc::clone(&disk)),
            disk,
            segment_size: 64 << 20,
            seal: Arc::default(),
        };
        let Ok(mut appender) = Appender::begin(place, 1, 1) else { panic!("no segment") };
        let file = appender.file.try_clone().unwrap();
        let len = || file.metadata().unwrap().len();
        appender.write_ahead(|_| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(len(), segment::HEADER);
        appender.write_ahead(|bytes| {
            assert_eq!(bytes, AHEAD as u64);
            Ok(())
        });
        assert_eq!(len(), segment::HEADER + AHEAD as u64);
        appender.write_ahead(|_| panic!("there are enough"));
        appender.trim();
        assert_eq!(len(), segment::HEADER);
    }
}
