//! Empties the outbox: claims what is due, sends it, and says how it ended.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
};

use super::{
    clean::words,
    compose::Composer,
    handed_on::handed_on,
    step::next_step,
    transport::{Outgoing, SendError, Transport},
};
use crate::{
    config::Config,
    ops::{
        self, AcknowledgementEnded, ConfirmationEnded, Event, ForwardEnded, Ops, OutboundRetry,
        OutboundUnsettled, Shutdown, StoreFailed, VerificationFailed, VerificationSent,
    },
    store::{
        BodyRef, CommitError, Delivery, DeliveryKind, JobKind, Lease, Queue, Settled, Settlement, Store,
        StoreError, VerificationState,
    },
    types::{AccountStatus, Confirm, Purpose, Time, Token, TokenDigest, TokenSeal, VerificationId, Verify},
};

/// How long a claimed mail is ours. Longer than any try may last.
const LEASE: Duration = Duration::from_mins(10);
/// Most mails that are sent at once.
const AT_ONCE: usize = 4;
/// Longest sleep: covers leases of a worker that died, and a clock that was set.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// Shortest sleep, so that a job that is due but not given out is not asked for in a loop.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);
/// So many first characters of a token are taken for that token.
const TELLING: usize = 8;
/// Sleep when the store can't be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// What the worker needs.
#[derive(Clone)]
pub struct Parts {
    /// Holds the outbox.
    pub store: Arc<dyn Store>,
    /// The settings in force.
    pub config: Arc<ArcSwap<Config>>,
    /// Clock, events, metrics.
    pub ops: Ops,
    /// Opens the tokens of the outbox.
    pub seal: TokenSeal,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Sends until stopping begins; then finishes the sends under way. One for each store.
pub async fn run(parts: Parts) {
    let _waited_for = parts.shutdown.handle();
    let shutdown = parts.shutdown.clone();
    let mut worker = Worker::new(parts);
    tokio::select! {
        () = worker.work() => {}
        // The sends under way are aborted; their leases end, and they are tried again after the next start.
        () = shutdown.over() => {}
    }
}

struct Worker {
    parts: Parts,
    wakes: Arc<Notify>,
    transport: Option<Arc<Transport>>,
    sends: JoinSet<()>,
}

impl Worker {
    fn new(parts: Parts) -> Self {
        let wakes = parts.store.wakes(Queue::Outbox);
        Self { parts, wakes, transport: None, sends: JoinSet::new() }
    }

    async fn work(&mut self) {
        let wakes = Arc::clone(&self.wakes);
        while !self.parts.shutdown.has_begun() {
            // Listens before the store is asked, so that a commit in between still wakes.
            let woken = wakes.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let sleep = self.fill().await;
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(sleep) => {}
                Some(ended) = self.sends.join_next() => self.note(ended),
                () = self.parts.shutdown.begun() => {}
            }
        }
        while let Some(ended) = self.sends.join_next().await {
            self.note(ended);
        }
        if let Some(transport) = &self.transport {
            transport.close().await;
        }
    }

    /// Claims what there is room for. Returns how long to sleep when nothing wakes us.
    async fn fill(&mut self) -> Duration {
        while let Some(ended) = self.sends.try_join_next() {
            self.note(ended);
        }
        let room = AT_ONCE.saturating_sub(self.sends.len());
        if room == 0 {
            return LONGEST_SLEEP; // the end of a send wakes us
        }
        let (store, now) = (&self.parts.store, self.parts.ops.clock.now());
        let claimed = match store.claim(Queue::Outbox, now, room, LEASE).await {
            Ok(leases) => leases,
            Err(error) => return self.pause(&error),
        };
        for lease in claimed {
            self.begin(lease);
        }
        match self.parts.store.next_due(Queue::Outbox).await {
            Ok(due) => sleep_until(due, now),
            Err(error) => self.pause(&error),
        }
    }

    fn begin(&mut self, lease: Lease) {
        let config = self.parts.config.load_full();
        let transport = self.transport(&config);
        let parts = self.parts.clone();
        self.sends.spawn(Try { parts, config, transport, lease }.run());
    }

    /// The transport of the settings in force; its connections are kept as long as these stay.
    fn transport(&mut self, config: &Config) -> Result<Arc<Transport>, SendError> {
        if let Some(transport) = self.transport.as_ref().filter(|transport| transport.fits(config)) {
            return Ok(Arc::clone(transport));
        }
        let transport = Arc::new(Transport::new(config)?);
        self.transport = Some(Arc::clone(&transport));
        Ok(transport)
    }

    fn pause(&self, error: &dyn std::error::Error) -> Duration {
        StoreFailed { error: &format!("the outbox: {error}"), fatal: false }.emit(&self.parts.ops);
        STORE_PAUSE
    }

    /// A panic is a bug: it is said, and the lease's end brings the mail back.
    fn note(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            OutboundUnsettled { delivery: None, error: ops::words_of(&error) }.emit(&self.parts.ops);
        }
    }
}

fn sleep_until(due: Option<Time>, now: Time) -> Duration {
    due.map_or(LONGEST_SLEEP, |due| due.since(now)).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
}

/// One try to send one mail.
struct Try {
    parts: Parts,
    config: Arc<Config>,
    transport: Result<Arc<Transport>, SendError>,
    lease: Lease,
}

impl Try {
    async fn run(self) {
        let result = match &self.lease.job.kind {
            JobKind::Deliver(delivery) => self.deliver(delivery).await,
            JobKind::Release { .. } | JobKind::Expire(_) => {
                Err(permanent("the outbox holds what is no mail"))
            }
        };
        let settlement = next_step(result, &self.lease.job, self.parts.ops.clock.now());
        if self.settle(&settlement).await {
            self.report(&settlement);
        }
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<String, SendError> {
        match &delivery.kind {
            DeliveryKind::Verification { verification, token, sealed, expires_at, .. } => {
                self.still_wanted(delivery, *verification, *expires_at).await?;
                let token = self.open::<Verify>(*token, *sealed)?.reveal();
                hide_token(self.send(self.composed(delivery, Some(&token))?).await, &token)
            }
            DeliveryKind::Confirmation { token, sealed, expires_at, .. } => {
                self.still_unconfirmed(delivery, *expires_at).await?;
                let token = self.open::<Confirm>(*token, *sealed)?.reveal();
                hide_token(self.send(self.composed(delivery, Some(&token))?).await, &token)
            }
            DeliveryKind::Acknowledgement { .. } => {
                if !self.config.verification.may_mail(&delivery.to) {
                    return Err(permanent("not sent: verification.never_mail names the address"));
                }
                self.send(self.composed(delivery, None)?).await
            }
            DeliveryKind::Forward { reverse_path, body, trace } => {
                let mut mail = self.forwarded_mail(delivery, reverse_path, *body).await?;
                mail.bytes = handed_on(&mail.bytes, trace, self.config.hostname.as_str());
                self.send(mail).await
            }
        }
    }

    async fn send(&self, mail: Outgoing) -> Result<String, SendError> {
        self.transport.as_ref().map_err(Clone::clone)?.send(&mail).await
    }

    /// Much may have happened since the mail was enqueued: whatever makes its link useless or unwelcome ends it.
    async fn still_wanted(
        &self,
        delivery: &Delivery,
        id: VerificationId,
        expires_at: Time,
    ) -> Result<(), SendError> {
        if self.parts.ops.clock.now() >= expires_at {
            return Err(permanent("not sent: its link has expired"));
        }
        if !self.config.verification.may_mail(&delivery.to) {
            return Err(permanent("not sent: verification.never_mail names the address"));
        }
        let view = self.parts.store.verification(id).await;
        match view.map_err(|error| SendError::Transient(words(&error.to_string())))? {
            Some(view) => match view.state {
                VerificationState::Pending => Ok(()),
                VerificationState::Verified { .. } => Err(permanent("not sent: the address is verified")),
                VerificationState::Disowned { .. } => Err(permanent("not sent: its owner has disowned it")),
                VerificationState::Moot { .. } => Err(permanent("not sent: nothing waits for it any more")),
            },
            None => Err(permanent("not sent: its verification is gone")),
        }
    }

    /// A new customer's address is to be confirmed while the account stands, and once.
    async fn still_unconfirmed(&self, delivery: &Delivery, expires_at: Time) -> Result<(), SendError> {
        let now = self.parts.ops.clock.now();
        if now >= expires_at {
            return Err(permanent("not sent: its link has expired"));
        }
        if !self.config.verification.may_mail(&delivery.to) {
            return Err(permanent("not sent: verification.never_mail names the address"));
        }
        let view = self.parts.store.sender(&delivery.to, &[], now).await;
        match view.map_err(|error| SendError::Transient(words(&error.to_string())))?.account {
            Some(account) if account.confirmed_at.is_some() => {
                Err(permanent("not sent: the address is confirmed"))
            }
            Some(account) if account.status == AccountStatus::Active => Ok(()),
            _ => Err(permanent("not sent: the account is gone or deactivated")),
        }
    }

    fn open<P: Purpose>(&self, digest: TokenDigest, sealed: [u8; 32]) -> Result<Token<P>, SendError> {
        let token = self.parts.seal.open(digest, sealed);
        token.ok_or_else(|| {
            permanent("the file `secret` beside the store is not the one that sealed its token")
        })
    }

    fn composed(&self, delivery: &Delivery, token: Option<&str>) -> Result<Outgoing, SendError> {
        let composer = Composer { config: &self.config, mint: &self.parts.seal.mint_key() };
        let mail = composer
            .compose(delivery, token, self.lease.job.enqueued_at)
            .map_err(|error| permanent(&error.to_string()))?;
        let (to, reverse_path) = (mail.envelope_to, mail.reverse_path);
        Ok(Outgoing { id: delivery.id, to, reverse_path, bytes: Bytes::from(mail.bytes) })
    }

    async fn forwarded_mail(
        &self,
        delivery: &Delivery,
        reverse_path: &str,
        body: Option<BodyRef>,
    ) -> Result<Outgoing, SendError> {
        let body = body.ok_or_else(|| permanent("the bytes of the forwarded mail are not there"))?;
        // A reverse-path that no mail of ours can carry (a literal, say) was taken at MAIL. What is for the postmaster must
        // reach a person: it goes on with the null one.
        let reverse_path = reverse_path.parse().ok();
        let bytes = self.parts.store.raw(&body).await.map_err(|error| match error {
            StoreError::Unavailable(text) => SendError::Transient(words(&text)),
            StoreError::Damaged(text) | StoreError::BadCursor(text) => permanent(&text),
            gone @ StoreError::Expired(_) => permanent(&gone.to_string()),
        })?;
        Ok(Outgoing { id: delivery.id, to: delivery.to.clone(), reverse_path, bytes })
    }

    /// Writes the end of the try. The store not taking it would send the mail once more, so it is asked until the lease
    /// ends or the daemon stops. Returns whether it is written.
    async fn settle(&self, settlement: &Settlement) -> bool {
        let clock = &self.parts.ops.clock;
        let until = clock.now().plus(LEASE / 2);
        loop {
            let now = clock.now();
            let error = match self.parts.store.settle(&self.lease, settlement.clone(), now).await {
                Ok(Settled::Ok) => return true,
                Ok(Settled::Lost) => "the lease was lost".to_owned(),
                Err(CommitError::Unavailable(text)) if now < until && !self.parts.shutdown.has_begun() => {
                    StoreFailed { error: &text, fatal: false }.emit(&self.parts.ops);
                    tokio::time::sleep(STORE_PAUSE).await;
                    continue;
                }
                Err(error) => error.to_string(),
            };
            let delivery = Some(self.lease.job.id.to_string());
            OutboundUnsettled { delivery, error: &error }.emit(&self.parts.ops);
            return false;
        }
    }

    fn report(&self, settlement: &Settlement) {
        let JobKind::Deliver(delivery) = &self.lease.job.kind else { return };
        let (ops, address) = (&self.parts.ops, &delivery.to);
        let attempts = self.lease.job.attempts.saturating_add(1);
        let result = match settlement {
            Settlement::RetryAt(at, error) => {
                let wait = at.since(ops.clock.now());
                return OutboundRetry { address, error, attempts, wait }.emit(ops);
            }
            Settlement::Done(reply) => Ok(reply.as_str()),
            Settlement::Dead(error) => Err(error.as_str()),
        };
        match (&delivery.kind, result) {
            (DeliveryKind::Verification { verification, .. }, Ok(reply)) => {
                let verification = verification.to_string();
                VerificationSent { address, verification, reply, attempts }.emit(ops);
            }
            (DeliveryKind::Verification { verification, .. }, Err(error)) => {
                let verification = verification.to_string();
                VerificationFailed { address, verification, error, attempts }.emit(ops);
            }
            (DeliveryKind::Acknowledgement { request, .. }, result) => {
                let request = request.as_ref().map(ToString::to_string).unwrap_or_default();
                AcknowledgementEnded { address, request, result, attempts }.emit(ops);
            }
            (DeliveryKind::Confirmation { .. }, result) => {
                ConfirmationEnded { address, result, attempts }.emit(ops);
            }
            (DeliveryKind::Forward { body, .. }, result) => {
                let mail_id = body.map(|body| body.mail.to_string()).unwrap_or_default();
                ForwardEnded { address, mail_id, result }.emit(ops);
            }
        }
    }
}

fn permanent(text: &str) -> SendError {
    SendError::Permanent(words(text))
}

/// Some relays quote a mail that they refuse. A token must not reach logs and lists that way, not even cut.
fn hide_token(sent: Result<String, SendError>, token: &str) -> Result<String, SendError> {
    let hide = |text: String| match text.find(&token[..TELLING]) {
        Some(begin) => {
            let rest = text[begin..].trim_start_matches(|c: char| token.contains(c));
            format!("{}***{rest}", &text[..begin])
        }
        None => text,
    };
    sent.map(hide).map_err(|error| match error {
        SendError::Permanent(text) => SendError::Permanent(hide(text)),
        SendError::Transient(text) => SendError::Transient(hide(text)),
    })
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
