//! Somebody is forgotten: what is left of the rows, and that no byte is left in the files.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use vestibule::{
    access::{Basis, Outcome, Reason},
    config::{Keep, Retention},
    store::{
        Backlog, BodyRef, CommitError, Compacted, DecisionFilter, Delivery, DeliveryKind, Disk, Disposition,
        Effect, Effort, JobKind, Named, NewMail, PageRequest, Plan, Queue, RawState, RealDisk, Redemption,
        RequestFilter, SenderView, Settled, Settlement, Store as _, StoreError, ThreadKey, Traces,
        embedded::{self, Embedded},
    },
    types::{AccountKind, DeliveryId, HeldId, VerificationId},
};

use super::{
    churn::{Site, assert_rebuilds, behind_the_start, opened, options, retention},
    kit::{
        DAY, Engine, HOUR, Home, T0, account, address, assert_books_balance, assert_no_blobs, digest, entry,
        fenced, fresh, hold, mail, mail_plan, once, open, plan, project, resolve, spend, verification_mail,
    },
    letters::{acknowledgement, confirmation},
};
use crate::support::files_with;

const EVA: &str = "eva.secretive@person.example";
const BOB: &str = "bob@a.example";
/// In each of her mails.
const SECRET: &str = "the-dog-is-called-Rumpelstiltskin";

fn forever() -> Retention {
    let forever = Keep::Forever;
    Retention { dropped_mail: forever, ended_holds: forever, requests: forever, decisions: forever }
}

fn of_eva(subject: &str, size: usize) -> NewMail {
    let line = format!("From: Eva <{EVA}>\r\nSubject: {SECRET}\r\n\r\n{SECRET}\r\n");
    let mut raw = line.repeat(size / line.len() + 1).into_bytes();
    raw.truncate(size.max(line.len()));
    mail(EVA, &format!("{SECRET}, {subject}"), raw)
}

/// What the rows and the files have of a person, in all its kinds.
struct Told {
    bodies: Vec<BodyRef>,
    held: HeldId,
}

/// Requests, a comment, drops, a hold that was released and one that waits, letters sent and unsent, a mention.
async fn live(store: &Engine) -> Told {
    let mut first = open("IT");
    first.once = Some(once(1));
    let (sent, acknowledged) = acknowledgement(EVA);
    let effects =
        vec![Effect::PutAccount(account(EVA, AccountKind::PortalOnly)), Effect::Record(first), acknowledged];
    store.commit(fenced(store, EVA, mail_plan(of_eva("one", 600), effects)).await).await.unwrap();
    let words = format!("550 5.1.1 <{EVA}> unknown");
    for lease in store.claim(Queue::Outbox, T0.plus(DAY), 9, HOUR).await.unwrap() {
        store.settle(&lease, Settlement::Dead(words.clone()), T0).await.unwrap();
    }
    store.commit(plan(vec![Effect::Bounced { delivery: sent, words }])).await.unwrap();
    // Somebody else's request, with her in Cc and a comment of hers.
    let mut other = mail(BOB, "a printer", "From: Bob\r\n\r\nIt burns.\r\n");
    other.facts.participants = vec![address(EVA), address("cc@a.example")];
    (other.facts.sent_by, other.facts.reverse_path) = (Some(EVA.to_owned()), EVA.to_owned());
    store.commit(mail_plan(other, vec![Effect::Record(open("IT"))])).await.unwrap();
    let comment = entry("IT", Reason::Reply, Disposition::Comment("IT-2".parse().unwrap()));
    store.commit(mail_plan(of_eva("a comment", 600), vec![Effect::Record(comment)])).await.unwrap();
    let dropped = entry("HR", Reason::NotAProjectCustomer, Disposition::Drop { keep_raw: true });
    store.commit(mail_plan(of_eva("a drop", 600), vec![Effect::Record(dropped)])).await.unwrap();
    let held = two_holds(store).await;
    // An import of several, her mail to the postmaster, and somebody else's.
    let both =
        [EVA, "colleague@person.example"].map(|who| Effect::PutAccount(account(who, AccountKind::Internal)));
    let import = fenced(store, "colleague@person.example", plan(both.into())).await;
    store.commit(fenced(store, EVA, import).await).await.unwrap();
    for who in [EVA, BOB] {
        store.commit(mail_plan(of(who), vec![forward(who)])).await.unwrap();
    }
    let (_, confirming) = confirmation(EVA, 78, T0.plus(DAY));
    store.commit(fenced(store, EVA, plan(vec![confirming])).await).await.unwrap();
    let mut bodies = Vec::new();
    for id in ["IT-1", "HR-1"] {
        bodies.push(store.request(&id.parse().unwrap()).await.unwrap().unwrap().body);
    }
    bodies.push(store.comments(&"IT-2".parse().unwrap()).await.unwrap()[0].body);
    bodies.push(store.held(held).await.unwrap().unwrap().body);
    Told { bodies, held }
}

fn of(who: &str) -> NewMail {
    if who == EVA { of_eva("to the postmaster", 600) } else { mail(who, "to the postmaster", "Hello!\r\n") }
}

fn forward(reverse_path: &str) -> Effect {
    let kind = DeliveryKind::Forward {
        reverse_path: reverse_path.to_owned(),
        body: None,
        trace: "Received: by mx.example; x\r\n".to_owned(),
    };
    let (id, to) = (DeliveryId::new(fresh()), address("ops@help.example"));
    Effect::Enqueue(Delivery { id, to, not_before: T0, lane: None, kind })
}

/// One of them is released, the other one waits with its verification.
async fn two_holds(store: &Engine) -> HeldId {
    let (released, waits) = (HeldId::new(fresh()), HeldId::new(fresh()));
    let id = VerificationId::new(fresh());
    let mut entry = hold("HR", released);
    entry.once = Some(once(2));
    let effects = vec![
        Effect::Record(entry),
        Effect::OpenVerification { id, address: address(EVA) },
        verification_mail(EVA, id, 77, None),
    ];
    let plan_of = fenced(store, EVA, mail_plan(of_eva("a hold", 30_000), effects)).await;
    store.commit(plan_of).await.unwrap();
    let second = mail_plan(of_eva("a second hold", 600), vec![Effect::Record(hold("IT", waits))]);
    store.commit(fenced(store, EVA, second).await).await.unwrap();
    let end = resolve(released, Reason::KnownCustomer, Basis::Released, Disposition::Open);
    store.commit(fenced(store, EVA, plan(vec![end])).await).await.unwrap();
    waits
}

/// The ends of all that waits.
fn discards(view: &SenderView) -> Vec<Effect> {
    let dropped = Disposition::Drop { keep_raw: false };
    let held = view.releasing.iter().chain(&view.held);
    held.map(|held| resolve(*held, Reason::HoldDiscarded, Basis::Discarded, dropped.clone())).collect()
}

/// As the daemon plans it.
pub(super) async fn forget(store: &Engine, who: &str) -> Traces {
    let view = store.sender(&address(who), &[], T0).await.unwrap();
    let traces = store.traces(&address(who)).await.unwrap();
    let mut effects = discards(&view);
    effects.push(Effect::Forget(traces.forget.clone()));
    let made: Plan = fenced(store, who, plan(effects)).await;
    store.commit(made).await.unwrap();
    traces
}

async fn decisions(store: &Engine, filter: DecisionFilter) -> Vec<vestibule::store::DecisionRow> {
    store.decisions(&filter, PageRequest { limit: 100, ..PageRequest::default() }).await.unwrap().items
}

fn by(who: &str) -> DecisionFilter {
    DecisionFilter { sender: Some(address(who)), ..DecisionFilter::default() }
}

pub(super) async fn a_person_is_forgotten_and_the_books_add_up(store: &Engine) {
    let told = live(store).await;
    let before = decisions(store, DecisionFilter::default()).await;
    let traces = store.traces(&address(EVA)).await.unwrap();
    let ids = |ids: &[vestibule::types::RequestId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(&traces.requests), ["IT-1", "HR-1"]);
    assert_eq!((ids(&traces.comments), ids(&traces.mentions)), (vec!["IT-2".into()], vec!["IT-2".into()]));
    assert_eq!((traces.dropped, traces.verifications, traces.outbox), (1, 1, 3));
    assert_eq!(traces.bytes, 600 * 4 + 30_000);
    let under_way = store.claim(Queue::Outbox, T0.plus(DAY), 9, HOUR).await.unwrap();
    forget(store, EVA).await;
    for lease in under_way {
        // But for the mail that goes on from somebody else.
        let of_bob = matches!(&lease.job.kind, JobKind::Deliver(Delivery {
            kind: DeliveryKind::Forward { reverse_path, .. }, ..
        }) if reverse_path == BOB);
        let later = Settlement::RetryAt(T0.plus(DAY), "later".into());
        assert_eq!(store.settle(&lease, later, T0).await.unwrap() == Settled::Ok, of_bob, "{lease:?}");
    }

    let view = store.sender(&address(EVA), &[], T0).await.unwrap();
    assert_eq!((view.version, view.account, view.pending, view.held.len()), (0, None, None, 0));
    assert!(store.token(&digest(77)).await.unwrap().is_none(), "the link is dead");
    assert!(store.confirmation(&digest(78)).await.unwrap().is_none());
    let left = store.claim(Queue::Outbox, T0.plus(DAY * 2), 9, HOUR).await.unwrap();
    assert_eq!(left.len(), 1, "hers are withdrawn: {left:?}");
    assert!(store.sender(&address("colleague@person.example"), &[], T0).await.unwrap().account.is_some());
    assert!(store.held(told.held).await.unwrap().is_none());
    let Backlog { outbox, held } = store.backlog().await.unwrap();
    assert_eq!((outbox.len(), held.len()), (1, 0));
    for (id, mails) in [("IT-1", 0), ("IT-2", 1), ("HR-1", 0)] {
        let row = store.request(&id.parse().unwrap()).await.unwrap().unwrap();
        let comments = store.comments(&row.id).await.unwrap();
        assert_eq!(comments.len(), mails, "{id}");
        for comment in comments {
            assert_eq!((comment.author, comment.message_id), (None, None));
            assert!(matches!(store.raw(&comment.body).await, Err(StoreError::Expired(None))));
        }
        if id == "IT-2" {
            assert_eq!((row.reporter, row.subject.as_str()), (Some(address(BOB)), "a printer"));
            continue;
        }
        assert_eq!((row.reporter, row.reporter_name, row.subject.as_str()), (None, None, ""), "{id}");
        assert!(matches!(store.raw(&row.body).await, Err(StoreError::Expired(None))), "{id}");
    }
    // The numbers of decisions and their reasons stay, hers without anything of her.
    let after = decisions(store, DecisionFilter::default()).await;
    assert_eq!(after.len(), before.len() + 1, "the hold that waited has ended");
    for (old, new) in before.iter().zip(&after[1..]) {
        assert_eq!((old.seq, old.at, old.reason, &old.project), (new.seq, new.at, new.reason, &new.project));
        assert_eq!((&old.request, &old.held), (&new.request, &new.held));
        if old.sender == Some(address(EVA)) {
            assert_eq!((&new.sender, &new.message_id, new.trail.len()), (&None, &None, 0));
            assert_ne!(new.raw, RawState::Kept);
        } else {
            assert_eq!(new, old);
        }
    }
    assert_eq!((after[0].reason, &after[0].sender), (Reason::HoldDiscarded, &None));
    let drop = before.iter().find(|row| row.reason.outcome() == Outcome::Drop).unwrap();
    assert!(store.dropped(drop.mail_id, T0.minus(DAY)).await.unwrap().is_empty(), "not decided again");
    assert!(decisions(store, by(EVA)).await.is_empty());
    let mine = RequestFilter { customer: Some(address(EVA)), ..RequestFilter::default() };
    assert!(store.requests(&mine, PageRequest::default()).await.unwrap().items.is_empty());
    nothing_is_threaded(store).await;
    assert_books_balance(store).await;

    let compacted = store.compact(&forever(), T0.plus(HOUR), Effort::Gentle).await.unwrap();
    assert_eq!(compacted.pending, 0);
    assert!(compacted.forgotten >= 7, "{compacted:?}");
    for body in told.bodies {
        assert!(matches!(store.raw(&body).await, Err(StoreError::Expired(None))), "{body:?}");
    }
    assert_books_balance(store).await;
    assert_eq!(decisions(store, DecisionFilter::default()).await, after, "compaction changes nothing");
}

/// Neither her mails nor her part in others' are remembered.
async fn nothing_is_threaded(store: &Engine) {
    let thread = ThreadKey::of(&project("IT"), &format!("{SECRET}, one@{EVA}"));
    let named = Named { project: project("IT"), requests: vec![2], ours: vec![], threads: vec![thread] };
    let found = store.threads(&address(EVA), &named).await.unwrap();
    assert_eq!(found.iter().map(|thread| thread.involved).collect::<Vec<_>>(), [false]);
    let found = store.threads(&address("cc@a.example"), &named).await.unwrap();
    assert!(found[0].involved, "others stay participants");
}

pub(super) async fn whoever_was_forgotten_begins_anew(store: &Engine) {
    live(store).await;
    forget(store, EVA).await;
    let mut entry = open("IT");
    entry.once = Some(once(1));
    let mut again = of_eva("one", 600);
    again.facts.subject = "a new life".into();
    let effects = vec![Effect::PutAccount(account(EVA, AccountKind::PortalOnly)), Effect::Record(entry)];
    let made = store.commit(fenced(store, EVA, mail_plan(again, effects)).await).await.unwrap();
    let id = made.entries[0].request.clone().unwrap();
    assert_eq!(id.to_string(), "IT-3", "the old copy is not remembered, and no number is given twice");
    assert_eq!(store.compact(&forever(), T0, Effort::Full).await.unwrap().pending, 0);
    let row = store.request(&id).await.unwrap().unwrap();
    assert_eq!((row.reporter, row.subject.as_str()), (Some(address(EVA)), "a new life"));
    assert!(!store.raw(&row.body).await.unwrap().is_empty(), "what came later is kept");
    assert_eq!(decisions(store, by(EVA)).await.len(), 1);
    assert_eq!(forget(store, EVA).await.requests, [id]);
    let compacted = store.compact(&forever(), T0, Effort::Gentle).await.unwrap();
    assert_eq!((compacted.pending, compacted.forgotten > 0), (0, true));
    assert!(decisions(store, by(EVA)).await.is_empty());
}

pub(super) async fn an_unknown_address_leaves_no_trace(store: &Engine) {
    const NOBODY: &str = "nobody@a.example";
    live(store).await;
    let before = decisions(store, DecisionFilter::default()).await;
    let traces = forget(store, NOBODY).await;
    assert_eq!((traces.requests.len(), traces.bytes, traces.outbox), (0, 0, 0));
    let compacted = store.compact(&forever(), T0, Effort::Gentle).await.unwrap();
    assert_eq!((compacted.forgotten, compacted.pending), (0, 0));
    assert_eq!(store.sender(&address(NOBODY), &[], T0).await.unwrap().version, 0);
    assert_eq!(decisions(store, DecisionFilter::default()).await, before);
    assert_eq!(store.traces(&address(EVA)).await.unwrap().requests.len(), 2);
}

/// Between reading and committing she writes once more and is known: planned anew, or later than the forgetting.
pub(super) async fn forgetting_rests_on_what_was_read(store: &Engine) {
    live(store).await;
    let stale = fenced(store, EVA, plan(vec![])).await;
    let traces = store.traces(&address(EVA)).await.unwrap();
    let late = HeldId::new(fresh());
    let held = mail_plan(of_eva("too late", 600), vec![Effect::Record(hold("IT", late))]);
    store.commit(fenced(store, EVA, held).await).await.unwrap();
    let effects = vec![Effect::Forget(traces.forget)];
    let refused = store.commit(Plan { effects, ..stale }).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    let traces = store.traces(&address(EVA)).await.unwrap();
    // A known sender's mail changes nothing that a decision rests on.
    store.commit(mail_plan(of_eva("later", 600), vec![Effect::Record(open("IT"))])).await.unwrap();
    let view = store.sender(&address(EVA), &[], T0).await.unwrap();
    let mut effects = discards(&view);
    effects.push(Effect::Forget(traces.forget));
    store.commit(fenced(store, EVA, plan(effects)).await).await.unwrap();
    assert_eq!(store.compact(&forever(), T0, Effort::Full).await.unwrap().pending, 0);
    let left = decisions(store, by(EVA)).await;
    assert_eq!(left.len(), 1);
    let row = store.request(left[0].request.as_ref().unwrap()).await.unwrap().unwrap();
    assert!(row.subject.ends_with("later") && store.raw(&row.body).await.is_ok());
    assert_books_balance(store).await;
}

/// The files below the folder that hold her name or the secret.
fn files_that_tell(folder: &Path) -> Vec<String> {
    files_with(folder, &["eva.secretive", SECRET])
}

/// Before it the files tell, else the search would prove nothing.
fn assert_told(home: &Home) {
    let found = files_that_tell(&home.path()).join(" ");
    assert!(found.contains("journal/") && found.contains("big/") && found.contains("index/"), "{found}");
}

/// Everything of her is gone: from journal and big mails at once, from the whole directory after the next start.
async fn assert_nothing_tells(home: &Home, embedded: Arc<Embedded>) {
    for folder in ["journal", "big"] {
        assert_eq!(files_that_tell(&home.path().join(folder)), Vec::<String>::new());
    }
    assert_rebuilds(home).await;
    embedded.close().await;
    drop(embedded);
    let (store, report) = embedded::open(options(home), T0).unwrap();
    assert_eq!(report.rebuilt.as_deref(), Some("somebody was forgotten"));
    assert_eq!(files_that_tell(&home.path()), Vec::<String>::new());
    let store = behind_the_start(store).await;
    for id in ["IT-1", "IT-2", "HR-1"] {
        assert!(store.request(&id.parse().unwrap()).await.unwrap().is_some(), "{id} keeps its number");
    }
    store.close().await;
    assert_no_blobs(&home.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_is_left_in_any_file() {
    let home = Home::new();
    let embedded = opened(&home).await;
    let store: Engine = Arc::clone(&embedded) as Engine;
    live(&store).await;
    let mut site = Site::new(&store, 5);
    // Some of it is in segments that were compacted before, and in the record that her drop was retired by.
    site.day(100).await;
    let retired = store.compact(&retention(), T0.plus(DAY * 6), Effort::Full).await.unwrap();
    assert!(retired.decisions > 0);
    site.day(100).await;
    assert_told(&home);
    forget(&store, EVA).await;
    site.day(20).await;
    let compacted: Compacted = store.compact(&forever(), site.now, Effort::Gentle).await.unwrap();
    assert_eq!(compacted.pending, 0, "{compacted:?}");
    assert!(compacted.forgotten >= 7 && compacted.files >= 1, "{compacted:?}");
    site.check(false).await;
    drop(site);
    drop(store);
    assert_nothing_tells(&home, embedded).await;
}

/// Killed behind the record and before the compaction: the next start and its compaction go on with it, with the index that
/// was there and with one made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_between_loses_nothing_of_it() {
    let home = Home::new();
    let embedded = opened(&home).await;
    let store: Engine = Arc::clone(&embedded) as Engine;
    live(&store).await;
    Site::new(&store, 6).day(60).await;
    forget(&store, EVA).await;
    assert_rebuilds(&home).await;
    let (with, without) = (home.crash_image(), home.crash_image());
    fs::remove_dir_all(without.path().join("index")).unwrap();
    for image in [with, without] {
        let embedded = opened(&image).await;
        let store: Engine = Arc::clone(&embedded) as Engine;
        assert!(decisions(&store, by(EVA)).await.is_empty());
        assert!(store.sender(&address(EVA), &[], T0).await.unwrap().account.is_none());
        let row = store.request(&"IT-1".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((row.reporter, row.subject.as_str()), (None, ""));
        assert_books_balance(&store).await;
        let compacted = store.compact(&forever(), T0, Effort::Gentle).await.unwrap();
        assert_eq!(compacted.pending, 0, "{compacted:?}");
        drop(store);
        assert_nothing_tells(&image, embedded).await;
    }
    embedded.close().await;
}

/// A disk on which so many segments can be replaced, and then no more.
struct Stubborn(AtomicUsize);

impl Disk for Stubborn {
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        RealDisk.write_all_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        RealDisk.sync_data(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| io::Error::other("as the test wants it"))?;
        RealDisk.rename(from, to)
    }
}

/// The hold that waits is redeemed, then released, then the account changed: each in a segment of its own. The job is settled
/// in between with those of the others.
async fn go_on(store: &Engine, held: HeldId, part: u64) {
    let pending = store.sender(&address(EVA), &[], T0).await.unwrap().pending;
    let mut next = plan(vec![]);
    match (part, pending) {
        (0, Some(pending)) => {
            next.effects.push(Effect::PutAccount(account(EVA, AccountKind::Internal)));
            spend(&mut next, pending, Redemption::Verified { release: vec![held], not_mine: vec![] });
        }
        (1, None) => {
            next.effects.push(resolve(held, Reason::KnownCustomer, Basis::Verified, Disposition::Open));
        }
        (2, None) => {
            next.effects.push(Effect::PutAccount(account(EVA, AccountKind::PortalOnly)));
        }
        other => panic!("{other:?}"),
    }
    store.commit(fenced(store, EVA, next).await).await.unwrap();
}

/// The compaction ends behind each of its segments in turn, and the next one goes on with it, in this process and in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_that_ends_half_way_is_gone_on_with() {
    let home = Home::new();
    let embedded = opened(&home).await;
    let store: Engine = Arc::clone(&embedded) as Engine;
    let held = live(&store).await.held;
    for part in 0..3 {
        Site::new(&store, 8 + part).day(40).await;
        go_on(&store, held, part).await;
        // A full compaction begins a new segment.
        store.compact(&forever(), T0, Effort::Full).await.unwrap();
    }
    forget(&store, EVA).await;
    let mut ended = 0;
    for replaced in 0..20 {
        let image = home.crash_image();
        let disk = Arc::new(Stubborn(AtomicUsize::new(replaced)));
        let on = embedded::Options { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..options(&image) };
        let half = Arc::new(embedded::open(on, T0).unwrap().0);
        let Err(_) = half.compact(&forever(), T0, Effort::Gentle).await else { break };
        ended += 1;
        assert_rebuilds(&image).await;
        let other = image.crash_image();
        disk.0.store(usize::MAX, Ordering::SeqCst);
        let compacted = half.compact(&forever(), T0, Effort::Gentle).await.unwrap();
        assert_eq!(compacted.pending, 0);
        assert_nothing_tells(&image, half).await;
        let embedded = opened(&other).await;
        assert_eq!(embedded.compact(&forever(), T0, Effort::Gentle).await.unwrap().pending, 0);
        assert_nothing_tells(&other, embedded).await;
    }
    assert!(ended >= 4, "{ended} segments");
    embedded.close().await;
}

/// What can't be read can't be written anew: it stays pending, the rows are as they should be, and the next compaction tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_segment_stays_pending() {
    let home = Home::new();
    let embedded = opened(&home).await;
    let store: Engine = Arc::clone(&embedded) as Engine;
    live(&store).await;
    Site::new(&store, 4).day(20).await;
    store.compact(&forever(), T0, Effort::Full).await.unwrap();
    let segment = home.path().join("journal/000000000001.seg");
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    let at = whole.windows(9).position(|nine| nine == b"It burns.").unwrap();
    damaged[at] ^= 1;
    fs::write(&segment, damaged).unwrap();
    forget(&store, EVA).await;
    for _ in 0..2 {
        assert_eq!(store.compact(&forever(), T0, Effort::Full).await.unwrap().pending, 1);
    }
    assert!(decisions(&store, by(EVA)).await.is_empty());
    assert_books_balance_but_for(&store, "segment 1, offset").await;
    fs::write(&segment, whole).unwrap();
    assert_eq!(store.compact(&forever(), T0, Effort::Gentle).await.unwrap().pending, 0);
    drop(store);
    assert_nothing_tells(&home, embedded).await;
}

async fn assert_books_balance_but_for(store: &Engine, damage: &str) {
    let problems = store.audit().await.unwrap();
    assert!(problems.len() == 1 && problems[0].contains(damage), "{problems:?}");
}

/// Twelve days of churn, and on each some are forgotten: the rows can be made anew from what is left at any time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_each_day_can_be_made_anew() {
    let home = Home::new();
    let embedded = opened(&home).await;
    let store: Engine = Arc::clone(&embedded) as Engine;
    let mut site = Site::new(&store, 13);
    let mut forgotten = 0;
    for day in 1..=12_u64 {
        site.day(80).await;
        for who in [
            format!("user{day}@a.example"),
            format!("staff{}@a.example", day * 3),
            format!("spam{day}@b.example"),
        ] {
            site.forget(&who).await;
        }
        if day % 4 == 0 {
            // Before the compaction has got to it.
            assert_rebuilds(&home).await;
        }
        let effort = if day % 5 == 0 { Effort::Full } else { Effort::Gentle };
        let compacted = store.compact(&retention(), site.now, effort).await.unwrap();
        assert_eq!(compacted.pending, 0);
        forgotten += compacted.forgotten;
        assert_books_balance(&store).await;
        site.check(effort == Effort::Full).await;
        if day % 2 == 0 {
            assert_rebuilds(&home).await;
        }
    }
    assert!(forgotten > 30, "{forgotten}");
    store.close().await;
}
