use axum::body::to_bytes;

use super::*;
use crate::types::{HeldId, Time};

fn site() -> Site {
    Site { name: "Example <Help>".into(), contact: Some("Service desk, 4711".into()) }
}

fn mail(n: u128, subject: &str) -> PageMail {
    PageMail {
        id: HeldId::new(uuid::Uuid::from_u128(n)),
        received_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        project: "IT support".into(),
        subject: subject.into(),
        sent_by: None,
    }
}

fn view(mails: Vec<PageMail>) -> PageView {
    PageView {
        address: "Ada@Example.com".parse().unwrap(),
        mails,
        expires_at: "2026-11-29T08:00:00Z".parse().unwrap(),
    }
}

fn html(mails: Vec<PageMail>) -> String {
    pending_page(&site(), &view(mails)).render().unwrap()
}

async fn text(page: impl IntoResponse) -> (u16, String) {
    let response = page.into_response();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn count(html: &str, needle: &str) -> usize {
    html.matches(needle).count()
}

#[test]
fn the_page_has_one_form_with_an_unticked_box_for_each_mail_and_two_buttons() {
    let page = html(vec![mail(1, "Printer"), mail(2, "Screen")]);
    assert_eq!(count(&page, "<form"), 1);
    assert!(page.contains(r#"<form method="post">"#));
    assert_eq!(count(&page, r#"type="checkbox" name="not_mine""#), 2);
    assert_eq!(count(&page, "checked"), 0);
    assert_eq!(count(&page, r#"type="submit""#), 2);
    assert_eq!(count(&page, r#"name="disown" value="1""#), 1);
    for n in [1, 2] {
        assert!(page.contains(&format!("value=\"{}\"", HeldId::new(uuid::Uuid::from_u128(n)))));
    }
    // The first button is what Enter presses: it must be the one that passes on.
    assert!(page.find("Pass on what I sent").unwrap() < page.find("disown").unwrap());
}

#[test]
fn until_is_the_newest_mail_that_the_page_lists() {
    let page = html(vec![mail(1, "first"), mail(2, "last")]);
    let newest = HeldId::new(uuid::Uuid::from_u128(2));
    assert!(page.contains(&format!(r#"<input type="hidden" name="until" value="{newest}">"#)));
    assert_eq!(count(&page, r#"type="hidden""#), 1);
    assert_eq!(count(&html(vec![]), r#"type="hidden""#), 0);
}

#[test]
fn strangers_words_are_inert() {
    let mut hostile = mail(1, "<script>alert(1)</script>\u{202e}\r\n\"><img src=x onerror=y>");
    hostile.sent_by = Some("<b>boss</b>@example.com".into());
    hostile.project = "R&D".into();
    let page = html(vec![hostile]);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    assert!(!page.contains('\u{202e}'));
    assert!(page.contains("alert(1)") && page.contains("R&#38;D"), "{page}");
    assert!(page.contains("Example &#60;Help&#62;"));
    assert!(page.contains("sent on your behalf by"));
}

#[test]
fn a_screen_reader_hears_what_each_box_is_about() {
    let page = html(vec![mail(1, "Printer"), mail(2, "")]);
    assert!(page.contains(r#"<html lang="en">"#));
    assert_eq!((count(&page, "<h1"), count(&page, "<main"), count(&page, "<title")), (1, 1, 1));
    assert_eq!((count(&page, "<fieldset"), count(&page, "<legend")), (1, 1));
    let labels: Vec<&str> =
        page.split("<label").skip(1).map(|rest| rest.split("</label>").next().unwrap()).collect();
    assert_eq!(labels.len(), 2);
    for (label, subject) in labels.iter().zip(["Printer", "(no subject)"]) {
        assert!(label.contains("I did not send this") && label.contains(subject), "{label}");
        assert!(label.contains("22 November 2026, 08:00 UTC") && label.contains("checkbox"), "{label}");
    }
    // Every description that a button refers to is there.
    for id in ["pass-on", "disown"] {
        assert!(
            page.contains(&format!(r#"aria-describedby="{id}""#)) && page.contains(&format!(r#"id="{id}""#))
        );
    }
}

#[test]
fn the_page_needs_no_script_nothing_from_elsewhere_and_fits_a_phone() {
    let page = html((1..=128).map(|n| mail(n, "A long list")).collect());
    assert_eq!(count(&page, r#"name="not_mine""#), 128);
    assert!(page.contains(r##"<a href="#answer">"##) && page.contains(r#"id="answer""#));
    assert!(page.contains(r#"name="viewport" content="width=device-width"#));
    for foreign in ["<script", "src=", "<link", "http:", "https:", "url(", "@import", "style=", "onclick"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn the_page_says_who_asks_what_happens_and_whom_to_ask() {
    let page = html(vec![mail(1, "Printer")]);
    for words in [
        "Ada@Example.com",
        "IT support",
        "Service desk, 4711",
        "No password is needed",
        "It was not you?",
        "29 November 2026, 08:00 UTC",
        "Did you send this mail?",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_policy_allows_exactly_the_style_sheet_of_the_page() {
    use sha2::{Digest, Sha256};
    let response = pending(&site(), &view(vec![mail(1, "x")])).into_response();
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    let (_, page) = text(response).await;
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = data_encoding::BASE64.encode(&Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("form-action 'self'"));
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
}

#[tokio::test]
async fn every_answer_has_its_status_and_says_so_to_screen_readers() {
    let later: Time = "2026-11-23T08:00:00Z".parse().unwrap();
    for (page, status, role, words) in [
        (redeemed(&site(), Redeemed { handed_on: 2, not_mine: 1 }), 200, "status", "2 mails were handed on"),
        (redeemed(&site(), Redeemed { handed_on: 1, not_mine: 0 }), 200, "status", "1 mail was handed on"),
        (redeemed(&site(), Redeemed { handed_on: 0, not_mine: 0 }), 200, "status", "No mail was handed on"),
        (disowned(&site(), Disowned { not_mine: 3 }), 200, "status", "deleted: 3 mails"),
        (expired(&site(), true), 410, "alert", r#"name="new_link" value="1""#),
        (expired(&site(), false), 410, "alert", "write to us again"),
        (unknown(&site()), 404, "alert", r#"href="../verify""#),
        (new_link(&site(), NewLink::Sent), 200, "status", "on its way"),
        (new_link(&site(), NewLink::Delayed(later)), 200, "status", "23 November 2026, 08:00 UTC"),
        (new_link(&site(), NewLink::TooSoon(later)), 200, "status", "23 November 2026, 08:00 UTC"),
        (new_link(&site(), NewLink::Never), 200, "status", "gets no mail from us"),
    ] {
        let (given, page) = text(page).await;
        assert_eq!(given, status, "{words}");
        assert!(page.contains(words) && page.contains(&format!(r#"role="{role}""#)), "{words}: {page}");
    }
    let (given, page) = text(problem(&site(), &Problem::unavailable("disk <x>"))).await;
    assert_eq!(given, 503);
    assert!(
        page.contains("Try again shortly") && !page.contains("disk"),
        "the mechanism is for the log: {page}"
    );
}

#[tokio::test]
async fn the_field_for_a_link_has_a_label_and_says_what_was_wrong() {
    for (failed, status) in [(false, 200), (true, 400)] {
        let (given, page) = text(paste(&site(), failed)).await;
        assert_eq!(given, status);
        assert!(page.contains(r#"<label for="token">"#) && page.contains(r#"id="token" name="token""#));
        assert_eq!(page.contains(r#"aria-invalid="true" aria-describedby="wrong""#), failed);
        assert_eq!(page.contains(r#"role="alert" id="wrong""#), failed);
    }
}
