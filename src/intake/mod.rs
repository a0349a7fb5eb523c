//! The way of a mail, in order: limits, parse, judge, gather facts, decide, commit, report. Read this room first.

mod answers;
mod bounces;
mod explain;
mod gather;
mod incoming;
mod judge;
mod notes;
mod plan;
mod reprocess;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

pub use explain::{Explained, Question, explain, explain_with};
use incoming::{Incoming, Mail};
use plan::{Intention, Intentions};
pub use reprocess::{NotReprocessed, Reprocessed};

use crate::{
    authn::{Verdict, Verifier},
    config::{Config, OnDrop},
    mail::{self, Message, ScanError},
    ops::{
        self, AccountCreated, ConfigWarning, Event, ForwardEnded, MailForwarded, Ops, SenderChecked,
        StoreFailed, Way,
    },
    smtp::{Delivery, Envelope},
    store::{CommitError, Committed, Plan, Store, StoreError},
    types::{MintKey, TokenSeal},
    verify::Planning,
};

/// How often a mail is planned anew when its sender has changed meanwhile, before the relay is told to come back.
const MOST_TRIES: u32 = 8;
/// How long the relay waits for the reply to its last byte at the most; relays wait 10 minutes (RFC 5321 §4.5.3.2.6).
const COMMIT_TIMEOUT: Duration = Duration::from_secs(25);
/// A mail larger than this is read on a thread of its own, so that other sessions go on.
const READ_ASIDE: usize = 256 * 1024;

/// Takes mail in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Arc<dyn Store>,
    config: Arc<ArcSwap<Config>>,
    ops: Ops,
    seal: TokenSeal,
    mint: MintKey,
    verifier: Arc<ArcSwapOption<Verifier>>,
}

/// Why a mail was not taken; it stays with the relay.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("the sender changed with each of {MOST_TRIES} tries")]
    Contended,
}

impl Intake {
    /// Into this store, with the settings in force at each mail. `verifier` is there in mode = "verify".
    pub fn new(
        store: Arc<dyn Store>,
        config: Arc<ArcSwap<Config>>,
        ops: Ops,
        seal: TokenSeal,
        verifier: Arc<ArcSwapOption<Verifier>>,
    ) -> Self {
        let mint = seal.mint_key();
        Self { store, config, ops, seal, mint, verifier }
    }

    /// Decides about a mail and makes the decision durable. Anything but [`Delivery::Accepted`] and
    /// [`Delivery::Rejected`] leaves nothing behind, but a commit that outlasts [`COMMIT_TIMEOUT`]: the relay's next try
    /// is then a duplicate of it.
    ///
    /// It is a task of its own, which goes on when nobody waits for it any more: a commit may succeed after the relay was
    /// told to come back, or while the daemon closes the session, and then it must still be logged and counted.
    pub async fn deliver(&self, envelope: Envelope, raw: Bytes) -> Delivery {
        let intake = self.clone();
        let task = tokio::spawn(async move { intake.take(envelope, raw).await });
        let error = match timeout(COMMIT_TIMEOUT, task).await {
            Ok(Ok(delivery)) => return delivery,
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => format!("not committed within {} s", COMMIT_TIMEOUT.as_secs()),
        };
        StoreFailed { error: &error, fatal: false }.emit(&self.ops);
        Delivery::Unavailable
    }

    async fn take(&self, envelope: Envelope, raw: Bytes) -> Delivery {
        let mut way = Way::new(&self.ops, &envelope, raw.len());
        let delivery = self.decide(&envelope, raw, &mut way).await;
        way.end(delivery);
        delivery
    }

    async fn decide(&self, envelope: &Envelope, raw: Bytes, way: &mut Way<'_>) -> Delivery {
        let message = match read(raw.clone()).await {
            Ok(message) => message,
            Err(ScanError::Nul) => return Delivery::Nul,
            Err(ScanError::TooComplex(_)) => return Delivery::TooComplex,
        };
        let scanned = Instant::now();
        let (config, verifier) = (self.config.load_full(), self.verifier.load_full());
        let mail = Mail::new(envelope, &raw, &message, &config);
        let verdict = judge::judge(verifier.as_deref(), &mail).await;
        way.stage("scan", way.begun(), scanned);
        way.stage("authenticate", scanned, Instant::now());
        way.judged(&verdict);
        let comes_again = verdict.unanswered.is_some()
            && judge::is_young(&raw, envelope.received_at, config.authentication.verify.retry_window);
        self.report_checks(envelope, &message, &verdict, comes_again);
        if comes_again {
            return Delivery::SenderUnchecked;
        }
        let incoming = Incoming::new(mail, Some(&self.mint), verdict.evidence);
        if incoming.misdirected {
            // What was promised at RCPT can't be kept; the relay's next try is told so for each recipient.
            let warning =
                "a mail came in while the settings took one of its recipients away; its relay will try again";
            ConfigWarning { warning }.emit(&self.ops);
            return Delivery::Unavailable;
        }
        match self.commit(&incoming, way).await {
            Ok((intentions, committed)) => {
                self.report(&incoming, &intentions, &committed, way);
                self.report_bounces(&incoming, &committed).await;
                delivery(&incoming, &intentions)
            }
            Err(failed) => {
                StoreFailed { error: &failed.to_string(), fatal: false }.emit(&self.ops);
                Delivery::Unavailable
            }
        }
    }

    /// Reads, plans, commits; again while the sender changes or another copy of the mail is quicker.
    async fn commit(
        &self,
        incoming: &Incoming<'_>,
        way: &mut Way<'_>,
    ) -> Result<(Intentions, Committed), Failed> {
        for round in 0..MOST_TRIES {
            let begun = Instant::now();
            let (plan, intentions) = self.plan(incoming).await?;
            let decided = Instant::now();
            // The release that is under way makes the request that this mail is a comment on.
            let waits = intentions.awaits_release && round + 1 < MOST_TRIES;
            let outcome = if waits { Err(CommitError::Stale) } else { self.store.commit(plan).await };
            match outcome {
                Ok(committed) => {
                    // Of the round that counted; what the others took is in `intake_seconds`.
                    way.stage("decide", begun, decided);
                    way.stage("commit", decided, Instant::now());
                    return Ok((intentions, committed));
                }
                Err(CommitError::Stale | CommitError::Duplicate(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let [jitter] = ops::random::<1>();
            tokio::time::sleep(Duration::from_millis(u64::from(jitter) * u64::from(round) / 16)).await;
        }
        Err(Failed::Contended)
    }

    async fn plan(&self, incoming: &Incoming<'_>) -> Result<(Plan, Intentions), Failed> {
        let now = self.ops.clock.now();
        let view = gather::view(&*self.store, incoming, &self.mint, now).await?;
        let planning = Planning {
            config: incoming.config,
            now,
            seal: &self.seal,
            new_id: &|| ops::time_ordered_uuid(now),
            new_token: &ops::random,
        };
        Ok(plan::plan(incoming, view, &planning))
    }

    /// What SPF, DKIM and DMARC came to, where they were asked.
    fn report_checks(&self, envelope: &Envelope, message: &Message, verdict: &Verdict, comes_again: bool) {
        if verdict.results.is_empty() && verdict.unanswered.is_none() {
            return;
        }
        SenderChecked {
            mail_id: envelope.mail_id.to_string(),
            session: envelope.session,
            sender_domain: message.author.as_ref().ok().map(|author| author.address.domain()),
            results: &verdict.results,
            unanswered: verdict.unanswered.as_deref(),
            comes_again,
        }
        .emit(&self.ops);
    }

    /// One `mail.decided` line for each project, and what came to be with it.
    fn report(
        &self,
        incoming: &Incoming<'_>,
        intentions: &Intentions,
        committed: &Committed,
        way: &mut Way<'_>,
    ) {
        let (envelope, elapsed) = (incoming.envelope, way.begun().elapsed());
        if intentions.forwarded {
            MailForwarded {
                mail_id: envelope.mail_id.to_string(),
                mail_from: self.ops.log_path(&envelope.reverse_path),
                peer: envelope.peer,
                session: envelope.session,
                bytes: incoming.raw.len() as u64,
            }
            .emit(&self.ops);
        }
        if let (true, Some(address)) = (intentions.looping, incoming.postmaster()) {
            let mail_id = envelope.mail_id.to_string();
            let result = Err("a mail loop: our own mail, or one that goes round in circles");
            ForwardEnded { address, mail_id, result }.emit(&self.ops);
        }
        if let Some(account) = &intentions.new_account {
            let kind = account.kind.as_str();
            AccountCreated { address: &account.address, kind, by: "mail", actor: None }.emit(&self.ops);
        }
        for (decision, entry) in intentions.decisions.iter().zip(&committed.entries) {
            way.decided(incoming.decided(decision, entry, elapsed));
        }
    }
}

/// Limits first, then the parser; both away from the other sessions when the mail is large.
async fn read(raw: Bytes) -> Result<Message, ScanError> {
    if raw.len() <= READ_ASIDE {
        return mail::prescan(&raw).map(|()| mail::read(&raw));
    }
    let aside = move || mail::prescan(&raw).map(|()| mail::read(&raw));
    // The closure does not panic (`mail::read` catches the parser's panics): only a runtime that ends loses the task,
    // and then nobody waits for the reply.
    tokio::task::spawn_blocking(aside).await.unwrap_or(Err(ScanError::TooComplex("stopping")))
}

/// Whether the relay may be told of the drop (contract: `on_drop = "reject"`).
fn delivery(incoming: &Incoming<'_>, intentions: &Intentions) -> Delivery {
    let may_reject = incoming.config.smtp.on_drop == OnDrop::Reject
        && !intentions.forwarded
        && !intentions.decisions.is_empty()
        && !incoming.envelope.reverse_path.is_empty()
        && incoming.standing == crate::types::Standing::Proven
        && intentions.decisions.iter().all(Intention::may_be_told);
    if may_reject { Delivery::Rejected } else { Delivery::Accepted }
}
