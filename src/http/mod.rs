//! The verification pages, the API, health and metrics.
//!
//! Nothing here decides about mail: pages and API ask [`crate::verify`] and the store. No handler reads the `Host` field or
//! `X-Forwarded-For`, no cookie is set, and neither path nor query is logged, for they may hold a token.

mod access_log;
mod api;
mod carry;
mod guard;
mod health;
mod pages;
mod problem;
mod router;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::{
    config::{ApiRole, Config},
    ops::{Ops, Shutdown},
    store::Store,
    types::{Actor, MailId, ProjectKey, Time},
    verify::{PageView, Verify},
};
pub use server::serve;

/// A mail to explain.
#[derive(Debug)]
pub struct ExplainRequest {
    /// The message.
    pub raw: Bytes,
    /// `?rcpt=`, repeated.
    pub rcpts: Vec<String>,
    /// `?client_ip=`.
    pub client: Option<IpAddr>,
}

/// What would happen to a mail that is not taken in: the trail. `Err` is the client's mistake, in words for the client.
pub type Explain = Arc<
    dyn Fn(ExplainRequest) -> Pin<Box<dyn Future<Output = Result<serde_json::Value, String>> + Send>>
        + Send
        + Sync,
>;

/// A dropped mail, decided again; the project where it was dropped for several; who asks for it.
pub type Reprocess = Arc<
    dyn Fn(
            MailId,
            Option<ProjectKey>,
            Actor,
        ) -> Pin<Box<dyn Future<Output = Result<serde_json::Value, NotReprocessed>> + Send>>
        + Send
        + Sync,
>;

/// Why a dropped mail was not decided again; the texts are for the client.
#[derive(Debug, Clone)]
pub enum NotReprocessed {
    /// No such drop is on record.
    NotFound(String),
    /// Its bytes are gone: until when they were kept.
    Gone(Option<Time>),
    /// Nothing was changed, and why; the reason code, or what it has become before.
    Conflict(String, Option<(&'static str, String)>),
    /// The store is not available; for the log.
    Unavailable(String),
}

/// What the HTTP side needs of the daemon. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// For the API.
    pub store: Arc<dyn Store>,
    /// Everything about holds.
    pub verify: Verify,
    /// The settings in force.
    pub config: Arc<ArcSwap<Config>>,
    /// Clock, counters, log.
    pub ops: Ops,
    /// `POST /api/v1/explain`.
    pub explain: Explain,
    /// `POST /api/v1/decisions/ID/reprocess`.
    pub reprocess: Reprocess,
    /// Whether the other parts of the daemon are ready, or what they wait for.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// The pages behind a link that `waiting` is shown by, as files: name and HTML. For `verification preview`.
pub fn preview_pages(config: &Config, waiting: &PageView) -> Vec<(&'static str, String)> {
    pages::preview(config, waiting)
}

/// One running server: the daemon's parts, and what the server itself keeps.
struct Context {
    state: State,
    guard: guard::Guard,
    books: health::Books,
}

/// What every handler takes.
type App = axum::extract::State<Arc<Context>>;

/// Who calls the API: the token that was shown.
#[derive(Debug, Clone)]
struct Caller {
    name: Actor,
    role: ApiRole,
}

/// Who is at the other end of the connection; the address of the proxy where one stands in front.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        // Every connection sets it; whoever comes without one counts as one peer.
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::from([0, 0, 0, 0]))))
    }
}
