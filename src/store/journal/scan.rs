//! Walking through a segment: replay, rebuild, audit, and the search for its end.

use std::{fs::File, io, ops::ControlFlow, os::unix::fs::FileExt, path::Path};

use super::{Segment, compacted::Table, record, segment};
use crate::store::{machine::Event, rows::Location};

/// Bytes read at a time.
const CHUNK: usize = 4 << 20;

/// What a walk meets.
pub(in crate::store) enum Found {
    /// A record, and where the next one begins.
    Record {
        /// Its number.
        seq: u64,
        /// Where it begins.
        at: Location,
        /// Where the next one begins.
        end: Location,
        /// The number of the first record of its batch.
        batch: u64,
        /// What it holds.
        event: Box<Event>,
    },
    /// Bytes that are no record, with whole records behind them.
    Damage {
        /// Where they begin.
        at: Location,
        /// What is wrong.
        what: String,
        /// The number of the first record of the batch that goes on behind them.
        batch: u64,
    },
    /// Bytes at the end that are no record.
    Tail {
        /// Where they begin.
        at: Location,
        /// How many there are.
        len: u64,
    },
}

/// One walk through one segment.
pub(in crate::store) struct Scan {
    file: File,
    segment: Segment,
    len: u64,
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    /// Of a compacted segment: where its records are, and which of them comes next.
    table: Option<(Table, usize)>,
    /// The record that was met last, and where it is in the file.
    met: Option<(record::Header, u64)>,
}

impl Scan {
    /// From `offset` on, or from the first record. The inner error says what is wrong with the header.
    pub(in crate::store) fn open(
        dir: &Path,
        number: u64,
        offset: Option<u64>,
    ) -> io::Result<Result<Self, String>> {
        let (segment, file) = match Segment::open(dir, number)? {
            Ok(opened) => opened,
            Err(what) => return Ok(Err(what)),
        };
        let (len, offset) = (file.metadata()?.len(), offset.unwrap_or(segment::HEADER));
        let table = match segment.compacted.then(|| Table::read(&file)).transpose()? {
            Some(Err(what)) => return Ok(Err(what)),
            Some(Ok(table)) => {
                let first = table.from(offset);
                Some((table, first))
            }
            None => None,
        };
        Ok(Ok(Self { file, segment, len, offset, buffer: Vec::new(), start: offset, table, met: None }))
    }

    /// The segment.
    pub(in crate::store) fn segment(&self) -> Segment {
        self.segment
    }

    /// Bytes of the file.
    pub(in crate::store) fn len(&self) -> u64 {
        self.len
    }

    /// Of a compacted segment: the number of the first record behind it.
    pub(in crate::store) fn next_segment_from(&self) -> Option<u64> {
        self.table.as_ref().map(|(table, _)| table.next)
    }

    /// The header of the record that was met last, and the bytes of its mail where they are in it.
    pub(in crate::store) fn body(&mut self) -> io::Result<Option<(record::Header, &[u8])>> {
        let Some((header, place)) = self.met else { return Ok(None) };
        let bytes = self.bytes(place, header.record_len())?;
        Ok(bytes.get(record::HEADER + header.event_len..header.record_len()).map(|body| (header, body)))
    }

    /// Where it is.
    pub(in crate::store) fn position(&self) -> Location {
        self.at(self.offset)
    }

    /// What comes next; `None` at the end.
    pub(in crate::store) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.table.is_some() {
            return self.next_place();
        }
        if self.offset >= self.len {
            return Ok(None);
        }
        let at = self.at(self.offset);
        match self.record_at(self.offset)? {
            Some((header, event)) => {
                self.met = Some((header, self.offset));
                self.offset += header.record_len() as u64;
                let end = self.at(self.offset);
                Ok(Some(Found::Record { seq: header.seq, at, end, batch: batch(header), event }))
            }
            None if self.is_zero_from(self.offset)? => Ok(None),
            None => self.damage(at).map(Some),
        }
    }

    /// What comes next in a compacted segment.
    fn next_place(&mut self) -> io::Result<Option<Found>> {
        let Some((table, place)) = &mut self.table else { return Ok(None) };
        let Some((old, now)) = table.places.get(*place).copied() else {
            self.offset = table.end;
            return Ok(None);
        };
        *place += 1;
        let end = table.places.get(*place).map_or(table.end, |(next, _)| *next);
        self.offset = end;
        let (at, end) = (self.at(old), self.at(end));
        Ok(Some(match self.record_at(now)? {
            Some((header, event)) => {
                self.met = Some((header, now));
                Found::Record { seq: header.seq, at, end, batch: batch(header), event }
            }
            None => Found::Damage { at, what: "what stands here is no record".to_owned(), batch: 0 },
        }))
    }

    /// Whether nothing but zeros follows: what was written ahead of the end, and not used yet.
    fn is_zero_from(&mut self, mut offset: u64) -> io::Result<bool> {
        while offset < self.len {
            let bytes = self.bytes(offset, CHUNK)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += bytes.len().max(1) as u64;
        }
        Ok(true)
    }

    fn at(&self, offset: u64) -> Location {
        Location { segment: self.segment.number, offset }
    }

    /// A whole record of this segment at the offset.
    fn record_at(&mut self, offset: u64) -> io::Result<Option<(record::Header, Box<Event>)>> {
        let Some(header) = self.header_at(offset)? else { return Ok(None) };
        let bytes = self.bytes(offset, header.record_len())?;
        if bytes.len() < header.record_len() || !header.is_whole(bytes) {
            return Ok(None);
        }
        if header.version > record::VERSION {
            return Err(io::Error::other(format!(
                "segment {}, offset {offset}: a record of version {}, and this program reads up to {}",
                self.segment.number,
                header.version,
                record::VERSION
            )));
        }
        let bytes = self.bytes(offset, header.record_len())?;
        let event = rmp_serde::from_slice(&bytes[record::HEADER..record::HEADER + header.event_len]);
        Ok(event.ok().map(|event| (header, Box::new(event))))
    }

    fn header_at(&mut self, offset: u64) -> io::Result<Option<record::Header>> {
        let salt = self.segment.salt;
        let room = self.len.saturating_sub(offset);
        let header = record::Header::parse(self.bytes(offset, record::HEADER)?);
        Ok(header.filter(|header| header.salt == salt && header.record_len() as u64 <= room))
    }

    /// Up to `len` bytes at the offset, fewer at the end of the file.
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let have = self.start + self.buffer.len() as u64;
        if offset < self.start || offset + len as u64 > have {
            let room = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.buffer.resize(len.max(CHUNK).min(room), 0);
            self.file.read_exact_at(&mut self.buffer, offset)?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let until = (from + len).min(self.buffer.len());
        Ok(self.buffer.get(from..until).unwrap_or_default())
    }

    /// Looks for the next whole record behind what is none.
    fn damage(&mut self, at: Location) -> io::Result<Found> {
        let mut offset = at.offset + 1;
        while let Some(candidate) = self.find_magic(offset)? {
            if let Some((header, _)) = self.record_at(candidate)? {
                self.offset = candidate;
                let what = format!("{} bytes are no record", candidate - at.offset);
                return Ok(Found::Damage { at, what, batch: batch(header) });
            }
            offset = candidate + 1;
        }
        self.offset = self.len;
        Ok(Found::Tail { at, len: self.len - at.offset })
    }

    fn find_magic(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        while offset + record::HEADER as u64 <= self.len {
            let bytes = self.bytes(offset, CHUNK)?;
            if let Some(found) = bytes.windows(record::MAGIC.len()).position(|four| four == record::MAGIC) {
                return Ok(Some(offset + found as u64));
            }
            offset += (bytes.len().saturating_sub(record::MAGIC.len() - 1)).max(1) as u64;
        }
        Ok(None)
    }
}

/// Is shown each record and where it begins, and tells what is wrong with what belongs to it. `None`: nothing to look at,
/// between two steps.
pub(in crate::store) type Look<'a> =
    &'a mut dyn FnMut(Option<(Location, &Event)>) -> ControlFlow<(), Option<String>>;

/// Reads all segments but what is being written at the end of the last, and names what is no record, and records that are
/// missing between others.
/// While others write, the last segment is read up to `stable` only.
pub(in crate::store) fn damage(
    dir: &Path,
    stable: Option<Location>,
    look: Look<'_>,
) -> io::Result<Vec<String>> {
    let (segments, mut damage) = (segment::list(dir)?, Vec::new());
    let mut next = None;
    for number in &segments {
        let is_last = segments.last() == Some(number);
        match Scan::open(dir, *number, None)? {
            Ok(mut scan) => {
                if let Some(stable) = stable.filter(|_| is_last) {
                    scan.len = if stable.segment == *number { stable.offset.min(scan.len) } else { 0 };
                }
                next = next.max(Some(scan.segment.first));
                let is_open = is_last && stable.is_none();
                let behind = scan.next_segment_from();
                if read_through(scan, is_open, (&mut damage, &mut next), look)?.is_break() {
                    return Ok(damage);
                }
                next = next.max(behind);
            }
            // It may be made at this moment.
            Err(_) if is_last => {}
            Err(what) => damage.push(format!("segment {number}: {what}")),
        }
        let following = segments.iter().find(|other| *other > number);
        damage.extend(following.map(|other| missing(dir, *other, next)).transpose()?.flatten());
    }
    Ok(damage)
}

/// Whether a segment begins later than the one before it ends.
fn missing(dir: &Path, number: u64, next: Option<u64>) -> io::Result<Option<String>> {
    let Ok((segment, _)) = Segment::open(dir, number)? else { return Ok(None) };
    Ok(next.filter(|next| segment.first > *next).map(|next| {
        format!("segment {number}: records {next} to {} are missing before it", segment.first - 1)
    }))
}

fn read_through(
    mut scan: Scan,
    is_open: bool,
    (damage, next): (&mut Vec<String>, &mut Option<u64>),
    look: Look<'_>,
) -> io::Result<ControlFlow<()>> {
    while let Some(found) = scan.next()? {
        let told = match found {
            Found::Record { at, event, seq, .. } => {
                *next = Some(seq + 1);
                look(Some((at, &event)))
            }
            Found::Damage { at, what, .. } => {
                damage.push(format!("segment {}, offset {}: {what}", at.segment, at.offset));
                look(None)
            }
            Found::Tail { .. } if is_open => look(None),
            Found::Tail { at, len } => {
                damage.push(format!(
                    "segment {}, offset {}: the last {len} bytes are no record",
                    at.segment, at.offset
                ));
                look(None)
            }
        };
        match told {
            ControlFlow::Continue(what) => damage.extend(what),
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn batch(header: record::Header) -> u64 {
    header.seq.saturating_sub(u64::from(header.place))
}
