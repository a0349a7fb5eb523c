//! The journal: numbered segments of records, appended to and never changed. It is the truth; the index is made from it.
//!
//! A segment begins with a header that carries a random salt; each record carries the salt too, so that what an older
//! file left on the disk is never taken for a record. Records are numbered without gaps.

mod append;
mod big;
mod disk;
mod read;
mod record;
mod scan;
mod segment;

pub(super) use append::{Append, Appender, Place};
pub(super) use big::{BigBodies, BigBody};
pub use disk::{Disk, RealDisk};
pub(super) use read::Reader;
pub(super) use scan::{Found, Scan, damage};
pub(super) use segment::{HEADER as SEGMENT_HEADER, Segment, list, path as segment_path};
