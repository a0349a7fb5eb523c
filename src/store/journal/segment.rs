//! Segment files: `000000000001.seg`, each with a header of 40 bytes; that of a compacted one goes on (`compacted`).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{Append, Disk, compacted, record};

const MAGIC: [u8; 8] = *b"VESTSEG\n";
/// The format of segments that are appended to.
const FORMAT: u32 = 1;
/// The format of compacted segments, and the newest that this program reads.
const COMPACTED: u32 = 2;
/// Length of the header.
const HEADER_LEN: usize = 40;
/// Where the first record begins.
pub(in crate::store) const HEADER: u64 = HEADER_LEN as u64;

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Segment {
    /// Its number, counted from 1.
    pub(in crate::store) number: u64,
    /// What its records carry.
    pub(in crate::store) salt: u64,
    /// The number of its first record.
    pub(in crate::store) first: u64,
    /// Whether it is what compaction has left of it.
    pub(in crate::store) compacted: bool,
}

/// The file of a segment.
pub(in crate::store) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.seg"))
}

/// The numbers of all segments, ascending.
pub(in crate::store) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(".seg")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Segment {
    /// Makes the file, header and directory entry on disk before it returns.
    pub(super) fn create(self, dir: &Path, disk: &dyn Disk) -> Result<File, Append> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path(dir, self.number)).map_err(Append::Unwritten)?;
        disk.write_all_at(&file, &self.header(), 0).map_err(Append::Unwritten)?;
        disk.sync_data(&file).and_then(|()| disk.sync_dir(dir)).map_err(Append::Unsynced)?;
        Ok(file)
    }

    /// Opens the file and reads its header. The inner error says what is wrong with the header.
    pub(in crate::store) fn open(dir: &Path, number: u64) -> io::Result<Result<(Self, File), String>> {
        let file = OpenOptions::new().read(true).write(true).open(path(dir, number))?;
        let mut header = [0; HEADER_LEN];
        if file.metadata()?.len() < HEADER {
            return Ok(Err("its header is cut off".to_owned()));
        }
        file.read_exact_at(&mut header, 0)?;
        if let Some(format) = Self::newer(&header) {
            return Err(io::Error::other(format!(
                "segment {number} has format {format}, and this program reads up to {COMPACTED}: use the newer program"
            )));
        }
        Ok(Self::parse_any(&header, number).map(|segment| (segment, file)))
    }

    /// Whether the file says that it is compacted. A header that is damaged does not.
    pub(super) fn is_compacted(file: &File) -> io::Result<bool> {
        let mut header = [0; HEADER_LEN];
        let whole = file.metadata()?.len() >= HEADER;
        if whole {
            file.read_exact_at(&mut header, 0)?;
        }
        Ok(whole && header[..8] == MAGIC && header[8..12] == COMPACTED.to_le_bytes())
    }

    pub(super) fn header(self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&if self.compacted { COMPACTED } else { FORMAT }.to_le_bytes());
        header[12..20].copy_from_slice(&self.salt.to_le_bytes());
        header[20..28].copy_from_slice(&self.first.to_le_bytes());
        header[28..36].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32fast::hash(&header[..36]);
        header[36..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The format, when the header is whole and of a later program.
    fn newer(header: &[u8; HEADER_LEN]) -> Option<u32> {
        let format = header[8..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let crc = header[36..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        (header[..8] == MAGIC && format > COMPACTED && crc == crc32fast::hash(&header[..36]))
            .then_some(format)
    }

    /// What a damaged header said, as the copy at the end or the records tell it; `None` when there is neither.
    pub(in crate::store) fn of_its_records(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        if compacted::restore_header(dir, number)? {
            return Ok(Self::open(dir, number)?.ok().map(|(segment, _)| segment));
        }
        let bytes = fs::read(path(dir, number))?;
        let mut at = HEADER_LEN;
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memmem::find(rest, &record::MAGIC)) {
            let rest = &bytes[at + found..];
            if let Some(record) = record::Header::parse(rest).filter(|header| header.event_is_whole(rest)) {
                return Ok(Some(Self { number, salt: record.salt, first: record.seq, compacted: false }));
            }
            at += found + 1;
        }
        Ok(None)
    }

    /// Writes the header over what is there. That of a compacted segment was mended when it was found.
    pub(in crate::store) fn write_header(self, dir: &Path) -> io::Result<()> {
        if self.compacted {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(path(dir, self.number))?;
        file.write_all_at(&self.header(), 0)?;
        file.sync_all()
    }

    /// Reads the first bytes of a header, of whichever format.
    pub(super) fn parse_any(header: &[u8], number: u64) -> Result<Self, String> {
        let damaged = || "its header is damaged".to_owned();
        let header: &[u8; HEADER_LEN] = header.first_chunk().ok_or_else(damaged)?;
        let u64_at = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let compacted = header[8..12] == COMPACTED.to_le_bytes();
        let segment = Self { number, salt: u64_at(12), first: u64_at(20), compacted };
        if segment.header() == *header { Ok(segment) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_a_wrong_one_is_named() {
        let segment = Segment { number: 3, salt: 99, first: 17, compacted: false };
        let header = segment.header();
        assert_eq!(Segment::parse_any(&header, 3), Ok(segment));
        assert!(Segment::parse_any(&header, 4).unwrap_err().contains("damaged"));
        let mut newer = header;
        newer[8] = 9;
        assert_eq!(Segment::newer(&newer), None, "a flipped bit is no newer format");
        let crc = crc32fast::hash(&newer[..36]);
        newer[36..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Segment::newer(&newer), Some(9));
    }

    #[test]
    fn segments_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for number in [12, 2, 1] {
            Segment { number, salt: 1, first: 1, compacted: false }
                .create(dir.path(), &super::super::RealDisk)
                .unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "").unwrap();
        assert_eq!(list(dir.path()).unwrap(), [1, 2, 12]);
    }
}
