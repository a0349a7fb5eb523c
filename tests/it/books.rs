//! Counters, log lines and rows agree: an operator may trust any of them.

use crate::daemon::{Daemon, message};

const IT: &[&str] = &["it@help.example.com"];

/// One metric's value, its labels summed.
fn metric(text: &str, name: &str) -> i64 {
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    });
    let values: Vec<f64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!values.is_empty(), "no {name} in {text}");
    #[expect(clippy::cast_possible_truncation, reason = "counters of a test")]
    let sum = values.iter().sum::<f64>() as i64;
    sum
}

#[tokio::test]
async fn the_books_balance() {
    let daemon = Daemon::start().await;
    let both = &["it@help.example.com", "hr@help.example.com"];
    daemon.mail("ada@approved.example", both, "held for two").await;
    daemon.mail("bob@partner.example", both, "created for two").await;
    daemon.mail("bob@partner.example", both, "created for two").await;
    daemon.mail("eve@elsewhere.example", IT, "dropped").await;
    daemon.mail("it@help.example.com", IT, "own address").await;
    let automatic =
        message("bob@partner.example", IT, "away").replace("Date:", "Auto-Submitted: auto-replied\r\nDate:");
    daemon.raw_mail("bob@partner.example", IT, &automatic).await;
    daemon.raw_mail("", IT, &message("bob@partner.example", IT, "bounce")).await;
    let nobody = message("x@y.example", IT, "no sender").replace("From: Somebody <x@y.example>\r\n", "");
    daemon.raw_mail("x@y.example", IT, &nobody).await;
    let link = daemon.link(1).await;
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(2).await;
    daemon.mail("eva@approved.example", IT, "still waits").await;

    let metrics = daemon.page("GET", "/metrics", "").await.body;
    let lines = daemon.log.events("mail.decided");
    let intake: Vec<_> = lines.iter().filter(|line| line["basis"].is_null()).collect();
    assert_eq!(intake.len(), 12);
    assert_eq!(metric(&metrics, "vestibule_mails_accepted_total"), 12);
    assert_eq!(metric(&metrics, "vestibule_mails_decided_total"), 12);
    assert_eq!(metric(&metrics, "vestibule_holds_made_total"), 3);
    assert_eq!(metric(&metrics, "vestibule_holds_resolved_total"), 2);
    assert_eq!(metric(&metrics, "vestibule_holds_waiting"), 1);
    assert_eq!(metric(&metrics, "vestibule_intake_gap"), 0);
    assert_eq!(metric(&metrics, "vestibule_holds_gap"), 0);

    let (_, decisions) = daemon.api("GET", "/api/v1/decisions?order=oldest&limit=100", None).await;
    let rows = decisions["items"].as_array().unwrap();
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        for field in ["outcome", "reason", "project", "mail_id", "message_id", "sender", "request", "held"] {
            assert_eq!(row[field], line[field], "{field} of {row} and {line}");
        }
        let last = row["trail"].as_array().unwrap().last();
        let said = format!("{} {}", row["outcome"].as_str().unwrap(), row["reason"].as_str().unwrap());
        assert!(last.is_some_and(|check| check["result"] == said), "{row}");
    }
    for (outcome, reason, count) in [
        ("create", "known-customer", 1),
        ("create", "new-portal-only-customer", 1),
        ("hold", "internal-account-unverified", 3),
        ("drop", "duplicate", 2),
        ("drop", "domain-not-allowed", 1),
        ("drop", "no-usable-sender", 2),
        ("drop", "automatic-message", 2),
    ] {
        let label = format!("vestibule_mails_decided_total{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
        assert!(metrics.contains(&format!("{label} {count}\n")), "{label} {count} in {metrics}");
        assert_eq!(intake.iter().filter(|line| line["reason"] == reason).count(), count, "{reason}");
    }
    daemon.stop().await;
}

/// `store.duplicate_window = "0s"`: copies are taken, even of the same millisecond.
#[tokio::test]
async fn copies_are_taken_where_nobody_looks_for_them() {
    let site = crate::daemon::SITE.replace("min_free = 0", "min_free = 0\nduplicate_window = \"0s\"");
    let daemon = Daemon::with(&site).await;
    for _ in 0..3 {
        assert!(daemon.mail("bob@partner.example", IT, "again").await.starts_with("250"));
    }
    let decided = daemon.log.events("mail.decided");
    let requests: Vec<_> = decided.iter().map(|line| line["request"].as_str()).collect();
    assert_eq!(requests, [Some("IT-1"), Some("IT-2"), Some("IT-3")]);
    daemon.stop().await;
}

/// `mail.from` may be an inbox: a reply to a verification mail waits with the mail it is about.
#[tokio::test]
async fn a_reply_to_a_verification_mail_waits_with_the_first() {
    let inbox = "it@help.example.com";
    let site = crate::daemon::SITE.replace("help@help.example.com", inbox);
    let daemon = Daemon::with(&site).await;
    daemon.mail("ada@approved.example", IT, "printer").await;
    let link = daemon.link(1).await;
    daemon.mail("ada@approved.example", IT, "Re: is this you?").await;
    let (_, held) = daemon.api("GET", "/api/v1/held?sender=ada@approved.example", None).await;
    assert_eq!(held["items"].as_array().unwrap().len(), 2);
    daemon.mail(inbox, IT, "in our own name").await;
    let last = daemon.log.events("mail.decided").pop().unwrap();
    assert_eq!(last["reason"], "no-usable-sender");
    daemon.page("POST", &link, "").await;
    assert_eq!(daemon.holds_ended(2).await.len(), 2);
    assert_eq!(daemon.outbound().len(), 1, "one verification mail for both");
    daemon.stop().await;
}

/// G01: whatever a mail holds, each event is one JSON line.
#[tokio::test]
async fn hostile_values_stay_inside_their_line() {
    let daemon = Daemon::start().await;
    let raw = message("bob@partner.example", IT, "x")
        .replace("Subject: x", "Subject: =?utf-8?q?a=0D=0A=7B=22event=22:=22mail.decided=22=7D=1B[31m?=")
        .replace("<x@", "<\u{1b}[31m\u{202e}x@");
    assert!(daemon.raw_mail("bob@partner.example", IT, &raw).await.starts_with("250"));
    assert_eq!(daemon.log.events("mail.decided").len(), 1);
    let text = daemon.log.text();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    daemon.stop().await;
}
