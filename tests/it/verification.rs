//! Hold, mail, page, redeem, release: a whole daemon, driven from outside.

use std::time::Duration;

use vestibule::store::HeldFilter;

use crate::{
    daemon::{Daemon, SITE, Smtp, eventually, http, message},
    support::files_with,
};

const ADA: &str = "ada@approved.example";
const IT: &[&str] = &["it@help.example.com"];
const HOUR: Duration = Duration::from_hours(1);

async fn held(daemon: &Daemon) -> Vec<String> {
    let (status, list) = daemon.api("GET", "/api/v1/held?order=oldest", None).await;
    assert_eq!(status, 200);
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn requests(daemon: &Daemon) -> Vec<(String, String)> {
    let (status, list) = daemon.api("GET", "/api/v1/requests?order=oldest", None).await;
    assert_eq!(status, 200);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["id"]), text(&item["subject"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, subject)| ((*id).to_owned(), (*subject).to_owned())).collect()
}

fn reasons(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().map(|line| line["reason"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_held_mail_is_released_once_its_sender_has_verified() {
    let daemon = Daemon::start().await;
    assert!(daemon.mail(ADA, IT, "printer").await.starts_with("250 2.0.0"));
    assert_eq!(requests(&daemon).await, []);
    let link = daemon.link(1).await;

    // Whatever only looks changes nothing: link scanners fetch, and fetch again (K01).
    for method in ["GET", "GET", "HEAD", "GET", "GET", "GET"] {
        let page = daemon.page(method, &link, "").await;
        assert_eq!(page.status, 200);
        assert!(method == "HEAD" || page.body.contains("printer") && page.body.contains(ADA));
    }
    assert_eq!(held(&daemon).await.len(), 1);
    assert_eq!(requests(&daemon).await, []);

    let done = daemon.page("POST", &link, "").await;
    assert_eq!(done.status, 200);
    let ended = daemon.holds_ended(1).await;
    assert_eq!(reasons(&ended), ["known-customer"]);
    assert_eq!(ended[0]["basis"], "verified");
    assert_eq!(ended[0]["request"], "IT-1");
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "printer")]));
    let (_, account) = daemon.api("GET", "/api/v1/accounts/ada@approved.example", None).await;
    assert_eq!((&account["kind"], &account["status"]), (&"internal".into(), &"active".into()));

    // Again is harmless, and says the same.
    assert_eq!(daemon.page("POST", &link, "").await.body, done.body);
    assert_eq!(daemon.page("GET", &link, "").await.body, done.body);
    assert_eq!(requests(&daemon).await.len(), 1);

    // Now known: the next mail becomes a request at once, and nobody is mailed.
    daemon.mail(ADA, IT, "scanner").await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "printer"), ("IT-2", "scanner")]));
    assert_eq!(daemon.outbound().len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn one_verification_serves_all_mails_in_order_of_arrival() {
    let daemon = Daemon::start().await;
    let both: &[&str] = &["it@help.example.com", "hr@help.example.com", "it+x@help.example.com"];
    daemon.mail(ADA, IT, "first").await;
    daemon.mail(ADA, both, "second").await;
    daemon.mail(ADA, IT, "third").await;
    let link = daemon.link(1).await;
    assert_eq!(held(&daemon).await.len(), 4);
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(4).await;
    let released = requests(&daemon).await;
    let expected = [("IT-1", "first"), ("IT-2", "second"), ("HR-1", "second"), ("IT-3", "third")];
    assert_eq!(released, pairs(&expected));
    assert_eq!(daemon.outbound().len(), 1, "three mails within resend_after, one verification mail");
    daemon.stop().await;
}

#[tokio::test]
async fn two_clicks_at_once_release_once() {
    let daemon = Daemon::start().await;
    for subject in ["a", "b", "c"] {
        daemon.mail(ADA, IT, subject).await;
    }
    let link = daemon.link(1).await;
    let (one, two) = tokio::join!(daemon.page("POST", &link, ""), daemon.page("POST", &link, ""));
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(one.body, two.body);
    daemon.holds_ended(3).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "a"), ("IT-2", "b"), ("IT-3", "c")]));
    assert_eq!(daemon.log.events("verification.redeemed").len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn what_the_reader_did_not_send_is_dropped_and_never_released() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "mine").await;
    daemon.mail(ADA, IT, "forged").await;
    let link = daemon.link(1).await;
    let ids = held(&daemon).await;
    let form = format!("not_mine={}&until={}", ids[1], ids[1]);
    assert_eq!(daemon.page("POST", &link, &form).await.status, 200);
    let ended = daemon.holds_ended(2).await;
    let mut seen = reasons(&ended);
    seen.sort_unstable();
    assert_eq!(seen, ["known-customer", "not-mine"]);
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "mine")]));
    daemon.stop().await;
}

#[tokio::test]
async fn disowning_all_of_it_makes_no_account_and_silences_the_address() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "forged").await;
    let link = daemon.link(1).await;
    assert_eq!(daemon.page("POST", &link, "disown=1").await.status, 200);
    assert_eq!(reasons(&daemon.holds_ended(1).await), ["not-mine"]);
    assert_eq!(daemon.api("GET", "/api/v1/accounts/ada@approved.example", None).await.0, 404);
    assert_eq!(daemon.log.events("verification.disowned").len(), 1);

    // For 7 days more mail in that name is held, and nobody is mailed.
    daemon.advance(6 * 24 * HOUR);
    daemon.mail(ADA, IT, "forged again").await;
    assert_eq!(held(&daemon).await.len(), 1);
    assert_eq!(daemon.outbound().len(), 1);
    daemon.advance(25 * HOUR);
    eventually("the delayed mail goes out", || daemon.outbound().len() == 2).await;
    daemon.stop().await;
}

#[tokio::test]
async fn mail_that_came_after_the_page_waits_for_a_verification_of_its_own() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "listed").await;
    let link = daemon.link(1).await;
    let until = held(&daemon).await[0].clone();
    daemon.mail(ADA, IT, "late").await;
    daemon.page("POST", &link, &format!("until={until}")).await;
    daemon.holds_ended(1).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "listed")]));
    assert_eq!(held(&daemon).await.len(), 1);
    daemon.advance(HOUR);
    let second = daemon.link(2).await;
    assert_ne!(second, link);
    daemon.page("POST", &second, "").await;
    daemon.holds_ended(2).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "listed"), ("IT-2", "late")]));
    daemon.stop().await;
}

#[tokio::test]
async fn release_decides_again_with_the_settings_and_the_account_of_that_moment() {
    let cases: [(&str, &str, &str); 4] = [
        ("account_creation = \"allow\"", "account_creation = \"deny\"", "account-creation-denied"),
        ("approved_domains = [\"approved.example\"]", "approved_domains = []", "domain-not-allowed"),
        ("only_allowed_domains = true", "only_allowed_domains = false", "known-customer"),
        ("access = \"anyone\"", "access = \"added\"", "not-a-project-customer"),
    ];
    for (old, new, reason) in cases {
        let daemon = Daemon::start().await;
        daemon.mail(ADA, IT, "waits").await;
        let link = daemon.link(1).await;
        assert!(SITE.contains(old));
        let site = SITE.replace(old, new);
        let site = if new.contains("deny") { site.replace("\"anyone\"", "\"existing\"") } else { site };
        daemon.reload(&site);
        assert_eq!(daemon.page("POST", &link, "").await.status, 200);
        assert_eq!(reasons(&daemon.holds_ended(1).await), [reason], "{new}");
        daemon.stop().await;
    }
}

#[tokio::test]
async fn an_account_made_or_kept_out_meanwhile_is_what_counts() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    let link = daemon.link(1).await;
    let account = r#"{"address": "ada@approved.example", "kind": "portal-only"}"#;
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(account)).await.0, 201);
    let deactivate = r#"{"status": "deactivated"}"#;
    let path = "/api/v1/accounts/ada@approved.example";
    assert_eq!(daemon.api("PATCH", path, Some(deactivate)).await.0, 200);
    daemon.page("POST", &link, "").await;
    assert_eq!(reasons(&daemon.holds_ended(1).await), ["account-deactivated"]);
    let (_, account) = daemon.api("GET", path, None).await;
    assert_eq!((&account["kind"], &account["status"]), (&"portal-only".into(), &"deactivated".into()));
    daemon.stop().await;
}

#[tokio::test]
async fn a_project_that_is_gone_drops_what_waited_for_it() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, &["hr@help.example.com"], "waits").await;
    let link = daemon.link(1).await;
    let hr = SITE.find("[[projects]]\nkey = \"HR\"").unwrap();
    daemon.reload(&SITE[..hr]);
    daemon.page("POST", &link, "").await;
    assert_eq!(reasons(&daemon.holds_ended(1).await), ["project-closed"]);
    daemon.stop().await;
}

#[tokio::test]
async fn links_and_holds_expire_each_in_its_time() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    let link = daemon.link(1).await;
    daemon.advance(7 * 24 * HOUR);
    let expired = daemon.page("GET", &link, "").await;
    assert_eq!(expired.status, 410);
    assert_eq!(daemon.page("POST", &link, "").await.status, 410);
    assert_eq!(held(&daemon).await.len(), 1);
    // A new link can be had from the page of the old one, while the hold lives.
    assert!(expired.body.contains("new_link"), "{}", expired.body);
    daemon.page("POST", &link, "new_link=1").await;
    let fresh = daemon.link(2).await;
    assert_eq!(daemon.page("GET", &fresh, "").await.status, 200);

    daemon.advance(23 * 24 * HOUR);
    let ended = daemon.holds_ended(1).await;
    assert_eq!((reasons(&ended), &ended[0]["basis"]), (vec!["hold-expired"], &"expired".into()));
    assert_eq!(daemon.log.events("hold.expired").len(), 1);
    assert_eq!(daemon.page("GET", &fresh, "").await.status, 410);
    // Its key against copies is free again: a sender who tries again gets through.
    daemon.mail(ADA, IT, "waits").await;
    assert_eq!(held(&daemon).await.len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn an_administrator_releases_or_discards_one_mail() {
    let daemon = Daemon::start().await;
    for subject in ["one", "two", "three"] {
        daemon.mail(ADA, IT, subject).await;
    }
    let link = daemon.link(1).await;
    let ids = held(&daemon).await;
    let (status, decision) = daemon.api("POST", &format!("/api/v1/held/{}/release", ids[1]), None).await;
    assert_eq!((status, &decision["request"]), (200, &"IT-1".into()), "{decision}");
    assert_eq!(daemon.api("DELETE", &format!("/api/v1/held/{}", ids[0]), None).await.0, 204);
    assert_eq!(daemon.api("DELETE", &format!("/api/v1/held/{}", ids[0]), None).await.0, 404);
    assert_eq!(held(&daemon).await, ids[2..]);
    let ended = daemon.holds_ended(2).await;
    assert_eq!(reasons(&ended), ["known-customer", "hold-discarded"]);
    assert_eq!(ended[0]["basis"], "released");

    // Where the decision would be a drop, nothing changes and the reason is told.
    daemon.reload(&SITE.replace("\"anyone\"", "\"added\""));
    let (status, problem) = daemon.api("POST", &format!("/api/v1/held/{}/release", ids[2]), None).await;
    assert_eq!(status, 409);
    assert_eq!(problem["reason"], "not-a-project-customer");
    assert_eq!(held(&daemon).await, ids[2..]);
    daemon.reload(SITE);
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(3).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "two"), ("IT-2", "three")]));
    daemon.stop().await;
}

/// A01, A04, A05: mail in somebody's name buys one mail to them, with one recipient, and no account for anybody else.
#[tokio::test]
async fn a_flood_in_one_name_buys_one_mail() {
    let site = SITE.replace("resend_after = \"1h\"", "resend_after = \"1h\"\nmax_held_per_address = 10");
    let daemon = Daemon::with(&site).await;
    let copies: Vec<String> = (0..40).map(|n| format!("c{n}@partner.example")).collect();
    for n in 0..50 {
        let raw = message(ADA, IT, &format!("flood {n}"))
            .replace("To: it", &format!("Cc: {}\r\nTo: it", copies.join(", ")));
        assert!(daemon.raw_mail(ADA, IT, &raw).await.starts_with("250"));
    }
    let link = daemon.link(1).await;
    assert_eq!(daemon.outbound().len(), 1);
    assert_eq!(held(&daemon).await.len(), 10);
    let lines = daemon.log.events("mail.decided");
    assert_eq!(lines.iter().filter(|line| line["reason"] == "hold-limit").count(), 40);
    let mail = &daemon.outbound()[0];
    assert!(mail.contains(&format!("To: {ADA}\r\n")) && !mail.contains("partner.example"), "{mail}");
    assert!(!mail.contains("flood 0"), "the sender's words are not mailed on (H02)");
    let (_, accounts) = daemon.api("GET", "/api/v1/accounts", None).await;
    assert_eq!(accounts["items"].as_array().unwrap().len(), 0);
    // The token is in the mail and nowhere else.
    let token = link.trim_start_matches("/verify/");
    let (_, report) = daemon.api("GET", "/api/v1/senders/ada@approved.example", None).await;
    assert!(!report.to_string().contains(token) && !daemon.log.text().contains(token));
    let data = daemon.folder.path().join("data");
    assert_ne!(files_with(&data, &[ADA]), Vec::<String>::new(), "what is in the store is found");
    assert_eq!(files_with(&data, &[token]), Vec::<String>::new());
    daemon.stop().await;
}

#[tokio::test]
async fn resend_keeps_to_the_caps() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    daemon.link(1).await;
    let path = "/api/v1/senders/ada@approved.example/resend";
    assert_eq!(daemon.api("POST", path, None).await.0, 429);
    daemon.advance(HOUR);
    assert!(daemon.api("POST", path, None).await.0 < 300);
    daemon.link(2).await;
    daemon.advance(HOUR);
    // Two in 24 hours is the cap: the third waits its turn in the outbox.
    daemon.api("POST", path, None).await;
    daemon.advance(HOUR);
    assert_eq!(daemon.outbound().len(), 2);
    daemon.advance(24 * HOUR);
    daemon.link(3).await;
    assert_eq!(daemon.api("POST", "/api/v1/senders/nobody@approved.example/resend", None).await.0, 404);
    daemon.stop().await;
}

/// The trap that the fence exists for: mail arrives while its sender's token is redeemed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mail_is_stranded_when_it_arrives_during_redemption() {
    let daemon = Daemon::start().await;
    for round in 0..20 {
        let sender = format!("p{round}@approved.example");
        daemon.mail(&sender, IT, &format!("{round} first")).await;
        daemon.advance(Duration::from_mins(1));
        let link = daemon.link(round + 1).await;
        let racing = async {
            let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
            for n in 0..6 {
                let raw = message(&sender, IT, &format!("{round} racing {n}"));
                assert!(smtp.mail(&sender, IT, &raw).await.starts_with("250"));
            }
        };
        let ((), page) = tokio::join!(racing, daemon.page("POST", &link, ""));
        assert_eq!(page.status, 200);
    }
    let none_waits = || async {
        let filter = HeldFilter::default();
        let page = vestibule::store::PageRequest { limit: 100, ..Default::default() };
        daemon.store.held_mails(&filter, page).await.unwrap().items.is_empty()
    };
    for _ in 0..1_000 {
        if none_waits().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(none_waits().await, "every mail that was held has been released");
    let (_, list) = daemon.api("GET", "/api/v1/requests?limit=500", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 20 * 7);
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_that_nobody_was_mailed_are_unknown() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    let link = daemon.link(1).await;
    let flipped = format!("{}{}", &link[..link.len() - 1], if link.ends_with('A') { "B" } else { "A" });
    for path in ["/verify/x", &flipped, &format!("/verify/{}", "A".repeat(43))] {
        assert_eq!(daemon.page("GET", path, "").await.status, 404, "{path}");
        assert_eq!(daemon.page("POST", path, "").await.status, 404, "{path}");
    }
    // A forged Host changes nothing in the mails (K06): the link's host is that of public_url.
    let headers = "X-Forwarded-Host: evil.example\r\n";
    http(daemon.addresses.http, "GET", &link, headers, ("", "")).await;
    assert!(daemon.outbound()[0].contains("http://127.0.0.1:8025/verify/"));
    daemon.stop().await;
}

#[tokio::test]
async fn everything_is_still_there_after_a_restart() {
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "waits").await;
    daemon.mail("bob@partner.example", IT, "created").await;
    let link = daemon.link(1).await;
    let daemon = daemon.restart(SITE).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "created")]));
    daemon.mail("bob@partner.example", IT, "created").await;
    assert_eq!(daemon.log.events("mail.decided")[0]["reason"], "duplicate");
    daemon.page("POST", &link, "").await;
    daemon.holds_ended(1).await;
    assert_eq!(requests(&daemon).await, pairs(&[("IT-1", "created"), ("IT-2", "waits")]));
    daemon.stop().await;
}

/// Lists read their rows in steps; a page is as long as it was asked to be, whatever the step.
#[tokio::test]
async fn long_lists_are_walked_without_a_gap() {
    let daemon = Daemon::start().await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    for n in 0..50 {
        let raw = message("bob@partner.example", IT, &format!("mail {n}"));
        assert!(smtp.mail("bob@partner.example", IT, &raw).await.starts_with("250"));
    }
    for (limit, pages) in [(7, vec![7; 7]), (16, vec![16; 3]), (40, vec![40]), (50, vec![50])] {
        let (mut seen, mut cursor, mut lengths) = (Vec::new(), String::new(), Vec::new());
        loop {
            let path = format!("/api/v1/requests?limit={limit}{cursor}");
            let (_, page) = daemon.api("GET", &path, None).await;
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            lengths.push(items.len());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let expected: Vec<_> = (1..=50).rev().map(|n| format!("IT-{n}")).collect();
        assert_eq!(seen, expected, "limit {limit}");
        assert_eq!(lengths[..pages.len()], pages);
    }
    daemon.stop().await;
}
