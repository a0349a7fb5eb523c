//! Sentences of access-rules.md and of the contract that need a whole daemon to be true.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use vestibule::{
    config::LogAddresses,
    ops::{Clock, LogBuffer, Ops, Shutdown, json_dispatch},
    store::{Store, embedded},
    types::{HeldId, TokenSeal},
    verify::{TokenAnswer, Verify},
};

use crate::daemon::{Daemon, SITE, Smtp, eventually, load, message};

const ADA: &str = "ada@approved.example";
const BOB: &str = "bob@partner.example";
const IT: &[&str] = &["it@help.example.com"];
const HR: &[&str] = &["hr@help.example.com"];
const BOTH: &[&str] = &["it@help.example.com", "hr@help.example.com"];
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Project and reason of each decision at intake, in order.
fn decided(daemon: &Daemon) -> Vec<(String, String)> {
    let mut lines = daemon.log.events("mail.decided");
    lines.retain(|line| line["basis"].is_null());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines.iter().map(|line| (text(&line["project"]), text(&line["reason"]))).collect()
}

fn reasons(daemon: &Daemon) -> Vec<String> {
    decided(daemon).into_iter().map(|(_, reason)| reason).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(project, reason)| ((*project).to_owned(), (*reason).to_owned())).collect()
}

async fn items(daemon: &Daemon, path: &str) -> Vec<Value> {
    let (status, list) = daemon.api("GET", path, None).await;
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().clone()
}

async fn held_ids(daemon: &Daemon) -> Vec<String> {
    let held = items(daemon, "/api/v1/held?order=oldest").await;
    held.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// *Order of checks*: in order of RCPT, each project once, each decision seeing what the earlier ones make.
#[tokio::test]
async fn one_mail_to_several_projects_is_decided_in_order_of_rcpt() {
    let daemon = Daemon::start().await;
    let rcpts =
        &["hr@help.example.com", "IT+a@help.example.com", "HR@HELP.example.com", "it@help.example.com"];
    daemon.mail(BOB, rcpts, "several").await;
    assert_eq!(decided(&daemon), pairs(&[("HR", "new-portal-only-customer"), ("IT", "known-customer")]));
    let lines = daemon.log.events("mail.decided");
    assert_eq!((&lines[0]["account"], &lines[1]["account"]), (&json!("none"), &json!("portal-only")));
    assert_eq!(lines[0]["mail_id"], lines[1]["mail_id"]);
    assert_eq!(daemon.log.events("account.created").len(), 1);
    daemon.stop().await;
}

/// Check 1 is asked for each project alone.
#[tokio::test]
async fn a_copy_is_a_duplicate_only_where_it_was_before() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, HR, "same").await;
    // The field To differs, the four parts of the key do not.
    daemon.mail(BOB, BOTH, "same").await;
    let expected = [("HR", "new-portal-only-customer"), ("IT", "known-customer"), ("HR", "duplicate")];
    assert_eq!(decided(&daemon), pairs(&expected));
    daemon.mail(ADA, IT, "held").await;
    daemon.mail(ADA, BOTH, "held").await;
    assert_eq!(decided(&daemon)[4..], pairs(&[("IT", "duplicate"), ("HR", "internal-account-unverified")]));
    assert_eq!(held_ids(&daemon).await.len(), 2);
    daemon.stop().await;
}

/// Check 1: From address, Message-ID (or none) and body make the key, for as long as the window lasts.
#[tokio::test]
async fn what_makes_a_duplicate() {
    let daemon = Daemon::start().await;
    let first = message(BOB, IT, "first");
    let without_id = first.replace("Message-ID: <first@sender.example>\r\n", "");
    let other_id = first.replace("<first@", "<second@");
    let other_body = first.replace("Hello", "Good day");
    let other_subject = first.replace("Subject: first", "Subject: Re: first");
    let same_sender = first.replace("Somebody <bob@", "\"Bob\" <BOB@");
    let other_sender = first.replace("bob@", "carl@");
    for (raw, reason) in [
        (&first, "new-portal-only-customer"),
        (&first, "duplicate"),
        (&without_id, "known-customer"),
        (&without_id, "duplicate"),
        (&other_id, "known-customer"),
        (&other_body, "known-customer"),
        (&other_subject, "duplicate"),
        (&same_sender, "duplicate"),
        (&other_sender, "new-portal-only-customer"),
    ] {
        assert!(daemon.raw_mail(BOB, IT, raw).await.starts_with("250 2.0.0"));
        assert_eq!(reasons(&daemon).last().unwrap(), reason, "{raw}");
    }
    // The window is of the mail that was taken; its copies do not lengthen it. It lasts over a restart.
    let daemon = daemon.restart(SITE).await;
    daemon.advance(6 * DAY);
    daemon.raw_mail(BOB, IT, &first).await;
    daemon.advance(DAY + HOUR);
    daemon.raw_mail(BOB, IT, &first).await;
    assert_eq!(reasons(&daemon), ["duplicate", "known-customer"]);
    daemon.stop().await;
}

/// Check 1: a sender who tries again after a setting was mended gets through.
#[tokio::test]
async fn a_drop_leaves_no_key_and_a_hold_that_ends_in_one_frees_it() {
    let daemon = Daemon::start().await;
    let eve = "eve@elsewhere.example";
    daemon.mail(eve, IT, "again").await;
    daemon.mail(eve, IT, "again").await;
    daemon.reload(&SITE.replace("only_allowed_domains = true", "only_allowed_domains = false"));
    daemon.mail(eve, IT, "again").await;
    assert_eq!(reasons(&daemon), ["domain-not-allowed", "domain-not-allowed", "new-portal-only-customer"]);

    // Discarded.
    daemon.mail(ADA, IT, "held").await;
    daemon.mail(ADA, IT, "held").await;
    assert_eq!(
        daemon.api("DELETE", &format!("/api/v1/held/{}", held_ids(&daemon).await[0]), None).await.0,
        204
    );
    daemon.mail(ADA, IT, "held").await;
    let expected = ["internal-account-unverified", "duplicate", "internal-account-unverified"];
    assert_eq!(reasons(&daemon)[3..], expected);
    // Not the reader's.
    daemon.advance(HOUR);
    let link = daemon.link(2).await;
    daemon.page("POST", &link, "disown=1").await;
    daemon.holds_ended(2).await;
    daemon.mail(ADA, IT, "held").await;
    assert_eq!(reasons(&daemon).last().unwrap(), "internal-account-unverified");
    // Released as a drop.
    daemon.advance(8 * DAY);
    let link = daemon.link(3).await;
    daemon.reload(&SITE.replace("\"anyone\"", "\"added\""));
    daemon.page("POST", &link, "").await;
    assert_eq!(daemon.holds_ended(3).await[2]["reason"], "not-a-project-customer");
    daemon.reload(SITE);
    daemon.mail(ADA, IT, "held").await;
    assert_eq!(reasons(&daemon).last().unwrap(), "known-customer");
    // And a hold that ended in a request keeps its key.
    daemon.mail(ADA, IT, "held").await;
    assert_eq!(reasons(&daemon).last().unwrap(), "duplicate");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_copies_that_come_at_once_one_is_taken() {
    let daemon = Daemon::start().await;
    for (sender, taken) in [(BOB, "new-portal-only-customer"), (ADA, "internal-account-unverified")] {
        let before = decided(&daemon).len();
        let copy = || daemon.mail(sender, BOTH, "copy");
        let replies = tokio::join!(copy(), copy(), copy(), copy(), copy(), copy());
        assert!(replies.0.starts_with("250 ") && replies.5.starts_with("250 "), "{replies:?}");
        let new = &reasons(&daemon)[before..];
        assert_eq!(new.len(), 12);
        assert_eq!(new.iter().filter(|reason| *reason == "duplicate").count(), 10, "{new:?}");
        assert!(new.iter().any(|reason| reason == taken), "{new:?}");
    }
    assert_eq!(items(&daemon, "/api/v1/requests").await.len(), 2);
    assert_eq!(held_ids(&daemon).await.len(), 2);
    assert_eq!(daemon.link(1).await, daemon.link(1).await);
    assert_eq!(daemon.outbound().len(), 1);
    daemon.stop().await;
}

/// "Any hold past `max_held_per_address` for one address becomes drop `hold-limit`": over all projects, and within a mail.
#[tokio::test]
async fn the_limit_of_holds_counts_all_projects_and_the_mail_itself() {
    let site = SITE.replace("[verification]", "[verification]\nmax_held_per_address = 3");
    let daemon = Daemon::with(&site).await;
    daemon.mail(ADA, BOTH, "one").await;
    daemon.mail(ADA, BOTH, "two").await;
    daemon.mail(ADA, HR, "three").await;
    daemon.mail("eva@approved.example", HR, "another address").await;
    let hold = "internal-account-unverified";
    let expected =
        [("IT", hold), ("HR", hold), ("IT", hold), ("HR", "hold-limit"), ("HR", "hold-limit"), ("HR", hold)];
    assert_eq!(decided(&daemon), pairs(&expected));
    // A drop leaves no key, and an end of a hold makes room.
    let first = held_ids(&daemon).await[0].clone();
    daemon.api("DELETE", &format!("/api/v1/held/{first}"), None).await;
    daemon.mail(ADA, HR, "three").await;
    assert_eq!(reasons(&daemon).last().unwrap(), hold);
    daemon.stop().await;
}

/// *Holds*: any unexpired token of a pending verification redeems it, and that spends all of them.
#[tokio::test]
async fn every_link_of_a_verification_works_until_one_was_used() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "first").await;
    let first = daemon.link(1).await;
    daemon.advance(2 * HOUR);
    daemon.mail(ADA, IT, "second").await;
    let second = daemon.link(2).await;
    assert_ne!(first, second);
    daemon.advance(6 * DAY + 22 * HOUR);
    assert_eq!(daemon.page("GET", &first, "").await.status, 410);
    assert_eq!(daemon.page("POST", &first, "").await.status, 410);
    let done = daemon.page("POST", &second, "").await;
    assert_eq!(done.status, 200);
    daemon.holds_ended(2).await;
    // The other one tells the same, and does nothing more.
    for method in ["GET", "POST"] {
        let other = daemon.page(method, &first, "").await;
        assert_eq!((other.status, &other.body), (200, &done.body));
    }
    assert_eq!(items(&daemon, "/api/v1/requests").await.len(), 2);
    assert_eq!(daemon.log.events("verification.redeemed").len(), 1);
    daemon.stop().await;
}

/// *Configuration*: `max_mails_per_address_per_day` and `resend_after` hold for mail that arrives, too.
#[tokio::test]
async fn mail_that_arrives_gets_further_links_within_the_caps_only() {
    let daemon = Daemon::start().await;
    for (hours, mails) in [(0, 1), (0, 1), (1, 2), (2, 2), (20, 2), (2, 3)] {
        daemon.advance(hours * HOUR);
        daemon.mail(ADA, IT, &format!("mail {hours} {mails} {}", decided(&daemon).len())).await;
        eventually("the mail is sent", || daemon.log.events("verification.sent").len() >= mails).await;
        let (_, report) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
        let all = report["verifications"][0]["mails"].as_array().unwrap().len();
        assert_eq!((all, report["deliveries"].as_array().unwrap().len()), (mails, 0), "{report}");
    }
    assert_eq!(held_ids(&daemon).await.len(), 6, "a cap suppresses the mail, never the hold");
    daemon.stop().await;
}

/// Whoever asks for a link at the same time as somebody else is within the same caps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_ask_for_a_link_at_once_get_one() {
    let site = SITE.replace("[verification]", "[verification]\nmax_mails_per_address_per_day = 9");
    let daemon = Daemon::with(&site).await;
    daemon.mail(ADA, IT, "waits").await;
    daemon.link(1).await;
    daemon.advance(HOUR);
    let path = format!("/api/v1/senders/{ADA}/resend");
    let ask = || daemon.api("POST", &path, None);
    let all = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    let statuses = [all.0.0, all.1.0, all.2.0, all.3.0, all.4.0, all.5.0];
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let (_, report) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
    assert_eq!(report["verifications"][0]["mails"].as_array().unwrap().len(), 2, "{report}");
    daemon.link(2).await;
    assert_eq!(daemon.outbound().len(), 2);
    daemon.stop().await;
}

/// A cap delays a mail; asking again while it waits for its turn puts no more behind it.
#[tokio::test]
async fn asking_again_and_again_buys_one_delayed_mail() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    let link = daemon.link(1).await;
    daemon.advance(HOUR);
    let path = format!("/api/v1/senders/{ADA}/resend");
    assert_eq!(daemon.api("POST", &path, None).await.0, 200);
    eventually("it is sent", || daemon.log.events("verification.sent").len() == 2).await;
    for _ in 0..3 {
        let (status, answer) = daemon.api("POST", &path, None).await;
        assert_eq!((status, &answer["at"]), (202, &json!("2026-01-02T00:00:00.000Z")), "{answer}");
        assert_eq!(daemon.page("POST", &link, "new_link=1").await.status, 200);
    }
    let (_, report) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
    assert_eq!(report["deliveries"].as_array().unwrap().len(), 1, "{report}");
    daemon.advance(DAY);
    daemon.link(3).await;
    daemon.stop().await;
}

/// All that a page listed was dealt with by an administrator, and something else has come: it is shown anew.
#[tokio::test]
async fn a_page_whose_mails_have_ended_is_shown_anew() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "listed").await;
    let link = daemon.link(1).await;
    let listed = held_ids(&daemon).await[0].clone();
    daemon.mail(ADA, IT, "came later").await;
    daemon.api("DELETE", &format!("/api/v1/held/{listed}"), None).await;
    let page = daemon.page("POST", &link, &format!("until={listed}")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("came later") && page.body.contains("not_mine"), "{}", page.body);
    assert_eq!(held_ids(&daemon).await.len(), 1, "nothing that was not seen is handed on");
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    assert_eq!(daemon.holds_ended(2).await[1]["reason"], "known-customer");
    // Nothing waits for a link whose mails have all ended: 410.
    daemon.mail("eva@approved.example", IT, "discarded").await;
    let link = daemon.link(2).await;
    daemon.api("DELETE", &format!("/api/v1/held/{}", held_ids(&daemon).await[0]), None).await;
    let page = daemon.page("POST", &link, "").await;
    assert_eq!((page.status, page.body.contains("new_link")), (410, false));
    daemon.stop().await;
}

/// *Redeeming*: partly not the reader's, with mail behind the page: three ends, and a verification of its own for the rest.
#[tokio::test]
async fn each_mail_ends_as_its_reader_said() {
    let daemon = Daemon::start().await;
    for (rcpt, subject) in [(IT, "a"), (HR, "b"), (IT, "c")] {
        daemon.mail(ADA, rcpt, subject).await;
    }
    let link = daemon.link(1).await;
    let ids = held_ids(&daemon).await;
    daemon.mail(ADA, HR, "d").await;
    let form = format!("not_mine={}&until={}", ids[1], ids[2]);
    assert_eq!(daemon.page("POST", &link, &form).await.status, 200);
    let ended = daemon.holds_ended(3).await;
    let told =
        |line: &Value| format!("{} {}", line["basis"].as_str().unwrap(), line["reason"].as_str().unwrap());
    let mut all: Vec<_> = ended.iter().map(told).collect();
    all.sort_unstable();
    assert_eq!(all, ["not-mine not-mine", "verified known-customer", "verified known-customer"]);
    let (_, report) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
    assert_eq!(report["verifications"][0]["state"], "pending");
    assert_eq!(report["verifications"][1]["not_mine"], 1);
    assert_eq!(report["held"][0]["subject"], "d");
    // Each end has a trail that names the rule, in the audit log as in the line.
    let rows = items(&daemon, "/api/v1/decisions?order=oldest").await;
    let ends: Vec<_> = rows.iter().filter(|row| !row["basis"].is_null()).collect();
    assert_eq!(ends.len(), 3);
    for row in ends {
        let last = row["trail"].as_array().unwrap().last().expect("a trail");
        let said = format!("{} {}", row["outcome"].as_str().unwrap(), row["reason"].as_str().unwrap());
        assert_eq!(last["result"], said, "{row}");
    }
    daemon.stop().await;
}

/// *Redeeming*: without W = allow, I on and the domain in A there is no internal account; release may still create a
/// portal-only one, and an existing account keeps its kind.
#[tokio::test]
async fn an_account_comes_to_be_only_by_the_rules_of_that_moment() {
    let allowed = SITE.replace("\"partner.example\"", "\"partner.example\", \"approved.example\"");
    let off = allowed.replace("use_approved_domains = true", "use_approved_domains = false");
    let not_on_list = allowed.replace("approved_domains = [\"approved.example\"]", "approved_domains = []");
    for site in [off, not_on_list] {
        let daemon = Daemon::start().await;
        daemon.mail(ADA, BOTH, "waits").await;
        let link = daemon.link(1).await;
        daemon.reload(&site);
        daemon.page("POST", &link, "").await;
        let ended = daemon.holds_ended(2).await;
        assert_eq!(
            (&ended[0]["reason"], &ended[0]["account"]),
            (&json!("new-portal-only-customer"), &json!("none"))
        );
        assert_eq!(
            (&ended[1]["reason"], &ended[1]["account"]),
            (&json!("known-customer"), &json!("portal-only"))
        );
        let created = daemon.log.events("account.created");
        assert_eq!((created.len(), &created[0]["kind"]), (1, &json!("portal-only")));
        // Its domain joins A: it stays portal-only, is known, and shows in the list for that.
        daemon.reload(SITE);
        daemon.mail(ADA, IT, "later").await;
        assert_eq!(reasons(&daemon).last().unwrap(), "known-customer");
        let list = items(&daemon, "/api/v1/accounts?portal_only_on_approved=true").await;
        assert_eq!((list.len(), &list[0]["kind"]), (1, &json!("portal-only")));
        daemon.stop().await;
    }
}

/// *Accounts*: an account that mail creates is in no project's list; who is added may send, whatever the lists say.
#[tokio::test]
async fn a_project_for_added_customers_asks_for_its_list_alone() {
    let hr = SITE.find("key = \"HR\"").unwrap();
    let (before, after) = SITE.split_at(hr);
    let site = format!("{before}{}", after.replace("\"anyone\"", "\"added\""));
    let daemon = Daemon::with(&site).await;
    daemon.mail(BOB, BOTH, "new").await;
    let agent =
        json!({ "address": "agent@elsewhere.example", "kind": "internal", "role": "agent" }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&agent)).await.0, 201);
    daemon.mail("agent@elsewhere.example", HR, "not in the list").await;
    let path = "/api/v1/accounts/agent@elsewhere.example";
    for (patch, status) in [
        (json!({ "projects": ["XX"] }), 422),
        (json!({ "kind": "portal-only" }), 422),
        (json!({}), 422),
        (json!({ "projects": ["HR", "HR"] }), 200),
    ] {
        let (got, account) = daemon.api("PATCH", path, Some(&patch.to_string())).await;
        assert_eq!(got, status, "{account}");
        assert!(status != 200 || account["projects"] == json!(["HR"]), "{account}");
    }
    daemon.mail("agent@elsewhere.example", HR, "in the list").await;
    let drop = "not-a-project-customer";
    let expected = [("IT", "new-portal-only-customer"), ("HR", drop), ("HR", drop), ("HR", "known-customer")];
    assert_eq!(decided(&daemon), pairs(&expected));
    daemon.stop().await;
}

/// *Logs*: one line for each mail and project with every field of the contract.
#[tokio::test]
async fn a_decision_is_logged_with_all_that_the_contract_names() {
    let daemon = Daemon::start().await;
    let reply = daemon.mail(ADA, IT, "held").await;
    daemon.mail(BOB, IT, "created").await;
    let [held, created] = daemon.log.events("mail.decided").try_into().expect("two lines");
    let fields = [
        "timestamp",
        "level",
        "event",
        "outcome",
        "reason",
        "project",
        "mail_id",
        "message_id",
        "sender",
        "sender_domain",
        "domain_list",
        "account",
        "standing",
        "bytes",
        "peer",
        "session",
        "elapsed_us",
    ];
    for line in [&held, &created] {
        for field in fields {
            assert!(!line[field].is_null(), "{field} of {line}");
        }
    }
    assert!(reply.contains(held["mail_id"].as_str().unwrap()), "{reply}");
    let said = |line: &Value| {
        let fields = ["outcome", "domain_list", "account", "standing", "sender_domain", "message_id"];
        fields.map(|field| line[field].as_str().unwrap().to_owned())
    };
    assert_eq!(
        said(&held),
        ["hold", "approved", "none", "proven", "approved.example", "held@sender.example"]
    );
    assert_eq!(
        said(&created),
        ["create", "allowed", "none", "proven", "partner.example", "created@sender.example"]
    );
    assert_eq!((&held["request"], &created["held"]), (&Value::Null, &Value::Null));
    assert_eq!((&held["held"], &created["request"]), (&json!(held_ids(&daemon).await[0]), &json!("IT-1")));
    // The end of the hold: the same mail.
    let (status, _) =
        daemon.api("POST", &format!("/api/v1/held/{}/release", held["held"].as_str().unwrap()), None).await;
    assert_eq!(status, 200);
    let ended = &daemon.holds_ended(1).await[0];
    for field in ["mail_id", "message_id", "sender", "project", "held", "bytes"] {
        assert_eq!(ended[field], held[field], "{field}");
    }
    assert_eq!(
        (&ended["basis"], &ended["standing"], &ended["request"]),
        (&json!("released"), &json!("proven"), &json!("IT-2"))
    );
    daemon.stop().await;
}

/// *Logs*: both gaps are 0, also in a process that finds waiting holds, and after a reload.
#[tokio::test]
async fn the_gaps_are_0_over_restarts_and_reloads() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, BOTH, "held").await;
    daemon.mail("eva@approved.example", IT, "held too").await;
    let link = daemon.link(2).await;
    let daemon = daemon.restart(SITE).await;
    let expect = async |waiting: usize| {
        let metrics = daemon.page("GET", "/metrics", "").await.body;
        for line in [
            format!("vestibule_holds_waiting {waiting}\n"),
            "vestibule_holds_gap 0\n".into(),
            "vestibule_intake_gap 0\n".into(),
        ] {
            assert!(metrics.contains(&line), "{line} in {metrics}");
        }
    };
    expect(3).await;
    daemon.mail("eve@approved.example", IT, "held as well").await;
    expect(4).await;
    daemon.reload(&SITE.replace("\"anyone\"", "\"added\""));
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    daemon.holds_ended(1).await;
    daemon.advance(31 * DAY);
    daemon.holds_ended(daemon.log.events("hold.expired").len().max(1)).await;
    eventually("all holds have ended", || daemon.log.events("hold.expired").len() >= 2).await;
    daemon.holds_ended(4).await;
    expect(0).await;
    daemon.stop().await;
}

/// `postmaster`: unchanged, whoever sent it and however, beside the decisions of the projects.
#[tokio::test]
async fn mail_for_the_postmaster_goes_there_unchanged() {
    let site = SITE.replace("[http]", "postmaster = \"ops@example.com\"\n[http]");
    let daemon = Daemon::with(&site).await;
    let bounce = message("mailer-daemon@elsewhere.example", &["postmaster@help.example.com"], "a bounce")
        .replace("Date:", "Auto-Submitted: auto-replied\r\nDate:");
    assert!(daemon.raw_mail("", &["postmaster@help.example.com"], &bounce).await.starts_with("250"));
    eventually("it goes out", || daemon.outbound().len() == 1).await;
    assert_eq!(daemon.outbound(), [bounce]);
    assert_eq!(decided(&daemon), []);
    let raw = message("eve@elsewhere.example", IT, "complaint");
    let rcpts = &["it@help.example.com", "Abuse@help.example.com", "postmaster"];
    assert!(daemon.raw_mail("eve@elsewhere.example", rcpts, &raw).await.starts_with("250"));
    eventually("it goes out", || daemon.outbound().len() == 2).await;
    assert_eq!(daemon.outbound().iter().filter(|mail| **mail == raw).count(), 1);
    assert_eq!(decided(&daemon), pairs(&[("IT", "domain-not-allowed")]));
    // Nobody: 550, at RCPT.
    daemon.reload(SITE);
    for rcpt in ["postmaster@help.example.com", "abuse@help.example.com", "postmaster"] {
        let reply = daemon.mail("eve@elsewhere.example", &[rcpt], "nobody").await;
        assert!(reply.starts_with("550 5.1.1"), "{rcpt}: {reply}");
    }
    daemon.stop().await;
}

/// A 250 means decided: a mail whose recipient went away between RCPT and its last byte stays with the relay.
#[tokio::test]
async fn a_recipient_that_a_reload_takes_away_leaves_the_mail_with_the_relay() {
    let with_postmaster = SITE.replace("[http]", "postmaster = \"ops@example.com\"\n[http]");
    let without_hr = &SITE[..SITE.find("[[projects]]\nkey = \"HR\"").unwrap()];
    for (rcpt, after) in [("hr@help.example.com", without_hr), ("abuse@help.example.com", SITE)] {
        let daemon = Daemon::with(&with_postmaster).await;
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command(&format!("MAIL FROM:<{BOB}>")).await;
        for rcpt in ["it@help.example.com", rcpt] {
            assert!(smtp.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with("250"));
        }
        assert!(smtp.command("DATA").await.starts_with("354"));
        daemon.reload(after);
        let raw = message(BOB, IT, "under way");
        let reply = smtp.command(&format!("{raw}.")).await;
        assert!(reply.starts_with("451 4.3.0"), "{reply}");
        assert_eq!(decided(&daemon), []);
        assert!(daemon.outbound().is_empty() && items(&daemon, "/api/v1/requests").await.is_empty());
        // The next try is told at RCPT which recipient it is, and the other one gets its mail.
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        smtp.command(&format!("MAIL FROM:<{BOB}>")).await;
        assert!(smtp.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with("550 5.1.1"));
        assert!(smtp.command("RSET").await.starts_with("250"));
        assert!(smtp.mail(BOB, IT, &raw).await.starts_with("250"));
        assert_eq!(reasons(&daemon), ["new-portal-only-customer"]);
        daemon.stop().await;
    }
}

/// *HTTP*: the items of the list are whole requests, as the contract writes them.
#[tokio::test]
async fn the_list_of_requests_holds_whole_requests() {
    let daemon = Daemon::start().await;
    daemon.mail(BOB, &["it@help.example.com"], "created").await;
    daemon.mail(ADA, HR, "verified").await;
    let link = daemon.link(1).await;
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    let list = items(&daemon, "/api/v1/requests?order=oldest").await;
    let fields = [
        "id",
        "project",
        "subject",
        "body",
        "reporter",
        "participants",
        "message_id",
        "created_at",
        "basis",
        "attachments",
        "comments",
    ];
    for item in &list {
        let one =
            daemon.api("GET", &format!("/api/v1/requests/{}", item["id"].as_str().unwrap()), None).await.1;
        assert_eq!(item, &one);
        let members: Vec<_> = fields.iter().filter(|field| item.get(**field).is_none()).collect();
        assert!(members.is_empty(), "{members:?} missing of {item}");
        assert!(item["body"].as_str().unwrap().contains("Hello"));
    }
    assert_eq!((&list[0]["basis"], &list[0]["reporter"]["account"]), (&Value::Null, &json!("portal-only")));
    assert_eq!(
        (&list[1]["basis"], &list[1]["reporter"]["account"]),
        (&json!("verified"), &json!("internal"))
    );
    daemon.stop().await;
}

/// *Holds*: redeemed in time is released, however late its worker comes.
#[tokio::test]
async fn a_redeemed_mail_does_not_expire() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "redeemed").await;
    daemon.mail("eva@approved.example", IT, "not redeemed").await;
    let (first, second) = (daemon.outbound_link_to(ADA).await, held_ids(&daemon).await);
    let now = daemon.clock.now();
    let folder = daemon.stop().await;

    // The same store in a process whose release worker does not run yet.
    let (store, _) = embedded::open(embedded::Options::new(folder.path().join("data")), now).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (clock, log) = (Clock::manual(now), LogBuffer::default());
    let ops = Ops::new(clock.clone(), LogAddresses::Full, Some(json_dispatch(log.clone())));
    let config = Arc::new(ArcSwap::from_pointee(load(folder.path(), SITE)));
    let verify = Verify::new(Arc::clone(&store), config, ops, TokenSeal::new([0; 32]));
    let token = first.trim_start_matches("/verify/").parse().unwrap();
    clock.advance(DAY);
    assert!(matches!(verify.redeem(&token, None, &[]).await.unwrap(), TokenAnswer::Redeemed(_)));
    clock.advance(30 * DAY);
    let shutdown = Shutdown::new();
    let expiry = tokio::spawn(verify.clone().run_expiry(shutdown.clone()));
    eventually("the other one expires", || log.events("hold.expired").len() == 1).await;
    let waits: HeldId = second[0].parse().unwrap();
    assert!(store.held(waits).await.unwrap().is_some(), "redeemed, and not lost");
    let releases = tokio::spawn(verify.run_releases(shutdown.clone()));
    eventually("it is released", || log.events("mail.decided").len() == 2).await;
    let last = log.events("mail.decided").pop().unwrap();
    assert_eq!((&last["reason"], &last["request"]), (&json!("known-customer"), &json!("IT-1")));
    shutdown.begin();
    let _ = tokio::join!(expiry, releases);
    assert_eq!(store.audit().await.unwrap(), Vec::<String>::new());
    store.close().await;
}

/// Checks 2 and 3, and *What never happens*: the one From address is the sender, and a machine is nobody.
#[tokio::test]
async fn the_one_from_address_is_the_sender() {
    let site = SITE.replacen(
        "access = \"anyone\"",
        "access = \"anyone\"\nvia_lists = [\"team.partner.example\"]",
        1,
    );
    let daemon = Daemon::with(&site).await;
    let plain = |n: usize| message(BOB, IT, &format!("mail {n}"));
    let with = |n: usize, field: &str| plain(n).replace("Date:", &format!("{field}\r\nDate:"));
    let from = |n: usize, from: &str| {
        plain(n).replace("From: Somebody <bob@partner.example>", &format!("From: {from}"))
    };
    let (unusable, machine) = ("no-usable-sender", "automatic-message");
    for (n, (raw, rcpts, reverse_path, expected)) in [
        (from(0, "x <IT+printer@help.example.com>"), IT, BOB, vec![unusable]),
        (from(1, "help@help.example.com"), IT, BOB, vec![unusable]),
        (from(2, "bob@partner.example, eve@elsewhere.example"), IT, BOB, vec![unusable]),
        (from(3, "undisclosed:;"), IT, BOB, vec![unusable]),
        // Neither the envelope nor Reply-To, Sender or the display name make somebody else of Eve.
        (from(4, "\"bob@partner.example\" <eve@elsewhere.example>"), IT, BOB, vec!["domain-not-allowed"]),
        (
            from(5, "eve@elsewhere.example\r\nReply-To: bob@partner.example\r\nSender: bob@partner.example"),
            IT,
            BOB,
            vec!["domain-not-allowed"],
        ),
        (with(6, "X-Vestibule-Mail: verification"), IT, BOB, vec!["mail-loop"]),
        (with(7, "Auto-Submitted: auto-generated"), BOTH, BOB, vec![machine, machine]),
        (plain(8), IT, "", vec![machine]),
        (with(9, "Precedence: bulk"), IT, BOB, vec![machine]),
        // The group that forwards to IT is none of HR's.
        (
            with(10, "List-Id: Team <team.partner.example>\r\nPrecedence: list"),
            BOTH,
            "team-bounces@partner.example",
            vec!["new-portal-only-customer", machine],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let before = decided(&daemon).len();
        assert!(daemon.raw_mail(reverse_path, rcpts, &raw).await.starts_with("250 2.0.0"));
        assert_eq!(reasons(&daemon)[before..], expected, "mail {n}");
    }
    assert_eq!(items(&daemon, "/api/v1/accounts").await.len(), 1);
    assert!(daemon.outbound().is_empty(), "nobody is mailed for what was dropped");
    daemon.stop().await;
}

/// Checks 6 and 7 under W = deny: nobody new, and who is known is asked for nothing but the project.
#[tokio::test]
async fn a_closed_site_takes_mail_of_its_accounts_alone() {
    let site = SITE.replace("\"allow\"", "\"deny\"").replace("\"anyone\"", "\"existing\"");
    let daemon = Daemon::with(&site).await;
    for sender in [ADA, BOB, "eve@elsewhere.example"] {
        daemon.mail(sender, IT, "unknown").await;
    }
    for (address, kind) in [("eve@elsewhere.example", "portal-only"), ("carl@elsewhere.example", "internal")]
    {
        let body = json!({ "address": address, "kind": kind }).to_string();
        assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 201);
        daemon.mail(address, IT, "known").await;
    }
    let (no, yes) = ("account-creation-denied", "known-customer");
    assert_eq!(reasons(&daemon), [no, no, no, yes, yes]);
    assert!(daemon.outbound().is_empty() && held_ids(&daemon).await.is_empty());
    daemon.stop().await;
}

/// *Holds*: each mail has its own time; the page lists what still waits, and the last one takes the verification with it.
#[tokio::test]
async fn holds_expire_one_by_one_and_the_verification_with_the_last() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "the older one").await;
    daemon.advance(5 * DAY);
    daemon.mail(ADA, HR, "the younger one").await;
    daemon.advance(24 * DAY);
    let path = format!("/api/v1/senders/{ADA}");
    assert_eq!(daemon.api("POST", &format!("{path}/resend"), None).await.0, 200);
    let link = daemon.link(3).await;
    let page = daemon.page("GET", &link, "").await.body;
    assert!(page.contains("the older one") && page.contains("the younger one"), "{page}");
    daemon.advance(DAY);
    daemon.holds_ended(1).await;
    let page = daemon.page("GET", &link, "").await.body;
    assert!(!page.contains("the older one") && page.contains("the younger one"), "{page}");
    daemon.advance(5 * DAY);
    let ended = daemon.holds_ended(2).await;
    assert!(ended.iter().all(|line| line["reason"] == "hold-expired" && line["basis"] == "expired"));
    let (_, report) = daemon.api("GET", &path, None).await;
    assert_eq!((&report["verifications"][0]["state"], &report["held"]), (&json!("moot"), &json!([])));
    let page = daemon.page("POST", &link, "new_link=1").await;
    assert_eq!(page.status, 404, "nothing to have a new link for");
    // The next mail begins anew.
    daemon.mail(ADA, IT, "again").await;
    daemon.page("POST", &daemon.link(4).await, "").await;
    assert_eq!(daemon.holds_ended(3).await[2]["reason"], "known-customer");
    daemon.stop().await;
}

/// *Holds*: an administrator's release of the last mail leaves nothing to the link, which says so.
#[tokio::test]
async fn a_release_by_hand_leaves_the_link_with_nothing_to_do() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "released by hand").await;
    let link = daemon.link(1).await;
    let id = held_ids(&daemon).await[0].clone();
    let (status, decision) = daemon.api("POST", &format!("/api/v1/held/{id}/release"), None).await;
    let expected =
        json!({ "outcome": "create", "reason": "known-customer", "request": "IT-1", "project": "IT" });
    assert_eq!((status, decision), (200, expected));
    let created = daemon.log.events("account.created");
    assert_eq!(
        (created.len(), &created[0]["kind"], &created[0]["by"]),
        (1, &json!("internal"), &json!("release"))
    );
    for method in ["GET", "POST"] {
        let page = daemon.page(method, &link, "").await;
        assert_eq!((page.status, page.body.contains("dealt with")), (410, true), "{}", page.body);
    }
    assert_eq!(daemon.api("POST", &format!("/api/v1/held/{id}/release"), None).await.0, 404);
    // An account that is kept out, or a project that is gone: 409 with the reason, and nothing changes.
    daemon.mail("eva@approved.example", HR, "waits").await;
    let id = held_ids(&daemon).await[0].clone();
    let path = format!("/api/v1/held/{id}/release");
    daemon.reload(&SITE[..SITE.find("[[projects]]\nkey = \"HR\"").unwrap()]);
    let (status, problem) = daemon.api("POST", &path, None).await;
    assert_eq!(
        (status, &problem["reason"], &problem["status"]),
        (409, &json!("project-closed"), &json!(409))
    );
    daemon.reload(SITE);
    let eva = json!({ "address": "eva@approved.example", "kind": "internal" }).to_string();
    daemon.api("POST", "/api/v1/accounts", Some(&eva)).await;
    let off = json!({ "status": "deactivated" }).to_string();
    assert_eq!(daemon.api("PATCH", "/api/v1/accounts/eva@approved.example", Some(&off)).await.0, 200);
    let (status, problem) = daemon.api("POST", &path, None).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("account-deactivated")));
    assert_eq!(held_ids(&daemon).await, [id]);
    assert_eq!(daemon.log.events("mail.decided").iter().filter(|line| !line["basis"].is_null()).count(), 1);
    daemon.stop().await;
}

/// `store.min_free`: the relay keeps the mail, and nothing is half taken.
#[tokio::test]
async fn too_little_room_is_said_at_mail() {
    let daemon = Daemon::with(&SITE.replace("min_free = 0", "min_free = \"1024 TiB\"")).await;
    let reply = daemon.mail(BOB, IT, "no room").await;
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    daemon.reload(SITE);
    assert!(daemon.mail(BOB, IT, "room").await.starts_with("250 2.0.0"));
    assert_eq!(daemon.log.events("smtp.refused")[0]["code"], 452);
    daemon.stop().await;
}
