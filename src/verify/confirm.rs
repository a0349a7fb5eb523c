//! The link that confirms a new customer's address. It gates nothing, and proves nothing to the rules.

use super::{
    answer::VerifyError,
    plan,
    service::{Step, Verify, again},
};
use crate::{
    ops::{AccountConfirmed, Event},
    store::Effect,
    types::{Account, AccountStatus, ConfirmationToken, EmailAddress},
};

/// What the page behind the link shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirming {
    /// The address can be confirmed.
    Open(EmailAddress),
    /// It is confirmed; the same on every repeat.
    Done(EmailAddress),
    /// The link is too old.
    Expired,
    /// There is no such link, or no such account any more.
    Unknown,
}

impl Verify {
    /// What the link stands for. Changes nothing.
    pub async fn look_at_confirmation(&self, token: &ConfirmationToken) -> Result<Confirming, VerifyError> {
        Ok(self.confirming(token).await?.map_or(Confirming::Unknown, |(state, _)| state))
    }

    /// Confirms the address. Every repeat has the same answer.
    pub async fn confirm(&self, token: &ConfirmationToken) -> Result<Confirming, VerifyError> {
        self.repeat(|| self.try_confirm(token)).await
    }

    async fn try_confirm(&self, token: &ConfirmationToken) -> Result<Step<Confirming>, VerifyError> {
        let (address, account) = match self.confirming(token).await? {
            None => return Ok(Step::Done(Confirming::Unknown)),
            Some((Confirming::Open(address), account)) => (address, account),
            Some((other, _)) => return Ok(Step::Done(other)),
        };
        let view = self.view(&address).await?;
        if view.account.as_ref() != Some(&account) {
            return Ok(Step::Again);
        }
        let now = self.ops.clock.now();
        let mut plan = plan::about(&address, &view, now);
        plan.effects.push(Effect::PutAccount(Account { confirmed_at: Some(now), ..account }));
        match self.store.commit(plan).await {
            Ok(_) => {
                AccountConfirmed { address: &address }.emit(&self.ops);
                Ok(Step::Done(Confirming::Done(address)))
            }
            Err(error) => again(error),
        }
    }

    /// The state of a link, and the account that it is about: the one that was asked, and not a later one of the address.
    async fn confirming(
        &self,
        token: &ConfirmationToken,
    ) -> Result<Option<(Confirming, Account)>, VerifyError> {
        let Some(found) = self.store.confirmation(&token.digest()).await? else { return Ok(None) };
        let account = self.view(&found.address).await?.account;
        let asked = |account: &Account| {
            account.created_at == found.asked_at && account.status == AccountStatus::Active
        };
        Ok(account.filter(asked).map(|account| {
            let state = if account.confirmed_at.is_some() {
                Confirming::Done(found.address)
            } else if found.expires_at <= self.ops.clock.now() {
                Confirming::Expired
            } else {
                Confirming::Open(found.address)
            };
            (state, account)
        }))
    }
}
