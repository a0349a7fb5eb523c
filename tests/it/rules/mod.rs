//! Sentences of access-rules.md and of the contract that need a whole daemon to be true.

mod checks;
mod ends;
mod links;
mod outside;
mod replies;

use std::time::Duration;

use serde_json::Value;

use crate::daemon::Daemon;

const ADA: &str = "ada@approved.example";
const BOB: &str = "bob@partner.example";
const IT: &[&str] = &["it@help.example.com"];
const HR: &[&str] = &["hr@help.example.com"];
const BOTH: &[&str] = &["it@help.example.com", "hr@help.example.com"];
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Project and reason of each decision at intake, in order.
fn decided(daemon: &Daemon) -> Vec<(String, String)> {
    let mut lines = daemon.log.events("mail.decided");
    lines.retain(|line| line["basis"].is_null());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines.iter().map(|line| (text(&line["project"]), text(&line["reason"]))).collect()
}

fn reasons(daemon: &Daemon) -> Vec<String> {
    decided(daemon).into_iter().map(|(_, reason)| reason).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(project, reason)| ((*project).to_owned(), (*reason).to_owned())).collect()
}

async fn items(daemon: &Daemon, path: &str) -> Vec<Value> {
    let (status, list) = daemon.api("GET", path, None).await;
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().clone()
}

async fn held_ids(daemon: &Daemon) -> Vec<String> {
    let held = items(daemon, "/api/v1/held?order=oldest").await;
    held.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}
