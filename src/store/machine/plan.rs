//! A plan's effects as rows, in their order.

use super::{Cap, PlanEvent, acknowledgements, forget, jobs, mails, malformed, verifications};
use crate::{
    store::{
        CommitError, Committed, CommittedEntry, Delivery, DeliveryKind, Effect, Job, JobKind, Queue,
        SentAbout, SentMail, Spend, ThreadKey,
        rows::{Location, SenderRow, Txn, key},
    },
    types::{Account, EmailAddress, MailId, ProjectKey, RequestId},
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
    /// The request that the last decision opened.
    opened: Option<RequestId>,
    /// What came back.
    returned: Vec<SentMail>,
}

/// Makes a plan's rows.
pub(super) fn apply(event: &PlanEvent, at: Location, txn: &mut Txn<'_>) -> Result<Committed, CommitError> {
    if let (true, Some(mail)) = (event.big, &event.plan.mail) {
        txn.mark(key::big(mail.facts.id));
    }
    let mut applying =
        Applying { event, at, txn, decided: 0, enqueued: 0, opened: None, returned: Vec::new() };
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
    committed.returned = applying.returned;
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
            Effect::Record(entry) => {
                let entry = mails::record(entry, self)?;
                return Ok(Some(self.after(entry)));
            }
            Effect::Resolve(resolution) => {
                let entry = mails::resolve(resolution, self)?;
                return Ok(Some(self.after(entry)));
            }
            Effect::OpenVerification { id, address } => {
                verifications::open(*id, address, self.event.plan.at, self.txn)?;
            }
            Effect::SetStatus(request, status) => mails::set_status(request, *status, self)?,
            Effect::MarkOpened(id) => verifications::mark_opened(*id, self.event.plan.at, self.txn)?,
            Effect::Enqueue(delivery) => self.enqueue(delivery)?,
            Effect::Bounced { delivery, words } => {
                let returned = verifications::bounced(*delivery, self.event.plan.at, words, self.txn)?;
                self.returned.extend(returned);
            }
            Effect::Reprocess { mail, project } => self.reprocess(*mail, project)?,
            Effect::Forget(forget) => forget::apply(forget, self)?,
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

    /// Remembers which request it opened, for the acknowledgement that may follow.
    fn after(&mut self, entry: CommittedEntry) -> CommittedEntry {
        self.opened = self.event.opened.get(self.decided).cloned().flatten();
        entry
    }

    fn enqueue(&mut self, delivery: &Delivery) -> Result<(), CommitError> {
        let turn = *self.event.turns.get(self.enqueued).ok_or_else(|| malformed("a delivery has no turn"))?;
        if let Some((lane, arrival)) = turn.lane {
            self.txn.put(key::lane(lane), &arrival)?;
        }
        if turn.cap == Cap::Over {
            return Ok(());
        }
        let at = self.event.plan.at;
        let mut delivery = delivery.clone();
        match &mut delivery.kind {
            DeliveryKind::Verification { .. } => verifications::mailed(&delivery, at, turn.due_at, self.txn)?,
            DeliveryKind::Acknowledgement { request, last, .. } => {
                request.clone_from(&self.opened);
                *last = turn.cap == Cap::Last;
                request.as_ref().ok_or_else(|| malformed("an acknowledgement without a request"))?;
                acknowledgements::count(&delivery.to, at, self.txn)?;
            }
            DeliveryKind::Confirmation { .. } => verifications::confirming(&delivery, at, self.txn)?,
            DeliveryKind::Forward { body, .. } => {
                let mail = self.event.plan.mail.as_ref().map(|mail| mail.facts.id);
                *body = body.or_else(|| mail.map(|mail| self.at.body(mail)));
                body.ok_or_else(|| malformed("a forward has no mail"))?;
            }
        }
        if let Some((about, answers)) = about(&delivery.kind) {
            let sent = SentMail { at, to: delivery.to.clone(), about, answers, returned_at: None };
            self.txn.put(key::sent(delivery.id), &sent)?;
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

/// What a bounce of the mail would be about, and the mail that it answers; none for what is not ours.
fn about(kind: &DeliveryKind) -> Option<(SentAbout, Option<ThreadKey>)> {
    let (about, project, in_reply_to) = match kind {
        DeliveryKind::Verification { verification, project, in_reply_to, .. } => {
            (SentAbout::Verification(*verification), project, in_reply_to)
        }
        DeliveryKind::Acknowledgement { request, project, in_reply_to, .. } => {
            (SentAbout::Acknowledgement(request.clone()?), project, in_reply_to)
        }
        DeliveryKind::Confirmation { project, in_reply_to, .. } => {
            (SentAbout::Confirmation, project, in_reply_to)
        }
        DeliveryKind::Forward { .. } => return None,
    };
    Some((about, in_reply_to.as_deref().map(|id| ThreadKey::of(project, id))))
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
