//! Accounts that an administrator makes, changes and imports.

use serde_json::{Value, json};

use super::{IT, each, get};
use crate::daemon::Daemon;

#[tokio::test]
async fn an_account_made_by_hand_decides_the_next_mail() {
    let daemon = Daemon::start().await;
    let eve = "eve@elsewhere.example";
    daemon.mail(eve, IT, "stranger").await;
    let body = json!({ "address": eve, "kind": "portal-only" }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 201);
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 409);
    daemon.mail(eve, IT, "known").await;
    let off = json!({ "status": "deactivated" }).to_string();
    let path = "/api/v1/accounts/eve@elsewhere.example";
    assert_eq!(daemon.api("PATCH", path, Some(&off)).await.0, 200);
    daemon.mail(eve, IT, "kept out").await;
    assert_eq!(daemon.api("DELETE", path, None).await.0, 204);
    daemon.mail(eve, IT, "unknown again").await;
    let list = get(&daemon, "/api/v1/decisions?order=oldest").await;
    assert_eq!(
        each(&list, "reason"),
        ["domain-not-allowed", "known-customer", "account-deactivated", "domain-not-allowed"]
    );
    assert_eq!(daemon.log.events("account.deactivated").len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn an_import_is_one_step() {
    let daemon = Daemon::start().await;
    let one = |n: usize| json!({ "address": format!("p{n}@partner.example"), "kind": "portal-only", "projects": ["HR"] });
    let all: Vec<Value> = (0..300).map(one).collect();
    let path = "/api/v1/accounts/import";
    let mut spoilt = all.clone();
    spoilt.push(json!({ "address": "p@partner.example", "kind": "portal-only", "projects": ["XX"] }));
    let (status, problem) = daemon.api("POST", path, Some(&Value::from(spoilt).to_string())).await;
    assert_eq!((status, &problem["errors"][0]["index"]), (422, &json!(300)), "{problem}");
    assert_eq!(get(&daemon, "/api/v1/accounts").await["items"], json!([]));
    let (status, done) = daemon.api("POST", path, Some(&Value::from(all.clone()).to_string())).await;
    assert_eq!((status, &done["accounts"]), (201, &json!(300)), "{done}");
    assert_eq!(walk_accounts(&daemon).await, 300);
    let (status, problem) = daemon.api("POST", path, Some(&Value::from(all).to_string())).await;
    assert_eq!((status, problem["errors"].as_array().unwrap().len()), (422, 300));
    daemon.stop().await;
}

async fn walk_accounts(daemon: &Daemon) -> usize {
    let first = get(daemon, "/api/v1/accounts?limit=200").await;
    let next = first["next"].as_str().expect("more");
    let second = get(daemon, &format!("/api/v1/accounts?limit=200&cursor={next}")).await;
    let mut addresses = each(&first, "address");
    addresses.extend(each(&second, "address"));
    assert!(addresses.is_sorted(), "in the order of the addresses");
    addresses.len()
}
