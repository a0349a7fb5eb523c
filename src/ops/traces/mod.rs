//! Traces, one a mail, for a collector that takes OTLP over HTTP (`[otlp]`, cargo feature `otlp`).
//!
//! A mail's spans are made once it has its answer, and wait in a bounded queue for a thread of their own. Where the collector
//! does not take them they are dropped and counted: no mail waits for it, and the queue does not grow. Only the end of the
//! daemon waits, for [`FLUSH`] at most.

mod books;
mod collector;
mod mail;
mod pipeline;

use std::{sync::Arc, thread, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::{ConfigWarning, Event, Ops};
use crate::{config::Config, smtp::Envelope};
pub(super) use mail::MailTrace;
use pipeline::Pipeline;

/// For what waits when the daemon stops.
const FLUSH: Duration = Duration::from_secs(2);
/// For what waits when the settings send the next ones elsewhere: more than a full queue takes at a collector that is away.
const HAND_OVER: Duration = Duration::from_mins(10);

/// Where traces go, if anywhere. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Traces(Arc<ArcSwapOption<Pipeline>>);

impl Traces {
    /// The trace of a mail whose last byte has just come; an empty one where none is wanted.
    pub(super) fn begin(&self, envelope: &Envelope, bytes: usize, begun: Instant) -> MailTrace {
        let wanted = self.0.load().as_ref().is_some_and(|pipeline| pipeline.wants(envelope.mail_id));
        MailTrace::new(wanted.then(|| self.clone()), envelope, bytes, begun)
    }

    fn take(&self, spans: Vec<opentelemetry_sdk::trace::SpanData>) {
        if let Some(pipeline) = &*self.0.load() {
            pipeline.take(spans);
        }
    }
}

impl Ops {
    /// Puts `[otlp]` in force. What cannot be made is a warning, and what was in force stays: mail goes on without traces.
    pub fn set_traces(&self, config: &Config) {
        let current = &self.traces.0;
        if current.load().as_ref().map(|pipeline| pipeline.settings())
            == Pipeline::settings_of(config).as_ref()
        {
            return;
        }
        let next = match Pipeline::new(config, self) {
            Ok(next) => next,
            Err(error) => {
                let warning = format!("otlp.endpoint: no traces can be sent there: {error}");
                return ConfigWarning { warning: &warning }.emit(self);
            }
        };
        if let Some(before) = current.swap(next.map(Arc::new)) {
            // It waits for the collector before.
            thread::spawn(move || before.stop(HAND_OVER));
        }
    }

    /// Hands on what waits, within [`FLUSH`]; mails that end later are not traced.
    pub async fn stop_traces(&self) {
        if let Some(pipeline) = self.traces.0.swap(None) {
            let _ = tokio::task::spawn_blocking(move || pipeline.stop(FLUSH)).await;
        }
    }
}
