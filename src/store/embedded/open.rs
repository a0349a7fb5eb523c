//! Opening: lock, version, index, replay; and the index made anew when anything about it is wrong.

use std::{fs, io, path::PathBuf, sync::Arc};

use super::{
    files::{FORMAT, Layout},
    index::{Index, SCHEMA},
    replay::{Replay, Trouble},
    sound,
};
use crate::{
    store::{
        Order, RealDisk, StoreError,
        journal::{self, BigBodies, Found, Scan},
        machine::Event,
        rows::{Changes, CheckpointRow, Location, Rows, encode, key, read},
    },
    types::Time,
};

/// Why the store can't be opened. Each text tells the operator what to look at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store {} is in use by another process; only one may have it open: stop that one, or give this one its own store.path", .0.display())]
    InUse(PathBuf),
    /// A newer program has written it.
    #[error(
        "{} says format {found}, and this program reads up to format {supported}: use the newer program, or another store.path",
        .path.display()
    )]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this program knows.
        supported: u32,
    },
    /// The version can't be read.
    #[error("{} does not begin with \"format NUMBER\": is this path a store of vestibule's?", .0.display())]
    Version(PathBuf),
    /// There is a store, and nothing says of which format.
    #[error(
        "{} is missing beside a journal or an index. Restore it from a backup; if you know that format {FORMAT} of vestibule \
         has written the store, make it with the one line \"format {FORMAT}\"",
        .0.display()
    )]
    NoVersion(PathBuf),
    /// More is missing than can be told.
    #[error("{0}")]
    Unbounded(String),
    /// There is no room to open it.
    #[error("the disk of {} is full, and opening the store needs some room: make room, then start again ({problem})", .path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A file or directory can't be used.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The index can't be made, not even anew.
    #[error("the index {} can't be made from the journal: {problem}", .path.display())]
    Index {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
}

impl OpenError {
    pub(super) fn io(path: &std::path::Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// What was found and done while opening, for the log.
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// Records that were brought from the journal into the index.
    pub replayed: u64,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<String>,
    /// What is damaged or was repaired, each with file and offset.
    pub damage: Vec<String>,
}

impl OpenReport {
    /// What an operator should know, a line each; empty after a clean stop.
    pub fn findings(&self) -> Vec<String> {
        let rebuilt =
            self.rebuilt.iter().map(|reason| format!("the index was made anew from the journal: {reason}"));
        rebuilt.chain(self.damage.iter().cloned()).collect()
    }
}

/// The index, level with the journal.
pub(super) struct Opened {
    pub(super) index: Index,
    /// The end of the journal.
    pub(super) checkpoint: CheckpointRow,
    pub(super) report: OpenReport,
}

/// Opens the index and brings it up to the journal.
pub(super) fn open_index(layout: &Layout, clean: bool, now: Time) -> Result<Opened, OpenError> {
    match try_open(layout, clean, now) {
        Ok(opened) => Ok(opened),
        Err(Trouble::Journal(error)) => Err(OpenError::io(&layout.journal(), error)),
        Err(Trouble::Unfit(error)) => Err(error),
        Err(Trouble::Index(problem)) if is_full(layout, &problem) => {
            Err(OpenError::Full { path: layout.root.clone(), problem })
        }
        Err(Trouble::Index(reason)) => rebuild(layout, clean, now, reason),
    }
}

/// Whether it failed for want of room: then the index is as good as it was, and is left alone.
fn is_full(layout: &Layout, problem: &str) -> bool {
    const TOO_LITTLE: u64 = 1 << 20;
    let room = rustix::fs::statvfs(&layout.root).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    problem.contains("StorageFull") || room.is_ok_and(|room| room < TOO_LITTLE)
}

fn try_open(layout: &Layout, clean: bool, now: Time) -> Result<Opened, Trouble> {
    let has_journal = !journal::list(&layout.journal())?.is_empty();
    if let Some(why) = layout.drop_index_if_asked()? {
        return Err(Trouble::Index(why));
    }
    if has_journal && !layout.index().exists() {
        return Err(Trouble::Index("there was none".to_owned()));
    }
    let index = Index::open(&layout.index()).map_err(Trouble::Index)?;
    let failed = |error: StoreError| Trouble::Index(error.to_string());
    let schema: Option<u64> = read(&index, &key::schema()).map_err(failed)?;
    if let Some(other) = schema.filter(|schema| *schema != SCHEMA) {
        // Nothing is wrong with it. What was put away would keep what is taken out of the journal later.
        drop(index);
        layout.drop_index()?;
        return Err(Trouble::Index(format!("its rows have version {other}, and this program uses {SCHEMA}")));
    }
    let checkpoint = match checkpoint(&index, schema).map_err(failed)? {
        Ok(checkpoint) => checkpoint,
        Err(_) if !has_journal => start(&index)?,
        Err(reason) => return Err(Trouble::Index(reason)),
    };
    let lacking = sound::check(layout, checkpoint.end.segment).map_err(Trouble::Unfit)?;
    if checkpoint.next < journal::compactions(&layout.journal())?.seen {
        return Err(Trouble::Index("it is older than the last compaction of the journal".to_owned()));
    }
    let mut opened = bring_up(layout, index, checkpoint, (clean, now))?;
    opened.report.damage.splice(0..0, lacking);
    if !clean && has_journal {
        cross_check(layout, &opened)?;
    }
    remove_orphans(layout, &opened.index)?;
    opened.report.rebuilt = None;
    Ok(opened)
}

/// How far the index is, or why it is of no use.
fn checkpoint(index: &Index, schema: Option<u64>) -> Result<Result<CheckpointRow, String>, StoreError> {
    if schema.is_none() {
        return Ok(Err("it is empty".to_owned()));
    }
    Ok(read(index, &key::checkpoint())?.ok_or_else(|| "it has no checkpoint".to_owned()))
}

/// Writes the first rows of an empty index.
fn start(index: &Index) -> Result<CheckpointRow, Trouble> {
    let checkpoint = CheckpointRow { end: Location { segment: 0, offset: 0 }, next: 1 };
    let place = key::schema();
    let schema = encode(&place, &SCHEMA).map_err(|error| Trouble::Index(error.to_string()))?;
    let changes = Changes::from([(place, Some(schema))]);
    index.apply(&changes, checkpoint).map_err(|error| Trouble::Index(error.to_string()))?;
    Ok(checkpoint)
}

fn bring_up(
    layout: &Layout,
    index: Index,
    checkpoint: CheckpointRow,
    stop: (bool, Time),
) -> Result<Opened, Trouble> {
    let mut replay = Replay::new(layout, &index, checkpoint, stop);
    replay.run()?;
    let report = OpenReport { replayed: replay.replayed, rebuilt: None, damage: replay.damage };
    let checkpoint = replay.checkpoint;
    Ok(Opened { index, checkpoint, report })
}

/// Puts the index away and makes it anew from the journal.
fn rebuild(layout: &Layout, clean: bool, now: Time, reason: String) -> Result<Opened, OpenError> {
    let dir = layout.index();
    let lacking = sound::check(layout, 0)?;
    if dir.exists() {
        let away = layout.quarantine(now).and_then(|to| fs::rename(&dir, to.join("index")));
        away.map_err(|error| OpenError::io(&dir, error))?;
    }
    let anew = || {
        let index = Index::open(&dir).map_err(Trouble::Index)?;
        let checkpoint = start(&index)?;
        let opened = bring_up(layout, index, checkpoint, (clean, now))?;
        remove_orphans(layout, &opened.index)?;
        Ok(opened)
    };
    match anew() {
        Ok(mut opened) => {
            opened.report.damage.splice(0..0, lacking);
            opened.report.rebuilt = Some(reason);
            Ok(opened)
        }
        Err(Trouble::Journal(error)) => Err(OpenError::io(&layout.journal(), error)),
        Err(Trouble::Unfit(error)) => Err(error),
        Err(Trouble::Index(problem)) if is_full(layout, &problem) => {
            Err(OpenError::Full { path: layout.root.clone(), problem })
        }
        Err(Trouble::Index(problem)) => Err(OpenError::Index { path: dir, problem }),
    }
}

/// After an unclean stop: each decision of the last segment must be in the index.
fn cross_check(layout: &Layout, opened: &Opened) -> Result<(), Trouble> {
    let lost = |what: String| Trouble::Index(format!("it has lost {what}"));
    let number = opened.checkpoint.end.segment;
    let Ok(mut scan) = Scan::open(&layout.journal(), number, None)? else { return Ok(()) };
    if scan.segment().compacted {
        // Some of its decisions may be past their time.
        return last_decisions_are_dense(&opened.index);
    }
    while let Some(found) = scan.next()? {
        let Found::Record { event, .. } = found else { continue };
        let Event::Plan(event) = *event else { continue };
        for seq in event.first..event.first + event.opened.len() as u64 {
            let row =
                opened.index.get(&key::decision(seq)).map_err(|error| Trouble::Index(error.to_string()))?;
            row.ok_or_else(|| lost(format!("decision {seq}")))?;
        }
        for request in event.opened.iter().flatten() {
            let place = key::request(&request.project, request.number);
            let row = opened.index.get(&place).map_err(|error| Trouble::Index(error.to_string()))?;
            row.ok_or_else(|| lost(format!("request {request}")))?;
        }
    }
    last_decisions_are_dense(&opened.index)
}

/// The numbers of the last decisions have no gap.
fn last_decisions_are_dense(index: &Index) -> Result<(), Trouble> {
    const LAST: usize = 4096;
    let retired: Option<u64> =
        read(index, &key::retired()).map_err(|error| Trouble::Index(error.to_string()))?;
    let (mut above, mut left, mut gap) = (None, LAST, None);
    let walked = index.scan(&key::all(b'x'), Order::Newest, &mut |place, _| {
        let seq = key::number(place);
        if let (Some(above), Some(seq)) = (above, seq)
            && seq + 1 != above
            && above - 1 > retired.unwrap_or(0)
        {
            gap = Some(seq + 1);
        }
        above = seq;
        left -= 1;
        Ok(if left == 0 || gap.is_some() {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        })
    });
    walked.map_err(|error| Trouble::Index(error.to_string()))?;
    gap.map_or(Ok(()), |seq| Err(Trouble::Index(format!("it has lost decision {seq}"))))
}

/// Removes the files of big mails whose plan was never committed.
fn remove_orphans(layout: &Layout, index: &Index) -> Result<(), Trouble> {
    let big = BigBodies::new(layout.big(), Arc::new(RealDisk));
    for mail in big.list()? {
        let row = index.get(&key::big(mail)).map_err(|error| Trouble::Index(error.to_string()))?;
        if row.is_none() {
            big.remove(mail);
        }
    }
    Ok(())
}
