//! The embedded engine: a journal that is the truth, an index in sled that answers, and one process that owns both.
//!
//! A commit is in the journal and synced before it is answered; its rows lie in the overlay until the index has them. The
//! directory:
//!
//! ```text
//! LOCK                      held while the store is open
//! VERSION                   the format of the directory
//! CLEAN                     there after a clean stop
//! journal/000000000001.seg  records: events and the bytes of mails
//! big/MAIL_ID.eml           mails over 512 KiB
//! index/                    sled; made anew from the journal when anything about it is wrong
//! snapshot/                 links to the files of a moment, while they are copied away
//! OVERGROWN                 asks the next start to make the index anew, and says why
//! RESERVE                   room that is kept back for the index
//! ACCEPTED_LOSS             the operator's: segments that he goes on without
//! quarantine/TIME/          what was put away, for those who want to look
//! ```

mod applier;
mod cache;
mod calls;
mod compact;
mod files;
mod index;
mod open;
mod overlay;
mod pace;
mod packed;
mod replay;
mod reserve;
mod snapshot;
mod sound;
mod status;
mod writer;

use std::{
    fs::File,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self as std_mpsc, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

pub use self::open::{OpenError, OpenReport};
use self::{
    files::Layout,
    overlay::Merged,
    pace::Pace,
    reserve::Reserve,
    status::Status,
    writer::{Command, Writer},
};
use super::{
    BodyRef, CommitError, Committed, Disk, Queue, RealDisk, StoreError, audit,
    journal::{self, Append, Appender, BigBodies, BigBody, Place, Reader},
    leases::Leases,
    machine::{Counters, Event, HurryEvent},
    query::{self, View},
    rows::{CheckpointRow, Location, Rows as _, key},
    wakes::Wakes,
};
use crate::types::{MailId, Time};

/// Plans that wait for the writer.
const WAITING: usize = 1024;
/// Batches that wait for the index; more slow the answers down instead of growing.
const BEHIND: usize = 8;
/// Longest wait for the threads when the store is dropped without being closed.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// Where the store is, and its sizes.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub path: PathBuf,
    /// Size in bytes at which a segment is followed by a new one.
    pub segment_size: u64,
    /// Mails over this size in bytes have files of their own.
    pub big_body: usize,
    /// Room in bytes that is kept back on the disk, for the index to take in what is in the journal when the rest is used up.
    pub reserve: u64,
    /// The disk under the journal.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The usual sizes: segments of 64 MiB, files of their own for mails over 512 KiB, a reserve of 32 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            segment_size: 64 << 20,
            big_body: 512 << 10,
            reserve: 32 << 20,
            disk: Arc::new(RealDisk),
        }
    }
}

/// The engine. One for each data directory.
pub struct Embedded {
    shared: Arc<Shared>,
    commands: RwLock<Option<mpsc::Sender<Command>>>,
    /// Hears when the threads are done.
    done: Arc<Mutex<std_mpsc::Receiver<()>>>,
    big_body: usize,
    closed: Arc<AtomicBool>,
}

/// What calls and threads share.
struct Shared {
    rows: Merged,
    reader: Reader,
    big: BigBodies,
    leases: Mutex<Leases>,
    wakes: Wakes,
    status: Status,
    layout: Layout,
    disk: Arc<dyn Disk>,
    /// The end of the journal when it was opened; all before it stays as it is, or is compacted.
    opened_at: Location,
    /// Asks the writer for a new segment.
    seal: Arc<AtomicBool>,
    /// How many wait for the end of a compaction: it stops for them, and goes on another time.
    give_way: Arc<AtomicUsize>,
    /// When a segment was sealed for its age; held while a compaction or a backup is under way.
    care: tokio::sync::Mutex<Time>,
    /// Released with the store.
    _lock: File,
}

/// Opens the store, or makes it. Blocks: meant for the start of the daemon.
pub fn open(options: Options, now: Time) -> Result<(Embedded, OpenReport), OpenError> {
    let layout = Layout { root: options.path };
    layout.create()?;
    let lock = layout.lock()?;
    layout.check_version(now)?;
    let reserve =
        Reserve::open(&layout.root, options.reserve).map_err(|error| OpenError::io(&layout.root, error))?;
    let clean = layout.take_clean()?;
    snapshot::remove(&layout.snapshot()).map_err(|error| OpenError::io(&layout.snapshot(), error))?;
    journal::remove_unfinished(&layout.journal()).map_err(|error| OpenError::io(&layout.journal(), error))?;
    let opened = open::open_index(&layout, clean, now)?;
    let seal = Arc::new(AtomicBool::new(false));
    let big = BigBodies::new(layout.big(), Arc::clone(&options.disk));
    let place = Place {
        dir: layout.journal(),
        disk: Arc::clone(&options.disk),
        big: big.clone(),
        segment_size: options.segment_size,
        seal: Arc::clone(&seal),
    };
    let appender =
        appender(place, opened.checkpoint).map_err(|error| OpenError::io(&layout.journal(), error))?;
    let shared = Arc::new(Shared {
        opened_at: opened.checkpoint.end,
        rows: Merged::new(opened.index),
        reader: Reader::new(layout.journal(), big.clone(), Arc::clone(&options.disk)),
        disk: options.disk,
        seal,
        give_way: Arc::default(),
        care: tokio::sync::Mutex::new(now),
        big,
        leases: Mutex::default(),
        wakes: Wakes::default(),
        status: Status::new(reserve),
        layout,
        _lock: lock,
    });
    let embedded = Embedded::start(shared, appender, options.big_body)?;
    embedded.hurry(now)?;
    Ok((embedded, opened.report))
}

/// At the journal's end; in a new segment where the last one can't be gone on with.
fn appender(place: Place, checkpoint: CheckpointRow) -> std::io::Result<Appender> {
    let last = journal::list(&place.dir)?.last().copied().unwrap_or(0);
    let at = checkpoint.end;
    let len = |number| std::fs::metadata(journal::segment_path(&place.dir, number)).map(|file| file.len());
    // Longer: zeros written ahead. The replay has cut off whatever else stood there.
    let goes_on = last > 0 && last == at.segment && len(last)? >= at.offset;
    if goes_on && !journal::is_compacted(&place.dir, last)? {
        return Appender::resume(place, at, checkpoint.next);
    }
    Ok(Appender::begin(place, last.max(at.segment) + 1, checkpoint.next)?)
}

impl Embedded {
    fn start(shared: Arc<Shared>, appender: Appender, big_body: usize) -> Result<Self, OpenError> {
        let failed = |problem: String| OpenError::Index { path: shared.layout.index(), problem };
        let counters = Counters::load(&shared.rows).map_err(|error| failed(error.to_string()))?;
        let (commands, mut receiver) = mpsc::channel(WAITING);
        let (units, applied) = sync_channel(BEHIND);
        let (finished, done) = std_mpsc::channel();
        let writer = Writer { shared: Arc::clone(&shared), appender, counters, units };
        let for_applier = Arc::clone(&shared);
        let apply = move || {
            if applier::run(&for_applier, &applied) && !for_applier.status.is_fatal() {
                // Without the mark the next start looks closer; nothing more.
                let _ = for_applier.layout.mark_clean();
            }
            drop(for_applier);
            let _ = finished.send(());
        };
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        spawn("store-index").spawn(apply).map_err(|error| failed(error.to_string()))?;
        // Weak: what the thread holds on to keeps the directory locked.
        let for_writer = Arc::downgrade(&shared);
        let write = move || {
            let run = AssertUnwindSafe(|| writer.run(&mut receiver));
            if panic::catch_unwind(run).is_err()
                && let Some(shared) = for_writer.upgrade()
            {
                shared.status.fail_for_good("the thread that writes the journal panicked".to_owned());
            }
        };
        spawn("store-journal").spawn(write).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            shared,
            commands: RwLock::new(Some(commands)),
            done: Arc::new(Mutex::new(done)),
            big_body,
            closed: Arc::default(),
        })
    }

    /// At start everything that waits for another try is due at once.
    fn hurry(&self, now: Time) -> Result<(), OpenError> {
        let failed = |problem: String| OpenError::Index { path: self.shared.layout.index(), problem };
        let queue = Queue::Outbox;
        let ids = query::hurried(&self.shared.rows, now).map_err(|error| failed(error.to_string()))?;
        if ids.is_empty() {
            return Ok(());
        }
        let event = Event::Hurry(HurryEvent { queue, ids, at: now });
        let (command, _answer) = command(event, Bytes::new(), None);
        // Tried later when it does not get through: a full disk must not keep the daemon from starting.
        if let Ok(commands) = self.commands() {
            let _ = commands.try_send(command);
        }
        Ok(())
    }

    fn commands(&self) -> Result<mpsc::Sender<Command>, CommitError> {
        let commands = self.commands.read().unwrap_or_else(PoisonError::into_inner);
        commands.clone().ok_or_else(closed)
    }

    /// Hands an event to the writer and waits until it is durable.
    async fn write(&self, event: Event, raw: Bytes, big: Option<BigBody>) -> Result<Committed, CommitError> {
        if let Some(problem) = self.shared.status.refusal() {
            return Err(CommitError::Unavailable(problem));
        }
        let (command, answer) = command(event, raw, big);
        self.commands()?.send(command).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Writes a big mail's file beside the runtime.
    async fn write_big(&self, mail: MailId, raw: Bytes) -> Result<BigBody, CommitError> {
        let shared = Arc::clone(&self.shared);
        let write = move || {
            let _room = shared.status.reserve.promise(raw.len() as u64)?;
            let written = shared.big.write(mail, &raw).map_err(|error| {
                if let Append::Unsynced(error) = &error {
                    let name = shared.big.name(mail);
                    shared.status.fail_for_good(format!("{name} can't be synced: {error}"));
                }
                error.into()
            });
            shared.status.synced();
            written
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(std::io::Error::other).and_then(|written| written);
        written.map_err(|error| CommitError::Unavailable(format!("{}: {error}", self.shared.big.name(mail))))
    }

    /// Reads a list beside the runtime.
    async fn list<T: Send + 'static>(
        &self,
        read: impl FnOnce(View<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_open()?;
        let shared = Arc::clone(&self.shared);
        let reading = move || read(View { rows: &shared.rows, records: &shared.reader });
        tokio::task::spawn_blocking(reading)
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Reads every record of the journal, and every big mail that is needed; tells where one is damaged. `gently`: leaves
    /// the disk to the others most of the time.
    async fn check_journal(&self, gently: bool) -> Result<Vec<String>, StoreError> {
        let shared = Arc::downgrade(&self.shared);
        let closed = Arc::clone(&self.closed);
        let dir = self.shared.layout.journal();
        let mut pace = Pace::new(gently, closed);
        let stable = gently.then_some(self.shared.opened_at);
        let check = move || {
            journal::damage(&dir, stable, &mut |record| {
                if !pace.goes_on() {
                    return ControlFlow::Break(());
                }
                let Some(shared) = shared.upgrade() else { return ControlFlow::Break(()) };
                ControlFlow::Continue(record.and_then(|(at, event)| shared.damaged_big(at, event)))
            })
        };
        let checked = tokio::task::spawn_blocking(check).await.map_err(std::io::Error::other);
        checked
            .and_then(|checked| checked)
            .map_err(|error| StoreError::Unavailable(format!("journal: {error}")))
    }

    fn view(&self) -> Result<View<'_>, StoreError> {
        self.check_open()?;
        Ok(View { rows: &self.shared.rows, records: &self.shared.reader })
    }

    fn check_open(&self) -> Result<(), StoreError> {
        let open = self.commands.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if open { Ok(()) } else { Err(StoreError::Unavailable("the store is closed".to_owned())) }
    }

    /// SHA-256 over all rows but the checkpoint: two indexes of the same journal have the same.
    pub async fn digest(&self) -> Result<[u8; 32], StoreError> {
        self.list(|view| audit::digest(view.rows)).await
    }

    /// All rows as text, for tests that want to see where two indexes differ.
    pub async fn rows(&self) -> Result<Vec<String>, StoreError> {
        self.list(|view| audit::dump(view.rows)).await
    }

    /// Lets the threads finish; they do once no sender is left.
    fn let_go(&self) -> bool {
        self.closed.store(true, Ordering::Release);
        self.commands.write().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

impl Shared {
    /// The bytes of a mail. The file of a big one that no row needs any more was past its time.
    fn body(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        if body.is_nowhere() {
            return Err(StoreError::Expired(None));
        }
        let read = self.reader.body(body);
        if matches!(read, Err(StoreError::Damaged(_)))
            && self.reader.is_big(body)
            && self.rows.get(&key::big(body.mail))?.is_none()
        {
            return Err(StoreError::Expired(None));
        }
        read
    }

    /// What is wrong with the file of a big mail that is still needed.
    fn damaged_big(&self, at: Location, event: &Event) -> Option<String> {
        let Event::Plan(event) = event else { return None };
        let mail = event.plan.mail.as_ref().filter(|_| event.big)?.facts.id;
        self.rows.get(&key::big(mail)).ok().flatten()?;
        let body = BodyRef { mail, segment: at.segment, offset: at.offset };
        match self.reader.body(&body) {
            Err(StoreError::Damaged(what)) => Some(what),
            _ => None,
        }
    }
}

type Answer = oneshot::Receiver<Result<Committed, CommitError>>;

fn command(event: Event, raw: Bytes, big: Option<BigBody>) -> (Command, Answer) {
    let (reply, answer) = oneshot::channel();
    (Command { ping: false, event, raw, big, queued: Instant::now(), reply }, answer)
}

fn closed() -> CommitError {
    CommitError::Unavailable("the store is closed".to_owned())
}
