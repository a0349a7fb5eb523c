//! What surrounds every handler: one log line and one count, the deadline, and the headers that everything carries.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, Caller, problem::Problem};
use crate::ops::{Event, HttpAnswered, HttpFailed};

/// Longest that a handler may take, the request's body included: a slow sender can't hold it longer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// Writes one line and counts, by route and status, with the name of the token; never the path or query.
pub(super) async fn log(app: App, request: Request, next: Next) -> Response {
    let ops = app.state.ops.clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = request.method().clone();
    let begun = ops.clock.now();
    let response = next.run(request).await;
    if let Some(error) = response.extensions().get::<Problem>().and_then(|problem| problem.log.as_deref()) {
        HttpFailed { route, error }.emit(&ops);
    }
    let (status, elapsed) = (response.status().as_u16(), ops.clock.now().since(begun));
    let actor = response.extensions().get::<Caller>().map(|caller| caller.name.as_str());
    let changes = actor.is_some() && !method.is_safe();
    HttpAnswered { method: method.as_str(), route, actor, changes, status, elapsed }.emit(&ops);
    response
}

/// Ends what takes too long.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "The request was not complete within 30 seconds.")
            .into_response()
    })
}

/// Headers of every answer; a handler's own value stays.
const HEADERS: [(HeaderName, &str); 9] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Adds the headers that keep links out of logs, caches, frames and other sites' hands (security: K07).
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    add_missing(response.headers_mut());
    response
}

fn add_missing(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
