//! Many accounts at once: all of them or none, and every mistake named.

use std::collections::HashSet;

use axum::{Extension, Json, http::StatusCode};
use serde_json::{Value, json};

use super::{accounts::NewAccount, body::Body, change, params::Params};
use crate::{
    config::Config,
    http::{App, Caller, problem::Problem},
    types::{Account, EmailAddress, Time},
};

/// Most accounts of one import: they go into one atomic step.
const MAX_ACCOUNTS: usize = 10_000;

/// `POST /accounts/import?dry_run=true`: an array of new accounts. With `dry_run` only the mistakes are looked for.
pub(super) async fn import(
    app: App,
    Extension(caller): Extension<Caller>,
    mut params: Params,
    Body(items): Body<Vec<Value>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let dry_run = params.optional("dry_run")?.unwrap_or(false);
    params.done()?;
    if items.len() > MAX_ACCOUNTS {
        let detail = format!("{} accounts, of which one import takes {MAX_ACCOUNTS}: split it.", items.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let config = app.state.config.load_full();
    let read = Reading::of(&items, &config, app.state.ops.clock.now());
    if dry_run || !read.mistakes.is_empty() {
        read.check_against(&taken(&app, &read.addresses()).await?)?;
    } else if !read.accounts.is_empty() {
        change::create_all(&app, &caller.name, &read.addresses(), |taken| read.check_against(taken)).await?;
    }
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "accounts": read.accounts.len(), "dry_run": dry_run }))))
}

async fn taken(app: &App, addresses: &[EmailAddress]) -> Result<Vec<bool>, Problem> {
    let mut taken = Vec::with_capacity(addresses.len());
    for address in addresses {
        taken.push(change::read(app, address).await?.0.is_some());
    }
    Ok(taken)
}

/// One thing wrong with one item, counted from 0.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    index: usize,
    detail: String,
}

/// The items as far as they can be told without the store.
#[derive(Debug)]
struct Reading {
    /// Item and account.
    accounts: Vec<(usize, Account)>,
    mistakes: Vec<Mistake>,
}

impl Reading {
    fn of(items: &[Value], config: &Config, at: Time) -> Self {
        let mut reading = Self { accounts: Vec::with_capacity(items.len()), mistakes: Vec::new() };
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let account = serde_json::from_value::<NewAccount>(item.clone())
                .map_err(|error| error.to_string())
                .and_then(|new| new.account(config, at));
            match account {
                Ok(account) if seen.insert(account.address.clone()) => {
                    reading.accounts.push((index, account));
                }
                Ok(account) => {
                    reading.mistake(index, format!("{} stands in the import twice", account.address));
                }
                Err(detail) => reading.mistake(index, detail),
            }
        }
        reading
    }

    fn mistake(&mut self, index: usize, detail: String) {
        self.mistakes.push(Mistake { index, detail });
    }

    fn addresses(&self) -> Vec<EmailAddress> {
        self.accounts.iter().map(|(_, account)| account.address.clone()).collect()
    }

    /// All accounts, or all mistakes; `taken` tells of each account whether its address has one.
    fn check_against(&self, taken: &[bool]) -> Result<Vec<Account>, Problem> {
        let there = self.accounts.iter().zip(taken).filter(|(_, taken)| **taken);
        let there = there
            .map(|((index, account), _)| (*index, format!("{} has an account already", account.address)));
        let mistakes = self.mistakes.iter().map(|mistake| (mistake.index, mistake.detail.clone()));
        let mut all: Vec<(usize, String)> = mistakes.chain(there).collect();
        if all.is_empty() {
            return Ok(self.accounts.iter().map(|(_, account)| account.clone()).collect());
        }
        all.sort();
        let errors: Vec<Value> =
            all.iter().map(|(index, detail)| json!({ "index": index, "detail": detail })).collect();
        let detail = format!("{} of the accounts can't be made, so none was.", errors.len());
        Err(Problem::unprocessable(detail).with("errors", errors))
    }
}
