//! All fixture mails through async-smtp into the built binary: what is answered 250 is there, byte for byte.

use std::{fs, path::Path};

use crate::binary::{Served, stdout, vestibule};

fn fixtures(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)
}

fn items(list: &serde_json::Value) -> &Vec<serde_json::Value> {
    list["items"].as_array().unwrap()
}

#[test]
fn every_fixture_is_answered_and_every_mail_taken_is_decided_once() {
    let served = Served::start();
    let folders: Vec<_> =
        ["demo", "mail"].map(fixtures).into_iter().filter(|folder| folder.exists()).collect();
    let paths: Vec<&Path> = folders.iter().map(std::path::PathBuf::as_path).collect();
    let envelope =
        ["--rcpt", "it@help.example.com", "--mail-from", "relay@sender.example", "--connections", "4"];
    let mut results = served.replay(&paths, &envelope);
    let summary = results.pop().unwrap()["summary"].clone();
    assert!(results.len() >= 10, "only {} mails were found", results.len());
    assert_eq!(summary["mails"], results.len());

    // A fixture that SMTP can't carry is said, and never reached the server.
    for failed in results.iter().filter(|result| result["status"] == "failed") {
        assert!(failed["error"].as_str().unwrap().contains("RFC 5321"), "{failed}");
    }
    let accepted = results.iter().filter(|result| result["status"] == "accepted").count();
    assert!(accepted >= 10, "only {accepted} were taken");
    let decided = served.json(&["decisions", "list", "--all"]);
    assert_eq!(items(&decided).len(), accepted, "one decision a mail");
    served.stop();
}

#[test]
fn requests_hold_the_mails_byte_for_byte() {
    let served = Served::start();
    served.replay(&[&fixtures("demo")], &["--mail-from", "relay@sender.example"]);
    let requests = served.json(&["requests", "list", "--all"]);
    assert!(items(&requests).len() >= 3, "{requests}");
    let originals: Vec<Vec<u8>> = fs::read_dir(fixtures("demo"))
        .unwrap()
        .map(|entry| {
            String::from_utf8(fs::read(entry.unwrap().path()).unwrap()).unwrap().replace('\n', "\r\n").into()
        })
        .collect();
    for request in items(&requests) {
        let raw = served.ask(&["requests", "raw", request["id"].as_str().unwrap()]).stdout;
        // What we write in front is our Received field.
        let whole = originals.iter().any(|original| raw.ends_with(original));
        assert!(whole, "{request}: {}", String::from_utf8_lossy(&raw));
    }
    served.stop();
}

#[test]
fn mbox_files_maildirs_and_dots_arrive_unchanged() {
    let served = Served::start();
    let folder = served.folder.path().join("archive");
    for part in ["box/new", "box/cur", "box/tmp"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let mail = |subject: &str, body: &str| {
        format!(
            "From: a@partner.example\nTo: it@help.example.com\nSubject: {subject}\nMessage-ID: <{subject}@x>\n\n{body}"
        )
    };
    let quoted = mail("one", "hello\n>From here\n.\n..\n.dot\n");
    fs::write(
        folder.join("old.mbox"),
        format!("From a@x Sat\n{quoted}\nFrom b@x Sat\n{}", mail("two", "bye\n")),
    )
    .unwrap();
    fs::write(folder.join("box/cur/1:2,S"), mail("three", ".\nQUIT\n")).unwrap();
    let results = served.replay(&[&folder], &[]);
    assert_eq!(results.last().unwrap()["summary"]["accepted"], 3, "{results:?}");

    let requests = served.json(&["requests", "list"]);
    for (subject, body) in
        [("one", "hello\nFrom here\n.\n..\n.dot\n"), ("two", "bye\n"), ("three", ".\nQUIT\n")]
    {
        let request = items(&requests).iter().find(|request| request["subject"] == subject).unwrap();
        let raw = served.ask(&["requests", "raw", request["id"].as_str().unwrap()]).stdout;
        let expected = mail(subject, body).replace('\n', "\r\n");
        assert!(raw.ends_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&raw));
    }
    served.stop();
}

#[test]
fn what_is_refused_is_told_and_ends_with_1() {
    let served = Served::start();
    let path = served.folder.path().join("mail.eml");
    fs::write(&path, "From: a@partner.example\nTo: it@help.example.com, nobody@help.example.com\n\nhello\n")
        .unwrap();
    let output = vestibule(&["replay", "--to", &served.smtp, path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let shown = stdout(&output);
    assert!(shown.contains("to nobody@help.example.com: 550 5.1.1"), "{shown}");
    assert!(shown.contains("1 mail: 0 accepted, 1 refused, 0 failed"), "{shown}");
    assert_eq!(items(&served.json(&["requests", "list"])).len(), 1, "the other recipient got it");

    fs::write(&path, "From: a@partner.example\r\nTo: it@help.example.com\r\n\r\nbare\nline\r\n").unwrap();
    let output = vestibule(&["replay", "--to", &served.smtp, path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("line 4 has a bare LF"), "{}", stdout(&output));
    served.stop();
}
