//! Power cuts of a recorded run: every write and sync of the journal and of big mails is written down; at each sync the
//! power goes, what no sync covers is dropped, kept in parts, or kept in another order, and the index is one of long ago.
//!
//! `VESTIBULE_CUTS` sets how many cuts are tried (default 40); each sync of the run before any is tried twice.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::task::JoinSet;
use vestibule::{
    access::{Basis, Reason},
    config::{Keep, Retention},
    store::{
        DecisionFilter, Disk, Disposition, Effect, Effort, Order, PageRequest, RealDisk, Redemption,
        StoreError, VerificationState,
        embedded::{self, Options},
    },
    types::{AccountKind, HeldId, RequestId, VerificationId},
};

use super::kit::{
    DAY, Engine, Home, T0, account, address, assert_books_balance, assert_no_blobs, entry, fenced, held_mail,
    mail, mail_plan, open, plan, request, resolve, spend,
};

/// The unit that a disk writes whole.
const SECTOR: usize = 512;
const ROUNDS: usize = 12;

/// What was promised to somebody.
#[derive(Clone)]
enum Promise {
    Request(RequestId, Vec<u8>),
    Hold(HeldId),
    Spent(VerificationId),
    Forgotten(String, RequestId),
}

#[derive(Clone)]
enum Step {
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    SetLen { path: PathBuf, len: u64 },
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    Promised(Promise),
    Index(PathBuf),
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Step>>);

impl Recorder {
    fn note(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

fn path(file: &File) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

impl Disk for Recorder {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.note(Step::Write { path: path(file), offset, bytes: bytes.to_vec() });
        RealDisk.write_all_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.note(Step::Sync(path(file)));
        RealDisk.sync_data(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.note(Step::SyncDir(dir.to_owned()));
        RealDisk.sync_dir(dir)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.note(Step::SetLen { path: path(file), len });
        RealDisk.set_len(file, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Step::Rename { from: from.to_owned(), to: to.to_owned() });
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Step::Remove(path.to_owned()));
        RealDisk.remove(path)
    }

    fn write_ahead(&self, file: &File, zeros: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(file, zeros, offset)
    }
}

/// What becomes of writes that no sync covers.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Dropped,
    /// Each sector by itself, as the dice fall: parts of a write, and later writes without earlier ones.
    Scattered,
    Kept,
}

/// Dice that fall the same way each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// The files as the device has them after these steps. A file that took another one's name was synced before it did.
fn on_device(steps: &[Step], fate: Fate, dice: &mut Dice) -> BTreeMap<PathBuf, Vec<u8>> {
    let synced = |of: &Path, at: usize| {
        steps[at..].iter().find_map(|step| match step {
            Step::Sync(path) if path == of => Some(true),
            // From here on the name is another file's.
            Step::Rename { from, to } if from == of || to == of => Some(false),
            _ => None,
        }) == Some(true)
    };
    let dirs = |of: &Path, after: usize| {
        steps[after..].iter().any(|step| matches!(step, Step::SyncDir(path) if path == of.parent().unwrap()))
    };
    let (mut files, mut named): (BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, bool>) = Default::default();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Write { path, offset, bytes } => {
                named.entry(path.clone()).or_insert_with(|| dirs(path, at));
                let file = files.entry(path.clone()).or_default();
                let (is_synced, offset) = (synced(path, at), usize::try_from(*offset).unwrap());
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    let kept = match fate {
                        _ if is_synced => true,
                        Fate::Dropped => false,
                        Fate::Scattered => dice.below(2) == 0,
                        Fate::Kept => true,
                    };
                    if kept {
                        put(file, offset + n * SECTOR, sector);
                    }
                }
            }
            Step::SetLen { path, len } => {
                named.entry(path.clone()).or_insert_with(|| dirs(path, at));
                let file = files.entry(path.clone()).or_default();
                if synced(path, at) || matches!(fate, Fate::Kept) || dice.below(2) == 0 {
                    file.resize(usize::try_from(*len).unwrap(), 0);
                }
            }
            Step::Rename { from, to } => {
                let kept = dirs(to, at) || (!matches!(fate, Fate::Dropped) && dice.below(2) == 0);
                if let Some(file) = files.remove(from).filter(|_| kept) {
                    files.insert(to.clone(), file);
                    named.insert(to.clone(), true);
                }
                named.remove(from);
            }
            Step::Remove(path) if dirs(path, at) || dice.below(2) == 0 => {
                files.remove(path);
            }
            _ => {}
        }
    }
    files.retain(|path, _| {
        named.get(path) == Some(&true) || (!matches!(fate, Fate::Dropped) && dice.below(2) == 0)
    });
    files
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        // sled removes its files while it works.
        if from.is_dir() { copy_files(&from, &to) } else { drop(fs::copy(&from, &to)) }
    }
}

/// Some of everything, from several tasks at once, so that batches have several records.
///
/// Answers how many segments were written anew.
async fn run(recorder: &Arc<Recorder>, home: &Home, copies: &Path) -> u64 {
    let options = Options {
        disk: Arc::clone(recorder) as Arc<dyn Disk>,
        big_body: 40_000,
        segment_size: 48 << 10,
        ..home.options()
    };
    let (store, _) = embedded::open(options, T0).unwrap();
    let store: Engine = Arc::new(store);
    let mut segments = 0;
    for round in 0..ROUNDS {
        let mut tasks = JoinSet::new();
        for task in 0..4 {
            let (store, recorder) = (Arc::clone(&store), Arc::clone(recorder));
            tasks.spawn(async move { mails(&store, &recorder, round * 4 + task).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        forget(&store, recorder, &format!("gone{round}@a.example")).await;
        // Nothing that was promised is past its time but the bytes of the drops.
        let (now, effort) = (T0.plus(DAY * 2), if round % 3 == 2 { Effort::Full } else { Effort::Gentle });
        let compacted = store.compact(&retention(), now, effort).await.unwrap();
        segments += compacted.segments;
        let copy = copies.join(round.to_string());
        copy_files(&home.path().join("index"), &copy);
        recorder.note(Step::Index(copy));
    }
    store.close().await;
    segments
}

/// Somebody who has sent a request is forgotten.
async fn forget(store: &Engine, recorder: &Recorder, sender: &str) {
    let made = request(store, sender, "IT", "a secret").await;
    super::forget::forget(store, sender).await;
    let id = made.entries[0].request.clone().unwrap();
    recorder.note(Step::Promised(Promise::Forgotten(sender.to_owned(), id)));
}

fn retention() -> Retention {
    let now = Keep::For(Duration::ZERO);
    Retention { dropped_mail: now, ended_holds: now, requests: Keep::Forever, decisions: Keep::For(DAY) }
}

/// A request of one of three sizes, two holds, and for every other sender the redemption and half of the release.
async fn mails(store: &Engine, recorder: &Recorder, n: usize) {
    let promised = |promise| recorder.note(Step::Promised(promise));
    let sender = format!("user{n}@a.example");
    let raw = format!("{n}\r\n").repeat([400, 4_000, 20_000][n % 3]).into_bytes();
    let request =
        mail_plan(mail(&sender, &format!("mail {n}"), raw.clone()), vec![Effect::Record(open("IT"))]);
    let id = store.commit(request).await.unwrap().entries[0].request.clone().unwrap();
    promised(Promise::Request(id, raw));
    let dropped = entry("IT", Reason::DomainNotAllowed, Disposition::Drop { keep_raw: true });
    let raw = format!("drop {n}\r\n").repeat([900, 5_000][n % 2]);
    store.commit(mail_plan(mail(&sender, "drop", raw), vec![Effect::Record(dropped)])).await.unwrap();
    let first = held_mail(store, &sender, "IT").await;
    promised(Promise::Hold(first));
    let second = held_mail(store, &sender, "HR").await;
    promised(Promise::Hold(second));
    if n.is_multiple_of(2) {
        let pending = store.sender(&address(&sender), &[], T0).await.unwrap().pending.unwrap();
        let mut redeem = plan(vec![Effect::PutAccount(account(&sender, AccountKind::Internal))]);
        spend(&mut redeem, pending, Redemption::Verified { release: vec![first, second], not_mine: vec![] });
        store.commit(fenced(store, &sender, redeem).await).await.unwrap();
        promised(Promise::Spent(pending));
        let opened = resolve(first, Reason::KnownCustomer, Basis::Verified, Disposition::Open);
        store.commit(plan(vec![opened])).await.unwrap();
    }
}

/// A data directory as it is found after the cut, and how the index got there.
fn found_after(home: &Home, steps: &[Step], fate: Fate, dice: &mut Dice) -> Home {
    let found = Home::new();
    let data = found.path();
    for folder in ["journal", "big"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    fs::copy(home.path().join("VERSION"), data.join("VERSION")).unwrap();
    for (path, bytes) in on_device(steps, fate, dice) {
        fs::write(data.join(path.strip_prefix(home.path()).unwrap()), bytes).unwrap();
    }
    let copies: Vec<_> = steps
        .iter()
        .filter_map(|step| if let Step::Index(copy) = step { Some(copy) } else { None })
        .collect();
    // The newest, one of long ago, or none.
    let copy = copies.get(dice.below(copies.len() + 1)).copied();
    if let Some(copy) = if dice.below(3) == 0 { copies.last().copied() } else { copy } {
        copy_files(copy, &data.join("index"));
    }
    found
}

async fn keeps_its_promises(home: &Home, steps: &[Step]) -> usize {
    let (store, report) = home.open_embedded();
    let bad: Vec<_> = report.damage.iter().filter(|what| !what.contains("cut off")).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let store: Engine = Arc::new(store);
    let all = PageRequest { limit: 1000, cursor: None, order: Order::Newest };
    let decisions = store.decisions(&DecisionFilter::default(), all).await.unwrap().items;
    let made: HashSet<_> = decisions.iter().filter_map(|row| row.held).collect();
    let mut promises = 0;
    for step in steps {
        let Step::Promised(promise) = step else { continue };
        promises += 1;
        match promise {
            Promise::Request(id, raw) => {
                let row = store.request(id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
                assert!(store.raw(&row.body).await.unwrap() == *raw, "{id}");
            }
            Promise::Hold(id) => assert!(made.contains(id), "{id} is lost"),
            Promise::Spent(id) => {
                let state = store.verification(*id).await.unwrap().unwrap().state;
                assert!(!matches!(state, VerificationState::Pending), "{id} is pending again");
            }
            Promise::Forgotten(sender, id) => {
                let row = store.request(id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
                assert_eq!((row.reporter, row.subject.as_str()), (None, ""), "{id} is remembered");
                assert!(matches!(store.raw(&row.body).await, Err(StoreError::Expired(None))), "{id}");
                let by = DecisionFilter { sender: Some(address(sender)), ..DecisionFilter::default() };
                let found = store.decisions(&by, PageRequest { limit: 9, ..PageRequest::default() }).await;
                assert!(found.unwrap().items.is_empty(), "{sender} is remembered");
            }
        }
    }
    assert_books_balance(&store).await;
    let late = mail_plan(mail("late@a.example", "late", "late"), vec![Effect::Record(open("IT"))]);
    store.commit(late).await.unwrap();
    store.close().await;
    assert_no_blobs(&home.path());
    promises
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_sync_loses_no_promise() {
    let cuts: usize = std::env::var("VESTIBULE_CUTS").map_or(40, |cuts| cuts.parse().unwrap());
    let (home, copies, recorder) = (Home::new(), tempfile::tempdir().unwrap(), Arc::new(Recorder::default()));
    let compacted = run(&recorder, &home, copies.path()).await;
    let steps = recorder.0.lock().unwrap().clone();
    let is_sync = |step: &Step| matches!(step, Step::Sync(_) | Step::SyncDir(_));
    let boundaries: Vec<_> = (0..steps.len()).filter(|at| is_sync(&steps[*at])).collect();
    let big = steps.iter().any(
        |step| matches!(step, Step::Write { path, .. } if path.extension().is_some_and(|end| end == "eml")),
    );
    let segments = fs::read_dir(home.path().join("journal")).unwrap().count();
    assert!(compacted > 5, "{compacted} segments were compacted");
    assert!(
        boundaries.len() > ROUNDS && segments > 2 && big,
        "{} syncs, {segments} segments",
        boundaries.len()
    );
    let mut dice = Dice(u64::from(std::process::id()));
    let mut promises = 0;
    for cut in 0..cuts {
        // Spread over the run, each time a little elsewhere; just before the sync has come through, or just after.
        let at = boundaries[(cut * 7919 + dice.below(3)) % boundaries.len()] + dice.below(2);
        let fate = [Fate::Dropped, Fate::Scattered, Fate::Scattered, Fate::Kept][cut % 4];
        let found = found_after(&home, &steps[..at], fate, &mut dice);
        eprintln!("cut {cut} at step {at} of {}, the rest {fate:?}", steps.len());
        promises += keeps_its_promises(&found, &steps[..at]).await;
    }
    eprintln!("{cuts} cuts at {} syncs: {promises} promises kept", boundaries.len());
    assert!(promises > cuts, "the cuts were no cuts");
}
