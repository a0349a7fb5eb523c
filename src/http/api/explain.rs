//! What would happen to a mail that is not taken in.

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use serde_json::Value;

use super::params::Params;
use crate::http::{App, ExplainRequest, problem::Problem};

/// `POST /explain?rcpt=&client_ip=`: the trail for a message/rfc822 body, as large as SMTP would take it. With
/// authentication.mode = "verify" it asks DNS, and SPF for the client's address where it is given.
pub(super) async fn explain(
    app: App,
    mut params: Params,
    mut request: Request,
) -> Result<Json<Value>, Problem> {
    let rcpts = params.repeated("rcpt");
    let client = params.optional("client_ip")?;
    params.done()?;
    mail_type(request.headers())?;
    let limit = usize::try_from(app.state.config.load().smtp.max_message_size).unwrap_or(usize::MAX);
    DefaultBodyLimit::max(limit).apply(&mut request);
    let raw = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let mistake = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    (app.state.explain)(ExplainRequest { raw, rcpts, client }).await.map(Json).map_err(mistake)
}

fn mail_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("message/rfc822") {
        return Ok(());
    }
    let detail = "Send the mail as it is, with Content-Type: message/rfc822.";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}
