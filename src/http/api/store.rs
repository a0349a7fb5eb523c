//! Care of the running store.

use axum::{Extension, Json, http::StatusCode};
use tokio::time::Instant;

use super::params::Params;
use crate::{
    http::{App, Caller, problem::Problem},
    ops::{Event, StoreCompacted},
    store::{Compacted, Effort, Snapshot},
};

/// `POST /store/compact`: all that is past its retention goes now. It goes on when nobody waits for it any more.
pub(super) async fn compact(
    app: App,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Json<Compacted>, Problem> {
    params.done()?;
    let (retention, began) = (app.state.config.load().retention, Instant::now());
    let compacted = app.state.store.compact(&retention, app.state.ops.clock.now(), Effort::Full).await?;
    let actor = Some(caller.name.as_str());
    StoreCompacted::new(compacted.parts(), began.elapsed(), actor).emit(&app.state.ops);
    Ok(Json(compacted))
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
