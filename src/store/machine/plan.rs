//! A plan's effects as rows, in their order.

use super::{PlanEvent, jobs, mails, malformed, verifications};
use crate::{
    store::{
        CommitError, Committed, CommittedEntry, Delivery, DeliveryKind, Effect, Job, JobKind, Queue, Spend,
        rows::{Location, SenderRow, Txn, key},
    },
    types::{Account, EmailAddress, MailId, ProjectKey},
};

/// What each effect needs to know.
pub(super) struct Applying<'a, 'r> {
    /// The plan, its numbers and turns.
    pub(super) event: &'a PlanEvent,
    /// Where its record is.
    pub(super) at: Location,
    /// The rows.
    pub(super) txn: &'a mut Txn<'r>,
    /// Decisions made so far.
    pub(super) decided: usize,
    /// Deliveries enqueued so far.
    pub(super) enqueued: usize,
}

/// Makes a plan's rows.
pub(super) fn apply(event: &PlanEvent, at: Location, txn: &mut Txn<'_>) -> Result<Committed, CommitError> {
    if let (true, Some(mail)) = (event.big, &event.plan.mail) {
        txn.mark(key::big(mail.facts.id));
    }
    let mut applying = Applying { event, at, txn, decided: 0, enqueued: 0 };
    if let Some(spend) = &event.plan.spend {
        let spent = applying.spend(spend);
        applying.txn.lenient(spent)?;
    }
    let mut committed = Committed::default();
    for effect in &event.plan.effects {
        let (decided, enqueued) = (applying.decided, applying.enqueued);
        let made = applying.effect(effect);
        committed.entries.extend(applying.txn.lenient(made)?.flatten());
        applying.decided = decided + usize::from(effect.decides());
        applying.enqueued = enqueued + usize::from(matches!(effect, Effect::Enqueue(_)));
    }
    Ok(committed)
}

impl Applying<'_, '_> {
    fn spend(&mut self, spend: &Spend) -> Result<(), CommitError> {
        verifications::spend(spend, self.event.plan.at, self.txn)
    }

    fn effect(&mut self, effect: &Effect) -> Result<Option<CommittedEntry>, CommitError> {
        match effect {
            Effect::PutAccount(account) => put_account(account, self.txn)?,
            Effect::DeleteAccount(address) => delete_account(address, self.txn)?,
            Effect::Record(entry) => return mails::record(entry, self).map(Some),
            Effect::Resolve(resolution) => return mails::resolve(resolution, self).map(Some),
            Effect::OpenVerification { id, address } => {
                verifications::open(*id, address, self.event.plan.at, self.txn)?;
            }
            Effect::SetStatus(request, status) => mails::set_status(request, *status, self)?,
            Effect::MarkOpened(id) => verifications::mark_opened(*id, self.event.plan.at, self.txn)?,
            Effect::Enqueue(delivery) => self.enqueue(delivery)?,
            Effect::Reprocess { mail, project } => self.reprocess(*mail, project)?,
            Effect::Retired => {}
        }
        Ok(None)
    }

    fn reprocess(&mut self, mail: MailId, project: &ProjectKey) -> Result<(), CommitError> {
        let place = key::reprocessed(mail, project);
        if self.txn.read::<u64>(&place)?.is_some() {
            return Err(CommitError::Gone);
        }
        self.txn.put(place, &self.event.first)
    }

    fn enqueue(&mut self, delivery: &Delivery) -> Result<(), CommitError> {
        let turn = *self.event.turns.get(self.enqueued).ok_or_else(|| malformed("a delivery has no turn"))?;
        if let Some((lane, arrival)) = turn.lane {
            self.txn.put(key::lane(lane), &arrival)?;
        }
        let at = self.event.plan.at;
        let mut delivery = delivery.clone();
        match &mut delivery.kind {
            DeliveryKind::Verification { .. } => verifications::mailed(&delivery, at, turn.due_at, self.txn)?,
            DeliveryKind::Forward { body, .. } => {
                let mail = self.event.plan.mail.as_ref().map(|mail| mail.facts.id);
                *body = body.or_else(|| mail.map(|mail| self.at.body(mail)));
                body.ok_or_else(|| malformed("a forward has no mail"))?;
            }
        }
        let job = Job {
            id: delivery.id.uuid(),
            due_at: turn.due_at,
            enqueued_at: at,
            attempts: 0,
            last_error: None,
            kind: JobKind::Deliver(delivery),
        };
        jobs::add(Queue::Outbox, &job, self.txn)
    }
}

fn put_account(account: &Account, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    txn.change_sender(&account.address, |row| row.account = Some(account.clone()))
}

fn delete_account(address: &EmailAddress, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    if txn.sender(address)?.account.is_none() {
        return Err(CommitError::Gone);
    }
    txn.change_sender(address, |row: &mut SenderRow| row.account = None)
}
