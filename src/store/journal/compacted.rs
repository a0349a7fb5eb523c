//! Compacted segments: what is left of a sealed segment once some of it is past its time.
//!
//! A record keeps its place: rows name it by the offset that it had when it was written, and a table behind the records says
//! where it is now. Such a file is written beside the old one, whole, before it takes its name.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 40 | header as of any segment, with format 2 |
//! | 40 | 8 | number of the first record behind the segment |
//! | 48 | 8 | records up to this number had been seen by the rows that said what is past its time |
//! | 56 | 8 | where the segment ended when it was sealed |
//! | 64 | 8 | where the table begins |
//! | 72 | 4 | places in the table |
//! | 76 | 4 | CRC-32 of the table |
//! | 80 | 4 | CRC-32 of what is before |
//! | 84 | 4 | zero |
//!
//! Then the records, the table (16 bytes a place: the old offset and the new), and the header once more.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Disk, Segment, record, segment};
use crate::{ops, store::machine::Event};

/// Length of the whole header.
const HEADER: usize = 88;
/// What the CRC of the header covers.
const COVERED: usize = 80;
/// Length of a place in the table.
const PLACE: usize = 16;
/// Bytes gathered before they are written.
const CHUNK: usize = 1 << 20;

/// Where the records of a compacted segment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Table {
    /// Number of the first record behind the segment.
    pub(in crate::store) next: u64,
    /// Records below this number had been seen by the rows that said what is past its time.
    pub(in crate::store) seen: u64,
    /// Where the segment ended when it was sealed.
    pub(in crate::store) end: u64,
    /// The old offset of each record and where it is now, ascending.
    pub(super) places: Arc<[(u64, u64)]>,
}

impl Table {
    /// Reads the table of a compacted segment. The inner error says what is wrong with it.
    pub(super) fn read(file: &File) -> io::Result<Result<Self, String>> {
        let mut header = [0; HEADER];
        if file.metadata()?.len() < 2 * HEADER as u64 {
            return Ok(Err("its header is cut off".to_owned()));
        }
        file.read_exact_at(&mut header, 0)?;
        if u32_at(&header, COVERED) != crc32fast::hash(&header[..COVERED]) {
            return Ok(Err("its header is damaged".to_owned()));
        }
        let (at, count) = (u64_at(&header, 64), u32_at(&header, 72) as usize);
        let mut table = vec![0; count * PLACE];
        let whole = at + (table.len() + HEADER) as u64 == file.metadata()?.len();
        if !whole {
            return Ok(Err("its table is cut off".to_owned()));
        }
        file.read_exact_at(&mut table, at)?;
        if crc32fast::hash(&table) != u32_at(&header, 76) {
            return Ok(Err("its table is damaged".to_owned()));
        }
        let places = table.chunks_exact(PLACE).map(|place| (u64_at(place, 0), u64_at(place, 8)));
        let (next, seen, end) = (u64_at(&header, 40), u64_at(&header, 48), u64_at(&header, 56));
        Ok(Ok(Self { next, seen, end, places: places.collect() }))
    }

    /// Where the record is now; `None` when compaction has taken it away.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        let found = self.places.binary_search_by_key(&offset, |(old, _)| *old).ok()?;
        Some(self.places[found].1)
    }

    /// Which place is the first at or behind the old offset.
    pub(super) fn from(&self, offset: u64) -> usize {
        self.places.partition_point(|(old, _)| *old < offset)
    }
}

/// Writes the header of a compacted segment over what is there, from the copy at its end; whether there was one.
pub(super) fn restore_header(dir: &Path, number: u64) -> io::Result<bool> {
    let file = OpenOptions::new().read(true).write(true).open(segment::path(dir, number))?;
    let len = file.metadata()?.len();
    let mut copy = [0; HEADER];
    if len < 2 * HEADER as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut copy, len - HEADER as u64)?;
    let is_ours = Segment::parse_any(&copy, number).is_ok_and(|segment| segment.compacted)
        && u32_at(&copy, COVERED) == crc32fast::hash(&copy[..COVERED]);
    if is_ours {
        file.write_all_at(&copy, 0)?;
        file.sync_all()?;
    }
    Ok(is_ours)
}

/// What the compactions of a journal have come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Compactions {
    /// Whether there was any.
    pub(in crate::store) any: bool,
    /// An index that has seen fewer records is older than they are.
    pub(in crate::store) seen: u64,
}

/// Looks at the headers of all segments.
pub(in crate::store) fn compactions(dir: &Path) -> io::Result<Compactions> {
    let mut found = Compactions::default();
    for number in segment::list(dir)? {
        let Ok((segment, file)) = Segment::open(dir, number)? else { continue };
        if segment.compacted {
            found.any = true;
            found.seen = Table::read(&file)?.map_or(found.seen, |table| found.seen.max(table.seen));
        }
    }
    Ok(found)
}

/// Whether the segment is compacted: nothing is ever appended to it then.
pub(in crate::store) fn is_compacted(dir: &Path, number: u64) -> io::Result<bool> {
    Ok(Segment::open(dir, number)?.is_ok_and(|(segment, _)| segment.compacted))
}

/// What a compaction of the segment had seen; 0 without one.
pub(in crate::store) fn seen(dir: &Path, of: Segment) -> io::Result<u64> {
    let Ok((segment, file)) = Segment::open(dir, of.number)? else { return Ok(0) };
    let table = if segment.compacted { Table::read(&file)?.ok() } else { None };
    Ok(table.map_or(0, |table| table.seen))
}

/// Removes what a compaction that did not end has left.
pub(in crate::store) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "new") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Writes a compacted segment.
pub(in crate::store) struct Rewrite {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    segment: Segment,
    file: File,
    written: u64,
    buffer: Vec<u8>,
    places: Vec<(u64, u64)>,
}

impl Rewrite {
    /// Of this segment, beside it.
    pub(in crate::store) fn begin(dir: &Path, of: Segment, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let segment = Segment { salt: u64::from_le_bytes(ops::random()), compacted: true, ..of };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(unfinished(dir, segment.number))?;
        let (written, buffer) = (HEADER as u64, Vec::new());
        Ok(Self { dir: dir.to_owned(), disk, segment, file, written, buffer, places: Vec::new() })
    }

    /// Adds the record that was at the old offset.
    pub(in crate::store) fn push(
        &mut self,
        old: u64,
        seq: u64,
        event: &Event,
        body: record::Body<'_>,
    ) -> io::Result<()> {
        self.places.push((old, self.written + self.buffer.len() as u64));
        let parts = record::Parts { salt: self.segment.salt, seq, place: 0, body };
        record::write(&mut self.buffer, event, parts).map_err(io::Error::other)?;
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.disk.write_all_at(&self.file, &self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes table and header, and waits until all of it is on disk. Answers the file's length.
    pub(in crate::store) fn finish(&mut self, (next, seen, end): (u64, u64, u64)) -> io::Result<u64> {
        let count = u32::try_from(self.places.len()).map_err(io::Error::other)?;
        let mut table = Vec::with_capacity(self.places.len() * PLACE + HEADER);
        for (old, new) in &self.places {
            table.extend(old.to_le_bytes());
            table.extend(new.to_le_bytes());
        }
        let crc = crc32fast::hash(&table);
        let at = self.written + self.buffer.len() as u64;
        let mut header = self.segment.header().to_vec();
        for word in [next, seen, end, at] {
            header.extend(word.to_le_bytes());
        }
        header.extend(count.to_le_bytes());
        header.extend(crc.to_le_bytes());
        header.extend(crc32fast::hash(&header).to_le_bytes());
        header.resize(HEADER, 0);
        table.extend_from_slice(&header);
        self.buffer.append(&mut table);
        self.flush()?;
        self.disk.write_all_at(&self.file, &header, 0)?;
        self.disk.sync_data(&self.file)?;
        Ok(self.written)
    }

    /// Gives it the old one's name: from here on it is the segment.
    pub(in crate::store) fn publish(self) -> io::Result<()> {
        let number = self.segment.number;
        self.disk.rename(&unfinished(&self.dir, number), &segment::path(&self.dir, number))?;
        self.disk.sync_dir(&self.dir)
    }
}

fn unfinished(dir: &Path, number: u64) -> PathBuf {
    segment::path(dir, number).with_extension("new")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{super::RealDisk, *};

    fn rewritten(dir: &Path) -> Segment {
        let old = Segment { number: 3, salt: 1, first: 10, compacted: false };
        let mut rewrite = Rewrite::begin(dir, old, Arc::new(RealDisk)).unwrap();
        rewrite.push(40, 10, &Event::Noop, record::Body::Inline(b"a mail")).unwrap();
        rewrite.push(900, 14, &Event::Noop, record::Body::Gone).unwrap();
        rewrite.finish((20, 77, 5000)).unwrap();
        rewrite.publish().unwrap();
        old
    }

    #[test]
    fn records_keep_their_places() {
        let dir = tempfile::tempdir().unwrap();
        rewritten(dir.path());
        let (segment, file) = Segment::open(dir.path(), 3).unwrap().unwrap();
        assert!(segment.compacted && segment.first == 10);
        let table = Table::read(&file).unwrap().unwrap();
        assert_eq!((table.next, table.seen, table.end), (20, 77, 5000));
        assert_eq!(table.place(40), Some(HEADER as u64));
        assert!(table.place(900) > table.place(40));
        assert_eq!(table.place(41), None);
        assert_eq!((table.from(0), table.from(41), table.from(901)), (0, 1, 2));
        assert_eq!(compactions(dir.path()).unwrap(), Compactions { any: true, seen: 77 });
    }

    #[test]
    fn every_flipped_bit_of_header_and_table_is_found_and_the_header_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        rewritten(dir.path());
        let path = segment::path(dir.path(), 3);
        let whole = fs::read(&path).unwrap();
        let file = File::open(&path).unwrap();
        let table = Table::read(&file).unwrap().unwrap();
        let from = whole.len() - HEADER - 2 * PLACE;
        for bit in (0..COVERED * 8).chain(from * 8..(whole.len() - HEADER) * 8) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let read = match Segment::open(dir.path(), 3).unwrap() {
                Ok((_, file)) => Table::read(&file).unwrap(),
                Err(what) => Err(what),
            };
            assert!(read.is_err(), "bit {bit}");
            if bit < COVERED * 8 {
                assert!(restore_header(dir.path(), 3).unwrap(), "bit {bit}");
                let (_, file) = Segment::open(dir.path(), 3).unwrap().unwrap();
                assert_eq!(Table::read(&file).unwrap().unwrap(), table);
            }
        }
    }

    #[test]
    fn what_was_not_finished_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let old = Segment { number: 3, salt: 1, first: 10, compacted: false };
        Rewrite::begin(dir.path(), old, Arc::new(RealDisk)).unwrap();
        assert!(unfinished(dir.path(), 3).exists());
        remove_unfinished(dir.path()).unwrap();
        assert!(!unfinished(dir.path(), 3).exists());
    }
}
