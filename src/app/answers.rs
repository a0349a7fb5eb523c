//! What the API asks of the rooms beside it, as functions that it is handed.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Value, json};

use crate::{
    authn::Verifier,
    config::Config,
    http,
    intake::{self, Intake, Question},
    store::Store,
    types::TokenSeal,
};

/// What would happen to a mail.
pub(super) fn explainer(
    store: Arc<dyn Store>,
    seal: TokenSeal,
    config: Arc<ArcSwap<Config>>,
    verifier: Arc<ArcSwapOption<Verifier>>,
) -> http::Explain {
    Arc::new(move |http::ExplainRequest { raw, rcpts, client }| {
        let (store, seal) = (Arc::clone(&store), seal.clone());
        let (config, verifier) = (config.load_full(), verifier.load_full());
        Box::pin(async move {
            let question = Question { raw, rcpts, client };
            let verifier = verifier.as_deref();
            let explained = intake::explain_with(&*store, &seal, &config, verifier, &question).await;
            let explained = explained.map_err(|error| error.to_string())?;
            serde_json::to_value(explained).map_err(|error| error.to_string())
        })
    })
}

/// A dropped mail, decided again.
pub(super) fn reprocessor(intake: Intake) -> http::Reprocess {
    Arc::new(move |mail, project, actor| {
        let intake = intake.clone();
        Box::pin(async move {
            let done = intake.reprocess(mail, project, &actor).await;
            done.map(|done| reprocessed(&done)).map_err(not_reprocessed)
        })
    })
}

fn reprocessed(done: &intake::Reprocessed) -> Value {
    json!({
        "outcome": done.reason.outcome(),
        "reason": done.reason,
        "project": done.project,
        "request": done.entry.request,
        "held": done.entry.held,
    })
}

fn not_reprocessed(error: intake::NotReprocessed) -> http::NotReprocessed {
    use http::NotReprocessed::{Conflict, Gone, NotFound, Unavailable};
    use intake::NotReprocessed as Not;
    let text = format!("Nothing was changed: {error}.");
    match error {
        Not::NotFound => NotFound(text),
        Not::NotKept(until) => Gone(until),
        Not::Several(_) => Conflict(text, None),
        Not::Already(became) => Conflict(text, Some(("became", became))),
        Not::WouldDrop(reason) => Conflict(text, Some(("reason", reason.as_str().to_owned()))),
        Not::Unavailable(error) => Unavailable(error),
    }
}
