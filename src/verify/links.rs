//! The first look at a link, and a new link for mail that still waits: asked for by the reader of an expired one, or by the API.

use super::{
    answer::{NewLink, VerifyError},
    plan::{self, Answered},
    schedule::{self, MailTime},
    service::{Step, Verify, again},
};
use crate::{
    ops::{Event, VerificationResent},
    store::{DeliveryState, Effect, HeldRow, Plan, VerificationMail, VerificationView},
    types::{Actor, EmailAddress, HeldId, Time, VerificationId, VerificationToken},
};

impl Verify {
    /// The page behind a link was fetched.
    pub(super) async fn note_first_look(&self, verification: VerificationId) {
        let at = self.ops.clock.now();
        let effects = vec![Effect::MarkOpened(verification)];
        let noted = self.store.commit(Plan::new(at, effects)).await;
        // A look that can't be noted is no reason not to show the page.
        if noted.is_ok() {
            self.ops.metrics.step("opened");
        }
    }

    /// Of these mails the first that may be answered; where none may be, the last.
    pub(super) async fn first_to_answer(&self, held: &[HeldId]) -> Result<Option<HeldRow>, VerifyError> {
        let mut found = None;
        for id in held {
            found = self.store.held(*id).await?.or(found);
            if found.as_ref().is_some_and(|row| row.may_answer) {
                break;
            }
        }
        Ok(found)
    }

    /// A new link for an expired one, to the same address, within the caps.
    pub async fn new_link(&self, token: &VerificationToken) -> Result<NewLink, VerifyError> {
        let Some(found) = self.store.token(&token.digest()).await? else {
            return Ok(NewLink::Nothing);
        };
        let VerificationView { id, address, .. } = found.verification;
        self.repeat(|| self.try_new_link(&address, Some(id), None)).await
    }

    /// A new verification mail for one who asks for it by the API, within the caps. `NotFound` when nothing waits.
    pub async fn resend(&self, address: &EmailAddress, actor: &Actor) -> Result<NewLink, VerifyError> {
        match self.repeat(|| self.try_new_link(address, None, Some(actor))).await? {
            NewLink::Nothing => Err(VerifyError::NotFound),
            sent => Ok(sent),
        }
    }

    async fn try_new_link(
        &self,
        address: &EmailAddress,
        verification: Option<VerificationId>,
        actor: Option<&Actor>,
    ) -> Result<Step<NewLink>, VerifyError> {
        let view = self.view(address).await?;
        let first = view.held.first().copied();
        let (Some(pending), Some(first)) = (view.pending, first) else {
            return Ok(Step::Done(NewLink::Nothing));
        };
        let Some(row) = self.store.held(first).await? else { return Ok(Step::Again) };
        if verification.is_some_and(|id| id != pending) {
            return Ok(Step::Done(NewLink::Nothing));
        }
        let now = self.ops.clock.now();
        let mail_time = schedule::next_mail(address, &view, &self.config.load().verification, now);
        let (at, answer) = match mail_time {
            MailTime::Never => return Ok(Step::Done(NewLink::Never)),
            MailTime::TooSoon(at) => return Ok(Step::Done(NewLink::TooSoon(at))),
            MailTime::Capped(at) => (at, NewLink::Delayed(at)),
            MailTime::Now => (now, NewLink::Sent),
        };
        // The owner of the address has asked for silence; an administrator can release.
        if view.quiet_until.is_some_and(|until| until > now) {
            return Ok(Step::Done(NewLink::Never));
        }
        if let Some(due) = self.waiting_mail(pending, now).await? {
            return Ok(Step::Done(NewLink::Delayed(due)));
        }
        let mut plan = plan::about(address, &view, now);
        plan.effects =
            self.planned(|planning| vec![planning.mail(address, pending, at, &Answered::from(&row))]);
        plan.actor = actor.cloned();
        match self.store.commit(plan).await {
            Ok(_) => {
                let (verification, actor) = (pending.to_string(), actor.map(Actor::as_str));
                VerificationResent { address, verification, actor }.emit(&self.ops);
                Ok(Step::Done(answer))
            }
            Err(error) => again(error),
        }
    }

    /// When the mail goes out that waits in the outbox for its turn: asking again must not pile up more behind it.
    async fn waiting_mail(&self, id: VerificationId, now: Time) -> Result<Option<Time>, VerifyError> {
        let Some(verification) = self.store.verification(id).await? else { return Ok(None) };
        let waits = |mail: &&VerificationMail| {
            mail.state == DeliveryState::Waiting && mail.due_at > now && mail.expires_at > now
        };
        Ok(verification.mails.iter().find(waits).map(|mail| mail.due_at))
    }
}
