//! DMARC: policies, alignment, subdomains.

use super::{ANN, BOSS, CLIENT, decided, findings, mail, publish, signed, site, told};
use crate::{daemon::Daemon, dns::Dns};

/// S01 and what follows from each policy, for a mail that nothing proves.
#[tokio::test]
async fn a_failure_is_as_bad_as_the_owner_says() {
    let dns = Dns::start().await;
    for (name, record) in [
        ("reject", "v=DMARC1; p=reject"),
        ("quarantine", "v=DMARC1; p=quarantine"),
        ("none", "v=DMARC1; p=none"),
        ("testing", "v=DMARC1; p=reject; t=y"),
        ("sub", "v=DMARC1; p=none; sp=reject"),
        ("np", "v=DMARC1; p=none; np=reject"),
        ("both", "v=DMARC1; p=reject; sp=none"),
        ("broken", "v=DMARC1; p=perhaps"),
    ] {
        dns.txt(&format!("_dmarc.{name}.partner.example"), record);
    }
    dns.a("there.np.partner.example", "192.0.2.1");
    let daemon =
        Daemon::with(&site(&dns, "").replace("\"partner.example\"]", "\"*.partner.example\"]")).await;
    let rows = [
        ("reject", "sender-forged", "disproven", 0),
        ("quarantine", "sender-unproven", "unproven", 0),
        ("testing", "sender-unproven", "unproven", 0),
        ("sub", "sender-unproven", "unproven", 1),
        ("a.sub", "sender-forged", "disproven", 1),
        ("np", "sender-unproven", "unproven", 2),
        ("gone.np", "sender-forged", "disproven", 2),
        ("there.np", "sender-unproven", "unproven", 3),
        ("both", "sender-forged", "disproven", 3),
        ("a.both", "sender-unproven", "unproven", 4),
        ("none", "sender-unproven", "unproven", 5),
        ("broken", "sender-unproven", "unproven", 6),
        ("absent", "sender-unproven", "unproven", 7),
    ];
    for (name, reason, standing, mails) in rows {
        let from = format!("ann@{name}.partner.example");
        let line =
            decided(&daemon, Some(CLIENT), "x@evil.example", &mail(&from, &name.replace('.', "-"))).await;
        assert_eq!(told(&line), (reason, standing), "{name}: {:?}", findings(&daemon).await);
        crate::daemon::eventually("its mail is out", || daemon.outbound().len() >= mails).await;
        assert_eq!(daemon.outbound().len(), mails, "{name}");
    }
    daemon.stop().await;
}

/// S01, S15: a forged From of an approved domain is dropped, nobody is mailed; Sender and Reply-To change nothing.
#[tokio::test]
async fn a_forged_sender_of_an_approved_domain_is_dropped_and_nobody_is_mailed() {
    let dns = Dns::start().await;
    dns.txt("_dmarc.approved.example", "v=DMARC1; p=reject")
        .txt("approved.example", "v=spf1 ip4:192.0.2.1 -all");
    publish(&dns, "s1", "evil.example");
    let daemon = Daemon::with(&site(&dns, "")).await;
    let plain = mail(BOSS, "plain");
    let rows = [
        (Some(CLIENT), "x@evil.example", plain.clone()),
        (Some(CLIENT), BOSS, mail(BOSS, "aligned")),
        (None, "x@evil.example", mail(BOSS, "behind")),
        (None, "x@sub.evil.example", signed(&mail(BOSS, "signed"), "s1", "evil.example")),
        (
            None,
            "x@evil.example",
            format!("Sender: x@evil.example\r\nReply-To: x@evil.example\r\n{}", mail(BOSS, "both")),
        ),
    ];
    for (client, mail_from, raw) in rows {
        let line = decided(&daemon, client, mail_from, &raw).await;
        assert_eq!(told(&line), ("sender-forged", "disproven"), "{raw}");
    }
    // No client was told, and SPF might have passed for the one who claims to send: held, and nobody is mailed either.
    let line = decided(&daemon, None, BOSS, &mail(BOSS, "unknown")).await;
    assert_eq!(told(&line), ("internal-account-unverified", "unproven"));
    // From elsewhere; the approved names stand where they are no identity.
    let raw = format!("Sender: {BOSS}\r\nReply-To: {BOSS}\r\n{}", mail("z@evil.example", "reply"));
    let line = decided(&daemon, None, "z@evil.example", &raw).await;
    assert_eq!(told(&line), ("domain-not-allowed", "unproven"));
    assert!(daemon.log.events("verification.sent").is_empty() && daemon.outbound().is_empty());
    daemon.stop().await;
}

/// Relaxed alignment by default, strict where the owner or the site says so.
#[tokio::test]
async fn a_pass_needs_an_aligned_domain() {
    let dns = Dns::start().await;
    dns.txt("_dmarc.approved.example", "v=DMARC1; p=reject")
        .txt("_dmarc.partner.example", "v=DMARC1; p=reject; adkim=s; aspf=s")
        .txt("bounce.approved.example", &format!("v=spf1 ip4:{CLIENT} -all"));
    for domain in ["approved.example", "mail.approved.example", "partner.example", "mail.partner.example"] {
        publish(&dns, "s1", domain);
    }
    let daemon = Daemon::with(&site(&dns, "")).await;
    let strict = "strict_alignment = [\"approved.example\"]";
    let evil = "x@evil.example";
    let rows = [
        ("", BOSS, "approved.example", evil, "proven"),
        ("", BOSS, "mail.approved.example", evil, "proven"),
        ("", BOSS, "", "x@bounce.approved.example", "proven"),
        ("", "boss@deep.approved.example", "approved.example", evil, "proven"),
        ("", ANN, "partner.example", evil, "proven"),
        ("", ANN, "mail.partner.example", evil, "disproven"),
        (strict, BOSS, "approved.example", evil, "proven"),
        (strict, BOSS, "mail.approved.example", evil, "unproven"),
        (strict, BOSS, "", "x@bounce.approved.example", "unproven"),
        (strict, "boss@deep.approved.example", "approved.example", evil, "proven"),
    ];
    for (number, (more, from, domain, mail_from, standing)) in rows.into_iter().enumerate() {
        daemon.reload(&site(&dns, more));
        let raw = mail(from, &format!("n{number}"));
        let raw = if domain.is_empty() { raw } else { signed(&raw, "s1", domain) };
        let line = decided(&daemon, Some(CLIENT), mail_from, &raw).await;
        assert_eq!(line["standing"], standing, "{number}: {from} {domain} {:?}", findings(&daemon).await);
    }
    daemon.stop().await;
}
