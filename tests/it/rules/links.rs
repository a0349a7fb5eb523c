//! *Holds*: links, caps, pages and what redeeming does.

use serde_json::{Value, json};

use super::{ADA, BOTH, DAY, HOUR, HR, IT, decided, held_ids, items, reasons};
use crate::daemon::{Daemon, SITE, eventually};

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
