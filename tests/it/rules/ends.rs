//! *Holds*: how each hold ends.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::json;
use vestibule::{
    config::LogAddresses,
    ops::{Clock, LogBuffer, Ops, Shutdown, json_dispatch},
    store::{Store, embedded},
    types::{HeldId, TokenSeal},
    verify::{TokenAnswer, Verify},
};

use super::{ADA, DAY, HR, IT, held_ids};
use crate::daemon::{Daemon, SITE, eventually, load};

/// *Holds*: redeemed in time is released, however late its worker comes.
#[tokio::test]
async fn a_redeemed_mail_does_not_expire() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "redeemed").await;
    daemon.mail("eva@approved.example", IT, "not redeemed").await;
    let (first, second) = (daemon.outbound_link_to(ADA).await, held_ids(&daemon).await);
    let now = daemon.clock.now();
    let folder = daemon.stop().await;

    // The same store in a process whose release worker does not run yet.
    let (store, _) = embedded::open(embedded::Options::new(folder.path().join("data")), now).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (clock, log) = (Clock::manual(now), LogBuffer::default());
    let ops = Ops::new(clock.clone(), LogAddresses::Full, Some(json_dispatch(log.clone())));
    let config = Arc::new(ArcSwap::from_pointee(load(folder.path(), SITE)));
    let verify = Verify::new(Arc::clone(&store), config, ops, TokenSeal::new([0; 32]));
    let token = first.trim_start_matches("/verify/").parse().unwrap();
    clock.advance(DAY);
    assert!(matches!(verify.redeem(&token, None, &[]).await.unwrap(), TokenAnswer::Redeemed(_)));
    clock.advance(30 * DAY);
    let shutdown = Shutdown::new();
    let expiry = tokio::spawn(verify.clone().run_expiry(shutdown.clone()));
    eventually("the other one expires", || log.events("hold.expired").len() == 1).await;
    let waits: HeldId = second[0].parse().unwrap();
    assert!(store.held(waits).await.unwrap().is_some(), "redeemed, and not lost");
    let releases = tokio::spawn(verify.run_releases(shutdown.clone()));
    eventually("it is released", || log.events("mail.decided").len() == 2).await;
    let last = log.events("mail.decided").pop().unwrap();
    assert_eq!((&last["reason"], &last["request"]), (&json!("known-customer"), &json!("IT-1")));
    shutdown.begin();
    let _ = tokio::join!(expiry, releases);
    assert_eq!(store.audit().await.unwrap(), Vec::<String>::new());
    store.close().await;
}

/// *Holds*: each mail has its own time; the page lists what still waits, and the last one takes the verification with it.
#[tokio::test]
async fn holds_expire_one_by_one_and_the_verification_with_the_last() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "the older one").await;
    daemon.advance(5 * DAY);
    daemon.mail(ADA, HR, "the younger one").await;
    daemon.advance(24 * DAY);
    let path = format!("/api/v1/senders/{ADA}");
    assert_eq!(daemon.api("POST", &format!("{path}/resend"), None).await.0, 200);
    let link = daemon.link(3).await;
    let page = daemon.page("GET", &link, "").await.body;
    assert!(page.contains("the older one") && page.contains("the younger one"), "{page}");
    daemon.advance(DAY);
    daemon.holds_ended(1).await;
    let page = daemon.page("GET", &link, "").await.body;
    assert!(!page.contains("the older one") && page.contains("the younger one"), "{page}");
    daemon.advance(5 * DAY);
    let ended = daemon.holds_ended(2).await;
    assert!(ended.iter().all(|line| line["reason"] == "hold-expired" && line["basis"] == "expired"));
    let (_, report) = daemon.api("GET", &path, None).await;
    assert_eq!((&report["verifications"][0]["state"], &report["held"]), (&json!("moot"), &json!([])));
    let page = daemon.page("POST", &link, "new_link=1").await;
    assert_eq!(page.status, 404, "nothing to have a new link for");
    // The next mail begins anew.
    daemon.mail(ADA, IT, "again").await;
    daemon.page("POST", &daemon.link(4).await, "").await;
    assert_eq!(daemon.holds_ended(3).await[2]["reason"], "known-customer");
    daemon.stop().await;
}

/// *Holds*: an administrator's release of the last mail leaves nothing to the link, which says so.
#[tokio::test]
async fn a_release_by_hand_leaves_the_link_with_nothing_to_do() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "released by hand").await;
    let link = daemon.link(1).await;
    let id = held_ids(&daemon).await[0].clone();
    let (status, decision) = daemon.api("POST", &format!("/api/v1/held/{id}/release"), None).await;
    let expected =
        json!({ "outcome": "create", "reason": "known-customer", "request": "IT-1", "project": "IT" });
    assert_eq!((status, decision), (200, expected));
    let created = daemon.log.events("account.created");
    assert_eq!(
        (created.len(), &created[0]["kind"], &created[0]["by"]),
        (1, &json!("internal"), &json!("release"))
    );
    for method in ["GET", "POST"] {
        let page = daemon.page(method, &link, "").await;
        assert_eq!((page.status, page.body.contains("dealt with")), (410, true), "{}", page.body);
    }
    assert_eq!(daemon.api("POST", &format!("/api/v1/held/{id}/release"), None).await.0, 404);
    // An account that is kept out, or a project that is gone: 409 with the reason, and nothing changes.
    daemon.mail("eva@approved.example", HR, "waits").await;
    let id = held_ids(&daemon).await[0].clone();
    let path = format!("/api/v1/held/{id}/release");
    daemon.reload(&SITE[..SITE.find("[[projects]]\nkey = \"HR\"").unwrap()]);
    let (status, problem) = daemon.api("POST", &path, None).await;
    assert_eq!(
        (status, &problem["reason"], &problem["status"]),
        (409, &json!("project-closed"), &json!(409))
    );
    daemon.reload(SITE);
    let eva = json!({ "address": "eva@approved.example", "kind": "internal" }).to_string();
    daemon.api("POST", "/api/v1/accounts", Some(&eva)).await;
    let off = json!({ "status": "deactivated" }).to_string();
    assert_eq!(daemon.api("PATCH", "/api/v1/accounts/eva@approved.example", Some(&off)).await.0, 200);
    let (status, problem) = daemon.api("POST", &path, None).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("account-deactivated")));
    assert_eq!(held_ids(&daemon).await, [id]);
    assert_eq!(daemon.log.events("mail.decided").iter().filter(|line| !line["basis"].is_null()).count(), 1);
    daemon.stop().await;
}
