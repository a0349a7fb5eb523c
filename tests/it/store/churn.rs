//! Compaction under churn: a month of mails in small segments, day by day with a clock of its own. What is past its time
//! goes, the rest stays as it was, an index made anew from what is left has the same rows, and the store stays as small as
//! what it has to keep.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    sync::Arc,
    time::Duration,
};

use vestibule::{
    access::{Basis, Reason},
    config::{Keep, Retention},
    store::{
        Compacted, Disposition, Effect, Effort, Queue, Redemption, RequestStatus, Settlement, Store as _,
        StoreError,
        embedded::{self, Embedded, Options},
    },
    types::{AccountKind, DeliveryId, HeldId, RequestId, Time, VerificationId},
};

use super::{
    kit::{
        DAY, Engine, Home, T0, account, address, assert_books_balance, assert_no_blobs, entry, fenced, fresh,
        hold, mail, mail_plan, once, open, plan, resolve, spend, verification_mail,
    },
    letters::{acknowledgement, confirmation},
};

const LEASE: Duration = Duration::from_mins(5);

/// Short retentions, so that a month sees each of them many times.
pub(super) fn retention() -> Retention {
    Retention {
        dropped_mail: Keep::For(DAY * 2),
        ended_holds: Keep::For(DAY * 2),
        requests: Keep::For(DAY * 10),
        decisions: Keep::For(DAY * 5),
    }
}

/// Dice that fall the same way each time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A site that lives day by day.
pub(super) struct Site<'a> {
    pub(super) store: &'a Engine,
    pub(super) dice: Dice,
    pub(super) now: Time,
    pub(super) number: u64,
    waiting: Vec<(String, HeldId)>,
    pub(super) requests: Vec<(RequestId, Time, Vec<u8>)>,
    /// How many comments each request has.
    comments: HashMap<RequestId, usize>,
    closed: HashSet<RequestId>,
    /// Mails of ours, and how many of each kind of change there were.
    sent: Vec<DeliveryId>,
    pub(super) made: BTreeMap<&'static str, usize>,
}

impl<'a> Site<'a> {
    pub(super) fn new(store: &'a Engine, seed: u64) -> Self {
        Self {
            store,
            dice: Dice(seed),
            now: T0,
            number: 0,
            waiting: Vec::new(),
            requests: Vec::new(),
            comments: HashMap::new(),
            closed: HashSet::new(),
            sent: Vec::new(),
            made: BTreeMap::new(),
        }
    }

    /// So many mails, and what becomes of those that waited; then the workers.
    pub(super) async fn day(&mut self, mails: u64) {
        for _ in 0..mails {
            self.number += 1;
            match self.dice.below(13) {
                0..=2 => self.request().await,
                3..=6 => self.drop().await,
                7 | 8 => self.hold().await,
                9 => self.end_a_hold().await,
                10 => self.confirm().await,
                11 => self.go_on_with_a_request().await,
                _ => self.bounce().await,
            }
            self.now = self.now.plus(Duration::from_mins(1));
        }
        self.work().await;
        while self.store.sweep(self.now.minus(DAY * 3), self.now.minus(DAY * 4), 50).await.unwrap() > 0 {}
        self.now = self.now.plus(DAY);
    }

    fn raw(&mut self) -> Vec<u8> {
        let lines = [30, 300, 3_000][usize::try_from(self.dice.below(20) / 9).unwrap().min(2)];
        format!("mail {}\r\n", self.number).repeat(lines).into_bytes()
    }

    async fn commit(&self, mut plan: vestibule::store::Plan) -> Vec<vestibule::store::CommittedEntry> {
        plan.at = self.now;
        self.store.commit(plan).await.unwrap().entries
    }

    async fn request(&mut self) {
        let sender = format!("user{}@a.example", self.dice.below(40));
        let raw = self.raw();
        let mut entry = open("IT");
        entry.once = Some(once(self.number));
        entry.once_since = self.now.minus(DAY);
        let mut effects = vec![];
        if self.store.sender(&address(&sender), &[], T0).await.unwrap().account.is_none() {
            effects.push(Effect::PutAccount(account(&sender, AccountKind::PortalOnly)));
        }
        effects.push(Effect::Record(entry));
        let (letter, acknowledged) = acknowledgement(&sender);
        effects.push(acknowledged);
        let plan = mail_plan(mail(&sender, "a request", raw.clone()), effects);
        let made = self.commit(plan).await;
        self.requests.push((made[0].request.clone().unwrap(), self.now, raw));
        let past_the_cap = self.store.sent(letter).await.unwrap().is_none();
        self.count(if past_the_cap { "acknowledgement left out" } else { "acknowledgement" });
        self.sent.push(letter);
    }

    fn count(&mut self, what: &'static str) {
        *self.made.entry(what).or_default() += 1;
    }

    /// A new customer, who is asked to confirm the address.
    async fn confirm(&mut self) {
        let sender = format!("new{}@c.example", self.number);
        let (letter, mailed) = confirmation(&sender, self.number + (1 << 40), self.now.plus(DAY));
        let account = account(&sender, AccountKind::PortalOnly);
        self.commit(plan(vec![Effect::PutAccount(account), mailed])).await;
        self.sent.push(letter);
        self.count("confirmation");
    }

    /// A reply, the end of a request, or what follows on that.
    async fn go_on_with_a_request(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let n = usize::try_from(self.dice.below(self.requests.len() as u64)).unwrap();
        let (id, raw) = (self.requests[n].0.clone(), self.raw());
        let sender = self.store.request(&id).await.unwrap().unwrap().reporter.unwrap().to_string();
        if self.closed.contains(&id) {
            let follows = entry("IT", Reason::KnownCustomer, Disposition::Follow(id));
            let plan = mail_plan(
                mail(&sender, "a request that follows", raw.clone()),
                vec![Effect::Record(follows)],
            );
            let made = self.commit(plan).await;
            self.requests.push((made[0].request.clone().unwrap(), self.now, raw));
            self.count("follow");
        } else if self.dice.below(2) == 0 {
            let mut reply = entry("IT", Reason::Reply, Disposition::Comment(id.clone()));
            reply.once = Some(once(self.number));
            self.commit(mail_plan(mail(&sender, "a reply", raw), vec![Effect::Record(reply)])).await;
            *self.comments.entry(id).or_default() += 1;
            self.count("comment");
        } else {
            self.commit(plan(vec![Effect::SetStatus(id.clone(), RequestStatus::Closed)])).await;
            self.closed.insert(id);
            self.count("close");
        }
    }

    /// One of the last mails of ours comes back.
    async fn bounce(&mut self) {
        let last = &self.sent[self.sent.len().saturating_sub(100)..];
        if last.is_empty() {
            return;
        }
        let delivery = last[usize::try_from(self.dice.below(last.len() as u64)).unwrap()];
        let dropped = entry("IT", Reason::DomainNotAllowed, Disposition::Drop { keep_raw: true });
        let words = "5.1.1 no such user".to_owned();
        let effects = vec![Effect::Record(dropped), Effect::Bounced { delivery, words }];
        let raw = self.raw();
        self.commit(mail_plan(mail("mailer-daemon@b.example", "a bounce", raw), effects)).await;
        self.count("bounce");
    }

    async fn drop(&mut self) {
        let sender = format!("spam{}@b.example", self.dice.below(1000));
        let raw = self.raw();
        let dropped = entry("IT", Reason::DomainNotAllowed, Disposition::Drop { keep_raw: true });
        self.commit(mail_plan(mail(&sender, "a drop", raw), vec![Effect::Record(dropped)])).await;
    }

    async fn hold(&mut self) {
        let sender = format!("staff{}@a.example", self.dice.below(60));
        let raw = self.raw();
        let seen = self.store.sender(&address(&sender), &[], T0).await.unwrap();
        if seen.held_count() > 8 {
            return;
        }
        let held = HeldId::new(fresh());
        let mut entry = hold("IT", held);
        entry.once = Some(once(self.number));
        let mut effects = vec![Effect::Record(entry)];
        if seen.pending.is_none() {
            let id = VerificationId::new(fresh());
            effects.push(Effect::OpenVerification { id, address: address(&sender) });
            let mailed = verification_mail(&sender, id, u64::try_from(id.uuid().as_u128()).unwrap(), None);
            if let Effect::Enqueue(delivery) = &mailed {
                self.sent.push(delivery.id);
            }
            effects.push(mailed);
        }
        let plan = fenced(self.store, &sender, mail_plan(mail(&sender, "held", raw), effects)).await;
        self.commit(plan).await;
        self.waiting.push((sender, held));
    }

    /// A verification is redeemed, or one of the holds ends otherwise.
    async fn end_a_hold(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let n = usize::try_from(self.dice.below(self.waiting.len() as u64)).unwrap();
        let (sender, held) = self.waiting[n].clone();
        let view = self.store.sender(&address(&sender), &[], T0).await.unwrap();
        if self.dice.below(2) == 0 {
            self.redeem(&sender, &view).await;
        } else {
            let ends = [(Reason::HoldExpired, Basis::Expired), (Reason::HoldDiscarded, Basis::Discarded)];
            let (reason, basis) = ends[usize::try_from(self.dice.below(2)).unwrap()];
            let end = resolve(held, reason, basis, Disposition::Drop { keep_raw: false });
            let mut plan = fenced(self.store, &sender, plan(vec![end])).await;
            if view.held == [held] {
                spend(&mut plan, view.pending.unwrap(), Redemption::Moot);
            }
            self.commit(plan).await;
            self.waiting.remove(n);
        }
    }

    async fn redeem(&mut self, sender: &str, view: &vestibule::store::SenderView) {
        let (release, not_mine): (Vec<_>, Vec<_>) = view.held.iter().partition(|_| self.dice.below(3) > 0);
        let mut redeem = plan(vec![]);
        let redemption = if release.is_empty() {
            Redemption::Disowned { not_mine: not_mine.clone(), quiet_until: self.now.plus(DAY) }
        } else {
            redeem.effects.push(Effect::PutAccount(account(sender, AccountKind::Internal)));
            Redemption::Verified { release: release.clone(), not_mine: not_mine.clone() }
        };
        spend(&mut redeem, view.pending.unwrap(), redemption);
        let redeem = fenced(self.store, sender, redeem).await;
        self.commit(redeem).await;
        for held in not_mine {
            let end = resolve(held, Reason::NotMine, Basis::NotMine, Disposition::Drop { keep_raw: false });
            self.commit(plan(vec![end])).await;
        }
        for held in release {
            let raw = self.store.raw(&self.store.held(held).await.unwrap().unwrap().body).await.unwrap();
            let end = resolve(held, Reason::KnownCustomer, Basis::Verified, Disposition::Open);
            let made = self.commit(plan(vec![end])).await;
            self.requests.push((made[0].request.clone().unwrap(), self.now, raw.to_vec()));
        }
        self.waiting.retain(|(of, _)| of != sender);
    }

    /// The outbox and the releases are settled, some of them after another try.
    async fn work(&mut self) {
        for queue in [Queue::Outbox, Queue::Release] {
            for lease in self.store.claim(queue, self.now.plus(DAY), 1000, LEASE).await.unwrap() {
                let settlement = match self.dice.below(4) {
                    0 => Settlement::RetryAt(self.now.plus(DAY), "later".to_owned()),
                    1 if queue == Queue::Outbox => Settlement::Dead("550 no".to_owned()),
                    _ => Settlement::Done("250 ok".to_owned()),
                };
                self.store.settle(&lease, settlement, self.now).await.unwrap();
            }
        }
    }

    /// Somebody is forgotten; the site goes on without what the person sent.
    pub(super) async fn forget(&mut self, who: &str) {
        let gone = super::forget::forget(self.store, who).await.requests;
        self.requests.retain(|(id, ..)| !gone.contains(id));
        self.waiting.retain(|(of, _)| of != who);
    }

    /// Every request is there; its bytes for as long as they are kept, and no longer after a full compaction.
    pub(super) async fn check(&self, full: bool) {
        for (id, at, raw) in &self.requests {
            let row = self.store.request(id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            let until = retention().requests.until(*at).unwrap();
            match self.store.raw(&row.body).await {
                Ok(kept) => {
                    assert!(kept == *raw, "{id}: other bytes");
                    assert!(!full || until > self.now.minus(DAY), "{id} is kept past {until}");
                }
                Err(StoreError::Expired(of)) => {
                    assert!(until <= self.now, "{id} is gone at {}, before {until}", self.now);
                    assert!(of.is_none_or(|of| of == until), "{id}: {of:?}");
                }
                Err(error) => panic!("{id}: {error}"),
            }
            let comments = self.store.comments(id).await.unwrap();
            assert_eq!(comments.len(), self.comments.get(id).copied().unwrap_or(0), "{id}");
            assert_eq!(row.closed_at.is_some(), self.closed.contains(id), "{id}");
        }
    }
}

pub(super) fn options(home: &Home) -> Options {
    Options { segment_size: 256 << 10, big_body: 20_000, ..home.options() }
}

fn open_small(home: &Home) -> Arc<Embedded> {
    Arc::new(embedded::open(options(home), T0).unwrap().0)
}

/// Bytes of journal and big mails.
fn size(home: &Home) -> u64 {
    ["journal", "big"]
        .iter()
        .flat_map(|folder| fs::read_dir(home.path().join(folder)).unwrap())
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

/// A store in which nothing is damaged, and whose books balance.
pub(super) async fn opened(home: &Home) -> Arc<Embedded> {
    let (store, report) = embedded::open(options(home), T0).unwrap();
    assert_eq!(report.damage, Vec::<String>::new());
    behind_the_start(store).await
}

/// Behind what the start has written about the outbox: the books are read row by row. They balance.
pub(super) async fn behind_the_start(store: Embedded) -> Arc<Embedded> {
    let store = Arc::new(store);
    let last = account("last@a.example", AccountKind::Internal);
    store.commit(plan(vec![Effect::PutAccount(last)])).await.unwrap();
    assert_books_balance(&(Arc::clone(&store) as Engine)).await;
    store
}

/// The same rows from what is in the journal now. Both are opened alike: what waits in the outbox is due at the start.
pub(super) async fn assert_rebuilds(home: &Home) {
    let (with, without) = (home.crash_image(), home.crash_image());
    fs::remove_dir_all(without.path().join("index")).unwrap();
    // Else the rows that are compared would be made anew, too.
    let _ = fs::remove_file(with.path().join("OVERGROWN"));
    let (before, rebuilt) = (opened(&with).await, opened(&without).await);
    if rebuilt.digest().await.unwrap() != before.digest().await.unwrap() {
        let (ours, theirs) = (before.rows().await.unwrap(), rebuilt.rows().await.unwrap());
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|row| !those.contains(row)).take(10).cloned().collect::<Vec<_>>()
        };
        panic!("only before: {:#?}\nonly rebuilt: {:#?}", only(&ours, &theirs), only(&theirs, &ours));
    }
    before.close().await;
    rebuilt.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_months_churn_stays_bounded_and_can_be_made_anew() {
    let home = Home::new();
    let embedded = open_small(&home);
    let store: Engine = Arc::clone(&embedded) as Engine;
    let mut site = Site::new(&store, 7);
    let (mut total, mut curve) = (Compacted::default(), Vec::new());
    for day in 1..=30 {
        site.day(156).await;
        let effort = if day % 5 == 0 { Effort::Full } else { Effort::Gentle };
        let compacted = store.compact(&retention(), site.now, effort).await.unwrap();
        total.decisions += compacted.decisions;
        total.segments += compacted.segments;
        total.files += compacted.files;
        total.freed += compacted.freed;
        assert_books_balance(&store).await;
        site.check(effort == Effort::Full).await;
        if day % 3 == 0 {
            assert_rebuilds(&home).await;
        }
        curve.push(size(&home));
        let requests = site.requests.iter().filter(|(_, at, _)| at.plus(DAY * 10) > site.now).count();
        eprintln!(
            "day {day:2}: {:5} KiB, {requests} requests within their time, {compacted:?}",
            size(&home) >> 10
        );
    }
    eprintln!("{:?}", site.made);
    let kinds = [
        "acknowledgement",
        "acknowledgement left out",
        "bounce",
        "close",
        "comment",
        "confirmation",
        "follow",
    ];
    assert_eq!(site.made.keys().copied().collect::<Vec<_>>(), kinds, "a month has all of them");
    assert!(total.decisions > 500 && total.segments > 20 && total.files > 20, "{total:?}");
    let (second, third) = (curve[10..20].iter().max().unwrap(), curve[20..].iter().max().unwrap());
    assert!(*third < second + second / 3, "it grows: {second} in the second ten days, {third} in the third");
    store.close().await;
    assert_no_blobs(&home.path());
}

/// A copy of a snapshot as `vestibule restore` brings it in.
fn restored(snapshot: &std::path::Path) -> Home {
    let home = Home::new();
    for folder in ["journal", "big"] {
        fs::create_dir_all(home.path().join(folder)).unwrap();
        for entry in fs::read_dir(snapshot.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, home.path().join(folder).join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::copy(snapshot.join("VERSION"), home.path().join("VERSION")).unwrap();
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_between_compactions_has_all_that_was_answered() {
    let home = Home::new();
    let embedded = open_small(&home);
    let store: Engine = Arc::clone(&embedded) as Engine;
    let mut site = Site::new(&store, 11);
    for day in 0..8 {
        // On the last day there is so little that a segment is smaller than what compaction writes around it.
        site.day(if day == 7 { 1 } else { 60 }).await;
        site.now = site.now.plus(DAY * 2 * u32::from(day == 7));
        store.compact(&retention(), site.now, Effort::Full).await.unwrap();
        let snapshot = store.snapshot().await.unwrap();
        assert!(snapshot.files > 1 && snapshot.bytes > 0);
        let copy = restored(&snapshot.path);
        store.compact(&retention(), site.now, Effort::Full).await.unwrap();
        // Twice, and then as after a kill: what is made at the first start is there at the next.
        for _ in 0..2 {
            let (found, report) = embedded::open(options(&copy), T0).unwrap();
            assert_eq!(report.damage, Vec::<String>::new(), "day {day}");
            let found: Engine = Arc::new(found);
            // Behind what the start writes about the outbox: the books are read row by row.
            super::kit::request(&found, "late@a.example", "HR", "one more").await;
            assert_books_balance(&found).await;
            for (id, ..) in &site.requests {
                assert!(found.request(id).await.unwrap().is_some(), "day {day}: {id} is lost");
            }
            found.close().await;
            let _ = fs::remove_file(copy.path().join("CLEAN"));
        }
    }
    store.drop_snapshot().await.unwrap();
    assert!(!home.path().join("snapshot").exists());
    store.close().await;
}
