//! The one thread that writes the journal. It takes all plans that wait, checks each against the rows and the plans before
//! it, writes them with one write and one sync, shows their rows to all reads, and only then answers.

use std::{
    sync::{Arc, mpsc::SyncSender},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, applier::MAX_RECORDS, overlay::Unit};
use crate::store::{
    CommitError, Committed, Order, StoreError,
    journal::{Append, Appender, BigBody},
    machine::{self, Counters, Event},
    rows::{Changes, CheckpointRow, Key, KeyRange, Rows, Txn, Value, Visit, key, merge_scan},
};

/// Most plans in one batch.
const MAX_PLANS: usize = 1024;
/// Most bytes of mail in one batch.
const MAX_BYTES: usize = 16 << 20;
/// Bytes that a plan takes on the disk beside its mail: its event and its rows, roughly.
const ROWS: usize = 8 << 10;
/// How often a store that takes no writes tries again.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How often it looks for those who wait meanwhile.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// An event to be written, and who waits for it.
pub(super) struct Command {
    /// Nothing is to be written: somebody asks whether the writer lives.
    pub(super) ping: bool,
    pub(super) event: Event,
    pub(super) raw: Bytes,
    pub(super) big: Option<BigBody>,
    pub(super) queued: Instant,
    pub(super) reply: oneshot::Sender<Result<Committed, CommitError>>,
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) appender: Appender,
    pub(super) counters: Counters,
    pub(super) units: SyncSender<Vec<Unit>>,
}

type Answer = (oneshot::Sender<Result<Committed, CommitError>>, Result<Committed, CommitError>);

/// What a batch comes to.
#[derive(Default)]
struct Batch {
    units: Vec<Unit>,
    answers: Vec<Answer>,
}

impl Batch {
    /// Adds what follows from one more record.
    fn add(&mut self, seq: u64, changes: Changes, checkpoint: CheckpointRow) {
        if self.units.last().is_none_or(|unit| unit.records == MAX_RECORDS) {
            self.units.push(Unit::default());
        }
        let Some(unit) = self.units.last_mut() else { return };
        unit.records += 1;
        unit.changes.extend(changes);
        (unit.seq, unit.checkpoint) = (seq, checkpoint);
    }
}

/// The rows as the plans of a batch so far leave them.
struct Pending<'a> {
    rows: &'a dyn Rows,
    units: &'a [Unit],
}

impl Rows for Pending<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        match self.units.iter().rev().find_map(|unit| unit.changes.get(key)) {
            Some(changed) => Ok(changed.clone()),
            None => self.rows.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut over = Changes::new();
        for unit in self.units {
            let within = unit.changes.range(range.from.clone()..range.until.clone());
            over.extend(within.map(|(key, value)| (key.clone(), value.clone())));
        }
        merge_scan(over.into_iter().collect(), order, visit, |inner| self.rows.scan(range, order, inner))
    }
}

impl Writer {
    /// Writes until all senders are gone.
    pub(super) fn run(mut self, commands: &mut mpsc::Receiver<Command>) {
        let shared = Arc::clone(&self.shared);
        let admit = |bytes| shared.status.reserve.admit(bytes);
        self.appender.write_ahead(admit);
        let mut company = false;
        while let Some(first) = commands.blocking_recv() {
            self.shared.status.waiting_since(Some(first.queued));
            if company {
                // Others were there a moment ago: who is about to hand over a plan and has no processor gets this one.
                // The more plans share a sync, the less each costs. With nobody to run it returns at once.
                thread::yield_now();
            }
            let mut waiting = drain(first, commands);
            let asked: Vec<_> = waiting.extract_if(.., |command| command.ping).collect();
            company = waiting.len() > 1;
            if !waiting.is_empty() {
                self.commit(waiting);
            }
            // Behind what came before them.
            for command in asked {
                let _ = command.reply.send(Ok(Committed::default()));
            }
            self.shared.status.waiting_since(None);
            if commands.is_empty() {
                self.appender.write_ahead(admit);
            }
            self.wait_until_writable(commands);
        }
        self.appender.trim();
    }

    fn commit(&mut self, waiting: Vec<Command>) {
        if let Some(problem) = self.shared.status.refusal() {
            return refuse(waiting, &problem);
        }
        let bytes: usize = waiting.iter().map(|command| command.raw.len() + ROWS).sum();
        let room = self.shared.status.reserve.admit(bytes as u64).map_err(Append::Unwritten);
        if let Err(error) = room.and_then(|()| self.appender.begin_batch()) {
            return self.failed(waiting.into_iter().map(|command| command.reply), &error);
        }
        let mut counters = self.counters.clone();
        let batch = self.check(waiting, &mut counters);
        match self.appender.commit() {
            Ok(()) => {
                self.counters = counters;
                self.shared.status.synced();
                self.publish(batch);
            }
            Err(error) => self.failed(batch.answers.into_iter().map(|(reply, _)| reply), &error),
        }
    }

    /// Checks each plan against the rows and those before it. Refusals are answered with the batch, since they may rest
    /// on plans of it.
    fn check(&mut self, waiting: Vec<Command>, counters: &mut Counters) -> Batch {
        let mut batch = Batch { answers: Vec::with_capacity(waiting.len()), ..Batch::default() };
        for command in waiting {
            let rows = Pending { rows: &self.shared.rows, units: &batch.units };
            let outcome =
                add(&mut self.appender, counters, &rows, (command.event, &command.raw, command.big));
            let answer = outcome.map(|(committed, (seq, changes, checkpoint))| {
                batch.add(seq, changes, checkpoint);
                committed
            });
            batch.answers.push((command.reply, answer));
        }
        batch
    }

    fn publish(&mut self, batch: Batch) {
        self.shared.status.committed(batch.units.iter().map(|unit| unit.records).sum());
        self.shared.rows.publish(&batch.units);
        self.wake(&batch.units);
        for (reply, answer) in batch.answers {
            // Who asked may have gone; what was committed stays so.
            let _ = reply.send(answer);
        }
        if !batch.units.is_empty() && self.units.send(batch.units).is_err() {
            self.shared.status.fail_for_good("the index is not written any more".to_owned());
        }
    }

    fn wake(&self, units: &[Unit]) {
        let jobs = Key::from_slice(b"j/")..Key::from_slice(b"j0");
        let added = units.iter().flat_map(|unit| unit.changes.range(jobs.clone()));
        let added = added.filter(|(_, value)| value.is_some());
        let mut last = None;
        for queue in added.filter_map(|(place, _)| key::queue_of(place)) {
            if last.replace(queue) != Some(queue) {
                self.shared.wakes.of(queue).notify_one();
            }
        }
    }

    fn failed(
        &mut self,
        replies: impl Iterator<Item = oneshot::Sender<Result<Committed, CommitError>>>,
        error: &Append,
    ) {
        self.appender.drop_batch();
        let problem = self.note(error);
        answer_all(replies, &problem);
    }

    fn note(&self, error: &Append) -> String {
        let problem = match error {
            Append::Unwritten(error) => format!("the journal can't be written: {error}"),
            Append::Unsynced(error) => format!("the journal can't be synced: {error}"),
        };
        match error {
            Append::Unwritten(_) => self.shared.status.fail(problem.clone()),
            Append::Unsynced(_) => self.shared.status.fail_for_good(problem.clone()),
        }
        problem
    }

    /// While no writes get through: refuses all who come, and tries each second whether that has changed.
    fn wait_until_writable(&mut self, commands: &mut mpsc::Receiver<Command>) {
        let mut probed = Instant::now();
        while let Some(problem) = self.shared.status.refusal() {
            if self.shared.status.is_fatal() {
                return;
            }
            match commands.try_recv() {
                Ok(command) => refuse(vec![command], &problem),
                Err(mpsc::error::TryRecvError::Disconnected) => return,
                Err(mpsc::error::TryRecvError::Empty) => thread::sleep(POLL_EVERY),
            }
            if probed.elapsed() >= PROBE_EVERY {
                self.probe();
                probed = Instant::now();
            }
        }
    }

    /// Writes a record that says nothing.
    fn probe(&mut self) {
        let room = self.shared.status.reserve.admit(0).map_err(Append::Unwritten);
        if let Err(error) = room.and_then(|()| self.appender.begin_batch()) {
            self.note(&error);
            return;
        }
        let noop = (Event::Noop, &Bytes::new(), None);
        let outcome = add(&mut self.appender, &mut self.counters, &self.shared.rows, noop);
        match self.appender.commit() {
            Ok(()) => {
                self.shared.status.recover();
                self.shared.status.synced();
                if let Ok((_, (seq, changes, checkpoint))) = outcome {
                    let mut batch = Batch::default();
                    batch.add(seq, changes, checkpoint);
                    self.publish(batch);
                }
            }
            Err(error) => {
                self.appender.drop_batch();
                self.note(&error);
            }
        }
    }
}

/// All that wait, up to the size of a batch.
fn drain(first: Command, commands: &mut mpsc::Receiver<Command>) -> Vec<Command> {
    let mut bytes = first.raw.len();
    let mut waiting = vec![first];
    while waiting.len() < MAX_PLANS && bytes < MAX_BYTES {
        let Ok(next) = commands.try_recv() else { break };
        bytes += next.raw.len();
        waiting.push(next);
    }
    waiting
}

/// Checks an event, numbers it, makes its rows, and adds its record to the batch.
fn add(
    appender: &mut Appender,
    counters: &mut Counters,
    rows: &dyn Rows,
    (mut event, raw, big): (Event, &Bytes, Option<BigBody>),
) -> Result<(Committed, (u64, Changes, CheckpointRow)), CommitError> {
    machine::prepare(&mut event, rows, counters)?;
    let (seq, at) = (appender.next(), appender.position());
    let mut txn = Txn::new(rows);
    let committed = machine::apply(&event, at, &mut txn)?;
    let body: &[u8] = if big.is_some() { &[] } else { raw };
    appender.push(&event, body, big).map_err(CommitError::Unavailable)?;
    counters.take(&event);
    let checkpoint = CheckpointRow { end: appender.position(), next: appender.next() };
    Ok((committed, (seq, txn.into_changes(), checkpoint)))
}

fn refuse(waiting: Vec<Command>, problem: &str) {
    answer_all(waiting.into_iter().map(|command| command.reply), problem);
}

fn answer_all(replies: impl Iterator<Item = oneshot::Sender<Result<Committed, CommitError>>>, problem: &str) {
    for reply in replies {
        let _ = reply.send(Err(CommitError::Unavailable(problem.to_owned())));
    }
}
