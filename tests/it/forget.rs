//! Forgetting a person: by the built binary with a kill -9 behind it, and on a whole daemon.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    binary::{Served, stderr, stdout},
    daemon::{Daemon, http, message},
    support::files_with,
};

const EVA: &str = "eva.secretive@partner.example";
const SECRET: &str = "Rumpelstiltskin";
const TO: [&str; 1] = ["it@help.example.com"];

/// Nothing below the folder has any of her.
fn nowhere(folder: &Path) {
    assert_eq!(files_with(folder, &["eva.secretive", SECRET]), Vec::<String>::new());
}

#[test]
fn a_person_is_forgotten_and_no_file_of_the_store_tells() {
    let served = Served::start();
    served.relay(&message(EVA, &TO, SECRET));
    let big = ("x".repeat(70) + "\r\n").repeat(9_000);
    served.relay(&(message(EVA, &TO, &format!("{SECRET} again")) + &big));
    served.relay(&message("bob@partner.example", &TO, "a printer"));
    let data = served.folder.path().join("data");
    let found = files_with(&data, &[SECRET]).join(" ");
    assert!(found.contains("journal/") && found.contains("big/"), "{found}");

    let dry = served.ask(&["forget", EVA, "--dry-run"]);
    assert!(
        stdout(&dry).contains("would be forgotten") && stdout(&dry).contains("IT-1, IT-2"),
        "{}",
        stdout(&dry)
    );
    let dry = served.json(&["forget", EVA, "--dry-run"]);
    assert_eq!((&dry["dry_run"], dry.get("journal")), (&json!(true), Some(&Value::Null)), "{dry}");
    assert_eq!(served.json(&["requests", "show", "IT-1"])["subject"], SECRET, "nothing was changed");

    let receipt = served.ask(&["forget", EVA]);
    let said = stdout(&receipt);
    assert!(receipt.status.success(), "{said}{}", stderr(&receipt));
    for line in ["was forgotten at", "IT-1, IT-2", "have nothing of it any more", "What stays:", "backups"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for folder in ["journal", "big"] {
        nowhere(&data.join(folder));
    }
    let again = served.ask(&["forget", EVA]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains(&format!("Nothing is kept of {EVA}")), "{}", stderr(&again));
    let list = served.ask(&["requests", "list"]);
    assert!(stdout(&list).contains("IT-2") && stdout(&list).contains("a printer"), "{}", stdout(&list));
    let request = served.json(&["requests", "show", "IT-1"]);
    assert_eq!(request["reporter"], json!({ "address": null, "name": null, "account": null }));
    assert_eq!((&request["subject"], &request["body"]), (&json!(""), &Value::Null));

    served.signal("-KILL");
    let folder = served.gone();
    let served = Served::over(folder);
    nowhere(&served.folder.path().join("data"));
    served.relay(&message("bob@partner.example", &TO, "one more"));
    assert_eq!(served.json(&["requests", "list"])["items"][0]["id"], "IT-4");
    served.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_ends_and_the_log_does_not_say_who_was_forgotten() {
    let daemon = Daemon::start().await;
    let ada = "ada@approved.example";
    daemon.mail(ada, &TO, "a laptop").await;
    let link = daemon.link(1).await;
    daemon.mail(ada, &["hr@help.example.com"], "a holiday").await;
    daemon.mail("ada@stranger.example", &TO, "a prize").await;
    let (status, receipt) = daemon.api("POST", &format!("/api/v1/senders/{ada}/forget"), None).await;
    assert_eq!(
        (status, &receipt["held"], &receipt["verifications"]),
        (200, &json!(2), &json!(1)),
        "{receipt}"
    );
    assert_eq!((&receipt["journal"], &receipt["requests"]), (&json!("gone"), &json!([])));
    assert_eq!(daemon.page("GET", &link, "").await.status, 404, "the link is dead");

    let ends: Vec<_> =
        daemon.log.events("mail.decided").into_iter().filter(|line| line["basis"] == "discarded").collect();
    assert_eq!(ends.len(), 2);
    let told = daemon.log.events("address.forgotten");
    assert_eq!((told.len(), &told[0]["decisions"], &told[0]["held"]), (1, &json!(4), &json!(2)));
    assert!(!told[0].to_string().contains("ada@"), "{}", told[0]);
    let metrics = http(daemon.addresses.admin, "GET", "/metrics", "", ("", "")).await.body;
    for gauge in ["vestibule_holds_gap 0", "vestibule_intake_gap 0", "vestibule_holds_waiting 0"] {
        assert!(metrics.contains(gauge), "{gauge}");
    }
    let (_, decisions) = daemon.api("GET", "/api/v1/decisions", None).await;
    let senders: Vec<_> = decisions["items"].as_array().unwrap().iter().map(|row| &row["sender"]).collect();
    assert_eq!(
        senders,
        [&Value::Null, &Value::Null, &json!("ada@stranger.example"), &Value::Null, &Value::Null]
    );
    let (status, sender) = daemon.api("GET", &format!("/api/v1/senders/{ada}"), None).await;
    assert_eq!((status, &sender["account"]), (200, &Value::Null));
    for list in ["verifications", "held", "deliveries", "decisions"] {
        assert_eq!(sender[list], json!([]), "{list}");
    }

    // Whoever writes again is as unknown as at first.
    daemon.mail(ada, &TO, "a laptop").await;
    assert_ne!(daemon.link(2).await, link);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_before_is_found_in_the_journal() {
    let daemon = Daemon::start().await;
    let body = json!({ "address": EVA, "kind": "internal", "name": SECRET }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&body)).await.0, 201);
    assert_eq!(daemon.api("DELETE", &format!("/api/v1/accounts/{EVA}"), None).await.0, 204);
    let journal = daemon.folder.path().join("data/journal");
    assert_eq!(files_with(&journal, &[SECRET]).len(), 1);
    let path = format!("/api/v1/senders/{EVA}/forget");
    let (status, dry) = daemon.api("POST", &format!("{path}?dry_run=true"), None).await;
    assert!(status == 404 && dry["detail"].as_str().unwrap().contains("looked for in the journal"), "{dry}");
    let (status, receipt) = daemon.api("POST", &path, None).await;
    assert_eq!((status, &receipt["account"], &receipt["journal"]), (200, &json!(false), &json!("gone")));
    nowhere(&journal);
    assert_eq!(daemon.api("POST", &path, None).await.0, 404);
    assert_eq!(daemon.api("POST", "/api/v1/senders/nonsense/forget", None).await.0, 400);
    assert_eq!(daemon.api("POST", &format!("{path}?really=1"), None).await.0, 400);
    let refused = http(daemon.addresses.admin, "POST", &path, "", ("", "")).await;
    assert_eq!(refused.status, 401, "a token is asked for");
    daemon.stop().await;
}
