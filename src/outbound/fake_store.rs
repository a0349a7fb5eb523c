//! A store that has nothing but an outbox, and fails when it is told to. For the worker's tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};
use uuid::Uuid;

use super::samples;
use crate::{
    config::Retention,
    store::{
        AccountFilter, Backlog, BodyRef, Comment, CommitError, Committed, Compacted, ConfirmationView,
        DecisionFilter, DecisionRow, Delivery, DeliveryKind, DeliveryRow, Dropped, Effort, Health,
        HeldFilter, HeldRow, Job, Lease, Named, Once, Page, PageRequest, Plan, Queue, RequestFilter,
        RequestRow, SenderView, SentMail, Settled, Settlement, Snapshot, Store, StoreError, Thread,
        TokenView, Traces, VerificationState, VerificationView,
    },
    types::{
        Account, DeliveryId, EmailAddress, HeldId, MailId, RequestId, Time, TokenDigest, VerificationId,
    },
};

#[derive(Default)]
struct State {
    jobs: HashMap<Uuid, Row>,
    ends: Vec<Settlement>,
    raw: HashMap<MailId, Bytes>,
    refuse_settlements: usize,
    refuse_claims: usize,
    lose_leases: bool,
    most_leases: usize,
    most_claims: u64,
}

struct Row {
    job: Job,
    leased_until: Option<Time>,
    claims: u64,
}

/// Holds back those who read a verification.
pub(super) struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(super) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub(super) fn open(&self) {
        self.open.add_permits(1);
    }
}

pub(super) struct FakeOutbox {
    state: Mutex<State>,
    wake: Arc<Notify>,
    ended: watch::Sender<usize>,
    verification: Mutex<Option<VerificationState>>,
    gate: Mutex<Option<Arc<Gate>>>,
}

impl Default for FakeOutbox {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            wake: Arc::default(),
            ended: watch::Sender::new(0),
            verification: Mutex::new(Some(VerificationState::Pending)),
            gate: Mutex::default(),
        }
    }
}

impl FakeOutbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn enqueue(&self, delivery: Delivery) {
        self.enqueue_due(delivery, samples::enqueued());
    }

    pub(super) fn enqueue_due(&self, delivery: Delivery, due_at: Time) {
        let job = Job { due_at, ..samples::job(delivery) };
        self.state().jobs.insert(job.id, Row { job, leased_until: None, claims: 0 });
        self.wake();
    }

    /// A delivery that forwards these bytes.
    pub(super) fn forward(&self, reverse_path: &str, raw: &'static [u8]) -> Delivery {
        let mail = MailId::new(Uuid::from_u128(77));
        self.state().raw.insert(mail, Bytes::from_static(raw));
        let body = Some(BodyRef { mail, segment: 0, offset: 0 });
        let kind = DeliveryKind::Forward {
            reverse_path: reverse_path.to_owned(),
            body,
            trace: super::samples::TRACE.to_owned(),
        };
        Delivery { kind, to: samples::address("ops@example.com"), ..samples::verification_delivery() }
    }

    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Resolves once so many tries have ended.
    pub(super) async fn settled(&self, count: usize) {
        self.ended.subscribe().wait_for(|ended| *ended >= count).await.unwrap();
    }

    pub(super) fn ends(&self) -> Vec<Settlement> {
        self.state().ends.clone()
    }

    pub(super) fn set_verification(&self, state: Option<VerificationState>) {
        *self.verification.lock().unwrap() = state;
    }

    pub(super) fn gate_verifications(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate { reached: Semaphore::new(0), open: Semaphore::new(0) });
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(super) fn refuse_settlements(&self, count: usize) {
        self.state().refuse_settlements = count;
    }

    pub(super) fn refuse_claims(&self, count: usize) {
        self.state().refuse_claims = count;
    }

    pub(super) fn lose_leases(&self) {
        self.state().lose_leases = true;
    }

    pub(super) fn most_leases(&self) -> usize {
        self.state().most_leases
    }

    pub(super) fn most_claims_of_one_job(&self) -> u64 {
        self.state().most_claims
    }
}

fn countdown(count: &mut usize) -> bool {
    let more = *count > 0;
    *count = count.saturating_sub(1);
    more
}

#[async_trait]
impl Store for FakeOutbox {
    async fn confirmation(&self, _: &TokenDigest) -> Result<Option<ConfirmationView>, StoreError> {
        unreachable!("the outbox does not ask for it")
    }

    async fn sent(&self, _: DeliveryId) -> Result<Option<SentMail>, StoreError> {
        unreachable!("the outbox does not ask for it")
    }

    async fn verification(&self, id: VerificationId) -> Result<Option<VerificationView>, StoreError> {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.reached.add_permits(1);
            gate.open.acquire().await.unwrap().forget();
        }
        let state = self.verification.lock().unwrap().clone();
        Ok(state.map(|state| VerificationView {
            id,
            address: samples::address("ada.lovelace@example.com"),
            asked_at: samples::received(),
            state,
            opened_at: None,
            mails: Vec::new(),
        }))
    }

    async fn claim(
        &self,
        queue: Queue,
        now: Time,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        assert_eq!(queue, Queue::Outbox);
        let mut state = self.state();
        if countdown(&mut state.refuse_claims) {
            return Err(StoreError::Unavailable("told to fail".to_owned()));
        }
        let free =
            |row: &&mut Row| row.job.due_at <= now && row.leased_until.is_none_or(|until| until <= now);
        let mut leases = Vec::new();
        for row in state.jobs.values_mut().filter(free).take(max) {
            row.leased_until = Some(now.plus(lease));
            row.claims += 1;
            leases.push(Lease { queue, job: row.job.clone(), fence: row.claims });
        }
        let at_once = state.jobs.values().filter(|row| row.leased_until.is_some()).count();
        state.most_leases = state.most_leases.max(at_once);
        let fences = leases.iter().map(|lease| lease.fence - u64::from(lease.job.attempts));
        state.most_claims = fences.fold(state.most_claims, u64::max);
        Ok(leases)
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement, _at: Time) -> Result<Settled, CommitError> {
        let mut state = self.state();
        if countdown(&mut state.refuse_settlements) {
            return Err(CommitError::Unavailable("told to fail".to_owned()));
        }
        let lost = state.lose_leases;
        let row = state.jobs.get_mut(&lease.job.id).expect("a settled job was there");
        assert_eq!(row.claims, lease.fence, "settled by the one who holds it");
        match &settlement {
            _ if lost => {}
            Settlement::RetryAt(at, error) => {
                row.leased_until = None;
                row.job.due_at = *at;
                row.job.attempts += 1;
                row.job.last_error = Some(error.clone());
            }
            Settlement::Done(_) | Settlement::Dead(_) => drop(state.jobs.remove(&lease.job.id)),
        }
        state.ends.push(settlement);
        self.ended.send_replace(state.ends.len());
        Ok(if lost { Settled::Lost } else { Settled::Ok })
    }

    async fn next_due(&self, _queue: Queue) -> Result<Option<Time>, StoreError> {
        let state = self.state();
        Ok(state.jobs.values().filter(|row| row.leased_until.is_none()).map(|row| row.job.due_at).min())
    }

    fn wakes(&self, _queue: Queue) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    async fn raw(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        let raw = self.state().raw.get(&body.mail).cloned();
        raw.ok_or_else(|| StoreError::Damaged("no such mail".to_owned()))
    }

    async fn sender(&self, _: &EmailAddress, _: &[Once], _: Time) -> Result<SenderView, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn threads(&self, _: &EmailAddress, _: &Named) -> Result<Vec<Thread>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn token(&self, _: &TokenDigest) -> Result<Option<TokenView>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn verifications(&self, _: &EmailAddress, _: usize) -> Result<Vec<VerificationView>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn commit(&self, _: Plan) -> Result<Committed, CommitError> {
        unreachable!("the worker does not ask this")
    }
    async fn request(&self, _: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn comments(&self, _: &RequestId) -> Result<Vec<Comment>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn requests(&self, _: &RequestFilter, _: PageRequest) -> Result<Page<RequestRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn held(&self, _: HeldId) -> Result<Option<HeldRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn held_mails(&self, _: &HeldFilter, _: PageRequest) -> Result<Page<HeldRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn accounts(&self, _: &AccountFilter, _: PageRequest) -> Result<Page<Account>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn decisions(&self, _: &DecisionFilter, _: PageRequest) -> Result<Page<DecisionRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn deliveries(&self, _: &EmailAddress) -> Result<Vec<DeliveryRow>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn traces(&self, _: &EmailAddress) -> Result<Traces, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn held_count(&self) -> Result<u64, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn backlog(&self) -> Result<Backlog, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn sweep(&self, _: Time, _: Time, _: usize) -> Result<usize, CommitError> {
        unreachable!("the worker does not ask this")
    }
    async fn dropped(&self, _: MailId, _: Time) -> Result<Vec<Dropped>, StoreError> {
        unreachable!("the worker does not ask this")
    }
    async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        unreachable!("the worker does not ask this")
    }
    async fn drop_snapshot(&self) -> Result<(), CommitError> {
        Ok(())
    }
    async fn compact(&self, _: &Retention, _: Time, _: Effort) -> Result<Compacted, CommitError> {
        unreachable!("the worker does not ask this")
    }
    fn health(&self) -> Health {
        Health { writable: true, ..Health::default() }
    }
    async fn close(&self) {}
    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn scrub(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
