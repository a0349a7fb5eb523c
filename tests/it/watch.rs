//! What an operator watches: gauges and counters of a whole daemon, the audit log as it is read and followed.

use std::time::Duration;

use crate::{
    binary::{Process, Served, stderr, stdout},
    daemon::{Daemon, SITE, eventually, http, message},
};

const IT: &[&str] = &["it@help.example.com"];

async fn metrics(daemon: &Daemon, accept: &str) -> crate::daemon::Answer {
    let accept = format!("Accept: {accept}\r\n");
    http(daemon.addresses.admin, "GET", "/metrics", &accept, ("", "")).await
}

fn has(text: &str, sample: &str) -> bool {
    text.lines().any(|line| line == sample)
}

#[tokio::test]
async fn gauges_tell_what_waits_and_counters_how_far_verifications_came() {
    let daemon = Daemon::start().await;
    daemon.mail("ada@approved.example", IT, "opened").await;
    let link = daemon.link(1).await;
    daemon.page("GET", &link, "").await;
    daemon.page("GET", &link, "").await;
    daemon.advance(Duration::from_hours(2));
    daemon.mail("eva@approved.example", IT, "waits").await;
    daemon.link(2).await;
    // The event of the second mail is written behind the mail itself.
    eventually("both are told as sent", || daemon.log.events("verification.sent").len() == 2).await;
    let text = metrics(&daemon, "*/*").await.body;
    for sample in [
        "vestibule_verification_steps_total{step=\"sent\"} 2",
        "vestibule_verification_steps_total{step=\"opened\"} 1",
        "vestibule_holds_by_age{age=\"under-1h\"} 1",
        "vestibule_holds_by_age{age=\"1h-1d\"} 1",
        "vestibule_holds_by_age{age=\"over-7d\"} 0",
        "vestibule_holds_oldest_seconds 7200",
        "vestibule_outbox_waiting{kind=\"verification\"} 0",
        "vestibule_outbox_oldest_seconds{kind=\"forward\"} 0",
        "vestibule_link_guesser_keys 0",
    ] {
        assert!(has(&text, sample), "{sample} is not in\n{text}");
    }
    for stage in ["receive", "scan", "authenticate", "decide", "commit"] {
        let sample = format!("vestibule_stage_seconds_count{{stage=\"{stage}\"}} 2");
        assert!(has(&text, &sample), "{sample} is not in\n{text}");
    }
    assert!(!text.contains("expiry_timestamp_seconds{"), "no certificate is configured");
    let size = text.lines().find_map(|line| line.strip_prefix("vestibule_store_bytes ")).unwrap();
    assert!(size.parse::<u64>().unwrap() > 0);

    daemon.page("POST", &link, "").await;
    daemon.page("GET", "/verify/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA", "").await;
    daemon.advance(Duration::from_hours(24 * 60));
    daemon.holds_ended(2).await;
    let text = metrics(&daemon, "*/*").await.body;
    for sample in [
        "vestibule_verification_steps_total{step=\"redeemed\"} 1",
        "vestibule_verification_steps_total{step=\"expired\"} 1",
        "vestibule_link_guesser_keys 1",
        "vestibule_holds_oldest_seconds 0",
    ] {
        assert!(has(&text, sample), "{sample} is not in\n{text}");
    }
    daemon.stop().await;
}

/// A relay that is away: the outbox grows old.
#[tokio::test]
async fn the_outbox_tells_its_age() {
    let daemon = Daemon::with(&SITE.replace("file:outbound", "smtp://127.0.0.1:1")).await;
    daemon.mail("ada@approved.example", IT, "held").await;
    daemon.advance(Duration::from_mins(1));
    let text = metrics(&daemon, "*/*").await.body;
    assert!(has(&text, "vestibule_outbox_waiting{kind=\"verification\"} 1"), "{text}");
    assert!(has(&text, "vestibule_outbox_oldest_seconds{kind=\"verification\"} 60"), "{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn the_older_format_names_counters_as_it_wants_them() {
    let daemon = Daemon::start().await;
    let plain = metrics(&daemon, "text/plain;version=0.0.4").await;
    assert!(plain.head.contains("text/plain; version=0.0.4"), "{}", plain.head);
    assert!(has(&plain.body, "# TYPE vestibule_mails_accepted_total counter"));
    assert!(has(&plain.body, "# TYPE vestibule_holds_waiting gauge") && !plain.body.contains("# EOF"));
    let prometheus =
        metrics(&daemon, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let open = prometheus.await;
    assert!(open.head.contains("application/openmetrics-text") && open.body.ends_with("# EOF\n"));
    daemon.stop().await;
}

#[test]
fn the_audit_log_is_filtered_explained_and_followed() {
    let served = Served::start();
    let relay = |from: &str, subject: &str| served.relay(&message(from, IT, subject));
    relay("eve@elsewhere.example", "one");
    relay("bob@partner.example", "two");
    let count = |args: &[&str]| {
        served.json(&[&["decisions", "list"], args].concat())["items"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&["--domain", "elsewhere.example"]), 1);
    assert_eq!(count(&["--domain", "example"]), 0);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--since", "1h", "--outcome", "drop"]), 1);
    let dropped = served.json(&["decisions", "list", "--outcome", "drop"]);
    let shown = stdout(&served.ask(&["decisions", "show", dropped["items"][0]["mail_id"].as_str().unwrap()]));
    for part in [
        "decided_by",
        "access.external.only_allowed_domains = true, and allowed_domains has no elsewhere.example",
        "to_change",
        "add \"elsewhere.example\" to access.external.allowed_domains",
        "allowed-domains",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }

    let url = format!("http://{}", served.http);
    let follow = ["decisions", "--follow", "--reason", "domain-not-allowed", "--url", &url, "--token"];
    let mut followed = Process::start(&[&follow[..], &[crate::daemon::TOKEN]].concat());
    assert!(followed.line().contains("eve@elsewhere.example"), "what is there already comes first");
    relay("bob@partner.example", "three");
    relay("joe@elsewhere.example", "four");
    let line = followed.line();
    assert!(
        line.contains("joe@elsewhere.example") && line.contains("  drop    domain-not-allowed"),
        "{line}"
    );
    drop(followed);
    let wrong = served.ask(&["decisions", "list", "--follow", "--all"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    served.stop();
}
