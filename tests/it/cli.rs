//! The built binary's commands: what they print, and how they end.

use std::fs;

use crate::binary::{Process, Served, stderr, stdout, vestibule};
use crate::daemon::{SITE, message};

fn put(served: &Served, name: &str, text: &str) -> std::path::PathBuf {
    let path = served.folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn wrong_usage_and_wrong_configuration_end_with_2() {
    for args in [
        &["no-such-command"][..],
        &["held", "release", "not-an-id"],
        &["decisions", "list", "--reason", "domain-not-alowed"],
        &["check", "--config", "there/is/none.toml"],
        &["requests", "list"],
        &["requests", "list", "--url", "https://help.example", "--token", "t"],
        &["replay", "there/is/none.eml"],
    ] {
        let output = vestibule(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
    assert!(
        stderr(&vestibule(&["decisions", "list", "--reason", "domain-not-alowed"]))
            .contains("domain-not-allowed")
    );
    assert!(stderr(&vestibule(&["requests", "list"])).contains("--config"));
}

#[test]
fn check_tells_every_mistake_with_its_line_and_passes_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vestibule.toml");
    let config = ["check", "--config", path.to_str().unwrap()];
    fs::write(&path, SITE).unwrap();
    let output = vestibule(&config);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("valid, 2 projects"), "{}", stdout(&output));

    fs::write(&path, SITE.replace("min_free = 0", "min_fre = 0").replace("mode = \"off\"", "mode = \"of\""))
        .unwrap();
    let output = vestibule(&config);
    assert_eq!(output.status.code(), Some(2));
    let report = stderr(&output);
    for part in ["min_free", "mode", "vestibule.toml:"] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}

#[test]
fn explain_shows_the_trail_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = file("vestibule.toml", SITE);
    let mail = file("mail.eml", &message("ada@stranger.example", &["it@help.example.com"], "a question"));
    let output = vestibule(&["explain", "--config", &config, &mail]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("domain-not-allowed"), "{}", stdout(&output));

    let two = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo/08-two-senders.eml");
    let output = vestibule(&["explain", "--config", &config, "--rcpt", "it@help.example.com", two]);
    assert!(stdout(&output).contains("no-usable-sender"), "not a bounce: {}", stdout(&output));

    let accounts = file("staff.csv", "address,kind\nada@stranger.example,portal-only\n");
    let output = vestibule(&["explain", "--json", "--config", &config, "--accounts", &accounts, &mail]);
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["decisions"][0]["reason"], "known-customer", "{explained}");
    let text = fs::read_to_string(&mail).unwrap();
    let reply = file("reply.eml", &format!("In-Reply-To: <x@help.example.com>\r\n{text}"));
    let output = vestibule(&["explain", "--config", &config, "--accounts", &accounts, &reply]);
    assert!(stdout(&output).contains("not known: no store was asked"), "{}", stdout(&output));
    let output = vestibule(&["explain", "--config", &config, "--accounts", &accounts, &mail]);
    assert!(!stdout(&output).contains("not known"), "{}", stdout(&output));

    let output = vestibule(&["explain", "--config", &config, "--rcpt", "nobody@help.example.com", &mail]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("nobody@help.example.com"), "{}", stdout(&output));
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_held_mail_is_listed_explained_and_released() {
    let served = Served::start();
    let mail = message("ada@approved.example", &["it@help.example.com"], "my laptop");
    served.relay(&mail);

    let held = served.json(&["held", "list", "--sender", "ada@approved.example"]);
    let id = held["items"][0]["id"].as_str().unwrap().to_owned();
    let table = stdout(&served.ask(&["held", "list"]));
    assert!(table.starts_with("ID ") && table.contains("my laptop"), "{table}");
    let who = stdout(&served.ask(&["who", "ada@approved.example"]));
    for part in ["account: none", "waiting mails", "not answered yet", "internal-account-unverified"] {
        assert!(who.contains(part), "{part} is not in\n{who}");
    }

    let released = served.ask(&["held", "release", &id]);
    assert_eq!(stdout(&released), "released IT-1 (known-customer)\n", "{}", stderr(&released));
    let again = served.ask(&["held", "release", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("(404)"), "{}", stderr(&again));

    let mail_name = served.json(&["requests", "list"])["items"][0]["message_id"].as_str().unwrap().to_owned();
    assert!(mail_name.contains("laptop"));
    let decided = served.json(&["decisions", "list", "--sender", "ada@approved.example"]);
    let mail_id = decided["items"][0]["mail_id"].as_str().unwrap();
    let shown = served.json(&["decisions", "show", mail_id]);
    let outcomes: Vec<_> = shown["items"].as_array().unwrap().iter().map(|d| d["outcome"].clone()).collect();
    assert_eq!(outcomes, ["hold", "create"], "in the order of time");
    let raw = served.ask(&["requests", "raw", "IT-1"]);
    assert!(raw.stdout.ends_with(mail.as_bytes()), "the mail as it was received");
    let text = message("ada@approved.example", &["it@help.example.com"], "one more thing");
    served.relay(&format!("In-Reply-To: <{mail_name}>\r\n{text}"));
    let shown = stdout(&served.ask(&["requests", "show", "IT-1"]));
    for part in ["status", "comments", "author", "one more thing."] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert_eq!(stdout(&served.ask(&["requests", "close", "IT-1"])), "IT-1 is closed\n");
    assert_eq!(served.json(&["requests", "show", "IT-1"])["status"], "closed");
    assert_eq!(stdout(&served.ask(&["requests", "reopen", "IT-1"])), "IT-1 is open\n");
    assert_eq!(served.ask(&["requests", "close", "IT-2"]).status.code(), Some(1));
    served.stop();
}

#[test]
fn accounts_are_added_imported_and_kept_out() {
    let served = Served::start();
    let added =
        served.ask(&["accounts", "add", "ada@approved.example", "--kind", "internal", "--project", "IT"]);
    assert_eq!(stdout(&added), "added ada@approved.example (internal)\n", "{}", stderr(&added));
    let twice = served.ask(&["accounts", "add", "ada@approved.example", "--kind", "internal"]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(stderr(&twice).contains("(409)"), "{}", stderr(&twice));
    served.ask(&["accounts", "deactivate", "ada@approved.example"]);
    assert_eq!(served.json(&["accounts", "show", "ada@approved.example"])["status"], "deactivated");

    let csv = "address,name,kind,role,projects\nb@x.example,B,portal-only,,IT\n";
    let bad = put(
        &served,
        "bad.csv",
        &format!("{csv}ada@approved.example,,internal,,\nc@x.example,,internal,,NO\n"),
    );
    let output = served.ask(&["accounts", "import", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    for part in
        ["bad.csv:3: ada@approved.example has an account already", "bad.csv:4: there is no project NO"]
    {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert_eq!(served.json(&["accounts", "list"])["items"].as_array().unwrap().len(), 1, "all or none");

    let good = put(&served, "good.csv", csv);
    let good = good.to_str().unwrap();
    assert_eq!(
        stdout(&served.ask(&["accounts", "import", good, "--dry-run"])),
        "1 accounts can be imported\n"
    );
    assert_eq!(stdout(&served.ask(&["accounts", "import", good])), "1 accounts imported\n");
    assert_eq!(served.json(&["accounts", "list"])["items"].as_array().unwrap().len(), 2);
    served.ask(&["accounts", "delete", "b@x.example"]);
    assert_eq!(served.ask(&["accounts", "show", "b@x.example"]).status.code(), Some(1));
    served.stop();
}

#[test]
fn a_wrong_token_is_told_with_where_the_right_one_stands() {
    let served = Served::start();
    let url = format!("http://{}", served.http);
    let output = vestibule(&["held", "list", "--url", &url, "--token", "wrong"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("http.admin_token"), "{}", stderr(&output));
    served.stop();
}

#[test]
fn sighup_puts_a_good_file_in_force_and_refuses_a_bad_one() {
    let mut served = Served::start();
    let config = served.config();
    fs::write(&config, SITE.replace("[\"partner.example\"]", "[\"partner.example\", \"new.example\"]"))
        .unwrap();
    served.signal("-HUP");
    served.event("config.loaded");
    served.relay(&message("a@new.example", &["it@help.example.com"], "allowed now"));
    assert_eq!(served.event("mail.decided")["reason"], "new-portal-only-customer");

    fs::write(&config, "hostname = 1\n").unwrap();
    served.signal("-HUP");
    let refused = served.event("config.refused");
    assert!(refused["errors"].as_str().unwrap().contains("hostname"), "{refused}");
    served.relay(&message("b@new.example", &["it@help.example.com"], "still allowed"));
    assert_eq!(served.event("mail.decided")["reason"], "new-portal-only-customer");
    served.stop();
}

#[test]
fn the_demo_shows_every_outcome_and_runs_again_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    for _ in 0..2 {
        let output = vestibule(&["demo", "--once", "--dir", site.to_str().unwrap()]);
        let shown = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{shown}{}", stderr(&output));
        for (subject, reason) in [
            ("Laptop does not start", "internal-account-unverified"),
            ("Invoice portal: login fails", "new-portal-only-customer"),
            ("New certificate for the interface – until Thursday", "known-customer"),
            ("Fehlermeldung beim Drucken", "new-portal-only-customer"),
            ("Your mailbox is full", "domain-not-allowed"),
            ("Automatic reply", "automatic-message"),
            ("Please reset my password", "no-usable-sender"),
            ("Invoice portal: login fails", "duplicate"),
        ] {
            let row = shown.lines().any(|line| line.contains(subject) && line.contains(reason));
            assert!(row, "{subject}: no {reason} in\n{shown}");
        }
        assert!(shown.contains("\nreleased IT-") && shown.contains("\nreleased HR-1\n"), "{shown}");
    }
}

#[test]
fn a_demo_that_stays_up_has_its_folder_for_itself_and_says_how_to_look_around() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    let site = site.to_str().unwrap();
    let mut demo = Process::start(&["demo", "--dir", site]);
    let mut shown = String::new();
    while !shown.contains("YOUR-MAIL.eml") {
        let line = demo.line();
        assert!(!line.is_empty(), "the demo has ended: {shown}");
        shown += &line;
    }
    let second = vestibule(&["demo", "--once", "--dir", site]);
    assert_eq!(second.status.code(), Some(1), "{}", stdout(&second));
    assert!(stderr(&second).contains("running"), "{}", stderr(&second));
    // Word for word, as whoever tries it does.
    for command in shown.lines().filter(|line| line.starts_with("  ") && line.contains("--config")) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 100, "{command}: {}", stderr(&output));
    }
    demo.signal("-INT");
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn the_preview_is_written_for_every_project() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("vestibule.toml");
    fs::write(&config, SITE).unwrap();
    let out = dir.path().join("preview");
    let args =
        ["verification", "preview", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = vestibule(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (name, says) in [
        ("IT-mail.eml", "X-Vestibule-Mail: verification"),
        ("HR-mail.html", "Human resources"),
        ("HR-mail.txt", "Human resources"),
        ("IT-page-waiting.html", "3 mails for IT support"),
        ("HR-page-waiting.html", "3 mails for Human resources"),
        ("HR-page-expired.html", "Send me a new link"),
        ("IT-acknowledgement.eml", "X-Vestibule-Mail: acknowledgement"),
        ("HR-acknowledgement-last.txt", "until tomorrow"),
        ("HR-confirmation.html", "/confirm/"),
        ("announcement.txt", "no password"),
    ] {
        let text = fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(says), "{name} lacks {says:?}");
        assert!(stdout(&output).contains(name), "{name} is not listed");
    }
}

/// What the command writes is what is built in: a site that names the folder passes, and nothing is written over.
#[test]
fn the_built_in_texts_can_be_written_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let (config, texts) = (dir.path().join("vestibule.toml"), dir.path().join("texts"));
    let args = ["verification", "templates", "--out", texts.to_str().unwrap()];
    let output = vestibule(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 24);
    let again = vestibule(&args);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));

    let site = SITE.replace("[mail]\n", "[mail]\ntemplates = \"texts\"\nlanguage = \"fr\"\n");
    fs::write(&config, site).unwrap();
    let check = ["check", "--config", config.to_str().unwrap()];
    assert_eq!(vestibule(&check).status.code(), Some(0));
    fs::write(texts.join("confirmation.fr.txt"), "Subject: x\n\n{{ link }}\n").unwrap();
    let refused = vestibule(&check);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("confirmation.fr.txt:1: {{ until }} is missing"),
        "{}",
        stderr(&refused)
    );
}
