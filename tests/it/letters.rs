//! The mails that the daemon writes beside the verification mail: acknowledgements, their caps, what comes back of them,
//! confirmations, and the texts of all of them.

use std::{fs, time::Duration};

use serde_json::Value;
use vestibule::store::Queue;

use crate::daemon::{Daemon, SITE, Smtp, eventually, link_in, load, message};

const ANN: &str = "ann@partner.example";
const ADA: &str = "ada@approved.example";
const IT: &[&str] = &["it@help.example.com"];
const HOUR: Duration = Duration::from_hours(1);

fn site(mail: &str) -> String {
    let site = SITE.replace("relay = \"file:outbound\"", &format!("relay = \"file:outbound\"\n{mail}"));
    assert_ne!(site, SITE);
    site
}

/// The fields of a mail, unfolded.
fn field(mail: &str, name: &str) -> Option<String> {
    let head = mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let (head, name) = (head.split("\r\n"), format!("{name}: "));
    { head }.find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
}

fn subjects(daemon: &Daemon) -> Vec<String> {
    let mut subjects: Vec<_> = daemon.outbound().iter().filter_map(|mail| field(mail, "Subject")).collect();
    subjects.sort();
    subjects
}

/// Waits until nothing is left to send now, and answers what was sent.
async fn sent(daemon: &Daemon, mails: usize) -> Vec<String> {
    eventually("the mails go out", || daemon.outbound().len() >= mails).await;
    assert_eq!(daemon.store.next_due(Queue::Outbox).await.unwrap(), None, "more is in the outbox");
    assert_eq!(daemon.outbound().len(), mails);
    daemon.outbound()
}

/// Waits until the outbox has settled everything.
async fn settled(daemon: &Daemon, event: &str, count: usize) {
    eventually("the outbox settles", || daemon.log.events(event).len() >= count).await;
}

#[tokio::test]
async fn each_new_request_is_acknowledged_once() {
    let daemon = Daemon::with(&site("acknowledge = true")).await;
    let raw = message(ANN, IT, "FREE NITRO http://evil.example");
    assert!(daemon.raw_mail(ANN, IT, &raw).await.starts_with("250"));
    // The same mail again is a duplicate, and answered by nobody.
    assert!(daemon.raw_mail(ANN, IT, &raw).await.starts_with("250"));
    assert!(
        daemon.mail(ANN, &["hr@help.example.com", "it@help.example.com"], "second").await.starts_with("250")
    );
    settled(&daemon, "acknowledgement.sent", 3).await;
    let mails = sent(&daemon, 3).await;
    assert_eq!(
        subjects(&daemon),
        ["[HR-1] We have your request", "[IT-1] We have your request", "[IT-2] We have your request"]
    );
    for mail in &mails {
        assert_eq!(field(mail, "To").as_deref(), Some(ANN));
        assert_eq!(field(mail, "Auto-Submitted").as_deref(), Some("auto-replied"));
        assert_eq!(field(mail, "X-Vestibule-Mail").as_deref(), Some("acknowledgement"));
        let project = if mail.contains("HR-1") { "hr+hr-1." } else { "it+it-" };
        assert!(field(mail, "Reply-To").unwrap().starts_with(project), "{mail}");
        // H02: nothing that the sender wrote goes out.
        assert!(!mail.contains("NITRO") && !mail.contains("evil.example"), "{mail}");
    }
    let events = daemon.log.events("acknowledgement.sent");
    assert!(events.iter().any(|line| line["request"] == "HR-1" && line["address"] == ANN), "{events:?}");
    let metrics = crate::daemon::http(daemon.addresses.admin, "GET", "/metrics", "", ("", "")).await.body;
    assert!(metrics.contains("vestibule_outbound_sent_total{kind=\"acknowledgement\"} 3"), "{metrics}");
    daemon.stop().await;
}

/// RFC 3834 §2, and access-rules, *What never happens*.
#[tokio::test]
async fn machines_strangers_and_the_dropped_get_no_answer() {
    let daemon =
        Daemon::with(&site("acknowledge = true").replace(
            "resend_after = \"1h\"",
            "resend_after = \"1h\"\nnever_mail = [\"ceo@partner.example\"]",
        ))
        .await;
    let raw = |extra: &str, subject: &str| format!("{extra}{}", message(ANN, IT, subject));
    for (from, raw) in [
        ("", raw("", "bounce")),
        (ANN, raw("Auto-Submitted: auto-replied\r\n", "vacation")),
        (ANN, raw("Precedence: bulk\r\n", "bulk")),
        (ANN, raw("X-Vestibule-Mail: acknowledgement\r\n", "loop")),
        ("x@elsewhere.example", message("x@elsewhere.example", IT, "not allowed")),
        ("ceo@partner.example", message("ceo@partner.example", IT, "a request")),
    ] {
        assert!(daemon.raw_mail(from, IT, &raw).await.starts_with("250"));
    }
    assert_eq!(daemon.log.events("mail.decided").len(), 6);
    sent(&daemon, 0).await;
    let decided = daemon.log.events("mail.decided");
    assert_eq!(decided[5]["outcome"], "create");
    daemon.stop().await;
}

/// docs/mail.md: a weak sign costs no request, and buys no mail: neither at once nor when the mail is released, nor when it
/// is what is left waiting behind a link that was used.
#[tokio::test]
async fn weak_signs_and_machines_that_are_customers_get_no_mail() {
    let site = site("acknowledge = true")
        .replace(
            "allow_portal_only_accounts = true",
            "allow_portal_only_accounts = true\nconfirm_address = true",
        )
        .replace("key = \"IT\"", "key = \"IT\"\nallow_automatic_from = [\"nagios@partner.example\"]");
    let daemon = Daemon::with(&site).await;
    let weak = |from: &str, subject: &str| {
        format!("X-Auto-Response-Suppress: All\r\n{}", message(from, IT, subject))
    };
    let nagios = r#"{"address": "nagios@partner.example", "kind": "portal-only"}"#;
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(nagios)).await.0, 201);
    let alert =
        format!("Auto-Submitted: auto-generated\r\n{}", message("nagios@partner.example", IT, "down"));
    for (from, raw) in [(ANN, weak(ANN, "one")), (ADA, weak(ADA, "two")), ("nagios@partner.example", alert)] {
        assert!(daemon.raw_mail(from, IT, &raw).await.starts_with("250"));
    }
    let decided = daemon.log.events("mail.decided");
    let reasons: Vec<_> = decided.iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["new-portal-only-customer", "internal-account-unverified", "known-customer"]);
    let path = format!("/api/v1/held/{}/release", decided[1]["held"].as_str().unwrap());
    assert_eq!(verification(&daemon).await["mails"], serde_json::json!([]));
    assert_eq!(daemon.api("POST", &path, None).await.0, 200);
    sent(&daemon, 0).await;

    let ben = "ben@approved.example";
    daemon.mail(ben, IT, "three").await;
    let link = daemon.link(1).await;
    let first = daemon.log.events("mail.decided").pop().unwrap()["held"].as_str().unwrap().to_owned();
    assert!(daemon.raw_mail(ben, IT, &weak(ben, "four")).await.starts_with("250"));
    assert_eq!(daemon.page("POST", &link, &format!("until={first}")).await.status, 200);
    settled(&daemon, "acknowledgement.sent", 1).await;
    sent(&daemon, 2).await;
    let (_, who) = daemon.api("GET", &format!("/api/v1/senders/{ben}"), None).await;
    assert_eq!(
        (&who["held"][0]["subject"], &who["verifications"][0]["mails"]),
        (&"four".into(), &serde_json::json!([]))
    );
    // What a person writes behind it is answered.
    daemon.mail(ben, IT, "five").await;
    settled(&daemon, "acknowledgement.sent", 2).await;
    daemon.stop().await;
}

/// L02: a mail of ours that comes back is dropped, even where somebody on the way has removed its own field.
#[tokio::test]
async fn a_mail_of_ours_that_comes_back_is_a_loop() {
    let daemon = Daemon::with(&site("acknowledge = true")).await;
    daemon.mail(ANN, IT, "hello").await;
    settled(&daemon, "acknowledgement.sent", 1).await;
    let ours = field(&sent(&daemon, 1).await[0], "Message-ID").unwrap();
    let back = |id: &str, n: u8| {
        format!(
            "From: {ANN}\r\nTo: it@help.example.com\r\nSubject: back {n}\r\nMessage-ID: {id}\r\n\r\n{n}\r\n"
        )
    };
    daemon.raw_mail(ANN, IT, &back(&ours, 1)).await;
    let guessed = ours.replace("IT-1", "IT-2");
    daemon.raw_mail(ANN, IT, &back(&guessed, 2)).await;
    let decided = daemon.log.events("mail.decided");
    assert_eq!(decided[1]["reason"], "mail-loop");
    assert_eq!(decided[2]["outcome"], "create", "nobody else's id is taken for ours");
    daemon.stop().await;
}

#[tokio::test]
async fn caps_hold_across_a_restart_and_the_last_mail_says_so() {
    let site = site("acknowledge = true\nmax_acknowledgements_per_address_per_day = 2");
    let mut daemon = Daemon::with(&site).await;
    daemon.mail(ANN, IT, "one").await;
    settled(&daemon, "acknowledgement.sent", 1).await;
    daemon = daemon.restart(&site).await;
    for subject in ["two", "three", "four"] {
        assert!(daemon.mail(ANN, IT, subject).await.starts_with("250"));
    }
    // Somebody else has a day of their own.
    daemon.mail("bea@partner.example", IT, "five").await;
    settled(&daemon, "acknowledgement.sent", 2).await;
    sent(&daemon, 3).await;
    assert_eq!(
        subjects(&daemon),
        [
            "[IT-1] We have your request",
            "[IT-2] We have your request; no more such mails today",
            "[IT-5] We have your request",
        ]
    );
    daemon.advance(24 * HOUR);
    daemon.mail(ANN, IT, "six").await;
    settled(&daemon, "acknowledgement.sent", 3).await;
    assert!(subjects(&daemon).contains(&"[IT-6] We have your request".to_owned()));
    daemon.stop().await;
}

#[tokio::test]
async fn a_released_mail_is_acknowledged_and_a_hold_is_not() {
    let daemon = Daemon::with(&site("acknowledge = true")).await;
    daemon.mail(ADA, IT, "held").await;
    let link = daemon.link(1).await;
    assert_eq!(daemon.log.events("acknowledgement.sent").len(), 0);
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    daemon.holds_ended(1).await;
    settled(&daemon, "acknowledgement.sent", 1).await;
    sent(&daemon, 2).await;
    assert!(subjects(&daemon).contains(&"[IT-1] We have your request".to_owned()));
    daemon.stop().await;
}

/// What was promised with the request goes out after the next start.
#[tokio::test]
async fn an_acknowledgement_outlives_a_stop_between_commit_and_sending() {
    // A file where the folder should be: nothing can be sent.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outbound"), "").unwrap();
    let site = site("acknowledge = true");
    let clock = vestibule::ops::Clock::manual(crate::daemon::START);
    let disk = std::sync::Arc::new(vestibule::store::RealDisk);
    let daemon = Daemon::on(disk, folder, &site, clock).await;
    daemon.mail(ANN, IT, "one").await;
    settled(&daemon, "outbound.retry", 1).await;
    let (_, who) = daemon.api("GET", &format!("/api/v1/senders/{ANN}"), None).await;
    assert_eq!(who["deliveries"][0]["kind"], "acknowledgement");
    fs::remove_file(daemon.folder.path().join("outbound")).unwrap();
    let daemon = daemon.restart(&site).await;
    settled(&daemon, "acknowledgement.sent", 1).await;
    assert_eq!(subjects(&daemon), ["[IT-1] We have your request"]);
    daemon.stop().await;
}

const BOUNCES: &str = "acknowledge = true\nbounce_domain = \"bounce.help.example.com\"";

/// The envelope sender of the daemon's only unsent or sent mails, which only the store and the relay see.
async fn keyed(daemon: &Daemon, address: &str) -> (String, String) {
    let (_, who) = daemon.api("GET", &format!("/api/v1/senders/{address}"), None).await;
    let id = who["verifications"][0]["mails"][0]["id"].as_str().unwrap().to_owned();
    let secret: [u8; 32] = fs::read(daemon.folder.path().join("data/secret")).unwrap().try_into().unwrap();
    let mint = vestibule::types::TokenSeal::new(secret).mint_key();
    (format!("{}@bounce.help.example.com", mint.bounce_local_part(id.parse().unwrap())), id)
}

fn dsn(action: &str, status: &str, quoted: &str) -> String {
    format!(
        "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.approved.example>\nTo: x@bounce.help.example.com\n\
         Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nMessage-ID: <{action}@mx.approved.example>\n\
         MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"b1\"\n\n\
         --b1\nContent-Type: text/plain; charset=us-ascii\n\nI'm sorry to have to inform you.\n\n\
         --b1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.approved.example\n\
         Arrival-Date: Thu, 1 Jan 2026 00:00:00 +0000\n\nFinal-Recipient: rfc822; ada@approved.example\n\
         Action: {action}\nStatus: {status}\nDiagnostic-Code: smtp; 550 {status} User unknown\n\n\
         --b1\nContent-Type: message/rfc822\n\nSubject: Is this message from you?\n\n{quoted}\n\n--b1--\n"
    )
    .replace('\n', "\r\n")
}

async fn verification(daemon: &Daemon) -> Value {
    let (_, who) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
    who["verifications"][0].clone()
}

/// L03: the bounce of a verification mail marks it, creates nothing, and tells nobody the token.
#[tokio::test]
async fn a_bounce_marks_the_verification_and_creates_nothing() {
    let daemon = Daemon::with(&site(BOUNCES)).await;
    daemon.mail(ADA, IT, "held").await;
    let link = daemon.link(1).await;
    settled(&daemon, "verification.sent", 1).await;
    let (keyed, _) = keyed(&daemon, ADA).await;
    let delayed = daemon.raw_mail("", &[&keyed], &dsn("delayed", "4.4.1", &link)).await;
    assert!(delayed.starts_with("250 2.0.0"), "{delayed}");
    assert_eq!(verification(&daemon).await["mails"][0]["state"], "sent", "a delay ends nothing");
    let failed = daemon.raw_mail("", &[&keyed.to_uppercase()], &dsn("failed", "5.1.1", &link)).await;
    assert!(failed.starts_with("250 2.0.0"), "{failed}");
    let seen = verification(&daemon).await;
    assert_eq!((&seen["state"], &seen["mails"][0]["state"]), (&"pending".into(), &"undeliverable".into()));
    assert_eq!(seen["mails"][0]["error"], "failed 5.1.1 smtp; 550 5.1.1 User unknown");
    let events = daemon.log.events("verification.failed");
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["address"], &events[0]["error"]), (&ADA.into(), &seen["mails"][0]["error"]));
    // A second server says the same: told, and counted once.
    let again = daemon.raw_mail("", &[&keyed], &dsn("failed", "5.2.1", &link)).await;
    assert!(again.starts_with("250 2.0.0"), "{again}");
    assert_eq!(verification(&daemon).await, seen);
    assert_eq!(daemon.log.events("verification.failed").len(), 1);
    assert_eq!(daemon.log.events("mail.decided").len(), 1, "the bounces are decided for no project");
    let results: Vec<_> =
        daemon.log.events("bounce.received").iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results, ["delayed", "failed", "failed"]);
    // The link still works: perhaps another system made the bounce up.
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    daemon.holds_ended(1).await;
    let daemon = daemon.restart(&site(BOUNCES)).await;
    assert_eq!(verification(&daemon).await["mails"][0]["state"], "undeliverable");
    daemon.stop().await;
}

/// L04: a vacation message that quotes the link redeems nothing, wherever it is sent.
#[tokio::test]
async fn an_out_of_office_message_changes_nothing() {
    let daemon = Daemon::with(&site(BOUNCES)).await;
    daemon.mail(ADA, IT, "held").await;
    let link = daemon.link(1).await;
    settled(&daemon, "verification.sent", 1).await;
    let before = verification(&daemon).await;
    let (keyed, _) = keyed(&daemon, ADA).await;
    let away = format!(
        "From: Ada <{ADA}>\r\nTo: help@help.example.com\r\nSubject: Automatic reply: Is this message from you?\r\n\
         Auto-Submitted: auto-replied\r\nMessage-ID: <away@approved.example>\r\n\r\nI am away.\r\n> {link}\r\n"
    );
    for (from, rcpt) in [("", keyed.as_str()), ("", IT[0]), (ADA, IT[0])] {
        assert!(daemon.raw_mail(from, &[rcpt], &away).await.starts_with("250"), "{rcpt}");
    }
    assert_eq!(verification(&daemon).await, before);
    let reasons: Vec<_> =
        daemon.log.events("mail.decided").iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, ["internal-account-unverified", "automatic-message", "automatic-message"]);
    assert_eq!(daemon.log.events("bounce.received")[0]["result"], "not-a-bounce");
    sent(&daemon, 1).await;
    daemon.stop().await;
}

/// RCPT to a bounce address: only with a key of ours, and only for the null reverse-path.
#[tokio::test]
async fn a_bounce_address_takes_nothing_else() {
    let daemon = Daemon::with(&site(BOUNCES)).await;
    daemon.mail(ADA, IT, "held").await;
    daemon.link(1).await;
    settled(&daemon, "verification.sent", 1).await;
    let (keyed, id) = keyed(&daemon, ADA).await;
    let forged = format!("{}.{}@bounce.help.example.com", id.replace('-', ""), "a".repeat(26));
    for (from, rcpt, code) in [
        ("", keyed.as_str(), "250 2.1.5"),
        (ADA, &keyed, "550 5.1.1"),
        ("", &forged, "550 5.1.1"),
        ("", "it@bounce.help.example.com", "550 5.1.1"),
        ("", &keyed.replace("bounce.", ""), "550 5.1.1"),
    ] {
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command(&format!("MAIL FROM:<{from}>")).await;
        let reply = smtp.command(&format!("RCPT TO:<{rcpt}>")).await;
        assert!(reply.starts_with(code), "{from} {rcpt}: {reply}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_new_customer_confirms_the_address_and_nothing_waits_for_it() {
    let site = SITE.replace(
        "allow_portal_only_accounts = true",
        "allow_portal_only_accounts = true\nconfirm_address = true",
    );
    let daemon = Daemon::with(&site).await;
    daemon.mail(ANN, IT, "first").await;
    settled(&daemon, "confirmation.sent", 1).await;
    daemon.mail(ANN, IT, "second").await;
    let mail = sent(&daemon, 1).await.remove(0);
    assert_eq!(field(&mail, "X-Vestibule-Mail").as_deref(), Some("confirmation"));
    let link = link_in(&mail.replace("/confirm/", "/verify/")).replace("/verify/", "/confirm/");
    let confirmed =
        async || daemon.api("GET", &format!("/api/v1/accounts/{ANN}"), None).await.1["confirmed_at"].clone();
    // Scanners fetch the link; and K05: a token of one kind is none of the other.
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(daemon.page(method, &link, "").await.status, 200);
    }
    assert_eq!(daemon.page("POST", &link.replace("/confirm/", "/verify/"), "").await.status, 404);
    assert_eq!(confirmed().await, Value::Null);
    for _ in 0..2 {
        let page = daemon.page("POST", &link, "").await;
        assert!(page.status == 200 && page.body.contains("Your address is confirmed"), "{}", page.body);
    }
    assert!(confirmed().await.is_string());
    assert_eq!(daemon.log.events("account.confirmed").len(), 1);
    assert_eq!(daemon.api("GET", "/api/v1/requests", None).await.1["items"].as_array().unwrap().len(), 2);
    // A later account of the address is another customer, perhaps.
    let (status, _) = daemon.api("DELETE", &format!("/api/v1/accounts/{ANN}"), None).await;
    assert_eq!(status, 204);
    assert_eq!(daemon.page("POST", &link, "").await.status, 404);
    // K05 from the other side: the token of a verification confirms nothing.
    daemon.mail(ADA, IT, "held").await;
    let verify = daemon.outbound_link_to(ADA).await;
    assert_eq!(daemon.page("POST", &verify.replace("/verify/", "/confirm/"), "").await.status, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn projects_speak_their_language_and_a_reload_brings_new_texts() {
    let german =
        site("acknowledge = true").replace("name = \"IT support\"", "name = \"IT-Hilfe\"\nlanguage = \"de\"");
    let daemon = Daemon::with(&german).await;
    daemon.mail(ADA, IT, "held").await;
    let verify = sent_to(&daemon, ADA, 1).await;
    let text = verify.replace("=\r\n", "");
    assert!(
        text.contains("Dieser Link") && text.contains("Uhr (UTC)") && text.contains("/verify/"),
        "{text}"
    );
    daemon.mail(ANN, &["hr@help.example.com"], "to the other").await;
    assert!(sent_to(&daemon, ANN, 1).await.contains("We have your request"));

    let folder = daemon.folder.path().join("texts");
    fs::create_dir(&folder).unwrap();
    let text = "Subject: {{ request }} ist da\n\nHallo.\n";
    fs::write(folder.join("acknowledgement.de.txt"), text).unwrap();
    fs::write(folder.join("acknowledgement.de.html"), "<p>{{ request }}</p>").unwrap();
    let own = german.replace("acknowledge = true", "acknowledge = true\ntemplates = \"texts\"");
    daemon.reload(&own);
    daemon.mail("bea@partner.example", IT, "one").await;
    assert!(sent_to(&daemon, "bea@partner.example", 1).await.contains("Subject: IT-1 ist da\r\n"));

    // A bad one is refused with its line, and the old stays.
    fs::write(folder.join("acknowledgement.de.txt"), "Subject: x\n\n{{ reqest }}\n").unwrap();
    let path = daemon.folder.path().join("vestibule.toml");
    let errors = vestibule::config::load(&path).unwrap_err().to_string();
    assert!(errors.contains("acknowledgement.de.txt:3: there is no {{ reqest }} here"), "{errors}");
    assert!(errors.contains("did you mean {{ request }}?"), "{errors}");
    fs::write(folder.join("acknowledgement.de.txt"), text).unwrap();
    let version = load(daemon.folder.path(), &own).version;
    fs::write(folder.join("acknowledgement.de.txt"), text.replace("Hallo", "Tag")).unwrap();
    assert_ne!(load(daemon.folder.path(), &own).version, version, "texts are settings");
    daemon.stop().await;
}

/// Waits for a mail to the address.
async fn sent_to(daemon: &Daemon, address: &str, count: usize) -> String {
    let to = format!("To: {address}\r\n");
    let find = || daemon.outbound().into_iter().filter(|mail| mail.contains(&to)).collect::<Vec<_>>();
    eventually("the mail goes out", || find().len() >= count).await;
    find().pop().unwrap()
}
