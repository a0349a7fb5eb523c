//! Somebody is to be forgotten: what waits ends, and all that is kept of the person goes, in one step.

use super::{
    answer::VerifyError,
    plan,
    service::{Step, Verify, again},
};
use crate::{
    access::{Basis, Reason},
    store::{Effect, SenderView, Traces},
    types::{Actor, EmailAddress, Time},
};

/// What was kept of a person.
#[derive(Debug, Clone)]
pub struct Known {
    /// When it was looked at, or taken out.
    pub at: Time,
    /// Whether there was an account.
    pub account: bool,
    /// Mails that waited.
    pub held: usize,
    /// The rest.
    pub traces: Traces,
}

impl Known {
    /// Decisions that name the person no more, those that end what waited included.
    pub fn decisions(&self) -> usize {
        self.traces.decisions + self.held
    }

    /// Whether no row knows anything of the person.
    pub fn is_nothing(&self) -> bool {
        let traces = &self.traces;
        let lists = [&traces.requests, &traces.comments, &traces.mentions];
        let counts = [
            self.held,
            traces.waiting_mentions.len(),
            traces.decisions,
            traces.verifications,
            traces.outbox,
            traces.sent,
        ];
        !self.account && lists.iter().all(|list| list.is_empty()) && counts == [0; 6]
    }
}

impl Verify {
    /// What is kept of a person. Changes nothing.
    pub async fn known(&self, address: &EmailAddress) -> Result<Known, VerifyError> {
        let view = self.view(address).await?;
        self.known_of(address, &view).await
    }

    /// Takes out all that is kept of a person, in one step; what waits ends as discarded. The store's files follow with its
    /// next compaction.
    pub async fn forget(&self, address: &EmailAddress, actor: &Actor) -> Result<Known, VerifyError> {
        self.repeat(|| self.try_forget(address, actor)).await
    }

    async fn known_of(&self, address: &EmailAddress, view: &SenderView) -> Result<Known, VerifyError> {
        let traces = self.store.traces(address).await?;
        let (account, held) = (view.account.is_some(), view.held_count());
        Ok(Known { at: self.ops.clock.now(), account, held, traces })
    }

    async fn try_forget(&self, address: &EmailAddress, actor: &Actor) -> Result<Step<Known>, VerifyError> {
        // First the version: whatever changes behind it makes the plan stale.
        let view = self.view(address).await?;
        let known = self.known_of(address, &view).await?;
        let mut ends = Vec::with_capacity(known.held);
        for id in view.releasing.iter().chain(&view.held) {
            let Some(row) = self.store.held(*id).await? else { return Ok(Step::Again) };
            let why = (Reason::HoldDiscarded, Basis::Discarded);
            let ending = self.planned(|planning| plan::dropped(planning, &row, &view, why));
            ends.push((row, ending.asked_by(Some(actor))));
        }
        let mut plan = plan::about(address, &view, known.at);
        plan.actor = Some(actor.clone());
        let ended = ends.iter().flat_map(|(_, ending)| ending.plan.effects.iter().cloned());
        plan.effects = ended.chain([Effect::Forget(known.traces.forget.clone())]).collect();
        match self.store.commit(plan).await {
            Ok(committed) => {
                for (row, ending) in &ends {
                    self.ended(row, &view, ending, (Basis::Discarded, &committed));
                }
                Ok(Step::Done(known))
            }
            Err(error) => again(error),
        }
    }
}
