//! Reading single records. Every byte that is handed out was checked.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{BigBodies, Disk, Segment, compacted::Table, record, segment};
use crate::{
    store::{BodyRef, StoreError, machine::Event, query::Records, rows::Location},
    types::Time,
};

/// Most segments kept open for reading.
const MAX_OPEN: usize = 64;
/// Bytes read at first: header and event of most records.
const FIRST_READ: usize = 4096;

/// Reads records by their places.
pub(in crate::store) struct Reader {
    dir: PathBuf,
    big: BigBodies,
    disk: Arc<dyn Disk>,
    open: Mutex<HashMap<u64, Arc<Open>>>,
}

/// A segment that is open for reading. One that was replaced meanwhile reads on as it was.
struct Open {
    file: File,
    table: Option<Table>,
}

impl Reader {
    /// Of the segments in `dir`.
    pub(in crate::store) fn new(dir: PathBuf, big: BigBodies, disk: Arc<dyn Disk>) -> Self {
        Self { dir, big, disk, open: Mutex::new(HashMap::new()) }
    }

    /// The bytes of a mail.
    pub(in crate::store) fn body(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        let at = Location::from(body);
        let (header, mut bytes) = self.record(at, true)?;
        if header.gone {
            return Err(StoreError::Expired(kept_until(&header, &bytes)));
        }
        let raw = if header.big {
            let read = self.big.read(body.mail);
            read.map_err(|error| StoreError::Damaged(format!("{}: {error}", self.big.name(body.mail))))?
        } else {
            Bytes::from(bytes.split_off(record::HEADER + header.event_len))
        };
        if raw.len() == header.body_len && crc32fast::hash(&raw) == header.body_crc {
            return Ok(raw);
        }
        let file = if header.big { self.big.name(body.mail) } else { self.describe(at) };
        Err(StoreError::Damaged(format!("{file}: the mail's checksum does not match")))
    }

    /// Whether the mail has a file of its own.
    pub(in crate::store) fn is_big(&self, body: &BodyRef) -> bool {
        self.record(Location::from(body), false).is_ok_and(|(header, _)| header.big)
    }

    /// The segment was replaced: it is opened anew.
    pub(in crate::store) fn forget(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn describe(&self, at: Location) -> String {
        format!("{}, offset {}", segment::path(&self.dir, at.segment).display(), at.offset)
    }

    /// Header and bytes of a record, up to the end of the event or of the whole record.
    fn record(&self, at: Location, whole: bool) -> Result<(record::Header, Vec<u8>), StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("{}: {what}", self.describe(at)));
        let open = self.segment(at.segment).map_err(|error| self.unreadable(at, &error))?;
        let place = match &open.table {
            None => at.offset,
            Some(table) => table.place(at.offset).ok_or(StoreError::Expired(None))?,
        };
        let mut bytes = vec![0; FIRST_READ];
        let got =
            self.read_up_to(&open.file, &mut bytes, place).map_err(|error| self.unreadable(at, &error))?;
        bytes.truncate(got);
        let header = record::Header::parse(&bytes).ok_or_else(|| damaged("no record begins here"))?;
        let len = if whole { header.record_len() } else { record::HEADER + header.event_len };
        let have = bytes.len().min(len);
        bytes.resize(len, 0);
        let rest = self.read_up_to(&open.file, &mut bytes[have..], place + have as u64);
        let rest = rest.map_err(|error| self.unreadable(at, &error))?;
        if have + rest < len || !header.event_is_whole(&bytes) {
            return Err(damaged("the record's checksum does not match"));
        }
        Ok((header, bytes))
    }

    fn segment(&self, number: u64) -> io::Result<Arc<Open>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = open.get(&number) {
            return Ok(Arc::clone(segment));
        }
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        let file = File::open(segment::path(&self.dir, number))?;
        let table = if Segment::is_compacted(&file)? {
            Some(Table::read(&file)?.map_err(|what| io::Error::new(ErrorKind::InvalidData, what))?)
        } else {
            None
        };
        let segment = Arc::new(Open { file, table });
        open.insert(number, Arc::clone(&segment));
        Ok(segment)
    }

    /// Reads until the buffer is full or the file ends.
    fn read_up_to(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.disk.read_at(file, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn unreadable(&self, at: Location, error: &io::Error) -> StoreError {
        let text = format!("{}: {error}", self.describe(at));
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) {
            StoreError::Damaged(text)
        } else {
            StoreError::Unavailable(text)
        }
    }
}

/// Until when the bytes were kept that are gone, as their event says.
fn kept_until(header: &record::Header, bytes: &[u8]) -> Option<Time> {
    match rmp_serde::from_slice(bytes.get(record::HEADER..record::HEADER + header.event_len)?) {
        Ok(Event::Plan(plan)) => plan.raw_until,
        _ => None,
    }
}

impl Records for Reader {
    fn event(&self, at: Location) -> Result<Event, StoreError> {
        let (header, bytes) = self.record(at, false)?;
        let event = &bytes[record::HEADER..record::HEADER + header.event_len];
        rmp_serde::from_slice(event)
            .map_err(|error| StoreError::Damaged(format!("{}: {error}", self.describe(at))))
    }
}
