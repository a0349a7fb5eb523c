//! The API below `/api/v1/` (contract: *HTTP*). What a caller may do, the role of the token says.

mod accounts;
mod auth;
mod body;
mod calls;
mod change;
mod content;
mod decisions;
mod explain;
mod forget;
mod held;
mod import;
mod params;
mod percent;
mod requests;
mod senders;
mod store;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state};

use self::calls::Calls;
#[cfg(test)]
pub(super) use self::calls::Listed;
use super::{Context, carry, router};
use crate::config::ApiRole::{Admin, HelpDesk, Read};

/// Largest JSON body in bytes: ten thousand accounts with long names are half of it.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Everything below `/api/v1/`, behind the token; what is not there is behind it too.
pub(super) fn routes(context: &Arc<Context>) -> Router<Arc<Context>> {
    calls()
        .router
        .layer(from_fn_with_state(Arc::clone(context), carry::through))
        .merge(streamed().router)
        .method_not_allowed_fallback(router::method_not_allowed)
        .fallback(router::nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(context), auth::require_token))
}

/// The calls, each with the least role that may make it. docs/tokens.md has the same table.
fn calls() -> Calls {
    Calls::default()
        .get(Read, "/requests", requests::list)
        .get(Read, "/requests/{id}", requests::one)
        .patch(Admin, "/requests/{id}", requests::patch)
        .get(Read, "/requests/{id}/raw", requests::raw)
        .get(Read, "/requests/{id}/html", requests::html)
        .get(Read, "/requests/{id}/attachments/{n}", requests::attachment)
        .get(Read, "/requests/{id}/comments/{comment}/raw", requests::comment_raw)
        .get(Read, "/requests/{id}/comments/{comment}/html", requests::comment_html)
        .get(Read, "/requests/{id}/comments/{comment}/attachments/{n}", requests::comment_attachment)
        .get(Read, "/held", held::list)
        .get(Read, "/held/{id}", held::one)
        .delete(Admin, "/held/{id}", held::discard)
        .post(Admin, "/held/{id}/release", held::release)
        .get(Read, "/accounts", accounts::list)
        .post(HelpDesk, "/accounts", accounts::create)
        .post(Admin, "/accounts/import", import::import)
        .get(Read, "/accounts/{address}", accounts::one)
        .patch(Admin, "/accounts/{address}", accounts::patch)
        .delete(Admin, "/accounts/{address}", accounts::delete)
        .get(Read, "/senders/{address}", senders::report)
        .post(HelpDesk, "/senders/{address}/resend", senders::resend)
        .post(Admin, "/senders/{address}/forget", forget::forget)
        .get(Read, "/decisions", decisions::list)
        .post(Admin, "/decisions/{id}/reprocess", decisions::reprocess)
        .post(Admin, "/store/compact", store::compact)
        .post(Admin, "/store/snapshot", store::snapshot)
        .delete(Admin, "/store/snapshot", store::drop_snapshot)
}

/// Calls that change nothing, and take bodies that are not to be kept waiting in memory.
fn streamed() -> Calls {
    Calls::default().post(HelpDesk, "/explain", explain::explain)
}

/// All calls, for the tests of who may make which.
#[cfg(test)]
pub(super) fn listed() -> Vec<Listed> {
    [calls().listed, streamed().listed].concat()
}
