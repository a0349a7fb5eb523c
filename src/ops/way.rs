//! What a mail's way takes: each part goes into `vestibule_stage_seconds` and, where one is wanted, into the mail's trace.

use tokio::time::Instant;

use super::{Event, MailDecided, Ops, traces::MailTrace};
use crate::{
    authn::Verdict,
    smtp::{Delivery, Envelope},
};

/// One mail on its way, from its last byte to the answer.
pub struct Way<'a> {
    ops: &'a Ops,
    begun: Instant,
    trace: MailTrace,
}

impl<'a> Way<'a> {
    /// A mail of so many bytes, whose last one has just come.
    pub fn new(ops: &'a Ops, envelope: &Envelope, bytes: usize) -> Self {
        let begun = Instant::now();
        ops.metrics.stage("receive", envelope.took);
        Self { ops, begun, trace: ops.traces.begin(envelope, bytes, begun) }
    }

    /// When it began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// A part of it: scan, authenticate, decide or commit.
    pub fn stage(&mut self, stage: &'static str, begun: Instant, ended: Instant) {
        self.ops.metrics.stage(stage, ended.saturating_duration_since(begun));
        self.trace.stage(stage, begun, ended);
    }

    /// What was found out about the sender.
    pub fn judged(&mut self, verdict: &Verdict) {
        self.trace.judged(verdict);
    }

    /// A decision, which is told.
    pub fn decided(&mut self, decision: MailDecided<'_>) {
        self.trace.decided(self.ops, &decision);
        decision.emit(self.ops);
    }

    /// What its relay is told.
    pub fn end(self, delivery: Delivery) {
        self.trace.end(delivery);
    }
}
