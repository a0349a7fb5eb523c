//! What would happen to a mail, and why; nothing is taken in.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bytes::Bytes;
use ipnet::IpNet;
use serde::Serialize;

use super::{
    gather,
    incoming::{Incoming, Mail},
    judge, plan,
};
use crate::{
    access::{Check, Outcome, Reason},
    authn::Verifier,
    config::Config,
    mail::{self, ScanError},
    ops,
    smtp::{Envelope, Protocol, Recipient},
    store::{Effect, SenderView, Store, StoreError},
    types::{Account, EmailAddress, MailId, MintKey, ProjectKey, SessionId, Time, TokenSeal},
    verify::Planning,
};

/// The decision that one project would make.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The project.
    pub project: ProjectKey,
    /// What would become of the mail.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The From address, if usable.
    pub sender: Option<EmailAddress>,
    /// The decoded subject.
    pub subject: String,
    /// All checks.
    pub trail: Vec<Check>,
}

/// Why a mail can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The mail would be refused with 5xx after its data.
    #[error("the mail would be refused: {0}")]
    Refused(#[from] ScanError),
    /// A recipient is not ours.
    #[error("{0} is no address of a project (550 5.1.1); the projects' addresses stand in [[projects]]")]
    UnknownRecipient(String),
    /// No recipient was named, and none of To and Cc is ours.
    #[error("no address of a project in To or Cc; name one with --rcpt (API: ?rcpt=)")]
    NoRecipient,
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The mail to explain, and how it would come.
#[derive(Debug, Clone)]
pub struct Question {
    /// The mail.
    pub raw: Bytes,
    /// Its recipients; none: those of To and Cc that are ours.
    pub rcpts: Vec<String>,
    /// For SPF in mode = "verify": who handed it to the organisation. `None`: SPF is not asked.
    pub client: Option<IpAddr>,
}

/// Explains a mail to people who are known by `accounts` alone. Touches no store; `verifier` asks DNS in mode = "verify".
pub async fn explain(
    config: &Config,
    verifier: Option<&Verifier>,
    accounts: &[Account],
    question: &Question,
) -> Result<Vec<Explained>, ExplainError> {
    let message = scan(&question.raw)?;
    let known = |address: &EmailAddress| accounts.iter().find(|account| account.address == *address).cloned();
    let account = message.author.as_ref().ok().and_then(|author| known(&author.address));
    let envelope = envelope(config, question, &message)?;
    // What a mail names only a store can tell; a mail that names nothing is no reply.
    let threads = message.named_ids().is_empty().then(Vec::new);
    let view = SenderView { account, threads, ..SenderView::default() };
    let mail = Mail::new(&envelope, &question.raw, &message, config);
    Ok(run(&incoming(verifier, mail, None).await, view))
}

/// Explains a mail with the accounts, holds, duplicates and requests of the store; `seal` reads the ids that we made.
pub async fn explain_with(
    store: &dyn Store,
    seal: &TokenSeal,
    config: &Config,
    verifier: Option<&Verifier>,
    question: &Question,
) -> Result<Vec<Explained>, ExplainError> {
    let message = scan(&question.raw)?;
    let envelope = envelope(config, question, &message)?;
    let (mail, mint) = (Mail::new(&envelope, &question.raw, &message, config), seal.mint_key());
    let incoming = incoming(verifier, mail, Some(&mint)).await;
    let view = gather::view(store, &incoming, &mint, envelope.received_at).await?;
    Ok(run(&incoming, view))
}

/// The mail, judged. What a relay would be told to come again for is told as a finding.
async fn incoming<'a>(verifier: Option<&Verifier>, mail: Mail<'a>, mint: Option<&MintKey>) -> Incoming<'a> {
    let mut verdict = judge::judge(verifier, &mail).await;
    if verdict.unanswered.is_some() {
        let window = mail.config.authentication.verify.retry_window;
        let again = format!("DNS gives no answer: 451 4.7.0 until the mail is {} s old", window.as_secs());
        verdict.evidence.findings.push(again);
    }
    Incoming::new(mail, mint, verdict.evidence)
}

fn scan(raw: &[u8]) -> Result<mail::Message, ScanError> {
    mail::prescan(raw)?;
    Ok(mail::read(raw))
}

fn run(incoming: &Incoming<'_>, view: SenderView) -> Vec<Explained> {
    let planning = Planning {
        config: incoming.config,
        now: incoming.envelope.received_at,
        seal: &TokenSeal::new([0; 32]),
        new_id: &|| uuid::Uuid::nil(),
        new_token: &|| [0; 32],
    };
    let (plan, _) = plan::plan(incoming, view, &planning);
    let sender = incoming.sender.as_ref().ok();
    let explained = plan.effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(entry) => Some(Explained {
            project: entry.project,
            outcome: entry.reason.outcome(),
            reason: entry.reason,
            sender: sender.cloned(),
            subject: incoming.message.subject.clone(),
            trail: entry.trail,
        }),
        _ => None,
    });
    explained.collect()
}

/// The reverse-path of a mail that names none, nor an author: not the null one, which is a bounce's.
const SOMEBODY: &str = "somebody@unknown.invalid";

/// The envelope that the mail would come in: the recipients named, else those of To and Cc that are ours; the
/// reverse-path of its Return-Path field, else its author's address, else [`SOMEBODY`]; from the first peer that
/// mode = "relay" believes, unless the question names the client.
fn envelope(config: &Config, question: &Question, message: &mail::Message) -> Result<Envelope, ExplainError> {
    let content = mail::content(&question.raw);
    let author = message.author.as_ref();
    let author = author.map_or_else(|_| SOMEBODY.to_owned(), |author| author.address.to_string());
    let now: Time = ops::Clock::system().now();
    Ok(Envelope {
        mail_id: MailId::new(uuid::Uuid::nil()),
        session: SessionId::new(uuid::Uuid::nil()),
        peer: question.client.unwrap_or_else(|| peer(config)),
        relay: peer(config),
        helo: "explain".to_owned(),
        protocol: Protocol::Esmtp,
        reverse_path: content.return_path.unwrap_or(author),
        recipients: recipients(config, &question.rcpts, &content.participants)?,
        received_at: now,
        took: Duration::ZERO,
    })
}

/// The mail is taken to come from the first relay that is believed, as its own fields can't tell.
fn peer(config: &Config) -> IpAddr {
    let relay = &config.authentication.relay;
    let mut networks = relay.results_from.iter().chain(&relay.internal_relays);
    networks.next().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpNet::addr)
}

fn recipients(
    config: &Config,
    rcpts: &[String],
    participants: &[EmailAddress],
) -> Result<Vec<Recipient>, ExplainError> {
    let route = |address: &EmailAddress| {
        let route = config.routes.route(address)?;
        Some(Recipient { address: address.to_string(), route })
    };
    if rcpts.is_empty() {
        let found: Vec<_> = participants.iter().filter_map(route).collect();
        return if found.is_empty() { Err(ExplainError::NoRecipient) } else { Ok(found) };
    }
    let named = rcpts.iter().map(|text| {
        let address = text.parse().ok();
        address.as_ref().and_then(route).ok_or_else(|| ExplainError::UnknownRecipient(text.clone()))
    });
    named.collect()
}
