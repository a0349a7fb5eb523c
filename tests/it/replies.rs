//! Replies, participants, copies and closed requests on a whole daemon. The rules: docs/replies.md.

use std::{fmt::Write as _, path::Path, sync::Arc};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use vestibule::{
    ops::Clock,
    store::RealDisk,
    types::{DeliveryId, MintKey, TokenSeal},
};

use crate::daemon::{Daemon, SITE, START, Smtp};

const IT: &str = "it@help.example.com";
const HR: &str = "hr@help.example.com";
const ADA: &str = "ada@approved.example";
const BOB: &str = "bob@partner.example";
const CAROL: &str = "carol@partner.example";
const EVE: &str = "eve@partner.example";

/// A mail with a Message-ID of its name and these further fields, in lines.
fn mail(from: &str, name: &str, fields: &str) -> String {
    let mut raw =
        format!("From: Somebody <{from}>\r\nSubject: {name}\r\nMessage-ID: <{name}@mail.example>\r\n");
    for field in fields.lines() {
        write!(raw, "{}\r\n", field.trim()).unwrap();
    }
    raw + "\r\nThis is " + name + ".\r\n"
}

fn reply(from: &str, name: &str, to: &str) -> String {
    mail(from, name, &format!("In-Reply-To: <{to}@mail.example>"))
}

/// Relays the mail and answers its last decision.
async fn sent(daemon: &Daemon, rcpts: &[&str], raw: &str) -> Value {
    let answer = daemon.raw_mail("x@relay.example", rcpts, raw).await;
    assert!(answer.starts_with("250 2.0.0"), "{answer}: {raw}");
    daemon.log.events("mail.decided").pop().unwrap()
}

fn told(line: &Value) -> (&str, &str) {
    (line["reason"].as_str().unwrap(), line["request"].as_str().unwrap_or("-"))
}

async fn decided(daemon: &Daemon, rcpt: &str, raw: &str, expected: (&str, &str)) {
    assert_eq!(told(&sent(daemon, &[rcpt], raw).await), expected, "{raw}");
}

async fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, value) = daemon.api("GET", &format!("/api/v1/{path}"), None).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Author and Message-ID of each comment.
async fn comments(daemon: &Daemon, request: &str) -> Vec<(String, String)> {
    let request = get(daemon, &format!("requests/{request}")).await;
    let text = |value: &Value| value.as_str().unwrap().replace("@mail.example", "");
    request["comments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (text(&c["author"]), text(&c["message_id"])))
        .collect()
}

async fn account(daemon: &Daemon, address: &str, role: &str) {
    let body = json!({ "address": address, "kind": "internal", "role": role }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 201);
}

async fn set_status(daemon: &Daemon, request: &str, status: &str) -> Value {
    let body = json!({ "status": status }).to_string();
    let (code, value) = daemon.api("PATCH", &format!("/api/v1/requests/{request}"), Some(&body)).await;
    assert_eq!(code, 200, "{value}");
    value
}

/// What the trail of the newest decision says of one check.
async fn trail(daemon: &Daemon, check: &str) -> String {
    let decisions = get(daemon, "decisions?limit=1").await;
    let trail = decisions["items"][0]["trail"].as_array().unwrap().clone();
    let found = trail.iter().find(|line| line["check"] == check);
    found.map_or_else(|| panic!("no {check} in {trail:?}"), |line| line["input"].as_str().unwrap().to_owned())
}

fn mint_key(daemon: &Daemon) -> MintKey {
    let secret = std::fs::read(daemon.folder.path().join("data/secret")).unwrap();
    TokenSeal::new(secret.try_into().unwrap()).mint_key()
}

/// The Message-ID of a mail of ours about a request.
fn minted(daemon: &Daemon, request: &str) -> String {
    let id =
        mint_key(daemon).message_id(DeliveryId::new(uuid::Uuid::from_u128(5)), request.parse().ok().as_ref());
    format!("{id}@help.example.com")
}

fn reply_address(daemon: &Daemon, inbox: &str, request: &str) -> String {
    inbox.replace('@', &format!("+{}@", mint_key(daemon).reply_detail(&request.parse().unwrap())))
}

fn relay_site() -> String {
    let mode = "mode = \"relay\"\nresults_from = [\"127.0.0.1\"]\nauthserv_ids = [\"mx.desk.example\"]";
    SITE.replace("mode = \"off\"", mode)
}

/// The mail with what the relay found of this domain.
fn judged(result: &str, domain: &str, raw: &str) -> String {
    format!(
        "Authentication-Results: mx.desk.example; dmarc={result} header.from={domain}\r\n\
         Received: from a (b [203.0.113.9]) by mx.desk.example (Postfix); x\r\n{raw}"
    )
}

#[tokio::test]
async fn a_reply_to_a_mail_that_waits_joins_it_and_becomes_its_comment() {
    let daemon = Daemon::start().await;
    for raw in [mail(ADA, "first", ""), reply(ADA, "second", "first"), reply(ADA, "third", "second")] {
        decided(&daemon, IT, &raw, ("internal-account-unverified", "-")).await;
    }
    let link = daemon.link(1).await;
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    let ended: Vec<_> = daemon
        .holds_ended(3)
        .await
        .iter()
        .map(|line| (told(line).0.to_owned(), told(line).1.to_owned()))
        .collect();
    let expected = [("known-customer", "IT-1"), ("reply", "IT-1"), ("reply", "IT-1")];
    assert_eq!(ended, expected.map(|(reason, request)| (reason.to_owned(), request.to_owned())));
    let ada = ["second", "third"].map(|id| (ADA.to_owned(), id.to_owned()));
    assert_eq!(comments(&daemon, "IT-1").await, ada);
    decided(&daemon, IT, &reply(ADA, "fourth", "third"), ("reply", "IT-1")).await;
    daemon.stop().await;
}

/// Whoever is not the sender of the mail that waits has nothing to wait for.
#[tokio::test]
async fn anothers_reply_to_a_mail_that_waits_is_a_request_of_its_own() {
    let daemon = Daemon::start().await;
    account(&daemon, BOB, "agent").await;
    decided(&daemon, IT, &mail(ADA, "waits", ""), ("internal-account-unverified", "-")).await;
    decided(&daemon, IT, &reply(BOB, "answer", "waits"), ("known-customer", "IT-1")).await;
    assert!(trail(&daemon, "reply").await.starts_with("names a mail that waits, "));
    daemon.stop().await;
}

#[tokio::test]
async fn an_unproven_reply_waits_and_is_a_comment_once_it_is_released() {
    let daemon = Daemon::with(&relay_site()).await;
    let first = judged("pass", "partner.example", &mail(BOB, "first", &format!("Cc: {CAROL}")));
    decided(&daemon, IT, &first, ("new-portal-only-customer", "IT-1")).await;
    account(&daemon, CAROL, "customer").await;
    for (from, name) in [(BOB, "from-bob"), (CAROL, "from-carol"), (EVE, "from-eve")] {
        decided(&daemon, IT, &reply(from, name, "first"), ("sender-unproven", "-")).await;
    }
    assert!(comments(&daemon, "IT-1").await.is_empty());
    let held = get(&daemon, "held?order=oldest").await;
    let mut reasons = Vec::new();
    for item in held["items"].as_array().unwrap() {
        let path = format!("/api/v1/held/{}/release", item["id"].as_str().unwrap());
        let (status, answer) = daemon.api("POST", &path, None).await;
        assert_eq!(status, 200, "{answer}");
        reasons.push(answer["reason"].as_str().unwrap().to_owned());
    }
    assert_eq!(reasons, ["reply", "reply", "new-portal-only-customer"]);
    let expected = [(BOB, "from-bob"), (CAROL, "from-carol")];
    assert_eq!(
        comments(&daemon, "IT-1").await,
        expected.map(|(author, id)| (author.to_owned(), id.to_owned()))
    );
    daemon.stop().await;
}

/// A03 (Zendesk 2024): neither a guessed nor a true id lets anybody into a request in which they have no part, and a copy
/// to somebody adds nobody.
#[tokio::test]
async fn a_guessed_or_stolen_id_opens_no_request_to_strangers() {
    let daemon = Daemon::start().await;
    account(&daemon, EVE, "customer").await;
    decided(&daemon, IT, &mail(BOB, "secret", ""), ("new-portal-only-customer", "IT-1")).await;
    let before = get(&daemon, "requests/IT-1").await;
    let true_id = minted(&daemon, "IT-1");
    let altered = true_id.replacen('0', "1", 1);
    let ids =
        ["request-1@help.example.com", "IT-1@help.example.com", "secret@mail.example", &true_id, &altered];
    for (n, id) in ids.iter().enumerate() {
        let fields = format!("In-Reply-To: <{id}>\nReferences: <{id}>\nCc: attacker@evil.example");
        let raw =
            mail(EVE, &format!("Re.secret.{n}"), &fields).replace("Subject: Re", "Subject: Re: [IT-1] Re");
        decided(&daemon, IT, &raw, ("known-customer", &format!("IT-{}", n + 2))).await;
        let said = trail(&daemon, "reply").await;
        let known = *id == true_id || *id == "secret@mail.example";
        assert_eq!(said.contains("in which the sender has no part"), known, "{id}: {said}");
    }
    let address = reply_address(&daemon, IT, "IT-1");
    decided(&daemon, &address, &mail(EVE, "by-address", ""), ("known-customer", "IT-7")).await;
    assert_eq!(get(&daemon, "requests/IT-1").await, before);
    daemon.stop().await;
}

/// A03: in the reporter's name, but without proof, a reply waits; found forged, it is dropped.
#[tokio::test]
async fn a_forged_reply_never_reaches_the_request() {
    let daemon = Daemon::with(&relay_site()).await;
    let first = judged("pass", "partner.example", &mail(BOB, "first", ""));
    decided(&daemon, IT, &first, ("new-portal-only-customer", "IT-1")).await;
    let before = get(&daemon, "requests/IT-1").await;
    let forged = mail(BOB, "forged", "In-Reply-To: <first@mail.example>\nCc: attacker@evil.example");
    let failed = judged("fail", "partner.example", &forged);
    decided(&daemon, IT, &failed, ("sender-forged", "-")).await;
    decided(&daemon, IT, &forged, ("sender-unproven", "-")).await;
    let with_results_of_another = judged("pass", "evil.example", &reply(BOB, "as-another", "first"));
    decided(&daemon, IT, &with_results_of_another, ("sender-unproven", "-")).await;
    assert_eq!(get(&daemon, "requests/IT-1").await, before);
    daemon.stop().await;
}

/// A02 (Ticket Trick 2017): a detail that anybody can guess is no name of a request, and machines of other sites that write
/// to it get nowhere.
#[tokio::test]
async fn mail_to_a_guessed_detail_is_never_appended() {
    let daemon = Daemon::start().await;
    decided(&daemon, IT, &mail(BOB, "first", ""), ("new-portal-only-customer", "IT-1")).await;
    let before = get(&daemon, "requests/IT-1").await;
    let good = reply_address(&daemon, IT, "IT-1");
    let altered = good.replace("it-1.", "it-2.");
    let guesses =
        ["it+1@help.example.com", "it+it-1@help.example.com", "it+it-1.aaaa@help.example.com", &altered];
    for (n, guess) in guesses.iter().enumerate() {
        let raw = mail("no-reply@saas.example", &format!("confirm-{n}"), &format!("To: {guess}"));
        decided(&daemon, guess, &raw, ("domain-not-allowed", "-")).await;
        let raw = mail(BOB, &format!("guess-{n}"), &format!("To: {guess}"));
        decided(&daemon, guess, &raw, ("known-customer", &format!("IT-{}", n + 2))).await;
    }
    let raw = mail("no-reply@saas.example", "confirm", &format!("To: {good}"));
    decided(&daemon, &good, &raw, ("domain-not-allowed", "-")).await;
    assert_eq!(get(&daemon, "requests/IT-1").await, before);
    daemon.stop().await;
}

#[tokio::test]
async fn our_own_names_of_a_request_are_enough_for_those_in_it() {
    let daemon = Daemon::start().await;
    decided(&daemon, IT, &mail(BOB, "first", ""), ("new-portal-only-customer", "IT-1")).await;
    decided(&daemon, HR, &mail(BOB, "other", ""), ("known-customer", "HR-1")).await;
    let address = reply_address(&daemon, IT, "IT-1");
    decided(&daemon, &address, &mail(BOB, "by-address", ""), ("reply", "IT-1")).await;
    decided(&daemon, &address.to_uppercase(), &mail(BOB, "in-capitals", ""), ("reply", "IT-1")).await;
    let by_id = mail(BOB, "by-id", &format!("References: <{}>", minted(&daemon, "IT-1")));
    decided(&daemon, IT, &by_id, ("reply", "IT-1")).await;
    // The project that a mail is sent to decides about it, whatever request of another it names.
    let to_hr = mail(BOB, "to-hr", &format!("In-Reply-To: <{}>", minted(&daemon, "IT-1")));
    decided(&daemon, HR, &to_hr, ("known-customer", "HR-2")).await;
    let foreign = reply_address(&daemon, HR, "IT-1");
    decided(&daemon, &foreign, &mail(BOB, "foreign", ""), ("known-customer", "HR-3")).await;
    decided(&daemon, HR, &reply(BOB, "first-in-hr", "first"), ("known-customer", "HR-4")).await;
    assert_eq!(comments(&daemon, "IT-1").await.len(), 3);
    // Without a separator there are no such addresses.
    let daemon = daemon.restart(&SITE.replace("[smtp]", "[smtp]\ndetail_separator = \"\"")).await;
    assert!(daemon.raw_mail(BOB, &[&address], &mail(BOB, "x", "")).await.starts_with("550 5.1.1"));
    daemon.stop().await;
}

#[tokio::test]
async fn those_in_to_and_cc_are_participants_and_no_accounts() {
    let daemon = Daemon::start().await;
    let copies = format!(
        "To: IT <{IT}>, {BOB}, {CAROL}\nCc: help@help.example.com, Carol@partner.example, dan@partner.example"
    );
    decided(&daemon, IT, &mail(BOB, "first", &copies), ("new-portal-only-customer", "IT-1")).await;
    let request = get(&daemon, "requests/IT-1").await;
    assert_eq!(request["participants"], json!([CAROL, "dan@partner.example"]));
    assert_eq!(get(&daemon, "accounts").await["items"].as_array().unwrap().len(), 1);
    // Rule 7: without an account no reply, but a new customer with a request; from then on the same person is known.
    decided(&daemon, IT, &reply(CAROL, "mine", "first"), ("new-portal-only-customer", "IT-2")).await;
    let second = mail(CAROL, "again", &format!("In-Reply-To: <first@mail.example>\nTo: {IT}\nCc: {EVE}"));
    decided(&daemon, IT, &second, ("reply", "IT-1")).await;
    let request = get(&daemon, "requests/IT-1").await;
    assert_eq!(request["participants"], json!([CAROL, "dan@partner.example", EVE]));
    // A comment's Cc makes participants; a stranger's does not.
    account(&daemon, EVE, "customer").await;
    decided(&daemon, IT, &reply(EVE, "eve-says", "again"), ("reply", "IT-1")).await;
    account(&daemon, "mallory@partner.example", "customer").await;
    let strange = reply("mallory@partner.example", "strange", "first");
    decided(&daemon, IT, &strange, ("known-customer", "IT-3")).await;
    daemon.stop().await;
}

/// A Bcc or a forwarded mail: the recipients decide where it goes, and To and Cc only who is named.
#[tokio::test]
async fn a_mail_is_routed_by_its_recipients_alone() {
    let daemon = Daemon::start().await;
    let hidden = mail(BOB, "hidden", &format!("To: {HR}, dan@partner.example"));
    decided(&daemon, IT, &hidden, ("new-portal-only-customer", "IT-1")).await;
    assert_eq!(get(&daemon, "requests/IT-1").await["participants"], json!(["dan@partner.example"]));
    decided(&daemon, IT, &mail(BOB, "nobody", "Bcc: carol@partner.example"), ("known-customer", "IT-2"))
        .await;
    assert_eq!(get(&daemon, "requests/IT-2").await["participants"], json!([]));
    daemon.stop().await;
}

#[tokio::test]
async fn a_mail_to_two_projects_has_a_thread_in_each() {
    let daemon = Daemon::start().await;
    sent(&daemon, &[IT, HR], &mail(BOB, "both", "")).await;
    decided(&daemon, HR, &reply(BOB, "to-hr", "both"), ("reply", "HR-1")).await;
    sent(&daemon, &[IT, HR], &reply(BOB, "to-both", "to-hr")).await;
    let bob = |ids: &[&str]| ids.iter().map(|id| (BOB.to_owned(), (*id).to_owned())).collect::<Vec<_>>();
    assert_eq!(comments(&daemon, "HR-1").await, bob(&["to-hr", "to-both"]));
    // IT has never seen the mail answered: what came to it is new there.
    assert_eq!(get(&daemon, "requests/IT-2").await["message_id"], "to-both@mail.example");
    sent(&daemon, &[IT, HR], &mail(BOB, "last", "References: <both@mail.example>")).await;
    assert_eq!(comments(&daemon, "IT-1").await, bob(&["last"]));
    assert_eq!(comments(&daemon, "HR-1").await.len(), 3);
    daemon.stop().await;
}

#[tokio::test]
async fn one_mail_is_one_request_where_the_site_wants_it_so() {
    let site = SITE.replace("min_free = 0", "min_free = 0\none_request_per_mail = true");
    let daemon = Daemon::with(&site).await;
    let raw = mail(BOB, "both", "");
    for (round, expected) in
        [["new-portal-only-customer", "duplicate"], ["duplicate", "duplicate"]].iter().enumerate()
    {
        sent(&daemon, &[HR, IT], &raw).await;
        let lines = daemon.log.events("mail.decided");
        let reasons: Vec<_> = lines[round * 2..].iter().map(|line| told(line).0).collect();
        assert_eq!(reasons, expected, "round {round}");
        assert_eq!(trail(&daemon, "duplicate").await, "HR has it, and store.one_request_per_mail is on");
    }
    assert_eq!(get(&daemon, "requests?project=IT").await["items"], json!([]));
    // The first that takes it, not the first that is named.
    let hr_first = "addresses = [\"hr@help.example.com\"]\naccess = \"";
    let closed = site.replace(&format!("{hr_first}anyone"), &format!("{hr_first}added"));
    assert_ne!(closed, site);
    let daemon = daemon.restart(&closed).await;
    sent(&daemon, &[HR, IT], &mail(BOB, "more", "")).await;
    let reasons: Vec<_> =
        daemon.log.events("mail.decided").iter().map(|line| told(line).0.to_owned()).collect();
    assert_eq!(reasons, ["not-a-project-customer", "known-customer"]);
    daemon.stop().await;
}

/// A relay that splits a mail by its recipients hands it over once for each, one after the other or at once.
#[tokio::test]
async fn one_mail_is_one_request_over_several_transactions() {
    let site = SITE.replace("min_free = 0", "min_free = 0\none_request_per_mail = true");
    let daemon = Daemon::with(&site).await;
    let raw = mail(BOB, "split", "");
    decided(&daemon, HR, &raw, ("new-portal-only-customer", "HR-1")).await;
    decided(&daemon, IT, &raw, ("duplicate", "-")).await;
    assert_eq!(trail(&daemon, "duplicate").await, "HR has it, and store.one_request_per_mail is on");
    let daemon = daemon.restart(&site).await;
    decided(&daemon, IT, &raw, ("duplicate", "-")).await;
    let mut halves = JoinSet::new();
    for n in 0..8 {
        let (address, rcpt) = (daemon.addresses.smtp[0], [IT, HR][n % 2]);
        let raw = mail(BOB, "at-once", "");
        halves
            .spawn(async move { Smtp::connect(address).await.mail("x@relay.example", &[rcpt], &raw).await });
    }
    assert!(halves.join_all().await.iter().all(|reply| reply.starts_with("250")));
    let created = daemon.log.events("mail.decided").iter().filter(|line| line["outcome"] == "create").count();
    assert_eq!(created, 1);
    assert_eq!(get(&daemon, "requests").await["items"].as_array().unwrap().len(), 2);
    // A mail that waits is one that was taken.
    decided(&daemon, HR, &mail(ADA, "waits", ""), ("internal-account-unverified", "-")).await;
    decided(&daemon, IT, &mail(ADA, "waits", ""), ("duplicate", "-")).await;
    daemon.stop().await;
}

/// Contract: a reply to the verification mail joins the hold and verifies nothing; released, it is a comment, even where the
/// client names our mail alone.
#[tokio::test]
async fn a_reply_to_the_verification_mail_is_a_comment_on_what_it_asked_about() {
    let daemon = Daemon::start().await;
    decided(&daemon, IT, &mail(ADA, "other", ""), ("internal-account-unverified", "-")).await;
    let link = daemon.link(1).await;
    let ours = daemon.outbound().remove(0);
    let id = ours.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
    decided(&daemon, IT, &mail(ADA, "first", ""), ("internal-account-unverified", "-")).await;
    let answer = |name: &str| mail(ADA, name, &format!("In-Reply-To: {id}"));
    decided(&daemon, IT, &answer("yes-mine"), ("internal-account-unverified", "-")).await;
    assert!(trail(&daemon, "account").await.contains("none"));
    assert_eq!(get(&daemon, "accounts").await["items"], json!([]));
    assert_eq!(daemon.outbound().len(), 1, "no second mail within resend_after");
    assert_eq!(daemon.page("POST", &link, "").await.status, 200);
    daemon.holds_ended(3).await;
    assert_eq!(comments(&daemon, "IT-1").await, [(ADA.to_owned(), "yes-mine".to_owned())]);
    decided(&daemon, IT, &answer("later"), ("reply", "IT-1")).await;
    // It is no key for others, and none in another project.
    account(&daemon, EVE, "customer").await;
    let stolen = mail(EVE, "stolen", &format!("In-Reply-To: {id}"));
    decided(&daemon, IT, &stolen, ("known-customer", "IT-3")).await;
    decided(&daemon, HR, &answer("elsewhere"), ("known-customer", "HR-1")).await;
    daemon.stop().await;
}

#[tokio::test]
async fn replies_to_a_closed_request_do_what_the_project_wants() {
    let daemon = Daemon::start().await;
    decided(&daemon, IT, &mail(BOB, "first", ""), ("new-portal-only-customer", "IT-1")).await;
    let request = set_status(&daemon, "IT-1", "closed").await;
    assert_eq!((&request["status"], request["closed_at"].is_string()), (&json!("closed"), true));
    assert_eq!(daemon.log.events("request.closed").len(), 1);
    decided(&daemon, IT, &reply(BOB, "again", "first"), ("reply", "IT-1")).await;
    let request = get(&daemon, "requests/IT-1").await;
    assert_eq!((&request["status"], &request["closed_at"]), (&json!("open"), &Value::Null));
    for (on_closed, name, expected, open) in [
        ("new-linked-request", "linked", ("known-customer", "IT-2"), false),
        ("drop", "dropped", ("request-closed", "-"), false),
        ("reopen", "reopened", ("reply", "IT-1"), true),
    ] {
        set_status(&daemon, "IT-1", "closed").await;
        let access = "addresses = [\"it@help.example.com\"]\n";
        daemon.reload(&SITE.replace(access, &format!("{access}on_closed = \"{on_closed}\"\n")));
        decided(&daemon, IT, &reply(BOB, name, "first"), expected).await;
        assert!(trail(&daemon, "reply").await.starts_with("IT-1, closed"));
        let status = get(&daemon, "requests/IT-1").await["status"] == "open";
        assert_eq!(status, open, "{on_closed}");
    }
    let linked = get(&daemon, "requests/IT-2").await;
    assert_eq!((&linked["follows"], &linked["status"]), (&json!("IT-1"), &json!("open")));
    assert_eq!(comments(&daemon, "IT-1").await.len(), 2);
    set_status(&daemon, "IT-2", "closed").await;
    set_status(&daemon, "IT-2", "open").await;
    assert_eq!(
        daemon.log.events("request.reopened").len(),
        1,
        "opened by hand; a reply is told as mail.decided"
    );
    for (body, status) in [("{}", 422), ("{\"status\":\"solved\"}", 422), ("{\"state\":\"open\"}", 422)] {
        assert_eq!(daemon.api("PATCH", "/api/v1/requests/IT-1", Some(body)).await.0, status, "{body}");
    }
    let missing = daemon.api("PATCH", "/api/v1/requests/IT-9", Some("{\"status\":\"open\"}")).await;
    assert_eq!(missing.0, 404);
    daemon.stop().await;
}

/// Check 1, across a restart and at once, with and without a Message-ID; the trail names what is repeated.
#[tokio::test]
async fn copies_are_dropped_and_say_of_what() {
    let daemon = Daemon::start().await;
    let (raw, held) = (mail(BOB, "copy", ""), mail(ADA, "waits", ""));
    let mut copies = JoinSet::new();
    for _ in 0..6 {
        let (address, raw) = (daemon.addresses.smtp[0], raw.clone());
        copies.spawn(async move { Smtp::connect(address).await.mail("x@relay.example", &[IT], &raw).await });
    }
    assert!(copies.join_all().await.iter().all(|reply| reply.starts_with("250")));
    let mut reasons: Vec<_> =
        daemon.log.events("mail.decided").iter().map(|line| told(line).0.to_owned()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [&["duplicate"; 5][..], &["new-portal-only-customer"]].concat());
    let waits = sent(&daemon, &[IT], &held).await["held"].as_str().unwrap().to_owned();
    let daemon = daemon.restart(SITE).await;
    decided(&daemon, IT, &raw, ("duplicate", "-")).await;
    assert_eq!(trail(&daemon, "duplicate").await, "seen before: IT-1");
    decided(&daemon, IT, &held, ("duplicate", "-")).await;
    assert_eq!(trail(&daemon, "duplicate").await, format!("seen before: it waits, {waits}"));
    let form =
        |date: &str| format!("From: {BOB}\r\nSubject: Form\r\nDate: {date}\r\n\r\nPlease call me.\r\n");
    let (monday, tuesday) = ("Mon, 5 Jan 2026 10:00:00 +0000", "Tue, 6 Jan 2026 10:00:00 +0000");
    decided(&daemon, IT, &form(monday), ("known-customer", "IT-2")).await;
    decided(&daemon, IT, &format!("Received: by x\r\n{}", form(monday)), ("duplicate", "-")).await;
    decided(&daemon, IT, &form(tuesday), ("known-customer", "IT-3")).await;
    // A comment is remembered as well.
    decided(&daemon, IT, &reply(BOB, "said", "copy"), ("reply", "IT-1")).await;
    decided(&daemon, IT, &reply(BOB, "said", "copy"), ("duplicate", "-")).await;
    assert_eq!(comments(&daemon, "IT-1").await.len(), 1);
    daemon.stop().await;
}

/// `explain` by the API knows the store, and so what a mail answers.
#[tokio::test]
async fn explain_tells_what_a_mail_answers() {
    let daemon = Daemon::start().await;
    decided(&daemon, IT, &mail(BOB, "first", ""), ("new-portal-only-customer", "IT-1")).await;
    let raw = mail(BOB, "x", &format!("In-Reply-To: <{}>", minted(&daemon, "IT-1")));
    let auth = format!("Authorization: Bearer {}\r\n", crate::daemon::TOKEN);
    let path = format!("/api/v1/explain?rcpt={IT}");
    let answer =
        crate::daemon::http(daemon.addresses.admin, "POST", &path, &auth, ("message/rfc822", &raw)).await;
    let explained: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(explained[0]["reason"], "reply", "{explained}");
    assert!(comments(&daemon, "IT-1").await.is_empty());
    daemon.stop().await;
}

/// A data directory of version 0.1.0: its index is made anew, and what its journal tells of each mail is enough for threads
/// and copies.
#[tokio::test]
async fn the_threads_of_an_older_store_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/store/0.1.0");
    for file in ["VERSION", "CLEAN", "journal/000000000001.seg", "index/conf", "index/db"] {
        let to = folder.path().join("data").join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(old.join(file), to).unwrap();
    }
    let daemon = Daemon::on(Arc::new(RealDisk), folder, SITE, Clock::manual(START)).await;
    let opened = daemon.log.events("store.opened");
    assert!(
        opened[0]["rebuilt"].as_str().is_some_and(|why| why.contains("its rows have version 1")),
        "{opened:?}"
    );
    assert!(
        !daemon.folder.path().join("data/quarantine").exists(),
        "an index that is only outdated is not kept"
    );
    let copy = format!(
        "From: {BOB}\r\nTo: {IT}\r\nCc: {CAROL}\r\nSubject: old\r\nMessage-ID: <old@mail.example>\r\n\r\nOld.\r\n"
    );
    decided(&daemon, IT, &copy, ("duplicate", "-")).await;
    assert_eq!(trail(&daemon, "duplicate").await, "seen before: IT-1");
    decided(&daemon, IT, &reply(BOB, "said", "old"), ("reply", "IT-1")).await;
    decided(&daemon, IT, &reply(ADA, "joins", "held"), ("internal-account-unverified", "-")).await;
    for item in get(&daemon, "held?order=oldest").await["items"].as_array().unwrap() {
        let path = format!("/api/v1/held/{}/release", item["id"].as_str().unwrap());
        assert_eq!(daemon.api("POST", &path, None).await.0, 200);
    }
    assert_eq!(comments(&daemon, "IT-3").await, [(ADA.to_owned(), "joins".to_owned())]);
    daemon.stop().await;
}
