//! `[otlp]`: traces of a whole daemon, as a collector on loopback gets them. A target of its own, since it wants the cargo feature
//! `otlp`: `cargo test --features otlp --test otlp`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets what it did not expect ends there"
)]

mod collector;
#[expect(dead_code, reason = "the other test target needs more of it")]
#[path = "../it/daemon.rs"]
mod daemon;

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::{net::TcpSocket, task::JoinSet};

use collector::{Answer, Collector, Request, attributes};
use daemon::{Daemon, SITE, Smtp, eventually, message};

const IT: &[&str] = &["it@help.example.com"];
const ADA: &str = "ada@approved.example";

fn traced(endpoint: &str, rest: &str) -> String {
    format!("{SITE}[otlp]\nendpoint = \"{endpoint}\"\n{rest}\n")
}

/// What stands in the reply to a mail that was taken.
fn mail_id(reply: &str) -> String {
    let id = reply.split_whitespace().find(|word| word.len() == 36 && word.matches('-').count() == 4);
    id.unwrap_or_else(|| panic!("no id in {reply}")).to_owned()
}

/// The spans of one mail, in the order in which they were sent.
fn of_mail(spans: &[Span], mail_id: &str) -> Vec<Span> {
    let trace = data_encoding::HEXLOWER.decode(mail_id.replace('-', "").as_bytes()).unwrap();
    spans.iter().filter(|span| span.trace_id == trace).cloned().collect()
}

fn counted(metrics: &str, result: &str) -> u64 {
    let name = format!("vestibule_trace_spans_total{{result=\"{result}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Waits until so many spans are counted as sent or dropped.
async fn until_counted(daemon: &Daemon, result: &str, spans: u64) {
    let mut last = 0;
    for _ in 0..2_000 {
        last = counted(&String::from_utf8(daemon.bytes("/metrics").await).unwrap(), result);
        if last == spans {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {spans} {result}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mail_is_one_trace() {
    let mut collector = Collector::start(Answer::Taken).await;
    let daemon = Daemon::with(&traced(&collector.url, "headers = [\"x-team: help desk\"]")).await;
    let rcpts = ["it@help.example.com", "hr@help.example.com"];
    let id = mail_id(&daemon.mail(ADA, &rcpts, "my laptop").await);
    let Request { path, headers, resource, mut spans } = collector.next().await;
    spans.extend(collector.spans(7 - spans.len()).await);

    assert_eq!(path, "/v1/traces");
    assert!(
        headers.contains("x-team: help desk\r\n") && headers.contains("application/x-protobuf"),
        "{headers}"
    );
    assert_eq!(resource["service.name"], "vestibule");
    assert_eq!(resource["service.instance.id"], "help.example.com");

    let spans = of_mail(&spans, &id);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["mail", "receive", "scan", "authenticate", "decide", "decide", "commit"]);
    let (mail, parts) = spans.split_first().unwrap();
    assert_eq!((mail.kind(), mail.parent_span_id.len()), (SpanKind::Server, 0));
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
    for part in parts {
        assert_eq!(part.parent_span_id, mail.span_id, "{}", part.name);
        let within = mail.start_time_unix_nano <= part.start_time_unix_nano
            && part.start_time_unix_nano <= part.end_time_unix_nano
            && part.end_time_unix_nano <= mail.end_time_unix_nano;
        assert!(within, "{} lies outside of its mail: {part:?} {mail:?}", part.name);
    }
    // Each part begins where the one before has ended, but for the two decisions, which are one piece of work.
    for pair in [&parts[0..2], &parts[1..3], &parts[2..4], &parts[4..6]] {
        assert!(pair[0].end_time_unix_nano <= pair[1].start_time_unix_nano, "{pair:?}");
    }

    let lines = daemon.log.events("mail.decided");
    assert_eq!(lines.len(), 2);
    let of_mail = attributes(&mail.attributes);
    for name in ["mail_id", "message_id", "session", "sender", "sender_domain", "standing"] {
        assert_eq!(of_mail[&format!("vestibule.{name}")], lines[0][name].as_str().unwrap(), "{name}");
    }
    assert_eq!(of_mail["vestibule.bytes"], lines[0]["bytes"].to_string());
    assert_eq!(of_mail["client.address"], "127.0.0.1");
    assert_eq!(of_mail["network.peer.address"], "127.0.0.1");
    assert_eq!(of_mail["network.protocol.name"], "smtp");
    assert_eq!(of_mail["vestibule.delivery"], "accepted");
    assert!(!of_mail.contains_key("error.type"));
    for (decide, line) in parts[3..5].iter().zip(&lines) {
        let decided = attributes(&decide.attributes);
        for name in ["project", "outcome", "reason", "account", "domain_list", "held"] {
            assert_eq!(decided[&format!("vestibule.{name}")], line[name].as_str().unwrap(), "{name}");
        }
    }
    until_counted(&daemon, "sent", 7).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_addresses_as_the_log_does() {
    let mut collector = Collector::start(Answer::Taken).await;
    let daemon = Daemon::with(&traced(&collector.url, "[log]\naddresses = \"domain\"")).await;
    daemon.mail(ADA, IT, "my laptop").await;
    let spans = collector.spans(6).await;
    assert!(!format!("{spans:?}").contains("ada@"), "{spans:?}");
    assert_eq!(attributes(&spans[0].attributes)["vestibule.sender"], "@approved.example");
    daemon.stop().await;
}

/// A mail that is refused has its trace too; one that fails here says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_not_taken_is_traced() {
    let mut collector = Collector::start(Answer::Taken).await;
    let daemon = Daemon::with(&traced(&collector.url, "")).await;
    let fields = "X-Field: x\r\n".repeat(5_000);
    let complex = message(ADA, IT, "complex").replace("Subject:", &format!("{fields}Subject:"));
    assert!(daemon.raw_mail(ADA, IT, &complex).await.starts_with("552 5.6.0"));
    let spans = collector.spans(2).await;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["mail", "receive"]);
    assert_eq!(attributes(&spans[0].attributes)["vestibule.delivery"], "too-complex");
    assert_eq!(spans[0].status.clone().unwrap_or_default().code(), StatusCode::Unset);

    // Its recipient goes while it comes in.
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    for line in ["MAIL FROM:<ada@approved.example>", "RCPT TO:<hr@help.example.com>", "DATA"] {
        smtp.command(line).await;
    }
    let site = traced(&collector.url, "");
    let (hr, otlp) = (site.rfind("[[projects]]").unwrap(), site.find("[otlp]").unwrap());
    daemon.reload(&[&site[..hr], &site[otlp..]].concat());
    assert!(smtp.data(&message(ADA, &["hr@help.example.com"], "to nobody")).await.starts_with("451"));
    let mail = &collector.spans(4).await[0];
    assert_eq!(mail.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attributes(&mail.attributes)["error.type"], "unavailable");
    drop(smtp);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_turns_traces_on_and_off() {
    let (mut first, mut second) =
        (Collector::start(Answer::Taken).await, Collector::start(Answer::Taken).await);
    let daemon = Daemon::start().await;
    daemon.mail(ADA, IT, "before").await;
    daemon.reload(&traced(&first.url, ""));
    let to_first = mail_id(&daemon.mail(ADA, IT, "to the first").await);
    // What waits for the first is handed on, though the next mails go to the second.
    daemon.reload(&traced(&second.url, ""));
    let to_second = mail_id(&daemon.mail(ADA, IT, "to the second").await);
    daemon.reload(&traced(&second.url, "sample_ratio = 0"));
    daemon.mail(ADA, IT, "not sampled").await;
    daemon.reload(SITE);
    daemon.mail(ADA, IT, "after").await;
    until_counted(&daemon, "sent", 12).await;
    for (collector, id) in [(&mut first, to_first), (&mut second, to_second)] {
        let spans: Vec<_> = collector.rest().into_iter().flat_map(|request| request.spans).collect();
        assert_eq!((spans.len(), of_mail(&spans, &id).len()), (6, 6));
    }
    daemon.stop().await;
}

/// What waits when the daemon stops is handed on.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_hands_on_what_waits() {
    let mut collector = Collector::start(Answer::Taken).await;
    let daemon = Daemon::with(&traced(&collector.url, "")).await;
    for number in 0..20 {
        daemon.mail(ADA, IT, &format!("mail {number}")).await;
    }
    daemon.stop().await;
    let spans: usize = collector.rest().iter().map(|request| request.spans.len()).sum();
    assert_eq!(spans, 20 * 6);
}

/// Mail goes on, the spans are counted and the reason is told: the collector is away, sends us off, or takes only a part.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_collector_does_not_take_is_counted_and_told() {
    // Bound, so that nobody else gets the port, and never listened on.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refusing = Collector::start(Answer::Status(400)).await;
    let rejecting = Collector::start(Answer::Rejected(2)).await;
    for (url, dropped, why) in [
        (format!("http://{}", gone.local_addr().unwrap()), 6, "refused"),
        (refusing.url.clone(), 6, "400"),
        (rejecting.url.clone(), 2, "rejected by the collector: too old"),
    ] {
        let daemon = Daemon::with(&traced(&url, "")).await;
        assert!(daemon.mail(ADA, IT, "one").await.starts_with("250"));
        until_counted(&daemon, "dropped", dropped).await;
        until_counted(&daemon, "sent", 6 - dropped).await;
        // Counted first, then told.
        eventually("it is told", || !daemon.log.events("traces.dropped").is_empty()).await;
        let told = daemon.log.events("traces.dropped");
        assert_eq!((told.len(), &told[0]["spans"]), (1, &dropped.into()));
        assert!(told[0]["error"].as_str().unwrap().contains(why), "{told:?}");
        // The next ones are counted, and told with the next line: at the latest at the end.
        assert!(daemon.mail(ADA, IT, "two").await.starts_with("250"));
        until_counted(&daemon, "dropped", 2 * dropped).await;
        let log = daemon.log.clone();
        assert_eq!(log.events("traces.dropped").len(), 1);
        daemon.stop().await;
        assert_eq!(log.events("traces.dropped").len(), 2);
    }
}

/// A collector that never answers: the queue is bounded and whole traces are dropped; the daemon stops all the same, and says what
/// it has left.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_collector_costs_nothing_but_its_traces() {
    let mut collector = Collector::start(Answer::Silence).await;
    let daemon = Daemon::with(&traced(&collector.url, "")).await;
    assert!(daemon.mail(ADA, IT, "first").await.starts_with("250"));
    collector.next().await;
    // At once, for the sake of slow disks: the first request is given up after 5 s, and by then the queue is to be full.
    let mut sessions = JoinSet::new();
    for session in 0..30 {
        let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
        sessions.spawn(async move {
            let sender = format!("c{session}@partner.example");
            for number in 0..50 {
                let mail = message(&sender, IT, &format!("mail {number} of {session}"));
                assert!(smtp.mail(&sender, IT, &mail).await.starts_with("250"));
            }
        });
    }
    sessions.join_all().await;
    let metrics = String::from_utf8(daemon.bytes("/metrics").await).unwrap();
    let dropped = counted(&metrics, "dropped");
    assert!(dropped > 0, "1501 traces do not fit into the queue");
    assert_eq!(dropped % 6, 0, "whole traces");
    let log = daemon.log.clone();
    daemon.stop().await;
    let told: Vec<_> = log.events("traces.dropped");
    assert!(told[0]["error"].as_str().unwrap().contains("the queue is full"), "{told:?}");
    let spans: u64 = told.iter().map(|line| line["spans"].as_u64().unwrap()).sum();
    assert_eq!(spans, 1_501 * 6, "all are told");
    assert!(told.last().unwrap()["error"].as_str().unwrap().contains("not sent before the end"), "{told:?}");
}
