//! `vestibule replay`: relays mails that are files to an SMTP server, unchanged.

pub mod envelope;
pub mod mail;
pub mod relay;
pub mod source;
pub mod summary;
mod wire;

use std::{
    collections::VecDeque,
    io::{IsTerminal, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use self::{
    envelope::{Overrides, ReplayEnvelope},
    mail::ReplayMail,
    relay::{Relay, RelayError},
    source::Source,
    summary::{ReplayResult, Summary},
};
use super::{CommandResult, Failure, runtime, show::plain};
use crate::types::EmailAddress;

/// Relay mails that are files to an SMTP server, unchanged
///
/// PATH is an .eml file, an mbox file, a Maildir, or a folder of them. The envelope comes from each mail: Return-Path or
/// From; X-Original-To, Delivered-To or To. A file whose lines end in LF is sent with CRLF; a mail with a stray CR, LF or
/// NUL can't be sent unchanged and fails. Exit code 1 when any mail was refused or failed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule replay --to 127.0.0.1:2525 --rcpt it@help.example.com mail.eml archive.mbox"
)]
pub struct Args {
    /// The SMTP server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525", value_parser = host_port)]
    to: String,
    /// Envelope sender of all mails; `<>` is the null one
    #[arg(long, value_name = "ADDR", value_parser = reverse_path)]
    mail_from: Option<ReversePath>,
    /// Recipient of all mails; may be repeated
    #[arg(long, value_name = "ADDR")]
    rcpt: Vec<EmailAddress>,
    /// Connections at once; with more than one the mails' order is not kept
    #[arg(long, value_name = "N", default_value = "1")]
    connections: NonZeroUsize,
    /// Print one JSON object a mail and one with the summary
    #[arg(long)]
    json: bool,
    /// .eml files, mbox files, Maildirs, folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// An envelope sender; `None` is the null one.
#[derive(Debug, Clone)]
struct ReversePath(Option<EmailAddress>);

fn reverse_path(text: &str) -> Result<ReversePath, String> {
    match text {
        "" | "<>" => Ok(ReversePath(None)),
        address => {
            address.parse().map(|address| ReversePath(Some(address))).map_err(|error| format!("{error}"))
        }
    }
}

fn host_port(text: &str) -> Result<String, String> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_owned())
        .ok_or_else(|| "give HOST:PORT, such as 127.0.0.1:2525 or [::1]:2525".to_owned())
}

/// A mail of the queue.
#[derive(Debug, Clone)]
pub enum Item {
    /// To be read when its turn comes.
    File(Source, Arc<Overrides>),
    /// Ready, with its name.
    Ready(String, ReplayMail),
}

impl Item {
    fn label(&self) -> String {
        match self {
            Self::File(source, _) => source.label(),
            Self::Ready(label, _) => label.clone(),
        }
    }

    fn mail(self) -> Result<ReplayMail, String> {
        match self {
            Self::Ready(_, mail) => Ok(mail),
            Self::File(source, overrides) => {
                let bytes = source.read().map_err(|error| format!("can't be read: {error}"))?;
                ReplayMail::new(ReplayEnvelope::of(&bytes, &overrides)?, bytes)
            }
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let overrides =
        Arc::new(Overrides { from: args.mail_from.clone().map(|path| path.0), to: args.rcpt.clone() });
    let mut items = Vec::new();
    for path in &args.paths {
        let found = source::find(path).map_err(Failure::invalid)?;
        items.extend(found.into_iter().map(|source| Item::File(source, overrides.clone())));
    }
    let bar = progress(items.len(), args.json);
    let mut summary = Summary::default();
    let mut written = Ok(());
    let all = replay(&args.to, items, args.connections.get(), |result| {
        summary.add(&result);
        bar.inc(1);
        if written.is_ok() {
            written = bar.suspend(|| write_result(out, &result, args.json));
        }
    });
    runtime()?.block_on(all);
    bar.finish_and_clear();
    written?;
    summary.finish();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "summary": summary }))?;
    } else {
        summary.write(out)?;
    }
    if summary.all_accepted() { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

fn progress(mails: usize, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} mails, {per_sec}, {eta} left");
    ProgressBar::new(mails as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// With `--json` every mail; for people those that were not taken.
fn write_result(out: &mut dyn Write, result: &ReplayResult, json: bool) -> std::io::Result<()> {
    if json {
        let mut line = serde_json::json!(result);
        line["status"] = result.status().into();
        return writeln!(out, "{line}");
    }
    let mail = plain(&result.mail);
    if let Some(error) = &result.error {
        return writeln!(out, "failed   {mail}: {}", plain(error));
    }
    let Some(delivered) = &result.delivered else { return Ok(()) };
    for refused in &delivered.refused_recipients {
        let (to, answer) = (refused.address.spelling(), &refused.answer);
        writeln!(out, "refused  {mail}, to {to}: {} {}", answer.code, plain(&answer.text))?;
    }
    if !delivered.answer.is_accepted() && delivered.refused_recipients.is_empty() {
        writeln!(out, "refused  {mail}: {} {}", delivered.answer.code, plain(&delivered.answer.text))?;
    }
    Ok(())
}

/// Relays all items to the server over at most `connections` connections and hands on each result as it comes. Mails
/// that no connection was left for fail with the words of the last attempt to connect.
pub async fn replay(to: &str, items: Vec<Item>, connections: usize, mut each: impl FnMut(ReplayResult)) {
    let workers = connections.clamp(1, items.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(items)));
    let (results, mut incoming) = mpsc::channel(workers * 2);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        running.spawn(work(to.to_owned(), queue.clone(), results.clone()));
    }
    drop(results);
    while let Some(result) = incoming.recv().await {
        each(result);
    }
    let mut reason = String::from("the relaying stopped");
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => reason = error.to_string(),
            Err(panicked) => reason = panicked.to_string(),
        }
    }
    while let Some(item) = next(&queue) {
        each(ReplayResult { mail: item.label(), delivered: None, error: Some(reason.clone()) });
    }
}

fn next(queue: &Mutex<VecDeque<Item>>) -> Option<Item> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Takes mails off the queue until it is empty, or until the server can't be reached; then the mail in hand goes back.
async fn work(
    to: String,
    queue: Arc<Mutex<VecDeque<Item>>>,
    results: mpsc::Sender<ReplayResult>,
) -> Result<(), RelayError> {
    let mut open: Option<Relay> = None;
    while let Some(item) = next(&queue) {
        let mut relay = match open.take() {
            Some(relay) => relay,
            None => match Relay::connect(&to).await {
                Ok(relay) => relay,
                Err(error) => {
                    queue.lock().unwrap_or_else(PoisonError::into_inner).push_front(item);
                    return Err(error);
                }
            },
        };
        let mail = item.label();
        let sent = match item.mail() {
            Ok(ready) => relay.send(&ready).await,
            Err(error) => Err(RelayError::NotOffered(error)),
        };
        let (result, usable) = match sent {
            Ok(delivered) => {
                let usable = delivered.answer.code != 421;
                (ReplayResult { mail, delivered: Some(delivered), error: None }, usable)
            }
            Err(error) => {
                let usable = matches!(error, RelayError::NotOffered(_));
                (ReplayResult { mail, delivered: None, error: Some(error.to_string()) }, usable)
            }
        };
        open = usable.then_some(relay);
        if results.send(result).await.is_err() {
            break;
        }
    }
    if let Some(relay) = open {
        relay.quit().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_and_senders_are_checked_at_once() {
        for good in ["127.0.0.1:2525", "[::1]:25", "mx.example:587"] {
            assert!(host_port(good).is_ok(), "{good}");
        }
        for wrong in ["127.0.0.1", ":25", "mx.example:smtp", ""] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
        assert!(reverse_path("<>").unwrap().0.is_none());
        assert!(reverse_path("a@x.example").unwrap().0.is_some());
        assert!(reverse_path("a@x.example\r\nDATA").is_err());
    }

    #[tokio::test]
    async fn without_a_server_every_mail_fails_with_the_reason() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap().to_string();
        drop(listener);
        let text = b"From: a@x.example\nTo: it@h.example\n\nhello\n";
        let envelope = ReplayEnvelope::of(text, &Overrides::default()).unwrap();
        let item = Item::Ready("one".into(), ReplayMail::new(envelope, text.to_vec()).unwrap());
        let mut results = Vec::new();
        replay(&to, vec![item.clone(), item.clone(), item], 2, |result| results.push(result)).await;
        assert_eq!(results.len(), 3);
        assert!(results.iter().all(|r| r.error.as_deref().is_some_and(|e| e.contains("can't connect"))));
    }
}
