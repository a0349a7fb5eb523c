//! The store alone against the limit of its disk: commits of whole mails, beside a writer that appends the same bytes to one
//! file and shares one fdatasync among all that wait.
//!
//! `cargo run --release --locked --example store -- [SECONDS]`: each run so long (default 2), three rounds of limit, store,
//! limit for each row; medians. The folder is made in `target/`, or in the one that `BENCH_DIR` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a yardstick ends where it fails"
)]

#[path = "sample.rs"]
mod sample;

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::oneshot, task::JoinSet};
use vestibule::{
    store::{DedupKey, Effect, Fence, MailFacts, NewMail, Once, Plan, Store as _, embedded},
    types::{Account, AccountKind, AccountStatus, EmailAddress, MailId, Role, Time},
};

/// Size of the mails in bytes, and how many tasks commit them.
const ROWS: [(usize, usize); 8] = [
    (2_000, 1),
    (2_000, 64),
    (2_000, 512),
    (20_000, 1),
    (20_000, 64),
    (20_000, 512),
    (200_000, 64),
    (5_000_000, 8),
];
const ROUNDS: usize = 3;
/// Senders, each with an account.
const SENDERS: u64 = 5_000;
/// Most bytes and mails that the limit writes at once, as the store.
const BATCH: (usize, usize) = (16 << 20, 1024);
const AT: Time = Time::from_millis(1_790_000_000_000);

/// Something that makes mails durable.
#[async_trait]
trait Engine: Send + Sync + 'static {
    /// Returns when the mail is on disk.
    async fn take(&self, number: u64, raw: Bytes);
    /// Ends it; how often it has waited for the disk so far, where it counts that.
    async fn end(&self) -> Option<u64>;
}

/// One append, one fdatasync, for all that wait.
struct Limit(mpsc::Sender<(Bytes, oneshot::Sender<()>)>);

impl Limit {
    fn new(path: &Path) -> Self {
        let (mails, waiting) = mpsc::channel::<(Bytes, oneshot::Sender<()>)>();
        let mut file = File::create(path).unwrap();
        thread::spawn(move || {
            let mut batch = Vec::new();
            while let Ok(first) = waiting.recv() {
                let mut answers = Vec::new();
                let mut next = Some(first);
                while let Some((mail, answer)) = next {
                    batch.extend_from_slice(&mail);
                    answers.push(answer);
                    let full = batch.len() >= BATCH.0 || answers.len() >= BATCH.1;
                    next = if full { None } else { waiting.try_recv().ok() };
                }
                file.write_all(&batch).unwrap();
                file.sync_data().unwrap();
                batch.clear();
                for answer in answers {
                    let _ = answer.send(());
                }
            }
        });
        Self(mails)
    }
}

#[async_trait]
impl Engine for Limit {
    async fn take(&self, _: u64, raw: Bytes) {
        let (answer, durable) = oneshot::channel();
        self.0.send((raw, answer)).unwrap();
        durable.await.unwrap();
    }

    async fn end(&self) -> Option<u64> {
        None
    }
}

/// The embedded engine, with what intake asks of it for each mail: the sender as it is, then the plan.
struct Ours(embedded::Embedded);

impl Ours {
    async fn new(folder: &Path) -> Self {
        let (store, _) = embedded::open(embedded::Options::new(folder), AT).unwrap();
        let accounts = (0..SENDERS).map(|n| Effect::PutAccount(account(sender(n))));
        store.commit(Plan::new(AT, accounts.collect())).await.unwrap();
        Self(store)
    }
}

fn account(address: EmailAddress) -> Account {
    Account {
        address,
        name: None,
        kind: AccountKind::PortalOnly,
        status: AccountStatus::Active,
        role: Role::Customer,
        projects: Vec::new(),
        created_at: AT,
        confirmed_at: None,
    }
}

fn sender(number: u64) -> EmailAddress {
    format!("customer{}@partner.example", number % SENDERS).parse().unwrap()
}

#[async_trait]
impl Engine for Ours {
    async fn take(&self, number: u64, raw: Bytes) {
        let (sender, message_id) = (sender(number), format!("{number}@partner.example"));
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let once = DedupKey(key);
        let asked = Once::of(&sample::key(), Some(&message_id), once);
        let version = self.0.sender(&sender, &[asked], AT).await.unwrap().version;
        let facts = MailFacts {
            id: MailId::new(uuid::Uuid::now_v7()),
            message_id: Some(message_id),
            size: raw.len() as u64,
            ..sample::facts(sender.clone(), AT)
        };
        let plan = Plan {
            fences: vec![Fence { address: sender.clone(), version }],
            mail: Some(NewMail { facts, raw }),
            ..Plan::new(AT, vec![Effect::Record(sample::entry(&sender, Some(once), AT))])
        };
        self.0.commit(plan).await.unwrap();
    }

    async fn end(&self) -> Option<u64> {
        let syncs = self.0.health().work.syncs;
        self.0.close().await;
        Some(syncs)
    }
}

/// What one run came to.
struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Processor time of this process, what is done after the last answer included, in ms a commit.
    cpu: f64,
    syncs: Option<f64>,
    /// Bytes on disk for each byte of mail, and bytes written for it, those that were written over included.
    disk: f64,
    written: f64,
    resident: f64,
}

async fn run(engine: Arc<dyn Engine>, folder: &Path, (size, tasks): (usize, usize), length: Duration) -> Run {
    let raw = Bytes::from(sample::mail(size));
    let (begun, before) = (Instant::now(), Used::now(folder));
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (engine, raw) = (Arc::clone(&engine), raw.clone());
        running.spawn(async move {
            let mut waits = Vec::new();
            let mut number = task as u64;
            while begun.elapsed() < length {
                let one = Instant::now();
                // A copy for each, as each mail that comes in has bytes of its own.
                engine.take(number, Bytes::copy_from_slice(&raw)).await;
                waits.push(one.elapsed().as_secs_f64() * 1e3);
                number += tasks as u64;
            }
            waits
        });
    }
    let mut waits: Vec<f64> = running.join_all().await.concat();
    let elapsed = begun.elapsed().as_secs_f64();
    let syncs = engine.end().await;
    settle_disk();
    let after = Used::now(folder);
    waits.sort_by(f64::total_cmp);
    let count = waits.len();
    let commits = f64::from(u32::try_from(count).unwrap());
    let mails = commits * raw.len() as f64;
    Run {
        rate: commits / elapsed,
        p50: waits[count / 2],
        p99: waits[count - 1 - count / 100],
        cpu: (after.seconds - before.seconds) * 1e3 / commits,
        syncs: syncs.map(|syncs| f64::from(u32::try_from(syncs).unwrap()) / commits),
        disk: on_disk(folder) / mails,
        written: (after.written - before.written) / mails,
        resident: after.mebibytes,
    }
}

/// Seconds of processor time and MiB of memory of this process; bytes that its disk has written, whoever they are from.
struct Used {
    seconds: f64,
    mebibytes: f64,
    written: f64,
}

impl Used {
    fn now(folder: &Path) -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let field =
            |n: usize| stat.rsplit(')').next().unwrap().split_whitespace().nth(n).unwrap().parse::<f64>();
        let pages: f64 =
            fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let device = folder.metadata().unwrap().dev();
        let counts = format!("/sys/dev/block/{}:{}/stat", device >> 8, device & 0xff);
        // None on a tmpfs.
        let counts = fs::read_to_string(counts).unwrap_or_default();
        let sectors = counts.split_whitespace().nth(6).map_or(0.0, |sectors| sectors.parse::<f64>().unwrap());
        // Clock ticks of 10 ms, pages of 4 KiB: Linux on the machines that this runs on.
        Self {
            seconds: (field(11).unwrap() + field(12).unwrap()) / 100.0,
            mebibytes: pages / 256.0,
            written: sectors * 512.0,
        }
    }
}

fn on_disk(folder: &Path) -> f64 {
    let within = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { on_disk(&path) } else { path.metadata().unwrap().blocks() as f64 * 512.0 }
    };
    fs::read_dir(folder).unwrap().map(within).sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// In a folder that is gone afterwards.
async fn fresh(base: &Path, ours: bool, row: (usize, usize), length: Duration) -> Run {
    let folder = base.join("run");
    fs::create_dir(&folder).unwrap();
    let engine: Arc<dyn Engine> =
        if ours { Arc::new(Ours::new(&folder).await) } else { Arc::new(Limit::new(&folder.join("limit"))) };
    let run = run(engine, &folder, row, length).await;
    fs::remove_dir_all(&folder).unwrap();
    // What the last run has left to be written must not slow the next one down.
    settle_disk();
    run
}

/// Has the system write what it holds back.
fn settle_disk() {
    std::process::Command::new("sync").status().unwrap();
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(2.0, |seconds| seconds.parse().expect("seconds"));
    let length = Duration::from_secs_f64(seconds);
    let base = PathBuf::from(std::env::var("BENCH_DIR").unwrap_or_else(|_| "target".to_owned()))
        .join(format!("bench-store.{}", std::process::id()));
    fs::create_dir(&base).unwrap();
    println!(
        "| mails, tasks | limit | store | ratio | p50 / p99 ms (limit) | CPU ms (limit) | syncs | bytes on disk / written | MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in ROWS {
        let (mut limits, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let before = fresh(&base, false, row, length).await;
            let one = fresh(&base, true, row, length).await;
            let after = fresh(&base, false, row, length).await;
            ratios.push(2.0 * one.rate / (before.rate + after.rate));
            limits.extend([before, after]);
            ours.push(one);
        }
        let limit = |of: fn(&Run) -> f64| median(limits.iter().map(of).collect());
        let store = |of: fn(&Run) -> f64| median(ours.iter().map(of).collect());
        println!(
            "| {} KB, {} | {:.0}/s | {:.0}/s | {:.2} | {:.2} / {:.2} ({:.2} / {:.2}) | {:.3} ({:.3}) | {:.2} | {:.2} / {:.2} | {:.0} |",
            row.0 / 1000,
            row.1,
            limit(|run| run.rate),
            store(|run| run.rate),
            median(ratios),
            store(|run| run.p50),
            store(|run| run.p99),
            limit(|run| run.p50),
            limit(|run| run.p99),
            store(|run| run.cpu),
            limit(|run| run.cpu),
            store(|run| run.syncs.unwrap_or_default()),
            store(|run| run.disk),
            store(|run| run.written),
            store(|run| run.resident),
        );
    }
    fs::remove_dir_all(&base).unwrap();
}
