//! Care of the running store.

use axum::{Extension, Json, http::StatusCode};
use tokio::time::Instant;

use super::params::Params;
use crate::{
    http::{App, Caller, State, problem::Problem},
    ops::{Event, StoreCompacted},
    store::{CommitError, Compacted, Effort, Snapshot},
    types::Actor,
};

/// `POST /store/compact`: all that is past its retention goes now. It goes on when nobody waits for it any more.
pub(super) async fn compact(
    app: App,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Json<Compacted>, Problem> {
    params.done()?;
    Ok(Json(compacted(&app.state, Effort::Full, &caller.name).await?))
}

/// Compacts, and says so in the log.
pub(super) async fn compacted(
    state: &State,
    effort: Effort,
    actor: &Actor,
) -> Result<Compacted, CommitError> {
    let (retention, began) = (state.config.load().retention, Instant::now());
    let compacted = state.store.compact(&retention, state.ops.clock.now(), effort).await?;
    StoreCompacted::new(compacted.parts(), began.elapsed(), Some(actor.as_str())).emit(&state.ops);
    Ok(compacted)
}

/// `POST /store/snapshot`: the files of this moment, for `vestibule backup`; they stay until they are dropped.
pub(super) async fn snapshot(app: App, params: Params) -> Result<Json<Snapshot>, Problem> {
    params.done()?;
    Ok(Json(app.state.store.snapshot().await?))
}

/// `DELETE /store/snapshot`.
pub(super) async fn drop_snapshot(app: App, params: Params) -> Result<StatusCode, Problem> {
    params.done()?;
    app.state.store.drop_snapshot().await?;
    Ok(StatusCode::NO_CONTENT)
}
