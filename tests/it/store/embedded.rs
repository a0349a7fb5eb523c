//! What only the embedded engine does: keep everything over crashes, damage and failing disks, and say what is wrong.

use std::{
    fs::{self, File, OpenOptions},
    future::poll_fn,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::task::JoinSet;
use vestibule::{
    access::{Basis, Reason},
    store::{
        CommitError, DecisionFilter, Disk, Disposition, Effect, Entry, Order, PageRequest, Queue, RealDisk,
        Redemption, RequestStatus, Settlement, Store as _, StoreError,
        embedded::{self, Embedded, OpenError, Options},
    },
    types::{AccountKind, HeldId, RequestId},
};

use super::kit::{
    Engine, HOUR, Home, T0, account, address, assert_no_blobs, entry, fenced, fresh, held_mail, hold, mail,
    mail_plan, once, open, plan, project, request, resolve, spend,
};

const LEASE: Duration = Duration::from_mins(5);

/// Some of everything: accounts, requests, holds, a verification redeemed and half released, big mails.
async fn fill(store: &Engine, rounds: usize) {
    for n in 0..rounds {
        let sender = format!("user{n}@a.example");
        request(store, &sender, ["IT", "HR"][n % 2], &format!("request {n}")).await;
        let first = held_mail(store, &sender, "IT").await;
        let second = held_mail(store, &sender, "HR").await;
        if n % 3 == 0 {
            let pending = store.sender(&address(&sender), &[], T0).await.unwrap().pending.unwrap();
            let mut redeem = plan(vec![Effect::PutAccount(account(&sender, AccountKind::Internal))]);
            spend(
                &mut redeem,
                pending,
                Redemption::Verified { release: vec![first, second], not_mine: vec![] },
            );
            store.commit(fenced(store, &sender, redeem).await).await.unwrap();
            let opened = resolve(first, Reason::KnownCustomer, Basis::Verified, Disposition::Open);
            store.commit(plan(vec![opened])).await.unwrap();
        }
    }
    thread(store, rounds).await;
    let raw = vec![b'x'; 700_000];
    store
        .commit(mail_plan(mail("big@a.example", "big", raw), vec![Effect::Record(open("BIG"))]))
        .await
        .unwrap();
}

/// A request that is remembered, with participants, comments and a follower; closed at the end.
async fn thread(store: &Engine, rounds: usize) {
    let id: RequestId = "THR-1".parse().unwrap();
    let remembered = |n, entry: Entry| Effect::Record(Entry { once: Some(once(n)), ..entry });
    let mut first = mail("ada@a.example", "thread", "x");
    first.facts.participants = vec![address("bob@a.example")];
    store.commit(mail_plan(first, vec![remembered(1_000, open("THR"))])).await.unwrap();
    for n in 0..rounds as u64 {
        let mut said = mail("bob@a.example", "thread", "x");
        said.facts.participants = vec![address(&format!("p{n}@a.example"))];
        let comment = entry("THR", Reason::Reply, Disposition::Comment(id.clone()));
        store.commit(mail_plan(said, vec![remembered(1_001 + n, comment)])).await.unwrap();
    }
    let held = HeldId::new(fresh());
    let waits = mail_plan(mail("eve@a.example", "thread", "x"), vec![remembered(999, hold("THR", held))]);
    store.commit(waits).await.unwrap();
    store.commit(plan(vec![Effect::SetStatus(id.clone(), RequestStatus::Closed)])).await.unwrap();
    let follows = resolve(held, Reason::KnownCustomer, Basis::Released, Disposition::Follow(id));
    store.commit(plan(vec![follows])).await.unwrap();
}

fn as_engine(store: Embedded) -> (Arc<Embedded>, Engine) {
    let store = Arc::new(store);
    (Arc::clone(&store), store)
}

fn segments(home: &Home) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(home.path().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
}

/// What happens to sled's file.
type Damage = fn(&Path);

/// A closed store with some of everything in several segments, and the digest of its rows.
async fn filled(rounds: usize) -> (Home, [u8; 32]) {
    let home = Home::new();
    let (store, engine) = as_engine(home.open_embedded().0);
    fill(&engine, rounds).await;
    let digest = store.digest().await.unwrap();
    store.close().await;
    (home, digest)
}

#[tokio::test]
async fn a_clean_stop_keeps_everything_and_replays_nothing() {
    let (home, digest) = filled(30).await;
    let (store, report) = home.open_embedded();
    assert_eq!((report.replayed, report.rebuilt, report.damage), (0, None, vec![]));
    assert_eq!(store.digest().await.unwrap(), digest);
    let (store, engine) = as_engine(store);
    request(&engine, "user1@a.example", "IT", "one more").await;
    drop(store);
    home.finish(engine).await;
}

#[tokio::test]
async fn a_store_that_was_dropped_is_whole() {
    let home = Home::new();
    let (store, engine) = as_engine(home.open_embedded().0);
    fill(&engine, 10).await;
    let digest = store.digest().await.unwrap();
    drop((store, engine));
    let (store, report) = home.open_embedded();
    assert_eq!(report.findings(), Vec::<String>::new());
    assert_eq!(store.digest().await.unwrap(), digest);
    store.close().await;
}

#[tokio::test]
async fn who_asks_behind_a_plan_is_answered_behind_it() {
    let home = Home::new();
    let (store, _) = home.open();
    let mut under_way = 0;
    for n in 0..100 {
        let customer = account(&format!("c{n}@partner.example"), AccountKind::PortalOnly);
        let mut commit = pin!(store.commit(plan(vec![Effect::PutAccount(customer)])));
        let mut look = async || poll_fn(|task| Poll::Ready(commit.as_mut().poll(task))).await;
        // Handed to the writer, and not looked at again before the other answer; a busy machine may have answered already.
        let mut made = look().await;
        store.ping().await;
        if made.is_pending() {
            under_way += 1;
            made = look().await;
        }
        let Poll::Ready(made) = made else { panic!("the ping came first: {n}") };
        made.unwrap();
    }
    assert!(under_way > 0, "all were answered before the ping");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_in_every_crash_image() {
    let home = Home::new();
    let (store, _) = home.open();
    let mut images = Vec::new();
    for round in 0..6 {
        let mut writers = JoinSet::new();
        for task in 0..8 {
            let store = store.clone();
            writers.spawn(async move {
                for n in 0..10 {
                    let sender = format!("user{round}-{task}-{n}@a.example");
                    request(&store, &sender, "IT", "x").await;
                    held_mail(&store, &sender, "IT").await;
                }
            });
        }
        while writers.join_next().await.is_some() {}
        // 80 requests a round are answered now; the index may be behind.
        images.push((home.crash_image(), 80 * (round + 1)));
    }
    store.close().await;
    for (image, requests) in images {
        let (store, report) = image.open();
        assert!(report.damage.is_empty(), "{report:?}");
        let last = RequestId { project: project("IT"), number: requests };
        assert!(store.request(&last).await.unwrap().is_some(), "{last} is lost");
        assert_eq!(store.held_count().await.unwrap(), requests);
        image.finish(store).await;
    }
}

#[tokio::test]
async fn an_index_that_is_gone_or_damaged_is_made_anew() {
    let (home, digest) = filled(40).await;
    let db = |home: &Home| home.path().join("index/db");
    let damages: [(&str, Damage); 4] = [
        ("deleted", |db| fs::remove_dir_all(db.parent().unwrap()).unwrap()),
        ("emptied", |db| File::create(db).map(drop).unwrap()),
        ("cut in half", |db| {
            let file = OpenOptions::new().write(true).open(db).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("overwritten", |db| {
            let len = fs::metadata(db).unwrap().len();
            fs::write(db, vec![0xa5; usize::try_from(len).unwrap()]).unwrap();
        }),
    ];
    for (damage, inflict) in damages {
        // A copy without the mark of a clean stop: an index is not damaged by stopping.
        let image = home.crash_image();
        let _ = fs::remove_file(image.path().join("CLEAN"));
        inflict(&db(&image));
        let (store, report) = image.open_embedded();
        assert!(report.rebuilt.is_some() || report.replayed > 0, "{damage}: {report:?}");
        assert_eq!(store.digest().await.unwrap(), digest, "{damage}");
        image.finish(Arc::new(store)).await;
    }
}

#[tokio::test]
async fn rebuilding_twice_gives_the_same_rows() {
    let (home, digest) = filled(20).await;
    for _ in 0..2 {
        fs::remove_dir_all(home.path().join("index")).unwrap();
        let (store, report) = home.open_embedded();
        assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
        assert_eq!(store.digest().await.unwrap(), digest);
        store.close().await;
    }
    assert_no_blobs(&home.path());
}

/// The length of a segment without the zeros that are written ahead of its end.
fn written(segment: &Path) -> u64 {
    let bytes = fs::read(segment).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let home = Home::new();
    let (store, engine) = as_engine(home.open_embedded().0);
    fill(&engine, 5).await;
    let before = store.digest().await.unwrap();
    let whole = home.crash_image();
    let len = written(segments(&whole).last().unwrap());
    request(&engine, "late@a.example", "IT", "the last one").await;
    let image = home.crash_image();
    drop((store, engine));
    let record = written(segments(&image).last().unwrap()) - len;
    assert!(record > 100);
    for cut in [1, 43, 44, record / 2, record - 1] {
        let image = image.crash_image();
        // An index that has not seen the record either, as after a power cut.
        fs::remove_dir_all(image.path().join("index")).unwrap();
        let last = OpenOptions::new().write(true).open(segments(&image).last().unwrap()).unwrap();
        last.set_len(len + cut).unwrap();
        let (store, report) = image.open_embedded();
        assert_eq!(report.damage.len(), 1, "{report:?}");
        assert!(report.damage[0].contains("cut off"), "{report:?}");
        assert_eq!(store.digest().await.unwrap(), before);
        let engine: Engine = Arc::new(store);
        request(&engine, "late@a.example", "IT", "again").await;
        image.finish(engine).await;
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_and_named() {
    let (home, _) = filled(60).await;
    assert!(segments(&home).len() > 1, "the test wants a sealed segment");
    let (store, engine) = as_engine(home.open_embedded().0);
    let row = store_request(&engine, "IT-1").await;
    let raw = engine.raw(&row.body).await.unwrap();
    let sealed = fs::read(&segments(&home)[0]).unwrap();
    let at = sealed.windows(raw.len()).position(|bytes| bytes == raw).unwrap();
    flip(&segments(&home)[0], at as u64);
    let damaged = engine.raw(&row.body).await;
    assert!(
        matches!(&damaged, Err(StoreError::Damaged(what)) if what.contains("000000000001.seg")),
        "{damaged:?}"
    );
    let named = engine.audit().await.unwrap();
    assert!(named.len() == 1 && named[0].contains("segment 1, offset"), "{named:?}");
    // All the rest can be read, and the index can be made anew without the one record.
    let all = PageRequest { limit: 1000, cursor: None, order: Order::Newest };
    let decisions = engine.decisions(&DecisionFilter::default(), all).await.unwrap().items.len();
    assert!(decisions > 100);
    store.close().await;
    drop((store, engine));
    fs::remove_dir_all(home.path().join("index")).unwrap();
    let (store, report) = home.open();
    assert!(report.damage.iter().any(|what| what.contains("segment 1, offset")), "{report:?}");
    assert!(store.request(&"IT-2".parse().unwrap()).await.unwrap().is_some());
    request(&store, "user1@a.example", "IT", "one more").await;
    store.close().await;
}

async fn store_request(store: &Engine, id: &str) -> vestibule::store::RequestRow {
    store.request(&id.parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_list_goes_on_over_a_damaged_record() {
    let (home, _) = filled(3).await;
    let (store, engine) = as_engine(home.open_embedded().0);
    let row = store_request(&engine, "IT-1").await;
    flip(&segments(&home)[0], row.body.offset + 60);
    let all = PageRequest { limit: 1000, cursor: None, order: Order::Oldest };
    let decisions = engine.decisions(&DecisionFilter::default(), all).await.unwrap().items;
    assert!(decisions[0].trail[0].result.contains("damaged"), "{:?}", decisions[0]);
    assert!(decisions[0].trail[0].input.contains("000000000001.seg"));
    assert_eq!(decisions[1].trail[0].result, "internal-account-unverified");
    assert_eq!(store_request(&engine, "IT-1").await.subject, "");
    store.close().await;
}

#[tokio::test]
async fn a_second_process_and_a_newer_format_are_refused() {
    let home = Home::new();
    let (store, _) = home.open();
    let refused = embedded::open(home.options(), T0).err().unwrap();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(refused.to_string().contains(home.path().to_str().unwrap()), "{refused}");
    store.close().await;
    drop(store);
    fs::write(home.path().join("VERSION"), "format 7\nengine embedded\n").unwrap();
    let refused = embedded::open(home.options(), T0).err().unwrap().to_string();
    assert!(refused.contains("format 7") && refused.contains("up to format 1"), "{refused}");
    fs::write(home.path().join("VERSION"), "something else").unwrap();
    let refused = embedded::open(home.options(), T0).err().unwrap();
    assert!(matches!(refused, OpenError::Version(_)), "{refused}");
}

#[tokio::test]
async fn an_unfinished_snapshot_of_sled_does_no_harm() {
    let (home, digest) = filled(5).await;
    fs::write(home.path().join("index/snap.0000000000FFFFFF.generating"), "unfinished").unwrap();
    let (store, report) = home.open_embedded();
    assert_eq!(report.rebuilt, None);
    assert_eq!(store.digest().await.unwrap(), digest);
    store.close().await;
}

/// Fails as many writes and syncs as it is told to.
#[derive(Default)]
struct BadDisk {
    writes: AtomicU32,
    syncs: AtomicU32,
}

impl BadDisk {
    fn take(counter: &AtomicU32, kind: io::ErrorKind) -> io::Result<()> {
        let taken = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_ok() { Err(kind.into()) } else { Ok(()) }
    }
}

impl Disk for BadDisk {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let failed = Self::take(&self.writes, io::ErrorKind::StorageFull);
        if failed.is_err() {
            // Half of it gets there, as on a full disk.
            RealDisk.write_all_at(file, &bytes[..bytes.len() / 2], offset)?;
        }
        failed?;
        RealDisk.write_all_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        Self::take(&self.syncs, io::ErrorKind::Other)?;
        RealDisk.sync_data(file)
    }
}

fn on_bad_disk(home: &Home) -> (Arc<BadDisk>, Engine) {
    let disk = Arc::new(BadDisk::default());
    let options = Options { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..home.options() };
    let (store, _) = embedded::open(options, T0).unwrap();
    (disk, Arc::new(store))
}

async fn refused(store: &Engine) -> Option<CommitError> {
    store.commit(mail_plan(mail("ada@a.example", "x", "x"), vec![Effect::Record(open("IT"))])).await.err()
}

#[tokio::test]
async fn a_failed_write_promises_nothing_and_heals() {
    let home = Home::new();
    let (disk, store) = on_bad_disk(&home);
    request(&store, "ada@a.example", "IT", "before").await;
    disk.writes.store(2, Ordering::SeqCst);
    let error = refused(&store).await;
    assert!(
        matches!(&error, Some(CommitError::Unavailable(why)) if why.contains("can't be written")),
        "{error:?}"
    );
    let health = store.health();
    assert!(!health.writable && !health.fatal && health.problem.is_some());
    assert!(refused(&store).await.is_some(), "refused while it takes no writes");
    assert_eq!(store.request(&"IT-2".parse().unwrap()).await.unwrap(), None);
    // The second failure meets the first probe; the second probe gets through.
    let healed = async {
        while refused(&store).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), healed).await.unwrap();
    assert!(store.health().writable);
    assert!(store.request(&"IT-2".parse().unwrap()).await.unwrap().is_some());
    home.finish(store).await;
}

#[tokio::test]
async fn a_failed_sync_ends_it() {
    let home = Home::new();
    let (disk, store) = on_bad_disk(&home);
    request(&store, "ada@a.example", "IT", "before").await;
    disk.syncs.store(1, Ordering::SeqCst);
    assert!(matches!(refused(&store).await, Some(CommitError::Unavailable(_))));
    assert_eq!(store.request(&"IT-2".parse().unwrap()).await.unwrap(), None);
    let health = store.health();
    assert!(health.fatal && !health.writable);
    // The disk is well again, and nothing is tried any more.
    assert!(matches!(refused(&store).await, Some(CommitError::Unavailable(why)) if why.contains("synced")));
    store.close().await;
    drop(store);
    let (store, _) = home.open();
    assert!(store.request(&"IT-1".parse().unwrap()).await.unwrap().is_some());
    home.finish(store).await;
}

#[tokio::test]
async fn a_row_over_4_kib_is_refused() {
    let home = Home::new();
    let (store, _) = home.open();
    let mut large = account("ada@a.example", AccountKind::Internal);
    large.projects = (0..1000).map(|n| project(&format!("P{n}"))).collect();
    let error = store.commit(plan(vec![Effect::PutAccount(large)])).await.unwrap_err();
    assert!(matches!(&error, CommitError::Unavailable(why) if why.contains("4096")), "{error}");
    assert_eq!(store.sender(&address("ada@a.example"), &[], T0).await.unwrap().version, 0);
    assert!(store.health().writable, "one plan that is too large does not stop the others");
    home.finish(store).await;
}

#[tokio::test]
async fn the_largest_rows_fit() {
    let home = Home::new();
    let (store, _) = home.open();
    let local = "x".repeat(64);
    let label = "y".repeat(60);
    let sender = format!("{local}@{label}.{label}.{label}.{label}.example");
    for _ in 0..128 {
        held_mail(&store, &sender, "ABCDEFGHIJ").await;
    }
    let view = store.sender(&address(&sender), &[], T0).await.unwrap();
    let mut redeem = plan(vec![Effect::PutAccount(account(&sender, AccountKind::Internal))]);
    spend(&mut redeem, view.pending.unwrap(), Redemption::Verified { release: view.held, not_mine: vec![] });
    store.commit(fenced(&store, &sender, redeem).await).await.unwrap();
    home.finish(store).await;
}

#[tokio::test]
async fn big_mails_without_a_plan_are_removed() {
    let (home, _) = filled(1).await;
    let big = home.path().join("big");
    let count = || fs::read_dir(&big).unwrap().count();
    assert_eq!(count(), 1);
    fs::write(big.join("00000000-0000-7000-8000-000000000000.eml"), "an orphan").unwrap();
    let (store, _) = home.open();
    assert_eq!(count(), 1);
    // A plan that is refused leaves no file either.
    let raw = vec![b'x'; 600_000];
    let mut stale = mail_plan(mail("ada@a.example", "big", raw), vec![Effect::Record(open("BIG"))]);
    stale.fences.push(vestibule::store::Fence { address: address("ada@a.example"), version: 77 });
    assert!(matches!(store.commit(stale).await, Err(CommitError::Stale)));
    assert_eq!(count(), 1);
    let row = store_request(&store, "BIG-1").await;
    assert_eq!(store.raw(&row.body).await.unwrap().len(), 700_000);
    let file = fs::read_dir(&big).unwrap().next().unwrap().unwrap().path();
    flip(&file, 5);
    let damaged = store.raw(&row.body).await;
    assert!(matches!(&damaged, Err(StoreError::Damaged(what)) if what.contains(".eml")), "{damaged:?}");
    store.close().await;
}

#[tokio::test]
async fn at_start_leases_are_void_and_retries_are_due() {
    let home = Home::new();
    let (store, _) = home.open();
    held_mail(&store, "ada@a.example", "IT").await;
    held_mail(&store, "bob@a.example", "IT").await;
    let leases = store.claim(Queue::Outbox, T0, 10, LEASE).await.unwrap();
    assert_eq!(leases.len(), 2);
    let later = Settlement::RetryAt(T0.plus(HOUR), "later".to_owned());
    store.settle(&leases[0], later, T0).await.unwrap();
    store.close().await;
    drop(store);
    let (store, _) = home.open();
    // Its retry is brought forward by a record of its own, which the next commit has behind it.
    request(&store, "ada@a.example", "IT", "x").await;
    assert_eq!(store.claim(Queue::Outbox, T0, 10, LEASE).await.unwrap().len(), 2);
    home.finish(store).await;
}

#[tokio::test]
async fn commits_under_way_at_closing_are_finished() {
    let home = Home::new();
    let (store, _) = home.open();
    let mut writers = JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        writers.spawn(async move {
            let sender = format!("user{n}@a.example");
            let plan = mail_plan(mail(&sender, "x", "x"), vec![Effect::Record(open("IT"))]);
            store.commit(plan).await.is_ok()
        });
    }
    tokio::task::yield_now().await;
    store.close().await;
    let answered = writers.join_all().await.into_iter().filter(|ok| *ok).count();
    drop(store);
    let (store, _) = home.open();
    let all = PageRequest { limit: 100, cursor: None, order: Order::Newest };
    let kept = store.decisions(&DecisionFilter::default(), all).await.unwrap().items.len();
    assert_eq!(kept, answered);
    home.finish(store).await;
}

#[tokio::test]
async fn a_segment_that_was_just_begun_is_no_damage() {
    let (home, digest) = filled(3).await;
    let number = segments(&home).len() + 1;
    for bytes in [&b""[..], &b"VESTSEG\n\x01"[..]] {
        let image = home.crash_image();
        let _ = fs::remove_file(image.path().join("CLEAN"));
        fs::write(image.path().join(format!("journal/{number:012}.seg")), bytes).unwrap();
        let (store, report) = image.open_embedded();
        assert_eq!(report.findings(), Vec::<String>::new());
        assert_eq!(store.digest().await.unwrap(), digest);
        let engine: Engine = Arc::new(store);
        request(&engine, "user1@a.example", "IT", "one more").await;
        image.finish(engine).await;
    }
}

#[tokio::test]
async fn a_journal_that_ends_too_early_is_told() {
    let (home, _) = filled(3).await;
    // Into the last record: zeros written ahead may stand behind it.
    let last = segments(&home).pop().unwrap();
    let written = fs::read(&last).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    OpenOptions::new().write(true).open(&last).unwrap().set_len(written as u64 - 10).unwrap();
    let (store, report) = home.open_embedded();
    assert!(report.damage.iter().any(|what| what.contains("mails are lost")), "{report:?}");
    // It goes on in a new segment, with numbers that were never given.
    let engine: Engine = Arc::new(store);
    let committed = request(&engine, "user1@a.example", "BIG", "one more").await;
    assert_eq!(committed.entries[0].request, "BIG-2".parse().ok());
    engine.close().await;
}
