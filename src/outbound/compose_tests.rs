use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::{
    config::Relay,
    outbound::samples::{self, enqueued, token, verification_delivery},
};

fn config() -> Config {
    samples::config(Relay::Directory("outbound".into()))
}

fn mint() -> MintKey {
    samples::seal().mint_key()
}

fn compose(delivery: &Delivery, config: &Config) -> Result<Composed, ComposeError> {
    Composer { config, mint: &mint() }.compose(delivery, Some(&token().reveal()), enqueued())
}

fn content(delivery: &Delivery, config: &Config) -> Result<Content, ComposeError> {
    Composer { config, mint: &mint() }.content(delivery, Some(&token().reveal()))
}

fn mail(delivery: &Delivery, config: &Config) -> String {
    String::from_utf8(compose(delivery, config).unwrap().bytes).unwrap()
}

/// Name and value of each field, unfolded.
fn fields(mail: &str) -> Vec<(String, String)> {
    let head = mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
    let pairs = head.split("\r\n").map(|line| line.split_once(": ").expect(line));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}

fn field(mail: &str, name: &str) -> Option<String> {
    let mut found: Vec<String> =
        fields(mail).into_iter().filter(|(n, _)| n == name).map(|(_, value)| value).collect();
    assert!(found.len() <= 1, "{name} twice");
    found.pop()
}

/// The whole mail, byte for byte; `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_whole_mail_is_as_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/outbound/verification.eml");
    let bytes = compose(&verification_delivery(), &config()).unwrap().bytes;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &bytes).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&golden));
    assert_eq!(bytes, golden);
}

#[test]
fn each_try_gives_the_same_bytes_and_each_delivery_its_own() {
    let first = mail(&verification_delivery(), &config());
    assert_eq!(first, mail(&verification_delivery(), &config()));
    let other =
        Delivery { id: crate::types::DeliveryId::new(uuid::Uuid::from_u128(6)), ..verification_delivery() };
    assert_ne!(field(&first, "message-id"), field(&mail(&other, &config()), "message-id"));
}

#[test]
fn the_fields_are_those_of_the_contract() {
    let mail = mail(&verification_delivery(), &config());
    let message_id = format!("<{}@help.example.com>", mint().message_id(verification_delivery().id, None));
    let table = [
        ("from", "\"Example Help\" <help@help.example.com>"),
        ("to", "Ada.Lovelace@example.com"),
        ("subject", "Is this message to IT support from you?"),
        ("date", "Sun, 22 Nov 2026 08:00:01 +0000"),
        ("message-id", &*message_id),
        ("in-reply-to", "<CAB+x=1@mail.example.com>"),
        ("references", "<CAB+x=1@mail.example.com>"),
        ("auto-submitted", "auto-replied"),
        ("x-auto-response-suppress", "All"),
        ("x-vestibule-mail", "verification"),
        ("mime-version", "1.0"),
    ];
    for (name, value) in table {
        assert_eq!(field(&mail, name).as_deref(), Some(value), "{name}");
    }
    let others: Vec<String> = fields(&mail)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !table.iter().any(|(known, _)| known == name))
        .collect();
    assert_eq!(others, ["content-type"]);
}

#[test]
fn the_text_comes_first_and_both_parts_hold_the_one_link() {
    let bytes = compose(&verification_delivery(), &config()).unwrap().bytes;
    let parsed = MessageParser::default().parse(&bytes).unwrap();
    let (text, html) = (parsed.part(1).unwrap(), parsed.part(2).unwrap());
    assert!(text.is_content_type("text", "plain") && html.is_content_type("text", "html"));
    assert_eq!(parsed.parts.len(), 3);
    let link = format!("https://help.example.com/verify/{}", token().reveal());
    let text = text.text_contents().unwrap();
    assert!(text.lines().any(|line| line == link), "on a line of its own");
    assert_eq!(text.matches("://").count(), 1);
    let html = html.text_contents().unwrap();
    assert!(html.contains(&format!(">{link}</a>")), "the visible URL is the link");
    assert_eq!((html.matches("href=").count(), html.matches("://").count()), (1, 2));
    for remote in ["<img", "<script", "src=", "url(", "<link", "<form"] {
        assert!(!html.contains(remote), "{remote}");
    }
    assert!(html.contains("<html lang=\"en\">"));
}

#[test]
fn the_link_is_never_broken_unless_the_text_needs_an_encoding() {
    let link = format!("https://help.example.com/verify/{}", token().reveal());
    let plain = mail(&verification_delivery(), &config());
    assert_eq!(plain.matches(&link).count(), 3);
    for line in plain.split_inclusive('\n') {
        assert!(line.ends_with("\r\n") && line.len() <= 1000, "{line:?}");
    }
    let mut config = config();
    for (name, encoding) in [("Žofie", "quoted-printable"), (&*"x".repeat(256), "7bit")] {
        config.projects[0].name = name.repeat(4);
        config.mail.from.name = Some(name.repeat(4));
        let mail = mail(&verification_delivery(), &config);
        assert_eq!(mail.matches(&format!("Content-Transfer-Encoding: {encoding}\r\n")).count(), 2);
        assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 998));
        let parsed = MessageParser::default().parse(mail.as_bytes()).unwrap();
        assert!(parsed.body_text(0).unwrap().contains(&link));
        assert!(parsed.body_text(0).unwrap().contains(name));
    }
}

#[test]
fn it_says_what_a_reader_must_know() {
    let Content { text, html, .. } = content(&verification_delivery(), &config()).unwrap();
    for part in [text.replace('\n', " "), html] {
        for said in [
            "Sunday 22 November 2026, 08:00 UTC",
            "Sunday 29 November 2026, 08:00 UTC",
            "Example Help",
            "IT support",
            "no password",
            "did not write to us",
            "A reply to this mail does not",
            "Service desk, 4711",
        ] {
            assert!(part.contains(said), "{said:?} in {part}");
        }
    }
    let mut silent = config();
    silent.verification.contact = None;
    let Content { text, html, .. } = content(&verification_delivery(), &silent).unwrap();
    assert!(!text.contains("Questions") && !html.contains("Questions"));
}

#[test]
fn lines_of_the_text_fit_a_terminal() {
    let mut long = config();
    long.projects[0].name = "IT support of the whole group".to_owned();
    let Content { text, .. } = content(&verification_delivery(), &long).unwrap();
    let wide: Vec<&str> = text.lines().filter(|line| line.len() > 78 && !line.contains("://")).collect();
    assert!(wide.is_empty(), "{wide:?}");
}

/// H01: whatever stands in names and ids, no field is added and nothing panics.
#[test]
fn hostile_names_and_ids_add_no_field() {
    let hostile = [
        "x\r\nBcc: v@v.example",
        "x\nBcc: v@v.example",
        "x\rBcc: v@v.example",
        "x\0y",
        "\r\n\r\n<html>",
        "a\u{202e}b\u{1b}[31m",
        "\"quoted\\\" <v@v.example>, other",
        "Žofie, Nová (IT) <it@x>",
        "",
        "=?utf-8?q?x=0D=0ABcc:_v@v?=",
    ];
    let usual = fields(&mail(&verification_delivery(), &config())).len();
    for text in hostile {
        let (mut config, mut delivery) = (config(), verification_delivery());
        config.mail.from.name = Some(text.to_owned());
        config.projects[0].name = text.to_owned();
        config.verification.contact = Some(text.to_owned());
        if let DeliveryKind::Verification { in_reply_to, .. } = &mut delivery.kind {
            *in_reply_to = Some(format!("{text}@x.example"));
        }
        let mail = mail(&delivery, &config);
        assert_eq!(field(&mail, "bcc"), None, "{text:?}");
        assert_eq!(fields(&mail).len(), usual - 2, "{text:?}: {mail}");
        assert_eq!(field(&mail, "to").as_deref(), Some("Ada.Lovelace@example.com"));
        let parsed = MessageParser::default().parse(mail.as_bytes()).unwrap();
        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!(from.address(), Some("help@help.example.com"), "{text:?}");
        assert_eq!(parsed.from().unwrap().iter().count(), 1, "{text:?}");
        assert!(!parsed.body_html(0).unwrap().contains("<html>\r\n<html>"), "{text:?}");
    }
}

#[test]
fn markup_in_names_is_shown_and_not_obeyed() {
    let mut config = config();
    config.projects[0].name = "<b onclick=x>R&D</b>".to_owned();
    let Content { text, html, subject } = content(&verification_delivery(), &config).unwrap();
    assert!(text.contains("<b onclick=x>R&D</b>") && subject.contains("R&D"));
    assert!(!html.contains("<b onclick") && html.contains("R&#38;D"));
}

/// H02: the mail is made of our words, the project's name and the address; a delivery has no place for the sender's.
#[test]
fn the_subject_is_ours_whatever_is_answered() {
    let mut delivery = verification_delivery();
    if let DeliveryKind::Verification { in_reply_to, .. } = &mut delivery.kind {
        *in_reply_to = Some("Free Nitro http://x@evil.example".to_owned());
    }
    delivery.to = samples::address("\"Free Nitro http://x\"@example.com");
    let mail = mail(&delivery, &config());
    assert_eq!(mail.matches("Nitro").count(), 1, "in To alone: {mail}");
    assert!(!mail.contains("evil.example"));
}

#[test]
fn message_ids_are_answered_when_they_are_whole() {
    let longest = format!("{}@b", "a".repeat(252));
    for good in ["a@b", "CAB+x=1@mail.example.com", "!&!AA/b@c", "1$2@[127.0.0.1]", "a.b@c.d", &longest] {
        assert!(is_message_id(good), "{good}");
    }
    let cut = format!("{}@b", "a".repeat(253));
    for bad in [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "<a@b>",
        "a@b>\r\nBcc: x@y",
        "a..b@c",
        ".a@b",
        "a@b.",
        "ž@b",
        "\"a b\"@c",
        "a@[b\\]",
        &cut,
    ] {
        assert!(!is_message_id(bad), "{bad}");
        let mut delivery = verification_delivery();
        if let DeliveryKind::Verification { in_reply_to, .. } = &mut delivery.kind {
            *in_reply_to = Some(bad.to_owned());
        }
        let mail = mail(&delivery, &config());
        assert_eq!((field(&mail, "in-reply-to"), field(&mail, "references")), (None, None), "{bad}");
    }
}

#[test]
fn addresses_go_out_in_a_form_that_every_relay_takes() {
    let table = [
        ("Ada@Bücher.example", "Ada@xn--bcher-kva.example"),
        ("\"a@approved.example\"@evil.example", "\"a@approved.example\"@evil.example"),
        ("ada+it@example.com", "ada+it@example.com"),
    ];
    for (written, sent) in table {
        assert_eq!(address(&samples::address(written)).unwrap().to_string(), sent);
    }
}

#[test]
fn odd_times_and_gone_projects_still_give_a_mail() {
    let mut gone = config();
    gone.projects.clear();
    for at in [i64::MIN, 0, i64::MAX] {
        let mail = Composer { config: &gone, mint: &mint() }
            .compose(&verification_delivery(), Some(&token().reveal()), Time::from_millis(at))
            .unwrap();
        let text = String::from_utf8(mail.bytes).unwrap();
        assert_eq!(field(&text, "subject").as_deref(), Some("Is this message to IT from you?"));
    }
    let forward = Delivery {
        kind: DeliveryKind::Forward { reverse_path: String::new(), body: None, trace: String::new() },
        ..verification_delivery()
    };
    assert_eq!(compose(&forward, &gone), Err(ComposeError::Incomplete));
}

fn acknowledgement(last: bool) -> Delivery {
    let kind = DeliveryKind::Acknowledgement {
        project: "IT".parse().unwrap(),
        request: Some("IT-12".parse().unwrap()),
        per_day: 20,
        last,
        received_at: samples::received(),
        in_reply_to: Some("CAB+x=1@mail.example.com".to_owned()),
    };
    Delivery { kind, ..verification_delivery() }
}

/// RFC 3834 §3.1: the fields that keep machines from answering each other, and where a person's answer goes.
#[test]
fn an_acknowledgement_names_the_request_and_leads_replies_to_it() {
    let mail = mail(&acknowledgement(false), &config());
    let request: RequestId = "IT-12".parse().unwrap();
    let message_id =
        format!("<{}@help.example.com>", mint().message_id(acknowledgement(false).id, Some(&request)));
    let reply_to = format!("it+{}@help.example.com", mint().reply_detail(&request));
    for (name, value) in [
        ("subject", "[IT-12] We have your request"),
        ("message-id", &*message_id),
        ("reply-to", &*reply_to),
        ("in-reply-to", "<CAB+x=1@mail.example.com>"),
        ("references", "<CAB+x=1@mail.example.com>"),
        ("auto-submitted", "auto-replied"),
        ("x-auto-response-suppress", "All"),
        ("x-vestibule-mail", "acknowledgement"),
    ] {
        assert_eq!(field(&mail, name).as_deref(), Some(value), "{name}");
    }
    assert!(!mail.contains("://") && mail.contains("IT-12") && mail.contains("Sunday 22 November 2026"));
    let composed = compose(&acknowledgement(false), &config()).unwrap();
    assert_eq!(composed.reverse_path, None);
    for language in ["en", "de", "fr"] {
        let mut config = config();
        config.mail.language = language.parse().unwrap();
        for last in [false, true] {
            let content = content(&acknowledgement(last), &config).unwrap();
            assert!(content.text.starts_with(crate::mail::REPLY_MARKER), "{language} {last}: {content:?}");
            assert!(content.html.contains(crate::mail::REPLY_MARKER), "{language} {last}: {content:?}");
        }
    }
}

#[test]
fn replies_have_no_address_of_their_own_where_details_are_off_or_only_a_domain_is_ours() {
    let mut off = config();
    off.routes = std::sync::Arc::new(crate::smtp::RouteTable::new(None, false, "x.example".parse().unwrap()));
    assert_eq!(field(&mail(&acknowledgement(false), &off), "reply-to"), None);
    let mut domain = config();
    domain.projects[0].addresses = vec!["*@it.example.com".to_owned()];
    assert_eq!(field(&mail(&acknowledgement(false), &domain), "reply-to"), None);
    domain.projects[0].addresses.push("it+all@it.example.com".to_owned());
    assert_eq!(field(&mail(&acknowledgement(false), &domain), "reply-to"), None);
    domain.projects[0].addresses.push("IT@it.example.com".to_owned());
    let reply_to = field(&mail(&acknowledgement(false), &domain), "reply-to").unwrap();
    assert!(reply_to.starts_with("IT+it-12.") && reply_to.ends_with("@it.example.com"), "{reply_to}");
}

#[test]
fn with_a_bounce_domain_each_mail_has_an_envelope_sender_of_its_own() {
    let mut config = config();
    config.mail.bounce_domain = Some("bounce.help.example.com".parse().unwrap());
    for delivery in [acknowledgement(false), verification_delivery()] {
        let sender = compose(&delivery, &config).unwrap().reverse_path.unwrap();
        assert_eq!(sender.domain().as_str(), "bounce.help.example.com");
        assert_eq!(mint().read_bounce_local_part(sender.local_part()), Some(delivery.id));
    }
}

#[test]
fn a_project_speaks_its_language_and_the_last_acknowledgement_says_so() {
    let mut config = config();
    config.projects[0].language = Some("de".parse().unwrap());
    let content = content(&acknowledgement(true), &config).unwrap();
    assert!(content.subject.contains("heute keine weiteren") && content.html.contains("<html lang=\"de\">"));
    assert!(content.text.contains("Sonntag, 22. November 2026, 08:00 Uhr (UTC)"), "{}", content.text);
    let mail = mail(&verification_delivery(), &config);
    assert!(mail.is_ascii());
    let parsed = MessageParser::default().parse(mail.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("Ist diese Nachricht an IT support von Ihnen?"));
    let link = format!("https://help.example.com/verify/{}", token().reveal());
    assert!(parsed.body_text(0).unwrap().lines().any(|line| line == link));
}

#[test]
fn what_lacks_its_request_or_its_token_is_not_composed() {
    let mut delivery = acknowledgement(false);
    if let DeliveryKind::Acknowledgement { request, .. } = &mut delivery.kind {
        *request = None;
    }
    assert_eq!(compose(&delivery, &config()), Err(ComposeError::Incomplete));
    let config = config();
    let composer = Composer { config: &config, mint: &mint() };
    assert_eq!(composer.compose(&verification_delivery(), None, enqueued()), Err(ComposeError::Incomplete));
}
