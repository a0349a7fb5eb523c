//! `fixtures/config`: each `bad-*.toml` with every mistake as people see it, each `good-*.toml` with its warnings.
//! `UPDATE_GOLDEN=1` rewrites what is expected, and the example file in `deploy/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use vestibule::config::{Config, ConfigErrors, example, load, parse};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fixtures whose names begin with `prefix`, in order.
fn fixtures(prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/config")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(prefix) && name.ends_with(".toml")
    });
    found.sort();
    found
}

/// Parses a fixture under its bare name, so that no path of this machine is in the messages.
fn parse_fixture(path: &Path) -> Result<Config, ConfigErrors> {
    let read_file = |file: &Path| match file.to_str() {
        Some("token") => Ok("0123456789abcdef0123456789abcdef\n".to_owned()),
        Some("short-token") => Ok("secret\n".to_owned()),
        _ => Err(io::Error::other("no such file")),
    };
    parse(&fs::read_to_string(path).unwrap(), Path::new(path.file_name().unwrap()), &read_file)
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
        let warnings: String = config.warnings.iter().map(|warning| format!("{warning}\n")).collect();
        golden(&path.with_extension("expected-warnings"), &warnings);
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
    let started = std::time::Instant::now();
    let config = parse(&text, Path::new("long.toml"), &|_| Err(io::Error::other("none"))).unwrap();
    eprintln!("100,000 entries in {:?}", started.elapsed());
    let approved = &config.access.internal.approved_domains;
    assert_eq!(approved.len(), 100_000);
    assert!(approved.contains(&"d99999.example.com".parse().unwrap()));
    assert!(!approved.contains(&"d100000.example.com".parse().unwrap()));
    assert!(config.effective().len() < 4096);
}
