//! Settings that change while the daemon runs, as SIGHUP changes them, and those that wait for the next start. That no key is
//! forgotten is the table's test in `src/config/reload.rs`.

use crate::{
    binary::Served,
    daemon::{Daemon, SITE, Smtp, eventually, greeting, link_in},
};

const IT: &[&str] = &["it@help.example.com"];
const ADA: &str = "ada@approved.example";

/// The site with this right behind the header of one of its tables.
fn with(table: &str, line: &str) -> String {
    assert!(SITE.contains(&format!("{table}\n")), "{table}");
    SITE.replacen(&format!("{table}\n"), &format!("{table}\n{line}\n"), 1)
}

fn logged(level: &str, rest: &str) -> String {
    format!("{SITE}[log]\nlevel = \"{level}\"\n{rest}\n")
}

/// The sessions that were told of, once the mail of this subject has been taken.
async fn sessions_told(daemon: &Daemon, subject: &str) -> usize {
    assert!(daemon.mail(ADA, IT, subject).await.starts_with("250"));
    daemon.log.events("session.opened").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_changes_its_level_while_it_runs() {
    let daemon = Daemon::logging(&logged("info", "")).await;
    assert_eq!(sessions_told(&daemon, "one").await, 0);
    daemon.reload(&logged("debug", ""));
    assert_eq!(sessions_told(&daemon, "two").await, 1);
    daemon.reload(&logged("info,vestibule=warn", ""));
    assert_eq!(sessions_told(&daemon, "three").await, 1);
    daemon.reload(&logged("vestibule=debug", ""));
    assert_eq!(sessions_told(&daemon, "four").await, 2);
    daemon.reload(SITE);
    assert_eq!(sessions_told(&daemon, "five").await, 2, "info is the default");
    let decided = daemon.log.events("mail.decided");
    assert_eq!(decided.len(), 4, "the third was not to be told: {decided:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_changes_its_format_and_how_addresses_appear() {
    let daemon = Daemon::logging(SITE).await;
    daemon.mail(ADA, IT, "one").await;
    daemon.reload(&logged("info", "format = \"text\""));
    let before = daemon.log.text().len();
    daemon.mail(ADA, IT, "two").await;
    let text = daemon.log.text()[before..].to_owned();
    assert!(text.contains("event=\"mail.decided\"") && !text.contains('{'), "{text}");
    daemon.reload(&logged("info", "addresses = \"domain\""));
    daemon.mail(ADA, IT, "three").await;
    let senders: Vec<_> =
        daemon.log.events("mail.decided").iter().map(|line| line["sender"].clone()).collect();
    assert_eq!(senders, [ADA, "@approved.example"]);
    daemon.stop().await;
}

/// The keys that the log has warned of since the last look.
fn warned(daemon: &Daemon, before: &mut usize) -> Vec<String> {
    let lines = daemon.log.events("config.warning");
    let new = lines[*before..].iter().map(|line| line["warning"].as_str().unwrap().to_owned());
    *before = lines.len();
    let of_start = new.filter_map(|text| {
        text.split_once(" has changed; it takes effect at the next start").map(|(key, _)| key.to_owned())
    });
    of_start.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_start_reads_is_named_and_stays() {
    let daemon = Daemon::start().await;
    eventually("it has started", || !daemon.log.events("config.loaded").is_empty()).await;
    let mut seen = 0;
    warned(&daemon, &mut seen);
    let in_force = |daemon: &Daemon| daemon.log.events("config.loaded").last().unwrap().clone();
    let first = in_force(&daemon);
    let cases = [
        (
            "smtp.listen",
            SITE.replace("[smtp]\nlisten = [\"127.0.0.1:0\"]", "[smtp]\nlisten = [\"127.0.0.1:1\"]"),
        ),
        ("http.listen", SITE.replace("[http]\nlisten = \"127.0.0.1:0\"", "[http]\nlisten = \"127.0.0.1:1\"")),
        ("http.admin_listen", with("[http]", "admin_listen = \"127.0.0.1:1\"")),
        ("store.path", SITE.replace("path = \"data\"", "path = \"elsewhere\"")),
    ];
    for (number, (key, changed)) in cases.iter().enumerate() {
        assert_ne!(changed, SITE);
        // Again and again, as long as the file is not what runs.
        for _ in 0..2 {
            daemon.reload(changed);
            assert_eq!(warned(&daemon, &mut seen), [*key]);
        }
        let now = in_force(&daemon);
        assert_eq!(
            (&now["settings"], &now["settings_version"]),
            (&first["settings"], &first["settings_version"])
        );
        assert!(daemon.mail(ADA, IT, &format!("mail {number}")).await.starts_with("250"));
        assert_eq!(daemon.api("GET", "/api/v1/held", None).await.0, 200);
    }
    assert!(!daemon.folder.path().join("elsewhere").exists());
    daemon.reload(SITE);
    assert!(warned(&daemon, &mut seen).is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_of_smtp_counts_for_the_next_mail() {
    let daemon = Daemon::start().await;
    let smtp = daemon.addresses.smtp[0];
    let mut session = Smtp::connect(smtp).await;

    daemon.reload(&SITE.replace("hostname = \"help.example.com\"", "hostname = \"other.example.com\""));
    assert!(greeting(smtp).await.starts_with("220 other.example.com "));
    daemon.reload(&with("[smtp]", "max_message_size = \"2 KiB\"\nxclient_from = [\"127.0.0.1\"]"));
    let offered = Smtp::connect(smtp).await.command("EHLO relay.example").await;
    assert!(offered.contains("SIZE 2048") && offered.contains("XCLIENT"), "{offered}");
    // A session that was there before goes by it too.
    assert!(session.command("MAIL FROM:<a@approved.example> SIZE=4096").await.starts_with("552"));
    daemon.reload(&with("[smtp]", "max_connections = 1"));
    assert!(greeting(smtp).await.starts_with("421 4.3.2"));
    daemon.reload(&with("[smtp]", "allow_from = [\"192.0.2.0/24\"]"));
    assert!(greeting(smtp).await.starts_with("421 4.7.1"));
    daemon.reload(&with("[smtp]", "memory_budget = 1"));
    assert!(session.command("MAIL FROM:<a@approved.example> SIZE=4096").await.starts_with("452 4.3.1"));
    daemon.reload(&SITE.replace("min_free = 0", "min_free = \"1024 TiB\""));
    assert!(session.command("MAIL FROM:<a@approved.example>").await.starts_with("452 4.3.1"));
    let rate = format!("{SITE}[smtp.rate]\nper_peer_per_minute = 1\n");
    daemon.reload(&rate);
    assert!(session.command("MAIL FROM:<a@approved.example>").await.starts_with("250"));
    session.command("RSET").await;
    assert!(session.command("MAIL FROM:<a@approved.example>").await.starts_with("450 4.7.1"));
    daemon.reload(&with("[smtp]", "postmaster = \"ops@example.com\"\ndetail_separator = \"-\""));
    assert!(session.command("MAIL FROM:<a@approved.example>").await.starts_with("250"));
    for (rcpt, reply) in [
        ("postmaster@help.example.com", "250"),
        ("it-x@help.example.com", "250"),
        ("it+x@help.example.com", "550"),
    ] {
        assert!(session.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with(reply), "{rcpt}");
    }
    drop(session);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_lists_projects_and_tokens_count_at_once() {
    let daemon = Daemon::start().await;
    let reasons =
        || daemon.log.events("mail.decided").iter().map(|line| line["reason"].clone()).collect::<Vec<_>>();
    daemon.mail("eve@new.example", IT, "one").await;
    daemon.reload(&SITE.replace("\"partner.example\"", "\"partner.example\", \"new.example\""));
    daemon.mail("eve@new.example", IT, "two").await;
    assert_eq!(reasons(), ["domain-not-allowed", "new-portal-only-customer"]);

    let mut session = Smtp::connect(daemon.addresses.smtp[0]).await;
    session.command("MAIL FROM:<ada@approved.example>").await;
    assert!(session.command("RCPT TO:<new@help.example.com>").await.starts_with("550 5.1.1"));
    session.command("RSET").await;
    daemon.reload(
        &SITE.replace("\"it@help.example.com\"", "\"it@help.example.com\", \"new@help.example.com\""),
    );
    session.command("MAIL FROM:<ada@approved.example>").await;
    assert!(session.command("RCPT TO:<new@help.example.com>").await.starts_with("250"));

    assert_eq!(daemon.api("GET", "/api/v1/held", None).await.0, 200);
    daemon.reload(&SITE.replace("a-token-for-tests-only", "another-token-for-tests"));
    assert_eq!(daemon.api("GET", "/api/v1/held", None).await.0, 401);
    daemon.reload(&SITE.replace("admin_token = \"a-token-for-tests-only\"\n", ""));
    assert_eq!(daemon.api("GET", "/api/v1/held", None).await.0, 403);
    drop(session);
    daemon.stop().await;
}

/// Relay, sender, links and contact: the mail that goes out next has them.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_mail_of_ours_goes_by_the_changed_settings() {
    let daemon = Daemon::start().await;
    daemon.mail("ada@approved.example", IT, "one").await;
    daemon.link(1).await;
    let changed = with("[verification]", "contact = \"Service desk, 4711\"")
        .replace("file:outbound", "file:other")
        .replace("Example Help <help@", "Other Desk <desk@")
        .replace("http://127.0.0.1:8025", "https://links.example.com/help");
    daemon.reload(&changed);
    daemon.mail("bob@approved.example", IT, "two").await;
    let other = daemon.folder.path().join("other");
    let found = || {
        let mut entries = std::fs::read_dir(&other).ok()?;
        let path = entries.find_map(|entry| {
            Some(entry.ok()?.path()).filter(|path| path.extension().is_some_and(|end| end == "eml"))
        })?;
        std::fs::read_to_string(path).ok()
    };
    eventually("the mail goes to the new relay", || found().is_some()).await;
    let mail = found().unwrap();
    assert!(mail.contains("Other Desk") && mail.contains("desk@help.example.com"), "{mail}");
    let text = mail.replace("=\r\n", "");
    assert!(
        text.contains("https://links.example.com/help/verify/") && text.contains("Service desk, 4711"),
        "{text}"
    );
    assert!(link_in(&mail).starts_with("/verify/"));
    assert_eq!(daemon.outbound().len(), 1, "nothing more to the old one");
    daemon.stop().await;
}

/// The same with the real signal and the real standard output.
#[test]
fn sighup_changes_the_level_of_standard_output() {
    let mut served = Served::start();
    std::fs::write(served.config(), logged("debug", "")).unwrap();
    served.signal("-HUP");
    assert!(served.event("config.loaded")["settings"].as_str().unwrap().contains("\"level\":\"debug\""));
    drop(std::net::TcpStream::connect(&served.smtp).unwrap());
    served.event("session.opened");
    served.event("session.closed");
    std::fs::write(served.config(), logged("info", "")).unwrap();
    served.signal("-HUP");
    served.event("config.loaded");
    drop(std::net::TcpStream::connect(&served.smtp).unwrap());
    // The refusal is at INFO, and the line behind those that the connection before it would have made.
    let mut refused = std::net::TcpStream::connect(&served.smtp).unwrap();
    std::io::Write::write_all(&mut refused, b"EHLO x\r\nVRFY\r\nEXPN a\r\nQUIT\r\n").unwrap();
    let told = served.events_to("smtp.refused");
    assert_eq!(told.len(), 1, "{told:#?}");
    served.stop();
}
