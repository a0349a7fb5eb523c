//! What the documentation lists is what there is: an operator who finds a name in a log finds it there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vestibule::{access::Reason, mail::NATURE_ROWS, ops::Metrics};

const DECISIONS: &str = include_str!("../../docs/decisions.md");
const MAIL: &str = include_str!("../../docs/mail.md");
const LOG: &str = include_str!("../../docs/log.md");
const METRICS: &str = include_str!("../../src/ops/metrics.rs");
/// Every file that writes events.
const EVENTS: [&str; 2] = [include_str!("../../src/ops/events.rs"), include_str!("../../src/ops/panics.rs")];

#[test]
fn every_reason_is_listed_in_the_words_of_the_command_line() {
    for reason in Reason::ALL {
        let row = format!("| {} | `{}` | {} |", reason.outcome().as_str(), reason.as_str(), reason.meaning());
        assert!(DECISIONS.lines().any(|line| line == row), "docs/decisions.md lacks {row:?}");
    }
    let is_row = |line: &&str| ["| create |", "| hold |", "| drop |"].iter().any(|row| line.starts_with(row));
    assert_eq!(
        DECISIONS.lines().filter(is_row).count(),
        Reason::ALL.len(),
        "docs/decisions.md has one that is not there"
    );
}

#[test]
fn every_sign_of_a_machine_is_listed_in_order_and_no_other() {
    let row = |row: &vestibule::mail::NatureRow| {
        let lifted = if row.of_lists { "yes" } else { "no" };
        format!("| `{}` | {} | {lifted} | {} |", row.name, row.kind.as_str(), row.source)
    };
    let rows: Vec<_> = NATURE_ROWS.iter().map(row).collect();
    let listed: Vec<_> =
        MAIL.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 3).collect();
    assert_eq!(listed, rows);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, ARCHITECTURE.md and the pages for operators.
fn pages() -> Vec<PathBuf> {
    let folder = |name: &str| fs::read_dir(root().join(name)).unwrap().map(|entry| entry.unwrap().path());
    let named = ["README.md", "ARCHITECTURE.md"].map(|name| root().join(name));
    let files = named.into_iter().chain(folder("docs")).chain(folder("deploy"));
    files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}

/// Files and folders that are named in backticks, from the root of the repository.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let roots = ["src/", "tests/", "fixtures/", "deploy/", "docs/"];
    let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_whitespace().next());
    quoted.filter(move |path| roots.iter().any(|root| path.starts_with(root)) && !path.contains(['{', '*']))
}

/// Where links lead, from the folder of the page.
fn linked(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

#[test]
fn every_path_that_a_document_names_is_there() {
    let (mut names, mut links) = (0, 0);
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        // Fences are no quotation.
        let prose = text.split("```").step_by(2).collect::<String>();
        for path in named(&prose) {
            names += 1;
            assert!(root().join(path).exists(), "{}: {path} is named, but not there", page.display());
        }
        for link in linked(&prose) {
            links += 1;
            let there = page.parent().unwrap().join(link).exists();
            assert!(there, "{}: a link leads to {link}, which is not there", page.display());
        }
    }
    assert!(names > 40 && links > 40, "{names} names and {links} links");
}

/// The example file is the print-out of the table of keys.
#[test]
fn every_key_that_waits_for_a_start_is_listed_and_no_other() {
    let (mut table, mut waits, mut waiting) = (String::new(), false, Vec::new());
    for line in vestibule::config::example().lines() {
        let key = line.trim_start_matches('#').split_once(" = ").map(|(key, _)| key);
        match (line, key) {
            ("# A change takes effect at the next start.", _) => waits = true,
            (_, Some(key)) if std::mem::take(&mut waits) => waiting.push(format!("- `{table}.{key}`")),
            _ => {}
        }
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
        }
    }
    assert!(waiting.len() >= 4, "{waiting:?}");
    let listed: Vec<_> =
        include_str!("../../docs/install.md").lines().filter(|line| line.starts_with("- `")).collect();
    assert_eq!(listed, waiting);
}

/// `"room.happened"`, as the events write themselves.
fn events() -> Vec<&'static str> {
    let is_event = |text: &&str| {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        text.split_once('.').is_some_and(|(room, happened)| word(room) && word(happened))
    };
    let mut events: Vec<_> =
        EVENTS.iter().flat_map(|file| file.split('"').skip(1).step_by(2)).filter(is_event).collect();
    events.sort_unstable();
    events.dedup();
    events
}

#[test]
fn every_event_is_listed_and_no_other() {
    let events = events();
    assert!(events.len() > 20 && events.contains(&"mail.decided"), "{events:?}");
    let mut listed: Vec<_> =
        LOG.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|row| row.0).collect();
    listed.retain(|name| name.contains('.'));
    listed.sort_unstable();
    assert_eq!(listed, events);
}

/// The second argument of each line of the `metrics!` table: a counter with labels is not in the text before it counts.
fn metrics() -> Vec<String> {
    let table = METRICS.split_once("\nmetrics! {").and_then(|(_, rest)| rest.split_once("\n}")).unwrap().0;
    let names = table.lines().filter_map(|line| line.split('"').nth(1));
    let mut names: Vec<_> = names.map(|name| format!("vestibule_{name}")).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_metric_is_listed_and_no_other() {
    let metrics = metrics();
    let text = Metrics::new().render();
    let shown = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    assert!(metrics.len() > 20);
    for name in shown {
        assert!(metrics.iter().any(|metric| metric == name), "{name} was not found in the source");
    }
    let mut listed: Vec<_> =
        LOG.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|row| row.0).collect();
    listed.retain(|name| name.starts_with("vestibule_"));
    listed.sort_unstable();
    let listed: Vec<_> = listed.iter().map(|name| name.trim_end_matches("_total")).collect();
    assert_eq!(listed, metrics);
}

/// `vestibule_…` wherever a query of the dashboard or an alert names one, without what a histogram or counter adds.
fn named_metrics(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let places = text.match_indices("vestibule_").map(|(at, _)| &text[at..]);
    let names = places.map(|rest| &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]);
    let mut names: Vec<_> =
        names.map(|name| name.trim_end_matches("_total").trim_end_matches("_bucket")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let metrics = metrics();
    let dashboard = include_str!("../../deploy/grafana/vestibule.json");
    let alerts = include_str!("../../deploy/prometheus/alerts.yml");
    for (file, least, text) in [("dashboard", 25, dashboard), ("alerts", 10, alerts)] {
        let named = named_metrics(text);
        assert!(named.len() >= least, "{file}: {named:?}");
        for name in named {
            assert!(metrics.iter().any(|metric| metric == name), "{file}: there is no metric {name}");
        }
    }
    let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let asks =
        |panel: &serde_json::Value| panel["targets"][0]["expr"].as_str().is_some_and(|e| !e.is_empty());
    assert!(panels.len() > 20 && panels.iter().all(asks));
    // All that is exported stands on the dashboard.
    let shown = named_metrics(dashboard);
    let missing: Vec<_> = metrics.iter().filter(|metric| !shown.contains(&metric.as_str())).collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
}
