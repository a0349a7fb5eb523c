//! The page behind the link that confirms a new customer's address. GET and HEAD change nothing; one form confirms.

use axum::{
    extract::{Path, rejection::PathRejection},
    http::HeaderMap,
};

use super::{
    form, unknown,
    view::{self, Site},
};
use crate::{
    http::{App, Peer, problem::Problem},
    types::ConfirmationToken,
    verify::Confirming,
};

/// What the link stands for.
pub(super) async fn show(
    app: App,
    peer: Peer,
    token: Result<Path<String>, PathRejection>,
) -> Result<view::Page, Problem> {
    let Some(token) = read(token) else { return unknown(&app, peer) };
    let state = app.state.verify.look_at_confirmation(&token).await?;
    page(&app, peer, &state)
}

/// The reader's yes. Every repeat has the same answer.
pub(super) async fn answer(
    app: App,
    peer: Peer,
    token: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<view::Page, Problem> {
    form::from_our_page(&headers, &app.state.config.load().http.public_url)?;
    let Some(token) = read(token) else { return unknown(&app, peer) };
    let state = app.state.verify.confirm(&token).await?;
    page(&app, peer, &state)
}

fn read(token: Result<Path<String>, PathRejection>) -> Option<ConfirmationToken> {
    token.ok()?.parse().ok()
}

fn page(app: &App, peer: Peer, state: &Confirming) -> Result<view::Page, Problem> {
    match state {
        Confirming::Unknown => unknown(app, peer),
        state => Ok(view::confirming(&Site::of(&app.state.config.load()), state)),
    }
}
