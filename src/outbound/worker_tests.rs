use std::path::Path;

use tokio::task::JoinHandle;

use super::*;
use crate::{
    config::{LogAddresses, Relay, RelaySecurity},
    ops::{Clock, LogBuffer, MailLabels, json_dispatch},
    outbound::{
        fake_store::FakeOutbox,
        peer::{Peer, Script},
        samples::{self, address, enqueued, token, verification_delivery},
    },
    types::DeliveryId,
};

const VERIFICATIONS: MailLabels = MailLabels { kind: "verification" };

/// A worker on a store of its own, with a clock that is moved by hand.
struct Site {
    store: Arc<FakeOutbox>,
    config: Arc<ArcSwap<Config>>,
    clock: Clock,
    log: LogBuffer,
    parts: Parts,
    _directory: tempfile::TempDir,
}

impl Site {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = samples::config(Relay::Directory(directory.path().join("outbound")));
        change(&mut config);
        let config = Arc::new(ArcSwap::from_pointee(config));
        let (clock, log) = (Clock::manual(enqueued()), LogBuffer::default());
        let store = Arc::new(FakeOutbox::default());
        let ops = Ops::new(clock.clone(), LogAddresses::Full, Some(json_dispatch(log.clone())));
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            config: Arc::clone(&config),
            ops,
            seal: samples::seal(),
            shutdown: Shutdown::new(),
        };
        Self { store, config, clock, log, parts, _directory: directory }
    }

    async fn with_peer(script: Script) -> (Self, Peer) {
        let peer = Peer::start(script).await;
        let relay = Relay::Smtp(peer.relay(RelaySecurity::None));
        (Self::new(|config| config.mail.relay = relay), peer)
    }

    fn start(&self) -> JoinHandle<()> {
        tokio::spawn(run(self.parts.clone()))
    }

    async fn stop(&self, worker: JoinHandle<()>) {
        assert!(self.parts.shutdown.drain(Duration::from_mins(20)).await);
        worker.await.unwrap();
    }

    /// Runs until `count` tries have ended, then stops.
    async fn run_until(&self, count: usize) {
        let worker = self.start();
        self.store.settled(count).await;
        self.stop(worker).await;
    }

    fn files(&self) -> usize {
        let Relay::Directory(path) = self.config.load().mail.relay.clone() else { panic!("no directory") };
        files_in(&path)
    }

    /// The last try's end: which, and its words.
    fn end(&self) -> (&'static str, String) {
        match self.store.ends().pop().expect("a try has ended") {
            Settlement::Done(words) => ("done", words),
            Settlement::RetryAt(_, words) => ("retry", words),
            Settlement::Dead(words) => ("dead", words),
        }
    }
}

fn files_in(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

#[tokio::test(start_paused = true)]
async fn a_verification_is_sent_once_and_said_once() {
    let site = Site::new(|_| ());
    site.store.enqueue(verification_delivery());
    site.run_until(1).await;
    assert_eq!(site.files(), 1);
    let (end, words) = site.end();
    assert!(end == "done" && words.starts_with("written to "), "{words}");
    let sent = site.log.events("verification.sent");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["address"], "ada.lovelace@example.com");
    assert_eq!(sent[0]["attempts"], 1);
    assert_eq!(site.parts.ops.metrics.mails_sent.get_or_create(&VERIFICATIONS).get(), 1);
    assert!(!site.log.text().contains(&token().reveal()), "no token in the log");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_wanted_is_not_sent() {
    type Change = fn(&mut Config, &FakeOutbox, &Clock);
    let table: [(Change, &str); 7] = [
        (|_, _, clock| clock.advance(Duration::from_hours(168)), "its link has expired"),
        (
            |config, _, _| {
                config.verification.never_mail.addresses = vec![address("ADA.lovelace@example.com")];
            },
            "never_mail",
        ),
        (
            |config, _, _| {
                let entry: crate::access::DomainEntry = "example.com".parse().unwrap();
                config.verification.never_mail.domains = [entry].into_iter().collect();
            },
            "never_mail",
        ),
        (
            |_, store, _| {
                let at = enqueued();
                store.set_verification(Some(VerificationState::Verified { at, handed_on: 1, not_mine: 0 }));
            },
            "the address is verified",
        ),
        (
            |_, store, _| {
                store.set_verification(Some(VerificationState::Disowned { at: enqueued(), not_mine: 1 }));
            },
            "disowned",
        ),
        (
            |_, store, _| store.set_verification(Some(VerificationState::Moot { at: enqueued() })),
            "nothing waits",
        ),
        (|_, store, _| store.set_verification(None), "its verification is gone"),
    ];
    for (change, text) in table {
        let mut site = Site::new(|_| ());
        let mut config = Config::clone(&site.config.load());
        change(&mut config, &site.store, &site.clock);
        site.config.store(Arc::new(config));
        site.parts.config = Arc::clone(&site.config);
        site.store.enqueue(verification_delivery());
        site.run_until(1).await;
        let (end, words) = site.end();
        assert!(end == "dead" && words.contains(text), "{text}: {end} {words}");
        assert_eq!(site.files(), 0, "{text}");
        assert_eq!(site.log.events("verification.failed").len(), 1, "{text}");
        assert_eq!(site.parts.ops.metrics.mails_failed.get_or_create(&VERIFICATIONS).get(), 1, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_key_is_said_and_not_sent() {
    let mut site = Site::new(|_| ());
    site.parts.seal = TokenSeal::new([1; 32]);
    site.store.enqueue(verification_delivery());
    site.run_until(1).await;
    let (end, words) = site.end();
    assert!(end == "dead" && words.contains("`secret`"), "{words}");
    assert_eq!(site.files(), 0);
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_later_and_later() {
    let (site, peer) = Site::with_peer(Script { rcpt: "451 4.7.1 greylisted", ..Script::default() }).await;
    site.store.enqueue(verification_delivery());
    let worker = site.start();
    for (count, wait) in [(1, 10), (2, 20), (3, 40)] {
        site.store.settled(count).await;
        let Some(Settlement::RetryAt(at, words)) = site.store.ends().pop() else { panic!("{count}") };
        assert_eq!(at, site.clock.now().plus(Duration::from_secs(wait)), "{count}");
        assert_eq!(words, "RCPT TO: 451 4.7.1 greylisted");
        site.clock.advance(Duration::from_secs(wait));
        site.store.wake();
    }
    site.store.settled(4).await;
    site.stop(worker).await;
    let retries = site.log.events("outbound.retry");
    let waits: Vec<u64> = retries.iter().map(|line| line["wait_ms"].as_u64().unwrap()).collect();
    assert_eq!(waits, [10_000, 20_000, 40_000, 80_000]);
    assert_eq!(retries[3]["attempts"], 4);
    assert!(peer.seen.lock().unwrap().mails.is_empty());
}

#[tokio::test]
async fn a_refusal_for_good_ends_it_with_the_relays_words() {
    let (site, peer) = Site::with_peer(Script { rcpt: "550 5.1.1 nobody here", ..Script::default() }).await;
    site.store.enqueue(verification_delivery());
    site.run_until(1).await;
    assert_eq!(site.end(), ("dead", "RCPT TO: 550 5.1.1 nobody here".to_owned()));
    let failed = site.log.events("verification.failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"], "RCPT TO: 550 5.1.1 nobody here");
    assert_eq!(peer.seen.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn a_forwarded_mail_goes_on_as_it_came() {
    let raw = "Subject: =?utf-8?q?x?=\r\n\r\n.dot\r\nno newline at the end of \u{17e}\r\n";
    let table = [
        ("Her@Example.com", "MAIL FROM:<Her@example.com> BODY=8BITMIME"),
        ("", "MAIL FROM:<> BODY=8BITMIME"),
        // Taken at MAIL, but none that we can send: the mail must reach a person all the same.
        ("her@[192.0.2.1]", "MAIL FROM:<> BODY=8BITMIME"),
    ];
    for (reverse_path, command) in table {
        let (site, peer) = Site::with_peer(Script::default()).await;
        site.store.enqueue(site.store.forward(reverse_path, raw.as_bytes()));
        site.run_until(1).await;
        assert_eq!(site.end().0, "done");
        assert!(peer.commands().contains(&command.to_owned()), "{:?}", peer.commands());
        assert_eq!(peer.seen.lock().unwrap().mails, [format!("{}{raw}", samples::TRACE).as_bytes()]);
        assert_eq!(site.log.events("outbound.sent").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_mail_that_can_not_go_unchanged_ends() {
    let (site, peer) = Site::with_peer(Script::default()).await;
    site.store.enqueue(site.store.forward("", b"a\nb\r\n"));
    site.run_until(1).await;
    let (end, words) = site.end();
    assert!(end == "dead" && words.contains("bare CR or LF"), "{words}");
    assert_eq!(site.log.events("outbound.failed").len(), 1);
    assert_eq!(peer.seen.lock().unwrap().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_write_does_not_send_the_mail_twice() {
    let site = Site::new(|_| ());
    site.store.refuse_settlements(3);
    site.store.enqueue(verification_delivery());
    site.run_until(1).await;
    assert_eq!(site.end().0, "done");
    assert_eq!(site.log.events("store.failed").len(), 3);
    assert_eq!(site.log.events("verification.sent").len(), 1);
    assert_eq!(site.store.most_claims_of_one_job(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_said_and_counts_nothing() {
    let site = Site::new(|_| ());
    site.store.lose_leases();
    site.store.enqueue(verification_delivery());
    site.run_until(1).await;
    assert_eq!(site.log.events("outbound.unsettled").len(), 1);
    assert_eq!(site.parts.ops.metrics.mails_sent.get_or_create(&VERIFICATIONS).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_mails_all_go_out_and_few_at_once() {
    let site = Site::new(|_| ());
    for n in 0..25 {
        site.store
            .enqueue(Delivery { id: DeliveryId::new(uuid::Uuid::from_u128(n)), ..verification_delivery() });
    }
    site.run_until(25).await;
    assert_eq!(site.files(), 25);
    let most = site.store.most_leases();
    assert!((2..=4).contains(&most), "{most}");
    assert_eq!(site.store.most_claims_of_one_job(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mail_waits_until_it_is_due_and_goes_without_being_woken() {
    let site = Site::new(|_| ());
    site.store.enqueue_due(verification_delivery(), enqueued().plus(Duration::from_secs(30)));
    let worker = site.start();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(site.store.ends().is_empty());
    site.clock.advance(Duration::from_secs(30));
    site.store.settled(1).await;
    site.stop(worker).await;
    assert_eq!(site.files(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_the_relay_counts_for_the_next_mail() {
    let site = Site::new(|_| ());
    site.store.enqueue(verification_delivery());
    let worker = site.start();
    site.store.settled(1).await;
    let second = tempfile::tempdir().unwrap();
    let mut config = Config::clone(&site.config.load());
    config.mail.relay = Relay::Directory(second.path().to_owned());
    site.config.store(Arc::new(config));
    site.store.enqueue(Delivery { id: DeliveryId::new(uuid::Uuid::from_u128(2)), ..verification_delivery() });
    site.store.settled(2).await;
    site.stop(worker).await;
    assert_eq!(files_in(second.path()), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_under_way_and_takes_nothing_new() {
    let site = Site::new(|_| ());
    let gate = site.store.gate_verifications();
    site.store.enqueue(verification_delivery());
    let worker = site.start();
    gate.reached().await;
    site.parts.shutdown.begin();
    site.store.enqueue(Delivery { id: DeliveryId::new(uuid::Uuid::from_u128(2)), ..verification_delivery() });
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(!worker.is_finished(), "it waits for the send");
    gate.open();
    site.stop(worker).await;
    assert_eq!((site.store.ends().len(), site.files()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_never_ends_does_not_keep_the_daemon() {
    let site = Site::new(|_| ());
    let gate = site.store.gate_verifications();
    site.store.enqueue(verification_delivery());
    let worker = site.start();
    gate.reached().await;
    assert!(!site.parts.shutdown.drain(Duration::from_secs(10)).await);
    worker.await.unwrap();
    assert!(site.store.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_store_is_said_and_asked_again() {
    let site = Site::new(|_| ());
    site.store.enqueue(verification_delivery());
    site.store.refuse_claims(2);
    site.run_until(1).await;
    assert_eq!(site.log.events("store.failed").len(), 2);
    assert_eq!(site.end().0, "done");
}

#[test]
fn a_token_in_the_relays_words_is_hidden() {
    let link = token().reveal();
    let table = [
        (format!("550 blocked: https://h/verify/{link} is bad"), "550 blocked: https://h/verify/*** is bad"),
        (format!("550 blocked: {}", &link[..30]), "550 blocked: ***"),
        ("550 no".to_owned(), "550 no"),
    ];
    for (words, shown) in table {
        assert_eq!(hide_token(Ok(words.clone()), &token().reveal()).as_deref(), Ok(shown));
        let error = hide_token(Err(SendError::Permanent(words)), &token().reveal());
        assert_eq!(error, Err(SendError::Permanent(shown.to_owned())));
    }
}
