//! Bodies over a limit have files of their own: their sessions write them in parallel, and the one writer of the journal
//! does not carry them.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;

use super::{Append, Disk};
use crate::types::MailId;

/// The directory of big bodies.
#[derive(Clone)]
pub(in crate::store) struct BigBodies {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

/// A body that is on disk; its directory entry not yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct BigBody {
    /// Its length.
    pub(in crate::store) len: u32,
    /// Its CRC-32.
    pub(in crate::store) crc: u32,
}

impl BigBodies {
    /// In this directory.
    pub(in crate::store) fn new(dir: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { dir, disk }
    }

    fn path(&self, mail: MailId) -> PathBuf {
        self.dir.join(format!("{mail}.eml"))
    }

    /// Writes a body and waits until its bytes are on disk.
    pub(in crate::store) fn write(&self, mail: MailId, raw: &[u8]) -> Result<BigBody, Append> {
        let too_large = |_| Append::Unwritten(io::Error::other("a mail over 4 GiB"));
        let len = u32::try_from(raw.len()).map_err(too_large)?;
        let options = File::options().write(true).create(true).truncate(true).mode(0o600).to_owned();
        let file = options.open(self.path(mail)).map_err(Append::Unwritten)?;
        self.disk.write_all_at(&file, raw, 0).map_err(Append::Unwritten)?;
        self.disk.sync_data(&file).map_err(Append::Unsynced)?;
        Ok(BigBody { len, crc: crc32fast::hash(raw) })
    }

    /// Makes the directory's entries durable.
    pub(in crate::store) fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir)
    }

    /// Reads a body as it is.
    pub(in crate::store) fn read(&self, mail: MailId) -> io::Result<Bytes> {
        fs::read(self.path(mail)).map(Bytes::from)
    }

    /// Bytes of a body's file; 0 when it is not there.
    pub(in crate::store) fn len(&self, mail: MailId) -> u64 {
        fs::metadata(self.path(mail)).map_or(0, |file| file.len())
    }

    /// The name of a body's file, for messages.
    pub(in crate::store) fn name(&self, mail: MailId) -> String {
        self.path(mail).display().to_string()
    }

    /// Removes a body that nothing refers to.
    pub(in crate::store) fn remove(&self, mail: MailId) {
        // What stays is found again at the next start.
        let _ = self.disk.remove(&self.path(mail));
    }

    /// The ids of all bodies that are there.
    pub(in crate::store) fn list(&self) -> io::Result<HashSet<MailId>> {
        let mut ids = HashSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id: Option<MailId> = name.to_str().and_then(|name| name.strip_suffix(".eml")?.parse().ok());
            ids.extend(id);
        }
        Ok(ids)
    }
}
