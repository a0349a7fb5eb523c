//! Forgetting a person, with a receipt.

use std::{collections::BTreeSet, time::Duration};

use axum::{Extension, Json, extract::Path};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{accounts, params::Params, store};
use crate::{
    http::{App, Caller, problem::Problem},
    ops::{AddressForgotten, Event, StoreFailed},
    store::{Compacted, Effort},
    types::{EmailAddress, RequestId},
    verify::Known,
};

/// How long the answer waits for the journal's files; the compaction goes on.
const JOURNAL_WAIT: Duration = Duration::from_secs(20);

/// `POST /senders/ADDRESS/forget?dry_run=`: takes out all that is kept of a person and answers a receipt. 404 where neither the
/// rows nor the journal had anything.
pub(super) async fn forget(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(address): Path<String>,
    mut params: Params,
) -> Result<Json<Value>, Problem> {
    let dry_run = params.optional("dry_run")?.unwrap_or(false);
    params.done()?;
    let address = accounts::address(&address)?;
    if dry_run {
        let known = app.state.verify.known(&address).await?;
        if known.is_nothing() {
            return Err(unknown(
                &address,
                "Without dry_run, what was deleted earlier is looked for in the journal.",
            ));
        }
        return Ok(Json(receipt(&app, &address, &known, &Journal::Untouched).await));
    }
    let known = app.state.verify.forget(&address, &caller.name).await?;
    if !known.is_nothing() {
        told(&known, &caller).emit(&app.state.ops);
    }
    let journal = journal(&app, &caller).await;
    if known.is_nothing() && matches!(journal, Journal::Gone { records: 0, .. }) {
        return Err(unknown(&address, "Nothing was changed."));
    }
    Ok(Json(receipt(&app, &address, &known, &journal).await))
}

fn unknown(address: &EmailAddress, more: &str) -> Problem {
    Problem::not_found(format!("Nothing is kept of {address}. {more}"))
}

fn told<'a>(known: &Known, caller: &'a Caller) -> AddressForgotten<'a> {
    let traces = &known.traces;
    let parts = [
        traces.requests.len(),
        traces.comments.len(),
        known.decisions(),
        known.held,
        traces.mentions.len() + traces.waiting_mentions.len(),
    ];
    AddressForgotten { parts, bytes: traces.bytes, actor: caller.name.as_str() }
}

/// What the journal's files have.
enum Journal {
    /// As before: nothing was asked for.
    Untouched,
    /// Nothing any more: how many records had something, and how many bytes were given back.
    Gone { records: u64, freed: u64 },
    /// Something yet: that takes longer, or could not be done now.
    Pending,
}

impl From<Compacted> for Journal {
    fn from(compacted: Compacted) -> Self {
        match compacted.pending {
            0 => Self::Gone { records: compacted.forgotten, freed: compacted.freed },
            _ => Self::Pending,
        }
    }
}

impl Journal {
    fn word(&self) -> Option<&'static str> {
        match self {
            Self::Untouched => None,
            Self::Gone { .. } => Some("gone"),
            Self::Pending => Some("pending"),
        }
    }

    fn freed(&self) -> u64 {
        if let Self::Gone { freed, .. } = self { *freed } else { 0 }
    }
}

/// Takes it out of the journal's files.
async fn journal(app: &App, caller: &Caller) -> Journal {
    let (state, daemon_waits) = (app.state.clone(), app.state.shutdown.handle());
    let actor = caller.name.clone();
    let task = tokio::spawn(async move {
        let compacted = store::compacted(&state, Effort::Gentle, &actor).await;
        drop(daemon_waits);
        compacted
            .inspect_err(|error| StoreFailed { error: &error.to_string(), fatal: false }.emit(&state.ops))
            .ok()
    });
    match timeout(JOURNAL_WAIT, task).await {
        Ok(Ok(Some(compacted))) => compacted.into(),
        _ => Journal::Pending,
    }
}

/// The receipt.
async fn receipt(app: &App, address: &EmailAddress, known: &Known, journal: &Journal) -> Value {
    let traces = &known.traces;
    json!({
        "address": address,
        "at": known.at,
        "dry_run": journal.word().is_none(),
        "account": known.account,
        "requests": traces.requests,
        "comments": traces.comments,
        "mentions": mentions(known),
        "held": known.held,
        "dropped": traces.dropped,
        "decisions": known.decisions(),
        "verifications": traces.verifications,
        "outbox": traces.outbox,
        "bytes": traces.bytes,
        "journal": journal.word(),
        "freed": journal.freed(),
        "stays": stays(app, known, journal).await,
    })
}

/// What is left, and why.
async fn stays(app: &App, known: &Known, journal: &Journal) -> Vec<String> {
    let traces = &known.traces;
    let mut stays = Vec::new();
    if !traces.requests.is_empty() {
        stays.push(format!(
            "{}: number, project, times, status and the others who take part; no reporter, subject or mail",
            list(&texts(&traces.requests))
        ));
    }
    if !traces.comments.is_empty() {
        stays.push(format!("{}: that there was a comment, and when", list(&texts(&traces.comments))));
    }
    if known.decisions() > 0 {
        stays.push(
            "the decisions: time, project and reason, so that the counts add up; no sender, subject or trail"
                .to_owned(),
        );
    }
    let mentions = mentions(known);
    if !mentions.is_empty() {
        stays.push(format!(
            "{}: mails of others, as they wrote them, have the address in To or Cc",
            list(&mentions)
        ));
    }
    if matches!(journal, Journal::Pending) {
        stays.push(
            "the journal's files have all of it until they are written anew: that is under way, or comes within 12 hours; \
             ask again, and the answer is \"gone\" or 404"
                .to_owned(),
        );
    }
    for (folder, what) in [
        ("quarantine", "what was put away as damaged or outdated: remove what is not needed"),
        ("snapshot", "the links of a backup that is being made"),
    ] {
        let path = app.state.config.load().store.path.join(folder);
        if tokio::fs::try_exists(&path).await.unwrap_or(true) {
            stays.push(format!("{}: {what}", path.display()));
        }
    }
    stays.push("old pages of the index's file, until the next start of the daemon makes it anew".to_owned());
    stays.push(
        "what the store never had or gave away: backups made before, the log, mail that was sent, and what other programs have \
         fetched"
            .to_owned(),
    );
    stays
}

/// Requests and waiting mails of others that name the person.
fn mentions(known: &Known) -> Vec<String> {
    let waiting = known.traces.waiting_mentions.iter().map(ToString::to_string);
    texts(&known.traces.mentions).into_iter().chain(waiting).collect()
}

fn texts(ids: &[RequestId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Each once.
fn list(ids: &[String]) -> String {
    ids.iter().collect::<BTreeSet<_>>().into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
