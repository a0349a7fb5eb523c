//! SPF: whom it is asked about, and what its answers are worth.

use super::{ANN, BOSS, CLIENT, decided, findings, mail, site, told};
use crate::{daemon::Daemon, dns::Dns};

/// Without a DMARC record: proof for domains that are not approved, with the client's address alone.
#[tokio::test]
async fn the_clients_address_proves_who_is_not_approved() {
    let dns = Dns::start().await;
    let record = format!("v=spf1 ip4:{CLIENT} -all");
    dns.txt("partner.example", &record).txt("approved.example", &record).txt("evil.example", &record);
    let daemon = Daemon::with(&site(&dns, "")).await;
    let rows = [
        ("198.51.100.1", ANN, ANN, "sender-unproven", "unproven", "spf=fail smtp.mailfrom=partner.example"),
        (CLIENT, ANN, "x@evil.example", "sender-unproven", "unproven", "spf=pass smtp.mailfrom=evil.example"),
        (
            CLIENT,
            BOSS,
            BOSS,
            "internal-account-unverified",
            "unproven",
            "spf=pass smtp.mailfrom=approved.example",
        ),
        (CLIENT, ANN, ANN, "new-portal-only-customer", "proven", "spf=pass smtp.mailfrom=partner.example"),
    ];
    for (number, (client, from, mail_from, reason, standing, finding)) in rows.into_iter().enumerate() {
        let raw = mail(from, &format!("n{number}"));
        let line = decided(&daemon, Some(client), mail_from, &raw).await;
        assert_eq!(told(&line), (reason, standing), "{client} {mail_from}");
        let found = findings(&daemon).await;
        assert!(found.contains(&finding.to_owned()), "{found:?}");
    }
    daemon.stop().await;
}

/// Each result but a pass leaves the sender unproven.
#[tokio::test]
async fn softfail_neutral_and_errors_prove_nothing() {
    let dns = Dns::start().await;
    let includes: Vec<_> = (0..11).map(|n| format!("include:i{n}.spf.example")).collect();
    for n in 0..11 {
        dns.txt(&format!("i{n}.spf.example"), "v=spf1 ?ip4:192.0.2.1");
    }
    dns.a("host.spf.example", CLIENT).mx("spf.example", "host.spf.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let rows = [
        ("softfail", "v=spf1 ~all".to_owned()),
        ("neutral", "v=spf1 ?all".to_owned()),
        ("permerror", format!("v=spf1 {} ip4:{CLIENT} -all", includes.join(" "))),
        ("permerror", "v=spf1 include:nobody.example -all".to_owned()),
        ("none", "no record".to_owned()),
        ("pass", "v=spf1 a:host.spf.example -all".to_owned()),
        ("pass", "v=spf1 mx:spf.example -all".to_owned()),
        ("pass", "v=spf1 redirect=other.spf.example".to_owned()),
    ];
    dns.txt("other.spf.example", &format!("v=spf1 ip4:{CLIENT} -all"));
    for (number, (word, record)) in rows.into_iter().enumerate() {
        let domain = format!("s{number}.example");
        dns.txt(&domain, &record);
        let from = format!("ann@{domain}");
        let raw = mail(&from, &format!("n{number}"));
        let line = decided(&daemon, Some(CLIENT), &from, &raw).await;
        let standing = if word == "pass" { "proven" } else { "unproven" };
        assert_eq!(line["standing"], standing, "{record}");
        let found = findings(&daemon).await;
        assert!(found.contains(&format!("spf={word} smtp.mailfrom={domain}")), "{record}: {found:?}");
    }
    daemon.stop().await;
}

/// The relay's own address is never asked about, though the domain's record holds it: it would prove every forgery.
#[tokio::test]
async fn a_relays_own_address_proves_nobody() {
    let dns = Dns::start().await;
    dns.txt("partner.example", "v=spf1 ip4:127.0.0.1 ip4:198.51.100.24/30 ip4:10.0.0.0/8 -all");
    let anywhere = "allow_from = [\"0.0.0.0/0\", \"::/0\"]\nproxy_from = [\"198.51.100.26\"]";
    let named = "allow_from = [\"127.0.0.1\", \"198.51.100.25\"]";
    for (smtp, clients) in [
        (named, &[None, Some("198.51.100.25"), Some("10.1.2.3"), Some("127.0.0.1")][..]),
        // Of those who tell of clients, one that tells of none.
        (anywhere, &[Some("198.51.100.26"), Some("198.51.100.27"), Some("[UNAVAILABLE]")]),
    ] {
        nobody_is_proven(&dns, smtp, clients).await;
    }
    assert!(!dns.asked().iter().any(|name| name == "partner.example TXT"), "{:?}", dns.asked());
}

async fn nobody_is_proven(dns: &Dns, smtp: &str, clients: &[Option<&str>]) {
    let site = site(dns, "").replace("[\"127.0.0.1\"]", "[\"127.0.0.1\", \"198.51.100.27\"]");
    let daemon = Daemon::with(&site.replace("[smtp]", &format!("[smtp]\n{smtp}"))).await;
    for (number, client) in clients.iter().copied().enumerate() {
        let line = decided(&daemon, client, ANN, &mail(ANN, &format!("n{number}"))).await;
        assert_eq!(told(&line), ("sender-unproven", "unproven"), "{client:?}");
        let found = findings(&daemon).await;
        assert!(found.iter().any(|line| line.starts_with("spf was not asked")), "{found:?}");
    }
    daemon.stop().await;
}
