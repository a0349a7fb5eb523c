//! Bringing the index up to the journal: from its checkpoint after a crash, from the beginning when it is made anew.

use std::{fs, io, os::unix::fs::FileExt, path::PathBuf};

use super::{OpenError, applier::MAX_RECORDS, files::Layout, index::Index};
use crate::{
    store::{
        CommitError,
        journal::{self, Found, SEGMENT_HEADER, Scan},
        machine,
        rows::{Changes, CheckpointRow, Layered, Location, Txn},
    },
    types::Time,
};

/// Most records that are named one by one as of no use.
const MAX_NAMED: usize = 20;
/// Bytes written at a time.
const CHUNK: usize = 4 << 20;

/// Why the index can't be brought up; it is made anew.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The index does not work.
    Index(String),
    /// The journal can't be read.
    Journal(io::Error),
    /// Nothing may be done with the store as it is.
    Unfit(OpenError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Journal(error)
    }
}

/// One run over the journal.
pub(super) struct Replay<'a> {
    pub(super) layout: &'a Layout,
    pub(super) index: &'a Index,
    pub(super) clean: bool,
    pub(super) now: Time,
    pub(super) checkpoint: CheckpointRow,
    pub(super) replayed: u64,
    pub(super) damage: Vec<String>,
    /// The index is made anew: there is no other to fall back on, so what does not fit is told and left out.
    pub(super) anew: bool,
    /// Some of the journal was compacted: changes may be about what is gone for being past its time.
    compacted: bool,
    changes: Changes,
    useless: usize,
    pending: usize,
}

impl<'a> Replay<'a> {
    /// From the checkpoint.
    pub(super) fn new(
        layout: &'a Layout,
        index: &'a Index,
        checkpoint: CheckpointRow,
        (clean, now): (bool, Time),
    ) -> Self {
        let (damage, changes) = (Vec::new(), Changes::new());
        let anew = checkpoint.end == Location::default();
        Self {
            layout,
            index,
            clean,
            now,
            checkpoint,
            replayed: 0,
            damage,
            anew,
            compacted: false,
            changes,
            useless: 0,
            pending: 0,
        }
    }

    /// Applies all records behind the checkpoint.
    pub(super) fn run(&mut self) -> Result<(), Trouble> {
        let segments = journal::list(&self.layout.journal())?;
        let from = self.checkpoint.end;
        let last = segments.last().copied().unwrap_or(0);
        self.compacted = journal::compactions(&self.layout.journal())?.any;
        self.check_end(last)?;
        if last > 0 && !self.clean {
            let begin = if last == from.segment { from.offset } else { 0 };
            self.write_again(last, begin)?;
        }
        for number in segments.into_iter().filter(|number| *number >= from.segment) {
            self.segment(number, (number == from.segment).then_some(from.offset), number == last)?;
        }
        self.write()?;
        self.index.flush().and_then(|()| self.index.sync()).map_err(|error| Trouble::Index(error.to_string()))
    }

    fn segment(&mut self, number: u64, offset: Option<u64>, last: bool) -> Result<(), Trouble> {
        let mut scan = match Scan::open(&self.layout.journal(), number, offset)? {
            Ok(scan) => scan,
            Err(_) if last && self.path(number).metadata()?.len() <= SEGMENT_HEADER => {
                // The process ended while it made the segment: nothing was ever in it.
                fs::remove_file(self.path(number))?;
                return Ok(());
            }
            Err(what) => {
                self.damage.push(format!("segment {number}: {what}; none of its records can be used"));
                return Ok(());
            }
        };
        if offset.is_none() {
            self.checkpoint.end = scan.position();
        }
        let behind = scan.next_segment_from();
        while let Some(found) = scan.next()? {
            match found {
                Found::Record { seq, at, end, event, .. } => {
                    if behind.is_some() {
                        // The records between were past their time.
                        self.pass_over(scan.segment().first.max(self.checkpoint.next), seq);
                    }
                    self.record(seq, (at, end), &event)?;
                }
                Found::Damage { at, batch, .. } if last && !self.clean && self.is_torn(at, batch)? => {
                    self.cut(at, "the last batch was not written whole, and nobody was told that it was")?;
                    return Ok(());
                }
                Found::Damage { at, what, .. } => {
                    self.damage
                        .push(format!("segment {number}, offset {}: {what}; they are skipped", at.offset));
                }
                Found::Tail { at, .. } if last && !self.clean => {
                    self.cut(at, "the last batch was not written whole, and nobody was told that it was")?;
                    return Ok(());
                }
                Found::Tail { at, len } => {
                    let offset = at.offset;
                    self.damage.push(format!(
                        "segment {number}, offset {offset}: the last {len} bytes are no record"
                    ));
                    if last {
                        self.cut(at, "they are no record")?;
                    }
                }
            }
        }
        if let Some(next) = behind {
            self.pass_over(self.checkpoint.next.max(scan.segment().first), next);
            self.checkpoint.end = scan.position();
        }
        Ok(())
    }

    /// The records from `first` on up to `seq` are gone for being past their time, if nothing is missing before them.
    fn pass_over(&mut self, first: u64, seq: u64) {
        if first == self.checkpoint.next {
            self.checkpoint.next = self.checkpoint.next.max(seq);
        }
    }

    /// After a failed sync the system may show bytes that the disk does not have. Who reads them here believes them, so they
    /// are written again, and the disk has them before they are used.
    fn write_again(&self, number: u64, begin: u64) -> Result<(), Trouble> {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.path(number))?;
        let (mut offset, len) = (begin, file.metadata()?.len());
        let mut bytes = vec![0; CHUNK];
        while offset < len {
            let some = usize::try_from(len - offset).map_or(CHUNK, |left| left.min(CHUNK));
            file.read_exact_at(&mut bytes[..some], offset)?;
            file.write_all_at(&bytes[..some], offset)?;
            offset += some as u64;
        }
        Ok(file.sync_all()?)
    }

    /// The journal must not end before what the index has seen of it.
    fn check_end(&mut self, last: u64) -> Result<(), Trouble> {
        let end = self.checkpoint.end;
        let len = |number| self.path(number).metadata().map(|file| file.len());
        let ends_in_last = end.segment > 0 && end.segment == last;
        // One that is compacted was sealed, and whole.
        let is_whole = ends_in_last && journal::is_compacted(&self.layout.journal(), last)?;
        let is_short = end.segment > last || (ends_in_last && !is_whole && len(last)? < end.offset);
        if is_short {
            self.damage.push(format!(
                "the journal ends before segment {}, offset {}, up to where the index has it: mails are lost",
                end.segment, end.offset
            ));
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        journal::segment_path(&self.layout.journal(), number)
    }

    /// Whether all that follows the damage is of the batch that was being written when the damage arose.
    fn is_torn(&self, at: Location, batch: u64) -> Result<bool, Trouble> {
        if batch > self.checkpoint.next {
            return Ok(false);
        }
        let Ok(mut rest) = Scan::open(&self.layout.journal(), at.segment, Some(at.offset))? else {
            return Ok(false);
        };
        while let Some(found) = rest.next()? {
            match found {
                Found::Record { batch: of, .. } | Found::Damage { batch: of, .. } if of != batch => {
                    return Ok(false);
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Cuts the last segment off, and keeps what is cut for those who want to look.
    fn cut(&mut self, at: Location, why: &str) -> Result<(), Trouble> {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.path(at.segment))?;
        let len = file.metadata()?.len().saturating_sub(at.offset);
        let mut tail = vec![0; usize::try_from(len).unwrap_or(0)];
        file.read_exact_at(&mut tail, at.offset)?;
        if tail.iter().any(|byte| *byte != 0) {
            let kept = self.keep(at, &tail).map_or_else(
                |error| format!("there is no room to keep them: {error}"),
                |kept| format!("they are kept in {}", kept.display()),
            );
            self.damage.push(format!(
                "segment {}, offset {}: {len} bytes were cut off: {why}; {kept}",
                at.segment, at.offset
            ));
        }
        file.set_len(at.offset)?;
        file.sync_all()?;
        Ok(())
    }

    fn keep(&self, at: Location, tail: &[u8]) -> io::Result<PathBuf> {
        let kept = self.layout.quarantine(self.now)?.join(format!("{:012}.{}.tail", at.segment, at.offset));
        fs::write(&kept, tail).map(|()| kept)
    }

    fn record(
        &mut self,
        seq: u64,
        (at, end): (Location, Location),
        event: &machine::Event,
    ) -> Result<(), Trouble> {
        if seq < self.checkpoint.next {
            return Ok(());
        }
        if seq > self.checkpoint.next {
            let (first, last) = (self.checkpoint.next, seq - 1);
            self.damage.push(format!(
                "segment {}, offset {}: records {first} to {last} are missing before it",
                at.segment, at.offset
            ));
        }
        let rows = Layered { base: self.index, changes: &self.changes };
        let mut txn = Txn::replay(&rows, self.compacted);
        match machine::apply(event, at, &mut txn) {
            Ok(_) => {
                let changes = txn.into_changes();
                self.changes.extend(changes);
            }
            Err(CommitError::Unavailable(error)) => return Err(Trouble::Index(error)),
            Err(error) if self.damage.is_empty() && !self.anew => {
                return Err(Trouble::Index(format!("record {seq} does not follow from it: {error}")));
            }
            Err(error) => self.useless(format!(
                "segment {}, offset {}: record {seq} can't be used without what is missing: {error}",
                at.segment, at.offset
            )),
        }
        self.checkpoint = CheckpointRow { end, next: seq + 1 };
        self.replayed += 1;
        self.pending += 1;
        if self.pending >= MAX_RECORDS { self.write() } else { Ok(()) }
    }

    fn useless(&mut self, what: String) {
        self.useless += 1;
        if self.useless <= MAX_NAMED {
            self.damage.push(what);
        } else if self.useless == MAX_NAMED + 1 {
            self.damage.push("more records can't be used without what is missing".to_owned());
        }
    }

    fn write(&mut self) -> Result<(), Trouble> {
        self.pending = 0;
        let changes = std::mem::take(&mut self.changes);
        let written = self.index.apply(&changes, self.checkpoint);
        written.and_then(|()| self.index.flush()).map_err(|error| Trouble::Index(error.to_string()))
    }
}
