//! The answer to "she says she clicked and nothing came".

use super::{
    answer::{SenderReport, VerifyError},
    service::Verify,
};
use crate::{
    store::{DecisionFilter, PageRequest},
    types::EmailAddress,
};

/// Verifications shown, newest first.
const VERIFICATIONS: usize = 5;
/// Decisions shown, newest first.
const DECISIONS: usize = 20;

impl Verify {
    /// All that is known of one sender.
    pub async fn report(&self, address: &EmailAddress) -> Result<SenderReport, VerifyError> {
        let view = self.view(address).await?;
        let mut held = Vec::with_capacity(view.held_count());
        for id in view.releasing.iter().chain(&view.held) {
            held.extend(self.store.held(*id).await?);
        }
        let filter = DecisionFilter { sender: Some(address.clone()), ..DecisionFilter::default() };
        let page = PageRequest { limit: DECISIONS, ..PageRequest::default() };
        Ok(SenderReport {
            account: view.account,
            verifications: self.store.verifications(address, VERIFICATIONS).await?,
            held,
            deliveries: self.store.deliveries(address).await?,
            decisions: self.store.decisions(&filter, page).await?.items,
            quiet_until: view.quiet_until.filter(|until| *until > self.ops.clock.now()),
            never_mailed: !self.config.load().verification.may_mail(address),
        })
    }
}
