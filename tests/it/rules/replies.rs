//! Check 6: *a reply to a request this sender is involved in → create `reply`*, and what goes before it.

use serde_json::json;

use super::{ADA, BOB, IT, held_ids, items, reasons};
use crate::daemon::{Daemon, SITE, message};

fn reply(from: &str, subject: &str, to: &str) -> String {
    message(from, IT, subject)
        .replace("\r\nDate:", &format!("\r\nIn-Reply-To: <{to}@sender.example>\r\nDate:"))
}

async fn patch(daemon: &Daemon, path: &str, body: serde_json::Value) {
    let (status, answer) = daemon.api("PATCH", &format!("/api/v1/{path}"), Some(&body.to_string())).await;
    assert_eq!(status, 200, "{answer}");
}

/// Checks 5 and 6 come first, for the reporter too: the account, then the project's permission.
#[tokio::test]
async fn a_reporter_who_is_kept_out_can_not_reply() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, IT, "first").await;
    let inbox = "addresses = [\"it@help.example.com\"]\naccess = \"";
    daemon.reload(&SITE.replace(&format!("{inbox}anyone"), &format!("{inbox}added")));
    daemon.raw_mail(BOB, IT, &reply(BOB, "not added", "first")).await;
    patch(&daemon, &format!("accounts/{BOB}"), json!({ "projects": ["IT"] })).await;
    daemon.raw_mail(BOB, IT, &reply(BOB, "added", "first")).await;
    patch(&daemon, &format!("accounts/{BOB}"), json!({ "status": "deactivated" })).await;
    daemon.raw_mail(BOB, IT, &reply(BOB, "deactivated", "first")).await;
    let expected = ["new-portal-only-customer", "not-a-project-customer", "reply", "account-deactivated"];
    assert_eq!(reasons(&daemon), expected);
    assert_eq!(items(&daemon, "/api/v1/requests").await.len(), 1);
    daemon.stop().await;
}

/// An agent is involved in every request of a project that lets the agent in.
#[tokio::test]
async fn an_agent_replies_to_any_request() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, IT, "first").await;
    for (address, role) in [("agent@partner.example", "agent"), ("other@partner.example", "customer")] {
        let body = json!({ "address": address, "kind": "internal", "role": role }).to_string();
        assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 201);
        daemon.raw_mail(address, IT, &reply(address, role, "first")).await;
    }
    assert_eq!(reasons(&daemon)[1..], ["reply", "known-customer"]);
    daemon.stop().await;
}

/// *Each release decides again*, in order of arrival; *where the decision would be a drop, nothing changes and the
/// administrator is told the reason*.
#[tokio::test]
async fn a_release_meets_the_request_as_it_is_then() {
    let inbox = "addresses = [\"it@help.example.com\"]\n";
    let daemon = Daemon::with(&SITE.replace(inbox, &format!("{inbox}on_closed = \"drop\"\n"))).await;
    daemon.mail(ADA, IT, "first").await;
    daemon.raw_mail(ADA, IT, &reply(ADA, "second", "first")).await;
    daemon.raw_mail(ADA, IT, &reply(ADA, "third", "second")).await;
    let held = held_ids(&daemon).await;
    let release = |n: usize| format!("/api/v1/held/{}/release", held[n]);
    let (status, first) = daemon.api("POST", &release(0), None).await;
    assert_eq!(
        (status, &first["reason"], &first["request"]),
        (200, &json!("known-customer"), &json!("IT-1"))
    );
    patch(&daemon, "requests/IT-1", json!({ "status": "closed" })).await;
    let (status, refused) = daemon.api("POST", &release(1), None).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused.to_string().contains("request-closed"), "{refused}");
    patch(&daemon, "requests/IT-1", json!({ "status": "open" })).await;
    let (status, second) = daemon.api("POST", &release(1), None).await;
    assert_eq!((status, &second["reason"], &second["request"]), (200, &json!("reply"), &json!("IT-1")));
    // The third answers the second, which is a mail of that request.
    let (_, third) = daemon.api("POST", &release(2), None).await;
    assert_eq!((&third["reason"], &third["request"]), (&json!("reply"), &json!("IT-1")));
    daemon.stop().await;
}
