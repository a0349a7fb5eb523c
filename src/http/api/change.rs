//! Changes of accounts as plans: read, plan, commit; planned anew when the sender has changed meanwhile.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    http::{App, problem::Problem},
    ops::{AccountChange, AccountChanged, AccountCreated, Event, random},
    store::{CommitError, Effect, Fence, Plan},
    types::{Account, AccountStatus, Actor, EmailAddress, Time},
};

/// How often a change is planned before the client is told to come back.
const TRIES: u32 = 8;

/// What a change makes of an account.
pub(super) enum Changed {
    /// This is its new state.
    Put(Account),
    /// It is gone.
    Deleted,
}

/// Changes one account for `actor`: `plan` is told its state and says what becomes of it, or why it can't be.
pub(super) async fn change(
    app: &App,
    actor: &Actor,
    address: &EmailAddress,
    plan: impl Fn(Option<&Account>) -> Result<Changed, Problem>,
) -> Result<Changed, Problem> {
    for attempt in 0..TRIES {
        let (before, fence) = read(app, address).await?;
        let changed = plan(before.as_ref())?;
        let effect = match &changed {
            Changed::Put(account) => Effect::PutAccount(account.clone()),
            Changed::Deleted => Effect::DeleteAccount(address.clone()),
        };
        if commit(app, actor, vec![fence], vec![effect]).await? {
            report(app, actor, address, before.as_ref(), &changed);
            return Ok(changed);
        }
        pause(attempt).await;
    }
    Err(too_busy())
}

/// Creates accounts for `actor`, all or none: `plan` is told which of the addresses are taken, and gives the accounts or says why
/// there are none.
pub(super) async fn create_all(
    app: &App,
    actor: &Actor,
    addresses: &[EmailAddress],
    plan: impl Fn(&[bool]) -> Result<Vec<Account>, Problem>,
) -> Result<(), Problem> {
    for attempt in 0..TRIES {
        let (mut taken, mut fences) =
            (Vec::with_capacity(addresses.len()), Vec::with_capacity(addresses.len()));
        for address in addresses {
            let (account, fence) = read(app, address).await?;
            taken.push(account.is_some());
            fences.push(fence);
        }
        let accounts = plan(&taken)?;
        let effects = accounts.iter().cloned().map(Effect::PutAccount).collect();
        if commit(app, actor, fences, effects).await? {
            for account in &accounts {
                created(app, actor, account);
            }
            return Ok(());
        }
        pause(attempt).await;
    }
    Err(too_busy())
}

/// The account of an address, if there is one, and the fence of what is planned on it.
pub(super) async fn read(app: &App, address: &EmailAddress) -> Result<(Option<Account>, Fence), Problem> {
    let view = app.state.store.sender(address, &[], Time::default()).await?;
    Ok((view.account, Fence { address: address.clone(), version: view.version }))
}

/// Whether the plan was applied; `false` when it rests on what is no longer so.
async fn commit(app: &App, actor: &Actor, fences: Vec<Fence>, effects: Vec<Effect>) -> Result<bool, Problem> {
    let (at, actor) = (app.state.ops.clock.now(), Some(actor.clone()));
    let plan = Plan { fences, actor, ..Plan::new(at, effects) };
    match app.state.store.commit(plan).await {
        Ok(_) => Ok(true),
        Err(CommitError::Stale | CommitError::Gone) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Up to 16 ms, twice as much each time, so that two who collide do not collide again.
async fn pause(attempt: u32) {
    let [byte] = random::<1>();
    tokio::time::sleep(Duration::from_micros(u64::from(byte) << attempt.min(6))).await;
}

fn too_busy() -> Problem {
    let detail =
        "The account is being changed by others all the time; nothing was changed. Try again shortly.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1)
}

fn created(app: &App, actor: &Actor, account: &Account) {
    let (address, kind) = (&account.address, account.kind.as_str());
    AccountCreated { address, kind, by: "api", actor: Some(actor.as_str()) }.emit(&app.state.ops);
}

/// Tells what has become of an account, if it is another than before.
fn report(app: &App, actor: &Actor, address: &EmailAddress, before: Option<&Account>, changed: &Changed) {
    let how = match (before, changed) {
        (None, Changed::Put(account)) => return created(app, actor, account),
        (_, Changed::Deleted) => AccountChange::Deleted,
        (Some(before), Changed::Put(account)) if account == before => return,
        (Some(before), Changed::Put(account)) => {
            let is_out = |account: &Account| account.status == AccountStatus::Deactivated;
            if is_out(account) && !is_out(before) {
                AccountChange::Deactivated
            } else {
                AccountChange::Edited
            }
        }
    };
    AccountChanged { address, how, actor: actor.as_str() }.emit(&app.state.ops);
}
