//! Carrying through what changes something.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, problem::Problem};
use crate::ops::words_of;

/// Runs a change as a task of its own, once its body is there: hyper drops a handler when its client hangs up, and what was
/// committed must still be logged and counted. The daemon waits for it when it stops.
pub(super) async fn through(app: App, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let whole = match buffered(request).await {
        Ok(whole) => whole,
        Err(problem) => return problem.into_response(),
    };
    let daemon_waits = app.state.shutdown.handle();
    let task = tokio::spawn(async move {
        let response = next.run(whole).await;
        drop(daemon_waits);
        response
    });
    task.await.unwrap_or_else(|panic| {
        let detail = "This is a fault of the daemon; its log says more.";
        let mut problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        problem.log = Some(format!("the change did not end: {}", words_of(&panic)));
        problem.into_response()
    })
}

/// The request with all of its body, within the limit of its route.
async fn buffered(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let kept = parts.clone();
    match Bytes::from_request(Request::from_parts(parts, body), &()).await {
        Ok(bytes) => Ok(Request::from_parts(kept, Body::from(bytes))),
        Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
    }
}
