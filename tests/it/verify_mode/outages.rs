//! DNS that is slow, failing or gone; what is asked, and how often.

use std::time::Duration;

use bytes::Bytes;
use vestibule::authn::{Claim, DEADLINE, Verifier};

use super::{ANN, BOSS, IT, decided, findings, mail, publish, relay, signed, site, told};
use crate::{
    daemon::{Daemon, Smtp, TOKEN, http},
    dns::{Dns, Mood},
};

/// A mail that its relay has taken at this time.
fn taken_at(raw: &str, time: &str) -> String {
    format!("Received: from a by mx.example; {time}\r\n{raw}")
}

const NOW: &str = "Thu, 1 Jan 2026 00:00:00 +0000";

/// A failure of DNS that matters sends a young mail back, an old one is held; one that does not matter is no failure.
#[tokio::test]
async fn a_young_mail_comes_again_and_an_old_one_is_held() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    dns.mood_of("_dmarc.partner.example", Mood::Failing).mood_of("_dmarc.approved.example", Mood::Failing);
    let daemon = Daemon::with(&site(&dns, "")).await;
    let raw = signed(&mail(ANN, "young"), "s1", "partner.example");
    for time in [NOW, "Thu, 1 Jan 2026 00:04:00 +0000", "Wed, 31 Dec 2025 23:01:00 +0000 (UTC)"] {
        let reply = relay(&daemon, None, ANN, &taken_at(&raw, time)).await;
        assert!(reply.starts_with("451 4.7.0 "), "{time}: {reply}");
    }
    let refused = daemon.log.events("smtp.refused");
    assert_eq!((&refused[0]["code"], &refused[0]["reason"]), (&451.into(), &"sender-unchecked".into()));
    let unchecked = daemon.log.events("sender.unchecked");
    assert_eq!(unchecked.len(), 3);
    assert!(
        unchecked[0]["error"].as_str().unwrap().starts_with("dmarc=temperror header.from=partner.example")
    );
    assert!(daemon.log.events("mail.decided").is_empty() && daemon.log.events("store.failed").is_empty());
    // Older, without a time, or with one that is to come: its sender can't have it wait for ever.
    for (number, top) in [
        "Received: from a by b; Wed, 31 Dec 2025 22:59:00 +0000",
        "Received: from a by b; Thu, 1 Jan 2026 00:06:00 +0000",
        "Received: from a by b",
    ]
    .iter()
    .enumerate()
    {
        let raw = signed(&mail(ANN, &format!("old{number}")), "s1", "partner.example");
        let line = decided(&daemon, None, ANN, &format!("{top}\r\n{raw}")).await;
        assert_eq!(told(&line), ("sender-unproven", "unproven"), "{top}");
    }
    dns.mood_of("_dmarc.partner.example", Mood::Well);
    let line = decided(&daemon, None, ANN, &taken_at(&raw, NOW)).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"));
    daemon.stop().await;
}

/// The key of a stranger's signature may fail as it likes; that of the From domain counts.
#[tokio::test]
async fn only_answers_that_could_prove_the_sender_are_waited_for() {
    let dns = Dns::start().await;
    dns.mood_of("s1._domainkey.evil.example", Mood::Failing)
        .mood_of("s1._domainkey.partner.example", Mood::Failing);
    let daemon = Daemon::with(&site(&dns, "")).await;
    let strangers = taken_at(&signed(&mail(ANN, "stranger"), "s1", "evil.example"), NOW);
    assert_eq!(told(&decided(&daemon, None, ANN, &strangers).await), ("sender-unproven", "unproven"));
    let own = taken_at(&signed(&mail(ANN, "own"), "s1", "partner.example"), NOW);
    assert!(relay(&daemon, None, ANN, &own).await.starts_with("451 4.7.0 "));
    daemon.reload(&site(&dns, "retry_window = \"0s\""));
    assert_eq!(told(&decided(&daemon, None, ANN, &own).await), ("sender-unproven", "unproven"));
    daemon.stop().await;
}

/// Mail for the postmaster waits for nobody's DNS.
#[tokio::test]
async fn mail_for_the_postmaster_is_not_checked() {
    let dns = Dns::start().await;
    dns.mood(Mood::Dead);
    let site = site(&dns, "").replace("[smtp]", "[smtp]\npostmaster = \"ops@example.com\"");
    let daemon = Daemon::with(&site).await;
    let raw = mail(ANN, "postmaster");
    assert!(daemon.raw_mail(ANN, &["postmaster@help.example.com"], &raw).await.starts_with("250 2.0.0"));
    assert!(dns.asked().is_empty());
    daemon.stop().await;
}

/// D07: twenty signatures and name servers that never answer end at the deadline, by a clock that is moved by hand.
#[tokio::test(start_paused = true)]
async fn a_flood_of_signatures_and_a_dead_resolver_end_at_the_deadline() {
    let dns = Dns::start().await;
    dns.mood(Mood::Dead);
    let mut raw = mail(BOSS, "flood");
    for number in 0..20 {
        raw = signed(&raw, "s1", &format!("d{number}.evil.example"));
    }
    let claim = Claim {
        raw: Bytes::from(raw),
        from: BOSS.parse().unwrap(),
        approved: true,
        strict: false,
        client: None,
        helo: "mail.evil.example".to_owned(),
        reverse_path: "x@evil.example".to_owned(),
        hostname: "help.example.com".to_owned(),
        sealers: Vec::new(),
    };
    let verifier = Verifier::new(Some(dns.address)).unwrap();
    let begun = tokio::time::Instant::now();
    let verdict = verifier.verify(claim).await;
    assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(10), "{:?}", begun.elapsed());
    assert_eq!(verdict.evidence.standing.as_str(), "unproven");
    assert!(verdict.unanswered.is_some());
    let names: std::collections::HashSet<_> = dns.asked().into_iter().collect();
    assert!(names.len() <= 5, "{names:?}");
}

/// Slow answers that come in time count.
#[tokio::test]
async fn slow_answers_count() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    dns.mood(Mood::Slow(Duration::from_millis(100)));
    let daemon = Daemon::with(&site(&dns, "")).await;
    let line = decided(&daemon, None, ANN, &signed(&mail(ANN, "slow"), "s1", "partner.example")).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"));
    daemon.stop().await;
}

/// 500 mails of one domain cost one set of queries: at once, one after the other, and for the records that are not there.
#[tokio::test]
async fn five_hundred_mails_cost_one_set_of_queries() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    dns.mood(Mood::Slow(Duration::from_millis(50)));
    let daemon = Daemon::with(&site(&dns, "")).await;
    let address = daemon.addresses.smtp[0];
    let sessions = (0..20).map(|session| {
        tokio::spawn(async move {
            let mut smtp = Smtp::connect(address).await;
            for number in 0..25 {
                let from = format!("ann{session}.{number}@partner.example");
                let raw = signed(&mail(&from, &format!("n{number}")), "s1", "partner.example");
                let reply = smtp.mail(&from, IT, &raw).await;
                assert!(reply.starts_with("250 2.0.0"), "{reply}");
            }
        })
    });
    for task in sessions.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut asked = dns.asked();
    asked.sort();
    let expected = ["_dmarc.example TXT", "_dmarc.partner.example TXT", "s1._domainkey.partner.example TXT"];
    assert_eq!(asked, expected);
    assert_eq!(
        daemon.log.events("mail.decided").iter().filter(|line| line["standing"] == "proven").count(),
        500
    );
    daemon.stop().await;
}

/// An answer that is too long for UDP is asked for over TCP; answers are forgotten with their TTL.
#[tokio::test]
async fn long_answers_come_over_tcp_and_old_ones_are_asked_for_again() {
    let dns = Dns::start().await;
    dns.ttl(0);
    publish(&dns, "s1", "partner.example");
    for _ in 0..8 {
        dns.txt("s1._domainkey.partner.example", &"x".repeat(250));
    }
    let daemon = Daemon::with(&site(&dns, "")).await;
    let line = decided(&daemon, None, ANN, &signed(&mail(ANN, "long"), "s1", "partner.example")).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"), "{:?}", findings(&daemon).await);
    assert_eq!(dns.asked_over_tcp(), 1);
    dns.remove("s1._domainkey.partner.example");
    let line = decided(&daemon, None, ANN, &signed(&mail(ANN, "gone"), "s1", "partner.example")).await;
    assert_eq!(told(&line), ("sender-unproven", "unproven"));
    daemon.stop().await;
}

/// SIGHUP: another resolver and another mode are in force for the next mail.
#[tokio::test]
async fn another_resolver_is_asked_after_a_reload() {
    let (empty, dns) = (Dns::start().await, Dns::start().await);
    publish(&dns, "s1", "partner.example");
    let daemon = Daemon::with(crate::daemon::SITE).await;
    let raw = |subject: &str| signed(&mail(ANN, subject), "s1", "partner.example");
    for (site, standing) in [
        (site(&empty, ""), "unproven"),
        (site(&dns, ""), "proven"),
        (site(&empty, ""), "unproven"),
        (crate::daemon::SITE.to_owned(), "proven"),
        (site(&empty, ""), "unproven"),
    ] {
        daemon.reload(&site);
        let loaded = daemon.log.events("config.loaded").len();
        let line = decided(&daemon, None, ANN, &raw(&format!("n{loaded}"))).await;
        assert_eq!(line["standing"], standing, "{site}");
    }
    daemon.stop().await;
}

/// The API explains with DNS, and with SPF for the client that is named.
#[tokio::test]
async fn explain_asks_dns_too() {
    let dns = Dns::start().await;
    dns.txt("partner.example", "v=spf1 ip4:203.0.113.9 -all").mood_of("_dmarc.slow.example", Mood::Failing);
    let daemon = Daemon::with(&site(&dns, "")).await;
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let ask = async |more: &str, from: &str| {
        let path = format!("/api/v1/explain?rcpt=it@help.example.com{more}");
        http(daemon.addresses.admin, "POST", &path, &auth, ("message/rfc822", &mail(from, "x"))).await
    };
    let without = ask("", ANN).await;
    assert!(
        without.body.contains("sender-unproven") && without.body.contains("spf was not asked"),
        "{without:?}"
    );
    let with = ask("&client_ip=203.0.113.9", ANN).await;
    assert!(with.body.contains("new-portal-only-customer") && with.body.contains("spf=pass"), "{with:?}");
    let slow = ask("", "ann@slow.example").await;
    assert!(slow.body.contains("451 4.7.0 until the mail is 3600 s old"), "{slow:?}");
    let wrong = ask("&client_ip=nobody", ANN).await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert!(daemon.log.events("mail.decided").is_empty());
    daemon.stop().await;
}

/// A large mail is checked as a small one.
#[tokio::test]
async fn a_large_mail_is_checked() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let raw = mail(ANN, "large") + &"0123456789 0123456789 0123456789 0123456789\r\n".repeat(20_000);
    let raw = signed(&raw, "s1", "partner.example");
    assert_eq!(told(&decided(&daemon, None, ANN, &raw).await), ("new-portal-only-customer", "proven"));
    let changed = raw.replacen("0123456789 0", "0123456789 1", 1);
    assert_eq!(told(&decided(&daemon, None, ANN, &changed).await), ("sender-unproven", "unproven"));
    daemon.stop().await;
}
