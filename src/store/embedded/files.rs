//! The files of the data directory beside journal and index: the lock, the version, the mark of a clean stop.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::OpenError;
use crate::types::Time;

/// The version of the whole directory that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
}

impl Layout {
    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(super) fn big(&self) -> PathBuf {
        self.root.join("big")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Links to the files of a moment, for a backup.
    pub(super) fn snapshot(&self) -> PathBuf {
        self.root.join("snapshot")
    }

    fn overgrown(&self) -> PathBuf {
        self.root.join("OVERGROWN")
    }

    /// Asks the next start to make the index anew, in a new file: sled gives no room back, and keeps old pages.
    pub(super) fn ask_for_a_new_index(&self, why: &str) -> io::Result<()> {
        write_durably(&self.overgrown(), why)
    }

    /// Why the index is to be made anew, if it is; then it is gone.
    pub(super) fn drop_index_if_asked(&self) -> io::Result<Option<String>> {
        let why = match fs::read_to_string(self.overgrown()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            why => why?,
        };
        self.drop_index()?;
        fs::remove_file(self.overgrown())?;
        Ok(Some(if why.is_empty() { "an empty OVERGROWN asks for it".to_owned() } else { why }))
    }

    /// Removes the index, where there is one.
    pub(super) fn drop_index(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.index()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_dir(&self.root),
        }
    }

    fn clean(&self) -> PathBuf {
        self.root.join("CLEAN")
    }

    /// Makes the directories, for the daemon's user only: they hold people's mail.
    pub(super) fn create(&self) -> Result<(), OpenError> {
        for dir in [self.root.clone(), self.journal(), self.big()] {
            create_private(&dir).map_err(|error| OpenError::io(&dir, error))?;
        }
        sync_dir(&self.root).map_err(|error| OpenError::io(&self.root, error))
    }

    /// Takes the lock; it lasts as long as the file stays open, and no longer than the process.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        let path = self.root.join("LOCK");
        let opened = File::options().create(true).truncate(false).write(true).mode(PRIVATE_FILE).open(&path);
        let file = opened.map_err(|error| OpenError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(self.root.clone())),
            Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
        }
    }

    /// Checks the version, and writes it into a new directory.
    pub(super) fn check_version(&self, now: Time) -> Result<(), OpenError> {
        let path = self.root.join("VERSION");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.has_data().map_err(|error| OpenError::io(&self.root, error))? {
                    return Err(OpenError::NoVersion(path));
                }
                let text = format!("format {FORMAT}\nengine embedded\ncreated {now}\n");
                return write_durably(&path, &text).map_err(|error| OpenError::io(&path, error));
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        let found = text.lines().next().and_then(|line| line.strip_prefix("format ")?.trim().parse().ok());
        match found {
            Some(found) if found <= FORMAT => Ok(()),
            Some(found) => Err(OpenError::Newer { path, found, supported: FORMAT }),
            None => Err(OpenError::Version(path)),
        }
    }

    fn has_data(&self) -> io::Result<bool> {
        Ok(self.index().exists() || fs::read_dir(self.journal())?.next().is_some())
    }

    /// Whether the last stop was clean; the mark is taken away.
    pub(super) fn take_clean(&self) -> Result<bool, OpenError> {
        let path = self.clean();
        match fs::remove_file(&path).and_then(|()| sync_dir(&self.root)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(OpenError::io(&path, error)),
        }
    }

    /// Marks a clean stop: the index has all that is in the journal.
    pub(super) fn mark_clean(&self) -> io::Result<()> {
        write_durably(&self.clean(), "the index has all that is in the journal\n")
    }

    /// A new directory under `quarantine/`, for what must not be used and should be looked at.
    pub(super) fn quarantine(&self, now: Time) -> io::Result<PathBuf> {
        let parent = self.root.join("quarantine");
        create_private(&parent)?;
        let name = now.to_string().replace(':', "");
        let mut dir = parent.join(&name);
        for count in 2.. {
            match fs::DirBuilder::new().mode(PRIVATE_DIR).create(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    dir = parent.join(format!("{name}-{count}"));
                }
                made => return made.map(|()| dir),
            }
        }
        Ok(dir)
    }
}

/// Mode of directories: what sled and others put into them is out of reach, whatever its own mode.
const PRIVATE_DIR: u32 = 0o700;
/// Mode of files.
const PRIVATE_FILE: u32 = 0o600;

/// Makes a directory for the daemon's user only. One that is there already keeps the mode that the operator gave it.
pub(super) fn create_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(dir)
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a file whole or not at all.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}
