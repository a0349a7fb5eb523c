//! `fixtures/config`: each `bad-*.toml` with every mistake as people see it, each `good-*.toml` with its warnings.
//! `UPDATE_GOLDEN=1` rewrites what is expected, and the example file in `deploy/`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the failure")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use vestibule::config::{Config, ConfigErrors, Relay, example, load, parse};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fixtures whose names begin with `prefix`, in order.
fn fixtures(prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/config")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(prefix) && path.extension().is_some_and(|extension| extension == "toml")
    });
    found.sort();
    found
}

/// A certificate and its key, as PEM.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["help.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// Parses a fixture under its bare name, so that no path of this machine is in the messages.
fn parse_fixture(path: &Path) -> Result<Config, ConfigErrors> {
    let read_file = |file: &Path| match file.to_str() {
        Some("token") => Ok("0123456789abcdef0123456789abcdef\n".to_owned()),
        Some("short-token") => Ok("secret\n".to_owned()),
        Some("empty-token") => Ok("\n".to_owned()),
        Some("certificate.pem") => Ok(PAIR.0.clone()),
        Some("key.pem") => Ok(PAIR.1.clone()),
        Some("other-key.pem") => Ok(rcgen::KeyPair::generate().unwrap().serialize_pem()),
        Some("garbage.pem") => {
            Ok("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned())
        }
        Some("garbage-key.pem") => {
            Ok("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned())
        }
        Some("binary.der") => Err(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")),
        Some(name)
            if name.starts_with("good-templates")
                || name.starts_with("bad-templates/")
                || name == "bad-templates" =>
        {
            template(name)
        }
        _ => Err(io::Error::other("no such file")),
    };
    parse(&fs::read_to_string(path).unwrap(), Path::new(path.file_name().unwrap()), &read_file)
}

/// Folders of templates: one with a whole language, and one with every mistake.
fn template(name: &str) -> io::Result<String> {
    let kinds = ["verification", "acknowledgement", "acknowledgement-last", "confirmation"];
    let all = "{{ link }} {{ until }} {{ project }} {{ received }}";
    match name {
        "good-templates" => {
            let names = kinds.iter().flat_map(|kind| [format!("{kind}.nl.txt"), format!("{kind}.nl.html")]);
            Ok(names.chain(["README".to_owned(), ".x.txt".to_owned()]).collect::<Vec<_>>().join("\n"))
        }
        "bad-templates" => Ok([
            "verification.en.txt\nverification.en.html\nacknowledgement.de.txt\nacknowledgement.de.html",
            "verfication.fr.txt\nconfirmation.fr.txt\nacknowledgement-last.fr.txt\nacknowledgement-last.fr.html",
        ]
        .join("\n")),
        "bad-templates/verification.en.txt" => Ok(format!("Hello,\n{all}\n{{{{ subject }}}}\n")),
        "bad-templates/verification.en.html" => Ok("<p>\n<img src=\"https://x\">{{ project }}".to_owned()),
        "bad-templates/acknowledgement.de.txt" => Ok("Hallo {{ request }}\n".to_owned()),
        "bad-templates/acknowledgement.de.html" => Ok("x".repeat(70_000)),
        "bad-templates/acknowledgement-last.fr.txt" => Err(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")),
        "bad-templates/acknowledgement-last.fr.html" => Ok("{{ request }}{% if contact %}\n".to_owned()),
        name if name.contains("/acknowledgement") => Ok("Subject: x\n\n{{ request }}\n".to_owned()),
        _ => Ok(format!("Subject: x\n\n{all}\n")),
    }
}

/// Compares with the golden file, or rewrites it.
fn golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

#[test]
fn every_mistake_has_its_message() {
    let bad = fixtures("bad-");
    assert!(bad.len() >= 40, "only {} bad fixtures", bad.len());
    for path in bad {
        if path.ends_with("bad-otlp-not-built.toml") && cfg!(feature = "otlp") {
            continue;
        }
        let Err(errors) = parse_fixture(&path) else { panic!("{} was taken", path.display()) };
        assert_eq!(errors.to_string().lines().count(), errors.mistakes().len(), "{}", path.display());
        golden(&path.with_extension("expected-error"), &format!("{}\n{errors}\n", errors.render(false)));
    }
}

#[test]
fn good_files_have_their_warnings() {
    let good = fixtures("good-");
    assert!(good.len() >= 6, "only {} good fixtures", good.len());
    for path in good {
        let config = parse_fixture(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        golden(&path.with_extension("expected-warnings"), &(config.warnings.join("\n") + "\n"));
    }
}

#[test]
fn many_mistakes_are_told_together() {
    let errors = parse_fixture(&root().join("fixtures/config/bad-many.toml")).unwrap_err();
    assert!(errors.mistakes().len() >= 12, "{errors}");
}

#[test]
fn the_example_file_is_current() {
    let path = root().join("deploy/vestibule.example.toml");
    golden(&path, &example());
    let config = load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert_eq!(config.store.path, root().join("deploy/data"));
}

/// The file with the defaults written out means the same as the file that leaves them out.
#[test]
fn the_defaults_of_the_example_file_are_the_defaults() {
    let silent = example();
    let written: Vec<String> = silent.lines().map(uncommented).collect();
    let written = written.join("\n");
    assert_ne!(written, silent.trim_end());
    let parsed = |text: &str| {
        let result = parse(text, Path::new("example.toml"), &|_| Err(io::Error::other("none")));
        result.unwrap_or_else(|errors| panic!("{}", errors.render(false)))
    };
    assert_eq!(parsed(&written).effective(), parsed(&silent).effective());
}

/// `#key = value` without its `#`, unless it says that the key is unset by default.
fn uncommented(line: &str) -> String {
    let key = line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    key.filter(|rest| !rest.ends_with("unset by default")).unwrap_or(line).to_owned()
}

#[test]
fn a_report_hides_secrets() {
    let text =
        "[http]\nadmin_token = \"hunter2\"\n[mail]\nrelay = \"smtps://user:hunter2@relay_one.example\"\n";
    let errors = parse(text, Path::new("v.toml"), &|_| Err(io::Error::other("none"))).unwrap_err();
    for shown in [errors.render(false), errors.render(true), errors.to_string(), format!("{errors:?}")] {
        assert!(shown.contains("relay") && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let base = fs::read_to_string(root().join("fixtures/config/good-units.toml")).unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let read_file = |file: &Path| {
        asked.borrow_mut().push(file.to_owned());
        Ok("0123456789abcdef".to_owned())
    };
    let text = base.replace("/var/lib/vestibule", "data");
    let config = parse(&text, Path::new("/etc/vestibule/vestibule.toml"), &read_file).unwrap();
    assert_eq!(asked.into_inner(), [Path::new("/etc/vestibule/token")]);
    assert_eq!(config.store.path, Path::new("/etc/vestibule/data"));
    assert_eq!(config.mail.relay, Relay::Directory("/etc/vestibule/outbound".into()));
}

#[test]
fn what_is_written_is_what_it_means() {
    let config = parse_fixture(&root().join("fixtures/config/good-units.toml")).unwrap();
    assert_eq!(config.smtp.max_message_size, 10 * 1024 * 1024);
    assert_eq!(config.smtp.memory_budget, 1 << 30);
    assert_eq!(config.store.min_free, 500_000_000);
    assert_eq!(config.store.duplicate_window, Duration::from_hours(7 * 24));
    assert_eq!(config.verification.link_lifetime, Duration::from_hours(36));
    assert_eq!(config.verification.hold_for, Duration::from_hours(9 * 24));
    assert_eq!(config.verification.resend_after, Duration::from_mins(30));
    assert_eq!(config.smtp.per_peer_per_minute.map(u32::from), Some(600));
    assert_eq!(config.projects[0].via_lists, ["it-group.example.com", "all-it.example.com"]);
    let machines = &config.projects[0].allow_automatic_from;
    for (address, allowed) in [
        ("x@ops.monitoring.example", true),
        ("x@monitoring.example", false),
        ("Scanner@example.com", true),
        ("x@example.com", false),
    ] {
        assert_eq!(machines.contains(&address.parse().unwrap()), allowed, "{address}");
    }
    assert_eq!(config.mail.from.name.as_deref(), Some("Help, Desk"));
    let never = |address: &str| !config.verification.may_mail(&address.parse().unwrap());
    assert!(never("CEO@example.com") && never("a@example.net") && never("a@b.example.org"));
    assert!(!never("cto@example.com") && !never("a@example.org") && !never("a@b.example.net"));
    let own = |address: &str| config.is_own_address(&address.parse().unwrap());
    assert!(own("help@example.com") && own("it@help.example.com") && own("anyone@hr.example.com"));
    assert!(own("bücher@xn--bcher-kva.example") && !own("it+x@help.example.com"), "no details with \"\"");
}

fn good(name: &str) -> Config {
    let path = root().join("fixtures/config").join(name);
    parse_fixture(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// The example of the contract, but for the keys that are not yet built.
#[test]
fn the_published_example_means_what_it_says() {
    let config = good("good-contract.toml");
    assert_eq!(config.smtp.max_message_size, 36 << 20);
    assert_eq!(config.smtp.memory_budget, 256 << 20);
    assert_eq!(config.store.duplicate_window, Duration::from_hours(7 * 24));
    assert_eq!(config.verification.hold_for, Duration::from_hours(30 * 24));
    assert_eq!(config.verification.contact.as_deref(), Some("Service desk, 4711"));
    assert!(config.access.internal.approved_domains.contains(&"example.com".parse().unwrap()));
    assert!(config.http.admin_listen.is_some() && config.http.admin_token.is_some());
    assert_eq!(config.projects[0].addresses, ["it@help.example.com"]);
}

#[test]
fn a_project_without_a_name_is_called_by_its_key() {
    let config = good("good-project-without-name.toml");
    assert_eq!(config.projects[0].name, "IT");
}

#[test]
fn our_mail_may_come_from_an_inbox_and_is_still_ours() {
    let config = good("good-from-inbox.toml");
    let own = |address: &str| config.is_own_address(&address.parse().unwrap());
    assert!(own(&config.mail.from.address.to_string()));
    assert!(own("it@help.example.com") && own("It+other@help.example.com") && !own("hr@help.example.com"));
}

#[test]
fn links_begin_with_the_public_url_without_its_last_slash() {
    for (name, url) in [
        ("good-public-url-loopback.toml", "http://localhost:8025"),
        ("good-public-url-loopback-ipv4.toml", "http://127.8.9.10:8025"),
        ("good-public-url-loopback-ipv6.toml", "http://[::1]:8025"),
        ("good-public-url-prefix.toml", "https://help.example.com/help"),
    ] {
        assert_eq!(good(name).http.public_url, url, "{name}");
    }
}

#[test]
fn zero_switches_spacing_and_the_search_for_copies_off() {
    let config = good("good-durations-shortest.toml");
    assert!(config.store.duplicate_window.is_zero() && config.verification.resend_after.is_zero());
    assert_eq!(config.verification.link_lifetime, Duration::from_secs(1));
    assert_eq!(config.verification.hold_for, Duration::from_secs(2));
    let shown = config.effective();
    assert!(
        shown.contains("\"duplicate_window\":\"0s\"") && shown.contains("\"hold_for\":\"2s\""),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let errors = load(Path::new("/nonexistent/vestibule.toml")).unwrap_err();
    assert!(
        errors.to_string().contains("/nonexistent/vestibule.toml: the configuration can't be read"),
        "{errors}"
    );
    assert!(errors.render(false).contains("--config FILE"));
}

#[test]
fn secrets_never_show() {
    let path = root().join("fixtures/config/good-secrets.toml");
    let config = parse_fixture(&path).unwrap();
    for text in [config.effective(), format!("{config:?}"), config.warnings.join("\n")] {
        assert!(!text.contains("hunter2") && !text.contains("0123456789abcdef"), "{text}");
    }
    assert!(config.effective().contains("smtp+starttls://post@man:***@relay.example.com:587"));
    let text = fs::read_to_string(&path).unwrap();
    let other = text.replace("hunter2", "hunter3");
    assert_ne!(text, other);
    let read = |_: &Path| Ok("another token of some length".to_owned());
    let other = parse(&other, Path::new("good-secrets.toml"), &read).unwrap();
    assert_eq!(other.version, config.version, "secrets are no part of the version");
}

/// Whoever reads the log learns whose tokens there are, and nothing by which one could be guessed.
#[test]
fn named_tokens_show_their_names_and_roles_alone() {
    let config = good("good-http-tokens.toml");
    let shown = [config.effective(), format!("{config:?}")];
    for text in &shown {
        for part in ["hunter2", "0123456789abcdef", "f3847f837a4e"] {
            assert!(!text.to_lowercase().contains(part), "{part}: {text}");
        }
    }
    let told: Vec<_> =
        config.http.tokens.iter().map(|token| (token.name.as_str(), token.role.as_str())).collect();
    assert_eq!(told, [("admin", "admin"), ("anna", "help-desk"), ("grafana", "read")]);
    assert!(shown[0].contains(r#"{"name":"anna","role":"help-desk","token":"***"}"#), "{}", shown[0]);
}

#[test]
fn the_version_tells_settings_apart() {
    let base = fs::read_to_string(root().join("fixtures/config/good-minimal.toml")).unwrap();
    let version =
        |text: &str| parse(text, Path::new("v.toml"), &|_| Err(io::Error::other("none"))).unwrap().version;
    let first = version(&base);
    assert!(first.len() == 16 && first.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(version(&format!("# a comment\n{base}")), first);
    assert_ne!(version(&base.replace("IT support", "Support")), first);
    assert_ne!(version(&format!("{base}\n[smtp]\nmax_recipients = 99\n")), first);
    assert_eq!(version(&format!("{base}\n[smtp]\nmax_recipients = 100\n")), first);
}

#[test]
fn a_long_list_is_looked_up_and_logged_short() {
    let base = fs::read_to_string(root().join("fixtures/config/good-minimal.toml")).unwrap();
    let entries: Vec<String> = (0..100_000).map(|n| format!("\"d{n}.example.com\"")).collect();
    let text = format!("{base}\n[access.internal]\napproved_domains = [{}]\n", entries.join(",\n"));
    let config = parse(&text, Path::new("long.toml"), &|_| Err(io::Error::other("none"))).unwrap();
    let approved = &config.access.internal.approved_domains;
    assert_eq!(approved.len(), 100_000);
    assert!(approved.contains(&"d99999.example.com".parse().unwrap()));
    assert!(!approved.contains(&"d100000.example.com".parse().unwrap()));
    assert!(config.effective().len() < 4096);
}
