//! The audit log.

use axum::{Json, extract::Path, http::StatusCode};
use serde_json::{Value, json};

use super::params::{self, Params};
use crate::{
    http::{App, NotReprocessed, problem::Problem},
    store::{DecisionFilter, DecisionRow, RawState},
    types::{EmailAddress, MailId},
};

/// `GET /decisions?sender=&outcome=&reason=&project=&since=`.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = params.page()?;
    let filter = DecisionFilter {
        sender: params.optional("sender")?,
        outcome: params.word("outcome")?,
        reason: params.word("reason")?,
        project: params.optional("project")?,
        since: params.optional("since")?,
    };
    params.done()?;
    let found = app.state.store.decisions(&filter, page).await?;
    Ok(Json(params::list(&found, value)))
}

/// `POST /decisions/MAIL-ID/reprocess?project=`: a dropped mail is decided again.
pub(super) async fn reprocess(
    app: App,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let project = params.optional("project")?;
    params.done()?;
    let id: MailId = id.parse().map_err(|error| Problem::not_found(format!("{error}.")))?;
    match (app.state.reprocess)(id, project).await {
        Ok(done) => Ok(Json(done)),
        Err(NotReprocessed::NotFound(why)) => Err(Problem::not_found(why)),
        Err(NotReprocessed::Gone(until)) => Err(Problem::expired(until)),
        Err(NotReprocessed::Conflict(why, more)) => {
            let problem = Problem::new(StatusCode::CONFLICT, why);
            Err(match more {
                Some((name, value)) => problem.with(name, value),
                None => problem,
            })
        }
        Err(NotReprocessed::Unavailable(error)) => Err(Problem::unavailable(error)),
    }
}

/// One line of the audit log.
pub(super) fn value(row: &DecisionRow) -> Value {
    json!({
        "at": row.at,
        "mail_id": row.mail_id,
        "message_id": row.message_id,
        "sender": row.sender,
        "sender_domain": row.sender.as_ref().map(EmailAddress::domain),
        "project": row.project,
        "outcome": row.outcome,
        "reason": row.reason,
        "basis": row.basis,
        "trail": row.trail,
        "settings_version": row.settings_version,
        "request": row.request,
        "held": row.held,
        "raw": match row.raw {
            RawState::Kept => json!("kept"),
            RawState::Gone => json!("gone"),
            RawState::None => Value::Null,
        },
    })
}
