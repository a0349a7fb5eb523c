//! From the end of a mail to the collector: a bounded queue, a thread, a request for each batch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor},
};

use super::{
    books::Books,
    collector::{Collector, Said},
};
use crate::{
    config::{Config, OtlpConfig},
    ops::Ops,
    types::MailId,
};

/// Most spans that wait, those of the request under way included: about 10 MB.
const QUEUE: usize = 8192;
/// Most spans of one request.
const BATCH: usize = 512;
/// Longest wait for more spans.
const DELAY: Duration = Duration::from_secs(1);
/// For one request with its repetitions.
const EXPORT: Duration = Duration::from_secs(10);

/// A way to one collector.
pub(super) struct Pipeline {
    settings: Settings,
    /// A mail is traced where the random end of its id is below this, in 2^-32.
    threshold: u64,
    processor: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    books: Arc<Books>,
}

/// What it rests on: with other settings another one is made.
pub(super) type Settings = (OtlpConfig, String);

impl Pipeline {
    /// `None` where no traces are wanted.
    pub(super) fn new(config: &Config, ops: &Ops) -> Result<Option<Self>, String> {
        let Some(settings) = Self::settings_of(config) else { return Ok(None) };
        let (books, waiting) = (Arc::new(Books::new(ops)), Arc::<AtomicUsize>::default());
        let exporter = Exporter::new(&settings, Arc::clone(&waiting), Arc::clone(&books))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY);
        let processor = BatchSpanProcessor::new(exporter, batches.build());
        let threshold = threshold(settings.0.sample_ratio);
        Ok(Some(Self { settings, threshold, processor, waiting, books }))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn settings_of(config: &Config) -> Option<Settings> {
        config.otlp.clone().map(|otlp| (otlp, config.hostname.to_string()))
    }

    /// Whether the mail is traced.
    pub(super) fn wants(&self, mail: MailId) -> bool {
        random_end(mail) < self.threshold
    }

    /// Queues the spans of one trace, all or none.
    pub(super) fn take(&self, spans: Vec<SpanData>) {
        let count = spans.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > QUEUE {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return self.books.dropped(count, "the queue is full: the collector takes them too slowly");
        }
        for span in spans {
            self.processor.on_end(span);
        }
    }

    /// Hands on what waits; gives up after `limit`.
    pub(super) fn stop(&self, limit: Duration) {
        let ended = self.processor.shutdown_with_timeout(limit);
        let left = self.waiting.load(Ordering::Relaxed);
        if let (Err(error), 1..) = (ended, left) {
            self.books.dropped(left, &format!("not sent before the end: {error}"));
        }
        self.books.close();
    }
}

/// The ratio in 2^-32.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the ratio is from 0 to 1, so the product is from 0 to 2^32"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio * 4_294_967_296.0) as u64
}

/// The last 32 bits of the id. All before them are the time and a counter, which mails of one millisecond share.
fn random_end(mail: MailId) -> u64 {
    mail.uuid().as_u64_pair().1 & u64::from(u32::MAX)
}

/// Counts what becomes of each batch.
#[derive(Debug)]
struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    said: Arc<Said>,
    waiting: Arc<AtomicUsize>,
    books: Arc<Books>,
}

impl Exporter {
    fn new(
        (otlp, instance): &Settings,
        waiting: Arc<AtomicUsize>,
        books: Arc<Books>,
    ) -> Result<Self, String> {
        let said = Arc::<Said>::default();
        let collector = Collector::new(&otlp.endpoint, Arc::clone(&said))?;
        let built = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&otlp.endpoint)
            .with_headers(otlp.headers.iter().cloned().collect())
            .with_timeout(EXPORT)
            .with_http_client(collector)
            .build();
        let mut exporter = built.map_err(|error| error.to_string())?;
        exporter.set_resource(&resource(instance));
        Ok(Self { otlp: exporter, said, waiting, books })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.otlp.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let (rejected, words) = self.said.take();
        match &result {
            Ok(()) => {
                let rejected = rejected.min(count);
                self.books.sent(count - rejected);
                self.books.dropped(rejected, &words);
            }
            Err(error) if words.is_empty() => self.books.dropped(count, &error.to_string()),
            Err(_) => self.books.dropped(count, &words),
        }
        result
    }
}

/// Who sends the traces, in the names of OpenTelemetry's semantic conventions. `OTEL_RESOURCE_ATTRIBUTES` may add to it.
fn resource(instance: &str) -> Resource {
    Resource::builder()
        .with_service_name("vestibule")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ])
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_end_of_the_id_decides() {
        let id = |end: u32| MailId::new(uuid::Uuid::from_u128(u128::MAX << 32 | u128::from(end)));
        let (first, half, last) = (id(0), id(1 << 31), id(u32::MAX));
        for (ratio, wanted) in [
            (0.0, [false, false, false]),
            (0.001, [true, false, false]),
            (0.5, [true, false, false]),
            (0.501, [true, true, false]),
            (1.0, [true, true, true]),
        ] {
            let threshold = threshold(ratio);
            assert_eq!([first, half, last].map(|id| random_end(id) < threshold), wanted, "{ratio}");
        }
        let ids = (0..10_000)
            .map(|_| MailId::new(crate::ops::time_ordered_uuid(crate::types::Time::from_millis(0))));
        let traced = ids.filter(|id| random_end(*id) < threshold(0.1)).count();
        assert!((700..1300).contains(&traced), "{traced} of 10000 at 0.1");
    }
}
