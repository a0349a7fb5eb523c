//! Who may make which call, over all calls that there are.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    access::{DomainEntry, DomainList, External, Internal, SiteAccess},
    config::{ApiRole, ApiToken},
    http::{
        api,
        testing::{Answer, Server, exchange},
    },
};

const DOCUMENT: &str = include_str!("../../../docs/tokens.md");

/// A server with a token of each role, called by its role.
async fn server() -> Server {
    let server = Server::start().await;
    let mut config = (**server.config.load()).clone();
    let token = |role: ApiRole| ApiToken::new(role.as_str().parse().unwrap(), role, &secret(role));
    config.http.tokens = ApiRole::ALL.map(token).to_vec();
    server.config.store(config.into());
    server
}

fn secret(role: ApiRole) -> String {
    format!("the-token-of-{}", role.as_str())
}

async fn call(server: &Server, method: &str, path: &str, token: Option<&str>) -> Answer {
    let path = path.replace("{address}", "a@b.example").replace(['{', '}'], "");
    send(server, method, &path, token, &json!({})).await
}

async fn send(server: &Server, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let headers = format!("{token}Content-Type: application/json\r\n");
    exchange(server.admin, method, &format!("/api/v1{path}"), &headers, &body.to_string()).await
}

/// The table of docs/tokens.md is what an operator goes by; a call that is added without a thought about it fails here.
#[test]
fn the_document_lists_every_call_with_its_role_and_no_other() {
    let row =
        |call: api::Listed| format!("| `{} /api/v1{}` | {} |", call.method, call.path, call.least.as_str());
    let rows: Vec<String> = api::listed().into_iter().map(row).collect();
    let listed: Vec<&str> = DOCUMENT.lines().filter(|line| line.contains(" /api/v1/")).collect();
    assert_eq!(listed, rows, "docs/tokens.md should have:\n{}", rows.join("\n"));
}

#[tokio::test]
async fn every_call_wants_its_role_and_says_so() {
    let (server, calls) = (server().await, api::listed());
    assert!(calls.len() > 20, "{calls:?}");
    for api::Listed { method, path, least } in calls {
        for token in [None, Some("the-token-of-nobody")] {
            assert_eq!(call(&server, method, path, token).await.status, 401, "{method} {path} {token:?}");
        }
        for role in ApiRole::ALL {
            let answer = call(&server, method, path, Some(&secret(role))).await;
            if role >= least {
                assert!(![401, 403, 405].contains(&answer.status), "{method} {path} {role:?}: {answer:?}");
                continue;
            }
            assert_eq!(answer.status, 403, "{method} {path} {role:?}");
            let problem = answer.problem();
            assert_eq!(
                (&problem["needed_role"], &problem["role"]),
                (&least.as_str().into(), &role.as_str().into())
            );
        }
    }
}

/// What reads changes nothing, and only who may everything may change accounts that are there, mails and the store.
#[test]
fn the_least_role_looks_and_no_more() {
    for call in api::listed() {
        match call.least {
            ApiRole::Read => assert_eq!(call.method, "GET", "{call:?}"),
            ApiRole::HelpDesk => {
                let calls = ["/accounts", "/senders/{address}/resend", "/explain"];
                assert!(call.method == "POST" && calls.contains(&call.path), "{call:?}");
            }
            ApiRole::Admin => assert_ne!(call.method, "GET", "{call:?}"),
        }
    }
}

/// What may have changed something is told with its actor at the usual level; who only looks, to those who look closely.
#[tokio::test]
async fn the_log_says_who_called() {
    let server = server().await;
    let (desk, admin) = (secret(ApiRole::HelpDesk), secret(ApiRole::Admin));
    for (method, path, token) in [
        ("GET", "/held", Some(desk.as_str())),
        ("DELETE", "/held/x", Some(desk.as_str())),
        ("POST", "/store/compact", Some(admin.as_str())),
        ("POST", "/store/compact", None),
    ] {
        call(&server, method, path, token).await;
    }
    let lines = server.log.events("http.answered");
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["actor"].as_str(), line["status"].as_u64().unwrap(), line["level"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("help-desk"), 200, "DEBUG"),
            (Some("help-desk"), 403, "INFO"),
            (Some("admin"), 200, "INFO"),
            (None, 401, "DEBUG"),
        ]
    );
    assert_eq!(server.log.events("store.compacted")[0]["actor"], "admin");
    assert!(!server.log.text().contains("the-token-of"), "{}", server.log.text());
}

/// Domains on list A only, on L only, on both and on neither.
const DOMAINS: [&str; 4] = ["a.example", "l.example", "both.example", "neither.example"];

/// I on; E and R as given.
fn site(external: bool, restricted: bool) -> SiteAccess {
    let list = |domains: [&str; 2]| -> DomainList {
        domains.into_iter().map(|domain| domain.parse::<DomainEntry>().unwrap()).collect()
    };
    SiteAccess {
        internal: Internal {
            use_approved_domains: true,
            approved_domains: list(["a.example", "both.example"]),
        },
        external: External {
            allow_portal_only_accounts: external,
            only_allowed_domains: restricted,
            allowed_domains: list(["l.example", "both.example"]),
        },
        ..SiteAccess::default()
    }
}

/// Status, and the reason or the needed role.
fn told(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let word = body["reason"].as_str().or(body["needed_role"].as_str());
    (answer.status, word.unwrap_or_default().to_owned())
}

/// E, R, domain, kind and role: what the help desk may add of it. Who is a site administrator may add it all.
#[tokio::test]
async fn the_help_desk_adds_customers_within_the_access_rules() {
    const UNVERIFIED: (u16, &str) = (409, "internal-account-unverified");
    const DENIED: (u16, &str) = (409, "portal-only-accounts-denied");
    const NOT_ALLOWED: (u16, &str) = (409, "domain-not-allowed");
    const ADDED: (u16, &str) = (201, "");
    let server = server().await;
    let mut expected = Vec::new();
    for (external, restricted, customers) in [
        (false, false, [UNVERIFIED, DENIED, UNVERIFIED, DENIED]),
        (false, true, [UNVERIFIED, DENIED, UNVERIFIED, DENIED]),
        (true, false, [UNVERIFIED, ADDED, UNVERIFIED, ADDED]),
        (true, true, [UNVERIFIED, ADDED, UNVERIFIED, NOT_ALLOWED]),
    ] {
        let mut config = (**server.config.load()).clone();
        config.access = Arc::new(site(external, restricted));
        server.config.store(config.into());
        for (domain, customer) in DOMAINS.into_iter().zip(customers) {
            for (kind, role, wanted) in [
                ("portal-only", "customer", customer),
                ("portal-only", "agent", (403, "admin")),
                ("internal", "customer", UNVERIFIED),
                ("internal", "agent", (403, "admin")),
            ] {
                for (token, wanted) in [(ApiRole::HelpDesk, wanted), (ApiRole::Admin, ADDED)] {
                    let address = format!("n{}@{domain}", expected.len());
                    let body = json!({ "address": address, "kind": kind, "role": role, "projects": ["IT"] });
                    let answer = send(&server, "POST", "/accounts", Some(&secret(token)), &body).await;
                    let (status, word) = wanted;
                    assert_eq!(
                        told(&answer),
                        (status, word.to_owned()),
                        "E {external} R {restricted} {body}"
                    );
                    expected.push((status, token));
                }
            }
        }
    }
    expected.retain(|(status, _)| *status == 201);
    let actors: Vec<&str> = expected.iter().map(|(_, token)| token.as_str()).collect();
    assert_eq!(actors.iter().filter(|actor| **actor == "help-desk").count(), 3);
    let plans = server.store.plans.lock().unwrap();
    let planned: Vec<&str> = plans.iter().map(|plan| plan.actor.as_ref().unwrap().as_str()).collect();
    assert_eq!(planned, actors, "what was refused is not in the store");
    let lines = server.log.events("account.created");
    let logged: Vec<&str> = lines.iter().map(|line| line["actor"].as_str().unwrap()).collect();
    assert_eq!(logged, actors);
}

#[tokio::test]
async fn a_refused_account_names_the_setting_and_who_can() {
    let server = server().await;
    let desk = secret(ApiRole::HelpDesk);
    for (external, domain, kind, setting) in [
        (false, "l.example", "portal-only", "access.external.allow_portal_only_accounts = false"),
        (true, "neither.example", "portal-only", "allowed_domains has no neither.example"),
        (true, "a.example", "portal-only", "access.internal.approved_domains has a.example"),
        (true, "l.example", "internal", "no setting: an internal account does not exist until"),
    ] {
        let mut config = (**server.config.load()).clone();
        config.access = Arc::new(site(external, true));
        server.config.store(config.into());
        let body = json!({ "address": format!("eve@{domain}"), "kind": kind });
        let problem = send(&server, "POST", "/accounts", Some(&desk), &body).await.problem();
        let detail = problem["detail"].as_str().unwrap();
        assert!(problem["decided_by"].as_str().unwrap().contains(setting), "{problem}");
        for part in [setting, domain, problem["reason"].as_str().unwrap(), "The role admin can."] {
            assert!(detail.contains(part), "{part} is not in {detail}");
        }
    }
    assert_eq!(server.log.events("account.created").len(), 0);
    // Who has an account keeps it, whatever the rules say of a new one.
    let bob = json!({ "address": "bob@l.example", "kind": "portal-only" });
    assert_eq!(send(&server, "POST", "/accounts", Some(&desk), &bob).await.status, 201);
    let again = send(&server, "POST", "/accounts", Some(&desk), &bob).await;
    assert_eq!((again.status, &again.problem()["kind"]), (409, &json!("portal-only")));
}
