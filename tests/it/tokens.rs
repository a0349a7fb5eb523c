//! Named tokens of the API: who did it, in the log and in the audit; what a role may; how tokens come and go.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    binary::{Served, stderr, stdout, vestibule, vestibule_in},
    daemon::{Daemon, SITE, Smtp, message},
};

const ADA: &str = "ada@approved.example";
const EVE: &str = "eve@stranger.example";
const IT: &[&str] = &["it@help.example.com"];

const ANNA: &str = "a-token-that-anna-keeps";
const BERT: &str = "a-token-that-bert-keeps";
const DESK: &str = "a-token-of-the-help-desk";
/// Bert's token is known by its SHA-256.
const TOKENS: &str = r#"
[[http.tokens]]
name = "anna"
role = "admin"
token = "a-token-that-anna-keeps"
[[http.tokens]]
name = "bert"
role = "admin"
token_sha256 = "786bc703fb85c8bca9258d480fbe5c2648f8aa28e973fd63f5948b3acbef2545"
[[http.tokens]]
name = "desk"
role = "help-desk"
token = "a-token-of-the-help-desk"
"#;

fn site() -> String {
    format!("{SITE}{TOKENS}")
}

/// What waits, the oldest first.
async fn held(daemon: &Daemon) -> Vec<String> {
    let (_, list) = daemon.api_as(DESK, "GET", "/api/v1/held?order=oldest", None).await;
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn words(items: &[Value], names: [&str; 2]) -> Vec<(String, String)> {
    let word = |item: &Value, name: &str| item[name].as_str().unwrap_or("-").to_owned();
    items.iter().map(|item| (word(item, names[0]), word(item, names[1]))).collect()
}

/// Basis and actor of all that is on record, the oldest first.
async fn audit(daemon: &Daemon) -> Vec<(String, String)> {
    let (status, list) = daemon.api_as(DESK, "GET", "/api/v1/decisions?order=oldest", None).await;
    assert_eq!(status, 200, "{list}");
    words(list["items"].as_array().unwrap(), ["basis", "actor"])
}

#[tokio::test]
async fn what_somebody_asked_for_has_its_actor_in_log_and_audit_for_good() {
    let daemon = Daemon::with(&site()).await;
    for subject in ["one", "two", "three"] {
        daemon.mail(ADA, IT, subject).await;
    }
    daemon.mail(EVE, IT, "a mistaken drop").await;
    let link = daemon.link(1).await;
    let waiting = held(&daemon).await;
    let release = format!("/api/v1/held/{}/release", waiting[0]);
    assert_eq!(daemon.api_as(ANNA, "POST", &release, None).await.0, 200);
    assert_eq!(daemon.api_as(BERT, "DELETE", &format!("/api/v1/held/{}", waiting[1]), None).await.0, 204);
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(3).await;
    daemon.reload(&site().replace("[\"partner.example\"]", "[\"partner.example\", \"stranger.example\"]"));
    let (_, dropped) =
        daemon.api_as(DESK, "GET", "/api/v1/decisions?outcome=drop&reason=domain-not-allowed", None).await;
    let id = dropped["items"][0]["mail_id"].as_str().unwrap();
    let (status, done) =
        daemon.api_as(BERT, "POST", &format!("/api/v1/decisions/{id}/reprocess"), None).await;
    assert_eq!(status, 200, "{done}");

    let pair = |basis: &str, actor: &str| (basis.to_owned(), actor.to_owned());
    let ended = [
        pair("released", "anna"),
        pair("discarded", "bert"),
        pair("verified", "-"),
        pair("reprocessed", "bert"),
    ];
    assert_eq!(words(&daemon.holds_ended(4).await, ["basis", "actor"]), ended);
    assert_eq!(
        words(&daemon.log.events("account.created"), ["by", "actor"]),
        [pair("release", "anna"), pair("reprocess", "bert")]
    );
    assert!(!daemon.log.text().contains(ANNA) && !daemon.log.text().contains(BERT));

    let whole = [vec![pair("-", "-"); 4], ended.to_vec()].concat();
    assert_eq!(audit(&daemon).await, whole);
    let daemon = daemon.restart(&site()).await;
    assert_eq!(audit(&daemon).await, whole);
    // What is past its time goes; who asked for the rest stays.
    daemon.advance(Duration::from_hours(24 * 30));
    assert_eq!(daemon.api_as(ANNA, "POST", "/api/v1/store/compact", None).await.0, 200);
    assert_eq!(daemon.log.events("store.compacted")[0]["actor"], "anna");
    assert_eq!(audit(&daemon).await, whole);
    daemon.stop().await;
}

#[tokio::test]
async fn every_other_change_is_told_with_its_actor() {
    let daemon = Daemon::with(&site()).await;
    daemon.mail("bob@partner.example", IT, "a request").await;
    let new = r#"{"address": "eva@partner.example", "kind": "portal-only"}"#;
    let many = r#"[{"address": "fay@partner.example", "kind": "portal-only"}]"#;
    for (method, path, body, event) in [
        ("POST", "/api/v1/accounts", Some(new), "account.created"),
        ("PATCH", "/api/v1/accounts/eva@partner.example", Some(r#"{"role": "agent"}"#), "account.changed"),
        (
            "PATCH",
            "/api/v1/accounts/eva@partner.example",
            Some(r#"{"status": "deactivated"}"#),
            "account.deactivated",
        ),
        ("PATCH", "/api/v1/accounts/eva@partner.example", Some(r#"{"status": "active"}"#), "account.changed"),
        ("DELETE", "/api/v1/accounts/eva@partner.example", None, "account.deleted"),
        ("POST", "/api/v1/accounts/import", Some(many), "account.created"),
        ("PATCH", "/api/v1/requests/IT-1", Some(r#"{"status": "closed"}"#), "request.closed"),
        ("PATCH", "/api/v1/requests/IT-1", Some(r#"{"status": "open"}"#), "request.reopened"),
    ] {
        let before = daemon.log.events(event).len();
        let (status, answer) = daemon.api_as(BERT, method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        let lines = daemon.log.events(event);
        assert_eq!((lines.len(), &lines[before]["actor"]), (before + 1, &"bert".into()), "{method} {path}");
    }
    // Nothing changed, and nothing is told of it.
    let told = daemon.log.events("account.changed").len();
    let (fay, body) = ("/api/v1/accounts/fay@partner.example", r#"{"role": "customer"}"#);
    assert_eq!(daemon.api_as(BERT, "PATCH", fay, Some(body)).await.0, 200);
    assert_eq!(daemon.log.events("account.changed").len(), told);
    daemon.stop().await;
}

#[tokio::test]
async fn the_help_desk_ends_no_hold() {
    let daemon = Daemon::with(&site()).await;
    daemon.mail(ADA, IT, "waits").await;
    daemon.link(1).await;
    let (status, sender) = daemon.api_as(DESK, "GET", "/api/v1/senders/ada@approved.example", None).await;
    assert_eq!((status, &sender["held"][0]["subject"]), (200, &"waits".into()));
    daemon.advance(Duration::from_hours(2));
    let resend = "/api/v1/senders/ada@approved.example/resend";
    assert_eq!(daemon.api_as(DESK, "POST", resend, None).await.0, 200);
    let told = &daemon.log.events("verification.resent");
    assert_eq!((told.len(), &told[0]["actor"], &told[0]["address"]), (1, &"desk".into(), &ADA.into()));
    daemon.link(2).await;

    let id = held(&daemon).await.remove(0);
    for (method, path) in
        [("POST", format!("/api/v1/held/{id}/release")), ("DELETE", format!("/api/v1/held/{id}"))]
    {
        let (status, problem) = daemon.api_as(DESK, method, &path, None).await;
        assert_eq!(
            (status, &problem["needed_role"], &problem["token"]),
            (403, &"admin".into(), &"desk".into())
        );
        assert!(problem["detail"].as_str().unwrap().contains("\"desk\" has the role help-desk"), "{problem}");
    }
    assert_eq!(held(&daemon).await, [id], "it waits yet");
    let refused = daemon.log.events("http.answered");
    assert!(refused.iter().any(|line| line["status"] == 403 && line["actor"] == "desk"), "{refused:?}");
    daemon.stop().await;
}

/// A project that takes only customers who were added: adding them is the help desk's work, within E, R and L; W is not asked.
#[tokio::test]
async fn the_help_desk_adds_a_customer_to_a_project() {
    let site = site()
        .replace("account_creation = \"allow\"", "account_creation = \"deny\"")
        .replace("access = \"anyone\"", "access = \"added\"");
    let daemon = Daemon::with(&site).await;
    let new =
        |address: &str| format!(r#"{{"address": "{address}", "kind": "portal-only", "projects": ["IT"]}}"#);
    for address in [EVE, ADA] {
        let (status, refused) = daemon.api_as(DESK, "POST", "/api/v1/accounts", Some(&new(address))).await;
        assert_eq!(status, 409, "{refused}");
    }
    let (status, added) =
        daemon.api_as(DESK, "POST", "/api/v1/accounts", Some(&new("bob@partner.example"))).await;
    assert_eq!((status, &added["projects"][0]), (201, &"IT".into()), "{added}");
    assert_eq!(
        words(&daemon.log.events("account.created"), ["address", "actor"]),
        [("bob@partner.example".to_owned(), "desk".to_owned())]
    );
    for sender in ["bob@partner.example", EVE] {
        daemon.mail(sender, IT, "a request").await;
    }
    let (_, list) = daemon.api_as(DESK, "GET", "/api/v1/requests", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["reporter"]["address"], "bob@partner.example");
    // What is there already, it does not change.
    for (method, body) in [("PATCH", Some(r#"{"status": "deactivated"}"#)), ("DELETE", None)] {
        assert_eq!(daemon.api_as(DESK, method, "/api/v1/accounts/bob@partner.example", body).await.0, 403);
    }
    daemon.stop().await;
}

/// A token comes, is changed in its file, and goes, by a reload each; a mail that is under way does not notice.
#[tokio::test]
async fn a_reload_adds_and_takes_tokens_and_drops_no_session() {
    let daemon = Daemon::start().await;
    let status = |token: &'static str| {
        let daemon = &daemon;
        async move { daemon.api_as(token, "GET", "/api/v1/held", None).await.0 }
    };
    let mut session = Smtp::connect(daemon.addresses.smtp[0]).await;
    assert!(session.command("MAIL FROM:<bob@partner.example>").await.starts_with("250"));
    assert_eq!((status("carls-first-token").await, status(ANNA).await), (401, 401));

    let file = daemon.folder.path().join("carls-token");
    fs::write(&file, "carls-first-token\n").unwrap();
    let carl = "[[http.tokens]]\nname = \"carl\"\nrole = \"read\"\ntoken_file = \"carls-token\"\n";
    daemon.reload(&format!("{SITE}{carl}"));
    assert_eq!((status("carls-first-token").await, status(ANNA).await), (200, 401));
    assert!(session.command("RCPT TO:<it@help.example.com>").await.starts_with("250"));

    fs::write(&file, "carls-second-token\n").unwrap();
    daemon.reload(&format!("{SITE}{carl}"));
    assert_eq!((status("carls-first-token").await, status("carls-second-token").await), (401, 200));
    assert!(session.command("DATA").await.starts_with("354"));

    daemon.reload(SITE);
    assert_eq!(status("carls-second-token").await, 401);
    let mail = message("bob@partner.example", IT, "sent all the while");
    assert!(session.data(&mail).await.starts_with("250"));
    daemon.stop().await;
}

/// The commands with a named token: what it may, they do; else they say what it takes.
#[test]
fn the_commands_take_any_token_and_say_which_role_they_need() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vestibule.toml"), site()).unwrap();
    let served = Served::over(folder);
    served.relay(&message(ADA, IT, "waits"));
    let url = format!("http://{}", served.http);
    let ask = |token: &str, args: &[&str]| vestibule(&[args, &["--url", &url, "--token", token]].concat());
    let item = served.json(&["held", "list"])["items"][0].clone();
    let (id, mail_id) = (item["id"].as_str().unwrap(), item["mail_id"].as_str().unwrap());

    // Who has both in the environment needs no configuration, which a help desk may not be able to read.
    let who = vestibule_in(&["who", ADA], &[("VESTIBULE_URL", &url), ("VESTIBULE_TOKEN", DESK)]);
    assert!(stdout(&who).contains(id), "{}", stderr(&who));
    let refused = ask(DESK, &["held", "release", id]);
    assert_eq!(refused.status.code(), Some(1));
    for part in ["the token \"desk\" has the role help-desk", "needs the role admin", "--token"] {
        assert!(stderr(&refused).contains(part), "{part} is not in\n{}", stderr(&refused));
    }
    let refused = ask(DESK, &["accounts", "add", EVE, "--kind", "portal-only"]);
    assert!(stderr(&refused).contains("(domain-not-allowed): access.external.only_allowed_domains = true"));
    let released = ask(ANNA, &["held", "release", id]);
    assert!(released.status.success(), "{}", stderr(&released));
    let shown = stdout(&ask(DESK, &["decisions", "show", mail_id]));
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("basis").ends_with(" released") && line("actor").ends_with(" anna"), "{shown}");
    served.stop();
}
