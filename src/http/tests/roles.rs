//! Who may make which call, over all calls that there are.

use crate::{
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
    let path = format!("/api/v1{path}").replace("{address}", "a@b.example").replace(['{', '}'], "");
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let headers = format!("{token}Content-Type: application/json\r\n");
    exchange(server.admin, method, &path, &headers, "{}").await
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

/// What reads changes nothing, and only who may everything may change accounts, mails and the store.
#[test]
fn the_least_role_looks_and_no_more() {
    for call in api::listed() {
        match call.least {
            ApiRole::Read => assert_eq!(call.method, "GET", "{call:?}"),
            ApiRole::HelpDesk => {
                assert!(["/senders/{address}/resend", "/explain"].contains(&call.path), "{call:?}");
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
