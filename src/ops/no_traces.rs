//! In the place of `traces` where the cargo feature `otlp` is off: nothing is noted, nothing is sent.

use tokio::time::Instant;

use super::{MailDecided, Ops};
use crate::{
    authn::Verdict,
    config::Config,
    smtp::{Delivery, Envelope},
};

#[derive(Clone, Default)]
pub(super) struct Traces {}

impl Traces {
    #[expect(clippy::unused_self, reason = "the same as with the feature")]
    pub(super) fn begin(&self, _envelope: &Envelope, _bytes: usize, _begun: Instant) -> MailTrace {
        MailTrace
    }
}

impl Ops {
    /// Nothing: `[otlp]` is refused by the configuration.
    pub fn set_traces(&self, _config: &Config) {}

    /// Nothing.
    #[expect(clippy::unused_async, reason = "the same as with the feature")]
    pub async fn stop_traces(&self) {}
}

pub(super) struct MailTrace;

#[expect(clippy::unused_self, reason = "the same as with the feature")]
impl MailTrace {
    pub(super) fn stage(&mut self, _stage: &'static str, _begun: Instant, _ended: Instant) {}

    pub(super) fn judged(&mut self, _verdict: &Verdict) {}

    pub(super) fn decided(&mut self, _ops: &Ops, _decision: &MailDecided<'_>) {}

    pub(super) fn end(self, _delivery: Delivery) {}
}
