//! Counters and gauges, in the text format of Prometheus. Each name is public.

use std::{collections::HashSet, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Labels of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DecisionLabels {
    /// create, hold or drop.
    pub outcome: &'static str,
    /// The reason code.
    pub reason: &'static str,
}

/// Labels of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// The reply code.
    pub code: u16,
    /// The name of the reply's row in the table.
    pub reason: &'static str,
}

/// Labels of a check of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CheckLabels {
    /// dkim, spf, dmarc or arc.
    pub method: &'static str,
    /// A result of RFC 8601.
    pub result: &'static str,
}

/// Labels of a mail of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MailLabels {
    /// verification, acknowledgement, confirmation or forward.
    pub kind: &'static str,
}

/// Label of a part of a mail's way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabels {
    /// receive, scan, authenticate, decide or commit.
    pub stage: &'static str,
}

/// Label of spans.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SpanLabels {
    /// sent or dropped.
    pub result: &'static str,
}

/// Label of a step of verifications.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabels {
    /// sent, opened, redeemed, disowned, expired or bounced.
    pub step: &'static str,
}

/// Label of how long something waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AgeLabels {
    /// The span of [`AGES`] that it is in.
    pub age: &'static str,
}

/// Label of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CertificateLabels {
    /// smtp.
    pub listener: &'static str,
}

/// How long a mail may wait to be in a span, in seconds, and the span's name; the first that fits counts.
pub const AGES: [(u64, &str); 5] = [
    (3_600, "under-1h"),
    (86_400, "1h-1d"),
    (3 * 86_400, "1d-3d"),
    (7 * 86_400, "3d-7d"),
    (u64::MAX, "over-7d"),
];

/// Labels of an HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The matched route, never the path itself: it may hold a token.
    pub route: String,
    /// The status code.
    pub status: u16,
}

/// All of the daemon's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// One for each mail and project that was taken.
    pub accepted: Counter,
    /// Decisions at intake.
    pub decided: Family<DecisionLabels, Counter>,
    /// Holds made.
    pub holds_made: Counter,
    /// Holds ended, by the decision that ended them.
    pub holds_resolved: Family<DecisionLabels, Counter>,
    /// Holds that wait now.
    pub holds_waiting: Gauge,
    /// `accepted` less the sum of `decided`: 0.
    pub intake_gap: Gauge,
    /// Holds that waited at start, and holds made since, less those resolved and those that wait: 0.
    pub holds_gap: Gauge,
    /// SMTP sessions open now.
    pub sessions: Gauge,
    /// SMTP sessions opened.
    pub sessions_opened: Counter,
    /// SMTP replies that refused something.
    pub refused: Family<RefusalLabels, Counter>,
    /// Results of SPF, DKIM, DMARC and ARC in mode = "verify".
    pub sender_checks: Family<CheckLabels, Counter>,
    /// Mails whose sender could not be checked because DNS gave no answer.
    pub dns_failures: Counter,
    /// Bytes of mail in flight.
    pub bytes_in_flight: Gauge,
    /// Bytes of mail taken.
    pub bytes_accepted: Counter,
    /// Seconds from the last byte of a mail to its durable decision.
    pub intake_seconds: Histogram,
    /// Mails of ours that the relay has taken.
    pub mails_sent: Family<MailLabels, Counter>,
    /// Mails of ours that were given up.
    pub mails_failed: Family<MailLabels, Counter>,
    /// Mails of ours in the outbox that are tried again.
    pub mails_retried: Counter,
    /// Verifications redeemed.
    pub redeemed: Counter,
    /// Accounts that came to be.
    pub accounts_created: Counter,
    /// Failed writes of the store.
    pub store_failures: Counter,
    /// Panics, those that were caught included.
    pub panics: Counter,
    /// HTTP answers.
    pub http_requests: Family<RequestLabels, Counter>,
    /// Plans and other events that the store has made durable.
    pub store_commits: Counter,
    /// Times that the store has waited for its disk.
    pub store_syncs: Counter,
    /// Seconds that each part of a mail's way takes.
    pub stage_seconds: Stages,
    /// Verifications by what has become of them.
    pub verification_steps: Family<StepLabels, Counter>,
    /// Spans of traces, by what became of them.
    pub trace_spans: Family<SpanLabels, Counter>,
    /// Mails of ours in the outbox.
    pub outbox_waiting: Family<MailLabels, Gauge>,
    /// Age of the oldest of them in seconds; 0 when none waits.
    pub outbox_oldest_seconds: Family<MailLabels, Gauge>,
    /// Holds by how long they have waited.
    pub holds_by_age: Family<AgeLabels, Gauge>,
    /// Age of the oldest hold in seconds; 0 when none waits.
    pub holds_oldest_seconds: Gauge,
    /// Peers that have guessed links, as the limiter remembers them.
    pub link_guesser_keys: Gauge,
    /// When a certificate of ours ends, in seconds since 1970. None without one.
    pub certificate_expiry: Family<CertificateLabels, Gauge>,
    /// Bytes that the files of the store take.
    pub store_bytes: Gauge,
    /// Free bytes where the store writes.
    pub store_free_bytes: Gauge<f64, AtomicU64>,
    /// 1 while the store takes writes.
    pub store_writable: Gauge,
}

/// Histograms by stage.
pub type Stages = Family<StageLabels, Histogram>;

fn stages() -> Stages {
    Family::new_with_constructor(|| Histogram::new(STAGE_BUCKETS))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! metrics {
    ($($field:ident: $make:expr, $name:literal, $help:literal;)*) => {
        impl Metrics {
            /// Registers every metric.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("vestibule");
                $(let $field = $make; registry.register($name, $help, $field.clone());)*
                Self { registry, $($field),* }
            }
        }
    };
}

/// Upper bounds in seconds, from a fast disk to a stalled one.
const INTAKE_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 25.0];

/// Upper bounds in seconds: a scan takes microseconds, a mail over a thin line minutes.
const STAGE_BUCKETS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 25.0, 120.0];

metrics! {
    accepted: Counter::default(), "mails_accepted", "Mails taken, one for each mail and project";
    decided: Family::default(), "mails_decided", "Decisions at intake";
    holds_made: Counter::default(), "holds_made", "Mails held";
    holds_resolved: Family::default(), "holds_resolved", "Holds ended";
    holds_waiting: Gauge::default(), "holds_waiting", "Mails that wait now";
    intake_gap: Gauge::default(), "intake_gap", "Mails accepted less mails decided; always 0";
    holds_gap: Gauge::default(), "holds_gap", "Holds made less holds resolved and holds that wait; always 0";
    sessions: Gauge::default(), "smtp_sessions", "SMTP sessions open now";
    sessions_opened: Counter::default(), "smtp_sessions_opened", "SMTP sessions opened";
    refused: Family::default(), "smtp_refused", "SMTP replies that refused something";
    sender_checks: Family::default(), "sender_checks", "Results of SPF, DKIM, DMARC and ARC, checked here";
    dns_failures: Counter::default(), "dns_failures", "Mails whose sender could not be checked for want of an answer of DNS";
    bytes_in_flight: Gauge::default(), "bytes_in_flight", "Bytes of mail in flight";
    bytes_accepted: Counter::default(), "bytes_accepted", "Bytes of mail taken";
    intake_seconds: Histogram::new(INTAKE_BUCKETS), "intake_seconds", "From a mail's last byte to its durable decision";
    mails_sent: Family::default(), "outbound_sent", "Mails of the daemon that the relay has taken";
    mails_failed: Family::default(), "outbound_failed", "Mails of the daemon that were given up, or came back";
    mails_retried: Counter::default(), "outbound_retried", "Tries to send that will be repeated";
    redeemed: Counter::default(), "verifications_redeemed", "Verifications redeemed";
    accounts_created: Counter::default(), "accounts_created", "Accounts that came to be";
    store_failures: Counter::default(), "store_failures", "Failed writes of the store";
    panics: Counter::default(), "panics", "Panics, those that were caught included";
    http_requests: Family::default(), "http_requests", "HTTP answers";
    store_commits: Counter::default(), "store_commits", "Plans and other events that the store has made durable";
    store_syncs: Counter::default(), "store_syncs", "Syncs of the store's files; one serves all commits that wait";
    stage_seconds: stages(), "stage_seconds", "Parts of a mail's way";
    verification_steps: Family::default(), "verification_steps", "Verifications by what has become of them";
    trace_spans: Family::default(), "trace_spans", "Spans of traces that the collector has taken, and those that were dropped";
    outbox_waiting: Family::default(), "outbox_waiting", "Mails of the daemon that wait to be sent";
    outbox_oldest_seconds: Family::default(), "outbox_oldest_seconds", "Age of the oldest mail that waits to be sent; 0 when none waits";
    holds_by_age: Family::default(), "holds_by_age", "Mails that wait now, by how long";
    holds_oldest_seconds: Gauge::default(), "holds_oldest_seconds", "Age of the oldest mail that waits; 0 when none waits";
    link_guesser_keys: Gauge::default(), "link_guesser_keys", "Peers with unknown links that the rate limiter remembers";
    certificate_expiry: Family::default(), "tls_certificate_expiry_timestamp_seconds", "When the certificate ends, in seconds since 1970";
    store_bytes: Gauge::default(), "store_bytes", "Bytes that the files of the store take";
    store_free_bytes: Gauge::<f64, AtomicU64>::default(), "store_free_bytes", "Free bytes where the store writes";
    store_writable: Gauge::default(), "store_writable", "1 while the store takes writes";
}

impl Metrics {
    /// A mail of ours was taken.
    pub fn sent(&self, kind: &'static str) {
        self.mails_sent.get_or_create(&MailLabels { kind }).inc();
    }

    /// A mail of ours was given up, or came back.
    pub fn failed(&self, kind: &'static str) {
        self.mails_failed.get_or_create(&MailLabels { kind }).inc();
    }

    /// A part of a mail's way took so long.
    pub fn stage(&self, stage: &'static str, took: Duration) {
        self.stage_seconds.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
    }

    /// So many spans were `sent`, or `dropped`.
    pub fn spans(&self, result: &'static str, count: u64) {
        self.trace_spans.get_or_create(&SpanLabels { result }).inc_by(count);
    }

    /// A verification has come so far.
    pub fn step(&self, step: &'static str) {
        self.verification_steps.get_or_create(&StepLabels { step }).inc();
    }

    /// How long each hold has waited.
    pub fn holds_wait(&self, ages: impl Iterator<Item = Duration>) {
        let (mut counts, mut oldest) = ([0; AGES.len()], 0);
        for age in ages {
            let seconds = age.as_secs();
            oldest = oldest.max(seconds);
            let span = AGES.iter().position(|(under, _)| seconds < *under).unwrap_or(AGES.len() - 1);
            counts[span] += 1;
        }
        for ((_, age), count) in AGES.into_iter().zip(counts) {
            self.holds_by_age.get_or_create(&AgeLabels { age }).set(count);
        }
        self.holds_oldest_seconds.set(i64::try_from(oldest).unwrap_or(i64::MAX));
    }

    /// How many mails of a kind wait in the outbox, and for how long the oldest.
    pub fn outbox_waits(&self, kind: &'static str, count: usize, oldest: Duration) {
        let labels = MailLabels { kind };
        self.outbox_waiting.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        let seconds = i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX);
        self.outbox_oldest_seconds.get_or_create(&labels).set(seconds);
    }

    /// The same text for those who read the format of before `OpenMetrics` (version 0.0.4): a counter's name ends in
    /// `_total` in its HELP and TYPE lines too.
    pub fn render_plain(&self) -> String {
        let text = self.render();
        let lines = text.lines().filter(|line| *line != "# EOF");
        let counters: HashSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut out = String::with_capacity(text.len());
        for line in lines {
            let about = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
            let parts = about.and_then(|about| about.split_once(' '));
            match parts.filter(|(name, _)| counters.contains(name)) {
                Some((name, rest)) => {
                    out.extend([&line[..7], name, "_total ", rest, "\n"]);
                }
                None => out.extend([line, "\n"]),
            }
        }
        out
    }

    /// The text that `GET /metrics` answers to those who ask for `OpenMetrics`, as Prometheus does.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
