//! Which listener answers what.

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
};

use super::{Context, access_log, api, health, pages, problem::Problem};

/// The verification pages alone; everything else is not there.
pub(super) fn pages_only(context: &Arc<Context>) -> Router {
    surround(pages::routes(context).fallback(pages::nothing_here), context)
}

/// API, health and metrics alone.
pub(super) fn admin_only(context: &Arc<Context>) -> Router {
    surround(admin(context).fallback(nothing_here), context)
}

/// Both on one listener.
pub(super) fn everything(context: &Arc<Context>) -> Router {
    surround(admin(context).merge(pages::routes(context)).fallback(pages::nothing_here), context)
}

fn admin(context: &Arc<Context>) -> Router<Arc<Context>> {
    let health = health::routes().method_not_allowed_fallback(method_not_allowed);
    health.nest("/api/v1", api::routes(context))
}

/// What every answer passes, from the inside out: deadline, headers, log.
fn surround(router: Router<Arc<Context>>, context: &Arc<Context>) -> Router {
    router
        .layer(from_fn(access_log::deadline))
        .layer(from_fn(access_log::harden))
        .layer(from_fn_with_state(Arc::clone(context), access_log::log))
        .with_state(Arc::clone(context))
}

/// 404 for programs.
pub(super) async fn nothing_here() -> Problem {
    Problem::not_found("There is nothing at this path. The API is below /api/v1/.")
}

/// 405 for programs; axum adds the `Allow` field.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not take this method; see the Allow field.")
}
