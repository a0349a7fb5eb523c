//! Mails that wait.

use axum::{Extension, Json, extract::Path, http::StatusCode};
use serde_json::{Value, json};

use super::params::{self, Params};
use crate::{
    access::Reason,
    http::{App, Caller, problem::Problem},
    store::{HeldFilter, HeldRow},
    types::HeldId,
    verify::Release,
};

/// `GET /held?sender=&project=`.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = params.page()?;
    let filter = HeldFilter { sender: params.optional("sender")?, project: params.optional("project")? };
    params.done()?;
    let found = app.state.store.held_mails(&filter, page).await?;
    Ok(Json(params::list(&found, value)))
}

/// `GET /held/ID`.
pub(super) async fn one(app: App, Path(id): Path<String>, params: Params) -> Result<Json<Value>, Problem> {
    params.done()?;
    let id = read(&id)?;
    let missing = || Problem::not_found(format!("No mail {id} waits."));
    let row = app.state.store.held(id).await?.ok_or_else(missing)?;
    Ok(Json(value(&row)))
}

/// `POST /held/ID/release`: decided again with its sender proven; where that would drop it, nothing changes.
pub(super) async fn release(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, Problem> {
    params.done()?;
    match app.state.verify.release(read(&id)?, &caller.name).await? {
        Release::Created { reason, request, project } => Ok(Json(json!({
            "outcome": reason.outcome(),
            "reason": reason,
            "request": request,
            "project": project,
        }))),
        Release::WouldDrop(reason) => Err(would_drop(reason)),
    }
}

fn would_drop(reason: Reason) -> Problem {
    let detail = format!("The mail would be dropped as {}, so nothing was changed.", reason.as_str());
    Problem::new(StatusCode::CONFLICT, detail).with("reason", reason.as_str())
}

/// `DELETE /held/ID`.
pub(super) async fn discard(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.done()?;
    app.state.verify.discard(read(&id)?, &caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(id: &str) -> Result<HeldId, Problem> {
    id.parse().map_err(|error| Problem::not_found(format!("{error}.")))
}

/// A waiting mail as lists show it.
pub(super) fn value(row: &HeldRow) -> Value {
    json!({
        "id": row.id,
        "mail_id": row.mail_id,
        "message_id": row.message_id,
        "project": row.project,
        "sender": row.sender,
        "sender_name": row.sender_name,
        "sent_by": row.sent_by,
        "subject": row.subject,
        "reason": row.reason,
        "received_at": row.received_at,
        "expires_at": row.expires_at,
    })
}
