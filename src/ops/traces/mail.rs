//! The trace of one mail: `mail`, and below it receive, scan, authenticate, decide (one for each project) and commit. Its id is the
//! mail's. Names are those of OpenTelemetry's semantic conventions where there are some, else those of the log with `vestibule.`.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, StringValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time;

use super::Traces;
use crate::{
    authn::Verdict,
    ops::{MailDecided, Ops, random},
    smtp::{Delivery, Envelope},
};

/// What is noted of one mail; nothing where no trace is wanted.
pub(in crate::ops) struct MailTrace(Option<Box<Noted>>);

struct Noted {
    traces: Traces,
    id: TraceId,
    begun: Instant,
    attributes: Vec<KeyValue>,
    parts: Vec<Part>,
    results: Vec<StringValue>,
    decisions: Vec<Vec<KeyValue>>,
}

/// A part of a mail's way.
struct Part {
    name: &'static str,
    begun: Instant,
    ended: Instant,
}

impl MailTrace {
    pub(super) fn new(
        traces: Option<Traces>,
        envelope: &Envelope,
        bytes: usize,
        ended: time::Instant,
    ) -> Self {
        Self(traces.map(|traces| {
            let ended = ended.into_std();
            let begun = ended.checked_sub(envelope.took).unwrap_or(ended);
            Box::new(Noted {
                traces,
                id: TraceId::from_bytes(envelope.mail_id.uuid().into_bytes()),
                begun,
                attributes: of_envelope(envelope, bytes),
                parts: vec![Part { name: "receive", begun, ended }],
                results: Vec::new(),
                decisions: Vec::new(),
            })
        }))
    }

    pub(in crate::ops) fn stage(&mut self, name: &'static str, begun: time::Instant, ended: time::Instant) {
        if let Some(noted) = &mut self.0 {
            noted.parts.push(Part { name, begun: begun.into_std(), ended: ended.into_std() });
        }
    }

    pub(in crate::ops) fn judged(&mut self, verdict: &Verdict) {
        if let Some(noted) = &mut self.0 {
            let results = verdict.results.iter().map(|(method, result)| format!("{method}={result}").into());
            noted.results = results.collect();
            noted.attributes.push(KeyValue::new("vestibule.standing", verdict.evidence.standing.as_str()));
        }
    }

    pub(in crate::ops) fn decided(&mut self, ops: &Ops, decision: &MailDecided<'_>) {
        if let Some(noted) = &mut self.0 {
            if noted.decisions.is_empty() {
                noted.attributes.extend(of_sender(ops, decision));
            }
            noted.decisions.push(of_decision(decision));
        }
    }

    pub(in crate::ops) fn end(self, delivery: Delivery) {
        if let Some(noted) = self.0 {
            let traces = noted.traces.clone();
            traces.take(noted.spans(delivery));
        }
    }
}

impl Noted {
    /// The spans, the mail's first.
    fn spans(mut self, delivery: Delivery) -> Vec<SpanData> {
        let writer = Writer::new(self.id);
        self.attributes.push(KeyValue::new("vestibule.delivery", delivery.as_str()));
        let status = failure(delivery).map_or(Status::Unset, Status::error);
        if matches!(status, Status::Error { .. }) {
            self.attributes.push(KeyValue::new("error.type", delivery.as_str()));
        }
        let mut mail = writer.span(0, "mail", (self.begun, writer.now), self.attributes);
        (mail.span_kind, mail.status) = (SpanKind::Server, status);
        let mut spans = vec![mail];
        for part in self.parts {
            let of_part = match part.name {
                "authenticate" if !self.results.is_empty() => {
                    let results = Value::Array(std::mem::take(&mut self.results).into());
                    vec![vec![KeyValue::new("vestibule.results", results)]]
                }
                // All projects of a mail are decided together.
                "decide" if !self.decisions.is_empty() => std::mem::take(&mut self.decisions),
                _ => vec![Vec::new()],
            };
            for attributes in of_part {
                spans.push(writer.span(spans.len(), part.name, (part.begun, part.ended), attributes));
            }
        }
        spans
    }
}

/// What failed here; a mail that was refused for its own sake is no failure.
fn failure(delivery: Delivery) -> Option<&'static str> {
    match delivery {
        Delivery::Unavailable => Some("it was not taken: see the log; its relay will try again"),
        Delivery::SenderUnchecked => Some("DNS gave no answer; its relay will try again"),
        Delivery::Accepted | Delivery::Rejected | Delivery::TooComplex | Delivery::Nul => None,
    }
}

fn of_envelope(envelope: &Envelope, bytes: usize) -> Vec<KeyValue> {
    vec![
        KeyValue::new("network.protocol.name", "smtp"),
        KeyValue::new("client.address", envelope.peer.to_string()),
        KeyValue::new("network.peer.address", envelope.relay.to_string()),
        KeyValue::new("vestibule.mail_id", envelope.mail_id.to_string()),
        KeyValue::new("vestibule.session", envelope.session.to_string()),
        KeyValue::new("vestibule.bytes", i64::try_from(bytes).unwrap_or(i64::MAX)),
    ]
}

/// As in the log, `log.addresses` included.
fn of_sender(ops: &Ops, decision: &MailDecided<'_>) -> impl Iterator<Item = KeyValue> {
    let sender = decision.sender.map(|sender| ops.log_address(sender));
    let domain = decision.sender.map(|sender| sender.domain().to_string());
    let id = decision.message_id.map(str::to_owned);
    let known =
        [("vestibule.sender", sender), ("vestibule.sender_domain", domain), ("vestibule.message_id", id)];
    known.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?)))
}

fn of_decision(decision: &MailDecided<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("vestibule.project", decision.project.to_owned()),
        KeyValue::new("vestibule.outcome", decision.reason.outcome().as_str()),
        KeyValue::new("vestibule.reason", decision.reason.as_str()),
        KeyValue::new("vestibule.account", decision.account),
        KeyValue::new("vestibule.domain_list", decision.domain_list),
    ];
    for (name, id) in [("vestibule.request", &decision.request), ("vestibule.held", &decision.held)] {
        attributes.extend(id.clone().map(|id| KeyValue::new(name, id)));
    }
    attributes
}

/// Writes the spans of one trace.
struct Writer {
    trace: TraceId,
    /// The mail's span; those of its parts count up from it.
    root: u64,
    now: Instant,
    wall: SystemTime,
    scope: InstrumentationScope,
}

impl Writer {
    fn new(trace: TraceId) -> Self {
        let scope =
            InstrumentationScope::builder("vestibule").with_version(env!("CARGO_PKG_VERSION")).build();
        // Room for the parts above it, and never 0, which stands for no span.
        let root = (u64::from_be_bytes(random()) >> 1) | 1;
        Self { trace, root, now: Instant::now(), wall: SystemTime::now(), scope }
    }

    fn span(
        &self,
        number: usize,
        name: &'static str,
        (begun, ended): (Instant, Instant),
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        let id = SpanId::from(self.root + number as u64);
        let context = SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, TraceState::default());
        SpanData {
            span_context: context,
            parent_span_id: if number == 0 { SpanId::INVALID } else { SpanId::from(self.root) },
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: self.at(begun),
            end_time: self.at(ended),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// The time on the wall at an instant that has passed.
    fn at(&self, instant: Instant) -> SystemTime {
        let ago: Duration = self.now.saturating_duration_since(instant);
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}
