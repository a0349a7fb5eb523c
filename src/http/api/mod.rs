//! The API below `/api/v1/` (contract: *HTTP*). Whoever has its token is a site administrator.

mod accounts;
mod auth;
mod body;
mod change;
mod content;
mod decisions;
mod explain;
mod held;
mod import;
mod params;
mod percent;
mod requests;
mod senders;
mod store;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};

use super::{Context, carry, router};

/// Largest JSON body in bytes: ten thousand accounts with long names are half of it.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Everything below `/api/v1/`, behind the token; what is not there is behind it too.
pub(super) fn routes(context: &Arc<Context>) -> Router<Arc<Context>> {
    Router::new()
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(requests::one).patch(requests::patch))
        .route("/requests/{id}/raw", get(requests::raw))
        .route("/requests/{id}/html", get(requests::html))
        .route("/requests/{id}/attachments/{n}", get(requests::attachment))
        .route("/requests/{id}/comments/{comment}/raw", get(requests::comment_raw))
        .route("/requests/{id}/comments/{comment}/html", get(requests::comment_html))
        .route("/requests/{id}/comments/{comment}/attachments/{n}", get(requests::comment_attachment))
        .route("/held", get(held::list))
        .route("/held/{id}", get(held::one).delete(held::discard))
        .route("/held/{id}/release", post(held::release))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route("/accounts/import", post(import::import))
        .route("/accounts/{address}", get(accounts::one).patch(accounts::patch).delete(accounts::delete))
        .route("/senders/{address}", get(senders::report))
        .route("/senders/{address}/resend", post(senders::resend))
        .route("/decisions", get(decisions::list))
        .route("/decisions/{id}/reprocess", post(decisions::reprocess))
        .route("/store/compact", post(store::compact))
        .route("/store/snapshot", post(store::snapshot).delete(store::drop_snapshot))
        .layer(from_fn_with_state(Arc::clone(context), carry::through))
        // Changes nothing, and takes bodies that are not to be kept waiting in memory.
        .route("/explain", post(explain::explain))
        .method_not_allowed_fallback(router::method_not_allowed)
        .fallback(router::nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(context), auth::require_token))
}
