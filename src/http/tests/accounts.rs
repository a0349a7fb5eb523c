//! Accounts: what is planned, and what is refused.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    http::testing::{Server, TOKEN},
    store::CommitError,
    types::Actor,
};

fn ada() -> Value {
    json!({ "address": "Ada@Approved.example", "kind": "internal", "name": "Ada", "projects": ["IT", "IT"] })
}

#[tokio::test]
async fn accounts_are_made_shown_changed_and_removed() {
    let server = Server::start().await;
    let made = server.api("POST", "/accounts", Some(ada())).await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/accounts/ada@approved.example"));
    let shown = server.api("GET", "/accounts/ADA@approved.example", None).await;
    assert_eq!((shown.status, shown.json()), (200, made.json()));
    assert_eq!(
        shown.json(),
        json!({
            "address": "Ada@Approved.example", "name": "Ada", "kind": "internal", "status": "active",
            "role": "customer", "projects": ["IT"], "created_at": "2026-11-22T08:00:00.000Z",
            "confirmed_at": null,
        })
    );
    let again = server.api("POST", "/accounts", Some(ada())).await;
    assert_eq!((again.status, &again.problem()["kind"]), (409, &json!("internal")));

    let path = "/accounts/ada@approved.example";
    let agent =
        server.api("PATCH", path, Some(json!({ "role": "agent", "projects": [], "name": null }))).await;
    assert_eq!(agent.status, 200);
    assert_eq!(
        (&agent.json()["role"], &agent.json()["projects"], &agent.json()["name"]),
        (&json!("agent"), &json!([]), &json!(null))
    );
    let off = server.api("PATCH", path, Some(json!({ "status": "deactivated" }))).await;
    assert_eq!((&off.json()["status"], &off.json()["role"]), (&json!("deactivated"), &json!("agent")));
    server.api("PATCH", path, Some(json!({ "status": "deactivated" }))).await;

    assert_eq!(server.api("DELETE", path, None).await.status, 204);
    for (method, body) in [("GET", None), ("DELETE", None), ("PATCH", Some(json!({ "role": "agent" })))] {
        server.api(method, path, body).await.problem();
    }
    assert_eq!(server.log.events("account.created").len(), 1);
    assert_eq!(server.log.events("account.created")[0]["by"], "api");
    assert_eq!(server.log.events("account.deactivated").len(), 1, "only the change is an event");
    for event in ["account.created", "account.changed", "account.deactivated", "account.deleted"] {
        let lines = server.log.events(event);
        assert_eq!((lines.len(), &lines[0]["actor"]), (1, &json!("admin")), "{event}");
    }
    for plan in server.store.plans.lock().unwrap().iter() {
        assert_eq!((plan.fences.len(), plan.fences[0].version, plan.effects.len()), (1, 7, 1));
        assert_eq!(plan.actor.as_ref().map(Actor::as_str), Some("admin"));
    }
}

#[tokio::test]
async fn an_account_that_makes_no_sense_is_refused() {
    let server = Server::start().await;
    assert_eq!(server.api("POST", "/accounts", Some(ada())).await.status, 201);
    let new = |more: Value| {
        let mut body = json!({ "address": "bob@b.example", "kind": "portal-only" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, words) in [
        (new(json!({ "projects": ["HR"] })), "there are IT"),
        (new(json!({ "address": "it+x@help.example.com" })), "own addresses"),
        (new(json!({ "address": "help@help.example.com" })), "own addresses"),
        (new(json!({ "name": "a\u{1b}b" })), "control characters"),
        (new(json!({ "name": "x".repeat(129) })), "longer than 128"),
    ] {
        let answer = server.api("POST", "/accounts", Some(body)).await;
        assert_eq!(answer.status, 422);
        assert!(answer.problem()["detail"].as_str().unwrap().contains(words), "{answer:?}");
    }
    for patch in [json!({}), json!({ "projects": ["HR"] }), json!({ "kind": "internal" })] {
        let answer = server.api("PATCH", "/accounts/ada@approved.example", Some(patch)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    assert_eq!(server.store.plans.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_is_planned_anew_when_the_sender_has_changed() {
    let server = Server::start().await;
    *server.store.refusals.lock().unwrap() = vec![CommitError::Stale, CommitError::Gone, CommitError::Stale];
    assert_eq!(server.api("POST", "/accounts", Some(ada())).await.status, 201);
    *server.store.refusals.lock().unwrap() = vec![CommitError::Stale; 8];
    let busy = server.api("DELETE", "/accounts/ada@approved.example", None).await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, "1"));
    *server.store.refusals.lock().unwrap() = vec![CommitError::Unavailable("disk".into())];
    let failed = server.api("DELETE", "/accounts/ada@approved.example", None).await;
    assert_eq!(failed.status, 503);
    assert!(!failed.body.contains("disk"), "the mechanism is for the log");
    assert_eq!(server.log.events("http.failed").len(), 1);
    assert_eq!(server.api("GET", "/accounts/ada@approved.example", None).await.status, 200);
}

#[tokio::test]
async fn an_import_makes_all_accounts_or_none_and_names_every_mistake() {
    let server = Server::start().await;
    let one = |address: &str| json!({ "address": address, "kind": "portal-only" });
    server.api("POST", "/accounts", Some(ada())).await;
    let bad =
        json!([one("a@b.example"), one("nobody"), ada(), one("A@b.example"), { "address": "c@b.example" }]);
    for path in ["/accounts/import", "/accounts/import?dry_run=true"] {
        let answer = server.api("POST", path, Some(bad.clone())).await;
        assert_eq!(answer.status, 422);
        let problem = answer.problem();
        let errors = problem["errors"].as_array().unwrap();
        let at: Vec<u64> = errors.iter().map(|error| error["index"].as_u64().unwrap()).collect();
        assert_eq!(at, [1, 2, 3, 4], "{problem}");
        assert!(errors[1]["detail"].as_str().unwrap().contains("already"), "{problem}");
        assert!(errors[3]["detail"].as_str().unwrap().contains("kind"), "{problem}");
    }
    let good = json!([one("a@b.example"), one("b@b.example")]);
    let dry = server.api("POST", "/accounts/import?dry_run=true", Some(good.clone())).await;
    assert_eq!((dry.status, dry.json()), (200, json!({ "accounts": 2, "dry_run": true })));
    assert_eq!(server.store.plans.lock().unwrap().len(), 1, "nothing imported yet");
    *server.store.refusals.lock().unwrap() = vec![CommitError::Stale];
    let done = server.api("POST", "/accounts/import", Some(good)).await;
    assert_eq!((done.status, done.json()), (201, json!({ "accounts": 2, "dry_run": false })));
    let plans = server.store.plans.lock().unwrap();
    assert_eq!((plans.len(), plans[1].fences.len(), plans[1].effects.len()), (2, 2, 2));
    assert_eq!(server.log.events("account.created").len(), 3);
}

#[tokio::test]
async fn lists_of_accounts_can_be_narrowed() {
    let server = Server::start().await;
    let one = |address: &str, kind: &str| json!({ "address": address, "kind": kind });
    let all = json!([
        one("ada@approved.example", "internal"),
        one("bob@approved.example", "portal-only"),
        one("eve@b.example", "portal-only"),
    ]);
    assert_eq!(server.api("POST", "/accounts/import", Some(all)).await.status, 201);
    for (query, addresses) in [
        ("", vec!["ada@approved.example", "bob@approved.example", "eve@b.example"]),
        ("?limit=1", vec!["ada@approved.example"]),
        ("?kind=portal-only", vec!["bob@approved.example", "eve@b.example"]),
        ("?portal_only_on_approved=true", vec!["bob@approved.example"]),
    ] {
        let list = server.api("GET", &format!("/accounts{query}"), None).await.json();
        let shown: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|item| item["address"].as_str().unwrap()).collect();
        assert_eq!(shown, addresses, "{query}");
        assert_eq!(list["next"], Value::Null);
    }
    let odd = server.api("GET", "/accounts?kind=internal&portal_only_on_approved=true", None).await;
    assert_eq!(odd.status, 400);
}

/// hyper drops a handler whose client has hung up; what was begun must be carried through, and counted.
#[tokio::test]
async fn a_change_is_carried_through_when_its_client_hangs_up() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let gate = Arc::new(Semaphore::new(0));
    *server.store.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let mut client = tokio::net::TcpStream::connect(server.admin).await.unwrap();
    let body = ada().to_string();
    let request = format!(
        "POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    client.write_all(request.as_bytes()).await.unwrap();
    // The handler waits for the commit once the gate has been taken from the store.
    while Arc::strong_count(&gate) < 3 {
        tokio::task::yield_now().await;
    }
    drop(client);
    // A few exchanges later the server has seen that the client is gone.
    for _ in 0..5 {
        assert_eq!(server.get("/healthz").await.status, 200);
    }
    server.shutdown.begin();
    gate.add_permits(1);
    assert!(server.shutdown.drain(std::time::Duration::from_secs(20)).await, "the daemon waits for it");
    assert_eq!(server.store.plans.lock().unwrap().len(), 1);
    assert_eq!(server.log.events("account.created").len(), 1);
}
