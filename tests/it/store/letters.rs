//! The suite's part about mails of ours: acknowledgements, confirmations, and those that come back.

use vestibule::{
    store::{Delivery, DeliveryKind, DeliveryState, Effect, Lane, LaneRate, Queue, SentAbout, Settlement},
    types::{AccountKind, DeliveryId, HeldId, RequestId, Time, VerificationId},
};

use super::kit::{
    DAY, Engine, HOUR, T0, account, address, digest, fenced, fresh, held_mail, hold, mail, mail_plan, open,
    plan, project, verification_mail,
};

const PER_DAY: u32 = 3;

pub(super) fn acknowledgement(to: &str) -> (DeliveryId, Effect) {
    let id = DeliveryId::new(fresh());
    let delivery = Delivery {
        id,
        to: address(to),
        not_before: T0,
        lane: Some(LaneRate { lane: Lane::Acknowledgements, per_minute: 2 }),
        kind: DeliveryKind::Acknowledgement {
            project: project("IT"),
            request: None,
            per_day: PER_DAY,
            last: false,
            received_at: T0,
            in_reply_to: None,
        },
    };
    (id, Effect::Enqueue(delivery))
}

pub(super) fn confirmation(to: &str, token: u64, expires_at: Time) -> (DeliveryId, Effect) {
    let id = DeliveryId::new(fresh());
    let delivery = Delivery {
        id,
        to: address(to),
        not_before: T0,
        lane: None,
        kind: DeliveryKind::Confirmation {
            token: digest(token),
            sealed: [1; 32],
            expires_at,
            project: project("IT"),
            received_at: T0,
            in_reply_to: None,
        },
    };
    (id, Effect::Enqueue(delivery))
}

/// The request of each waiting acknowledgement, whether it is the last, and when it is due in seconds.
async fn waiting(store: &Engine, to: &str) -> Vec<(String, bool, u64)> {
    let rows = store.deliveries(&address(to)).await.unwrap();
    let each = rows.into_iter().filter_map(|row| match row.delivery.kind {
        DeliveryKind::Acknowledgement { request, last, .. } => {
            Some((request.unwrap().to_string(), last, row.due_at.since(T0).as_secs()))
        }
        _ => None,
    });
    each.collect()
}

pub(super) async fn an_acknowledgement_names_the_request_ahead_of_it(store: &Engine) {
    let sender = "ada@a.example";
    let held = HeldId::new(fresh());
    let effects = vec![
        Effect::Record(open("IT")),
        acknowledgement(sender).1,
        Effect::Record(hold("OPS", held)),
        Effect::Record(open("HR")),
        acknowledgement(sender).1,
    ];
    store.commit(mail_plan(mail(sender, "x", "x"), effects)).await.unwrap();
    let named: Vec<_> = waiting(store, sender).await.into_iter().map(|(request, ..)| request).collect();
    assert_eq!(named, ["IT-1", "HR-1"]);
    // Behind a hold there is no request: nothing of the plan is kept.
    let wrong = vec![Effect::Record(hold("IT", HeldId::new(fresh()))), acknowledgement(sender).1];
    assert!(store.commit(mail_plan(mail(sender, "y", "y"), wrong)).await.is_err());
    assert_eq!(store.held_count().await.unwrap(), 1);
}

/// The cap is the engine's, so that no two plans are let through at once and a busy sender is never stale; what it leaves
/// out takes no turn from others.
pub(super) async fn acknowledgements_are_capped_by_the_day(store: &Engine) {
    let sender = "ada@a.example";
    let version = store.sender(&address(sender), &[], T0).await.unwrap().version;
    for n in 0..6 {
        let effects = vec![Effect::Record(open("IT")), acknowledgement(sender).1];
        store.commit(mail_plan(mail(sender, &format!("m{n}"), "x"), effects)).await.unwrap();
    }
    let seen = waiting(store, sender).await;
    let expected = [("IT-1", false, 0), ("IT-2", false, 60), ("IT-3", true, 120)];
    assert_eq!(seen, expected.map(|(request, last, due)| (request.to_owned(), last, due)));
    assert_eq!(store.sender(&address(sender), &[], T0).await.unwrap().version, version);
    // Another address has a cap of its own, and the turn behind the three.
    let effects = vec![Effect::Record(open("IT")), acknowledgement("bob@a.example").1];
    store.commit(mail_plan(mail("bob@a.example", "x", "x"), effects)).await.unwrap();
    assert_eq!(waiting(store, "bob@a.example").await, [("IT-7".to_owned(), false, 180)]);
    // Two of one plan count both; a day after the first it begins anew.
    let two = ["IT", "HR", "OPS", "HR"].into_iter();
    let effects = two.flat_map(|key| [Effect::Record(open(key)), acknowledgement(sender).1]).collect();
    let mut later = mail_plan(mail(sender, "later", "x"), effects);
    later.at = T0.plus(DAY);
    store.commit(later).await.unwrap();
    let seen: Vec<_> =
        waiting(store, sender).await.into_iter().skip(3).map(|(r, last, _)| (r, last)).collect();
    assert_eq!(seen, [("IT-8".to_owned(), false), ("HR-1".to_owned(), false), ("OPS-1".to_owned(), true)]);
}

pub(super) async fn a_mail_that_comes_back_is_marked(store: &Engine) {
    let sender = "ada@a.example";
    held_mail(store, sender, "IT").await;
    let id = store.sender(&address(sender), &[], T0).await.unwrap().pending.unwrap();
    let first = store.verification(id).await.unwrap().unwrap().mails[0].id;
    let (acknowledgement, effect) = acknowledgement("bob@a.example");
    let effects = vec![Effect::Record(open("IT")), effect];
    store.commit(mail_plan(mail("bob@a.example", "x", "x"), effects)).await.unwrap();
    let about = |delivery| async move { store.sent(delivery).await.unwrap().map(|sent| sent.about) };
    assert_eq!(about(first).await, Some(SentAbout::Verification(id)));
    let request = RequestId { project: project("IT"), number: 1 };
    assert_eq!(about(acknowledgement).await, Some(SentAbout::Acknowledgement(request)));
    assert_eq!(about(DeliveryId::new(fresh())).await, None);

    let bounced = |delivery| Effect::Bounced { delivery, words: "5.1.1 no such user".to_owned() };
    for delivery in [first, acknowledgement, DeliveryId::new(fresh())] {
        store.commit(plan(vec![bounced(delivery)])).await.unwrap();
    }
    let marked = DeliveryState::Undeliverable { at: T0, error: "5.1.1 no such user".to_owned() };
    let state = || async { store.verification(id).await.unwrap().unwrap().mails[0].state.clone() };
    assert_eq!(state().await, marked);
    // The relay's 250 may be written down only now.
    let leases = store.claim(Queue::Outbox, T0, 10, HOUR).await.unwrap();
    let lease = leases.iter().find(|lease| lease.job.id == first.uuid()).unwrap();
    store.settle(lease, Settlement::Done("250 ok".to_owned()), T0).await.unwrap();
    assert_eq!(state().await, marked);
}

pub(super) async fn a_confirmation_is_found_by_its_token_until_it_is_swept(store: &Engine) {
    let ann = account("ann@b.example", AccountKind::PortalOnly);
    let (id, mailed) = confirmation("ann@b.example", 9, T0.plus(DAY * 7));
    let effects = vec![Effect::PutAccount(ann.clone()), mailed];
    store.commit(fenced(store, "ann@b.example", plan(effects)).await).await.unwrap();
    let found = store.confirmation(&digest(9)).await.unwrap().unwrap();
    assert_eq!((found.address, found.asked_at), (ann.address.clone(), T0));
    assert_eq!(store.confirmation(&digest(8)).await.unwrap(), None);
    // Its digest is no verification's, and the mail counts for the caps of those.
    assert!(store.token(&digest(9)).await.unwrap().is_none());
    let mailed = store.sender(&ann.address, &[], T0).await.unwrap().mailed;
    assert_eq!(mailed, [T0]);
    while store.sweep(T0, T0.plus(DAY * 7), 2).await.unwrap() > 0 {}
    assert!(store.confirmation(&digest(9)).await.unwrap().is_some());
    assert!(store.sent(id).await.unwrap().is_none(), "forgotten before the link");
    while store.sweep(T0, T0.plus(DAY * 8), 2).await.unwrap() > 0 {}
    assert_eq!(store.confirmation(&digest(9)).await.unwrap(), None);
    // A verification of the same sender is not touched by it.
    let verification = VerificationId::new(fresh());
    let opened = Effect::OpenVerification { id: verification, address: address("ann@b.example") };
    let mailed = verification_mail("ann@b.example", verification, 5, None);
    store.commit(fenced(store, "ann@b.example", plan(vec![opened, mailed])).await).await.unwrap();
    assert!(store.token(&digest(5)).await.unwrap().is_some());
}
