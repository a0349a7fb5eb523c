//! *Order of checks*, and who may send.

use serde_json::json;

use super::{ADA, BOB, BOTH, DAY, HOUR, HR, IT, decided, held_ids, items, pairs, reasons};
use crate::daemon::{Daemon, SITE, message};

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
        (with(9, "Precedence: bulk\r\nList-Unsubscribe: <https://x.example>"), IT, BOB, vec![machine]),
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

/// *What never happens*: no mail out in answer to what a machine may have written, though it is let in.
#[tokio::test]
async fn a_weak_sign_lets_a_mail_in_and_nothing_out() {
    let daemon = Daemon::start().await;
    let weak = |from: &str, n: usize| {
        message(from, IT, &format!("weak {n}")).replace("Date:", "X-Auto-Response-Suppress: All\r\nDate:")
    };
    for (n, from) in [BOB, BOB, ADA].into_iter().enumerate() {
        assert!(daemon.raw_mail(from, IT, &weak(from, n)).await.starts_with("250 2.0.0"));
    }
    let waits = "internal-account-unverified";
    assert_eq!(reasons(&daemon), ["new-portal-only-customer", "known-customer", waits]);
    let (_, sender) = daemon.api("GET", &format!("/api/v1/senders/{ADA}"), None).await;
    assert_eq!(sender["deliveries"].as_array().unwrap().len(), 0, "{sender}");
    // A further mail of hers without the sign is answered, and its link shows both.
    daemon.mail(ADA, IT, "by hand").await;
    daemon.link(1).await;
    let held = held_ids(&daemon).await;
    assert_eq!(held.len(), 2);
    let (status, released) = daemon.api("POST", &format!("/api/v1/held/{}/release", held[0]), None).await;
    assert_eq!((status, &released["reason"]), (200, &json!("known-customer")), "{released}");
    assert_eq!(daemon.outbound().len(), 1, "one mail, for the one that a person wrote");
    daemon.stop().await;
}

/// Check 2, `allow_automatic_from`: machines with an account are customers, and nothing is mailed to them.
#[tokio::test]
async fn machines_that_a_project_names_need_an_account() {
    let site = SITE.replacen(
        "access = \"anyone\"",
        "access = \"anyone\"\nallow_automatic_from = [\"*.monitoring.example\", \"ada@approved.example\"]",
        1,
    );
    let daemon = Daemon::with(&site).await;
    let nagios = "nagios@ops.monitoring.example";
    let automatic = |from: &str, subject: &str| {
        message(from, BOTH, subject).replace("Date:", "Auto-Submitted: auto-generated\r\nDate:")
    };
    daemon.raw_mail(nagios, BOTH, &automatic(nagios, "unknown")).await;
    daemon.raw_mail(ADA, BOTH, &automatic(ADA, "unknown employee")).await;
    let account = json!({ "address": nagios, "kind": "portal-only" }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&account)).await.0, 201);
    daemon.raw_mail(nagios, BOTH, &automatic(nagios, "known")).await;
    daemon.raw_mail("", BOTH, &automatic(nagios, "bounced")).await;
    let machine = "automatic-message";
    let expected = [
        ("IT", machine),
        ("HR", machine),
        ("IT", machine),
        ("HR", machine),
        ("IT", "known-customer"),
        ("HR", machine),
        ("IT", machine),
        ("HR", machine),
    ];
    assert_eq!(decided(&daemon), pairs(&expected));
    assert!(daemon.outbound().is_empty());
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
