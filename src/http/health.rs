//! Alive, ready, and the counters.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{App, Context, State};
use crate::{
    access::Reason,
    ops::{DecisionLabels, Metrics},
    store::DeliveryKind,
};

/// Media type of Prometheus's `OpenMetrics` text, which is what `Metrics::render` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of the older text, which is what `Metrics::render_plain` writes.
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A decision may be counted between two reads; the gaps are read again so often before they are believed.
const READS: usize = 3;

/// `/healthz`, `/readyz`, `/metrics`.
pub(super) fn routes() -> Router<Arc<Context>> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive", "problem": null }))
}

async fn ready(app: App) -> Response {
    match readiness(&app.state) {
        Ok(()) => Json(json!({ "status": "ready", "problem": null })).into_response(),
        Err(problem) => {
            let body = Json(json!({ "status": "not ready", "problem": problem }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// Ready when mail sent now would be taken: listening, not stopping, the store takes writes.
fn readiness(state: &State) -> Result<(), String> {
    if state.shutdown.has_begun() {
        return Err("stopping".to_owned());
    }
    (state.ready)()?;
    let health = state.store.health();
    if health.writable {
        return Ok(());
    }
    Err(format!("the store takes no writes: {}", health.problem.as_deref().unwrap_or("no reason given")))
}

/// `OpenMetrics` for those who take it, and for those who don't say; the older text for those who take something else only.
async fn metrics(app: App, headers: HeaderMap) -> Response {
    app.books.refresh(&app.state).await;
    let metrics = &app.state.ops.metrics;
    metrics.link_guesser_keys.set(i64::try_from(app.guard.keys()).unwrap_or(i64::MAX));
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    if accepted.contains("openmetrics") || accepted.contains("*/*") && !accepted.contains("text/plain") {
        return ([(CONTENT_TYPE, OPEN_METRICS)], metrics.render()).into_response();
    }
    ([(CONTENT_TYPE, PLAIN_METRICS)], metrics.render_plain()).into_response()
}

/// Keeps what the gauges are reckoned from.
pub(super) struct Books {
    /// Holds that waited before this process made its first.
    waited_before: i64,
}

impl Books {
    /// Opens the books. Holds that the process has made already are taken out of those that wait.
    pub(super) async fn open(state: &State) -> Self {
        let waiting = state.store.held_count().await.map_or(0, signed);
        let (made, resolved) = holds(&state.ops.metrics);
        Self { waited_before: waiting + resolved - made }
    }

    /// Brings the gauges up to date. What the store can't tell now stays as it was.
    async fn refresh(&self, state: &State) {
        let metrics = &state.ops.metrics;
        let health = state.store.health();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes is exact up to 8 PiB")]
        metrics.store_free_bytes.set(health.free as f64);
        metrics.store_writable.set(health.writable.into());
        // The store counts; what it says replaces what was said before.
        metrics.store_commits.inner().store(health.work.commits, Ordering::Relaxed);
        metrics.store_syncs.inner().store(health.work.syncs, Ordering::Relaxed);
        metrics.intake_gap.set(intake_gap(metrics));
        what_waits(state).await;
        for _ in 0..READS {
            let Ok(waiting) = state.store.held_count().await.map(signed) else { return };
            let (made, resolved) = holds(metrics);
            metrics.holds_waiting.set(waiting);
            metrics.holds_gap.set(self.waited_before + made - resolved - waiting);
            if metrics.holds_gap.get() == 0 {
                return;
            }
        }
    }
}

/// What the store can't tell now stays as it was.
async fn what_waits(state: &State) {
    let (metrics, now) = (&state.ops.metrics, state.ops.clock.now());
    let Ok(backlog) = state.store.backlog().await else { return };
    for kind in DeliveryKind::ALL {
        let times = || backlog.outbox.iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at);
        let oldest = times().min().map_or(Duration::ZERO, |oldest| now.since(oldest));
        metrics.outbox_waits(kind, times().count(), oldest);
    }
    metrics.holds_wait(backlog.held.iter().map(|came| now.since(*came)));
}

fn intake_gap(metrics: &Metrics) -> i64 {
    let mut gap = 0;
    for _ in 0..READS {
        let accepted = metrics.accepted.get();
        gap = signed(accepted) - signed(sum(|labels| metrics.decided.get(labels).map(|c| c.get())));
        if gap == 0 {
            break;
        }
    }
    gap
}

fn holds(metrics: &Metrics) -> (i64, i64) {
    let resolved = sum(|labels| metrics.holds_resolved.get(labels).map(|c| c.get()));
    (signed(metrics.holds_made.get()), signed(resolved))
}

/// The sum of a family over all reasons; each has exactly one outcome.
fn sum(count: impl Fn(&DecisionLabels) -> Option<u64>) -> u64 {
    let labels =
        |reason: &Reason| DecisionLabels { outcome: reason.outcome().as_str(), reason: reason.as_str() };
    Reason::ALL.iter().filter_map(|reason| count(&labels(reason))).sum()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
