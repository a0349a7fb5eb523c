//! The calls of the trait.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{DROP_LIMIT, Embedded, command};
use crate::{
    config::Retention,
    store::{
        AccountFilter, Backlog, BodyRef, Comment, CommitError, Committed, Compacted, ConfirmationView,
        DecisionFilter, DecisionRow, DeliveryRow, Dropped, Effort, Health, HeldFilter, HeldRow, Lease, Named,
        Once, Page, PageRequest, Plan, Queue, RequestFilter, RequestRow, SenderView, SentMail, Settled,
        Settlement, Snapshot, Store, StoreError, Thread, TokenView, Traces, VerificationView, audit,
        leases::Leases,
        machine::{self, Event, PlanEvent, SettleEvent},
        query,
    },
    types::{
        Account, DeliveryId, EmailAddress, HeldId, MailId, RequestId, Time, TokenDigest, VerificationId,
    },
};

#[async_trait]
impl Store for Embedded {
    async fn sender(
        &self,
        address: &EmailAddress,
        once: &[Once],
        since: Time,
    ) -> Result<SenderView, StoreError> {
        query::sender(self.view()?.rows, address, once, since)
    }

    async fn threads(&self, sender: &EmailAddress, named: &Named) -> Result<Vec<Thread>, StoreError> {
        query::threads(self.view()?.rows, sender, named)
    }

    async fn token(&self, digest: &TokenDigest) -> Result<Option<TokenView>, StoreError> {
        query::token(self.view()?.rows, digest)
    }

    async fn confirmation(&self, digest: &TokenDigest) -> Result<Option<ConfirmationView>, StoreError> {
        query::confirmation(self.view()?.rows, digest)
    }

    async fn sent(&self, id: DeliveryId) -> Result<Option<SentMail>, StoreError> {
        query::sent(self.view()?.rows, id)
    }

    async fn verification(&self, id: VerificationId) -> Result<Option<VerificationView>, StoreError> {
        query::verification(self.view()?.rows, id)
    }

    async fn verifications(
        &self,
        address: &EmailAddress,
        limit: usize,
    ) -> Result<Vec<VerificationView>, StoreError> {
        query::verifications(self.view()?.rows, address, limit)
    }

    async fn commit(&self, mut plan: Plan) -> Result<Committed, CommitError> {
        let raw = plan.mail.as_mut().map(|mail| std::mem::take(&mut mail.raw)).unwrap_or_default();
        let id = plan.mail.as_ref().map(|mail| mail.facts.id);
        let Some(mail) = id.filter(|_| raw.len() > self.big_body) else {
            return self.write(Event::Plan(Box::new(PlanEvent::new(plan, false))), raw, None).await;
        };
        let big = self.write_big(mail, raw).await?;
        let event = Event::Plan(Box::new(PlanEvent::new(plan, true)));
        let written = self.write(event, Bytes::new(), Some(big)).await;
        if matches!(&written, Err(error) if !matches!(error, CommitError::Unavailable(_))) {
            // Refused for certain. After `Unavailable` the file stays until the next start finds whose it is.
            self.shared.big.remove(mail);
        }
        written
    }

    async fn claim(
        &self,
        queue: Queue,
        now: Time,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let rows = self.view()?.rows;
        let mut leases = self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner);
        query::claim(rows, &mut leases, (queue, now), max, lease)
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement, at: Time) -> Result<Settled, CommitError> {
        let Some(settling) = Leases::settle(&self.shared.leases, lease) else { return Ok(Settled::Lost) };
        let event = SettleEvent { queue: lease.queue, id: lease.job.id, settlement, at };
        match self.write(Event::Settle(event), Bytes::new(), None).await {
            Ok(_) => {
                settling.over();
                self.shared.wakes.of(lease.queue).notify_one();
                Ok(Settled::Ok)
            }
            Err(CommitError::Gone) => {
                settling.over();
                Ok(Settled::Lost)
            }
            Err(error) => Err(error),
        }
    }

    async fn next_due(&self, queue: Queue) -> Result<Option<Time>, StoreError> {
        let rows = self.view()?.rows;
        let leases = self.shared.leases.lock().unwrap_or_else(PoisonError::into_inner);
        query::next_due(rows, &leases, queue)
    }

    fn wakes(&self, queue: Queue) -> Arc<Notify> {
        Arc::clone(self.shared.wakes.of(queue))
    }

    async fn raw(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        self.check_open()?;
        let (shared, body) = (Arc::clone(&self.shared), *body);
        let read = tokio::task::spawn_blocking(move || shared.body(&body)).await;
        read.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        self.view()?.request(id)
    }

    async fn comments(&self, id: &RequestId) -> Result<Vec<Comment>, StoreError> {
        let id = id.clone();
        self.list(move |view| view.comments(&id)).await
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        page: PageRequest,
    ) -> Result<Page<RequestRow>, StoreError> {
        let filter = filter.clone();
        self.list(move |view| view.requests(&filter, &page)).await
    }

    async fn held(&self, id: HeldId) -> Result<Option<HeldRow>, StoreError> {
        self.view()?.held(id)
    }

    async fn held_mails(&self, filter: &HeldFilter, page: PageRequest) -> Result<Page<HeldRow>, StoreError> {
        let filter = filter.clone();
        self.list(move |view| view.held_mails(&filter, &page)).await
    }

    async fn accounts(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        let filter = filter.clone();
        self.list(move |view| query::accounts(view.rows, &filter, &page)).await
    }

    async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let filter = filter.clone();
        self.list(move |view| view.decisions(&filter, &page)).await
    }

    async fn dropped(&self, mail: MailId, since: Time) -> Result<Vec<Dropped>, StoreError> {
        self.list(move |view| view.dropped(mail, since)).await
    }

    async fn deliveries(&self, to: &EmailAddress) -> Result<Vec<DeliveryRow>, StoreError> {
        let to = to.clone();
        self.list(move |view| query::deliveries(view.rows, &to)).await
    }

    async fn traces(&self, address: &EmailAddress) -> Result<Traces, StoreError> {
        let address = address.clone();
        self.list(move |view| view.traces(&address)).await
    }

    async fn held_count(&self) -> Result<u64, StoreError> {
        self.list(|view| query::held_count(view.rows)).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.list(|view| query::backlog(view.rows)).await
    }

    async fn sweep(
        &self,
        duplicates_before: Time,
        tokens_before: Time,
        max: usize,
    ) -> Result<usize, CommitError> {
        let before = (duplicates_before, tokens_before);
        let event = self.list(move |view| machine::candidates(view.rows, before, max)).await?;
        let Some(event) = event else { return Ok(0) };
        let found = event.keys.len();
        self.write(Event::Sweep(event), Bytes::new(), None).await?;
        Ok(found)
    }

    async fn ping(&self) {
        let (mut command, answer) = command(Event::Noop, Bytes::new(), None);
        command.ping = true;
        // Errors say that the store is closed, or about to leave: there is nobody to wait for.
        if let Ok(commands) = self.commands()
            && commands.send(command).await.is_ok()
        {
            let _ = answer.await;
        }
    }

    async fn compact(
        &self,
        retention: &Retention,
        now: Time,
        effort: Effort,
    ) -> Result<Compacted, CommitError> {
        self.compact_all(retention, now, effort).await
    }

    async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        self.take_snapshot().await
    }

    async fn drop_snapshot(&self) -> Result<(), CommitError> {
        self.remove_snapshot().await
    }

    fn health(&self) -> Health {
        self.shared.status.health()
    }

    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        // An opening makes what waits for another try due, beside us: a look in between would see half of it.
        self.ping().await;
        let mut problems = self.list(|view| audit::audit(view.rows)).await?;
        problems.extend(self.check_journal(false).await?);
        Ok(problems)
    }

    async fn scrub(&self) -> Result<Vec<String>, StoreError> {
        self.check_journal(true).await
    }

    async fn close(&self) {
        if !self.let_go() {
            return;
        }
        let done = Arc::clone(&self.done);
        let wait = move || done.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // An error says that the thread is gone: done as well.
        let _ = tokio::task::spawn_blocking(wait).await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if self.let_go() {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = done.recv_timeout(DROP_LIMIT);
        }
    }
}
