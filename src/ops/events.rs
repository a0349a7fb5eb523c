//! Everything that is logged by name. Each event writes its line and its counter in one call, so that the books balance.

use std::{net::IpAddr, time::Duration};

use tracing::{Level, event};

use super::{CheckLabels, DecisionLabels, Ops, RefusalLabels, RequestLabels};
use crate::types::{Domain, EmailAddress, RequestId, SessionId};

/// One thing that happened.
pub trait Event {
    /// Writes the line and counts.
    fn emit(self, ops: &Ops);
}

/// Writes one line at `level` with the event's name first.
macro_rules! line {
    ($ops:expr, $level:expr, $name:literal, $($fields:tt)*) => {
        $ops.in_scope(|| event!(target: "vestibule", $level, event = $name, $($fields)*))
    };
}

/// `session.opened`: a peer was greeted.
pub struct SessionOpened {
    /// The session.
    pub session: SessionId,
    /// The peer.
    pub peer: IpAddr,
}

impl Event for SessionOpened {
    fn emit(self, ops: &Ops) {
        ops.metrics.sessions_opened.inc();
        ops.metrics.sessions.inc();
        line!(ops, Level::DEBUG, "session.opened", session = %self.session, peer = %self.peer);
    }
}

/// `session.closed`: a greeted peer is gone.
pub struct SessionClosed {
    /// The session.
    pub session: SessionId,
    /// The peer.
    pub peer: IpAddr,
    /// Mails taken in it.
    pub mails: u64,
    /// The TLS version, `TLSv1_2` or `TLSv1_3`; `None` in the clear.
    pub tls: Option<&'static str>,
    /// How it ended: `quit`, `peer-closed`, `timeout`, `errors`, `stopping`, `io`.
    pub how: &'static str,
    /// How long it lasted.
    pub lasted: Duration,
}

impl Event for SessionClosed {
    fn emit(self, ops: &Ops) {
        ops.metrics.sessions.dec();
        line!(ops, Level::DEBUG, "session.closed",
            session = %self.session, peer = %self.peer, mails = self.mails, tls = self.tls, how = self.how,
            elapsed_ms = millis(self.lasted));
    }
}

/// `session.relayed`: a trusted relay told with XCLIENT for whom it speaks from now on.
pub struct SessionRelayed {
    /// The session.
    pub session: SessionId,
    /// The peer so far: the relay.
    pub peer: IpAddr,
    /// The client, which is the peer of all that follows.
    pub client: IpAddr,
}

impl Event for SessionRelayed {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::DEBUG, "session.relayed",
            session = %self.session, peer = %self.peer, client = %self.client);
    }
}

/// `tls.failed`: the handshake behind STARTTLS came to nothing; the session ends.
pub struct TlsFailed<'a> {
    /// The session.
    pub session: SessionId,
    /// The peer.
    pub peer: IpAddr,
    /// What was wrong.
    pub error: &'a str,
}

impl Event for TlsFailed<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::INFO, "tls.failed",
            session = %self.session, peer = %self.peer, error = self.error);
    }
}

/// `sender.checked`: what SPF, DKIM, DMARC and ARC came to. `sender.unchecked` where DNS gave no answer that counts.
pub struct SenderChecked<'a> {
    /// The mail.
    pub mail_id: String,
    /// The session.
    pub session: SessionId,
    /// The From domain.
    pub sender_domain: Option<&'a Domain>,
    /// Method and result of each check.
    pub results: &'a [(&'static str, &'static str)],
    /// What DNS gave no answer to.
    pub unanswered: Option<&'a str>,
    /// Whether the relay was told to come again; the mail is taken as unproven else.
    pub comes_again: bool,
}

impl Event for SenderChecked<'_> {
    fn emit(self, ops: &Ops) {
        for (method, result) in self.results {
            ops.metrics.sender_checks.get_or_create(&CheckLabels { method, result }).inc();
        }
        let results: Vec<_> =
            self.results.iter().map(|(method, result)| [method, "=", result].concat()).collect();
        let (results, domain) = (results.join(" "), self.sender_domain.map(Domain::as_str));
        let Some(error) = self.unanswered else {
            line!(ops, Level::DEBUG, "sender.checked", mail_id = self.mail_id, session = %self.session,
                sender_domain = domain, results = results);
            return;
        };
        ops.metrics.dns_failures.inc();
        line!(ops, Level::WARN, "sender.unchecked", mail_id = self.mail_id, session = %self.session,
            sender_domain = domain, error = error, comes_again = self.comes_again);
    }
}

/// `smtp.refused`: a reply that refused a connection, a command or a mail.
pub struct SmtpRefused<'a> {
    /// The session, when there is one.
    pub session: Option<SessionId>,
    /// The peer.
    pub peer: IpAddr,
    /// The reply's code; 0 where the connection was closed without a reply.
    pub code: u16,
    /// The name of the reply's row in the table.
    pub reason: &'static str,
    /// The reverse-path of the mail that was under way, as the site wants addresses in its log; `<>` for the null one.
    pub mail_from: Option<String>,
    /// What it was about: the command line or address, as the peer wrote it. May name the key to change.
    pub detail: &'a str,
}

impl Event for SmtpRefused<'_> {
    fn emit(self, ops: &Ops) {
        let labels = RefusalLabels { code: self.code, reason: self.reason };
        ops.metrics.refused.get_or_create(&labels).inc();
        let session = self.session.map(|session| session.to_string());
        line!(ops, Level::INFO, "smtp.refused",
            session = session.as_deref(), peer = %self.peer, code = self.code, reason = self.reason,
            mail_from = self.mail_from, detail = self.detail);
    }
}

/// `accept.failed`: a connection could not be accepted, for want of file descriptors mostly.
pub struct AcceptFailed<'a> {
    /// What went wrong.
    pub error: &'a std::io::Error,
    /// How long it waits before the next try.
    pub wait: Duration,
}

impl Event for AcceptFailed<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::WARN, "accept.failed", error = %self.error, wait_ms = millis(self.wait));
    }
}

/// What every `mail.decided` line says.
pub struct MailDecided<'a> {
    /// Why; the outcome follows from it.
    pub reason: crate::access::Reason,
    /// The project.
    pub project: &'a str,
    /// Our id.
    pub mail_id: String,
    /// Message-ID.
    pub message_id: Option<&'a str>,
    /// The From address.
    pub sender: Option<&'a EmailAddress>,
    /// On which lists its domain stands.
    pub domain_list: &'static str,
    /// `none`, `internal`, `portal-only` or `deactivated`, before this decision.
    pub account: &'static str,
    /// proven, unproven or disproven.
    pub standing: &'static str,
    /// The request, if one came of it.
    pub request: Option<String>,
    /// The mail that waits, or waited.
    pub held: Option<String>,
    /// What ended the hold; `None` at intake.
    pub basis: Option<&'static str>,
    /// Who asked for it by the API.
    pub actor: Option<&'a str>,
    /// Size of the mail.
    pub bytes: u64,
    /// The relay it came from, at intake.
    pub peer: Option<IpAddr>,
    /// The session it came in, at intake.
    pub session: Option<SessionId>,
    /// From its last byte to the durable decision.
    pub elapsed: Duration,
}

impl Event for MailDecided<'_> {
    fn emit(self, ops: &Ops) {
        let (outcome, reason) = (self.reason.outcome().as_str(), self.reason.as_str());
        let labels = DecisionLabels { outcome, reason };
        let metrics = &ops.metrics;
        if self.basis.is_none() {
            metrics.accepted.inc();
            metrics.decided.get_or_create(&labels).inc();
            metrics.bytes_accepted.inc_by(self.bytes);
            metrics.intake_seconds.observe(self.elapsed.as_secs_f64());
            if self.held.is_some() {
                metrics.holds_made.inc();
            }
        } else if self.basis == Some(crate::access::Basis::Reprocessed.as_str()) {
            if self.held.is_some() {
                metrics.holds_made.inc();
            }
        } else {
            metrics.holds_resolved.get_or_create(&labels).inc();
        }
        let sender = self.sender.map(|sender| ops.log_address(sender));
        line!(
            ops,
            Level::INFO,
            "mail.decided",
            outcome,
            reason,
            project = self.project,
            mail_id = self.mail_id,
            message_id = self.message_id,
            sender = sender.as_deref(),
            sender_domain = self.sender.map(|sender| sender.domain().as_str()),
            domain_list = self.domain_list,
            account = self.account,
            standing = self.standing,
            request = self.request.as_deref(),
            held = self.held.as_deref(),
            basis = self.basis,
            actor = self.actor,
            bytes = self.bytes,
            peer = self.peer.map(|peer| peer.to_string()).as_deref(),
            session = self.session.map(|session| session.to_string()).as_deref(),
            elapsed_us = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX)
        );
    }
}

/// `mail.forwarded`: a mail for the postmaster went into the outbox.
pub struct MailForwarded {
    /// Our id.
    pub mail_id: String,
    /// Its reverse-path, as the site wants addresses in its log; `<>` for the null one.
    pub mail_from: Option<String>,
    /// The relay it came from.
    pub peer: IpAddr,
    /// The session it came in.
    pub session: SessionId,
    /// Its size.
    pub bytes: u64,
}

impl Event for MailForwarded {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::INFO, "mail.forwarded",
            mail_id = self.mail_id, mail_from = self.mail_from, peer = %self.peer, session = %self.session,
            bytes = self.bytes);
    }
}

/// `verification.sent`: the relay has taken a verification mail.
pub struct VerificationSent<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// Which verification.
    pub verification: String,
    /// The relay's words.
    pub reply: &'a str,
    /// Tries it took.
    pub attempts: u32,
}

impl Event for VerificationSent<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.sent("verification");
        ops.metrics.step("sent");
        line!(
            ops,
            Level::INFO,
            "verification.sent",
            address = ops.log_address(self.address),
            verification = self.verification,
            reply = &*ops.log_words(self.reply),
            attempts = self.attempts
        );
    }
}

/// `verification.failed`: a verification mail was given up.
pub struct VerificationFailed<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// Which verification.
    pub verification: String,
    /// The relay's words, or what went wrong.
    pub error: &'a str,
    /// Tries it took.
    pub attempts: u32,
}

impl Event for VerificationFailed<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.failed("verification");
        line!(
            ops,
            Level::WARN,
            "verification.failed",
            address = ops.log_address(self.address),
            verification = self.verification,
            error = &*ops.log_words(self.error),
            attempts = self.attempts
        );
    }
}

/// `acknowledgement.sent` / `acknowledgement.failed`: the end of "we have your request".
pub struct AcknowledgementEnded<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// The request.
    pub request: String,
    /// The relay's words, or what went wrong.
    pub result: Result<&'a str, &'a str>,
    /// Tries it took.
    pub attempts: u32,
}

impl Event for AcknowledgementEnded<'_> {
    fn emit(self, ops: &Ops) {
        let (address, request, attempts) = (ops.log_address(self.address), self.request, self.attempts);
        match self.result {
            Ok(reply) => {
                ops.metrics.sent("acknowledgement");
                let reply = &*ops.log_words(reply);
                line!(ops, Level::INFO, "acknowledgement.sent", address, request, reply, attempts);
            }
            Err(error) => {
                ops.metrics.failed("acknowledgement");
                let error = &*ops.log_words(error);
                line!(ops, Level::WARN, "acknowledgement.failed", address, request, error, attempts);
            }
        }
    }
}

/// `confirmation.sent` / `confirmation.failed`: the end of a mail that asks a new customer to confirm the address.
pub struct ConfirmationEnded<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// The relay's words, or what went wrong.
    pub result: Result<&'a str, &'a str>,
    /// Tries it took.
    pub attempts: u32,
}

impl Event for ConfirmationEnded<'_> {
    fn emit(self, ops: &Ops) {
        let (address, attempts) = (ops.log_address(self.address), self.attempts);
        match self.result {
            Ok(reply) => {
                ops.metrics.sent("confirmation");
                let reply = &*ops.log_words(reply);
                line!(ops, Level::INFO, "confirmation.sent", address, reply, attempts);
            }
            Err(error) => {
                ops.metrics.failed("confirmation");
                let error = &*ops.log_words(error);
                line!(ops, Level::WARN, "confirmation.failed", address, error, attempts);
            }
        }
    }
}

/// `account.confirmed`: a customer has confirmed the address with a link.
pub struct AccountConfirmed<'a> {
    /// The address.
    pub address: &'a EmailAddress,
}

impl Event for AccountConfirmed<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::INFO, "account.confirmed", address = ops.log_address(self.address));
    }
}

/// `bounce.received`: a mail came to a bounce address of ours. What it ends is told by an event of its own.
pub struct BounceReceived<'a> {
    /// Our id of the bounce.
    pub mail_id: String,
    /// The mail of ours that it is about.
    pub delivery: String,
    /// `failed`, or why it ends nothing: `delayed`, `not-a-bounce`, `unknown`.
    pub result: &'static str,
    /// Its words.
    pub words: &'a str,
}

impl Event for BounceReceived<'_> {
    fn emit(self, ops: &Ops) {
        line!(
            ops,
            Level::INFO,
            "bounce.received",
            mail_id = self.mail_id,
            delivery = self.delivery,
            result = self.result,
            words = &*ops.log_words(self.words)
        );
    }
}

/// `outbound.retry`: a mail of ours is tried again later.
pub struct OutboundRetry<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// What went wrong.
    pub error: &'a str,
    /// Tries so far.
    pub attempts: u32,
    /// How long it waits.
    pub wait: Duration,
}

impl Event for OutboundRetry<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.mails_retried.inc();
        line!(
            ops,
            Level::WARN,
            "outbound.retry",
            address = ops.log_address(self.address),
            error = &*ops.log_words(self.error),
            attempts = self.attempts,
            wait_ms = millis(self.wait)
        );
    }
}

/// `outbound.sent` / `outbound.failed`: the end of a forwarded mail.
pub struct ForwardEnded<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// The mail.
    pub mail_id: String,
    /// The relay's words, or what went wrong.
    pub result: Result<&'a str, &'a str>,
}

impl Event for ForwardEnded<'_> {
    fn emit(self, ops: &Ops) {
        let address = ops.log_address(self.address);
        match self.result {
            Ok(reply) => {
                let reply = &*ops.log_words(reply);
                ops.metrics.sent("forward");
                line!(ops, Level::INFO, "outbound.sent", address, mail_id = self.mail_id, reply);
            }
            Err(error) => {
                let error = &*ops.log_words(error);
                ops.metrics.failed("forward");
                line!(ops, Level::WARN, "outbound.failed", address, mail_id = self.mail_id, error);
            }
        }
    }
}

/// `outbound.unsettled`: a try to send has ended, but the store has not kept how; the mail may go out once more.
pub struct OutboundUnsettled<'a> {
    /// The delivery; `None` when the try ended in a panic.
    pub delivery: Option<String>,
    /// Why it was not kept.
    pub error: &'a str,
}

impl Event for OutboundUnsettled<'_> {
    fn emit(self, ops: &Ops) {
        line!(
            ops,
            Level::ERROR,
            "outbound.unsettled",
            delivery = self.delivery.as_deref(),
            error = &*ops.log_words(self.error)
        );
    }
}

/// `verification.resent`: a further verification mail was asked for and waits in the outbox.
pub struct VerificationResent<'a> {
    /// To whom.
    pub address: &'a EmailAddress,
    /// Which verification.
    pub verification: String,
    /// Who asked for it by the API; `None`: the reader of an expired link's page.
    pub actor: Option<&'a str>,
}

impl Event for VerificationResent<'_> {
    fn emit(self, ops: &Ops) {
        line!(
            ops,
            Level::INFO,
            "verification.resent",
            address = ops.log_address(self.address),
            verification = self.verification,
            actor = self.actor
        );
    }
}

/// `verification.redeemed`: somebody has used a link.
pub struct VerificationRedeemed<'a> {
    /// Whose address is proven.
    pub address: &'a EmailAddress,
    /// Which verification.
    pub verification: String,
    /// Mails handed on.
    pub handed_on: usize,
    /// Mails that are not theirs.
    pub not_mine: usize,
}

impl Event for VerificationRedeemed<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.redeemed.inc();
        ops.metrics.step("redeemed");
        line!(
            ops,
            Level::INFO,
            "verification.redeemed",
            address = ops.log_address(self.address),
            verification = self.verification,
            handed_on = self.handed_on,
            not_mine = self.not_mine
        );
    }
}

/// `verification.disowned`: the owner of an address did not send what waits in its name.
pub struct VerificationDisowned<'a> {
    /// Whose address.
    pub address: &'a EmailAddress,
    /// Which verification.
    pub verification: String,
    /// Mails that are not theirs.
    pub not_mine: usize,
}

impl Event for VerificationDisowned<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.step("disowned");
        line!(
            ops,
            Level::WARN,
            "verification.disowned",
            address = ops.log_address(self.address),
            verification = self.verification,
            not_mine = self.not_mine
        );
    }
}

/// `hold.expired`: a mail has waited longer than it may.
pub struct HoldExpired<'a> {
    /// The mail.
    pub held: String,
    /// The From address.
    pub sender: &'a EmailAddress,
}

impl Event for HoldExpired<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::INFO, "hold.expired", held = self.held, sender = ops.log_address(self.sender));
    }
}

/// `account.created`.
pub struct AccountCreated<'a> {
    /// The address.
    pub address: &'a EmailAddress,
    /// internal or portal-only.
    pub kind: &'static str,
    /// What made it: `mail`, `verification`, `release`, `reprocess`, `api`.
    pub by: &'static str,
    /// Who asked for it by the API.
    pub actor: Option<&'a str>,
}

impl Event for AccountCreated<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.accounts_created.inc();
        line!(
            ops,
            Level::INFO,
            "account.created",
            address = ops.log_address(self.address),
            kind = self.kind,
            by = self.by,
            actor = self.actor
        );
    }
}

/// `account.changed`, `account.deactivated`, `account.deleted`: somebody has changed an account by the API.
pub struct AccountChanged<'a> {
    /// The address.
    pub address: &'a EmailAddress,
    /// How.
    pub how: AccountChange,
    /// Who.
    pub actor: &'a str,
}

/// What was done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// Its name, role, projects or status is another; it was not kept out by it.
    Edited,
    /// It is kept out.
    Deactivated,
    /// It is gone.
    Deleted,
}

impl Event for AccountChanged<'_> {
    fn emit(self, ops: &Ops) {
        let (address, actor) = (ops.log_address(self.address), self.actor);
        match self.how {
            AccountChange::Edited => line!(ops, Level::INFO, "account.changed", address, actor),
            AccountChange::Deactivated => line!(ops, Level::INFO, "account.deactivated", address, actor),
            AccountChange::Deleted => line!(ops, Level::INFO, "account.deleted", address, actor),
        }
    }
}

/// `request.closed`, `request.reopened`: somebody closed a request or opened it again. A reply that opens one is a
/// `mail.decided` line.
pub struct RequestStatusChanged<'a> {
    /// The request.
    pub request: &'a RequestId,
    /// Whether it is closed now.
    pub closed: bool,
    /// Who.
    pub actor: &'a str,
}

impl Event for RequestStatusChanged<'_> {
    fn emit(self, ops: &Ops) {
        let (request, actor) = (self.request.to_string(), self.actor);
        if self.closed {
            line!(ops, Level::INFO, "request.closed", request, actor);
        } else {
            line!(ops, Level::INFO, "request.reopened", request, actor);
        }
    }
}

/// `store.failed`: the store did not take a write.
pub struct StoreFailed<'a> {
    /// What went wrong, the whole chain.
    pub error: &'a str,
    /// Whether the process leaves because of it.
    pub fatal: bool,
}

impl Event for StoreFailed<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.store_failures.inc();
        line!(ops, Level::ERROR, "store.failed", error = &*ops.log_words(self.error), fatal = self.fatal);
    }
}

/// `http.answered`: one for each HTTP request. Neither path nor query: they may hold a token.
pub struct HttpAnswered<'a> {
    /// The method.
    pub method: &'a str,
    /// The matched route, such as `/verify/{token}`.
    pub route: &'a str,
    /// Who called the API.
    pub actor: Option<&'a str>,
    /// Whether it may have changed something by the API: such a line is INFO.
    pub changes: bool,
    /// The status code.
    pub status: u16,
    /// From the request's head to the answer's.
    pub elapsed: Duration,
}

impl Event for HttpAnswered<'_> {
    fn emit(self, ops: &Ops) {
        let labels = RequestLabels { route: self.route.to_owned(), status: self.status };
        ops.metrics.http_requests.get_or_create(&labels).inc();
        let Self { method, route, status, actor, .. } = self;
        let elapsed_ms = millis(self.elapsed);
        if self.changes {
            line!(ops, Level::INFO, "http.answered", method, route, status, actor, elapsed_ms);
        } else {
            line!(ops, Level::DEBUG, "http.answered", method, route, status, actor, elapsed_ms);
        }
    }
}

/// `http.failed`: an HTTP request could not be answered as it should have been, and why.
pub struct HttpFailed<'a> {
    /// The matched route.
    pub route: &'a str,
    /// What went wrong, the whole chain.
    pub error: &'a str,
}

impl Event for HttpFailed<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::WARN, "http.failed", route = self.route, error = &*ops.log_words(self.error));
    }
}

/// `store.opened`: the store is read and level with its journal.
pub struct StoreOpened<'a> {
    /// Journal records that the index did not have yet: not 0 after an unclean stop.
    pub replayed: u64,
    /// Why the index was made anew from the journal, if it was.
    pub rebuilt: Option<&'a str>,
}

impl Event for StoreOpened<'_> {
    fn emit(self, ops: &Ops) {
        match self.rebuilt {
            None => line!(ops, Level::INFO, "store.opened", replayed = self.replayed),
            Some(why) => line!(ops, Level::WARN, "store.opened", replayed = self.replayed, rebuilt = why),
        }
    }
}

/// `store.compacted`: what was past its retention is gone.
pub struct StoreCompacted<'a> {
    parts: [u64; 4],
    took: Duration,
    actor: Option<&'a str>,
}

impl<'a> StoreCompacted<'a> {
    /// Decisions retired, segments written anew, files removed, bytes given back; how long it took; and who asked for it by
    /// the API.
    pub fn new(parts: [u64; 4], took: Duration, actor: Option<&'a str>) -> Self {
        Self { parts, took, actor }
    }
}

impl Event for StoreCompacted<'_> {
    fn emit(self, ops: &Ops) {
        let [decisions, segments, files, freed] = self.parts;
        let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        line!(
            ops,
            Level::INFO,
            "store.compacted",
            decisions = decisions,
            segments = segments,
            files = files,
            freed = freed,
            took_ms = took_ms,
            actor = self.actor
        );
    }
}

/// `address.forgotten`: what was kept of a person is taken out. It does not say whose: that would keep it.
pub struct AddressForgotten<'a> {
    /// Requests, comments, decisions and waiting mails of the person, and mails of others that named the person.
    pub parts: [usize; 5],
    /// Bytes of mail.
    pub bytes: u64,
    /// Who asked for it.
    pub actor: &'a str,
}

impl Event for AddressForgotten<'_> {
    fn emit(self, ops: &Ops) {
        let [requests, comments, decisions, held, mentions] = self.parts;
        let (bytes, actor) = (self.bytes, self.actor);
        line!(
            ops,
            Level::INFO,
            "address.forgotten",
            requests,
            comments,
            decisions,
            held,
            mentions,
            bytes,
            actor
        );
    }
}

/// `store.damaged`: something in the store's files is not what was written; the rest is usable.
pub struct StoreDamaged<'a> {
    /// File, offset, and what is wrong.
    pub damage: &'a str,
}

impl Event for StoreDamaged<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::ERROR, "store.damaged", damage = self.damage);
    }
}

/// `traces.dropped`: spans were dropped, as the collector does not take them. At most once a minute.
pub struct TracesDropped<'a> {
    /// How many since the line before.
    pub spans: u64,
    /// Why the last ones were.
    pub error: &'a str,
}

impl Event for TracesDropped<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::WARN, "traces.dropped", spans = self.spans, error = &*ops.log_words(self.error));
    }
}

/// `daemon.started`.
pub struct DaemonStarted<'a> {
    /// SMTP sockets.
    pub smtp: &'a str,
    /// HTTP socket of the pages.
    pub http: String,
    /// HTTP socket of API, health and metrics.
    pub admin: String,
    /// The data directory.
    pub store: String,
    /// How senders are judged.
    pub authentication: &'static str,
}

impl Event for DaemonStarted<'_> {
    fn emit(self, ops: &Ops) {
        line!(
            ops,
            Level::INFO,
            "daemon.started",
            version = env!("CARGO_PKG_VERSION"),
            smtp = self.smtp,
            http = self.http,
            admin = self.admin,
            store = self.store,
            authentication = self.authentication
        );
    }
}

/// `daemon.stopped`.
pub struct DaemonStopped {
    /// Whether everything under way was finished.
    pub drained: bool,
    /// How long stopping took.
    pub took: Duration,
}

impl Event for DaemonStopped {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::INFO, "daemon.stopped", drained = self.drained, elapsed_ms = millis(self.took));
    }
}

/// `config.loaded`: the settings are in force.
pub struct ConfigLoaded<'a> {
    /// The file.
    pub path: String,
    /// Version of the settings, as decisions name it.
    pub settings_version: &'a str,
    /// The effective settings as TOML in one line of JSON, secrets replaced.
    pub settings: &'a str,
    /// Warnings.
    pub warnings: usize,
}

impl Event for ConfigLoaded<'_> {
    fn emit(self, ops: &Ops) {
        line!(
            ops,
            Level::INFO,
            "config.loaded",
            path = self.path,
            settings_version = self.settings_version,
            warnings = self.warnings,
            settings = self.settings
        );
    }
}

/// `config.refused`: a reload failed, and the old settings stay.
pub struct ConfigRefused<'a> {
    /// The file.
    pub path: String,
    /// All mistakes.
    pub errors: &'a str,
}

impl Event for ConfigRefused<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::ERROR, "config.refused", path = self.path, errors = self.errors);
    }
}

/// `config.warning`: valid, but probably not meant.
pub struct ConfigWarning<'a> {
    /// What.
    pub warning: &'a str,
}

impl Event for ConfigWarning<'_> {
    fn emit(self, ops: &Ops) {
        line!(ops, Level::WARN, "config.warning", warning = self.warning);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
