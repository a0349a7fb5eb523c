//! The HTTP API and pages of a whole daemon, over real sockets. What needs no mail is in `src/http/tests.rs`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper fails its test")]

mod accounts;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::{Answer, Daemon, SITE, TOKEN, http, message};

const ADA: &str = "ada@approved.example";
const BOB: &str = "bob@partner.example";
const IT: &[&str] = &["it@help.example.com"];
const HR: &[&str] = &["hr@help.example.com"];

/// A text, a hostile page and a picture; To and Cc name our inbox, the reporter and two others.
const WITH_ATTACHMENTS: &str = "From: \"Bob B.\" <bob@partner.example>\r\n\
To: IT <it@help.example.com>, Eve <eve@elsewhere.example>\r\n\
Cc: bob@partner.example, carl@elsewhere.example\r\n\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <b>bold</b>\r\n\
Message-ID: <first@partner.example>\r\n\
Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=xx\r\n\
\r\n\
--xx\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
The printer is on fire.\r\n\
--xx\r\n\
Content-Type: text/html; name=\"../../etc/login.html\"\r\n\
Content-Disposition: attachment; filename=\"../../etc/login.html\"\r\n\
\r\n\
<script>alert(1)</script>\r\n\
--xx\r\n\
Content-Type: image/png; name=\"plan.png\"\r\n\
Content-Disposition: attachment; filename=\"plan.png\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
aGVsbG8=\r\n\
--xx--\r\n";

async fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, value) = daemon.api("GET", path, None).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// With the token, and with the header fields of the answer.
async fn whole(daemon: &Daemon, path: &str) -> Answer {
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    http(daemon.addresses.admin, "GET", path, &auth, ("", "")).await
}

fn header(answer: &Answer, name: &str) -> String {
    let field = |line: &str| {
        let (given, value) = line.split_once(": ")?;
        given.eq_ignore_ascii_case(name).then(|| value.to_owned())
    };
    answer.head.lines().find_map(field).unwrap_or_default()
}

fn each<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list["items"].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn a_request_shows_its_text_people_and_attachments() {
    let daemon = Daemon::start().await;
    assert!(daemon.raw_mail(BOB, IT, WITH_ATTACHMENTS).await.starts_with("250"));
    let request = get(&daemon, "/api/v1/requests/IT-1").await;
    // A list shows each request as whole as that.
    assert_eq!(get(&daemon, "/api/v1/requests").await["items"][0], request);
    assert_eq!(request["subject"], "Grüße <b>bold</b>");
    assert_eq!(request["reporter"], json!({ "address": BOB, "name": "Bob B.", "account": "portal-only" }));
    assert_eq!(request["participants"], json!(["eve@elsewhere.example", "carl@elsewhere.example"]));
    assert_eq!(request["message_id"], "first@partner.example");
    assert_eq!((&request["project"], &request["basis"]), (&json!("IT"), &Value::Null));
    assert!(request["body"].as_str().unwrap().contains("The printer is on fire."), "{request}");
    let attachments = request["attachments"].as_array().unwrap();
    let names: Vec<_> = attachments.iter().map(|one| (&one["name"], &one["content_type"])).collect();
    assert_eq!(
        names,
        [(&json!("login.html"), &json!("text/html")), (&json!("plan.png"), &json!("image/png"))]
    );
    assert_eq!(attachments[1]["size"], 5);
    assert_eq!(request["comments"], json!([]));

    // Nobody got an account or a mail for standing in To or Cc.
    assert_eq!(each(&get(&daemon, "/api/v1/accounts").await, "address"), [BOB]);
    assert!(daemon.outbound().is_empty());
    for missing in ["/api/v1/requests/IT-1/comments/0/raw", "/api/v1/requests/IT-1/comments/0/attachments/0"]
    {
        assert_eq!(daemon.api("GET", missing, None).await.0, 404, "{missing}");
    }
    daemon.stop().await;
}

/// X01, X02.
#[tokio::test]
async fn raw_mail_and_attachments_are_saved_and_never_shown() {
    let daemon = Daemon::start().await;
    daemon.raw_mail(BOB, IT, WITH_ATTACHMENTS).await;
    let raw = whole(&daemon, "/api/v1/requests/IT-1/raw").await;
    assert_eq!((raw.status, raw.body.as_str()), (200, WITH_ATTACHMENTS), "byte for byte");
    assert_eq!(header(&raw, "content-type"), "message/rfc822");
    let page = whole(&daemon, "/api/v1/requests/IT-1/attachments/0").await;
    assert_eq!((page.status, page.body.trim_end()), (200, "<script>alert(1)</script>"));
    assert_eq!(header(&page, "content-type"), "application/octet-stream");
    assert_eq!(
        header(&page, "content-disposition"),
        "attachment; filename=\"login.html\"; filename*=UTF-8''login.html"
    );
    let picture = whole(&daemon, "/api/v1/requests/IT-1/attachments/1").await;
    assert_eq!((header(&picture, "content-type").as_str(), picture.body.as_str()), ("image/png", "hello"));
    for answer in [&raw, &page, &picture] {
        assert!(header(answer, "content-disposition").starts_with("attachment; "), "{answer:?}");
        assert_eq!(header(answer, "x-content-type-options"), "nosniff");
        assert!(header(answer, "content-security-policy").starts_with("sandbox;"));
    }
    for missing in ["attachments/2", "attachments/x", "attachments/-1"] {
        let (status, problem) = daemon.api("GET", &format!("/api/v1/requests/IT-1/{missing}"), None).await;
        assert_eq!((status, &problem["status"]), (404, &json!(404)), "{missing}");
    }
    daemon.stop().await;
}

/// A reply in HTML with a picture in its text, and what should never reach a browser.
const HTML_REPLY: &str = "From: bob@partner.example\r\n\
To: it@help.example.com\r\n\
Subject: Re: Printer\r\n\
Message-ID: <html@partner.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/related; boundary=xx\r\n\
\r\n\
--xx\r\n\
Content-Type: text/html; charset=utf-8\r\n\
\r\n\
<p onclick=\"alert(1)\">It <b>burns</b>: <img src=\"cid:one@partner.example\"><img src=\"https://evil.example/pixel\"></p>\r\n\
<script>alert(1)</script><a href=\"javascript:alert(1)\">here</a>\r\n\
<div class=\"gmail_quote\"><div class=\"gmail_attr\">On Monday IT wrote:<br></div><blockquote>Does it?</blockquote></div>\r\n\
--xx\r\n\
Content-Type: image/png; name=\"one.png\"\r\n\
Content-ID: <one@partner.example>\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
aGVsbG8=\r\n\
--xx--\r\n";

/// X01.
#[tokio::test]
async fn html_is_shown_without_what_runs_or_loads() {
    let daemon = Daemon::start().await;
    daemon.raw_mail(BOB, IT, HTML_REPLY).await;
    daemon.raw_mail(BOB, IT, WITH_ATTACHMENTS).await;
    let request = get(&daemon, "/api/v1/requests/IT-1").await;
    assert_eq!(request["new_part"], "It burns:\n\nhere");
    assert!(request["body"].as_str().unwrap().ends_with("On Monday IT wrote:\n> Does it?\n"), "{request}");
    assert_eq!((&request["has_html"], &request["notices"]), (&json!(true), &json!([])));
    assert_eq!(
        request["attachments"],
        json!([{
            "name": "one.png",
            "content_type": "image/png",
            "size": 5,
            "inline": true,
            "content_id": "one@partner.example",
            "kind": "file",
        }])
    );
    let page = whole(&daemon, "/api/v1/requests/IT-1/html").await;
    assert_eq!((page.status, header(&page, "content-type").as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("It <b>burns</b>: <img src=\"attachments/0\">"), "{}", page.body);
    for evil in ["alert", "script", "onclick", "evil.example"] {
        assert!(!page.body.contains(evil), "{evil}: {}", page.body);
    }
    assert!(
        header(&page, "content-security-policy").starts_with("sandbox; default-src 'none'; img-src 'self'")
    );
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    let picture = whole(&daemon, "/api/v1/requests/IT-1/attachments/0").await;
    assert_eq!((picture.status, header(&picture, "content-type").as_str()), (200, "image/png"));
    for missing in ["IT-2/html", "IT-9/html", "IT-1/comments/0/html"] {
        let (status, problem) = daemon.api("GET", &format!("/api/v1/requests/{missing}"), None).await;
        assert_eq!((status, &problem["status"]), (404, &json!(404)), "{missing}");
    }
    daemon.stop().await;
}

/// Walks a list by its cursors, three items at a time.
async fn walk(daemon: &Daemon, path: &str, member: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..20 {
        let list = get(daemon, &format!("{path}&limit=3{cursor}")).await;
        seen.extend(each(&list, member).into_iter().map(str::to_owned));
        let full = list["items"].as_array().unwrap().len() == 3;
        match list["next"].as_str() {
            Some(next) if full => cursor = format!("&cursor={next}"),
            _ => return seen,
        }
    }
    panic!("{path} never ends: {seen:?}");
}

#[tokio::test]
async fn lists_can_be_narrowed_and_walked_in_both_orders() {
    let daemon = Daemon::start().await;
    for n in 0..4 {
        daemon.mail(BOB, IT, &format!("it {n}")).await;
        daemon.mail("dan@partner.example", HR, &format!("hr {n}")).await;
        daemon.mail(ADA, IT, &format!("held {n}")).await;
    }
    let oldest = walk(&daemon, "/api/v1/requests?order=oldest", "id").await;
    assert_eq!(oldest, ["IT-1", "HR-1", "IT-2", "HR-2", "IT-3", "HR-3", "IT-4", "HR-4"]);
    let mut newest = walk(&daemon, "/api/v1/requests?order=newest", "id").await;
    newest.reverse();
    assert_eq!(newest, oldest);
    for (query, ids) in [
        ("project=HR", vec!["HR-4", "HR-3", "HR-2", "HR-1"]),
        ("customer=Bob@Partner.example", vec!["IT-4", "IT-3", "IT-2", "IT-1"]),
        ("customer=bob@partner.example&project=HR", vec![]),
    ] {
        assert_eq!(walk(&daemon, &format!("/api/v1/requests?{query}"), "id").await, ids, "{query}");
    }
    let held =
        walk(&daemon, "/api/v1/held?order=oldest&sender=ada@approved.example&project=IT", "subject").await;
    assert_eq!(held, ["held 0", "held 1", "held 2", "held 3"]);
    assert_eq!(walk(&daemon, "/api/v1/held?project=HR", "id").await, Vec::<String>::new());
    assert_eq!(walk(&daemon, "/api/v1/decisions?order=oldest", "mail_id").await.len(), 12);

    for cursor in ["x", "../..", ""] {
        let (status, problem) = daemon.api("GET", &format!("/api/v1/requests?cursor={cursor}"), None).await;
        assert_eq!((status, &problem["parameter"]), (400, &json!("cursor")), "{cursor:?}: {problem}");
    }

    // Who follows the oldest-first list misses nothing that comes later.
    let list = get(&daemon, "/api/v1/requests?order=oldest").await;
    let next = list["next"].as_str().expect("a place to go on from");
    daemon.mail(BOB, IT, "later").await;
    let later = get(&daemon, &format!("/api/v1/requests?order=oldest&cursor={next}")).await;
    assert_eq!(each(&later, "id"), ["IT-5"]);
    daemon.stop().await;
}

#[tokio::test]
async fn decisions_answer_why_a_mail_did_not_arrive() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, IT, "created").await;
    daemon.mail(ADA, IT, "held").await;
    daemon.mail("eve@elsewhere.example", IT, "dropped").await;
    for (query, reasons) in [
        ("outcome=create", vec!["new-portal-only-customer"]),
        ("outcome=hold", vec!["internal-account-unverified"]),
        ("outcome=drop&project=IT", vec!["domain-not-allowed"]),
        ("reason=domain-not-allowed&sender=eve@elsewhere.example", vec!["domain-not-allowed"]),
        ("sender=eve@elsewhere.example&outcome=create", vec![]),
        ("project=HR", vec![]),
        ("since=2026-01-01T00:00:00Z&outcome=drop", vec!["domain-not-allowed"]),
        ("since=2027-01-01T00:00:00Z", vec![]),
    ] {
        let list = get(&daemon, &format!("/api/v1/decisions?{query}")).await;
        assert_eq!(each(&list, "reason"), reasons, "{query}");
    }
    let list = get(&daemon, "/api/v1/decisions?reason=domain-not-allowed").await;
    let row = &list["items"][0];
    assert_eq!((&row["sender_domain"], &row["outcome"]), (&json!("elsewhere.example"), &json!("drop")));
    assert_eq!((&row["request"], &row["held"], &row["basis"]), (&Value::Null, &Value::Null, &Value::Null));
    let end = row["trail"].as_array().unwrap().last().unwrap();
    assert_eq!(end["result"], "drop domain-not-allowed", "{row}");
    let (status, dropped) = daemon.api("GET", "/api/v1/accounts/eve@elsewhere.example", None).await;
    assert_eq!(status, 404, "{dropped}");
    daemon.stop().await;
}

/// A04: what is told of a sender holds neither a token nor what could be made into one.
#[tokio::test]
async fn a_sender_can_be_looked_up_without_learning_the_link() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "printer").await;
    let link = daemon.link(1).await;
    let path = "/api/v1/senders/ada@approved.example";
    let fresh = get(&daemon, path).await;
    let verification = &fresh["verifications"][0];
    assert_eq!((&verification["state"], &verification["opened_at"]), (&json!("pending"), &Value::Null));
    assert_eq!(verification["mails"].as_array().unwrap().len(), 1);
    assert_eq!((&fresh["account"], &fresh["never_mailed"]), (&Value::Null, &json!(false)));
    assert_eq!(fresh["held"][0]["subject"], "printer");
    assert_eq!(fresh["decisions"][0]["reason"], "internal-account-unverified");

    daemon.page("GET", &link, "").await;
    assert!(get(&daemon, path).await["verifications"][0]["opened_at"].is_string());
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    let after = get(&daemon, path).await;
    assert_eq!(
        (&after["verifications"][0]["state"], &after["verifications"][0]["handed_on"]),
        (&json!("verified"), &json!(1))
    );
    assert_eq!((&after["account"]["kind"], &after["held"]), (&json!("internal"), &json!([])));
    let token = link.trim_start_matches("/verify/");
    for report in [fresh.to_string(), after.to_string()] {
        assert!(
            !report.contains(token) && !report.contains("sealed") && !report.contains("digest"),
            "{report}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_never_mail_names_is_told_and_not_mailed() {
    let site = SITE.replace("[verification]\n", "[verification]\nnever_mail = [\"approved.example\"]\n");
    let daemon = Daemon::with(&site).await;
    daemon.mail(ADA, IT, "waits").await;
    assert_eq!(get(&daemon, "/api/v1/senders/ada@approved.example").await["never_mailed"], true);
    let (status, problem) = daemon.api("POST", "/api/v1/senders/ada@approved.example/resend", None).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("never-mailed")), "{problem}");
    assert!(daemon.outbound().is_empty());
    daemon.stop().await;
}

/// What strangers write is shown on a page that its reader trusts: it must be inert, and the page must be heard.
#[tokio::test]
async fn the_page_behind_a_link_is_safe_and_says_who_wrote() {
    let daemon = Daemon::start().await;
    let hostile = message(ADA, IT, "<script>x</script> \"><img src=y>")
        .replace("Date:", "Sender: <secretary@approved.example>\r\nDate:");
    daemon.raw_mail(ADA, IT, &hostile).await;
    daemon.mail(ADA, HR, "second").await;
    let link = daemon.link(1).await;
    let page = daemon.page("GET", &link, "").await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    for words in [ADA, "IT support", "Human resources", "secretary@approved.example", "Example Help"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let list = get(&daemon, "/api/v1/held?order=oldest").await;
    let ids = each(&list, "id");
    let boxes: BTreeSet<_> =
        ids.iter().filter(|id| page.body.contains(&format!("name=\"not_mine\" value=\"{id}\""))).collect();
    assert_eq!(boxes.len(), 2);
    assert!(page.body.contains(&format!("name=\"until\" value=\"{}\"", ids[1])));
    assert!(!page.body.contains(link.trim_start_matches("/verify/")), "the link is not on the page");
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("style-src 'sha256-") && policy.contains("form-action 'self'"), "{policy}");
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert_eq!(header(&page, "cache-control"), "no-store");

    // K08: a form of another site's page does nothing, whatever it knows.
    let form = "application/x-www-form-urlencoded";
    let origin = "Origin: https://evil.example\r\n";
    let refused = http(daemon.addresses.http, "POST", &link, origin, (form, "")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(each(&get(&daemon, "/api/v1/held").await, "id").len(), 2);
    daemon.stop().await;
}

/// K04: a reader whose link is good gets in, however many bad ones come from the same network.
#[tokio::test]
async fn guessing_is_slowed_down_and_good_links_still_work() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    let link = daemon.link(1).await;
    let mut refused = 0;
    for n in 0..60 {
        let guess = format!("/verify/{}{n:02}", "A".repeat(41));
        let status = daemon.page("GET", &guess, "").await.status;
        assert!(status == 404 || status == 429, "{status}");
        refused += usize::from(status == 429);
    }
    assert!(refused > 20, "{refused} of 60 refused");
    assert_eq!(daemon.page("GET", &link, "").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn explain_tells_the_same_as_the_daemon_would_do_and_keeps_nothing() {
    let daemon = Daemon::start().await;
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let explain = |rcpts: &str, mail: String| {
        let (path, auth) = (format!("/api/v1/explain{rcpts}"), auth.clone());
        let to = daemon.addresses.admin;
        async move { http(to, "POST", &path, &auth, ("message/rfc822", &mail)).await }
    };
    for (sender, reason) in [
        (ADA, "internal-account-unverified"),
        (BOB, "new-portal-only-customer"),
        ("eve@elsewhere.example", "domain-not-allowed"),
    ] {
        let told = explain("?rcpt=it@help.example.com", message(sender, IT, "hello")).await;
        assert_eq!(told.status, 200);
        assert!(told.body.contains(reason), "{sender}: {}", told.body);
    }
    let foreign = explain("?rcpt=it@elsewhere.example", message(BOB, IT, "hello")).await;
    assert_eq!(foreign.status, 400);
    assert!(foreign.body.contains("it@elsewhere.example"), "{}", foreign.body);
    assert_eq!(get(&daemon, "/api/v1/decisions").await["items"], json!([]));
    assert_eq!(get(&daemon, "/api/v1/accounts").await["items"], json!([]));
    daemon.stop().await;
}

#[tokio::test]
async fn readiness_and_metrics_speak_of_the_whole_daemon() {
    let daemon = Daemon::start().await;
    assert_eq!(whole(&daemon, "/readyz").await.status, 200);
    for (sender, subject) in
        [(ADA, "held"), (BOB, "created"), ("eve@elsewhere.example", "dropped"), (ADA, "too")]
    {
        daemon.mail(sender, IT, subject).await;
    }
    let link = daemon.link(1).await;
    for (waiting, resolved) in [(2, 0), (0, 2)] {
        let metrics = whole(&daemon, "/metrics").await.body;
        let metric = |name: &str| {
            let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            found.map(|value| value.parse::<i64>().unwrap())
        };
        assert_eq!(metric("vestibule_mails_accepted_total"), Some(4));
        assert_eq!(
            (metric("vestibule_intake_gap"), metric("vestibule_holds_gap")),
            (Some(0), Some(0)),
            "{metrics}"
        );
        assert_eq!(metric("vestibule_holds_waiting"), Some(waiting));
        assert_eq!(metric("vestibule_store_writable"), Some(1));
        let ended = "vestibule_holds_resolved_total{outcome=\"create\",reason=\"known-customer\"}";
        assert_eq!(metric(ended).unwrap_or(0), resolved, "{metrics}");
        daemon.page("POST", &link, "").await;
        daemon.holds_ended(2).await;
    }
    daemon.stop().await;
}
