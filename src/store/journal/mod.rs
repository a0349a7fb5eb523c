//! The journal: numbered segments of records, appended to and never changed; a sealed one is replaced as a whole when
//! enough of it is past its time. It is the truth; the index is made from it.
//!
//! A segment begins with a header that carries a random salt; each record carries the salt too, so that what an older
//! file left on the disk is never taken for a record. Records are numbered without gaps.

mod append;
mod big;
mod compacted;
mod disk;
mod read;
mod record;
mod scan;
mod segment;

pub(super) use append::{Append, Appender, Place};
pub(super) use big::{BigBodies, BigBody};
pub(super) use compacted::{Rewrite, compactions, is_compacted, remove_unfinished, seen};
pub use disk::{Disk, RealDisk};
pub(super) use read::Reader;
pub(super) use record::Body;
pub(super) use scan::{Found, Scan, damage};
pub(super) use segment::{HEADER as SEGMENT_HEADER, Segment, list, path as segment_path};
