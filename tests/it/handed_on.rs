//! What goes on to the postmaster: our own trace fields on top, nothing in our name below, and the stored mail as it came.

use crate::daemon::{Daemon, SITE, Smtp, TOKEN, eventually, http};

const BOTH: [&str; 2] = ["postmaster@help.example.com", "it@help.example.com"];
const RAW: &str = "Return-Path: <x@evil.example>\r\n\
    Authentication-Results: mx.desk.example; dmarc=pass (p=none) header.from=partner.example;\r\n dkim=pass header.d=partner.example header.s=s1\r\n\
    Received: from a (b [203.0.113.9]) by mx.desk.example (Postfix); x\r\n\
    Authentication-Results: HELP.example.com; dmarc=pass header.from=evil.example\r\n\
    From: Ann <ann@partner.example>\r\nSubject: for both\r\n\r\n.\r\nAuthentication-Results: help.example.com; none\r\n";

fn site(mode: &str) -> String {
    SITE.replace("mode = \"off\"", mode)
        .replace("[http]\n", "postmaster = \"ops@elsewhere.example\"\n[http]\n")
}

const RELAY: &str = "mode = \"relay\"\nresults_from = [\"127.0.0.1\"]\nauthserv_ids = [\"mx.desk.example\"]";

/// The mail that went out.
async fn handed_on(daemon: &Daemon) -> String {
    eventually("the mail goes on", || daemon.outbound().len() == 1).await;
    daemon.outbound().remove(0)
}

#[tokio::test]
async fn what_goes_on_carries_our_fields_and_what_is_stored_is_as_it_came() {
    let daemon = Daemon::with(&site(RELAY)).await;
    let reply = daemon.raw_mail("ann@partner.example", &BOTH, RAW).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let mail = handed_on(&daemon).await;
    let id = &daemon.log.events("mail.decided")[0]["mail_id"];
    let (ours, rest) = mail.split_once("Authentication-Results: mx.desk.example").unwrap();
    let (received, results) = ours.split_once("Authentication-Results: ").unwrap();
    let begins = format!(
        "Received: from relay.example ([127.0.0.1])\r\n\tby help.example.com with ESMTP id {};\r\n\t",
        id.as_str().unwrap()
    );
    assert!(received.starts_with(&begins), "{received}");
    assert!(received.ends_with(" +0000\r\n") && !received.contains("for <"), "{received}");
    assert_eq!(
        results,
        "help.example.com;\r\n\tdmarc=pass header.from=partner.example;\r\n\tdkim=pass header.d=partner.example header.s=s1\r\n"
    );
    let kept = RAW
        .replace("Return-Path: <x@evil.example>\r\n", "")
        .replace("Authentication-Results: HELP.example.com; dmarc=pass header.from=evil.example\r\n", "");
    assert_eq!(format!("Authentication-Results: mx.desk.example{rest}"), kept);
    let asks = format!("Authorization: Bearer {TOKEN}\r\n");
    let stored = http(daemon.addresses.http, "GET", "/api/v1/requests/IT-1/raw", &asks, ("", "")).await;
    assert_eq!((stored.status, stored.body.as_str()), (200, RAW));
    daemon.stop().await;
}

/// With nobody to believe there is no result to tell; the one recipient is named.
#[tokio::test]
async fn a_mail_for_the_postmaster_alone_names_them() {
    let daemon = Daemon::with(&site("mode = \"off\"")).await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    assert!(smtp.bdat("ann@partner.example", BOTH[0], b".\r\n").await.starts_with("250"));
    let mail = handed_on(&daemon).await;
    assert!(mail.contains("\r\n\tfor <postmaster@help.example.com>;\r\n\t"), "{mail}");
    assert!(mail.ends_with(" +0000\r\nAuthentication-Results: help.example.com; none\r\n.\r\n"), "{mail}");
    eventually("it is told", || daemon.log.events("outbound.sent").len() == 1).await;
    assert!(daemon.log.events("mail.decided").is_empty());
    daemon.stop().await;
}
