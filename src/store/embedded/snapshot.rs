//! A snapshot of a running store: links to its files as they are at one moment, for whoever copies them away.
//!
//! The last segment is sealed first, so that all that was answered before lies in files that don't change any more; those
//! that a compaction replaces or removes meanwhile live on through their links.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{Embedded, Layout, files::create_private};
use crate::store::{CommitError, Snapshot, journal};

impl Embedded {
    /// [`crate::store::Store::snapshot`].
    pub(super) async fn take_snapshot(&self) -> Result<Snapshot, CommitError> {
        self.shared.give_way.fetch_add(1, Ordering::AcqRel);
        let care = self.shared.care.lock().await;
        self.shared.give_way.fetch_sub(1, Ordering::AcqRel);
        self.seal().await?;
        let layout = self.shared.layout.clone();
        let linked = tokio::task::spawn_blocking(move || link_all(&layout)).await;
        drop(care);
        let linked = linked.map_err(io::Error::other).and_then(|linked| linked);
        linked.map_err(|error| CommitError::Unavailable(format!("a snapshot can't be made: {error}")))
    }

    /// [`crate::store::Store::drop_snapshot`].
    pub(super) async fn remove_snapshot(&self) -> Result<(), CommitError> {
        let path = self.shared.layout.snapshot();
        let removed = tokio::task::spawn_blocking(move || remove(&path)).await;
        let removed = removed.map_err(io::Error::other).and_then(|removed| removed);
        removed.map_err(|error| CommitError::Unavailable(format!("the snapshot can't be removed: {error}")))
    }
}

/// Removes what an earlier snapshot has left.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn link_all(layout: &Layout) -> io::Result<Snapshot> {
    let to = layout.snapshot();
    remove(&to)?;
    for dir in [to.clone(), to.join("journal"), to.join("big")] {
        create_private(&dir)?;
    }
    let mut made = Snapshot { path: to.clone(), files: 0, bytes: 0 };
    let mut segments = journal::list(&layout.journal())?;
    // The last one is written to.
    segments.pop();
    for number in segments {
        let from = journal::segment_path(&layout.journal(), number);
        link(&from, &journal::segment_path(&to.join("journal"), number), &mut made)?;
    }
    for entry in fs::read_dir(layout.big())? {
        let from = entry?.path();
        link(&from, &named_as(&to.join("big"), &from), &mut made)?;
    }
    let version = layout.root.join("VERSION");
    link(&version, &named_as(&to, &version), &mut made)?;
    Ok(made)
}

fn named_as(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.file_name().unwrap_or_default())
}

fn link(from: &Path, to: &Path, made: &mut Snapshot) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // A big mail whose plan was refused meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        linked => linked?,
    }
    made.files += 1;
    made.bytes += fs::metadata(to)?.len();
    Ok(())
}
