//! The contract: what people and programs see of it.

use serde_json::{Value, json};

use super::{ADA, BOB, BOTH, DAY, HR, IT, decided, held_ids, items, pairs, reasons};
use crate::{
    daemon::{Daemon, SITE, Smtp, eventually, message},
    support::files_below,
};

/// *Logs*: one line for each mail and project with every field of the contract.
#[tokio::test]
async fn a_decision_is_logged_with_all_that_the_contract_names() {
    let daemon = Daemon::start().await;
    let reply = daemon.mail(ADA, IT, "held").await;
    daemon.mail(BOB, IT, "created").await;
    let [held, created] = daemon.log.events("mail.decided").try_into().expect("two lines");
    let fields = [
        "timestamp",
        "level",
        "event",
        "outcome",
        "reason",
        "project",
        "mail_id",
        "message_id",
        "sender",
        "sender_domain",
        "domain_list",
        "account",
        "standing",
        "bytes",
        "peer",
        "session",
        "elapsed_us",
    ];
    for line in [&held, &created] {
        for field in fields {
            assert!(!line[field].is_null(), "{field} of {line}");
        }
    }
    assert!(reply.contains(held["mail_id"].as_str().unwrap()), "{reply}");
    let said = |line: &Value| {
        let fields = ["outcome", "domain_list", "account", "standing", "sender_domain", "message_id"];
        fields.map(|field| line[field].as_str().unwrap().to_owned())
    };
    assert_eq!(
        said(&held),
        ["hold", "approved", "none", "proven", "approved.example", "held@sender.example"]
    );
    assert_eq!(
        said(&created),
        ["create", "allowed", "none", "proven", "partner.example", "created@sender.example"]
    );
    assert_eq!((&held["request"], &created["held"]), (&Value::Null, &Value::Null));
    assert_eq!((&held["held"], &created["request"]), (&json!(held_ids(&daemon).await[0]), &json!("IT-1")));
    // The end of the hold: the same mail.
    let (status, _) =
        daemon.api("POST", &format!("/api/v1/held/{}/release", held["held"].as_str().unwrap()), None).await;
    assert_eq!(status, 200);
    let ended = &daemon.holds_ended(1).await[0];
    for field in ["mail_id", "message_id", "sender", "project", "held", "bytes"] {
        assert_eq!(ended[field], held[field], "{field}");
    }
    assert_eq!(
        (&ended["basis"], &ended["standing"], &ended["request"]),
        (&json!("released"), &json!("proven"), &json!("IT-2"))
    );
    daemon.stop().await;
}

/// *Logs*: both gaps are 0, also in a process that finds waiting holds, and after a reload.
#[tokio::test]
async fn the_gaps_are_0_over_restarts_and_reloads() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, BOTH, "held").await;
    daemon.mail("eva@approved.example", IT, "held too").await;
    let link = daemon.link(2).await;
    let daemon = daemon.restart(SITE).await;
    let expect = async |waiting: usize| {
        let metrics = daemon.page("GET", "/metrics", "").await.body;
        for line in [
            format!("vestibule_holds_waiting {waiting}\n"),
            "vestibule_holds_gap 0\n".into(),
            "vestibule_intake_gap 0\n".into(),
        ] {
            assert!(metrics.contains(&line), "{line} in {metrics}");
        }
    };
    expect(3).await;
    daemon.mail("eve@approved.example", IT, "held as well").await;
    expect(4).await;
    daemon.reload(&SITE.replace("\"anyone\"", "\"added\""));
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    daemon.holds_ended(1).await;
    daemon.advance(31 * DAY);
    daemon.holds_ended(daemon.log.events("hold.expired").len().max(1)).await;
    eventually("all holds have ended", || daemon.log.events("hold.expired").len() >= 2).await;
    daemon.holds_ended(4).await;
    expect(0).await;
    daemon.stop().await;
}

/// `postmaster`: unchanged, whoever sent it and however, beside the decisions of the projects.
#[tokio::test]
async fn mail_for_the_postmaster_goes_there_unchanged() {
    let site = SITE.replace("[http]", "postmaster = \"ops@example.com\"\n[http]");
    let daemon = Daemon::with(&site).await;
    let bounce = message("mailer-daemon@elsewhere.example", &["postmaster@help.example.com"], "a bounce")
        .replace("Date:", "Auto-Submitted: auto-replied\r\nDate:");
    assert!(daemon.raw_mail("", &["postmaster@help.example.com"], &bounce).await.starts_with("250"));
    eventually("it goes out", || daemon.outbound().len() == 1).await;
    assert!(daemon.outbound()[0].starts_with("Received: from ") && daemon.outbound()[0].ends_with(&bounce));
    assert_eq!(decided(&daemon), []);
    let raw = message("eve@elsewhere.example", IT, "complaint");
    let rcpts = &["it@help.example.com", "Abuse@help.example.com", "postmaster"];
    assert!(daemon.raw_mail("eve@elsewhere.example", rcpts, &raw).await.starts_with("250"));
    eventually("it goes out", || daemon.outbound().len() == 2).await;
    assert_eq!(daemon.outbound().iter().filter(|mail| mail.ends_with(&raw)).count(), 1);
    assert_eq!(decided(&daemon), pairs(&[("IT", "domain-not-allowed")]));
    // Nobody: 550, at RCPT.
    daemon.reload(SITE);
    for rcpt in ["postmaster@help.example.com", "abuse@help.example.com", "postmaster"] {
        let reply = daemon.mail("eve@elsewhere.example", &[rcpt], "nobody").await;
        assert!(reply.starts_with("550 5.1.1"), "{rcpt}: {reply}");
    }
    daemon.stop().await;
}

/// A 250 means decided: a mail whose recipient went away between RCPT and its last byte stays with the relay.
#[tokio::test]
async fn a_recipient_that_a_reload_takes_away_leaves_the_mail_with_the_relay() {
    let with_postmaster = SITE.replace("[http]", "postmaster = \"ops@example.com\"\n[http]");
    let without_hr = &SITE[..SITE.find("[[projects]]\nkey = \"HR\"").unwrap()];
    for (rcpt, after) in [("hr@help.example.com", without_hr), ("abuse@help.example.com", SITE)] {
        let daemon = Daemon::with(&with_postmaster).await;
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command(&format!("MAIL FROM:<{BOB}>")).await;
        for rcpt in ["it@help.example.com", rcpt] {
            assert!(smtp.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with("250"));
        }
        assert!(smtp.command("DATA").await.starts_with("354"));
        daemon.reload(after);
        let raw = message(BOB, IT, "under way");
        let reply = smtp.command(&format!("{raw}.")).await;
        assert!(reply.starts_with("451 4.3.0"), "{reply}");
        assert_eq!(decided(&daemon), []);
        assert!(daemon.outbound().is_empty() && items(&daemon, "/api/v1/requests").await.is_empty());
        // The next try is told at RCPT which recipient it is, and the other one gets its mail.
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command(&format!("MAIL FROM:<{BOB}>")).await;
        assert!(smtp.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with("550 5.1.1"));
        assert!(smtp.command("RSET").await.starts_with("250"));
        assert!(smtp.mail(BOB, IT, &raw).await.starts_with("250"));
        assert_eq!(reasons(&daemon), ["new-portal-only-customer"]);
        daemon.stop().await;
    }
}

/// *HTTP*: the items of the list are whole requests, as the contract writes them.
#[tokio::test]
async fn the_list_of_requests_holds_whole_requests() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, &["it@help.example.com"], "created").await;
    daemon.mail(ADA, HR, "verified").await;
    let link = daemon.link(1).await;
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    let list = items(&daemon, "/api/v1/requests?order=oldest").await;
    let fields = [
        "id",
        "project",
        "subject",
        "body",
        "reporter",
        "participants",
        "message_id",
        "created_at",
        "basis",
        "attachments",
        "comments",
    ];
    for item in &list {
        let one =
            daemon.api("GET", &format!("/api/v1/requests/{}", item["id"].as_str().unwrap()), None).await.1;
        assert_eq!(item, &one);
        let members: Vec<_> = fields.iter().filter(|field| item.get(**field).is_none()).collect();
        assert!(members.is_empty(), "{members:?} missing of {item}");
        assert!(item["body"].as_str().unwrap().contains("Hello"));
    }
    assert_eq!((&list[0]["basis"], &list[0]["reporter"]["account"]), (&Value::Null, &json!("portal-only")));
    assert_eq!(
        (&list[1]["basis"], &list[1]["reporter"]["account"]),
        (&json!("verified"), &json!("internal"))
    );
    daemon.stop().await;
}

/// `store.min_free`: the relay keeps the mail, and nothing is half taken.
#[tokio::test]
async fn too_little_room_is_said_at_mail() {
    let daemon = Daemon::with(&SITE.replace("min_free = 0", "min_free = \"1024 TiB\"")).await;
    let reply = daemon.mail(BOB, IT, "no room").await;
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    daemon.reload(SITE);
    assert!(daemon.mail(BOB, IT, "room").await.starts_with("250 2.0.0"));
    assert_eq!(daemon.log.events("smtp.refused")[0]["code"], 452);
    daemon.stop().await;
}

/// One damaged mail is told at its own place; the list goes on without its text.
#[tokio::test]
async fn a_damaged_mail_hides_no_other_request() {
    let daemon = Daemon::start().await;
    let large = format!("{}{}", message(BOB, IT, "large"), "a line of a large mail\r\n".repeat(30_000));
    daemon.raw_mail(BOB, IT, &large).await;
    daemon.mail(BOB, IT, "small").await;
    let mut mails = files_below(&daemon.folder.path().join("data"));
    mails.retain(|path| path.extension().is_some_and(|end| end == "eml"));
    assert_eq!(mails.len(), 1);
    std::fs::write(&mails[0], large.replace("line of a large", "LINE of a large")).unwrap();
    let list = items(&daemon, "/api/v1/requests?order=oldest").await;
    assert_eq!(list.len(), 2);
    assert_eq!((&list[0]["subject"], &list[0]["body"]), (&json!("large"), &Value::Null));
    assert!(list[1]["body"].as_str().unwrap().contains("small"));
    assert_eq!(daemon.api("GET", "/api/v1/requests/IT-1", None).await.0, 503);
    assert_eq!(daemon.api("GET", "/api/v1/requests/IT-2", None).await.0, 200);
}
