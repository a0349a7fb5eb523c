//! What other settings would have decided: the prediction against a second daemon that really runs under them.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    binary::{stderr, vestibule},
    daemon::{Daemon, SITE, TOKEN, message},
};

const IT: &[&str] = &["it@help.example.com"];
const HR: &[&str] = &["hr@help.example.com"];
const BOTH: &[&str] = &["it@help.example.com", "hr@help.example.com"];

/// Asks the built command about the daemon, while it runs.
async fn what_if(daemon: &Daemon, site: &str, more: &[&str]) -> Value {
    let file: PathBuf = daemon.folder.path().join("new.toml");
    std::fs::write(&file, site).unwrap();
    let url = format!("http://{}", daemon.addresses.admin);
    let config = file.display().to_string();
    let mut args = vec!["what-if", "--json", "--limit", "1000", "--since", "2025-12-01T00:00:00Z"];
    args.extend(["--url", &url, "--token", TOKEN, "--config", &config]);
    args.extend(more);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let output =
        tokio::task::spawn_blocking(move || vestibule(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Mails whose decisions depend on those before them: accounts, copies, replies, several projects, many that wait.
async fn send(daemon: &Daemon) {
    daemon.mail("bob@partner.example", IT, "first of bob").await;
    daemon.mail("bob@partner.example", HR, "second of bob").await;
    daemon.mail("bob@partner.example", IT, "first of bob").await;
    let reply = message("bob@partner.example", IT, "re first")
        .replace("Date:", "In-Reply-To: <first.of.bob@sender.example>\r\nDate:");
    daemon.raw_mail("bob@partner.example", IT, &reply).await;
    daemon.mail("eve@elsewhere.example", BOTH, "of eve for two").await;
    daemon.mail("eve@elsewhere.example", IT, "of eve again").await;
    daemon.mail("eve@elsewhere.example", IT, "of eve again").await;
    for n in 0..4 {
        daemon.mail("ada@approved.example", BOTH, &format!("of ada {n}")).await;
        daemon.mail("joe@other.example", IT, &format!("of joe {n}")).await;
    }
    daemon.mail("ada@approved.example", IT, "of ada 1").await;
    let automatic = message("bob@partner.example", IT, "away")
        .replace("Date:", "Auto-Submitted: auto-generated\r\nDate:");
    daemon.raw_mail("bob@partner.example", IT, &automatic).await;
    let nobody = message("x@y.example", IT, "no sender").replace("From: Somebody <x@y.example>\r\n", "");
    daemon.raw_mail("x@y.example", IT, &nobody).await;
}

async fn decisions(daemon: &Daemon) -> Vec<Value> {
    let (status, list) = daemon.api("GET", "/api/v1/decisions?order=oldest&limit=500", None).await;
    assert_eq!(status, 200);
    list["items"].as_array().unwrap().clone()
}

fn named(decision: &Value) -> String {
    format!("{} {}", decision["outcome"].as_str().unwrap(), decision["reason"].as_str().unwrap())
}

/// Other settings, and how many decisions they change at the least.
fn sites() -> Vec<(&'static str, String, usize)> {
    let change = |from: &str, to: &str| {
        assert!(SITE.contains(from), "{from}");
        SITE.replace(from, to)
    };
    vec![
        ("the same", SITE.to_owned(), 0),
        ("partners are kept out", change("[\"partner.example\"]", "[\"other.example\"]"), 8),
        ("everybody from outside", change("only_allowed_domains = true", "only_allowed_domains = false"), 7),
        (
            "nobody from outside",
            change("allow_portal_only_accounts = true", "allow_portal_only_accounts = false"),
            3,
        ),
        ("no approved domains", change("use_approved_domains = true", "use_approved_domains = false"), 9),
        (
            "others are approved",
            change("[\"approved.example\"]", "[\"other.example\", \"elsewhere.example\"]"),
            12,
        ),
        ("few may wait", change("[verification]", "[verification]\nmax_held_per_address = 2"), 5),
        (
            "one request a mail",
            change("[store]", "[store]\none_request_per_mail = true")
                .replace("only_allowed_domains = true", "only_allowed_domains = false"),
            8,
        ),
        (
            "a machine is let in",
            change("key = \"IT\"", "key = \"IT\"\nallow_automatic_from = [\"partner.example\"]"),
            1,
        ),
        (
            "added customers only",
            change("key = \"HR\"", "key = \"HR\"\naccess = \"added\"").replacen(
                "addresses = [\"hr@help.example.com\"]\naccess = \"anyone\"",
                "addresses = [\"hr@help.example.com\"]",
                1,
            ),
            5,
        ),
    ]
}

#[tokio::test]
async fn the_prediction_is_what_a_daemon_under_the_new_settings_decides() {
    let daemon = Daemon::start().await;
    send(&daemon).await;
    let then = decisions(&daemon).await;
    assert!(then.len() > 20);
    for (name, site, at_least) in sites() {
        let report = what_if(&daemon, &site, &[]).await;
        assert_eq!(report["decided"], then.len(), "{name}");
        assert_eq!(report["undecidable"], 0, "{name}");
        let mails = report["mails"].as_array().unwrap();
        assert!(mails.len() >= at_least && (at_least > 0 || mails.is_empty()), "{name}: {report:#}");
        let other = Daemon::with(&site).await;
        send(&other).await;
        let now = decisions(&other).await;
        assert_eq!(now.len(), then.len(), "{name}");
        for (then, now) in then.iter().zip(&now) {
            let change = mails
                .iter()
                .find(|mail| mail["mail_id"] == then["mail_id"] && mail["project"] == then["project"]);
            let predicted =
                change.map_or_else(|| named(then), |mail| mail["becomes"].as_str().unwrap().to_owned());
            assert_eq!(predicted, named(now), "{name}: {then:#}\n{now:#}");
        }
        let counted: u64 =
            report["changes"].as_array().unwrap().iter().map(|c| c["count"].as_u64().unwrap()).sum();
        assert_eq!((counted, report["changed"].as_u64()), (mails.len() as u64, Some(counted)), "{name}");
        other.stop().await;
    }
    assert_eq!(decisions(&daemon).await, then, "nothing is touched");
    daemon.stop().await;
}

/// The accounts that a verification made would not be there for a domain that is not approved any more.
#[tokio::test]
async fn an_account_that_came_from_a_hold_goes_with_it() {
    let daemon = Daemon::start().await;
    daemon.mail("ada@approved.example", IT, "held").await;
    let link = daemon.link(1).await;
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    daemon.mail("ada@approved.example", IT, "known").await;
    let site = SITE.replace("use_approved_domains = true", "use_approved_domains = false");
    let report = what_if(&daemon, &site, &[]).await;
    let changes: Vec<_> =
        report["mails"].as_array().unwrap().iter().map(|mail| [&mail["was"], &mail["becomes"]]).collect();
    assert_eq!(
        changes,
        [
            ["create known-customer", "drop domain-not-allowed"],
            ["hold internal-account-unverified", "drop domain-not-allowed"]
        ],
        "{report:#}"
    );
    // A project that is no more: its mail would not come in.
    let gone = SITE.replace("key = \"IT\"", "key = \"IT2\"");
    let report = what_if(&daemon, &gone, &["--project", "IT"]).await;
    assert_eq!(report["changed"], 2);
    assert_eq!(report["mails"][0]["becomes"], "refused at RCPT");
    assert_eq!(what_if(&daemon, &gone, &["--project", "HR"]).await["decided"], 0);
    daemon.stop().await;
}
