//! The audit log.

use axum::Json;
use serde_json::{Value, json};

use super::params::{self, Params};
use crate::{
    http::{App, problem::Problem},
    store::{DecisionFilter, DecisionRow, RawState},
    types::EmailAddress,
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
