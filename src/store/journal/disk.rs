//! The seam to the disk: the calls that a promise rests on, so that tests can make them fail, or record them and cut the
//! power.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// Reads, writes and syncs for the journal and for big mails.
pub trait Disk: Send + Sync + 'static {
    /// Writes all bytes at the offset.
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written is on the device (fdatasync).
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Returns when the entries of a directory are on the device.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Cuts a file off, or makes it longer by zeros.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Gives a file another name; what had the name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Writes zeros ahead of the journal's end. No promise rests on them.
    fn write_ahead(&self, file: &File, zeros: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(zeros, offset)
    }

    /// Reads what is at the offset, as much as there is up to the buffer's length.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }
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
