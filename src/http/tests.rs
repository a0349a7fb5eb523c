//! The server over real sockets, as far as it goes without mail; tests/it/api.rs goes on with a whole daemon.

use serde_json::json;

use super::testing::{Answer, Server, TOKEN, exchange, raw};
use crate::types::{Time, VerificationToken};

mod accounts;
mod requests;
mod roles;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn link(n: u8) -> String {
    format!("/verify/{}", VerificationToken::new([n; 32]).reveal())
}

/// K07, and that errors carry the same headers.
#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_it() {
    let server = Server::start().await;
    let too_large = exchange(server.pages, "POST", &link(1), FORM, &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(too_large.status, 413);
    let answers = [
        server.get("/verify").await,
        server.get("/verify?token=x").await,
        server.get(&link(1)).await,
        server.get("/verify/short").await,
        server.get("/nothing").await,
        exchange(server.pages, "PUT", &link(1), "", "").await,
        too_large,
        server.get("/healthz").await,
        server.get("/metrics").await,
        server.get("/api/v1/requests").await,
        server.api("GET", "/requests", None).await,
    ];
    for answer in answers {
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("x-robots-tag", "noindex, nofollow"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {answer:?}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("base-uri 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

/// K04, K05: what never was, what is no token, and a token of another kind can't be told apart.
#[tokio::test]
async fn unknown_links_look_the_same_and_too_many_of_them_have_to_wait() {
    let server = Server::start().await;
    let first = server.get(&link(1)).await;
    assert_eq!(first.status, 404);
    assert!(first.header("content-type").starts_with("text/html") && first.body.contains("<h1>"));
    for path in ["/verify/x", "/verify/%00%ff", &format!("{}A", link(1)), &link(2)] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, &answer.body), (404, &first.body), "{path}");
        let answer = exchange(server.pages, "POST", path, FORM, "disown=1").await;
        assert_eq!((answer.status, &answer.body), (404, &first.body), "{path}");
    }
    let mut late = None;
    for n in 0..200 {
        let answer = exchange(server.pages, "GET", &link(n), "X-Forwarded-For: 192.0.2.9\r\n", "").await;
        if answer.status == 429 {
            late = Some(answer);
            break;
        }
        assert_eq!((answer.status, &answer.body), (404, &first.body));
    }
    let late: Answer = late.expect("a limit");
    assert!((1..=60).contains(&late.header("retry-after").parse::<u64>().unwrap()), "{late:?}");
    assert!(late.body.contains("Too many tries"));
}

/// K08.
#[tokio::test]
async fn forms_of_other_sites_are_refused_with_a_page() {
    let server = Server::start().await;
    for (header, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: http://127.0.0.1:1\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Origin: https://help.example.com\r\n", 404),
        ("Origin: null\r\nSec-Fetch-Site: same-origin\r\n", 404),
        ("", 404),
    ] {
        let answer = exchange(server.pages, "POST", &link(1), &format!("{FORM}{header}"), "").await;
        assert_eq!(answer.status, status, "{header}");
        assert!(answer.body.contains("<h1>") && answer.header("content-type").starts_with("text/html"));
    }
    let damaged = exchange(server.pages, "POST", &link(1), FORM, "not_mine=x").await;
    assert_eq!(damaged.status, 400);
    let other = exchange(server.pages, "POST", &link(1), "Content-Type: text/plain\r\n", "disown=1").await;
    assert_eq!(other.status, 415);
}

#[tokio::test]
async fn a_pasted_link_leads_to_its_page_wherever_the_site_lives() {
    let server = Server::start().await;
    let token = VerificationToken::new([7; 32]).reveal();
    let pasted = format!("https%3A%2F%2Fhelp.example.com%2Fverify%2F{token}");
    let answer = server.get(&format!("/verify?token={pasted}")).await;
    assert_eq!((answer.status, answer.header("location")), (303, format!("verify/{token}").as_str()));
    assert_eq!(server.get("/verify/").await.header("location"), "../verify");
    assert_eq!(server.get("/verify?token=nonsense").await.status, 400);
    let head = exchange(server.pages, "HEAD", "/verify", "", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

/// K06, G02: the Host field is never used, and no path, query or token is logged.
#[tokio::test]
async fn neither_host_nor_token_appears_anywhere() {
    let server = Server::start().await;
    let token = VerificationToken::new([7; 32]).reveal();
    let page = server.get(&format!("/verify/{token}")).await;
    assert!(!page.body.contains("evil.example") && !page.body.contains(&token));
    server.get(&format!("/verify?token={token}")).await;
    server.api("GET", &format!("/held?cursor={token}"), None).await;
    let lines = server.log.events("http.answered");
    let routes: Vec<&str> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["/verify/{token}", "/verify", "/api/v1/held"]);
    assert_eq!((&lines[0]["status"], &lines[0]["level"]), (&json!(404), &json!("DEBUG")));
    let log = server.log.text();
    assert!(!log.contains(&token) && !log.contains("evil.example"), "{log}");
    let metrics = server.get("/metrics").await.body;
    assert!(
        metrics.contains(r#"vestibule_http_requests_total{route="/verify/{token}",status="404"} 1"#),
        "{metrics}"
    );
    assert!(!metrics.contains(&token));
}

#[tokio::test]
async fn the_api_wants_its_token() {
    let server = Server::start().await;
    for (header, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Basic YTpi\r\n", 401),
        (&format!("Authorization: Bearer {TOKEN}\r\n"), 200),
    ] {
        let answer = exchange(server.admin, "GET", "/api/v1/held", header, "").await;
        assert_eq!(answer.status, status, "{header}");
        if status == 401 {
            answer.problem();
            assert!(answer.header("www-authenticate").starts_with("Bearer realm="));
        }
    }
    // Not even what is there and what is not can be learned without it.
    assert_eq!(exchange(server.admin, "GET", "/api/v1/nothing", "", "").await.status, 401);
    assert_eq!(server.api("GET", "/nothing", None).await.status, 404);

    let mut without = (**server.config.load()).clone();
    without.http.tokens.clear();
    server.config.store(without.into());
    let off = server.api("GET", "/held", None).await;
    assert_eq!(off.status, 403);
    assert!(off.problem()["detail"].as_str().unwrap().contains("http.admin_token_file"));
}

#[tokio::test]
async fn mistakes_are_problem_documents_that_name_what_is_wrong() {
    let server = Server::start().await;
    let json = "Content-Type: application/json\r\n";
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let post = |kind: &str, body: &str| {
        let (headers, body) = (format!("{auth}{kind}"), body.to_owned());
        let to = server.admin;
        async move { exchange(to, "POST", "/api/v1/accounts", &headers, &body).await }
    };
    for (answer, status, words) in [
        (server.api("GET", "/held?limit=0", None).await, 400, "limit"),
        (server.api("GET", "/held?project=it", None).await, 400, "project"),
        (server.api("GET", "/held?sender=nobody", None).await, 400, "sender"),
        (
            server.api("GET", "/held?color=red", None).await,
            400,
            "it takes limit, cursor, order, sender, project",
        ),
        (server.api("GET", "/decisions?outcome=lost", None).await, 400, "create"),
        (server.api("GET", "/decisions?since=now", None).await, 400, "since"),
        (server.api("GET", "/accounts?order=oldest", None).await, 400, "order"),
        (server.api("GET", "/requests/12", None).await, 404, "such as IT-12"),
        (server.api("GET", "/requests/IT-1", None).await, 404, "IT-1"),
        (server.api("GET", "/requests/IT-1/raw", None).await, 404, "IT-1"),
        (server.api("GET", "/held/7", None).await, 404, "a held mail's id"),
        (server.api("POST", "/held/01890a5d-ac96-774b-bcce-b302099a8057/release", None).await, 404, "waits"),
        (server.api("DELETE", "/held/01890a5d-ac96-774b-bcce-b302099a8057", None).await, 404, "waits"),
        (server.api("GET", "/senders/nobody", None).await, 400, "no address"),
        (server.api("POST", "/senders/a@b.example/resend", None).await, 404, "waits"),
        (server.api("PUT", "/held", None).await, 405, "Allow"),
        (exchange(server.admin, "POST", "/healthz", "", "").await, 405, "Allow"),
        (post("Content-Type: text/plain\r\n", "{}").await, 415, "application/json"),
        (post(json, "{").await, 400, "JSON"),
        (post(json, r#"{"address": "a@b.example", "kind": "friend"}"#).await, 422, "portal-only"),
        (post(json, r#"{"address": "a@b.example", "kind": "internal", "colour": 1}"#).await, 422, "colour"),
        (post(json, &"x".repeat((4 << 20) + 1)).await, 413, ""),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        let detail = answer.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{words}: {detail}");
    }
    assert_eq!(server.api("PUT", "/held", None).await.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn explain_takes_a_mail_as_it_is() {
    let server = Server::start().await;
    let send = |kind: &'static str, body: String| {
        let to = server.admin;
        let headers = format!("Authorization: Bearer {TOKEN}\r\n{kind}");
        async move {
            exchange(to, "POST", "/api/v1/explain?rcpt=it@help.example.com&rcpt=b", &headers, &body).await
        }
    };
    let mail = "Content-Type: message/rfc822\r\n";
    let good = send(mail, "From: a@b.example\r\n\r\nHello".into()).await;
    assert_eq!((good.status, good.json()), (200, json!({ "rcpts": ["it@help.example.com", "b"] })));
    for (answer, status) in [
        (send(mail, String::new()).await, 400),
        (send(mail, "x".repeat(2001)).await, 413),
        (send("Content-Type: application/json\r\n", "{}".into()).await, 415),
        (send("", "x".into()).await, 415),
    ] {
        assert_eq!(answer.status, status);
        answer.problem();
    }
}

#[tokio::test]
async fn a_store_that_fails_is_said_to_everyone_in_their_own_form() {
    let server = Server::start().await;
    assert_eq!(server.get("/readyz").await.json(), json!({ "status": "ready", "problem": null }));
    *server.store.broken.lock().unwrap() = true;
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["problem"].as_str().unwrap().contains("no space"));
    assert_eq!(server.get("/healthz").await.status, 200);
    let page = server.get(&link(1)).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "10"));
    assert!(page.body.contains("Not possible just now") && !page.body.contains("on fire"));
    let list = server.api("GET", "/requests", None).await;
    assert_eq!(list.status, 503);
    assert!(!list.problem().to_string().contains("on fire"));
    let log = server.log.events("http.failed");
    assert_eq!(log.len(), 2);
    assert!(log[0]["error"].as_str().unwrap().contains("on fire"), "{log:?}");
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.contains("vestibule_store_writable 0"), "{metrics}");
}

#[tokio::test]
async fn the_gauges_are_brought_up_to_date() {
    let server = Server::start().await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        "vestibule_holds_waiting 3",
        "vestibule_holds_gap 0",
        "vestibule_intake_gap 0",
        "vestibule_store_free_bytes 4096.0",
        "vestibule_store_writable 1",
    ] {
        assert!(metrics.body.lines().any(|given| given == line), "{line} in {}", metrics.body);
    }
}

#[tokio::test]
async fn an_admin_listener_has_the_api_to_itself() {
    let server = Server::with(true).await;
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/held"] {
        assert_eq!(exchange(server.pages, "GET", path, "", "").await.status, 404, "{path}");
        assert_ne!(exchange(server.admin, "GET", path, "", "").await.status, 404, "{path}");
    }
    for path in ["/verify", &link(1)] {
        exchange(server.admin, "GET", path, "", "").await.problem();
    }
    assert_eq!(exchange(server.pages, "GET", "/verify", "", "").await.status, 200);
}

#[tokio::test]
async fn stopping_finishes_and_leaves() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    // A connection that idles must not keep the daemon.
    let _idle = tokio::net::TcpStream::connect(server.pages).await.unwrap();
    server.shutdown.begin();
    server.running.await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.pages).await.is_err());
}

#[tokio::test]
async fn what_is_no_http_is_closed_and_a_head_has_a_size() {
    let server = Server::start().await;
    let long = format!("GET /verify HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert_eq!(raw(server.pages, &long).await.status, 431);
    assert_eq!(raw(server.pages, "EHLO relay.example\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn the_pages_can_be_seen_beforehand() {
    let server = Server::start().await;
    let waiting = crate::verify::PageView {
        address: "ada@approved.example".parse().unwrap(),
        mails: Vec::new(),
        expires_at: Time::default(),
    };
    let pages = super::preview_pages(&server.config.load(), &waiting);
    assert_eq!(pages.len(), 9);
    assert!(
        pages.iter().all(|(name, html)| name.starts_with("page-") && html.starts_with("<!DOCTYPE html>"))
    );
}

/// D01: who sends a byte now and then is not waited for. The clock runs as fast as nothing else happens.
#[tokio::test]
async fn slow_senders_are_cut_off() {
    let server = Server::start().await;
    tokio::time::pause();
    for (request, status, seconds) in [
        ("GET /verify HTTP/1.1\r\nHost: x\r\n", "", 15),
        ("", "", 15),
        ("POST /verify/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\nu", "408", 30),
    ] {
        let begun = tokio::time::Instant::now();
        let answer = until_closed(server.pages, request).await;
        assert!(answer.contains(status) && (status.is_empty() == answer.is_empty()), "{request}: {answer}");
        let lasted = begun.elapsed().as_secs();
        assert!((seconds..seconds + 60).contains(&lasted), "{request}: {lasted} s");
    }
}

async fn until_closed(to: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
