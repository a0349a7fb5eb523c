//! The audit log.

use axum::{Extension, Json, extract::Path, http::StatusCode};
use serde_json::{Value, json};

use super::params::{self, Params};
use crate::{
    access::advice,
    http::{App, Caller, NotReprocessed, problem::Problem},
    store::{DecisionFilter, DecisionRow, RawState},
    types::{EmailAddress, MailId},
};

/// `GET /decisions?mail_id=&sender=&domain=&outcome=&reason=&project=&since=&until=&facts=`. With `facts=1` each
/// decision at intake has the facts that it rests on, for those who decide it again.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = params.page()?;
    let filter = DecisionFilter {
        mail: params.optional("mail_id")?,
        sender: params.optional("sender")?,
        domain: params.optional("domain")?,
        outcome: params.word("outcome")?,
        reason: params.word("reason")?,
        project: params.optional("project")?,
        since: params.optional("since")?,
        until: params.optional("until")?,
    };
    let facts = match params.optional::<String>("facts")?.as_deref() {
        None => false,
        Some("1") => true,
        Some(_) => return Err(Problem::parameter("facts", "only 1 asks for them")),
    };
    params.done()?;
    let found = app.state.store.decisions(&filter, page).await?;
    Ok(Json(params::list(&found, |row| with_facts(row, facts))))
}

fn with_facts(row: &DecisionRow, facts: bool) -> Value {
    let mut value = value(row);
    if facts {
        value["facts"] = json!(row.facts);
    }
    value
}

/// `POST /decisions/MAIL-ID/reprocess?project=`: a dropped mail is decided again.
pub(super) async fn reprocess(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let project = params.optional("project")?;
    params.done()?;
    let id: MailId = id.parse().map_err(|error| Problem::not_found(format!("{error}.")))?;
    match (app.state.reprocess)(id, project, caller.name).await {
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

/// One line of the audit log. `cursor` is its place: an oldest-first list goes on behind it.
pub(super) fn value(row: &DecisionRow) -> Value {
    let advice = advice(row.reason, Some(&row.project), row.sender.as_ref());
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
        "actor": row.actor,
        "decided_by": advice.decided_by,
        "to_change": advice.to_change,
        "trail": row.trail,
        "settings_version": row.settings_version,
        "request": row.request,
        "held": row.held,
        "standing": row.standing,
        "cursor": row.seq.to_string(),
        "raw": match row.raw {
            RawState::Kept => json!("kept"),
            RawState::Gone => json!("gone"),
            RawState::None => Value::Null,
        },
        "forgotten": row.forgotten,
    })
}
