//! The pages behind a verification link. GET and HEAD change nothing; one form answers.

mod confirm;
mod form;
mod paste;
mod style;
mod text;
mod view;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};

use super::{App, Context, Peer, problem::Problem};
use crate::{
    config::Config,
    types::VerificationToken,
    verify::{Confirming, Disowned, NewLink, PageView, Redeemed, TokenAnswer},
};
use form::Choice;
use view::Site;

/// Largest form in bytes: 128 boxes of 50 bytes each are a tenth of it.
const MAX_FORM: usize = 64 * 1024;

/// `/verify`, `/verify/TOKEN` and `/confirm/TOKEN`; whatever goes wrong there is shown as a page.
pub(super) fn routes(context: &Arc<Context>) -> Router<Arc<Context>> {
    Router::new()
        .route("/verify", get(paste::field))
        .route("/verify/", get(paste::without_token))
        .route("/verify/{token}", get(show).post(answer))
        .route("/confirm/{token}", get(confirm::show).post(confirm::answer))
        .method_not_allowed_fallback(super::router::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(context), super::carry::through))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state(Arc::clone(context), problems_as_pages))
}

/// 404 for people.
pub(super) async fn nothing_here(app: App) -> Response {
    let problem = Problem::not_found("There is no page at this address.");
    view::problem(&Site::of(&app.state.config.load()), &problem)
}

async fn problems_as_pages(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => view::problem(&Site::of(&context.state.config.load()), problem),
        None => response,
    }
}

/// What the link stands for. Mail scanners fetch it too: it must not redeem (security: K01).
async fn show(
    app: App,
    peer: Peer,
    token: Result<Path<String>, PathRejection>,
) -> Result<view::Page, Problem> {
    let Some(token) = read(token) else { return unknown(&app, peer) };
    let answer = app.state.verify.look(&token).await?;
    page(&app, peer, &answer)
}

/// What the reader has decided. Every repeat has the same answer.
async fn answer(
    app: App,
    peer: Peer,
    token: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    request: Request,
) -> Result<view::Page, Problem> {
    form::from_our_page(&headers, &app.state.config.load().http.public_url)?;
    let choice = form::read(request).await?;
    let Some(token) = read(token) else { return unknown(&app, peer) };
    let verify = &app.state.verify;
    let answer = match choice {
        Choice::NewLink => {
            let link = verify.new_link(&token).await?;
            return new_link(&app, peer, link);
        }
        Choice::Disown { until } => verify.disown(&token, until).await?,
        Choice::PassOn { until, not_mine } => verify.redeem(&token, until, &not_mine).await?,
    };
    page(&app, peer, &answer)
}

/// All the pages that a reader can meet, by file name, for those who want to see them before their customers do.
pub(super) fn preview(config: &Config, waiting: &PageView) -> Vec<(&'static str, String)> {
    let site = Site::of(config);
    let half = waiting.mails.len().div_ceil(2);
    let redeemed = Redeemed { handed_on: half, not_mine: waiting.mails.len() - half };
    let pages = [
        ("page-waiting.html", view::pending(&site, waiting)),
        ("page-handed-on.html", view::redeemed(&site, redeemed)),
        ("page-not-mine.html", view::disowned(&site, Disowned { not_mine: waiting.mails.len() })),
        ("page-expired.html", view::expired(&site, true)),
        ("page-new-link.html", view::new_link(&site, NewLink::Sent)),
        ("page-unknown.html", view::unknown(&site)),
        ("page-paste.html", view::paste(&site, false)),
        ("page-confirm.html", view::confirming(&site, &Confirming::Open(waiting.address.clone()))),
        ("page-confirmed.html", view::confirming(&site, &Confirming::Done(waiting.address.clone()))),
    ];
    pages.into_iter().filter_map(|(name, page)| Some((name, page.html.ok()?))).collect()
}

fn read(token: Result<Path<String>, PathRejection>) -> Option<VerificationToken> {
    token.ok()?.parse().ok()
}

fn page(app: &App, peer: Peer, answer: &TokenAnswer) -> Result<view::Page, Problem> {
    let config = app.state.config.load();
    let site = Site::of(&config);
    match answer {
        TokenAnswer::Pending(pending) => Ok(view::pending(&site, pending)),
        TokenAnswer::Redeemed(redeemed) => Ok(view::redeemed(&site, *redeemed)),
        TokenAnswer::Disowned(disowned) => Ok(view::disowned(&site, *disowned)),
        TokenAnswer::Expired { renewable } => Ok(view::expired(&site, *renewable)),
        TokenAnswer::Unknown => unknown(app, peer),
    }
}

fn new_link(app: &App, peer: Peer, link: NewLink) -> Result<view::Page, Problem> {
    if link == NewLink::Nothing {
        return unknown(app, peer);
    }
    Ok(view::new_link(&Site::of(&app.state.config.load()), link))
}

/// The same page for a link that never was, that was mistyped, and that nothing waits for any more; who asks for too many
/// of them has to wait (security: K04).
fn unknown(app: &App, peer: Peer) -> Result<view::Page, Problem> {
    match app.guard.unknown_link(peer.0) {
        Ok(()) => Ok(view::unknown(&Site::of(&app.state.config.load()))),
        Err(wait) => {
            let detail =
                "Too many unknown links were asked for from this network. Wait a moment and try again.";
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(wait.as_secs() + 1))
        }
    }
}
