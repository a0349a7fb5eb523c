//! Care of the store, by the built binary and on a whole daemon: backup and restore, check and compaction, retention,
//! dropped mails decided again.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use vestibule::ops::time_ordered_uuid;

use crate::{
    binary::{Served, stderr, stdout, vestibule},
    daemon::{Daemon, SITE, START, TOKEN, http, message},
    support::entries,
};

const DAY: Duration = Duration::from_hours(24);

/// A request of a partner, a held mail of ours, a drop of a stranger.
fn fill(served: &Served) {
    for (sender, subject) in [
        ("bob@partner.example", "a printer"),
        ("ada@approved.example", "a laptop"),
        ("eve@stranger.example", "a prize"),
    ] {
        served.relay(&message(sender, &["it@help.example.com"], subject));
    }
}

fn config_in(folder: &Path) -> String {
    let path = folder.join("vestibule.toml");
    fs::write(&path, SITE).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_backup_of_a_running_daemon_is_restored_and_nothing_is_wrong() {
    let served = Served::start();
    fill(&served);
    let config = served.config();
    let config = config.to_str().unwrap();
    let (backup, with_secret) =
        (served.folder.path().join("backup"), served.folder.path().join("secret-too"));
    let output = served.ask(&["backup", backup.to_str().unwrap(), "--config", config]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("files"), "{}", stdout(&output));
    assert!(!backup.join("secret").exists() && !served.folder.path().join("data/snapshot").exists());
    let output = served.ask(&["backup", with_secret.to_str().unwrap(), "--with-secret", "--config", config]);
    assert!(output.status.success() && with_secret.join("secret").exists(), "{}", stderr(&output));
    let again = served.ask(&["backup", backup.to_str().unwrap(), "--config", config]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("not empty"), "{}", stderr(&again));

    // What came after it is not in it.
    served.relay(&message("bob@partner.example", &["it@help.example.com"], "too late"));
    let raw = served.json(&["requests", "show", "IT-1"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let there = config_in(elsewhere.path());
    let output = vestibule(&["restore", backup.to_str().unwrap(), "--config", &there]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("nothing is wrong"), "{}", stdout(&output));
    let again = vestibule(&["restore", backup.to_str().unwrap(), "--config", &there]);
    assert_eq!(again.status.code(), Some(1), "a store that is not empty: {}", stdout(&again));
    served.stop();

    let restored = Served::over(elsewhere);
    assert_eq!(restored.json(&["requests", "show", "IT-1"]), raw);
    assert_eq!(restored.json(&["requests", "list"])["items"].as_array().unwrap().len(), 1);
    assert_eq!(restored.json(&["held", "list"])["items"].as_array().unwrap().len(), 1);
    restored.relay(&message("bob@partner.example", &["it@help.example.com"], "one more"));
    assert_eq!(restored.json(&["requests", "list"])["items"][0]["id"], "IT-2");
    restored.stop();
}

/// As in the documentation, where the daemon is another user and the folder is that user's. Only root can try it.
#[test]
fn what_root_restores_and_cares_for_belongs_to_the_owner_of_the_folder() {
    const NOBODY: u32 = 65534;
    let elsewhere = tempfile::tempdir().unwrap();
    let (there, data) = (config_in(elsewhere.path()), elsewhere.path().join("data"));
    fs::create_dir(&data).unwrap();
    if chown(&data, Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("not tried: only root can give a folder to another user");
        return;
    }
    let served = Served::start();
    fill(&served);
    let (config, backup) = (served.config(), served.folder.path().join("backup"));
    let backup = backup.to_str().unwrap();
    let output = served.ask(&["backup", backup, "--with-secret", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    for command in [&["restore", backup][..], &["store", "check"], &["store", "compact"]] {
        let output = vestibule(&[command, &["--config", &there]].concat());
        assert!(output.status.success(), "{command:?}: {}", stderr(&output));
        let owners = entries(&data).into_iter().map(|path| (fs::metadata(&path).unwrap().uid(), path));
        let owners: Vec<_> = owners.collect();
        assert!(owners.len() > 7, "{owners:?}");
        let others: Vec<_> = owners.iter().filter(|(uid, _)| *uid != NOBODY).collect();
        assert!(others.is_empty(), "{command:?}: {others:?}");
    }
    served.stop();
}

#[test]
fn a_backup_that_is_not_whole_is_refused() {
    let served = Served::start();
    fill(&served);
    let backup = served.folder.path().join("backup");
    let config = served.config();
    served.ask(&["backup", backup.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let segment = backup.join("journal/000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let there = config_in(elsewhere.path());
    let refused = vestibule(&["restore", backup.to_str().unwrap(), "--config", &there]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("not as it was written"), "{}", stderr(&refused));
    fs::remove_dir_all(elsewhere.path().join("data")).unwrap();
    fs::remove_file(backup.join("BACKUP")).unwrap();
    let refused = vestibule(&["restore", backup.to_str().unwrap(), "--config", &there]);
    assert!(stderr(&refused).contains("not finished"), "{}", stderr(&refused));
    served.stop();
}

#[test]
fn a_stopped_store_is_checked_and_compacted() {
    let served = Served::start();
    fill(&served);
    let config = served.config();
    let config = config.to_str().unwrap();
    let in_use = vestibule(&["store", "check", "--config", config]);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(stderr(&in_use).contains("in use"), "{}", stderr(&in_use));
    let folder = served.stop_and_keep();
    let check = vestibule(&["store", "check", "--config", config]);
    assert!(check.status.success(), "{}{}", stdout(&check), stderr(&check));
    assert!(stdout(&check).contains("nothing is wrong"));

    fs::write(folder.path().join("vestibule.toml"), format!("{SITE}\n[retention]\ndropped_mail = 0\n"))
        .unwrap();
    let compacted = vestibule(&["store", "compact", "--json", "--config", config]);
    assert!(compacted.status.success(), "{}", stderr(&compacted));
    let compacted: Value = serde_json::from_slice(&compacted.stdout).unwrap();
    assert!(
        compacted["segments"].as_u64().unwrap() >= 1 && compacted["freed"].as_u64().unwrap() > 0,
        "{compacted}"
    );
    let check = vestibule(&["store", "check", "--config", config]);
    assert!(check.status.success(), "{}{}", stdout(&check), stderr(&check));

    let segment = folder.path().join("data/journal/000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let check = vestibule(&["store", "check", "--config", config]);
    assert_eq!(check.status.code(), Some(1), "{}", stdout(&check));
    assert!(stdout(&check).contains("segment 1, offset"), "{}", stdout(&check));
    let none = vestibule(&["store", "check", "--config", &config_in(tempfile::tempdir().unwrap().path())]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("there is no store"), "{}", stderr(&none));
}

/// Status and document of a GET or POST.
async fn ask(daemon: &Daemon, method: &str, path: &str) -> (u16, Value) {
    daemon.api(method, path, None).await
}

/// The only decision about mail of this sender, as the API tells it.
async fn decision(daemon: &Daemon, sender: &str) -> Value {
    ask(daemon, "GET", &format!("/api/v1/decisions?sender={sender}")).await.1["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistaken_drop_is_decided_again_once() {
    let daemon = Daemon::start().await;
    let to = ["it@help.example.com"];
    let raw = message("eve@stranger.example", &to, "not a prize");
    daemon.raw_mail("eve@stranger.example", &to, &raw).await;
    let dropped = decision(&daemon, "eve@stranger.example").await;
    assert_eq!((&dropped["reason"], &dropped["raw"]), (&"domain-not-allowed".into(), &"kept".into()));
    let id = dropped["mail_id"].as_str().unwrap();
    let path = format!("/api/v1/decisions/{id}/reprocess");
    let (status, refused) = ask(&daemon, "POST", &path).await;
    assert_eq!((status, &refused["reason"]), (409, &"domain-not-allowed".into()));
    assert_eq!(daemon.log.events("mail.decided").len(), 1, "nothing changes");

    daemon.reload(&SITE.replace("\"partner.example\"", "\"partner.example\", \"stranger.example\""));
    let (status, made) = ask(&daemon, "POST", &path).await;
    assert_eq!((status, &made["request"]), (200, &"IT-1".into()), "{made}");
    assert_eq!(made["reason"], "new-portal-only-customer");
    let line = daemon.log.events("mail.decided").pop().unwrap();
    assert_eq!((&line["basis"], &line["mail_id"]), (&"reprocessed".into(), &id.into()));
    let (_, request) = ask(&daemon, "GET", "/api/v1/requests/IT-1").await;
    assert_eq!((&request["basis"], &request["subject"]), (&"reprocessed".into(), &"not a prize".into()));
    let auth = format!("Authorization: Bearer {TOKEN}\r\n");
    let kept = http(daemon.addresses.admin, "GET", "/api/v1/requests/IT-1/raw", &auth, ("", "")).await;
    assert!(kept.body.ends_with(&raw), "{}", kept.body);
    let (status, again) = ask(&daemon, "POST", &path).await;
    assert_eq!((status, &again["became"]), (409, &"IT-1".into()), "{again}");
    let none = "/api/v1/decisions/0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a/reprocess";
    assert_eq!(ask(&daemon, "POST", none).await.0, 404);
    daemon.stop().await;
}

/// Ids never go back with the clock, so that of this mail says a later hour than that in which it came: the next one in a
/// process of its own, and one of the other tests, which share the ids, where they were further on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_is_found_where_the_clock_was_set_back() {
    let daemon = Daemon::start().await;
    time_ordered_uuid(START.plus(Duration::from_hours(1)));
    daemon.mail("eve@stranger.example", &["it@help.example.com"], "hello").await;
    let id = decision(&daemon, "eve@stranger.example").await["mail_id"].as_str().unwrap().to_owned();
    let (status, refused) = ask(&daemon, "POST", &format!("/api/v1/decisions/{id}/reprocess")).await;
    assert_eq!((status, &refused["reason"]), (409, &"domain-not-allowed".into()), "{refused}");
    daemon.stop().await;
}

/// The outcomes that `decisions show` tells of a mail, asked of this daemon.
async fn shown(daemon: &Daemon, id: &str) -> Vec<String> {
    let (url, id) = (format!("http://{}", daemon.addresses.admin), id.to_owned());
    let ask = move || vestibule(&["decisions", "show", &id, "--json", "--url", &url, "--token", TOKEN]);
    let output = tokio::task::spawn_blocking(ask).await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcome = |item: &Value| item["outcome"].as_str().unwrap().to_owned();
    shown["items"].as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_was_decided_is_shown_where_the_clock_was_set_back() {
    let daemon = Daemon::start().await;
    let hour = Duration::from_hours(1);
    time_ordered_uuid(START.plus(hour));
    daemon.mail("eve@stranger.example", &["it@help.example.com"], "dropped").await;
    daemon.mail("ada@approved.example", &["it@help.example.com"], "held").await;
    let dropped = decision(&daemon, "eve@stranger.example").await["mail_id"].as_str().unwrap().to_owned();
    let held = decision(&daemon, "ada@approved.example").await;
    assert_eq!(shown(&daemon, &dropped).await, ["drop"]);
    // It came before the time in its id and was released after it. Only alone in this process: where other tests, which share
    // the ids, were further on, the release comes before that time too.
    daemon.advance(hour * 2);
    let release = format!("/api/v1/held/{}/release", held["held"].as_str().unwrap());
    assert_eq!(ask(&daemon, "POST", &release).await.0, 200);
    assert_eq!(shown(&daemon, held["mail_id"].as_str().unwrap()).await, ["hold", "create"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_for_several_projects_wants_one_named_and_may_become_a_hold() {
    let daemon = Daemon::start().await;
    let to = ["it@help.example.com", "hr@help.example.com"];
    daemon.mail("eve@stranger.example", &to, "hello").await;
    let id = decision(&daemon, "eve@stranger.example").await["mail_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/decisions/{id}/reprocess");
    let approved = SITE.replace("[\"approved.example\"]", "[\"approved.example\", \"stranger.example\"]");
    daemon.reload(&approved);
    let (status, which) = ask(&daemon, "POST", &path).await;
    assert!(status == 409 && which["detail"].as_str().unwrap().contains("IT"), "{which}");
    let (status, held) = ask(&daemon, "POST", &format!("{path}?project=HR")).await;
    assert_eq!((status, &held["outcome"], &held["project"]), (200, &"hold".into(), &"HR".into()), "{held}");
    assert!(daemon.link(1).await.contains("/verify/"));
    let (status, again) = ask(&daemon, "POST", &format!("{path}?project=HR")).await;
    assert!(status == 409 && again["became"].as_str().unwrap().contains("held mail"), "{again}");
    let (status, _) = ask(&daemon, "POST", &format!("{path}?project=IT")).await;
    assert_eq!(status, 200);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_past_their_retention_are_gone_and_it_says_until_when_they_were_kept() {
    let site = format!("{SITE}\n[retention]\nrequests = \"10d\"\ndropped_mail = \"2d\"\n");
    let daemon = Daemon::with(&site).await;
    let to = ["it@help.example.com"];
    for sender in ["bob@partner.example", "eve@stranger.example"] {
        daemon.mail(sender, &to, "hello").await;
    }
    let id = decision(&daemon, "eve@stranger.example").await["mail_id"].as_str().unwrap().to_owned();
    daemon.advance(DAY * 3);
    assert_eq!(ask(&daemon, "POST", "/api/v1/store/compact").await.0, 200);
    assert_eq!(decision(&daemon, "eve@stranger.example").await["raw"], "gone");
    let (status, gone) = ask(&daemon, "POST", &format!("/api/v1/decisions/{id}/reprocess")).await;
    assert_eq!(status, 410, "{gone}");
    assert_eq!(gone["kept_until"], START.plus(DAY * 2).to_string());
    assert_eq!(ask(&daemon, "GET", "/api/v1/requests/IT-1/raw").await.0, 200);
    daemon.advance(DAY * 8);
    assert_eq!(ask(&daemon, "POST", "/api/v1/store/compact").await.0, 200);
    let (status, gone) = ask(&daemon, "GET", "/api/v1/requests/IT-1/raw").await;
    assert_eq!((status, &gone["kept_until"]), (410, &START.plus(DAY * 10).to_string().into()), "{gone}");
    let (status, request) = ask(&daemon, "GET", "/api/v1/requests/IT-1").await;
    assert_eq!((status, &request["subject"], &request["body"]), (200, &"hello".into(), &Value::Null));
    assert_eq!(daemon.log.events("store.compacted").len(), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_retention_of_drops_nothing_of_them_is_kept() {
    let daemon = Daemon::with(&format!("{SITE}\n[retention]\ndropped_mail = 0\n")).await;
    let to = ["it@help.example.com"];
    daemon.mail("eve@stranger.example", &to, "hello").await;
    let dropped = decision(&daemon, "eve@stranger.example").await;
    assert_eq!(dropped["raw"], Value::Null);
    let id = dropped["mail_id"].as_str().unwrap();
    assert_eq!(ask(&daemon, "POST", &format!("/api/v1/decisions/{id}/reprocess")).await.0, 410);
    daemon.stop().await;
}
