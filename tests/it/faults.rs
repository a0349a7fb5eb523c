//! Disks that fail or are slow, and clocks that step, under a whole daemon; and the audit that `tests/faults/run` does of
//! stopped stores.

use std::{
    fs::File,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use vestibule::{
    app::Ended,
    ops::Clock,
    store::{Disk, RealDisk, Store as _, embedded},
    types::Time,
};

use crate::daemon::{Daemon, SITE, START, Smtp, eventually, message};

const IT: &[&str] = &["it@help.example.com"];

#[tokio::test]
#[ignore = "run by tests/faults/run, with VESTIBULE_AUDIT naming the store"]
async fn audit_of_a_stopped_store() {
    let path = std::env::var("VESTIBULE_AUDIT").unwrap();
    let (store, _) = embedded::open(embedded::Options::new(path), Time::from_millis(0)).unwrap();
    let broken = store.audit().await.unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
    store.close().await;
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Write,
    Sync,
    Read,
    /// Each sync takes a second.
    Slow,
    /// No sync ever comes back.
    Stuck,
}

#[derive(Default)]
struct FaultyDisk {
    fault: Mutex<Fault>,
    syncs: AtomicUsize,
    /// Syncs that don't come back.
    stuck: AtomicUsize,
}

impl FaultyDisk {
    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fails(&self, fault: Fault) -> io::Result<()> {
        const EIO: i32 = 5;
        if *self.fault.lock().unwrap() == fault { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.fails(Fault::Write)?;
        RealDisk.write_all_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.fails(Fault::Sync)?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if *self.fault.lock().unwrap() == Fault::Slow {
            thread::sleep(Duration::from_secs(1));
        }
        if *self.fault.lock().unwrap() == Fault::Stuck {
            self.stuck.fetch_add(1, Ordering::SeqCst);
        }
        while *self.fault.lock().unwrap() == Fault::Stuck {
            thread::sleep(Duration::from_millis(10));
        }
        RealDisk.sync_data(file)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fails(Fault::Read)?;
        RealDisk.read_at(file, buffer, offset)
    }
}

async fn on_faulty_disk() -> (Arc<FaultyDisk>, Daemon) {
    let disk = Arc::new(FaultyDisk::default());
    let folder = tempfile::tempdir().unwrap();
    let on: Arc<dyn Disk> = Arc::clone(&disk) as Arc<dyn Disk>;
    let daemon = Daemon::on(on, folder, SITE, Clock::manual(START)).await;
    assert!(daemon.mail("ada@partner.example", IT, "before").await.starts_with("250"));
    (disk, daemon)
}

/// A mail for `big/`.
fn big(subject: &str) -> String {
    message("ada@partner.example", IT, subject) + &"0123456789 and so on, line by line\r\n".repeat(20_000)
}

async fn subjects(daemon: &Daemon) -> Vec<String> {
    let (status, page) = daemon.api("GET", "/api/v1/requests?limit=500", None).await;
    assert_eq!(status, 200);
    let items = page["items"].as_array().unwrap();
    let mut subjects: Vec<_> = items.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect();
    subjects.sort();
    subjects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_the_daemon_leaves_and_the_next_start_has_what_was_answered() {
    for is_big in [false, true] {
        let (disk, daemon) = on_faulty_disk().await;
        disk.set(Fault::Sync);
        let raw = if is_big { big("uncertain") } else { message("ada@partner.example", IT, "uncertain") };
        let reply = daemon.raw_mail("ada@partner.example", IT, &raw).await;
        assert!(reply.starts_with("451"), "{reply}");
        let (ended, folder, log) = daemon.ended().await;
        assert!(matches!(&ended, Ended::StoreFailed(why) if why.contains("synced")), "{ended:?}");
        let failed = log.events("store.failed");
        assert!(failed.iter().any(|line| line["fatal"] == true), "{failed:?}");
        let daemon = Daemon::on(Arc::new(RealDisk), folder, SITE, Clock::manual(START)).await;
        // Nobody was told anything of the second mail: it may be there or not. Sent again it is there once.
        assert!(daemon.raw_mail("ada@partner.example", IT, &raw).await.starts_with("250"));
        assert_eq!(subjects(&daemon).await, ["before", "uncertain"]);
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_told_and_heals_without_a_restart() {
    let (disk, daemon) = on_faulty_disk().await;
    let mut connected = Smtp::connect(daemon.addresses.smtp[0]).await;
    disk.set(Fault::Write);
    assert!(daemon.mail("ada@partner.example", IT, "refused").await.starts_with("451"));
    assert_eq!(daemon.api("GET", "/readyz", None).await.0, 503);
    assert!(connected.command("MAIL FROM:<ada@partner.example>").await.starts_with("451"));
    eventually("it is said", || !daemon.log.events("store.failed").is_empty()).await;
    disk.set(Fault::None);
    eventually("it takes writes", || daemon.store.health().writable).await;
    assert_eq!(daemon.api("GET", "/readyz", None).await.0, 200);
    assert!(daemon.mail("ada@partner.example", IT, "after").await.starts_with("250"));
    assert_eq!(subjects(&daemon).await, ["after", "before"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_mail_that_can_not_be_written_stays_with_the_relay() {
    let (disk, daemon) = on_faulty_disk().await;
    disk.set(Fault::Write);
    assert!(daemon.raw_mail("ada@partner.example", IT, &big("big")).await.starts_with("451"));
    disk.set(Fault::None);
    eventually("it takes writes", || daemon.store.health().writable).await;
    assert!(daemon.raw_mail("ada@partner.example", IT, &big("big")).await.starts_with("250"));
    assert_eq!(subjects(&daemon).await, ["before", "big"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_read_spoils_nothing() {
    let (disk, daemon) = on_faulty_disk().await;
    disk.set(Fault::Read);
    let (status, _) = daemon.api("GET", "/api/v1/requests/IT-1/raw", None).await;
    assert!(status >= 500, "{status}");
    // Taking mail needs no read of the journal.
    assert!(daemon.mail("ada@partner.example", IT, "meanwhile").await.starts_with("250"));
    disk.set(Fault::None);
    assert_eq!(daemon.api("GET", "/api/v1/requests/IT-1/raw", None).await.0, 200);
    assert_eq!(subjects(&daemon).await, ["before", "meanwhile"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_is_waited_for_also_at_the_end() {
    let (disk, daemon) = on_faulty_disk().await;
    let before = disk.syncs.load(Ordering::SeqCst);
    disk.set(Fault::Slow);
    // All are past DATA before the stop: what comes later is told 421, and proves nothing here.
    let mut sessions = Vec::new();
    for n in 0..20 {
        let (mut smtp, from) =
            (Smtp::connect(daemon.addresses.smtp[0]).await, format!("c{n}@partner.example"));
        for command in [&format!("MAIL FROM:<{from}>"), "RCPT TO:<it@help.example.com>", "DATA"] {
            smtp.command(command).await;
        }
        sessions.push((smtp, message(&from, IT, &format!("slow {n}"))));
    }
    let replies = futures_join(sessions.iter_mut().map(|(smtp, raw)| smtp.data(raw)).collect());
    let stop = async {
        eventually("a sync is under way", || disk.syncs.load(Ordering::SeqCst) > before).await;
        daemon.begin_to_stop();
    };
    let (replies, ()) = tokio::join!(replies, stop);
    let taken = replies.iter().filter(|reply| reply.starts_with("250")).count();
    assert!(taken > 0, "{replies:?}");
    assert!(replies.iter().all(|reply| reply.starts_with("250") || reply.starts_with('4')), "{replies:?}");
    let (ended, folder, _) = daemon.ended().await;
    assert_eq!(ended, Ended::Stopped { drained: true });
    let daemon = Daemon::on(Arc::new(RealDisk), folder, SITE, Clock::manual(START)).await;
    assert_eq!(subjects(&daemon).await.len(), taken + 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_keeps_nobody_from_stopping() {
    let (disk, daemon) = on_faulty_disk().await;
    disk.set(Fault::Stuck);
    let address = daemon.addresses.smtp[0];
    let waiting = tokio::spawn(async move {
        let raw = message("ada@partner.example", IT, "stuck");
        Smtp::connect(address).await.mail("ada@partner.example", IT, &raw).await
    });
    // Not by the store's health: the mail before may be answered and still count as one that waits.
    eventually("the mail waits", || disk.stuck.load(Ordering::SeqCst) > 0).await;
    daemon.begin_to_stop();
    // Ends by the daemon's own limits (12 s together); the minute only keeps a hanging test from hanging for ever.
    let ended = tokio::time::timeout(Duration::from_mins(1), daemon.running()).await;
    assert_eq!(ended.unwrap(), Ended::Stopped { drained: false });
    assert!(waiting.await.is_err(), "nothing was promised");
    disk.set(Fault::None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_hangs_the_service_manager_gets_no_sign_of_life() {
    let (disk, daemon) = on_faulty_disk().await;
    let feeds = |told: &[String]| told.iter().filter(|said| *said == "WATCHDOG=1").count();
    let silent = |told: &[String]| told.iter().filter(|said| said.contains("does not answer")).count();
    let watching = daemon.supervise(Duration::from_millis(300));
    eventually("it lives", || feeds(&daemon.told()) > 0).await;
    disk.set(Fault::Stuck);
    let address = daemon.addresses.smtp[0];
    let waiting = tokio::spawn(async move {
        let raw = message("ada@partner.example", IT, "stuck");
        Smtp::connect(address).await.mail("ada@partner.example", IT, &raw).await
    });
    eventually("the mail waits", || daemon.store.health().oldest_waiting.is_some()).await;
    eventually("it is noticed", || silent(&daemon.told()) > 0).await;
    let mut meanwhile = Vec::new();
    eventually("it is said again and again", || {
        meanwhile.extend(daemon.told());
        silent(&meanwhile) > 2
    })
    .await;
    assert_eq!(feeds(&meanwhile), 0, "{meanwhile:?}");
    disk.set(Fault::None);
    assert!(waiting.await.unwrap().starts_with("250"));
    eventually("it lives again", || feeds(&daemon.told()) > 0).await;
    // No room, or no writes, is nothing that a restart would mend.
    disk.set(Fault::Write);
    assert!(daemon.mail("ada@partner.example", IT, "refused").await.starts_with("451"));
    daemon.told();
    let mut told = Vec::new();
    eventually("it says so, and lives", || {
        told.extend(daemon.told());
        feeds(&told) > 1 && told.iter().any(|said| said.contains("takes no writes"))
    })
    .await;
    disk.set(Fault::None);
    eventually("it takes writes", || daemon.store.health().writable).await;
    daemon.begin_to_stop();
    watching.await.unwrap();
    assert!(daemon.told().contains(&"STOPPING=1".to_owned()));
    daemon.stop().await;
}

/// All at once.
async fn futures_join<F: Future<Output = String>>(all: Vec<F>) -> Vec<String> {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, reply) in &mut all {
            if reply.is_none()
                && let std::task::Poll::Ready(answer) = one.as_mut().poll(context)
            {
                *reply = Some(answer);
            }
        }
        if all.iter().all(|(_, reply)| reply.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    all.into_iter().filter_map(|(_, reply)| reply).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_breaks_no_books() {
    let daemon = Daemon::start().await;
    let day = Duration::from_hours(24);
    let steps: [&dyn Fn(); 4] = [
        &|| daemon.clock.step_back(day),
        &|| daemon.advance(day * 3),
        &|| daemon.clock.step_back(day * 400),
        // A leap day and two changes of the year later.
        &|| daemon.advance(day * 1200),
    ];
    for (n, step) in steps.iter().enumerate() {
        step();
        let (held, taken) = (format!("held {n}"), format!("taken {n}"));
        assert!(daemon.mail("ada@approved.example", IT, &held).await.starts_with("250"));
        assert!(daemon.mail("bob@partner.example", IT, &taken).await.starts_with("250"));
        // A copy within the window is one mail, wherever the clock has been.
        assert!(daemon.mail("bob@partner.example", IT, &taken).await.starts_with("250"));
        assert_eq!(daemon.store.audit().await.unwrap(), Vec::<String>::new(), "step {n}");
    }
    assert_eq!(subjects(&daemon).await.iter().filter(|subject| subject.starts_with("taken")).count(), 4);
    daemon.restart(SITE).await.stop().await;
}
