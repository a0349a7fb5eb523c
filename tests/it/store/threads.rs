//! The part of the suite about replies: threads, participants, closed requests.

use vestibule::{
    access::{Basis, Reason},
    store::{
        CommitError, Disposition, Effect, Entry, Kept, Named, Plan, RequestStatus, Seen, Thread, ThreadKey,
    },
    types::{HeldId, RequestId},
};

use super::kit::{
    DAY, Engine, HOUR, T0, address, entry, fenced, fresh, hold, mail, mail_plan, once, open, plan, project,
    remembered, request, resolve,
};

/// What a mail that names these Message-IDs and requests of IT finds, asked for this sender.
async fn threads(store: &Engine, sender: &str, ids: &[&str], requests: &[u64]) -> Vec<Thread> {
    let key = project("IT");
    let threads = ids.iter().map(|id| ThreadKey::of(&key, id)).collect();
    let named = Named { project: key, requests: requests.to_vec(), ours: vec![], threads };
    store.threads(&address(sender), &named).await.unwrap()
}

fn thread(number: u64, involved: bool) -> Thread {
    Thread { kept: Kept::Request(number), closed: false, involved }
}

fn remembering(n: u64, record: Entry) -> Effect {
    Effect::Record(Entry { once: Some(once(n)), ..record })
}

pub(super) async fn a_thread_is_found_by_its_mails_and_knows_who_is_in_it(store: &Engine) {
    let mut first = mail("ada@a.example", "first", "x");
    first.facts.participants = vec![address("Bob@a.example")];
    store
        .commit(mail_plan(first, vec![remembering(1, open("IT")), remembering(2, open("HR"))]))
        .await
        .unwrap();
    let id = "first@ada@a.example";
    for (sender, involved) in [("ada@a.example", true), ("bob@a.example", true), ("eve@a.example", false)] {
        assert_eq!(threads(store, sender, &["unknown", id], &[]).await, [thread(1, involved)]);
        assert_eq!(threads(store, sender, &[id], &[1, 2]).await, [thread(1, involved)], "each once");
    }
    // A comment's mail is a name too, and those in its Cc are participants from then on.
    let mut said = mail("bob@a.example", "said", "x");
    said.facts.participants = vec![address("carl@a.example"), address("bob@a.example")];
    let comment = entry("IT", Reason::Reply, Disposition::Comment("IT-1".parse().unwrap()));
    store.commit(mail_plan(said, vec![remembering(3, comment)])).await.unwrap();
    let carl = threads(store, "carl@a.example", &["said@bob@a.example"], &[]).await;
    assert_eq!(carl, [thread(1, true)]);
    // The other project has a thread of its own, without them.
    let named = Named {
        project: project("HR"),
        requests: vec![],
        ours: vec![],
        threads: vec![ThreadKey::of(&project("HR"), id)],
    };
    assert_eq!(store.threads(&address("carl@a.example"), &named).await.unwrap(), [thread(1, false)]);
}

pub(super) async fn a_thread_follows_its_mail_from_the_hold_to_the_request(store: &Engine) {
    let (sender, id) = ("ada@a.example", "held@ada@a.example");
    let (held, dropped) = (HeldId::new(fresh()), HeldId::new(fresh()));
    for (n, held) in [(1, held), (2, dropped)] {
        let mut first = mail(sender, "held", "x");
        first.facts.participants = vec![address("bob@a.example")];
        store.commit(mail_plan(first, vec![remembering(n, hold("IT", held))])).await.unwrap();
    }
    let waits = |held| Thread { kept: Kept::Held(held), closed: false, involved: false };
    assert_eq!(threads(store, sender, &[id], &[]).await, [waits(held), waits(dropped)]);
    let end = |held, disposition| {
        let end = resolve(held, Reason::KnownCustomer, Basis::Released, disposition);
        fenced(store, sender, plan(vec![end]))
    };
    store.commit(end(dropped, Disposition::Drop { keep_raw: false }).await).await.unwrap();
    store.commit(end(held, Disposition::Open).await).await.unwrap();
    assert_eq!(threads(store, "bob@a.example", &[id], &[]).await, [thread(1, true)]);
    let asked = [1, 2].map(|n| remembered("IT", Some(id), n));
    let seen = store.sender(&address(sender), &asked, T0).await.unwrap().duplicates;
    assert_eq!(seen, [Seen { digest: once(1), kept: Kept::Request(1) }]);
}

/// Whoever sends many mails with one Message-ID takes the last place from themselves, and no place from the first.
pub(super) async fn a_message_id_that_many_mails_have_fills_one_small_row(store: &Engine) {
    for n in 0..50 {
        let mut mail = mail("ada@a.example", &format!("{n}"), "x");
        mail.facts.message_id = Some("same@a.example".to_owned());
        store.commit(mail_plan(mail, vec![remembering(n, open("IT"))])).await.unwrap();
    }
    let found = threads(store, "ada@a.example", &["same@a.example"], &[]).await;
    let expected: Vec<_> = (1..=31).chain([50]).map(|number| thread(number, true)).collect();
    assert_eq!(found, expected);
    // Not more than a hundred participants are kept of a request, whatever its comments say.
    for n in 0..3 {
        let mut said = mail("ada@a.example", "said", "x");
        said.facts.participants = (0..90).map(|m| address(&format!("p{}@a.example", n * 90 + m))).collect();
        let comment = entry("IT", Reason::Reply, Disposition::Comment("IT-1".parse().unwrap()));
        store.commit(mail_plan(said, vec![Effect::Record(comment)])).await.unwrap();
    }
    for (n, involved) in [(0, true), (99, true), (100, false), (250, false)] {
        assert_eq!(
            threads(store, &format!("p{n}@a.example"), &[], &[1]).await,
            [thread(1, involved)],
            "p{n}"
        );
    }
}

pub(super) async fn a_request_is_closed_and_a_comment_opens_it(store: &Engine) {
    request(store, "ada@a.example", "IT", "one").await;
    let id: RequestId = "IT-1".parse().unwrap();
    let set = |status, at| Plan { at, ..plan(vec![Effect::SetStatus(id.clone(), status)]) };
    let closed_at = || async { store.request(&id).await.unwrap().unwrap().closed_at };
    store.commit(set(RequestStatus::Closed, T0.plus(HOUR))).await.unwrap();
    store.commit(set(RequestStatus::Closed, T0.plus(DAY))).await.unwrap();
    assert_eq!(closed_at().await, Some(T0.plus(HOUR)), "the time of the first closing");
    let named = threads(store, "ada@a.example", &[], &[1]).await;
    assert_eq!(named, [Thread { closed: true, ..thread(1, true) }]);
    let follow = entry("IT", Reason::KnownCustomer, Disposition::Follow(id.clone()));
    let committed =
        store.commit(mail_plan(mail("ada@a.example", "two", "x"), vec![Effect::Record(follow)])).await;
    assert_eq!(committed.unwrap().entries[0].request, "IT-2".parse().ok());
    let next = store.request(&"IT-2".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((next.follows.as_ref(), next.status()), (Some(&id), RequestStatus::Open));
    assert!(closed_at().await.is_some());
    let comment = entry("IT", Reason::Reply, Disposition::Comment(id.clone()));
    store
        .commit(mail_plan(mail("ada@a.example", "three", "x"), vec![Effect::Record(comment)]))
        .await
        .unwrap();
    assert_eq!(closed_at().await, None);
    store.commit(set(RequestStatus::Closed, T0)).await.unwrap();
    store.commit(set(RequestStatus::Open, T0)).await.unwrap();
    assert_eq!(closed_at().await, None);
    let nothing = plan(vec![Effect::SetStatus("IT-9".parse().unwrap(), RequestStatus::Closed)]);
    assert!(matches!(store.commit(nothing).await, Err(CommitError::Gone)));
}

/// Whoever asks while a mail comes in, and while its hold ends, finds it as it was or as it is, and never in between.
pub(super) async fn a_thread_is_never_seen_half_way(store: &Engine) {
    let (sender, id) = ("ada@a.example", "race@ada@a.example");
    let held = HeldId::new(fresh());
    let waits = vec![Thread { kept: Kept::Held(held), closed: false, involved: false }];
    let states = [vec![], waits, vec![thread(1, true)]];
    let asker = {
        let (store, states) = (store.clone(), states.clone());
        tokio::spawn(async move {
            let mut reached = 0;
            while reached < 2 {
                let found = threads(&store, sender, &[id], &[]).await;
                let state = states.iter().position(|state| *state == found).unwrap();
                assert!(state >= reached, "from {reached} back to {state}");
                reached = state;
                tokio::task::yield_now().await;
            }
        })
    };
    store.commit(mail_plan(mail(sender, "race", "x"), vec![remembering(1, hold("IT", held))])).await.unwrap();
    assert_eq!(threads(store, sender, &[id], &[]).await, states[1]);
    let end = resolve(held, Reason::KnownCustomer, Basis::Verified, Disposition::Open);
    store.commit(fenced(store, sender, plan(vec![end])).await).await.unwrap();
    assert_eq!(threads(store, sender, &[id], &[]).await, states[2]);
    asker.await.unwrap();
}
