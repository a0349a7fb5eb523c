//! Compaction: what is past its retention leaves the rows by a record of the journal, and then the journal.
//!
//! A sealed segment that has enough of it is written anew beside itself and then takes the old one's name. The rows that
//! said what is past its time are on disk before that, so that an index which has not seen them is older than the compaction
//! and is made anew.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_bytes::ByteBuf;

use super::{Embedded, Pace, Shared, applier::MAX_RECORDS};
use crate::{
    config::Retention,
    store::{
        CommitError, Compacted, Effort, Order, StoreError,
        journal::{self, Found, Rewrite, Scan, Segment},
        machine::{self, Before, Creators, Event, Forgotten, Judge, RetireEvent},
        rows::{CheckpointRow, Location, Rows as _, key, read},
    },
    types::{MailId, Time},
};

/// Rows removed by one record.
const MAX_RETIRED: usize = 8 * MAX_RECORDS;
/// A segment with anything in it is sealed after so long, so that what is in it can end.
const SEAL_AFTER: Duration = Duration::from_hours(24);
/// Longest wait until the index has seen what was just written.
const INDEX_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at how far the index is.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// An index of more times its rows is overgrown, when it is large.
const OVERGROWN: u64 = 8;
const OVERGROWN_FROM: u64 = 64 << 20;
/// A segment is written anew when this part of it is past its time: one fifth.
const WORTHWHILE: u64 = 5;

/// One run.
struct Run {
    shared: Arc<Shared>,
    dir: PathBuf,
    retention: Retention,
    now: Time,
    effort: Effort,
    creators: Creators,
    /// Who was forgotten; while there is anybody, all that is past its time goes: what is left over may name the person.
    forgotten: Forgotten,
    /// Whether the segments so far have nothing of them.
    through: bool,
    /// Rows removed by a record below this number are begun by no record that is kept.
    clean_below: u64,
    over: Vec<MailId>,
    compacted: Compacted,
}

/// What is left of a segment.
struct Left {
    /// Bytes of its records.
    bytes: u64,
    /// Whether anything is past its time.
    changed: bool,
    /// Whether it can be read through.
    whole: bool,
    /// What its records begin, as they are.
    all: Creators,
    /// What the rest of them begins.
    own: Creators,
    /// Mails whose files are past their time.
    over: Vec<MailId>,
    /// Records with something of a person who was forgotten.
    forgotten: u64,
}

impl Embedded {
    /// [`crate::store::Store::compact`]. One at a time.
    pub(super) async fn compact_all(
        &self,
        retention: &Retention,
        now: Time,
        effort: Effort,
    ) -> Result<Compacted, CommitError> {
        let mut sealed_at = self.shared.care.lock().await;
        let somebody = !Forgotten::load(&self.shared.rows)?.is_empty();
        if somebody || effort == Effort::Full || now.since(*sealed_at) >= SEAL_AFTER {
            self.seal().await?;
            *sealed_at = now;
        }
        let decisions = self.retire(retention, now).await?;
        self.index_is_level().await;
        let mut run = Run::new(&self.shared, (*retention, now, effort))?;
        let mut pace = Pace::new(effort == Effort::Gentle, Arc::clone(&self.closed));
        pace.give_way = Arc::clone(&self.shared.give_way);
        let ran = tokio::task::spawn_blocking(move || run.segments(pace).map(|()| run)).await;
        let mut run = ran.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        run.compacted.decisions = decisions;
        self.remove_files(run.over, now, &mut run.compacted).await?;
        if run.through && !run.forgotten.is_empty() {
            if run.forgotten.places.iter().any(|at| *at < self.shared.opened_at) {
                // The index was opened with what is forgotten in it.
                self.shared.wants_a_new_index()?;
            }
            self.remove_rows(run.forgotten.keys(), now).await?;
        }
        run.compacted.pending = Forgotten::load(&self.shared.rows)?.places.len() as u64;
        Ok(run.compacted)
    }

    /// Removes rows that nothing needs any more.
    async fn remove_rows(&self, keys: Vec<ByteBuf>, now: Time) -> Result<(), CommitError> {
        let event = RetireEvent::of_rows(keys, now, &self.shared.rows)?;
        self.write(Event::Retire(event), Bytes::new(), None).await.map(drop)
    }

    /// Begins a new segment.
    pub(super) async fn seal(&self) -> Result<(), CommitError> {
        self.shared.seal.store(true, Ordering::Release);
        self.write(Event::Noop, Bytes::new(), None).await.map(drop)
    }

    /// Removes the rows of what is past its time.
    async fn retire(&self, retention: &Retention, now: Time) -> Result<u64, CommitError> {
        self.index_is_level().await;
        let end = self.shared.checkpoint()?.end;
        let (before, mut retired) = (Before::at(retention, now, end.segment), 0);
        while !self.closed.load(Ordering::Acquire) {
            let event = self.list(move |view| machine::retirable(view, before, MAX_RETIRED)).await?;
            let Some(event) = event else { break };
            retired += event.decisions();
            self.write(Event::Retire(event), Bytes::new(), None).await?;
        }
        Ok(retired)
    }

    /// Waits until the index has what is in the journal now, or nearly so: what it has not stays for the next time.
    async fn index_is_level(&self) {
        let began = Instant::now();
        let last =
            journal::list(&self.shared.layout.journal()).ok().and_then(|numbers| numbers.last().copied());
        let is_behind = || {
            let end = self.shared.checkpoint().ok().map(|checkpoint| checkpoint.end.segment);
            !self.shared.rows.overlay.is_empty() || end < last
        };
        while is_behind() && began.elapsed() < INDEX_LIMIT {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The files of mails past their time: first no row needs them, then they go.
    async fn remove_files(
        &self,
        over: Vec<MailId>,
        now: Time,
        compacted: &mut Compacted,
    ) -> Result<(), CommitError> {
        for some in over.chunks(MAX_RETIRED) {
            let keys = some.iter().map(|mail| ByteBuf::from(key::big(*mail).into_vec())).collect();
            self.remove_rows(keys, now).await?;
            for mail in some {
                compacted.files += 1;
                compacted.freed += self.shared.big.len(*mail);
                self.shared.big.remove(*mail);
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Brings the index to the disk. A failed sync is told once only: who hears of it must say so.
    fn sync_index(&self) -> Result<(), StoreError> {
        let synced = self.rows.index.flush().and_then(|()| self.rows.index.sync());
        synced.inspect_err(|error| {
            self.status.fail_for_good(format!("the index can't be written: {error}"));
        })
    }

    /// Sled keeps old pages: what they have of somebody who was forgotten goes with them, at the next start.
    fn wants_a_new_index(&self) -> Result<(), StoreError> {
        let asked = self.layout.ask_for_a_new_index("somebody was forgotten");
        asked.map_err(|error| unavailable(&error))
    }

    /// How far the index is.
    pub(super) fn checkpoint(&self) -> Result<CheckpointRow, StoreError> {
        let row = read(&self.rows.index, &key::checkpoint())?;
        row.ok_or_else(|| StoreError::Damaged("the index has no checkpoint".to_owned()))
    }
}

impl Run {
    fn new(
        shared: &Arc<Shared>,
        (retention, now, effort): (Retention, Time, Effort),
    ) -> Result<Self, StoreError> {
        Ok(Self {
            shared: Arc::clone(shared),
            dir: shared.layout.journal(),
            retention,
            now,
            effort,
            creators: Creators::default(),
            forgotten: Forgotten::load(&shared.rows.index)?,
            through: true,
            clean_below: u64::MAX,
            over: Vec::new(),
            compacted: Compacted::default(),
        })
    }

    /// All sealed segments, the oldest first: what later ones have to keep depends on the earlier ones.
    fn segments(&mut self, mut pace: Pace) -> Result<(), StoreError> {
        let end = self.shared.checkpoint()?.end;
        let numbers = journal::list(&self.dir).map_err(|error| unavailable(&error))?;
        self.through = self.forgotten.places.iter().all(|at| at.segment < end.segment);
        for number in numbers.into_iter().filter(|number| *number < end.segment) {
            if !pace.goes_on() {
                self.through = false;
                return Ok(());
            }
            self.segment(number, &mut pace)?;
        }
        self.measure_index()
    }

    /// Sled keeps the room that it once had: an index of many times its rows is made anew at the next start.
    fn measure_index(&self) -> Result<(), StoreError> {
        let file = self.shared.layout.index().join("db");
        let size = std::fs::metadata(file).map_or(0, |file| file.len());
        if size < OVERGROWN_FROM {
            return Ok(());
        }
        let mut rows = 0;
        self.shared.rows.index.scan(&key::everything(), Order::Oldest, &mut |place, value| {
            rows += (place.len() + value.len()) as u64;
            Ok(ControlFlow::Continue(()))
        })?;
        if size > rows * OVERGROWN {
            let asked = self.shared.layout.ask_for_a_new_index("it took far more room than its rows");
            asked.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    fn segment(&mut self, number: u64, pace: &mut Pace) -> Result<(), StoreError> {
        let seen = self.shared.checkpoint()?.next;
        let Ok(mut scan) = Scan::open(&self.dir, number, None).map_err(|error| unavailable(&error))? else {
            (self.clean_below, self.through) = (0, false);
            return Ok(());
        };
        let (segment, len) = (scan.segment(), scan.len());
        let left = self.walk(&mut scan, None, pace)?;
        let gained = len.saturating_sub(left.bytes);
        let worthwhile = match self.effort {
            Effort::Gentle => gained * WORTHWHILE >= len || !self.forgotten.is_empty(),
            Effort::Full => true,
        };
        if left.whole && left.changed && worthwhile && !pace.ended() {
            return self.rewrite(segment, len, pace);
        }
        self.through &= left.whole && !left.changed && !pace.ended();
        let seen = if left.whole && !left.changed { seen } else { self.seen(segment)? };
        self.clean_below = self.clean_below.min(seen);
        self.creators.extend(left.all);
        self.over.extend(left.over);
        Ok(())
    }

    /// What a compaction of the segment had seen; 0 without one.
    fn seen(&self, segment: Segment) -> Result<u64, StoreError> {
        journal::seen(&self.dir, segment).map_err(|error| unavailable(&error))
    }

    /// Writes the segment anew.
    fn rewrite(&mut self, segment: Segment, len: u64, pace: &mut Pace) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| unavailable(&error);
        let _room = self.shared.status.reserve.promise(len).map_err(failed)?;
        let mut rewrite =
            Rewrite::begin(&self.dir, segment, Arc::clone(&self.shared.disk)).map_err(failed)?;
        let Ok(mut scan) = Scan::open(&self.dir, segment.number, None).map_err(failed)? else {
            self.through = false;
            return Ok(());
        };
        let next = self.next(segment.number)?;
        // Before the walk: what is removed while it goes on may be judged by how it was, and its removal must stay.
        let seen = self.shared.checkpoint()?.next;
        let left = self.walk(&mut scan, Some(&mut rewrite), pace)?;
        if pace.ended() || !left.whole {
            self.through = false;
            return Ok(());
        }
        if left.forgotten > 0 {
            self.shared.wants_a_new_index()?;
        }
        self.shared.sync_index()?;
        let end = scan.position().offset;
        let written = rewrite.finish((next, seen, end)).map_err(failed)?;
        rewrite.publish().map_err(failed)?;
        self.shared.reader.forget(segment.number);
        self.compacted.segments += 1;
        self.compacted.forgotten += left.forgotten;
        self.compacted.freed += len.saturating_sub(written);
        self.clean_below = self.clean_below.min(seen);
        self.creators.extend(left.own);
        self.over.extend(left.over);
        Ok(())
    }

    /// The number of the first record behind the segment.
    fn next(&self, number: u64) -> Result<u64, StoreError> {
        let numbers = journal::list(&self.dir).map_err(|error| unavailable(&error))?;
        let following = numbers.into_iter().find(|other| *other > number);
        let opened = following.map(|following| Segment::open(&self.dir, following)).transpose();
        match opened.map_err(|error| unavailable(&error))? {
            Some(Ok((segment, _))) => Ok(segment.first),
            _ => Err(StoreError::Damaged(format!("no segment comes after segment {number}"))),
        }
    }

    /// Judges each record, and writes what is left of it.
    fn walk(
        &self,
        scan: &mut Scan,
        mut rewrite: Option<&mut Rewrite>,
        pace: &mut Pace,
    ) -> Result<Left, StoreError> {
        let mut judge = Judge {
            rows: &self.shared.rows.index,
            retention: &self.retention,
            now: self.now,
            earlier: &self.creators,
            own: Creators::default(),
            clean_below: self.clean_below,
            forgotten: &self.forgotten,
            through: self.through,
        };
        let mut left = Left {
            bytes: 0,
            changed: false,
            whole: true,
            all: Creators::default(),
            own: Creators::default(),
            over: Vec::new(),
            forgotten: 0,
        };
        while let Some(found) = scan.next().map_err(|error| unavailable(&error))? {
            let Found::Record { seq, at, event, .. } = found else {
                left.whole = false;
                continue;
            };
            if !pace.goes_on() {
                break;
            }
            left.all.note(&event);
            left.record(&mut judge, (seq, at, &event), scan, rewrite.as_deref_mut())?;
        }
        left.own = judge.own;
        Ok(left)
    }
}

impl Left {
    fn record(
        &mut self,
        judge: &mut Judge<'_>,
        (seq, at, event): (u64, Location, &Event),
        scan: &mut Scan,
        rewrite: Option<&mut Rewrite>,
    ) -> Result<(), StoreError> {
        let kept = judge.judge(seq, at, event)?;
        let Some((header, bytes)) = scan.body().map_err(|error| unavailable(&error))? else { return Ok(()) };
        let had_body = header.has_body();
        self.changed |= kept.changed || (had_body && !kept.body);
        self.forgotten += u64::from(kept.forgotten);
        self.over.extend(kept.big_over);
        let Some(event) = kept.event else { return Ok(()) };
        let body = match (had_body, kept.body) {
            (true, false) => journal::Body::Gone,
            _ => header.body(bytes),
        };
        self.bytes += header.len_with(body);
        match rewrite {
            Some(rewrite) => rewrite.push(at.offset, seq, &event, body).map_err(|error| unavailable(&error)),
            None => Ok(()),
        }
    }
}

fn unavailable(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("journal: {error}"))
}
