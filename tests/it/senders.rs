//! Who really sent it: `authentication.mode = "relay"` on a whole daemon. The relay is this process, on 127.0.0.1.

use std::fmt::Write as _;

use serde_json::Value;

use crate::daemon::{Daemon, SITE, Smtp, TOKEN, http};

const IT: &[&str] = &["it@help.example.com"];
const BOSS: &str = "boss@approved.example";
const ANN: &str = "ann@partner.example";

fn site(authentication: &str) -> String {
    let mode = format!("mode = \"relay\"\n{authentication}");
    let site = SITE.replace("mode = \"off\"", &mode);
    assert_ne!(site, SITE);
    site
}

fn border() -> String {
    site("results_from = [\"127.0.0.1\"]\nauthserv_ids = [\"mx.desk.example\"]")
}

/// A mail with these lines on top; AR stands for a field of the relay, OWN for its Received field.
fn mail(top: &str, from: &str, subject: &str) -> String {
    let mut raw = String::new();
    for line in top.split('|').filter(|line| !line.is_empty()) {
        let line = line
            .replace("AR ", "Authentication-Results: ")
            .replace("OWN", "Received: from a (b [203.0.113.9]) by mx.desk.example (Postfix); x");
        write!(raw, "{line}\r\n").unwrap();
    }
    write!(
        raw,
        "From: Somebody <{from}>\r\nTo: it@help.example.com\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x.example>\r\n\r\n{subject}\r\n"
    )
    .unwrap();
    raw
}

/// Relays each mail, as whatever envelope sender; answers the `mail.decided` lines of all.
async fn decided(daemon: &Daemon, mails: &[(&str, &str)]) -> Vec<Value> {
    for (number, (top, from)) in mails.iter().enumerate() {
        let raw = mail(top, from, &format!("m{number}"));
        let reply = daemon.raw_mail("x@evil.example", IT, &raw).await;
        assert!(reply.starts_with("250 2.0.0"), "{top}: {reply}");
    }
    let mut lines = daemon.log.events("mail.decided");
    lines.retain(|line| line["basis"].is_null());
    lines
}

/// Each row: the top of the mail, its From, the reason and standing that are logged.
async fn table(daemon: &Daemon, rows: &[(&str, &str, &str, &str)]) {
    let mails: Vec<_> = rows.iter().map(|(top, from, ..)| (*top, *from)).collect();
    let lines = decided(daemon, &mails).await;
    assert_eq!(lines.len(), rows.len());
    for (line, (top, from, reason, standing)) in lines.iter().zip(rows) {
        let told = (line["reason"].as_str().unwrap(), line["standing"].as_str().unwrap());
        assert_eq!(told, (*reason, *standing), "{from}: {top}");
    }
}

async fn requests(daemon: &Daemon) -> usize {
    let (status, list) = daemon.api("GET", "/api/v1/requests", None).await;
    assert_eq!(status, 200);
    list["items"].as_array().unwrap().len()
}

/// S01: a From of an approved domain that the relay found forged is dropped, and nobody is mailed.
#[tokio::test]
async fn a_forged_sender_of_an_approved_domain_is_dropped_and_nobody_is_mailed() {
    let daemon = Daemon::with(&border()).await;
    let fail = "AR mx.desk.example; spf=pass smtp.mailfrom=evil.example; dkim=none; dmarc=fail header.from=approved.example|OWN";
    let signed = "AR mx.desk.example; dkim=pass header.d=evil.example header.s=s1; dmarc=fail header.from=approved.example|OWN";
    table(
        &daemon,
        &[
            (fail, BOSS, "sender-forged", "disproven"),
            (signed, BOSS, "sender-forged", "disproven"),
            (
                "AR mx.desk.example; dmarc=fail policy.dmarc=reject header.from=approved.example|OWN",
                BOSS,
                "sender-forged",
                "disproven",
            ),
        ],
    )
    .await;
    assert_eq!(requests(&daemon).await, 0);
    assert!(daemon.log.events("verification.sent").is_empty() && daemon.outbound().is_empty());
    let (status, held) = daemon.api("GET", "/api/v1/held", None).await;
    assert_eq!((status, held["items"].as_array().map(Vec::len)), (200, Some(0)), "{held}");
    daemon.stop().await;
}

/// S16: what a sender writes below the relay's Received field, or with no such field at all, proves nothing.
#[tokio::test]
async fn results_that_the_sender_wrote_are_not_believed() {
    let daemon = Daemon::with(&border()).await;
    let rows = [
        "OWN|AR mx.desk.example; dmarc=pass header.from=partner.example",
        "OWN|AR mx.desk.example; dmarc=pass header.from=partner.example|Received: from a by b.example; x",
        "OWN|AR mx.desk.example; dmarc=pass header.from=partner.example|OWN",
        "OWN|OWN|AR mx.desk.example; auth=pass smtp.auth=ann@partner.example",
        "AR mx.desk.example; dmarc=pass header.from=partner.example",
        "AR evil.example; dmarc=pass header.from=partner.example|OWN",
        "AR dmarc=pass header.from=partner.example|OWN",
        "ARC-Authentication-Results: i=1; mx.desk.example; dmarc=pass header.from=partner.example|OWN",
        "X-AR mx.desk.example; dmarc=pass header.from=partner.example|OWN",
    ];
    let rows: Vec<_> = rows.iter().map(|top| (*top, ANN, "sender-unproven", "unproven")).collect();
    table(&daemon, &rows).await;
    let forged = "AR mx.desk.example; dmarc=fail header.from=partner.example|OWN|AR mx.desk.example; dmarc=pass header.from=partner.example";
    let line = decided(&daemon, &[(forged, "ann2@partner.example")]).await.pop().unwrap();
    assert_eq!(line["reason"], "sender-forged");
    assert_eq!(requests(&daemon).await, 0);
    daemon.stop().await;
}

/// S17: tricks with the syntax of the field.
#[tokio::test]
async fn a_field_is_read_as_rfc_8601_has_it() {
    let daemon = Daemon::with(&border()).await;
    table(
        &daemon,
        &[
            (
                "AR mx.desk.example; dmarc=fail (dmarc=pass) header.from=partner.example|OWN",
                ANN,
                "sender-forged",
                "disproven",
            ),
            ("AR mx.desk.example 2; dmarc=pass header.from=partner.example|OWN", ANN, "sender-unproven", "unproven"),
            ("AR \"mx.desk.example\"; none|OWN", ANN, "sender-unproven", "unproven"),
            ("AR mx.desk.example; dmarc=pass header.from=evil.example|OWN", ANN, "sender-unproven", "unproven"),
            (
                "AR mx.desk.example; spf=pass smtp.mailfrom=\"; dmarc=pass header.from=partner.example\"@evil.example|OWN",
                ANN,
                "sender-unproven",
                "unproven",
            ),
            ("AR mx.desk.example; dmarc=pass header.from=partner.example (|OWN", ANN, "sender-unproven", "unproven"),
            (
                "AR mx.desk.example; dmarc=pass header.from=partner.example|AR mx.desk.example; dmarc=fail header.from=partner.example|OWN",
                ANN,
                "sender-forged",
                "disproven",
            ),
            (
                "AR (a) \"MX.desk.example\" 1;\r\n dmarc (b) = pass\r\n header . from = partner.example|OWN",
                ANN,
                "new-portal-only-customer",
                "proven",
            ),
            ("AR mx.desk.example; dmarc=pass header.from=partner.example|OWN", ANN, "known-customer", "proven"),
            // A known customer is not believed either.
            ("OWN", ANN, "sender-unproven", "unproven"),
        ],
    )
    .await;
    assert_eq!(requests(&daemon).await, 2);
    daemon.stop().await;
}

/// Unproven is held with one verification mail, and who confirms it gets in; the raw mail stays as it came.
#[tokio::test]
async fn an_unproven_sender_confirms_and_gets_in() {
    let daemon = Daemon::with(&border()).await;
    let raw = mail("AR mx.desk.example; none|OWN", ANN, "printer");
    assert!(daemon.raw_mail("x@relay.example", IT, &raw).await.starts_with("250"));
    let link = daemon.link(1).await;
    let page = daemon.page("GET", &link, "").await;
    assert_eq!(page.status, 200);
    let until =
        page.body.split("name=\"until\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(daemon.page("POST", &link, &format!("until={until}")).await.status, 200);
    let ended = daemon.holds_ended(1).await;
    assert_eq!(ended[0]["reason"], "new-portal-only-customer", "{ended:?}");
    assert_eq!(requests(&daemon).await, 1);
    daemon.stop().await;
}

/// DMARC fail under quarantine: held, and no mail goes out until a mail of another standing joins it.
#[tokio::test]
async fn a_quarantined_sender_is_held_and_not_mailed() {
    let daemon = Daemon::with(&border()).await;
    let quarantine = "AR mx.desk.example; dmarc=fail policy.dmarc=quarantine header.from=DOMAIN|OWN";
    let (partner, approved) =
        (quarantine.replace("DOMAIN", "partner.example"), quarantine.replace("DOMAIN", "approved.example"));
    table(
        &daemon,
        &[
            (&partner, ANN, "sender-unproven", "unproven"),
            (&partner, ANN, "sender-unproven", "unproven"),
            (&approved, BOSS, "internal-account-unverified", "unproven"),
            ("OWN", "eve@partner.example", "sender-unproven", "unproven"),
        ],
    )
    .await;
    // The outbox is worked off in order: once the last one's mail is out, earlier ones would be too.
    daemon.link(1).await;
    assert_eq!(daemon.outbound().len(), 1);
    assert!(daemon.outbound()[0].contains("To: eve@partner.example"));
    // The page would list the earlier ones too: an owner who did not send them says so there.
    daemon.raw_mail("x@relay.example", IT, &mail("OWN", ANN, "another")).await;
    daemon.outbound_link_to(ANN).await;
    let held = daemon.log.events("mail.decided")[0]["held"].as_str().unwrap().to_owned();
    let (status, _) = daemon.api("POST", &format!("/api/v1/held/{held}/release"), None).await;
    assert_eq!(status, 200);
    assert_eq!(requests(&daemon).await, 1);
    daemon.stop().await;
}

/// The trail names each result with its domain and selector, ahead of the checks; explain tells the same.
#[tokio::test]
async fn the_trail_shows_what_the_relay_said() {
    let daemon = Daemon::with(&border()).await;
    let top = "AR mx.desk.example; dkim=pass header.d=partner.example header.s=s1; dmarc=pass header.from=partner.example|OWN|AR mx.desk.example; dmarc=fail";
    let raw = mail(top, ANN, "printer");
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let path = "/api/v1/explain?rcpt=it@help.example.com";
    let told = http(daemon.addresses.admin, "POST", path, &auth, ("message/rfc822", &raw)).await;
    assert_eq!(told.status, 200, "{told:?}");
    daemon.raw_mail("x@relay.example", IT, &raw).await;
    let (_, shown) = daemon.api("GET", "/api/v1/decisions", None).await;
    let trail = shown["items"][0]["trail"].as_array().unwrap();
    let noted = trail.iter().take_while(|check| check["check"] == "authentication");
    assert_eq!(noted.filter(|check| check["result"] == "noted").count(), 3, "{shown}");
    let text = shown.to_string();
    let lines = [
        "dkim=pass header.d=partner.example header.s=s1",
        "dmarc=pass header.from=partner.example",
        "1 Authentication-Results below the relay's own Received field",
    ];
    let mut at = 0;
    for line in lines {
        let place = text.find(line).unwrap_or_else(|| panic!("{line}: {text}"));
        assert!(place > at, "{text}");
        at = place;
        assert!(told.body.contains(line), "{told:?}");
    }
    daemon.stop().await;
}

/// Employees: a submission that the relay vouches for, and a relay that carries nothing else.
#[tokio::test]
async fn the_organisations_own_mail_is_proven_by_its_submission() {
    let login = Daemon::with(&border()).await;
    table(
        &login,
        &[
            (
                "AR mx.desk.example; auth=pass smtp.auth=boss@approved.example|OWN",
                BOSS,
                "internal-account-unverified",
                "proven",
            ),
            (
                "AR mx.desk.example; auth=pass smtp.auth=eve@approved.example|OWN",
                BOSS,
                "internal-account-unverified",
                "unproven",
            ),
        ],
    )
    .await;
    login.stop().await;
    let internal = Daemon::with(&site("internal_relays = [\"127.0.0.1\"]")).await;
    table(
        &internal,
        &[
            ("OWN", BOSS, "internal-account-unverified", "proven"),
            ("OWN", ANN, "sender-unproven", "unproven"),
        ],
    )
    .await;
    internal.stop().await;
}

/// `on_drop = "reject"`: only a proven sender hears of it.
#[tokio::test]
async fn only_a_proven_sender_is_told_of_a_drop() {
    let rejecting = border().replace("[smtp]", "[smtp]\non_drop = \"reject\"");
    let daemon = Daemon::with(&rejecting).await;
    for (top, code) in [
        ("AR mx.desk.example; dmarc=pass header.from=evil.example|OWN", "550 5.7.1"),
        ("AR mx.desk.example; none|OWN", "250 2.0.0"),
        ("AR mx.desk.example; dmarc=fail header.from=evil.example|OWN", "250 2.0.0"),
    ] {
        let reply = daemon.raw_mail("x@evil.example", IT, &mail(top, "z@evil.example", code)).await;
        assert!(reply.starts_with(code), "{top}: {reply}");
    }
    daemon.stop().await;
}

/// A peer outside `results_from` may send, and is not believed.
#[tokio::test]
async fn a_relay_that_is_not_named_is_not_believed() {
    let daemon =
        Daemon::with(&border().replace("results_from = [\"127.0.0.1\"]", "results_from = [\"192.0.2.1\"]"))
            .await;
    let pass = "AR mx.desk.example; dmarc=pass header.from=partner.example|OWN";
    table(&daemon, &[(pass, ANN, "sender-unproven", "unproven")]).await;
    assert_eq!(daemon.log.events("daemon.started")[0]["authentication"], "relay");
    daemon.stop().await;
}

/// XCLIENT and XFORWARD tell who the relay speaks for; whose results count stays the relay that connected.
#[tokio::test]
async fn the_client_that_a_relay_tells_of_is_not_the_relay() {
    let pass = mail("AR mx.desk.example; dmarc=pass header.from=partner.example|OWN", ANN, "told");
    for (networks, standing) in [("127.0.0.1", "proven"), ("203.0.113.9", "unproven")] {
        let border =
            border().replace("results_from = [\"127.0.0.1\"]", &format!("results_from = [\"{networks}\"]"));
        let daemon = Daemon::with(&border.replace("[smtp]", "[smtp]\nxclient_from = [\"127.0.0.1\"]")).await;
        for (command, reply) in [("XFORWARD", "250"), ("XCLIENT", "220")] {
            let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
            assert!(
                smtp.command(&format!("{command} ADDR=203.0.113.9")).await.starts_with(reply),
                "{command}"
            );
            assert!(smtp.command("EHLO relay.example").await.starts_with("250"));
            if command == "XFORWARD" {
                assert!(smtp.command("XFORWARD ADDR=203.0.113.9").await.starts_with("250"));
            }
            let raw = pass.replace("told", command);
            assert!(smtp.mail("x@relay.example", IT, &raw).await.starts_with("250"));
            let line = daemon.log.events("mail.decided").pop().unwrap();
            assert_eq!(
                (&line["standing"], &line["peer"]),
                (&standing.into(), &"203.0.113.9".into()),
                "{command}"
            );
        }
        daemon.stop().await;
    }
}
