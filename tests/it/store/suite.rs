//! The suite: what every engine does alike.

use std::{collections::HashSet, time::Duration};

use tokio::task::JoinSet;
use vestibule::{
    access::{Basis, DomainEntry, DomainList, Outcome, Reason},
    config::{Keep, Retention},
    store::{
        AccountFilter, CommitError, Cursor, DecisionFilter, Delivery, DeliveryKind, DeliveryState,
        Disposition, Effect, Effort, HeldFilter, JobKind, Kept, Lane, LaneRate, Order, PageRequest, Queue,
        RawState, Redemption, RequestFilter, Seen, Settled, Settlement, StoreError, VerificationState,
    },
    types::{AccountKind, DeliveryId, HeldId, RequestId, Time, VerificationId},
};

use super::kit::{
    DAY, Engine, HOUR, T0, account, address, digest, entry, fenced, fresh, held_mail, hold, mail, mail_plan,
    once, open, plan, project, remembered, request, resolve, spend, try_hold, verification_mail,
};

pub(super) use super::letters::*;

const LEASE: Duration = Duration::from_mins(5);

fn page(limit: usize, order: Order) -> PageRequest {
    PageRequest { limit, cursor: None, order }
}

async fn pending(store: &Engine, sender: &str) -> VerificationId {
    store.sender(&address(sender), &[], T0).await.unwrap().pending.unwrap()
}

pub(super) async fn an_unknown_sender_has_version_zero(store: &Engine) {
    let view = store.sender(&address("nobody@a.example"), &[remembered("IT", None, 1)], T0).await.unwrap();
    assert_eq!((view.version, view.held_count(), view.account, view.pending), (0, 0, None, None));
    assert!(view.duplicates.is_empty());
    assert_eq!(store.token(&digest(1)).await.unwrap().map(|token| token.expires_at), None);
    assert_eq!(store.request(&"IT-1".parse().unwrap()).await.unwrap(), None);
    assert_eq!(store.held_count().await.unwrap(), 0);
    let health = store.health();
    assert!(health.writable && !health.fatal && health.free > 0);
}

pub(super) async fn a_request_is_read_back_with_its_mail(store: &Engine) {
    for (number, size) in [(1_u64, 0), (2, 1), (3, 20_000), (4, 524_288), (5, 524_289), (6, 3_000_000)] {
        let raw: Vec<u8> = (0..size).map(|i: u32| i.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let mail = mail("ada@a.example", &format!("mail {number}"), raw.clone());
        let facts = mail.facts.clone();
        let committed = store.commit(mail_plan(mail, vec![Effect::Record(open("IT"))])).await.unwrap();
        let id = RequestId { project: project("IT"), number };
        assert_eq!(committed.entries[0].request.as_ref(), Some(&id));
        let row = store.request(&id).await.unwrap().unwrap();
        assert_eq!((row.subject, row.message_id, row.mail_id), (facts.subject, facts.message_id, facts.id));
        assert_eq!((row.reporter, row.created_at), (Some(address("ada@a.example")), T0));
        assert!(store.raw(&row.body).await.unwrap() == raw, "{size} bytes");
    }
}

pub(super) async fn one_of_many_copies_is_taken(store: &Engine) {
    for round in 0..40 {
        let mut copies = JoinSet::new();
        for _ in 0..9 {
            let store = store.clone();
            copies.spawn(async move {
                let mut record = open("IT");
                record.once = Some(once(round));
                store
                    .commit(mail_plan(mail("ada@a.example", "copy", "copy"), vec![Effect::Record(record)]))
                    .await
            });
        }
        let answers = copies.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for error in answers.into_iter().filter_map(Result::err) {
            assert!(matches!(error, CommitError::Duplicate(keys) if keys == [once(round)]));
        }
    }
    let requests = store.requests(&RequestFilter::default(), page(100, Order::Newest)).await.unwrap();
    assert_eq!(requests.items.len(), 40);
}

pub(super) async fn a_copy_counts_again_after_the_window(store: &Engine) {
    let mut record = open("IT");
    record.once = Some(once(1));
    let first = |at: Time, since: Time| {
        let mut record = record.clone();
        record.once_since = since;
        let mut plan = mail_plan(mail("ada@a.example", "again", "again"), vec![Effect::Record(record)]);
        plan.at = at;
        plan
    };
    store.commit(first(T0, T0.minus(DAY))).await.unwrap();
    let again = |n| remembered("IT", Some("again@ada@a.example"), n);
    let seen = store.sender(&address("ada@a.example"), &[again(1), again(2)], T0).await.unwrap();
    assert_eq!(seen.duplicates, [Seen { digest: once(1), kept: Kept::Request(1) }]);
    let late = T0.plus(DAY * 2);
    let copy = store.commit(first(T0.plus(HOUR), T0)).await;
    assert!(matches!(copy, Err(CommitError::Duplicate(_))));
    store.commit(first(late, T0.plus(HOUR))).await.unwrap();
    let seen = store.sender(&address("ada@a.example"), &[again(1)], late).await.unwrap();
    assert_eq!(seen.duplicates, [Seen { digest: once(1), kept: Kept::Request(2) }]);
}

pub(super) async fn a_plan_for_several_projects_is_one_step(store: &Engine) {
    let held = HeldId::new(fresh());
    let effects = vec![
        Effect::PutAccount(account("ada@a.example", AccountKind::PortalOnly)),
        Effect::Record(open("IT")),
        Effect::Record(open("HR")),
        Effect::Record(hold("OPS", held)),
        Effect::Record(entry("LAW", Reason::NotAProjectCustomer, Disposition::Drop { keep_raw: false })),
    ];
    let committed = store.commit(mail_plan(mail("ada@a.example", "all", "all"), effects)).await.unwrap();
    let said: Vec<_> = committed
        .entries
        .iter()
        .map(|entry| (entry.project.as_str(), entry.request.as_ref().map(ToString::to_string), entry.held))
        .collect();
    let expected = [
        ("IT", Some("IT-1".to_owned()), None),
        ("HR", Some("HR-1".to_owned()), None),
        ("OPS", None, Some(held)),
        ("LAW", None, None),
    ];
    assert_eq!(said, expected);
    let kind = store.request(&"HR-1".parse().unwrap()).await.unwrap().unwrap().reporter_kind;
    assert_eq!(kind, AccountKind::PortalOnly);
    // One of its mails was seen: nothing of the whole plan is there.
    let mut seen = open("IT");
    seen.once = Some(once(9));
    let effects = vec![Effect::Record(seen)];
    store.commit(mail_plan(mail("eve@a.example", "first", "x"), effects.clone())).await.unwrap();
    let effects = [effects, vec![Effect::Record(open("HR"))]].concat();
    let refused = store.commit(mail_plan(mail("eve@a.example", "first", "x"), effects)).await;
    assert!(matches!(refused, Err(CommitError::Duplicate(_))));
    assert_eq!(store.request(&"HR-2".parse().unwrap()).await.unwrap(), None);
}

pub(super) async fn stale_plans_leave_nothing_behind(store: &Engine) {
    let sender = "ada@a.example";
    let id = VerificationId::new(fresh());
    let effects = vec![
        Effect::Record(open("IT")),
        Effect::Record(hold("HR", HeldId::new(fresh()))),
        Effect::OpenVerification { id, address: address(sender) },
        verification_mail(sender, id, 1, None),
    ];
    let stale = fenced(store, sender, mail_plan(mail(sender, "stale", "stale"), effects)).await;
    store.commit(plan(vec![Effect::PutAccount(account(sender, AccountKind::Internal))])).await.unwrap();
    assert!(matches!(store.commit(stale.clone()).await, Err(CommitError::Stale)));
    let view = store.sender(&address(sender), &[], T0).await.unwrap();
    assert_eq!((view.version, view.held_count(), view.pending, view.mailed.len()), (1, 0, None, 0));
    assert_eq!(store.request(&"IT-1".parse().unwrap()).await.unwrap(), None);
    assert!(store.token(&digest(1)).await.unwrap().is_none());
    assert_eq!(store.next_due(Queue::Outbox).await.unwrap(), None);
    let decisions = store.decisions(&DecisionFilter::default(), page(10, Order::Newest)).await.unwrap();
    assert!(decisions.items.is_empty());
    // Planned anew it goes through, with the first numbers.
    let mut anew = stale;
    anew.fences[0].version = view.version;
    let committed = store.commit(anew).await.unwrap();
    assert_eq!(committed.entries[0].request, "IT-1".parse().ok());
}

pub(super) async fn a_busy_known_sender_is_never_stale(store: &Engine) {
    let sender = "ada@a.example";
    store.commit(plan(vec![Effect::PutAccount(account(sender, AccountKind::Internal))])).await.unwrap();
    let mut mails = JoinSet::new();
    for n in 0..50 {
        let subject = format!("mail {n}");
        let plan = mail_plan(mail(sender, &subject, "x"), vec![Effect::Record(open("IT"))]);
        let (plan, store) = (fenced(store, sender, plan).await, store.clone());
        mails.spawn(async move { store.commit(plan).await });
    }
    assert!(mails.join_all().await.iter().all(Result::is_ok));
}

pub(super) async fn numbers_are_given_once_and_without_gaps(store: &Engine) {
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut given = Vec::new();
            for n in 0..50 {
                let key = if n % 3 == 0 { "HR" } else { "IT" };
                let committed = request(&store, &format!("user{task}@a.example"), key, &format!("{n}")).await;
                let id = committed.entries[0].request.clone().unwrap();
                // A read after the answer sees it.
                assert_eq!(store.request(&id).await.unwrap().unwrap().subject, format!("{n}"));
                given.push(id);
            }
            given
        });
    }
    let given: Vec<RequestId> = tasks.join_all().await.into_iter().flatten().collect();
    for key in ["IT", "HR"] {
        let mut numbers: Vec<u64> =
            given.iter().filter(|id| id.project == project(key)).map(|id| id.number).collect();
        numbers.sort_unstable();
        assert!(numbers.len() > 100);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

pub(super) async fn a_hold_waits_and_is_released(store: &Engine) {
    let sender = "ada@a.example";
    let first = held_mail(store, sender, "IT").await;
    let second = held_mail(store, sender, "HR").await;
    let view = store.sender(&address(sender), &[], T0).await.unwrap();
    assert_eq!((view.held.as_slice(), view.releasing.len()), ([first, second].as_slice(), 0));
    let row = store.held(first).await.unwrap().unwrap();
    assert_eq!((row.subject.as_str(), row.reason), ("held", Reason::InternalAccountUnverified));
    assert_eq!((row.size, row.expires_at), (11, T0.plus(DAY * 30)));
    assert_eq!(store.raw(&row.body).await.unwrap(), "held mail\r\n");
    let id = pending(store, sender).await;
    let mut redeem = plan(vec![Effect::PutAccount(account(sender, AccountKind::Internal))]);
    spend(&mut redeem, id, Redemption::Verified { release: vec![first], not_mine: vec![second] });
    store.commit(fenced(store, sender, redeem).await).await.unwrap();
    let view = store.sender(&address(sender), &[], T0).await.unwrap();
    assert_eq!((view.held.len(), view.releasing.as_slice()), (0, [first, second].as_slice()));
    assert_eq!((view.pending, view.held_count()), (None, 2));
    let jobs = store.claim(Queue::Release, T0, 10, LEASE).await.unwrap();
    assert_eq!(jobs.len(), 1);
    let JobKind::Release { release, not_mine, .. } = &jobs[0].job.kind else { panic!("{jobs:?}") };
    assert_eq!((release.as_slice(), not_mine.as_slice()), ([first].as_slice(), [second].as_slice()));
    let opened = plan(vec![resolve(first, Reason::KnownCustomer, Basis::Verified, Disposition::Open)]);
    let committed = store.commit(fenced(store, sender, opened).await).await.unwrap();
    assert_eq!(committed.entries[0].request, "IT-1".parse().ok());
    let request = store.request(&"IT-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((request.basis, request.reporter_kind), (Some(Basis::Verified), AccountKind::Internal));
    assert_eq!((request.body, request.subject.as_str()), (row.body, "held"));
    let dropped = resolve(second, Reason::NotMine, Basis::NotMine, Disposition::Drop { keep_raw: false });
    store.commit(fenced(store, sender, plan(vec![dropped])).await).await.unwrap();
    assert_eq!(store.settle(&jobs[0], Settlement::Done(String::new()), T0).await.unwrap(), Settled::Ok);
    assert_eq!(store.next_due(Queue::Release).await.unwrap(), None);
    assert_eq!(store.next_due(Queue::Expiry).await.unwrap(), None);
    assert_eq!((store.held(first).await.unwrap(), store.held_count().await.unwrap()), (None, 0));
}

pub(super) async fn a_drop_at_release_frees_the_key(store: &Engine) {
    let sender = "ada@a.example";
    let hold_once = |held: HeldId| {
        let mut record = hold("IT", held);
        record.once = Some(once(5));
        mail_plan(mail(sender, "once", "x"), vec![Effect::Record(record)])
    };
    let (first, second) = (HeldId::new(fresh()), HeldId::new(fresh()));
    store.commit(hold_once(first)).await.unwrap();
    assert!(matches!(store.commit(hold_once(second)).await, Err(CommitError::Duplicate(_))));
    let end =
        |held, disposition| plan(vec![resolve(held, Reason::HoldDiscarded, Basis::Discarded, disposition)]);
    store.commit(end(first, Disposition::Drop { keep_raw: false })).await.unwrap();
    store.commit(hold_once(second)).await.unwrap();
    // A hold that ends as a request keeps its key.
    store.commit(end(second, Disposition::Open)).await.unwrap();
    assert!(matches!(store.commit(hold_once(HeldId::new(fresh()))).await, Err(CommitError::Duplicate(_))));
}

pub(super) async fn a_hold_that_has_ended_is_gone(store: &Engine) {
    let held = held_mail(store, "ada@a.example", "IT").await;
    let discard = || {
        let drop = Disposition::Drop { keep_raw: false };
        plan(vec![resolve(held, Reason::HoldDiscarded, Basis::Discarded, drop)])
    };
    store.commit(discard()).await.unwrap();
    assert!(matches!(store.commit(discard()).await, Err(CommitError::Gone)));
    let nobody = plan(vec![Effect::DeleteAccount(address("nobody@a.example"))]);
    assert!(matches!(store.commit(nobody).await, Err(CommitError::Gone)));
    let comment = entry("IT", Reason::Reply, Disposition::Comment("IT-77".parse().unwrap()));
    let comment = mail_plan(mail("ada@a.example", "re", "x"), vec![Effect::Record(comment)]);
    assert!(matches!(store.commit(comment).await, Err(CommitError::Gone)));
}

pub(super) async fn a_verification_is_redeemed_once(store: &Engine) {
    for round in 0..40 {
        let sender = format!("user{round}@a.example");
        let held = held_mail(store, &sender, "IT").await;
        let id = pending(store, &sender).await;
        let mut redeemers = JoinSet::new();
        for _ in 0..6 {
            let mut redeem = plan(vec![Effect::PutAccount(account(&sender, AccountKind::Internal))]);
            spend(&mut redeem, id, Redemption::Verified { release: vec![held], not_mine: vec![] });
            let (redeem, store) = (fenced(store, &sender, redeem).await, store.clone());
            redeemers.spawn(async move { store.commit(redeem).await });
        }
        let answers = redeemers.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let mut again = plan(vec![]);
        spend(&mut again, id, Redemption::Moot);
        let again = store.commit(fenced(store, &sender, again).await).await;
        assert!(matches!(again, Err(CommitError::TokenSpent)));
        let view = store.verification(id).await.unwrap().unwrap();
        assert_eq!(view.state, VerificationState::Verified { at: T0, handed_on: 1, not_mine: 0 });
    }
    assert_eq!(store.claim(Queue::Release, T0, 100, LEASE).await.unwrap().len(), 40);
}

/// Redeems with what waits at this moment, planned anew until it goes through.
async fn redeem(store: Engine, sender: String) -> Vec<HeldId> {
    loop {
        let view = store.sender(&address(&sender), &[], T0).await.unwrap();
        // Between reading and committing anything may happen.
        tokio::task::yield_now().await;
        let mut plan = plan(vec![Effect::PutAccount(account(&sender, AccountKind::Internal))]);
        let release = view.held.clone();
        spend(&mut plan, view.pending.unwrap(), Redemption::Verified { release, not_mine: vec![] });
        plan.fences.push(vestibule::store::Fence { address: address(&sender), version: view.version });
        match store.commit(plan).await {
            Ok(_) => return view.held,
            Err(CommitError::Stale) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A mail that arrives: held while the sender has no account, a request after.
async fn arrive(store: Engine, sender: String) -> Option<HeldId> {
    loop {
        let view = store.sender(&address(&sender), &[], T0).await.unwrap();
        tokio::task::yield_now().await;
        let outcome = if view.account.is_some() {
            let mut plan = mail_plan(mail(&sender, "known", "x"), vec![Effect::Record(open("IT"))]);
            plan.fences.push(vestibule::store::Fence { address: address(&sender), version: view.version });
            store.commit(plan).await.map(|_| None)
        } else {
            try_hold(&store, &sender, "IT").await.map(Some)
        };
        match outcome {
            Ok(held) => return held,
            Err(CommitError::Stale) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) async fn a_redemption_strands_no_arriving_mail(store: &Engine) {
    let mut held_in_races = 0;
    for round in 0..200 {
        let sender = format!("user{round}@a.example");
        held_mail(store, &sender, "IT").await;
        let redeemer = tokio::spawn(redeem(store.clone(), sender.clone()));
        let mut mails = JoinSet::new();
        for _ in 0..8 {
            mails.spawn(arrive(store.clone(), sender.clone()));
        }
        let held: HashSet<HeldId> = mails.join_all().await.into_iter().flatten().collect();
        let listed = redeemer.await.unwrap();
        held_in_races += held.len();
        let view = store.sender(&address(&sender), &[], T0).await.unwrap();
        assert_eq!(view.releasing, listed);
        for id in &held {
            let waits_on = view.held.contains(id) && view.pending.is_some();
            assert!(listed.contains(id) || waits_on, "round {round}: {id} is stranded");
        }
    }
    assert!(held_in_races > 0, "no mail was held while a redemption ran");
}

pub(super) async fn disowning_keeps_the_address_quiet(store: &Engine) {
    let sender = "ada@a.example";
    let held = held_mail(store, sender, "IT").await;
    let id = pending(store, sender).await;
    let (not_mine, quiet_until) = (vec![held], T0.plus(DAY * 7));
    let mut disown = plan(vec![]);
    spend(&mut disown, id, Redemption::Disowned { not_mine, quiet_until });
    store.commit(fenced(store, sender, disown).await).await.unwrap();
    let view = store.sender(&address(sender), &[], T0).await.unwrap();
    assert_eq!((view.quiet_until, view.pending, view.releasing), (Some(quiet_until), None, vec![held]));
    let state = store.verification(id).await.unwrap().unwrap().state;
    assert_eq!(state, VerificationState::Disowned { at: T0, not_mine: 1 });
    let jobs = store.claim(Queue::Release, T0, 10, LEASE).await.unwrap();
    let JobKind::Release { release, not_mine, .. } = &jobs[0].job.kind else { panic!("{jobs:?}") };
    assert_eq!((release.len(), not_mine.as_slice()), (0, [held].as_slice()));
}

pub(super) async fn a_release_that_is_given_up_strands_nothing(store: &Engine) {
    let sender = "ada@a.example";
    let held = held_mail(store, sender, "IT").await;
    let mut redeem = plan(vec![]);
    let id = pending(store, sender).await;
    spend(&mut redeem, id, Redemption::Verified { release: vec![held], not_mine: vec![] });
    store.commit(fenced(store, sender, redeem).await).await.unwrap();
    let jobs = store.claim(Queue::Release, T0, 10, LEASE).await.unwrap();
    store.settle(&jobs[0], Settlement::Dead("no more".to_owned()), T0).await.unwrap();
    let view = store.sender(&address(sender), &[], T0).await.unwrap();
    assert_eq!((view.held, view.releasing), (vec![held], vec![]));
}

pub(super) async fn the_mails_of_a_verification_are_followed(store: &Engine) {
    let sender = "ada@a.example";
    held_mail(store, sender, "IT").await;
    let id = pending(store, sender).await;
    store.commit(plan(vec![verification_mail(sender, id, 999, None)])).await.unwrap();
    let token = store.token(&digest(999)).await.unwrap().unwrap();
    assert_eq!((token.verification.id, token.expires_at), (id, T0.plus(DAY * 7)));
    let mut opened = plan(vec![Effect::MarkOpened(id)]);
    opened.at = T0.plus(HOUR);
    store.commit(opened.clone()).await.unwrap();
    opened.at = T0.plus(HOUR * 2);
    store.commit(opened).await.unwrap();
    assert_eq!(store.deliveries(&address(sender)).await.unwrap().len(), 2);
    let jobs = store.claim(Queue::Outbox, T0, 10, LEASE).await.unwrap();
    let retry = Settlement::RetryAt(T0.plus(HOUR), "452 later".to_owned());
    store.settle(&jobs[0], retry, T0).await.unwrap();
    let waiting = store.deliveries(&address(sender)).await.unwrap();
    let retried = waiting.iter().find(|row| row.attempts == 1).unwrap();
    assert_eq!((retried.due_at, retried.last_error.as_deref()), (T0.plus(HOUR), Some("452 later")));
    let (at, long) = (T0.plus(HOUR), "é".repeat(400));
    store.settle(&jobs[1], Settlement::Done("250 ok".to_owned()), at).await.unwrap();
    let again = store.claim(Queue::Outbox, at, 10, LEASE).await.unwrap();
    store.settle(&again[0], Settlement::Dead(long), at).await.unwrap();
    let view = store.verification(id).await.unwrap().unwrap();
    assert_eq!((view.opened_at, view.state), (Some(T0.plus(HOUR)), VerificationState::Pending));
    let sent = DeliveryState::Sent { at, reply: "250 ok".to_owned() };
    let failed = DeliveryState::Failed { at, error: "é".repeat(64) };
    let states: Vec<_> = view.mails.into_iter().map(|mail| mail.state).collect();
    assert!(states.contains(&sent) && states.contains(&failed), "{states:?}");
    assert_eq!(store.verifications(&address(sender), 5).await.unwrap().len(), 1);
    assert_eq!(store.sender(&address(sender), &[], T0).await.unwrap().mailed, [T0, T0]);
}

pub(super) async fn a_dead_workers_jobs_are_given_out_again(store: &Engine) {
    for n in 0..20 {
        held_mail(store, &format!("user{n}@a.example"), "IT").await;
    }
    let dead = store.claim(Queue::Outbox, T0, 20, LEASE).await.unwrap();
    assert_eq!(dead.len(), 20);
    let soon = T0.plus(LEASE / 2);
    assert!(store.claim(Queue::Outbox, soon, 20, LEASE).await.unwrap().is_empty());
    assert_eq!(store.next_due(Queue::Outbox).await.unwrap(), Some(T0.plus(LEASE)));
    let alive = store.claim(Queue::Outbox, T0.plus(LEASE), 20, LEASE).await.unwrap();
    assert_eq!(alive.len(), 20);
    for lease in &dead {
        let settled = store.settle(lease, Settlement::Done("late".to_owned()), T0.plus(LEASE)).await.unwrap();
        assert_eq!(settled, Settled::Lost);
    }
    for lease in &alive {
        let settled = store.settle(lease, Settlement::Done("ok".to_owned()), T0.plus(LEASE)).await.unwrap();
        assert_eq!(settled, Settled::Ok);
        let twice = store.settle(lease, Settlement::Done("ok".to_owned()), T0.plus(LEASE)).await.unwrap();
        assert_eq!(twice, Settled::Lost);
    }
    assert_eq!(store.next_due(Queue::Outbox).await.unwrap(), None);
}

pub(super) async fn a_settlement_that_failed_leaves_the_lease(store: &Engine) {
    held_mail(store, "ada@a.example", "IT").await;
    let lease = store.claim(Queue::Outbox, T0, 1, LEASE).await.unwrap().remove(0);
    // A future that is dropped before it is polled has settled nothing.
    drop(store.settle(&lease, Settlement::Done("never".to_owned()), T0));
    assert!(store.claim(Queue::Outbox, T0, 1, LEASE).await.unwrap().is_empty());
    // A lease that has expired counts until somebody else takes the job.
    let late = T0.plus(LEASE * 2);
    assert_eq!(store.settle(&lease, Settlement::Done("ok".to_owned()), late).await.unwrap(), Settled::Ok);
}

pub(super) async fn jobs_come_when_they_are_due(store: &Engine) {
    let held = [held_mail(store, "a@a.example", "IT").await, held_mail(store, "b@a.example", "IT").await];
    let due = T0.plus(DAY * 30);
    assert_eq!(store.next_due(Queue::Expiry).await.unwrap(), Some(due));
    let early = store.claim(Queue::Expiry, due.minus(Duration::from_millis(1)), 10, LEASE).await.unwrap();
    assert!(early.is_empty());
    let first = store.claim(Queue::Expiry, due, 1, LEASE).await.unwrap();
    let second = store.claim(Queue::Expiry, due, 10, LEASE).await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].fence, second[0].fence);
    let expired: HashSet<_> = first.iter().chain(&second).map(|lease| lease.job.id).collect();
    assert_eq!(expired, held.map(HeldId::uuid).into());
}

pub(super) async fn whoever_waits_for_jobs_is_woken(store: &Engine) {
    for queue in [Queue::Outbox, Queue::Expiry] {
        let bell = store.wakes(queue);
        let waiter = tokio::spawn(async move { bell.notified().await });
        held_mail(store, &format!("{queue:?}@a.example"), "IT").await;
        tokio::time::timeout(Duration::from_secs(30), waiter).await.unwrap().unwrap();
    }
}

pub(super) async fn lanes_spread_what_is_sent(store: &Engine) {
    let external = Some(LaneRate { lane: Lane::External, per_minute: 4 });
    let approved = Some(LaneRate { lane: Lane::Approved, per_minute: 4 });
    let id = {
        held_mail(store, "ada@a.example", "IT").await;
        pending(store, "ada@a.example").await
    };
    let mut due = Vec::new();
    for n in 0..6 {
        let effects = vec![verification_mail("ada@a.example", id, 100 + n, external)];
        store.commit(plan(effects)).await.unwrap();
        let mails = store.verification(id).await.unwrap().unwrap().mails;
        due.push(mails.last().unwrap().due_at.since(T0).as_secs());
    }
    assert_eq!(due, [0, 0, 30, 60, 90, 120]);
    // Two of one plan, in the other lane.
    let two = vec![
        verification_mail("ada@a.example", id, 200, approved),
        verification_mail("ada@a.example", id, 201, approved),
        verification_mail("ada@a.example", id, 202, approved),
    ];
    store.commit(plan(two)).await.unwrap();
    let mails = store.verification(id).await.unwrap().unwrap().mails;
    let last: Vec<_> = mails[mails.len() - 3..].iter().map(|mail| mail.due_at.since(T0).as_secs()).collect();
    assert_eq!(last, [0, 0, 30]);
}

pub(super) async fn forwards_carry_the_mail(store: &Engine) {
    let mail = mail("ada@a.example", "to postmaster", "for the postmaster\r\n");
    let id = mail.facts.id;
    let forward = Effect::Enqueue(Delivery {
        id: DeliveryId::new(fresh()),
        to: address("ops@b.example"),
        not_before: T0,
        lane: None,
        kind: DeliveryKind::Forward {
            reverse_path: "ada@a.example".to_owned(),
            body: None,
            trace: "Received: by mx.example; x\r\n".to_owned(),
        },
    });
    store.commit(mail_plan(mail, vec![forward])).await.unwrap();
    let rows = store.deliveries(&address("ops@b.example")).await.unwrap();
    let DeliveryKind::Forward { body: Some(body), .. } = rows[0].delivery.kind else { panic!("{rows:?}") };
    assert_eq!(body.mail, id);
    assert_eq!(store.raw(&body).await.unwrap(), "for the postmaster\r\n");
}

pub(super) async fn accounts_are_listed_page_by_page(store: &Engine) {
    let mut effects: Vec<_> = (0..25)
        .map(|n| Effect::PutAccount(account(&format!("user{n:02}@a.example"), AccountKind::PortalOnly)))
        .collect();
    effects.push(Effect::PutAccount(account("ada@b.example", AccountKind::Internal)));
    store.commit(plan(effects)).await.unwrap();
    held_mail(store, "stranger@c.example", "IT").await;
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let request = PageRequest { limit: 10, cursor, order: Order::Newest };
        let page = store.accounts(&AccountFilter::default(), request).await.unwrap();
        seen.extend(page.items.into_iter().map(|account| account.address.key().to_owned()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 26);
    assert!(seen.is_sorted());
    let domains = DomainList::from_iter(["b.example".parse::<DomainEntry>().unwrap()]);
    for filter in [
        AccountFilter { kind: Some(AccountKind::Internal), domains: None },
        AccountFilter { kind: None, domains: Some(domains) },
    ] {
        let found = store.accounts(&filter, page(10, Order::Newest)).await.unwrap();
        assert_eq!(found.items, [account("ada@b.example", AccountKind::Internal)]);
    }
    store.commit(plan(vec![Effect::DeleteAccount(address("ada@b.example"))])).await.unwrap();
    assert_eq!(store.sender(&address("ada@b.example"), &[], T0).await.unwrap().account, None);
}

pub(super) async fn comments_stand_in_order(store: &Engine) {
    request(store, "ada@a.example", "IT", "first").await;
    let id: RequestId = "IT-1".parse().unwrap();
    for n in 0..5 {
        let record = entry("IT", Reason::Reply, Disposition::Comment(id.clone()));
        let reply = mail("bob@a.example", &format!("re {n}"), format!("reply {n}"));
        store.commit(mail_plan(reply, vec![Effect::Record(record)])).await.unwrap();
    }
    request(store, "ada@a.example", "IT", "second").await;
    let comments = store.comments(&id).await.unwrap();
    assert_eq!(comments.len(), 5);
    for (n, comment) in comments.iter().enumerate() {
        assert_eq!(comment.message_id.as_deref(), Some(format!("re {n}@bob@a.example").as_str()));
        assert_eq!(store.raw(&comment.body).await.unwrap(), format!("reply {n}"));
    }
    assert!(store.comments(&"IT-2".parse().unwrap()).await.unwrap().is_empty());
}

async fn walk(store: &Engine, filter: &RequestFilter, limit: usize, order: Order) -> Vec<String> {
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = store.requests(filter, PageRequest { limit, cursor, order }).await.unwrap();
        let ended = page.items.is_empty();
        seen.extend(page.items.into_iter().map(|row| row.id.to_string()));
        cursor = page.next;
        if ended || cursor.is_none() {
            return seen;
        }
    }
}

pub(super) async fn lists_are_paged_and_filtered(store: &Engine) {
    for n in 0..30 {
        let (sender, key) = (["ada@a.example", "bob@a.example"][n % 2], ["IT", "HR", "OPS"][n % 3]);
        request(store, sender, key, "x").await;
        held_mail(store, sender, key).await;
    }
    let all = RequestFilter::default();
    let it = RequestFilter { project: Some(project("IT")), ..all.clone() };
    let ada = RequestFilter { customer: Some(address("ADA@A.example")), ..all.clone() };
    let both = RequestFilter { customer: Some(address("ada@a.example")), ..it.clone() };
    for (filter, count) in [(&all, 30), (&it, 10), (&ada, 15), (&both, 5)] {
        for limit in [1, 4, 7, 100] {
            let newest = walk(store, filter, limit, Order::Newest).await;
            let mut oldest = walk(store, filter, limit, Order::Oldest).await;
            oldest.reverse();
            assert_eq!(newest.len(), count);
            assert_eq!(newest, oldest, "limit {limit}");
        }
    }
    let by = HeldFilter { sender: Some(address("ada@a.example")), project: Some(project("IT")) };
    for (filter, count) in [(HeldFilter::default(), 30), (by, 5)] {
        let held = store.held_mails(&filter, page(100, Order::Oldest)).await.unwrap();
        assert_eq!(held.items.len(), count);
        assert!(held.items.is_sorted_by_key(|row| row.seq));
    }
    assert_eq!(store.held_count().await.unwrap(), 30);
}

pub(super) async fn a_follower_misses_no_commit(store: &Engine) {
    const MAILS: usize = 400;
    let mut writers = JoinSet::new();
    for task in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..MAILS / 4 {
                request(&store, &format!("user{task}@a.example"), "IT", &format!("{n}")).await;
            }
        });
    }
    let (mut cursor, mut seen) = (None, Vec::new());
    while seen.len() < MAILS {
        let request = PageRequest { limit: 7, cursor, order: Order::Oldest };
        let page = store.decisions(&DecisionFilter::default(), request).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.seq));
        cursor = page.next;
        assert!(cursor.is_some() || seen.is_empty());
        tokio::task::yield_now().await;
    }
    writers.join_all().await;
    assert_eq!(seen, (1..=MAILS as u64).collect::<Vec<_>>());
}

pub(super) async fn decisions_tell_their_trail(store: &Engine) {
    request(store, "ada@a.example", "IT", "first").await;
    let held = held_mail(store, "bob@a.example", "HR").await;
    let refused = entry("IT", Reason::AutomaticMessage, Disposition::Drop { keep_raw: false });
    let mut robot = mail("robot@a.example", "bulk", "");
    robot.facts.sender = None;
    store.commit(mail_plan(robot, vec![Effect::Record(refused)])).await.unwrap();
    let opened = resolve(held, Reason::KnownCustomer, Basis::Released, Disposition::Open);
    let mut late = plan(vec![opened]);
    late.at = T0.plus(HOUR);
    store.commit(late).await.unwrap();
    let find =
        async |filter: DecisionFilter| store.decisions(&filter, page(10, Order::Oldest)).await.unwrap().items;
    let all = find(DecisionFilter::default()).await;
    assert_eq!(all.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[0].trail[0].result, "known-customer");
    assert_eq!((all[0].request.as_ref(), all[0].held), ("IT-1".parse().ok().as_ref(), None));
    assert_eq!(
        (all[1].held, all[1].outcome, all[1].settings_version.as_str()),
        (Some(held), Outcome::Hold, "v1")
    );
    assert_eq!((all[2].sender.as_ref(), all[2].outcome), (None, Outcome::Drop));
    let end = &all[3];
    assert_eq!((end.basis, end.held, end.mail_id), (Some(Basis::Released), Some(held), all[1].mail_id));
    assert_eq!((end.request.as_ref(), &end.message_id), ("HR-1".parse().ok().as_ref(), &all[1].message_id));
    assert_eq!((end.sender.as_ref(), end.settings_version.as_str()), (Some(&address("bob@a.example")), "v2"));
    let filters = [
        (DecisionFilter { sender: Some(address("bob@a.example")), ..Default::default() }, vec![2, 4]),
        (DecisionFilter { outcome: Some(Outcome::Create), ..Default::default() }, vec![1, 4]),
        (DecisionFilter { reason: Some(Reason::AutomaticMessage), ..Default::default() }, vec![3]),
        (DecisionFilter { project: Some(project("HR")), ..Default::default() }, vec![2, 4]),
        (DecisionFilter { since: Some(T0.plus(HOUR)), ..Default::default() }, vec![4]),
        (DecisionFilter { mail: Some(end.mail_id), ..Default::default() }, vec![2, 4]),
    ];
    for (filter, expected) in filters {
        let found: Vec<_> = find(filter.clone()).await.iter().map(|row| row.seq).collect();
        assert_eq!(found, expected, "{filter:?}");
        let newest = store.decisions(&filter, page(10, Order::Newest)).await.unwrap().items;
        assert_eq!(newest.iter().rev().map(|row| row.seq).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

pub(super) async fn the_sweep_takes_what_is_past_its_time(store: &Engine) {
    let sender = "ada@a.example";
    for n in 0..10 {
        let mut record = open("IT");
        record.once = Some(once(n));
        let mut mail = mail(sender, "x", "x");
        // One with a Message-ID stays: a reply may name it after years.
        mail.facts.message_id = (n == 0).then(|| "zero@a.example".to_owned());
        let mut plan = mail_plan(mail, vec![Effect::Record(record)]);
        plan.at = T0.plus(HOUR * u32::try_from(n).unwrap());
        store.commit(plan).await.unwrap();
    }
    let held = held_mail(store, sender, "IT").await;
    let ended = pending(store, sender).await;
    store.commit(plan(vec![verification_mail(sender, ended, 77, None)])).await.unwrap();
    let mut redeem = plan(vec![]);
    spend(&mut redeem, ended, Redemption::Verified { release: vec![held], not_mine: vec![] });
    store.commit(fenced(store, sender, redeem).await).await.unwrap();
    held_mail(store, "bob@a.example", "IT").await;
    let kept = pending(store, "bob@a.example").await;
    // Nothing is old enough.
    assert_eq!(store.sweep(T0, T0, 100).await.unwrap(), 0);
    assert_eq!(store.sweep(T0.plus(HOUR * 4), T0, 2).await.unwrap(), 2);
    assert_eq!(store.sweep(T0.plus(HOUR * 4), T0, 100).await.unwrap(), 1);
    while store.sweep(T0.plus(HOUR * 4), T0.plus(DAY * 8), 2).await.unwrap() > 0 {}
    let key = |n| remembered("IT", (n == 0).then_some("zero@a.example"), n);
    let keys: Vec<_> = (0..10).map(key).collect();
    let left = store.sender(&address(sender), &keys, T0).await.unwrap().duplicates;
    let left: Vec<_> = left.iter().map(|seen| seen.digest).collect();
    assert_eq!(left, [0, 4, 5, 6, 7, 8, 9].map(once));
    assert_eq!(store.verification(ended).await.unwrap(), None);
    assert!(store.verifications(&address(sender), 5).await.unwrap().is_empty());
    assert!(store.token(&digest(77)).await.unwrap().is_none());
    assert!(store.verification(kept).await.unwrap().is_some());
    // The sweep begins again at the start, and finds what has grown old since.
    let mut swept = 0;
    for _ in 0..4 {
        swept += store.sweep(T0.plus(HOUR * 6), T0, 100).await.unwrap();
    }
    assert_eq!(swept, 2);
}

pub(super) async fn a_closed_store_refuses(store: &Engine) {
    let other: Engine = std::sync::Arc::new(vestibule::store::memory::Memory::new());
    assert!(request_fails(&other).await.is_none());
    other.close().await;
    assert!(matches!(request_fails(&other).await, Some(CommitError::Unavailable(_))));
    assert!(matches!(other.held_count().await, Err(StoreError::Unavailable(_))));
    assert!(request_fails(store).await.is_none());
}

async fn request_fails(store: &Engine) -> Option<CommitError> {
    store.commit(mail_plan(mail("ada@a.example", "x", "x"), vec![Effect::Record(open("IT"))])).await.err()
}

pub(super) async fn a_foreign_cursor_is_refused(store: &Engine) {
    let cursor = Some(Cursor("what is this".to_owned()));
    let request = PageRequest { limit: 1, cursor, order: Order::Newest };
    let refused = store.requests(&RequestFilter::default(), request.clone()).await;
    assert!(matches!(refused, Err(StoreError::BadCursor(_))));
    assert!(matches!(
        store.accounts(&AccountFilter::default(), request).await,
        Err(StoreError::BadCursor(_))
    ));
}

pub(super) async fn what_is_past_its_retention_is_gone(store: &Engine) {
    let drop = entry("IT", Reason::DomainNotAllowed, Disposition::Drop { keep_raw: true });
    for n in 0..3 {
        let raw = format!("drop {n}");
        store
            .commit(mail_plan(mail("eve@b.example", "a drop", raw), vec![Effect::Record(drop.clone())]))
            .await
            .unwrap();
    }
    let expired = held_mail(store, "ada@a.example", "IT").await;
    let body = store.held(expired).await.unwrap().unwrap().body;
    let waiting = held_mail(store, "bob@a.example", "IT").await;
    let end = resolve(expired, Reason::HoldExpired, Basis::Expired, Disposition::Drop { keep_raw: false });
    store.commit(plan(vec![end])).await.unwrap();
    request(store, "carl@a.example", "IT", "a request").await;
    let kept = Retention {
        dropped_mail: Keep::For(DAY),
        ended_holds: Keep::For(DAY * 2),
        requests: Keep::Forever,
        decisions: Keep::For(DAY * 3),
    };
    let all = || PageRequest { limit: 50, cursor: None, order: Order::Oldest };
    let raws = async |now: u32| {
        store.compact(&kept, T0.plus(DAY * now).plus(HOUR), Effort::Full).await.unwrap();
        let rows = store.decisions(&DecisionFilter::default(), all()).await.unwrap().items;
        let gone = rows.iter().filter(|row| row.raw == RawState::Gone).count();
        (rows.len(), gone, store.raw(&body).await.is_ok())
    };
    assert_eq!(raws(0).await, (7, 0, true));
    assert_eq!(raws(1).await, (7, 3, true));
    assert_eq!(raws(2).await, (7, 4, false));
    let gone = store.raw(&body).await;
    assert!(matches!(gone, Err(StoreError::Expired(Some(until))) if until == T0.plus(DAY * 2)), "{gone:?}");
    // The drops, the hold that ended and its end; not the hold that waits, nor the request.
    assert_eq!(raws(3).await.0, 2);
    assert!(store.held(waiting).await.unwrap().is_some());
    let row = store.request(&"IT-1".parse().unwrap()).await.unwrap().unwrap();
    assert!(store.raw(&row.body).await.is_ok() && row.subject == "a request");
    request(store, "carl@a.example", "IT", "one more").await;
    let last = store.decisions(&DecisionFilter::default(), all()).await.unwrap().items.pop().unwrap();
    assert_eq!((last.seq, last.request), (8, "IT-2".parse().ok()), "numbers are not given again");
}

pub(super) async fn a_drop_is_decided_again_once(store: &Engine) {
    let drop = entry("IT", Reason::DomainNotAllowed, Disposition::Drop { keep_raw: true });
    let dropped = mail("eve@b.example", "a drop", "the bytes");
    let id = dropped.facts.id;
    store.commit(mail_plan(dropped, vec![Effect::Record(drop)])).await.unwrap();
    let found = store.dropped(id, T0).await.unwrap().pop().unwrap();
    assert_eq!((found.facts.subject.as_str(), found.raw_until), ("a drop", None));
    assert!(found.became.is_none());
    let raw = store.raw(&found.raw.unwrap()).await.unwrap();
    let again = |raw: &bytes::Bytes| {
        let mut entry = open("IT");
        entry.basis = Some(Basis::Reprocessed);
        let mark = Effect::Reprocess { mail: id, project: project("IT") };
        mail_plan(mail("eve@b.example", "a drop", raw.clone()), vec![mark, Effect::Record(entry)])
    };
    let made = store.commit(again(&raw)).await.unwrap();
    assert_eq!(made.entries[0].request, "IT-1".parse().ok());
    assert!(matches!(store.commit(again(&raw)).await, Err(CommitError::Gone)));
    let became = store.dropped(id, T0).await.unwrap().pop().unwrap().became.unwrap();
    assert_eq!((became.request, became.basis), ("IT-1".parse().ok(), Some(Basis::Reprocessed)));
    let row = store.request(&"IT-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.basis, store.raw(&row.body).await.unwrap()), (Some(Basis::Reprocessed), raw));
}
