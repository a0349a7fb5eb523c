//! Persons and machines: what the mails of `fixtures/mail` are decided at one fixed site, how many persons are taken for
//! machines (none), and that the worst of them ends in a decision of the whole daemon, its bytes kept as they came.

use std::{fs, path::Path};

use bytes::Bytes;
use serde::Deserialize;
use vestibule::{
    config::Config,
    intake::{Question, explain},
    mail::{self, Arrival, Nature},
    types::{Account, AccountKind, AccountStatus, Role},
};

use crate::daemon::{Daemon, START, Smtp};

/// The site of the fixtures. Every sender is proven.
const SITE: &str = r#"
hostname = "mx.desk.example"
[smtp]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8025"
admin_token = "a-token-for-tests-only"
[store]
path = "data"
min_free = 0
[mail]
relay = "file:outbound"
from = "Example Help <help@desk.example>"
[authentication]
mode = "off"
[access.internal]
use_approved_domains = true
approved_domains = ["approved.example"]
[access.external]
allow_portal_only_accounts = true
only_allowed_domains = true
allowed_domains = ["partner.example"]
[access.portal]
account_creation = "allow"
[[projects]]
key = "IT"
name = "IT support"
addresses = ["it@desk.example"]
access = "anyone"
via_lists = ["it-all.partner.example"]
allow_automatic_from = ["*.monitoring.example", "alerts@partner.example"]
"#;

/// Its accounts: an employee, a partner, a partner who is kept out, a machine.
const ACCOUNTS: [(&str, AccountKind, AccountStatus); 4] = [
    ("kim@approved.example", AccountKind::Internal, AccountStatus::Active),
    ("rosa@partner.example", AccountKind::PortalOnly, AccountStatus::Active),
    ("left@partner.example", AccountKind::PortalOnly, AccountStatus::Deactivated),
    ("nagios@ops.monitoring.example", AccountKind::PortalOnly, AccountStatus::Active),
];

fn site() -> Config {
    let folder = tempfile::tempdir().unwrap();
    crate::daemon::load(folder.path(), SITE)
}

fn accounts() -> Vec<Account> {
    let account = |(address, kind, status): (&str, _, _)| Account {
        address: address.parse().unwrap(),
        name: None,
        kind,
        status,
        role: Role::Customer,
        projects: Vec::new(),
        created_at: START,
        confirmed_at: None,
    };
    ACCOUNTS.into_iter().map(account).collect()
}

/// What is decided about a mail at this site, as `OUTCOME REASON`, with its trail. `reverse_path` is the envelope's, where
/// the fixture has one.
pub(crate) fn decision(raw: &[u8], reverse_path: Option<&str>) -> (String, Vec<vestibule::access::Check>) {
    let mut whole =
        reverse_path.map_or_else(Vec::new, |path| format!("Return-Path: <{path}>\r\n").into_bytes());
    whole.extend_from_slice(raw);
    let question =
        Question { raw: Bytes::from(whole), rcpts: vec!["it@desk.example".to_owned()], client: None };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let explained = runtime.block_on(explain(&site(), None, &accounts(), &question)).unwrap();
    let [explained] = <[_; 1]>::try_from(explained).unwrap_or_else(|_| panic!("one project, one decision"));
    (format!("{} {}", explained.outcome.as_str(), explained.reason.as_str()), explained.trail)
}

/// What of a fixture's expectation is of use here; `mail` reads all of it.
#[derive(Deserialize)]
struct Expected {
    refused: Option<String>,
    reverse_path: Option<String>,
    #[serde(default)]
    via_lists: Vec<String>,
    #[serde(default)]
    nature: String,
    decision: Option<String>,
}

struct Fixture {
    name: String,
    raw: Vec<u8>,
    expected: Expected,
}

fn fixtures(prefix: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
    paths.sort();
    let read = |path: &Path| Fixture {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        raw: fs::read(path).unwrap(),
        expected: serde_json::from_slice(&fs::read(path.with_extension("expected.json")).unwrap()).unwrap(),
    };
    let all = paths.iter().map(|path| read(path));
    all.filter(|fixture| fixture.name.starts_with(prefix) && fixture.expected.refused.is_none()).collect()
}

/// Class m- is what machines write; those that nothing marks are taken for persons, as nothing can tell.
/// `cargo test --test it nature -- --nocapture` prints the counts.
#[test]
fn no_person_is_taken_for_a_machine_and_every_marked_machine_is_found() {
    let (mut persons, mut weak, mut machines, mut unmarked) = (0, 0, 0, 0);
    let (mut taken, mut missed) = (Vec::new(), Vec::new());
    for fixture in fixtures("") {
        let expected = &fixture.expected;
        let reverse_path = expected.reverse_path.as_deref().unwrap_or("sender@relay.example");
        let arrival = Arrival { reverse_path, via_lists: &expected.via_lists, minted: false };
        let found = mail::read(&fixture.raw).nature(&arrival);
        let is_machine = !matches!(found, Nature::Person { .. });
        let expected = expected.nature.split(' ').next().unwrap_or_default();
        if !matches!(expected, "person" | "weak") {
            machines += 1;
            missed.extend((!is_machine).then_some(fixture.name));
        } else if fixture.name.starts_with("m-") {
            unmarked += 1;
        } else {
            persons += 1;
            weak += usize::from(found != Nature::PERSON);
            taken.extend(is_machine.then_some(fixture.name));
        }
    }
    println!("{persons} mails of persons ({weak} with a weak sign): {} taken for machines", taken.len());
    println!("{machines} marked mails of machines: {} found; {unmarked} unmarked", machines - missed.len());
    assert!(persons >= 150 && machines >= 45, "{persons} {machines}");
    assert_eq!((taken, missed), (Vec::new(), Vec::new()));
}

/// Of the classes c-, l-, m- and d- each mail has a decision; the counts are those that the project promises.
#[test]
fn the_classes_of_fixtures_are_whole() {
    for (class, least) in [("c-", 35), ("l-", 30), ("m-", 35), ("d-", 25)] {
        let class_of = fixtures(class);
        assert!(class_of.len() >= least, "{class}: {}", class_of.len());
        for fixture in class_of {
            assert!(fixture.expected.decision.is_some(), "{} has no expected decision", fixture.name);
        }
    }
}

/// Nothing is unprocessable: each defective mail is answered 250 and decided once, for the reason that was expected, and what
/// is kept of it comes out as the bytes that came in.
#[tokio::test]
async fn every_defective_mail_ends_in_one_decision() {
    let daemon = Daemon::with(SITE).await;
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    let defects = fixtures("d-");
    for fixture in &defects {
        let reply = smtp.bdat("sender@relay.example", "it@desk.example", &fixture.raw).await;
        assert!(reply.starts_with("250 2.0.0"), "{}: {reply}", fixture.name);
    }
    let mut lines = daemon.log.events("mail.decided");
    lines.retain(|line| line["basis"].is_null());
    assert_eq!(lines.len(), defects.len());
    let mut kept = 0;
    for (fixture, line) in defects.iter().zip(&lines) {
        let told = format!("{} {}", line["outcome"].as_str().unwrap(), line["reason"].as_str().unwrap());
        // The daemon starts without accounts, and makes the partners' as their mails come.
        let partner = |text: &str| text.replace("new-portal-only-customer", "known-customer");
        let expected = fixture.expected.decision.as_deref().unwrap();
        assert_eq!(partner(&told), partner(expected), "{}", fixture.name);
        if let Some(request) = line["request"].as_str() {
            let raw = daemon.bytes(&format!("/api/v1/requests/{request}/raw")).await;
            assert_eq!(raw, fixture.raw, "{}", fixture.name);
            // Replayed, it goes the same way, up to where it is known.
            let reply = smtp.bdat("sender@relay.example", "it@desk.example", &raw).await;
            assert!(reply.starts_with("250 2.0.0"), "{}: {reply}", fixture.name);
            let again = daemon.log.events("mail.decided");
            assert_eq!(again.last().unwrap()["reason"], "duplicate", "{}", fixture.name);
            kept += 1;
        }
    }
    assert!(kept >= 12, "{kept}");
    daemon.stop().await;
}
