//! Every mail of `fixtures/mail`, read by the library and compared with what `NAME.expected.json` says of it; and inputs
//! made to hurt.

use std::{fs, path::Path};

use proptest::prelude::*;
use serde::Deserialize;
use vestibule::mail::{self, Arrival, Content, Message, Nature, ScanError, UnusableSender};

/// What is expected of one mail. What is left out is expected to be absent, but `participants`, `body_*`, `text`,
/// `new_part` and `attachments`, which are then not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The scan's error; the mail is then not read.
    refused: Option<String>,
    /// Key of the author's address with its domain in Unicode; instead of it `unusable`.
    author: Option<String>,
    unusable: Option<String>,
    /// The domain as decisions see it, where it is not plain in `author`.
    domain: Option<String>,
    name: Option<String>,
    #[serde(default)]
    name_mismatch: bool,
    #[serde(default)]
    differential: bool,
    sent_by: Option<String>,
    subject: String,
    message_id: Option<String>,
    #[serde(default)]
    in_reply_to: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    /// The envelope's; `sender@relay.example` when left out.
    reverse_path: Option<String>,
    #[serde(default)]
    via_lists: Vec<String>,
    /// `person`, or KIND SIGN: VALUE, where KIND is `weak`, `automatic`, `report` or `loop`.
    nature: String,
    /// `OUTCOME REASON` at the site of `tests/it/nature.rs`; looked at where it stands.
    decision: Option<String>,
    /// A check that the trail of the decision notes.
    note: Option<String>,
    participants: Option<Vec<String>>,
    #[serde(default)]
    reply_to: Vec<String>,
    #[serde(default)]
    body_has: Vec<String>,
    #[serde(default)]
    body_lacks: Vec<String>,
    /// What the content says about itself; looked at with `text` or `attachments`.
    #[serde(default)]
    notices: Vec<String>,
    /// The whole body, exactly.
    text: Option<String>,
    /// The new part of the body, exactly but for white space around it.
    new_part: Option<String>,
    attachments: Option<Vec<ExpectedAttachment>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAttachment {
    name: String,
    content_type: String,
    size: usize,
    /// Not looked at when left out; `kind` and `content_id` neither.
    inline: Option<bool>,
    kind: Option<String>,
    content_id: Option<String>,
}

#[test]
fn every_fixture_is_read_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "eml"))
        .collect();
    names.sort();
    assert!(names.len() >= 90, "only {} mails in {}", names.len(), folder.display());
    let mut failed = Vec::new();
    for path in names {
        let raw = fs::read(&path).unwrap();
        let json = fs::read_to_string(path.with_extension("expected.json")).unwrap();
        let expected: Expected =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if std::panic::catch_unwind(|| check(&name, &raw, &expected)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{} mails differ: {failed:?}", failed.len());
}

/// Not a test of its own, every fixture is one: `cargo test --test it how_many_replies -- --nocapture` prints a table.
#[test]
fn how_many_replies_trim_exactly() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    let (mut exact, mut cut, mut wrong) = (0, 0, Vec::new());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".expected.json")) else { continue };
        let expected: Expected = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let Some(new_part) = expected.new_part else { continue };
        let content = mail::content(&fs::read(format!("{name}.eml")).unwrap());
        let is_exact = content.new_text().trim() == new_part.trim();
        let (body, new) = (content.body.lines().count(), content.new_text().lines().count());
        println!("{} {new:>4} of {body:>4} lines  {name}", if is_exact { "exact" } else { "WRONG" });
        exact += usize::from(is_exact);
        cut += usize::from(new < body);
        wrong.extend((!is_exact).then(|| name.to_owned()));
    }
    println!("{exact} of {} exact; {cut} of them have something to cut", exact + wrong.len());
    assert!(exact >= 60 && wrong.is_empty(), "{wrong:?}");
}

fn check(name: &str, raw: &[u8], expected: &Expected) {
    let scanned = mail::prescan(raw).map_err(|error| error.to_string());
    if let Some(refused) = &expected.refused {
        assert_eq!(scanned.as_ref(), Err(refused), "{name}");
        return;
    }
    assert_eq!(scanned, Ok(()), "{name}");
    let message = mail::read(raw);
    check_author(name, &message, expected);
    assert_eq!(message.subject, expected.subject, "{name}: subject");
    assert_eq!(message.message_id, expected.message_id, "{name}: message_id");
    assert_eq!(message.in_reply_to, expected.in_reply_to, "{name}: in_reply_to");
    assert_eq!(message.references, expected.references, "{name}: references");
    let reverse_path = expected.reverse_path.as_deref().unwrap_or("sender@relay.example");
    let arrival = Arrival { reverse_path, via_lists: &expected.via_lists, minted: false };
    assert_eq!(told(&message.nature(&arrival)), expected.nature, "{name}: nature");
    if let Some(expected_decision) = &expected.decision {
        let (decision, trail) = crate::nature::decision(raw, expected.reverse_path.as_deref());
        assert_eq!(&decision, expected_decision, "{name}: {trail:#?}");
        let noted =
            |note: &String| trail.iter().any(|check| check.check == **note && check.result == "noted");
        assert!(expected.note.as_ref().is_none_or(noted), "{name}: {trail:#?}");
    }
    check_content(name, raw, expected);
}

fn told(nature: &Nature) -> String {
    let (kind, sign) = match nature {
        Nature::Person { weak: None } => return "person".to_owned(),
        Nature::Person { weak: Some(sign) } => ("weak", sign),
        Nature::Automatic(sign) => ("automatic", sign),
        Nature::Report(sign) => ("report", sign),
        Nature::Loop(sign) => ("loop", sign),
    };
    format!("{kind} {}: {}", sign.name, sign.value)
}

fn check_author(name: &str, message: &Message, expected: &Expected) {
    match &message.author {
        Ok(author) => {
            let address = &author.address;
            let key = format!("{}@{}", address.local_part(), address.domain().to_unicode());
            assert_eq!((Some(&key), None), (expected.author.as_ref(), expected.unusable.as_ref()), "{name}");
            let domain = expected.domain.as_deref().or(key.rsplit('@').next());
            assert_eq!(Some(address.domain().as_str()), domain, "{name}: domain");
            assert_eq!(author.name, expected.name, "{name}: name");
        }
        Err(why) => {
            assert_eq!(
                (None, Some(&why.to_string())),
                (expected.author.as_ref(), expected.unusable.as_ref()),
                "{name}"
            );
        }
    }
    assert_eq!(message.name_mismatch, expected.name_mismatch, "{name}: name_mismatch");
    assert_eq!(message.differential.is_some(), expected.differential, "{name}: {:?}", message.differential);
    assert_eq!(message.sent_by, expected.sent_by, "{name}: sent_by");
}

fn check_content(name: &str, raw: &[u8], expected: &Expected) {
    let content = mail::content(raw);
    let keys = |list: &[vestibule::types::EmailAddress]| -> Vec<String> {
        list.iter().map(|address| address.key().to_owned()).collect()
    };
    if let Some(participants) = &expected.participants {
        assert_eq!(&keys(&content.participants), participants, "{name}: participants");
    }
    assert_eq!(keys(&content.reply_to), expected.reply_to, "{name}: reply_to");
    for text in &expected.body_has {
        assert!(content.body.contains(text), "{name}: no {text:?} in {:?}", content.body);
    }
    for text in &expected.body_lacks {
        assert!(!content.body.contains(text), "{name}: {text:?} in {:?}", content.body);
    }
    if expected.text.is_some() || expected.attachments.is_some() {
        assert_eq!(content.notices, expected.notices, "{name}: notices");
    }
    if let Some(text) = &expected.text {
        assert_eq!(&content.body, text, "{name}: text");
    }
    if let Some(new_part) = &expected.new_part {
        assert_eq!(content.new_text().trim(), new_part.trim(), "{name}: new_part");
    }
    check_attachments(name, raw, &content, expected);
}

fn check_attachments(name: &str, raw: &[u8], content: &Content, expected: &Expected) {
    let Some(attachments) = &expected.attachments else { return };
    let found: Vec<_> = content.attachments.iter().map(|a| (&*a.name, &*a.content_type, a.size)).collect();
    let wanted: Vec<_> = attachments.iter().map(|a| (&*a.name, &*a.content_type, a.size)).collect();
    assert_eq!(found, wanted, "{name}: attachments");
    for (info, wanted) in content.attachments.iter().zip(attachments) {
        let kind = serde_json::to_value(info.kind).unwrap();
        assert!(wanted.inline.is_none_or(|inline| inline == info.inline), "{name}: {info:?}");
        assert!(wanted.kind.as_ref().is_none_or(|wanted| kind == **wanted), "{name}: {info:?}");
        let id = wanted.content_id.as_ref();
        assert!(id.is_none_or(|id| info.content_id.as_ref() == Some(id)), "{name}: {info:?}");
    }
    for (n, info) in content.attachments.iter().enumerate() {
        let Some((same, bytes)) = mail::attachment(raw, n) else { panic!("{name}: no attachment {n}") };
        assert_eq!((&same, bytes.len()), (info, info.size), "{name}: attachment {n}");
    }
    assert_eq!(mail::attachment(raw, attachments.len()), None, "{name}");
}

/// M04: what is shown of a mail, and all its attachments together, stay in proportion to it.
#[test]
fn decoding_does_not_blow_a_mail_up() {
    let text = |head: &str, piece: &[u8]| {
        let head = format!("From: a@b.example\r\nContent-Type: text/plain; {head}\r\n\r\n");
        [head.as_bytes(), &piece.repeat(3_000_000 / piece.len())].concat()
    };
    for raw in [
        text("charset=utf-7", b"+AOQA5A-\r\n"),
        text("charset=iso-8859-1", b"\xe4\xe4\xe4\r\n"),
        text("charset=utf-16", b"\x20\xac"),
        text("charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", b"=E4=\r\n"),
        text("charset=utf-8; format=flowed", b"> \r\n"),
    ] {
        let content = mail::content(&raw);
        assert!(content.body.len() < 600_000, "{}", content.body.len());
        assert_eq!(content.notices, ["the text is cut at 512 KiB"]);
    }
    let part = "--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n";
    let raw =
        format!("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(900));
    let content = mail::content(raw.as_bytes());
    assert_eq!(content.attachments.len(), 900);
    assert!(content.attachments.iter().map(|info| info.size).sum::<usize>() < raw.len());
}

/// M05: an archive is a file like any other.
#[test]
fn no_archive_is_unpacked() {
    let archive = b"PK\x03\x04 and a petabyte of zeros";
    for kind in ["application/zip", "application/gzip", "application/x-7z-compressed", "application/x-tar"] {
        let head = format!(
            "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: {kind}; name=a\r\n\r\n"
        );
        let raw = [head.as_bytes(), archive, b"\r\n--b--\r\n"].concat();
        let content = mail::content(&raw);
        assert_eq!((content.attachments.len(), content.attachments[0].size), (1, archive.len()));
        assert_eq!(mail::attachment(&raw, 0).map(|(_, bytes)| bytes).as_deref(), Some(&archive[..]));
    }
}

/// Everything that is done with a mail; the scan's word is final.
fn take_in(raw: &[u8]) -> Result<Message, ScanError> {
    mail::prescan(raw)?;
    let content = mail::content(raw);
    for n in 0..content.attachments.len() {
        assert!(mail::attachment(raw, n).is_some());
    }
    assert!(content.body.is_char_boundary(content.new_part.start));
    assert!(content.body.is_char_boundary(content.new_part.end));
    let shown = mail::display_html(raw);
    assert_eq!(shown.is_some(), content.has_html);
    assert!(shown.is_none_or(|html| !html.contains("<script") && !html.contains("onerror=")));
    let message = mail::read(raw);
    assert!(message.subject.chars().count() <= 256 && !message.subject.contains(char::is_control));
    assert!(content.attachments.iter().all(|a| (1..=255).contains(&a.name.len())));
    Ok(message)
}

#[test]
fn hostile_mail_is_refused_or_harmless() {
    let head = "From: a@b.example\r\n";
    let too_complex: [(&str, String); 6] = [
        ("nested messages", "Content-Type: message/rfc822\r\n\r\n".repeat(20_000)),
        ("absent boundaries", "Content-Type: multipart/mixed; boundary=zz\r\n\r\n".repeat(20_000)),
        ("addresses", format!("To: {}\r\n\r\n", "a@b,\r\n ".repeat(100_000))),
        (
            "parts",
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(100_000)),
        ),
        ("long line", format!("\r\n{}\r\n", "x".repeat(1_000_000))),
        ("header", "X: y\r\n".repeat(100_000)),
    ];
    for (what, text) in too_complex {
        let raw = format!("{head}{text}");
        assert!(matches!(mail::prescan(raw.as_bytes()), Err(ScanError::TooComplex(_))), "{what}");
    }
    let words = "=?aa?q? ".repeat(900);
    let harmless = [
        format!("{head}Content-Type: text/html\r\n\r\n{}", "<div><div>\r\n".repeat(10_000)),
        format!("{head}Subject: {words}\r\nSender: {words}\r\nTo: {}\r\n\r\n", words.repeat(8)),
        format!("{head}Subject: {}\r\n\r\n", "(".repeat(60_000)),
        format!(
            "{head}Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
            "=\r\n=".repeat(50_000)
        ),
        format!("{head}\r\n{}", "\u{fffd}:\r\n".repeat(100_000)),
        format!("From: {}a@b.example{}\r\n\r\n", "(".repeat(2_000), ")".repeat(2_000)),
    ];
    for raw in harmless {
        take_in(raw.as_bytes()).unwrap();
    }
}

/// Mails that are as bad as the scan lets them be, `size` bytes or a little more.
fn worst(size: usize) -> Vec<(&'static str, String)> {
    let fill = |piece: &str| piece.repeat(size / piece.len() + 1);
    let multipart = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let many: String = (0..50).map(multipart).collect();
    let lost = "Content-Type: multipart/mixed; boundary=lost\r\n\r\n".repeat(10);
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(20);
    let html = "Content-Type: text/html\r\n\r\n";
    let body = |head: &str, piece: &str| format!("From: a@b.example\r\n{head}{}", fill(piece));
    vec![
        ("multiparts within each other", body(&many, "--b\r\n-")),
        ("almost boundaries", body(&many, "--b\r\n--b9-\r\n")),
        ("lost boundaries", body(&lost, "--los\r\n")),
        ("messages within each other", body(&messages, "a: b\r\n\r\n")),
        ("short lines", body("\r\n", "\n")),
        ("colons", body("\r\n", "a:\r\n")),
        ("tags", body(html, "<\r\n")),
        ("open comments", body(html, "<!-- \r\n")),
        ("open quotes", body(html, "<a b=\"\r\n")),
        ("formatting", body(html, "<b>\r\n<p>x")),
        ("cells of foreign content", body(html, "<svg><td>\r\n")),
        ("attributes", body(html, "<a b c=d e\r\n")),
        ("quotations", body(html, "<blockquote>x\r\n</blockquote>")),
        ("quoted lines", body("Subject: Re: x\r\n\r\n", ">\r\n")),
        ("signatures", body("Subject: Re: x\r\n\r\n", "--\r\n>\r\n")),
        ("phones", body("Subject: Re: x\r\n\r\n", "Sent from my iPhone\r\n")),
        ("attributions", body("Subject: Re: x\r\n\r\n", "On 1 1 wrote:\r\n>\r\n")),
        ("colons of replies", body("Subject: Re: x\r\n\r\n", "to:\r\n")),
        ("flowed text", body("Content-Type: text/plain; format=flowed\r\n\r\n", "> \r\n")),
        ("open scripts", body(html, "<script>\r\n")),
        ("end tags", body(html, "</\r\n")),
        ("entities", body(html, "&#x\r\n")),
        ("ampersands", body(html, "&\r\n")),
        ("soft line ends", body("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n")),
        ("base64", body("Content-Transfer-Encoding: base64\r\n\r\n", "=A\r\n")),
        ("UTF-7", body("Content-Type: text/plain; charset=utf-7\r\n\r\n", "+A-\r\n")),
        ("ISO-2022", body("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n", "\u{1b}$B\r\n")),
    ]
}

/// M01, M02, M06: on a thread with tokio's stack, whatever the depth; a stack that overflows ends the whole process.
#[test]
fn the_worst_mail_fits_on_a_small_stack() {
    for (what, raw) in worst(300_000) {
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).name(what.to_owned());
        let read = thread.spawn(move || drop(take_in(raw.as_bytes()))).unwrap().join();
        assert!(read.is_ok(), "{what}");
    }
}

/// Four times the mail may cost four times the time, not sixteen times. Not for a busy machine:
/// `cargo test --test it --release -- --ignored costs_grow`.
#[test]
#[ignore = "compares times"]
fn costs_grow_with_the_size_and_not_with_its_square() {
    let cost = |raw: &str| {
        let once = || {
            let begun = std::time::Instant::now();
            let _ = std::hint::black_box(take_in(raw.as_bytes()));
            begun.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap_or_default()
    };
    for ((what, small), (_, large)) in worst(500_000).into_iter().zip(worst(2_000_000)) {
        let (small, large) = (cost(&small), cost(&large));
        println!("{what}: {small:?} {large:?}");
        assert!(large < small * 8 + std::time::Duration::from_millis(20), "{what}: {small:?} {large:?}");
    }
}

/// mail-parser's debug assertion fails on this structure; a release build reads it.
pub(crate) const PANICS: &str = concat!(
    "From: a@b.example\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b--\r\n;\r\n\r\n--;\n",
    "Content-Type: message/rfc822\r\n\r\n--b--\r\n\n\n--b--\r\n--b\r\n\r\n"
);

/// M07.
#[test]
fn a_parser_that_panics_makes_the_sender_unusable() {
    let message = take_in(PANICS.as_bytes()).unwrap();
    if cfg!(debug_assertions) {
        assert_eq!(message.author, Err(UnusableSender::ParserFailed));
    } else {
        assert!(message.author.is_ok());
    }
}

#[test]
fn a_deeply_nested_html_mail_shows_a_notice() {
    let raw =
        format!("From: a@b.example\r\nContent-Type: text/html\r\n\r\n{}", "<div><div>\r\n".repeat(10_000));
    assert!(mail::content(raw.as_bytes()).body.contains("too deeply nested"));
}

#[test]
fn copies_share_the_body_digest_whatever_their_trace_fields() {
    let first = mail::read(b"From: a@b.example\r\n\r\nbody\r\n");
    let second = mail::read(b"Received: from x\r\nFrom: a@b.example\r\n\r\nbody\r\n");
    let other = mail::read(b"From: a@b.example\r\n\r\nbody \r\n");
    assert_eq!(first.copy_digest, second.copy_digest);
    assert_ne!(first.copy_digest, other.copy_digest);
}

/// With a Message-ID the body alone counts; without one the fields that its author wrote, however they are folded.
#[test]
fn mails_without_a_message_id_are_told_apart_by_what_was_written() {
    let digest = |fields: &str| {
        mail::read(format!("From: a@b.example\r\n{fields}\r\nbody\r\n").as_bytes()).copy_digest
    };
    let written = digest("Subject: a form was sent\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n");
    let folded = "Received: by x\r\nSUBJECT:  a form\r\n was\tsent\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nX-Spam: no\r\n";
    assert_eq!(digest(folded), written);
    for other in [
        "Subject: a form was sent\r\nDate: Tue, 6 Jan 2026 10:00:00 +0000\r\n",
        "Subject: another form\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n",
        "Subject: a form was sent\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nTo: it@help.example.com\r\n",
    ] {
        assert_ne!(digest(other), written, "{other}");
        assert_eq!(digest(&format!("{other}Message-ID: <1@x>\r\n")), digest("Message-ID: <1@x>\r\n"));
    }
}

#[test]
fn a_reply_names_the_nearest_mail_first() {
    let raw = b"In-Reply-To: <c@x>\r\nReferences: <a@x> <b@x>\r\n <c@x>\r\nFrom: a@b.example\r\n\r\nReferences: <d@x>\r\n";
    assert_eq!(mail::named_ids(raw), ["c@x", "b@x", "a@x"]);
    assert_eq!(mail::read(raw).named_ids(), mail::named_ids(raw));
    let many: Vec<_> = (0..99).map(|n| format!("<{n}@x>")).collect();
    let named = mail::named_ids(format!("References: {}\r\n\r\n", many.concat()).as_bytes());
    assert_eq!((named.len(), named[0].as_str(), named[19].as_str()), (20, "98@x", "79@x"));
}

/// Pieces that the grammar of mail is made of; random bytes alone never get far into a parser.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "From: ",
        "From",
        "from:",
        ":",
        " ",
        "\t",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "\r\n ",
        "<",
        ">",
        "@",
        ",",
        ";",
        "\"",
        "\\",
        "(",
        ")",
        "a@approved.example",
        "b@evil.example",
        "approved.example",
        "=?utf-8?q?",
        "=?utf-8?b?",
        "?=",
        "=40",
        "Ada",
        ".",
        "[",
        "]",
        "To: ",
        "Sender: ",
        "Subject: ",
        "Content-Type: ",
        "multipart/mixed",
        "multipart/digest",
        "multipart/alternative",
        "; boundary=",
        "b",
        "--b",
        "--b--",
        "--",
        "message/rfc822",
        "text/html",
        "text/plain",
        "; charset=",
        "iso-2022-jp",
        "utf-7",
        "utf-16",
        "Content-Transfer-Encoding: ",
        "base64",
        "quoted-printable",
        "=",
        "aGVsbG8=",
        "<p>",
        "</p>",
        "<!--",
        "&#",
        "; name*0*=",
        "'",
        "%",
        "\u{1b}$B",
        "Content-Disposition: attachment; filename=",
        "../",
        "\u{202e}",
        "ä",
        "\u{85}",
        "List-Id: ",
        "Message-ID: ",
    ]);
    let bytes = prop_oneof![
        20 => piece.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(bytes, 0..60).prop_map(|pieces| pieces.concat())
}

/// The addresses of a value that any reader could see: every `@` outside quotes and comments.
fn visible_at_signs(value: &str) -> usize {
    let (mut quoted, mut depth, mut count) = (false, 0_usize, 0);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || depth > 0 => drop(chars.next()),
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            '@' if !quoted && depth == 0 => count += 1,
            _ => {}
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(raw in pieces()) {
        let _ = take_in(&raw);
    }

    #[test]
    fn nothing_panics_on_bytes(raw in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = take_in(&raw);
    }

    /// What decides over an account is read in one way only.
    #[test]
    fn an_approved_author_is_the_only_address_in_from(value in pieces()) {
        let raw = [b"From: ", &value[..], b" a@approved.example\r\nSubject: x\r\n\r\n"].concat();
        let Ok(author) = mail::read(&raw).author else { return Ok(()) };
        if author.address.domain().as_str() == "approved.example" {
            let text = String::from_utf8_lossy(&raw);
            let fields: Vec<_> = unfolded(&text).into_iter().filter(|line| line.to_ascii_lowercase().starts_with("from:")).collect();
            prop_assert_eq!(fields.len(), 1, "{:?}", text);
            let same = fields[0].to_ascii_lowercase().matches("a@approved.example").count();
            prop_assert!(visible_at_signs(&fields[0]) == 1 || visible_at_signs(&fields[0]) == same, "{:?}", text);
        }
    }
}

/// The fields of the header block, which an empty line ends whatever its line end.
fn unfolded(text: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        match fields.last_mut() {
            _ if line.is_empty() => break,
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    fields
}
