//! The engine in memory: the same state machine over a map. For `explain`, which must touch no store, and for tests,
//! which make it fail on demand.

mod faults;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_bytes::ByteBuf;
use tokio::sync::Notify;

pub use self::faults::Faults;

use super::{
    AccountFilter, Backlog, BodyRef, Comment, CommitError, Committed, Compacted, ConfirmationView,
    DecisionFilter, DecisionRow, DeliveryRow, Dropped, Effort, Health, HeldFilter, HeldRow, Lease, Named,
    Once, Order, Page, PageRequest, Plan, Queue, RequestFilter, RequestRow, SenderView, SentMail, Settled,
    Settlement, Snapshot, Store, StoreError, Thread, TokenView, Traces, VerificationView, audit,
    leases::Leases,
    machine::{
        self, Before, Counters, Creators, Event, Forgotten, Judge, PlanEvent, RetireEvent, SettleEvent,
    },
    query::{self, Records, View},
    rows::{Key, KeyRange, Location, Rows, Txn, Value, Visit, key},
    wakes::Wakes,
};
use crate::{
    config::Retention,
    types::{
        Account, DeliveryId, EmailAddress, HeldId, MailId, RequestId, Time, TokenDigest, VerificationId,
    },
};

/// The engine. It forgets everything when it is dropped.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    leases: Mutex<Leases>,
    wakes: Wakes,
    faults: Faults,
}

#[derive(Default)]
struct State {
    rows: Map,
    records: Log,
    counters: Option<Counters>,
    closed: bool,
}

#[derive(Default)]
struct Map(BTreeMap<Key, Value>);

/// What the journal is to the other engine; a record's place is its offset.
#[derive(Default)]
struct Log(Vec<(Event, Bytes)>);

impl Rows for Map {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut within = self.0.range(range.from.clone()..range.until.clone());
        loop {
            let row = match order {
                Order::Oldest => within.next(),
                Order::Newest => within.next_back(),
            };
            let Some((key, value)) = row else { return Ok(()) };
            if visit(key, value)?.is_break() {
                return Ok(());
            }
        }
    }
}

impl Log {
    fn record(&self, at: Location) -> Result<&(Event, Bytes), StoreError> {
        let place = usize::try_from(at.offset).ok();
        place
            .and_then(|place| self.0.get(place))
            .ok_or_else(|| StoreError::Damaged(format!("no record {}", at.offset)))
    }
}

impl Records for Log {
    fn event(&self, at: Location) -> Result<Event, StoreError> {
        self.record(at).map(|(event, _)| event.clone())
    }
}

impl Memory {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Unavailable("the store is closed".to_owned())) } else { Ok(state) }
    }

    fn write(&self, mut event: Event, raw: Bytes) -> Result<Committed, CommitError> {
        let mut state = self.state()?;
        if Faults::take(&self.faults.unavailable) {
            return Err(CommitError::Unavailable("as the test wants it".to_owned()));
        }
        let counters = match state.counters.take() {
            Some(counters) => counters,
            None => Counters::load(&state.rows)?,
        };
        let outcome = state.add(&mut event, &counters);
        let counters = state.counters.insert(counters);
        let (committed, queues) = outcome?;
        counters.take(&event);
        state.records.0.push((event, raw));
        drop(state);
        for queue in queues {
            self.wakes.of(queue).notify_one();
        }
        Ok(committed)
    }
}

impl State {
    /// Checks an event and makes its rows; tells which queues got jobs.
    fn add(
        &mut self,
        event: &mut Event,
        counters: &Counters,
    ) -> Result<(Committed, Vec<Queue>), CommitError> {
        machine::prepare(event, &self.rows, counters)?;
        let at = Location { segment: 0, offset: self.records.0.len() as u64 };
        let mut txn = Txn::new(&self.rows);
        let committed = machine::apply(event, at, &mut txn)?;
        let mut queues = Vec::new();
        for (place, value) in txn.into_changes() {
            if let Some(value) = value {
                queues.extend(key::queue_of(&place));
                self.rows.0.insert(place, value);
            } else {
                self.rows.0.remove(&place);
            }
        }
        Ok((committed, queues))
    }

    fn view(&self) -> View<'_> {
        View { rows: &self.rows, records: &self.records }
    }

    /// Takes away the bytes of mails past their time, and what is of those who were forgotten.
    /// Answers the rows that say who.
    fn compact(&mut self, retention: &Retention, now: Time) -> Result<(Compacted, Vec<ByteBuf>), StoreError> {
        let (earlier, forgotten) = (Creators::default(), Forgotten::load(&self.rows)?);
        let judge = Judge {
            rows: &self.rows,
            retention,
            now,
            earlier: &earlier,
            own: Creators::default(),
            clean_below: 0,
            forgotten: &forgotten,
            through: true,
        };
        let mut compacted = Compacted::default();
        for (n, (event, raw)) in self.records.0.iter_mut().enumerate() {
            let at = Location { segment: 0, offset: n as u64 };
            let Event::Plan(plan) = event else { continue };
            let kept = judge.plan(plan, at)?;
            if !kept.body && !raw.is_empty() {
                if let Some(Event::Plan(judged)) = &kept.event {
                    plan.raw_until = judged.raw_until;
                }
                compacted.freed += std::mem::take(raw).len() as u64;
            }
            if kept.forgotten {
                compacted.forgotten += 1;
                *event = kept.event.unwrap_or(Event::Noop);
            }
        }
        Ok((compacted, forgotten.keys()))
    }
}

#[async_trait]
impl Store for Memory {
    async fn sender(
        &self,
        address: &EmailAddress,
        once: &[Once],
        since: Time,
    ) -> Result<SenderView, StoreError> {
        query::sender(&self.state()?.rows, address, once, since)
    }

    async fn threads(&self, sender: &EmailAddress, named: &Named) -> Result<Vec<Thread>, StoreError> {
        query::threads(&self.state()?.rows, sender, named)
    }

    async fn token(&self, digest: &TokenDigest) -> Result<Option<TokenView>, StoreError> {
        query::token(&self.state()?.rows, digest)
    }

    async fn confirmation(&self, digest: &TokenDigest) -> Result<Option<ConfirmationView>, StoreError> {
        query::confirmation(&self.state()?.rows, digest)
    }

    async fn sent(&self, id: DeliveryId) -> Result<Option<SentMail>, StoreError> {
        query::sent(&self.state()?.rows, id)
    }

    async fn verification(&self, id: VerificationId) -> Result<Option<VerificationView>, StoreError> {
        query::verification(&self.state()?.rows, id)
    }

    async fn verifications(
        &self,
        address: &EmailAddress,
        limit: usize,
    ) -> Result<Vec<VerificationView>, StoreError> {
        query::verifications(&self.state()?.rows, address, limit)
    }

    async fn commit(&self, mut plan: Plan) -> Result<Committed, CommitError> {
        if Faults::take(&self.faults.stale) {
            return Err(CommitError::Stale);
        }
        let raw = plan.mail.as_mut().map(|mail| std::mem::take(&mut mail.raw)).unwrap_or_default();
        let written = self.write(Event::Plan(Box::new(PlanEvent::new(plan, false))), raw);
        let late = self.faults.late_ms.load(Ordering::SeqCst);
        if late > 0 {
            tokio::time::sleep(Duration::from_millis(late)).await;
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
        let state = self.state()?;
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        query::claim(&state.rows, &mut leases, (queue, now), max, lease)
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement, at: Time) -> Result<Settled, CommitError> {
        let Some(settling) = Leases::settle(&self.leases, lease) else { return Ok(Settled::Lost) };
        let event = SettleEvent { queue: lease.queue, id: lease.job.id, settlement, at };
        match self.write(Event::Settle(event), Bytes::new()) {
            Ok(_) => {
                settling.over();
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
        let state = self.state()?;
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        query::next_due(&state.rows, &leases, queue)
    }

    fn wakes(&self, queue: Queue) -> Arc<Notify> {
        Arc::clone(self.wakes.of(queue))
    }

    async fn raw(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        let state = self.state()?;
        if body.is_nowhere() {
            return Err(StoreError::Expired(None));
        }
        let (event, raw) = state.records.record(Location::from(body))?;
        match event {
            Event::Plan(plan)
                if raw.is_empty() && plan.plan.mail.as_ref().is_some_and(|mail| mail.facts.size > 0) =>
            {
                Err(StoreError::Expired(plan.raw_until))
            }
            _ => Ok(raw.clone()),
        }
    }

    async fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        self.state()?.view().request(id)
    }

    async fn comments(&self, id: &RequestId) -> Result<Vec<Comment>, StoreError> {
        self.state()?.view().comments(id)
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        page: PageRequest,
    ) -> Result<Page<RequestRow>, StoreError> {
        self.state()?.view().requests(filter, &page)
    }

    async fn held(&self, id: HeldId) -> Result<Option<HeldRow>, StoreError> {
        self.state()?.view().held(id)
    }

    async fn held_mails(&self, filter: &HeldFilter, page: PageRequest) -> Result<Page<HeldRow>, StoreError> {
        self.state()?.view().held_mails(filter, &page)
    }

    async fn accounts(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        query::accounts(&self.state()?.rows, filter, &page)
    }

    async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        self.state()?.view().decisions(filter, &page)
    }

    async fn dropped(&self, mail: MailId, since: Time) -> Result<Vec<Dropped>, StoreError> {
        self.state()?.view().dropped(mail, since)
    }

    async fn deliveries(&self, to: &EmailAddress) -> Result<Vec<DeliveryRow>, StoreError> {
        query::deliveries(&self.state()?.rows, to)
    }

    async fn traces(&self, address: &EmailAddress) -> Result<Traces, StoreError> {
        self.state()?.view().traces(address)
    }

    async fn held_count(&self) -> Result<u64, StoreError> {
        query::held_count(&self.state()?.rows)
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        query::backlog(&self.state()?.rows)
    }

    async fn sweep(
        &self,
        duplicates_before: Time,
        tokens_before: Time,
        max: usize,
    ) -> Result<usize, CommitError> {
        let event = machine::candidates(&self.state()?.rows, (duplicates_before, tokens_before), max)?;
        let Some(event) = event else { return Ok(0) };
        let found = event.keys.len();
        self.write(Event::Sweep(event), Bytes::new())?;
        Ok(found)
    }

    async fn compact(&self, retention: &Retention, now: Time, _: Effort) -> Result<Compacted, CommitError> {
        let before = Before::at(retention, now, u64::MAX);
        let mut decisions = 0;
        loop {
            let event = machine::retirable(self.state()?.view(), before, usize::MAX)?;
            let Some(event) = event else { break };
            decisions += event.decisions();
            self.write(Event::Retire(event), Bytes::new())?;
        }
        let (compacted, keys) = self.state()?.compact(retention, now)?;
        if !keys.is_empty() {
            let event = RetireEvent::of_rows(keys, now, &self.state()?.rows)?;
            self.write(Event::Retire(event), Bytes::new())?;
        }
        Ok(Compacted { decisions, ..compacted })
    }

    async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        Err(CommitError::Unavailable("this store has no files to copy".to_owned()))
    }

    async fn drop_snapshot(&self) -> Result<(), CommitError> {
        Ok(())
    }

    fn health(&self) -> Health {
        let failing = self.faults.unavailable.load(Ordering::SeqCst) > 0;
        Health {
            writable: !failing,
            problem: failing.then(|| "as the test wants it".to_owned()),
            fatal: false,
            free: self.faults.free.load(Ordering::SeqCst),
            ..Health::default()
        }
    }

    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        audit::audit(&self.state()?.rows)
    }

    async fn scrub(&self) -> Result<Vec<String>, StoreError> {
        self.state().map(|_| Vec::new())
    }

    async fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}
