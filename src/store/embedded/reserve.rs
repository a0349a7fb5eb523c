//! Room that is kept back on the disk. When the rest is used up, mail is refused and the room is given to the index: it has
//! to take in what is in the journal already, and sled does not survive a full disk.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};

/// How long a reading of the free space serves those who only ask.
const FREE_FOR: Duration = Duration::from_millis(50);

/// The room that is kept back, in a file of its own.
pub(super) struct Reserve {
    root: PathBuf,
    file: File,
    size: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: bool,
    free: u64,
    looked: Option<Instant>,
    /// Bytes that writers of big mails are about to use.
    promised: u64,
}

/// Bytes that somebody is about to write.
pub(super) struct Promise<'a>(&'a Reserve, u64);

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.promised -= self.1);
    }
}

impl Reserve {
    /// Keeps `size` bytes back on the disk of `root`, as soon as there is room; 0 = none.
    pub(super) fn open(root: &Path, size: u64) -> io::Result<Self> {
        let path = root.join("RESERVE");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let held = size > 0 && file.metadata()?.len() == size;
        let state = Mutex::new(State { held, ..State::default() });
        let reserve = Self { root: root.to_owned(), file, size, state };
        reserve.with(|state| reserve.look(state));
        Ok(reserve)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Less than this beside the reserve: the disk is full.
    fn margin(&self) -> u64 {
        self.size / 4
    }

    /// Looks how much is free, and gives the reserve up or takes it back accordingly.
    fn look(&self, state: &mut State) {
        state.free = self.free();
        state.looked = Some(Instant::now());
        if state.held && state.free < self.margin() {
            state.held = self.file.set_len(0).is_err();
        } else if !state.held && state.free >= self.size + 2 * self.margin() {
            state.held = self.take();
            state.free = self.free();
        }
    }

    fn take(&self) -> bool {
        if self.size == 0 {
            return true;
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, self.size) {
            // A file system that can't do that has no reserve; mail is refused at the margin all the same.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => true,
            Err(_) => {
                let _ = self.file.set_len(0);
                false
            }
        }
    }

    /// A file system that can't be asked is as good as full.
    fn free(&self) -> u64 {
        statvfs(&self.root).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
    }

    /// Bytes that are free, and why that is not enough, if it is not.
    pub(super) fn room(&self) -> (u64, Option<String>) {
        self.with(|state| {
            if state.looked.is_none_or(|at| at.elapsed() >= FREE_FOR) {
                self.look(state);
            }
            (state.free, (!state.held).then(|| self.problem()))
        })
    }

    /// Whether so many bytes of mail may be written now.
    pub(super) fn admit(&self, bytes: u64) -> io::Result<()> {
        self.with(|state| self.check(state, bytes))
    }

    /// Like [`Reserve::admit`]; what was promised is kept away from others until it is dropped.
    pub(super) fn promise(&self, bytes: u64) -> io::Result<Promise<'_>> {
        self.with(|state| {
            self.check(state, bytes)?;
            state.promised += bytes;
            Ok(Promise(self, bytes))
        })
    }

    fn check(&self, state: &mut State, bytes: u64) -> io::Result<()> {
        self.look(state);
        let needed = bytes + state.promised + self.margin();
        if state.held && state.free >= needed {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, self.problem()))
    }

    fn problem(&self) -> String {
        let needed = (self.size + 2 * self.margin()) >> 10;
        format!("the disk of {} is full: mail is taken again once {needed} KiB are free", self.root.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_back_and_promised_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("RESERVE")).unwrap().len(), 1 << 20);
        let (free, problem) = reserve.room();
        assert!(free > 0 && problem.is_none());
        let most = free - free / 4;
        let promise = reserve.promise(most).unwrap();
        assert_eq!(reserve.admit(most).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(promise);
        reserve.admit(most).unwrap();
    }

    #[test]
    fn without_room_there_is_none_and_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(dir.path(), 1 << 50).unwrap();
        assert!(reserve.room().1.is_some_and(|problem| problem.contains("full")));
        assert!(reserve.admit(0).is_err());
        assert_eq!(std::fs::metadata(dir.path().join("RESERVE")).unwrap().len(), 0);
    }
}
