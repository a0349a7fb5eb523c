//! All that is known of one sender: the answer to "she says she clicked and nothing came".

use axum::{
    Extension, Json,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{accounts, decisions, held, params::Params};
use crate::{
    http::{App, Caller, problem::Problem},
    store::{DeliveryRow, VerificationMail, VerificationView},
    types::{EmailAddress, Time},
    verify::{NewLink, SenderReport, VerifyError},
};

/// `GET /senders/ADDRESS`.
pub(super) async fn report(
    app: App,
    Path(address): Path<String>,
    params: Params,
) -> Result<Json<Value>, Problem> {
    params.done()?;
    let address = accounts::address(&address)?;
    let report = app.state.verify.report(&address).await?;
    Ok(Json(value(&address, &report)))
}

/// Every field is named here: a delivery's token must not leave the store, not even sealed (security: A04).
fn value(address: &EmailAddress, report: &SenderReport) -> Value {
    let verifications: Vec<Value> = report.verifications.iter().map(verification).collect();
    let held: Vec<Value> = report.held.iter().map(held::value).collect();
    let deliveries: Vec<Value> = report.deliveries.iter().map(delivery).collect();
    let decisions: Vec<Value> = report.decisions.iter().map(decisions::value).collect();
    json!({
        "address": address,
        "account": report.account.as_ref().map(accounts::value),
        "verifications": verifications,
        "held": held,
        "deliveries": deliveries,
        "decisions": decisions,
        "quiet_until": report.quiet_until,
        "never_mailed": report.never_mailed,
    })
}

/// `state` is pending, verified, disowned or moot; beside it stand when it ended and what came of it.
fn verification(view: &VerificationView) -> Value {
    let mut value = json!({ "id": view.id, "asked_at": view.asked_at, "opened_at": view.opened_at });
    flatten(&mut value, &json!(view.state));
    value["mails"] = view.mails.iter().map(mail).collect();
    value
}

fn mail(mail: &VerificationMail) -> Value {
    let mut value = json!({
        "id": mail.id,
        "enqueued_at": mail.enqueued_at,
        "due_at": mail.due_at,
        "expires_at": mail.expires_at,
    });
    flatten(&mut value, &json!(mail.state));
    value
}

fn flatten(into: &mut Value, state: &Value) {
    for (name, member) in state.as_object().into_iter().flatten() {
        into[name.as_str()] = member.clone();
    }
}

fn delivery(row: &DeliveryRow) -> Value {
    json!({
        "id": row.delivery.id,
        "kind": row.delivery.kind.as_str(),
        "enqueued_at": row.enqueued_at,
        "due_at": row.due_at,
        "attempts": row.attempts,
        "last_error": row.last_error,
    })
}

/// `POST /senders/ADDRESS/resend`: a new verification mail, within the caps.
pub(super) async fn resend(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(address): Path<String>,
    params: Params,
) -> Result<Response, Problem> {
    params.done()?;
    let address = accounts::address(&address)?;
    match app.state.verify.resend(&address, &caller.name).await {
        Ok(link) => resent(app.state.ops.clock.now(), link),
        Err(VerifyError::NotFound) => Err(nothing_waits()),
        Err(error) => Err(error.into()),
    }
}

fn resent(now: Time, link: NewLink) -> Result<Response, Problem> {
    match link {
        NewLink::Sent => Ok(Json(json!({ "result": "sent" })).into_response()),
        NewLink::Delayed(at) => {
            let body = Json(json!({ "result": "delayed", "at": at }));
            Ok((StatusCode::ACCEPTED, body).into_response())
        }
        NewLink::TooSoon(at) => {
            let detail =
                format!("The last mail is younger than verification.resend_after; the next can go at {at}.");
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .with("at", at.to_string())
                .retry_at(now, at))
        }
        NewLink::Never => {
            let detail = "The address gets no verification mail: verification.never_mail names it, or its owner has \
                          disowned mail in its name. Release what waits, or discard it.";
            Err(Problem::new(StatusCode::CONFLICT, detail).with("reason", "never-mailed"))
        }
        NewLink::Nothing => Err(nothing_waits()),
    }
}

fn nothing_waits() -> Problem {
    Problem::not_found("No mail of this address waits for a verification.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_resend_has_its_status() {
        let at = |millis| Time::from_millis(millis);
        for (link, status) in [
            (NewLink::Sent, 200),
            (NewLink::Delayed(at(9)), 202),
            (NewLink::TooSoon(at(61_000)), 429),
            (NewLink::Never, 409),
            (NewLink::Nothing, 404),
        ] {
            let response = resent(at(1000), link).unwrap_or_else(IntoResponse::into_response);
            assert_eq!(response.status().as_u16(), status, "{link:?}");
            if status == 429 {
                assert_eq!(response.headers()["retry-after"], "60");
            }
        }
    }
}
