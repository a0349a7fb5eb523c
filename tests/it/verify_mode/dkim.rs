//! DKIM: what is a proof, and what is none however well it is signed.

use mail_auth::{common::headers::HeaderWriter, dkim::DkimSigner};

use super::{
    ANN, BOSS, CLIENT, SIGNED, decided, findings, fixture, mail, publish, publish_ed25519, rsa, signed, site,
    told,
};
use crate::{
    daemon::{Daemon, Smtp},
    dns::Dns,
};

/// A whole mail with a signature made to measure.
fn with(raw: &str, domain: &str, adapt: impl FnOnce(&mut mail_auth::dkim::Signature)) -> String {
    let mut signer = DkimSigner::from_key(rsa()).domain(domain).selector("s1").headers(SIGNED);
    adapt(&mut signer.template);
    signer.sign(raw.as_bytes()).unwrap().to_header() + raw
}

/// The signature with an end in the past.
fn expired(raw: &str) -> String {
    let (before, rest) = raw.split_once(" x=").expect("the signature ends");
    let (_, after) = rest.split_once(';').unwrap();
    format!("{before} x=2;{after}")
}

/// Without a DMARC record an aligned signature of either kind proves; the trail has domain and selector.
#[tokio::test]
async fn an_aligned_signature_proves_the_sender() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    let key = publish_ed25519(&dns, "e1", "partner.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let raw = mail(ANN, "ed");
    let signer = DkimSigner::from_key(key).domain("partner.example").selector("e1").headers(SIGNED);
    let ed = signer.sign(raw.as_bytes()).unwrap().to_header() + &raw;
    let line = decided(&daemon, None, "x@evil.example", &ed).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"));
    assert_eq!(findings(&daemon).await[0], "dkim=pass header.d=partner.example header.s=e1");
    let line = decided(&daemon, None, ANN, &signed(&mail(ANN, "rsa"), "s1", "partner.example")).await;
    assert_eq!(told(&line), ("known-customer", "proven"));
    let line = decided(&daemon, None, ANN, &fixture("rsa1024.eml")).await;
    assert_eq!(told(&line), ("sender-unproven", "unproven"), "its key is not published");
    dns.ttl(0);
    dns.txt("bits1024._domainkey.partner.example", fixture("rsa1024.txt").trim());
    dns.txt("bits768._domainkey.partner.example", fixture("rsa768.txt").trim());
    let line = decided(&daemon, None, ANN, &fixture("rsa768.eml")).await;
    assert_eq!(told(&line), ("sender-unproven", "unproven"));
    assert!(findings(&daemon).await[0].starts_with("dkim=fail header.d=partner.example header.s=bits768"));
    daemon.reload(&site(&dns, "retry_window = \"2h\""));
    let metrics = crate::daemon::http(daemon.addresses.admin, "GET", "/metrics", "", ("", "")).await.body;
    assert!(
        metrics.contains("vestibule_sender_checks_total{method=\"dkim\",result=\"pass\"} 2"),
        "{metrics}"
    );
    daemon.stop().await;
}

/// 1024 bits are few, and enough (RFC 8301 §3.2): the mail of 768 bits fails for its key alone.
#[tokio::test]
async fn a_key_of_1024_bits_is_enough() {
    let dns = Dns::start().await;
    dns.txt("bits1024._domainkey.partner.example", fixture("rsa1024.txt").trim());
    let daemon = Daemon::with(&site(&dns, "")).await;
    let line = decided(&daemon, None, ANN, &fixture("rsa1024.eml")).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"));
    daemon.stop().await;
}

/// S18: an appended body, an unsigned From, an expired signature, a changed body, SHA-1, a signature of nobody's key.
#[tokio::test]
async fn a_signature_that_leaves_something_open_proves_nothing() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let domain = "partner.example";
    let raw = |subject: &str| mail(ANN, subject);
    let unsigned_from = with(&raw("from"), domain, |it| it.h.retain(|name| name != "From"));
    let appended = with(&raw("cut"), domain, |it| it.l = 1) + "and buy this\r\n";
    assert!(appended.contains(" l="), "{appended}");
    let cases = [
        ("dkim=policy header.d=partner.example header.s=s1 (l= leaves", appended),
        ("dkim=policy header.d=partner.example header.s=s1 (From is not signed", unsigned_from),
        (
            "dkim=fail header.d=partner.example header.s=s1 (Signature expired",
            expired(&with(&raw("old"), domain, |it| it.x = 60)),
        ),
        (
            "dkim=fail header.d=partner.example header.s=s1 (",
            signed(&raw("body"), "s1", domain).replace("Hello", "Goodbye"),
        ),
        (
            "dkim=fail header.d=partner.example header.s=s1 (",
            signed(&raw("head"), "s1", domain).replace("Subject: head", "Subject: changed"),
        ),
        (
            "dkim=policy header.d=partner.example header.s=s1 (rsa-sha1",
            signed(&raw("sha1"), "s1", domain).replace("a=rsa-sha256", "a=rsa-sha1"),
        ),
        ("dkim=permerror (Unsupported version", signed(&raw("v2"), "s1", domain).replace("v=1;", "v=2;")),
        ("dkim=permerror header.d=partner.example header.s=none (", signed(&raw("none"), "none", domain)),
        ("dkim=none", raw("bare")),
    ];
    for (finding, raw) in cases {
        let line = decided(&daemon, None, ANN, &raw).await;
        assert_eq!(told(&line), ("sender-unproven", "unproven"), "{finding}: {raw}");
        let found = findings(&daemon).await;
        assert!(found[0].starts_with(finding), "{finding}: {found:?}");
    }
    daemon.stop().await;
}

/// S02: a good signature of the attacker's own domain speaks for that domain alone.
#[tokio::test]
async fn another_domains_signature_proves_nothing() {
    let dns = Dns::start().await;
    for domain in ["evil.example", "notapproved.example", "approved.example.evil.example", "example"] {
        publish(&dns, "s1", domain);
    }
    dns.txt("_dmarc.approved.example", "v=DMARC1; p=reject");
    let daemon = Daemon::with(&site(&dns, "")).await;
    for (number, domain) in
        ["evil.example", "notapproved.example", "approved.example.evil.example"].iter().enumerate()
    {
        let raw = signed(&mail(BOSS, &format!("n{number}")), "s1", domain);
        let line = decided(&daemon, Some(CLIENT), "x@evil.example", &raw).await;
        assert_eq!(told(&line), ("sender-forged", "disproven"), "{domain}");
        let raw = signed(&mail(ANN, &format!("p{number}")), "s1", domain);
        let line = decided(&daemon, Some(CLIENT), "x@evil.example", &raw).await;
        assert_eq!(told(&line), ("sender-unproven", "unproven"), "{domain}");
    }
    daemon.stop().await;
}

/// S19: the same signed bytes again are a copy, not a second request.
#[tokio::test]
async fn replayed_signed_bytes_are_a_duplicate() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let raw = signed(&mail(ANN, "once"), "s1", "partner.example");
    for (reason, from) in
        [("new-portal-only-customer", ANN), ("duplicate", ANN), ("duplicate", "x@evil.example")]
    {
        assert_eq!(told(&decided(&daemon, None, from, &raw).await), (reason, "proven"));
    }
    let (_, list) = daemon.api("GET", "/api/v1/requests", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    daemon.stop().await;
}

/// A flood of signatures costs five queries for keys at the most, and the From domain's own come first.
#[tokio::test]
async fn five_signatures_are_tried_and_aligned_ones_first() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "partner.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let mut raw = signed(&mail(ANN, "flood"), "s1", "partner.example");
    for number in 0..20 {
        raw = signed(&raw, "s1", &format!("d{number}.evil.example"));
    }
    let line = decided(&daemon, None, ANN, &raw).await;
    assert_eq!(told(&line), ("new-portal-only-customer", "proven"));
    let keys = dns.asked().iter().filter(|name| name.contains("_domainkey")).count();
    assert_eq!(keys, 5, "{:?}", dns.asked());
    let found = findings(&daemon).await;
    assert!(found.contains(&"16 more DKIM signatures: not tried".to_owned()), "{found:?}");
    daemon.stop().await;
}

/// S03 to S11: a signature over the bytes of an author whom some reader takes for another proves nobody.
#[tokio::test]
async fn a_signed_from_that_can_be_read_in_two_ways_is_nobodys() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "approved.example");
    dns.txt("_dmarc.approved.example", "v=DMARC1; p=reject");
    let daemon = Daemon::with(&site(&dns, "")).await;
    for (number, from) in [
        "b@evil.example\r\n\t<boss@approved.example>",
        "<b@evil.example> <boss@approved.example>",
        "boss@approved.example, b@evil.example",
        "b@evil.example\r\nFrom: boss@approved.example",
        "g:boss@approved.example;",
        "=?utf-8?q?boss=40approved.example?=",
        "b@evil.example@approved.example",
    ]
    .iter()
    .enumerate()
    {
        let raw = mail(BOSS, &format!("n{number}")).replace("Somebody <boss@approved.example>", from);
        let raw = signed(&raw, "s1", "approved.example");
        let line = decided(&daemon, None, "x@evil.example", &raw).await;
        assert_eq!(told(&line), ("no-usable-sender", "unproven"), "{from}");
    }
    assert!(dns.asked().is_empty(), "nothing is asked for a sender that can't be used: {:?}", dns.asked());
    daemon.stop().await;
}

/// S19: lines before a replayed mail that end the header block for one reader and not for another: its signature would stand
/// for a text that was never signed. A chunk brings bare LFs and CRs.
#[tokio::test]
async fn a_replayed_signature_stands_for_no_other_text() {
    let dns = Dns::start().await;
    publish(&dns, "s1", "approved.example");
    dns.txt("_dmarc.approved.example", "v=DMARC1; p=reject");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    for (number, (before, standing)) in [
        ("", "proven"),
        ("X-Mark: y\r\n", "proven"),
        ("X: y\r\n\x0c\nPay z\n", "disproven"),
        ("X: y\r\n\x0c\n z: Pay\n", "disproven"),
        ("X: y\r\n\x0b\nPay z\n", "disproven"),
        ("X: y\r\n\r\rPay: z\r\n", "disproven"),
        ("X: y\r\r\nPay: z\r\n", "disproven"),
        ("X: y\rPay: z\r\n", "disproven"),
        ("junk\nX: y\n", "disproven"),
        (" \nX: y\n", "disproven"),
    ]
    .into_iter()
    .enumerate()
    {
        let raw = before.to_owned() + &signed(&mail(BOSS, &format!("n{number}")), "s1", "approved.example");
        let reply = smtp.bdat("x@evil.example", super::IT[0], raw.as_bytes()).await;
        assert!(reply.starts_with("250 2.0.0"), "{before:?}: {reply}");
        let lines = daemon.log.events("mail.decided");
        assert_eq!(lines.len(), number + 1);
        assert_eq!(lines[number]["standing"], standing, "{before:?}: {:?}", findings(&daemon).await);
    }
    daemon.stop().await;
}
