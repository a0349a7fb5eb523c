//! The seam to the disk: the two calls that a promise rests on, so that tests can make them fail.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Writes and syncs for the journal.
pub trait Disk: Send + Sync + 'static {
    /// Writes all bytes at the offset.
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written is on the device (fdatasync).
    fn sync_data(&self, file: &File) -> io::Result<()>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
