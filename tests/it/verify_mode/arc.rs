//! ARC: the word of forwarders that the site names, and of nobody else.

use mail_auth::{
    ArcOutput, AuthenticatedMessage, AuthenticationResults, DmarcOutput, DmarcResult, MessageAuthenticator,
    arc::ArcSealer, common::headers::HeaderWriter,
};

use super::{ANN, decided, findings, mail, publish, rsa, site, told};
use crate::{daemon::Daemon, dns::Dns};

/// The mail as a forwarder hands it on: changed, so that its own proof is gone, with what the forwarder found, sealed.
fn forwarded(raw: &str, sealer: &str, dmarc: DmarcResult, headers: &[&str]) -> String {
    let raw = raw.replace("Hello", "[list] Hello");
    let message = AuthenticatedMessage::parse(raw.as_bytes()).unwrap();
    let dmarc = DmarcOutput::new("partner.example".to_owned()).with_dkim_result(dmarc);
    let results = AuthenticationResults::new(sealer).with_dmarc_result(&dmarc);
    let sealing = ArcSealer::from_key(rsa()).domain(sealer).selector("arc").headers(headers.iter().copied());
    let header = sealing.seal(&message, &results, &ArcOutput::default()).unwrap().to_header();
    assert!(header.contains("dmarc="), "{header}");
    header + &raw
}

const SIGNED: [&str; 3] = ["From", "To", "Subject"];

#[tokio::test]
async fn only_a_named_sealer_is_believed() {
    let dns = Dns::start().await;
    dns.txt("_dmarc.partner.example", "v=DMARC1; p=reject");
    publish(&dns, "arc", "lists.example");
    publish(&dns, "arc", "evil.example");
    let daemon = Daemon::with(&site(&dns, "trusted_arc_sealers = [\"lists.example\"]")).await;
    let pass = |subject: &str| forwarded(&mail(ANN, subject), "lists.example", DmarcResult::Pass, &SIGNED);
    let fail = DmarcResult::Fail(mail_auth::Error::NotAligned);
    let rows = [
        (
            forwarded(&mail(ANN, "evil"), "evil.example", DmarcResult::Pass, &SIGNED),
            "sender-forged",
            "arc=policy",
        ),
        (
            forwarded(&mail(ANN, "none"), "lists.example", DmarcResult::None, &SIGNED),
            "sender-forged",
            "arc=pass",
        ),
        (forwarded(&mail(ANN, "fail"), "lists.example", fail, &SIGNED), "sender-forged", "arc=pass"),
        (
            forwarded(&mail(ANN, "from"), "lists.example", DmarcResult::Pass, &["To", "Subject"]),
            "sender-forged",
            "arc=policy",
        ),
        (pass("body").replace("Hello", "Goodbye"), "sender-forged", "arc=fail"),
        (pass("word").replace("header.from=partner", "header.from=Partner"), "sender-forged", "arc=fail"),
        (pass("head").replace("Subject: head", "Subject: changed"), "sender-forged", "arc=fail"),
        (pass("good"), "new-portal-only-customer", "arc=pass header.d=lists.example header.s=arc"),
    ];
    for (raw, reason, finding) in rows {
        let line = decided(&daemon, None, "list@lists.example", &raw).await;
        let found = findings(&daemon).await;
        assert_eq!(told(&line).0, reason, "{found:?} {raw}");
        assert!(found.iter().any(|line| line.starts_with(finding)), "{finding}: {found:?}");
    }
    assert!(!dns.asked().iter().any(|name| name.contains("_domainkey.evil.example")), "{:?}", dns.asked());
    daemon.reload(&site(&dns, ""));
    let line = decided(&daemon, None, "list@lists.example", &pass("again")).await;
    assert_eq!(told(&line), ("sender-forged", "disproven"), "nobody is named any more");
    daemon.stop().await;
}

/// A chain of two: the newest seal's owner counts, not an earlier one's.
#[tokio::test]
async fn an_earlier_seal_of_a_named_sealer_counts_for_nothing() {
    let dns = Dns::start().await;
    publish(&dns, "arc", "lists.example");
    publish(&dns, "arc", "evil.example");
    let first = forwarded(&mail(ANN, "two"), "lists.example", DmarcResult::Pass, &SIGNED);
    let resolver = super::resolver(&dns);
    let message = AuthenticatedMessage::parse(first.as_bytes()).unwrap();
    let output = MessageAuthenticator(resolver).verify_arc(&message).await;
    assert_eq!(output.result(), &mail_auth::DkimResult::Pass);
    let dmarc = DmarcOutput::new("partner.example".to_owned()).with_dkim_result(DmarcResult::Pass);
    let results = AuthenticationResults::new("evil.example").with_dmarc_result(&dmarc);
    let sealing = ArcSealer::from_key(rsa()).domain("evil.example").selector("arc").headers(SIGNED);
    let second = sealing.seal(&message, &results, &output).unwrap().to_header() + &first;
    for (sealer, standing) in [("lists.example", "unproven"), ("evil.example", "proven")] {
        let daemon = Daemon::with(&site(&dns, &format!("trusted_arc_sealers = [\"{sealer}\"]"))).await;
        let line = decided(&daemon, None, "list@lists.example", &second).await;
        assert_eq!(line["standing"], standing, "{sealer}: {:?}", findings(&daemon).await);
        daemon.stop().await;
    }
}
