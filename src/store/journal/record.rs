//! A record: a header of 44 bytes, the event, and the bytes of a mail.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | CRC-32 of what follows up to the end of the event |
//! | 8 | 4 | length of the event |
//! | 12 | 4 | length of the body |
//! | 16 | 4 | CRC-32 of the body |
//! | 20 | 2 | place in its batch |
//! | 22 | 1 | kind |
//! | 23 | 1 | version of the event's encoding |
//! | 24 | 1 | flags: 1 = the body is in a file of its own; 2 = the body was past its time |
//! | 25 | 3 | zero |
//! | 28 | 8 | the segment's salt |
//! | 36 | 8 | number |
//!
//! Numbers are little-endian.

use crate::store::machine::Event;

/// Begins each record.
pub(super) const MAGIC: [u8; 4] = *b"\xffVR\x01";
/// Length of the header.
pub(super) const HEADER: usize = 44;
/// Largest event, in bytes: an import of accounts is the largest there is.
pub(super) const MAX_EVENT: usize = 64 << 20;
/// The newest version of events that this program writes, and the newest that it reads.
pub(super) const VERSION: u8 = 3;
/// The body is in a file of its own.
const FLAG_BIG: u8 = 1;
/// The body was past its time: compaction has taken it away.
const FLAG_GONE: u8 = 2;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Header {
    crc: u32,
    /// Length of the event.
    pub(super) event_len: usize,
    /// Length of the body, wherever it is.
    pub(super) body_len: usize,
    /// CRC-32 of the body.
    pub(super) body_crc: u32,
    /// Place in its batch.
    pub(super) place: u16,
    /// Version of the event's encoding.
    pub(super) version: u8,
    /// Whether the body is in a file of its own.
    pub(super) big: bool,
    /// Whether compaction has taken the body away.
    pub(super) gone: bool,
    /// The segment's salt.
    pub(super) salt: u64,
    /// The record's number.
    pub(super) seq: u64,
}

impl Header {
    /// Reads a header; `None` when there is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        if bytes[..4] != MAGIC {
            return None;
        }
        let header = Self {
            crc: u32_at(bytes, 4),
            event_len: u32_at(bytes, 8) as usize,
            body_len: u32_at(bytes, 12) as usize,
            body_crc: u32_at(bytes, 16),
            place: u16::from_le_bytes([bytes[20], bytes[21]]),
            version: bytes[23],
            big: bytes[24] & FLAG_BIG != 0,
            gone: bytes[24] & FLAG_GONE != 0,
            salt: u64_at(bytes, 28),
            seq: u64_at(bytes, 36),
        };
        (header.event_len <= MAX_EVENT).then_some(header)
    }

    /// The body, whose bytes are these where they are in the record.
    pub(in crate::store) fn body<'a>(&self, inline: &'a [u8]) -> Body<'a> {
        match (self.gone, self.big) {
            (true, _) => Body::Gone,
            (false, true) => {
                Body::Big { len: u32::try_from(self.body_len).unwrap_or(u32::MAX), crc: self.body_crc }
            }
            (false, false) => Body::Inline(inline),
        }
    }

    /// Whether there is a body, wherever it is.
    pub(in crate::store) fn has_body(&self) -> bool {
        !self.gone && self.body_len > 0
    }

    /// Length of the record with this body instead of its own.
    pub(in crate::store) fn len_with(&self, body: Body<'_>) -> u64 {
        let inline = if let Body::Inline(bytes) = body { bytes.len() } else { 0 };
        (HEADER + self.event_len + inline) as u64
    }

    /// Bytes of the body inside the record.
    pub(super) fn inline_len(&self) -> usize {
        if self.big { 0 } else { self.body_len }
    }

    /// Length of the whole record.
    pub(super) fn record_len(&self) -> usize {
        HEADER + self.event_len + self.inline_len()
    }

    /// Whether the event is as it was written; `bytes` begins with the header.
    pub(super) fn event_is_whole(&self, bytes: &[u8]) -> bool {
        bytes.get(8..HEADER + self.event_len).is_some_and(|covered| crc32fast::hash(covered) == self.crc)
    }

    /// Whether event and body are as they were written.
    pub(super) fn is_whole(&self, bytes: &[u8]) -> bool {
        self.event_is_whole(bytes)
            && bytes
                .get(HEADER + self.event_len..self.record_len())
                .is_some_and(|body| self.big || crc32fast::hash(body) == self.body_crc)
    }
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The bytes of a record's mail.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Body<'a> {
    /// In the record.
    Inline(&'a [u8]),
    /// In a file of its own.
    Big {
        /// Length of the file.
        len: u32,
        /// CRC-32 of the file.
        crc: u32,
    },
    /// Past their time.
    Gone,
}

/// What a record is made of, beside the event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// The segment's salt.
    pub(super) salt: u64,
    /// The record's number.
    pub(super) seq: u64,
    /// Place in its batch.
    pub(super) place: u16,
    /// The bytes of the mail.
    pub(super) body: Body<'a>,
}

/// Appends a record to `out`. Leaves `out` as it was when the event can't be encoded.
pub(super) fn write(out: &mut Vec<u8>, event: &Event, parts: Parts<'_>) -> Result<(), String> {
    let start = out.len();
    out.resize(start + HEADER, 0);
    if let Err(error) = rmp_serde::encode::write_named(out, event) {
        out.truncate(start);
        return Err(format!("an event can't be encoded: {error}"));
    }
    let event_len = out.len() - start - HEADER;
    let (body_len, body_crc) = match parts.body {
        Body::Inline(body) => (u32::try_from(body.len()), crc32fast::hash(body)),
        Body::Big { len, crc } => (Ok(len), crc),
        Body::Gone => (Ok(0), 0),
    };
    let (Ok(event_len), Ok(body_len)) = (u32::try_from(event_len), body_len) else {
        out.truncate(start);
        return Err("an event or a mail is over 4 GiB".to_owned());
    };
    if event_len as usize > MAX_EVENT {
        out.truncate(start);
        return Err(format!("an event is over {MAX_EVENT} bytes"));
    }
    let header = &mut out[start..start + HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&event_len.to_le_bytes());
    header[12..16].copy_from_slice(&body_len.to_le_bytes());
    header[16..20].copy_from_slice(&body_crc.to_le_bytes());
    header[20..22].copy_from_slice(&parts.place.to_le_bytes());
    header[22] = kind(event);
    header[23] = version(event);
    header[24] = match parts.body {
        Body::Inline(_) => 0,
        Body::Big { .. } => FLAG_BIG,
        Body::Gone => FLAG_GONE,
    };
    header[28..36].copy_from_slice(&parts.salt.to_le_bytes());
    header[36..44].copy_from_slice(&parts.seq.to_le_bytes());
    let crc = crc32fast::hash(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    if let Body::Inline(body) = parts.body {
        out.extend_from_slice(body);
    }
    Ok(())
}

/// For people who look into a segment; the event says it too.
fn kind(event: &Event) -> u8 {
    match event {
        Event::Noop => 0,
        Event::Plan(_) => 1,
        Event::Settle(_) => 2,
        Event::Hurry(_) => 3,
        Event::Sweep(_) => 4,
        Event::Retire(_) => 5,
    }
}

/// Programs that know less must refuse what they would take for damage.
fn version(event: &Event) -> u8 {
    match event {
        Event::Retire(_) => 2,
        Event::Plan(plan) => plan.version(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: Body<'_>) -> Vec<u8> {
        let mut out = b"before".to_vec();
        write(&mut out, &Event::Noop, Parts { salt: 7, seq: u64::MAX - 1, place: 300, body }).unwrap();
        out.split_off(6)
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = record(Body::Inline(b"a mail"));
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.salt, header.seq, header.place), (7, u64::MAX - 1, 300));
        assert_eq!((header.body_len, header.record_len(), header.big), (6, bytes.len(), false));
        assert!(header.is_whole(&bytes));
        let big = record(Body::Big { len: 9_000_000, crc: 42 });
        let header = Header::parse(&big).unwrap();
        assert_eq!((header.body_len, header.body_crc, header.record_len()), (9_000_000, 42, big.len()));
        assert!(header.is_whole(&big) && header.big);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = record(Body::Inline(b"a mail"));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = Header::parse(&flipped).is_some_and(|header| header.is_whole(&flipped));
            assert!(!found, "bit {bit}");
        }
        for len in 0..bytes.len() {
            let short = &bytes[..len];
            assert!(!Header::parse(short).is_some_and(|header| header.is_whole(short)), "{len} bytes");
        }
    }
}
