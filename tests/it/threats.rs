//! Attacks on a whole daemon, by the ids of tests/THREATS.md. What a single room can prove is proven there.

use std::{fmt::Write as _, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use crate::{
    binary::Served,
    daemon::{Daemon, SITE, Smtp, eventually, message},
    support::{entries, files_with},
};

const IT: &[&str] = &["it@help.example.com"];
const ADA: &str = "ada@approved.example";

/// The reasons of all decisions at intake so far.
fn reasons(daemon: &Daemon) -> Vec<String> {
    let mut lines = daemon.log.events("mail.decided");
    lines.retain(|line| line["basis"].is_null());
    lines.iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect()
}

/// S03, S09 to S11 and B01 where nothing has looked at the line ends before: BDAT takes bytes as they are.
#[tokio::test]
async fn no_bytes_of_a_chunk_hide_a_second_author() {
    let daemon = Daemon::start().await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    let unusable = "no-usable-sender";
    for (raw, reason) in [
        ("From: z@evil.example\rFrom: bob@partner.example\r\n\r\nx", unusable),
        ("From: z@evil.example\nFrom: bob@partner.example\n\nx", unusable),
        ("Subject: x\rFrom: bob@partner.example\r\nFrom: z@evil.example\r\n\r\n", unusable),
        ("Subject: x\r\rFrom: bob@partner.example\r\n\r\n", unusable),
        ("Subject: x\r\n \rFrom: bob@partner.example\r\n\r\n", unusable),
        ("From: bob@partner.example\r\r\n <z@evil.example>\r\n\r\n", unusable),
        ("From:\r z@evil.example <bob@partner.example>\r\n\r\n", unusable),
        ("From: z@evil.example\u{b}<bob@partner.example>\r\n\r\n", unusable),
        ("From: z@evil.example\u{85}<bob@partner.example>\r\n\r\n", unusable),
        ("From: z@evil.example\u{2028}<bob@partner.example>\r\n\r\n", unusable),
        ("From: =?utf-8?q?z=40evil.example=0D=0AFrom:?= bob@partner.example\r\n\r\n", unusable),
        ("From: bob@partner.example,\n z@evil.example\n\n", unusable),
        ("From: bob\\@partner.example@evil.example\r\n\r\n", unusable),
        ("\nFrom: bob@partner.example\r\n\r\n", unusable),
        ("\r\n", unusable),
        ("From", unusable),
        // Behind the end of the header, and before a name that is none: the first one counts, and it is a stranger's.
        ("From: z@evil.example\n\nFrom: bob@partner.example\r\n\r\n", "domain-not-allowed"),
        (
            "From bob@partner.example Sat Jan  1 00:00:00 2026\r\nFrom: z@evil.example\r\n\r\n",
            "domain-not-allowed",
        ),
        ("junk\r\nFrom: z@evil.example\r\n\r\n", "domain-not-allowed"),
        ("From: \"bob@partner.example\\\" <\" <z@evil.example>\r\n\r\n", "domain-not-allowed"),
        // A mail may end anywhere.
        ("From: bob@partner.example", "new-portal-only-customer"),
        (
            "Message-ID: <1@x>\nMessage-ID: <2@x>\nSubject: 1\nSubject: 2\nFrom: bob@partner.example",
            "known-customer",
        ),
    ] {
        let reply = smtp.bdat("a@relay.example", IT[0], raw.as_bytes()).await;
        assert!(reply.starts_with("250 2.0.0"), "{raw:?}: {reply}");
        assert_eq!(reasons(&daemon).last().map(String::as_str), Some(reason), "{raw:?}");
    }
    let reply =
        smtp.bdat("a@relay.example", IT[0], b"From: bob@partner.example\0@evil.example\r\n\r\n").await;
    assert!(reply.starts_with("554 5.6.0"), "S10: {reply}");
    let (_, list) = daemon.api("GET", "/api/v1/requests?order=oldest", None).await;
    let subjects: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["subject"]).collect();
    assert_eq!(subjects, ["", "1"]);
    let (_, accounts) = daemon.api("GET", "/api/v1/accounts", None).await;
    assert_eq!(accounts["items"].as_array().unwrap().len(), 1);
    daemon.stop().await;
}

/// S12 to S14: only the domain itself is on a list, and no other person's letters make one's address.
#[tokio::test]
async fn look_alikes_of_a_listed_address_are_strangers() {
    let daemon = Daemon::start().await;
    daemon.mail("kim@partner.example", IT, "the real one").await;
    for (from, reason) in [
        ("kim@p\u{430}rtner.example", "domain-not-allowed"),
        ("kim@notpartner.example", "domain-not-allowed"),
        ("kim@partner.example.evil.example", "domain-not-allowed"),
        ("kim@sub.partner.example", "domain-not-allowed"),
        ("kim@\u{24df}artner.example", "no-usable-sender"),
        ("kim@partner\u{3002}example", "no-usable-sender"),
        ("kim@par\u{200d}tner.example", "no-usable-sender"),
        ("kim@partner.example.", "no-usable-sender"),
        ("\u{212a}im@partner.example", "no-usable-sender"),
        ("kim\u{202e}@partner.example", "no-usable-sender"),
        ("kim\u{fe0f}@partner.example", "no-usable-sender"),
        ("k\u{131}m@partner.example", "new-portal-only-customer"),
        ("\u{43a}im@partner.example", "new-portal-only-customer"),
        ("KIM@PARTNER.EXAMPLE", "known-customer"),
    ] {
        let raw = message(from, IT, &format!("as {from}"));
        assert!(daemon.raw_mail("x@relay.example", IT, &raw).await.starts_with("250"), "{from}");
        assert_eq!(reasons(&daemon).last().map(String::as_str), Some(reason), "{from}");
    }
    daemon.stop().await;
}

/// H01, H02, A04: nothing that the sender has chosen is in the mail that goes out, but the address and a sound Message-ID.
#[tokio::test]
async fn the_verification_mail_carries_none_of_the_senders_words() {
    let daemon = Daemon::start().await;
    for (n, name, id) in [
        (1, "=?utf-8?q?Free_Nitro=0D=0ABcc=3A_v=40victim.example?=", "<1@sender.example>"),
        (2, "\"Free Nitro http://evil.example\"", "<2@sender.example>\r\n Bcc: v@victim.example"),
        (3, "Free Nitro", "<3@sender.example\u{202e}\u{1b}>"),
        (4, "=?utf-8?b?RnJlZSBOaXRybwA=?=", "<4 Free Nitro http://evil.example @sender.example>"),
    ] {
        let raw = format!(
            "From: {name} <v{n}@approved.example>\r\nTo: it@help.example.com\r\nCc: c@victim.example\r\n\
             Reply-To: r@victim.example\r\nSubject: =?utf-8?q?Free_Nitro=0D=0ABcc:_v@victim.example?=\r\n\
             Message-ID: {id}\r\n\r\nFree Nitro http://evil.example\r\n"
        );
        assert!(daemon.raw_mail("x@victim.example", IT, &raw).await.starts_with("250"));
        assert_eq!(
            reasons(&daemon).last().map(String::as_str),
            Some("internal-account-unverified"),
            "{name}"
        );
        // The mails of one lane go out one after the other.
        daemon.advance(Duration::from_mins(1));
        daemon.link(n).await;
        let mail = &daemon.outbound()[n - 1];
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> =
            head.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        for name in ["Bcc", "Cc", "Reply-To", "Sender"] {
            assert!(!names.contains(&name), "{head}");
        }
        assert!(head.contains(&format!("To: v{n}@approved.example\r\n")), "{head}");
        assert!(head.lines().all(|line| line.len() <= 998));
        for words in ["Nitro", "evil", "victim", "\u{1b}", "\u{202e}"] {
            assert!(!mail.contains(words), "{words}: {mail}");
        }
        assert_eq!(
            mail.matches("http://127.0.0.1:8025/verify/").count(),
            mail.matches("http").count(),
            "{mail}"
        );
    }
    daemon.stop().await;
}

/// M01 to M03, M06 over SMTP: a reply to each, and the daemon goes on.
#[tokio::test]
async fn mails_that_hurt_parsers_get_a_reply_and_the_session_goes_on() {
    let daemon = Daemon::start().await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    let addresses = (0..100_000).fold(String::new(), |mut list, n| {
        let _ = write!(list, "a{n}@b.example,\r\n ");
        list
    });
    let too_complex = "552 5.6.0";
    for (what, rest, reply) in [
        ("M01 nested messages", "Content-Type: message/rfc822\r\n\r\n".repeat(20_000), too_complex),
        (
            "M02 absent boundaries",
            "Content-Type: multipart/mixed; boundary=zz\r\n\r\n".repeat(20_000),
            too_complex,
        ),
        ("M03 fields", "X: y\r\n".repeat(1_001) + "\r\n", too_complex),
        (
            "M03 parts",
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(1_001)),
            too_complex,
        ),
        ("M03 addresses", format!("To: {addresses}x@y.example\r\n\r\n"), too_complex),
        ("a long line", format!("\r\n{}\r\n", "x".repeat(100_000)), too_complex),
        (
            "M06 nested HTML",
            format!("Content-Type: text/html\r\n\r\n{}", "<div>\r\n".repeat(20_000)),
            "250 2.0.0",
        ),
        ("a long subject", format!("Subject: {}\r\n\r\n", "s".repeat(60_000)), "250 2.0.0"),
        ("a long Message-ID", format!("Message-ID: <{}@x>\r\n\r\n", "i".repeat(60_000)), "250 2.0.0"),
        ("a long Reply-To", format!("Reply-To: {}@x\r\n\r\n", "r".repeat(60_000)), "250 2.0.0"),
        ("many References", format!("References:{}\r\n\r\n", "\r\n <a@b.example>".repeat(900)), "250 2.0.0"),
        ("ordinary", "\r\nx\r\n".to_owned(), "250 2.0.0"),
    ] {
        let raw = format!("From: bob@partner.example\r\n{rest}{what}\r\n");
        let answered = smtp.mail("bob@partner.example", IT, &raw).await;
        assert!(answered.starts_with(reply), "{what}: {answered}");
    }
    let (_, list) = daemon.api("GET", "/api/v1/requests?order=oldest", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 6);
    let (status, html) = daemon.api("GET", "/api/v1/requests/IT-1", None).await;
    assert_eq!(status, 200);
    assert!(html["body"].as_str().unwrap().contains("too deeply nested"), "{html}");
    assert!(daemon.log.text().lines().all(|line| line.len() < 4096));
    let metrics = daemon.page("GET", "/metrics", "").await.body;
    assert!(metrics.contains("vestibule_bytes_in_flight 0\n"), "{metrics}");
    daemon.stop().await;
}

/// The largest value of everything that is kept of a mail, in the longest letters: its rows fit, and it is taken.
#[tokio::test]
async fn the_largest_mail_is_taken() {
    let daemon = Daemon::start().await;
    let long = |n: usize| "\u{1d11e}".repeat(n);
    let local = "\u{1d11e}".repeat(16);
    for domain in ["approved.example", "partner.example", "elsewhere.example"] {
        let raw = format!(
            "From: {} x@y.example <{local}@{domain}>\r\nSender: {}\r\nSubject: {}\r\nMessage-ID: <{}@x>\r\n\
             In-Reply-To: {}\r\nReferences: {}\r\n\r\n",
            format_args!("\"{}\"", long(300)),
            long(300),
            long(300),
            long(300),
            "<a@b.example>".repeat(100),
            "<a@b.example>".repeat(100),
        )
        .replace(" x@y.example <", " <");
        let reverse_path = format!("{}@{}.example", "r".repeat(200), "d".repeat(60));
        let rcpts: Vec<String> = (0..100)
            .map(|n| format!("{}+{}{n:02}@help.example.com", ["it", "hr"][n % 2], "d".repeat(59)))
            .collect();
        let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        let reply = smtp.mail(&reverse_path, &rcpts, &raw).await;
        assert!(reply.starts_with("250 2.0.0"), "{domain}: {reply} {}", daemon.log.text());
    }
    assert_eq!(reasons(&daemon).len(), 6);
    daemon.stop().await;
}

/// G02, `[log] addresses`: nobody's address is in the log but in the form that the site has chosen.
#[tokio::test]
async fn a_log_without_addresses_has_none() {
    for (addresses, shown) in [("domain", "@approved.example"), ("hashed", "@approved.example")] {
        let site = format!("{SITE}[log]\naddresses = \"{addresses}\"\n");
        let daemon = Daemon::with(&site).await;
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        let secret = "zacharias";
        for command in [
            format!("{secret}@approved.example"),
            format!("<{secret}@approved.example>"),
            format!("MAIL FROM:{secret}@approved.example"),
            format!("VRFY {secret}@approved.example"),
            format!("HELO {secret} {secret}"),
        ] {
            smtp.command(&command).await;
        }
        let address = format!("{secret}@approved.example");
        let ours = format!("{secret}@help.example.com");
        assert!(smtp.mail(&address, &[&ours], "").await.starts_with("550 5.1.1"));
        smtp.command("RSET").await;
        let raw = message(&address, IT, "printer");
        assert!(
            smtp.mail(&address, IT, &raw.replace("\r\n\r\nHello", "\r\n\r\nHel\nlo"))
                .await
                .starts_with("550 5.6.0")
        );
        assert!(smtp.mail(&address, IT, &raw).await.starts_with("250"));
        let link = daemon.link(1).await;
        daemon.page("POST", &link, "").await;
        daemon.holds_ended(1).await;
        smtp.mail(&address, IT, &message(&address, IT, "scanner")).await;
        let path = format!("/api/v1/accounts/{address}");
        daemon.api("PATCH", &path, Some(r#"{"status": "deactivated"}"#)).await;
        smtp.mail(&address, IT, &message(&address, IT, "again")).await;
        let log = daemon.log.text();
        for event in
            ["smtp.refused", "mail.decided", "verification.sent", "account.created", "account.deactivated"]
        {
            assert!(!daemon.log.events(event).is_empty(), "{event}");
        }
        assert!(!log.contains(secret), "{addresses}: {log}");
        assert!(log.contains(shown));
        daemon.stop().await;
    }
}

/// K02, A04: the token stands in the mail, and nowhere else that anybody could look.
#[tokio::test]
async fn the_token_is_nowhere_but_in_the_mail() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "printer").await;
    let link = daemon.link(1).await;
    let token = link.trim_start_matches("/verify/");
    let bytes = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let mut said = String::new();
    let held = daemon.api("GET", "/api/v1/held", None).await.1;
    let id = held["items"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        "/api/v1/held".to_owned(),
        format!("/api/v1/held/{id}"),
        format!("/api/v1/senders/{ADA}"),
        "/api/v1/decisions".to_owned(),
        "/api/v1/accounts".to_owned(),
        "/metrics".to_owned(),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        link.clone(),
    ] {
        let answer = daemon.page("GET", &path, "").await;
        said += &(answer.head + &answer.body);
        said += &daemon.api("GET", &path, None).await.1.to_string();
    }
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    said += &daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await.1.to_string();
    said += &daemon.api("GET", "/api/v1/requests/IT-1", None).await.1.to_string();
    said += &daemon.log.text();
    assert!(said.contains("printer") && said.contains("verification.sent"));
    assert!(!said.contains(token) && !said.contains(&hex), "{said}");
    let folder = daemon.stop().await;
    let data = folder.path().join("data");
    assert_ne!(files_with(&data, &[ADA]), Vec::<String>::new(), "what is in the store is found");
    assert_eq!(files_with(&data, &[token.as_bytes(), hex.as_bytes(), &bytes]), Vec::<String>::new());
}

/// What another user of the machine can read of the daemon's files: nothing, even with a careless umask.
#[tokio::test]
async fn other_users_of_the_machine_can_read_nothing() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "held").await;
    let large = message("bob@partner.example", IT, "big") + &("x".repeat(70) + "\r\n").repeat(10_000);
    daemon.raw_mail("bob@partner.example", IT, &large).await;
    daemon.link(1).await;
    let folder = daemon.stop().await;
    let mut seen = 0;
    for path in [entries(&folder.path().join("data")), entries(&folder.path().join("outbound"))].concat() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        // What sled makes is out of reach within a closed folder.
        let within_index = path.parent().is_some_and(|parent| parent.ends_with("data/index"))
            || path.components().any(|part| part.as_os_str() == "blobs" || part.as_os_str() == "snapshots");
        let closed = if path.is_dir() { 0o700 } else { 0o600 };
        assert!(mode == closed || within_index, "{} is {mode:o}", path.display());
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}

/// X02: names of attachments are one file name in one header line.
#[tokio::test]
async fn hostile_names_of_attachments_stay_names() {
    let daemon = Daemon::start().await;
    let names = [
        ("filename*=utf-8''a%0D%0ASet-Cookie:%20x=1%0D%0A%0D%0A<script>", "a Set-Cookie_ x=1 _script_"),
        ("filename=\"=?utf-8?q?a=0D=0ASet-Cookie:_x=3D1?=\"", "a Set-Cookie_ x=1"),
        ("filename=\"..\\\\..\\\\etc\\\\passwd\"", "passwd"),
        ("filename=\"../../.ssh/authorized_keys\"", "authorized_keys"),
        ("filename*=utf-8''%E2%80%AEfdp.exe", "fdp.exe"),
        ("filename=\"a\\\"; filename=b.html\"", "a_; filename=b.html"),
        ("filename=\"\"", "attachment-7"),
    ];
    let mut raw = "From: bob@partner.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    for (parameter, _) in names {
        let _ = write!(
            raw,
            "--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; {parameter}\r\n\r\nx\r\n"
        );
    }
    raw += "--b--\r\n";
    assert!(daemon.raw_mail("bob@partner.example", IT, &raw).await.starts_with("250"));
    let (_, request) = daemon.api("GET", "/api/v1/requests/IT-1", None).await;
    let shown: Vec<_> = request["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(shown, names.map(|(_, name)| name));
    for n in 0..names.len() {
        let auth = format!("Authorization: Bearer {}\r\n", crate::daemon::TOKEN);
        let path = format!("/api/v1/requests/IT-1/attachments/{n}");
        let answer = crate::daemon::http(daemon.addresses.admin, "GET", &path, &auth, ("", "")).await;
        assert_eq!((answer.status, answer.body.trim_end()), (200, "x"));
        let head = answer.head.to_ascii_lowercase();
        assert!(!head.contains("set-cookie:") && !head.contains("<script"), "{head}");
        assert_eq!(head.matches("\r\ncontent-disposition: attachment; filename=\"").count(), 1, "{head}");
        assert!(head.contains("\r\ncontent-type: application/octet-stream\r\n") && head.contains("nosniff"));
    }
    daemon.stop().await;
}

/// M07 in the built daemon: the parser panics, the mail is taken and decided, and the log stays JSON.
#[tokio::test]
async fn a_parser_that_panics_is_one_event() {
    let mut served = Served::start();
    let mut smtp = Smtp::connect(served.smtp.parse().unwrap()).await;
    let reply = smtp.bdat("a@relay.example", IT[0], super::mail::PANICS.as_bytes()).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    if cfg!(debug_assertions) {
        let event = served.event("daemon.panicked");
        assert!(event["at"].as_str().unwrap().contains("mail-parser"), "{event}");
        assert_eq!(served.event("mail.decided")["reason"], "no-usable-sender");
    } else {
        served.event("mail.decided");
    }
    assert!(smtp.command("NOOP").await.starts_with("250"), "it lives");
    served.stop();
}

/// B01: over a real socket, with the decision behind it: each smuggling sequence is one transaction and one reply.
#[tokio::test]
async fn smuggled_mails_are_never_decided() {
    let daemon = Daemon::start().await;
    for sequence in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
    ] {
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command("MAIL FROM:<bob@partner.example>").await;
        smtp.command("RCPT TO:<it@help.example.com>").await;
        assert!(smtp.command("DATA").await.starts_with("354"));
        let smuggled = "MAIL FROM:<eve@partner.example>\r\nRCPT TO:<it@help.example.com>\r\nDATA\r\n\
                        From: eve@partner.example\r\n\r\nsmuggled";
        smtp.send(
            format!("From: bob@partner.example\r\n\r\nx{sequence}{smuggled}\r\n.\r\nNOOP\r\n").as_bytes(),
        )
        .await;
        let reply = smtp.reply().await;
        let wanted = if sequence.contains('\0') { ["554 5.6.0", "550 5.6.0"] } else { ["550 5.6.0"; 2] };
        assert!(wanted.iter().any(|code| reply.starts_with(code)), "{sequence:?}: {reply}");
        assert!(smtp.reply().await.starts_with("250 2.0.0"), "{sequence:?}: in step");
    }
    assert_eq!(reasons(&daemon).len(), 0);
    daemon.stop().await;
}

/// L01, L05: a mail loop ends here, for the postmaster too, and every end is told.
#[tokio::test]
async fn a_loop_through_the_postmaster_ends() {
    let site = SITE.replace("[http]\n", "postmaster = \"ops@elsewhere.example\"\n[http]\n");
    let daemon = Daemon::with(&site).await;
    let rcpts = ["postmaster@help.example.com", IT[0]];
    let hops = |n: usize| "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n".repeat(n);
    for (n, fields) in
        [(100, hops(100)), (101, hops(101)), (1, "X-Vestibule-Mail: verification\r\n".to_owned())]
    {
        let raw = fields + &message("bob@partner.example", &rcpts, &format!("{n} hops"));
        assert!(daemon.raw_mail("", &rcpts, &raw).await.starts_with("250"), "{n}");
    }
    assert_eq!(reasons(&daemon), ["automatic-message", "mail-loop", "mail-loop"]);
    assert_eq!(daemon.log.events("mail.forwarded").len(), 1);
    let ended = daemon.log.events("outbound.failed");
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|event| event["error"].as_str().unwrap().starts_with("a mail loop")));
    eventually("the one goes out", || daemon.outbound().len() == 1).await;
    assert!(daemon.outbound()[0].contains("Subject: 100 hops\r\n"));
    daemon.stop().await;
}

/// S03 to S11 and S15 to the end: who decides the outcome is the one address that every reader sees.
#[tokio::test]
async fn the_author_is_read_in_one_way_only() {
    let daemon = Daemon::start().await;
    let (unusable, stranger) = ("no-usable-sender", "domain-not-allowed");
    for (n, (fields, reason)) in [
        ("From: z@evil.example\r\nFrom: bob@partner.example", unusable),
        ("From: bob@partner.example\r\nFrom: z@evil.example", unusable),
        ("From: bob@partner.example, z@evil.example", unusable),
        ("From: g: bob@partner.example;", unusable),
        ("From: \"bob@partner.example\" <z@evil.example>", stranger),
        ("From: z@evil.example\r\n\t<bob@partner.example>", unusable),
        ("From: <bob@partner.example> <z@evil.example>", unusable),
        ("From: <z@evil.example> <bob@partner.example>", unusable),
        ("From: =?utf-8?q?bob=40partner.example?=", unusable),
        ("From: <=?utf-8?q?bob=40partner.example?=>", unusable),
        ("From: \"bob@partner.example\"@evil.example", stranger),
        ("From: z@evil.example@partner.example", unusable),
        ("From: bob@partner.example(@evil.example)", unusable),
        ("From: bob (a (b\\) <z@evil.example>) c) <bob@partner.example>", unusable),
        ("From: <@partner.example:z@evil.example>", unusable),
        ("From: <@partner.example,@x.example:z@evil.example>", unusable),
        ("From : bob@partner.example", unusable),
        ("Fr om: bob@partner.example", unusable),
        (":From: bob@partner.example\r\nFrom: z@evil.example", unusable),
        ("From: z@evil.example\r\nReply-To: bob@partner.example\r\nSender: bob@partner.example", stranger),
        ("From: bob@partner.example\r\n\t<bob@partner.example>", "new-portal-only-customer"),
        ("From: \"B (ob) \\\" <\" (a (b) \\) c) <Bob@Partner.example>", "known-customer"),
    ]
    .into_iter()
    .enumerate()
    {
        let raw = format!("{fields}\r\nSubject: x\r\n\r\n{n}\r\n");
        assert!(daemon.raw_mail("bob@partner.example", IT, &raw).await.starts_with("250"), "{fields}");
        assert_eq!(reasons(&daemon).last().map(String::as_str), Some(reason), "{fields}");
    }
    daemon.stop().await;
}

/// Every test that THREATS.md names is there, and every id that must be proven has its row.
#[test]
fn this_table_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/THREATS.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut named = 0;
    for test in rows.iter().flat_map(|row| row[2].split('`').skip(1).step_by(2)) {
        let (place, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test} is no path of a test"));
        let file = if place.starts_with("src/") {
            place.to_owned()
        } else {
            format!("tests/it/{}.rs", place.replace("::", "/"))
        };
        let source =
            std::fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {name}(")), "no test {name} in {file}");
        named += 1;
    }
    assert!(named > 60, "{named}");
    let demanded = "S01 S02 S03 S04 S05 S06 S07 S08 S09 S10 S11 S12 S13 S14 S15 S16 S17 S18 S19 S20 B01 B02 B03 B04 B05 B06 K01 K02 K03 K04 K05 M01 M02 M03 M06 M07 \
                    D01 D02 D03 D04 D05 D06 D07 H01 H02 L02 L03 L04 A01 A02 A03 A04 A05 G01";
    for id in demanded.split(' ') {
        assert_eq!(rows.iter().filter(|row| row[0] == id).count(), 1, "{id}");
    }
}
