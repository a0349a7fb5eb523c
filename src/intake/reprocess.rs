//! A dropped mail is decided again as if it came in now: the settings in force, the envelope as it was, its sender as far
//! proven as it was at intake.

use std::time::Duration;

use bytes::Bytes;

use super::incoming::{Incoming, Mail};
use super::{Failed, Intake, MOST_TRIES, read};
use crate::{
    access::{Basis, Check, Outcome, Reason},
    authn::Evidence,
    ops::{self, Event, MailDecided},
    smtp::{Envelope, Recipient, Route},
    store::{CommitError, CommittedEntry, Dropped, Effect, Plan, StoreError},
    types::{Actor, MailId, ProjectKey, Standing, Time},
};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reprocessed {
    /// The reason of the new decision.
    pub reason: Reason,
    /// The project.
    pub project: ProjectKey,
    /// What came to be.
    pub entry: CommittedEntry,
}

/// Why nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotReprocessed {
    /// No drop of such a mail is on record.
    #[error("no mail with this id was dropped, or its record was past retention.decisions")]
    NotFound,
    /// It was dropped for several projects, and none was named.
    #[error("it was dropped for several projects: name one of {}", .0.iter().map(ProjectKey::as_str).collect::<Vec<_>>().join(", "))]
    Several(Vec<ProjectKey>),
    /// Its bytes are not there: until when they were kept, if they were.
    #[error("its bytes are not kept")]
    NotKept(Option<Time>),
    /// It was decided again before; what it became: the request or the held mail.
    #[error("it was decided again before and became {0}")]
    Already(String),
    /// It would be dropped again.
    #[error("it would be dropped as {}", .0.as_str())]
    WouldDrop(Reason),
    /// The store can't be read or written, or the sender changes too quickly.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Failed> for NotReprocessed {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string())
    }
}

impl From<StoreError> for NotReprocessed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Expired(until) => Self::NotKept(until),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl Intake {
    /// Decides a dropped mail again, once; for the one project that it was dropped for, or the one named.
    pub async fn reprocess(
        &self,
        mail: MailId,
        project: Option<ProjectKey>,
        actor: &Actor,
    ) -> Result<Reprocessed, NotReprocessed> {
        for _ in 0..MOST_TRIES {
            let dropped = self.dropped(mail, project.as_ref()).await?;
            let raw = self.raw_of(&dropped).await?;
            if let Some(done) = self.decide_again(&dropped, raw, actor).await? {
                return Ok(done);
            }
        }
        Err(Failed::Contended.into())
    }

    /// The one drop that is meant, if it was not decided again yet.
    async fn dropped(&self, mail: MailId, project: Option<&ProjectKey>) -> Result<Dropped, NotReprocessed> {
        let came = mail.uuid().get_timestamp().map_or(0, |stamp| stamp.to_unix().0);
        let since = Time::from_millis(i64::try_from(came).unwrap_or(0).saturating_mul(1000));
        let mut found = self.store.dropped(mail, since).await?;
        if found.is_empty() {
            // While a clock that was set back catches up, ids carry a later time than their mails.
            found = self.store.dropped(mail, Time::default()).await?;
        }
        found.retain(|dropped| project.is_none_or(|project| dropped.entry.project == *project));
        if found.len() > 1 {
            let keys = found.into_iter().map(|dropped| dropped.entry.project);
            return Err(NotReprocessed::Several(keys.collect()));
        }
        let dropped = found.pop().ok_or(NotReprocessed::NotFound)?;
        match &dropped.became {
            None => Ok(dropped),
            Some(row) => {
                let request = row.request.as_ref().map(ToString::to_string);
                let held = row.held.map(|held| format!("the held mail {held}"));
                Err(NotReprocessed::Already(request.or(held).unwrap_or_default()))
            }
        }
    }

    async fn raw_of(&self, dropped: &Dropped) -> Result<Bytes, NotReprocessed> {
        let body = dropped.raw.ok_or(NotReprocessed::NotKept(dropped.raw_until))?;
        Ok(self.store.raw(&body).await?)
    }

    /// `None` when the sender has changed meanwhile.
    async fn decide_again(
        &self,
        dropped: &Dropped,
        raw: Bytes,
        actor: &Actor,
    ) -> Result<Option<Reprocessed>, NotReprocessed> {
        let config = self.config.load_full();
        if config.project(&dropped.entry.project).is_none() {
            return Err(NotReprocessed::WouldDrop(Reason::ProjectClosed));
        }
        let message = read(raw.clone()).await;
        let message = message.map_err(|_| NotReprocessed::WouldDrop(Reason::NoUsableSender))?;
        let envelope = envelope(dropped, self.ops.clock.now());
        // What vouched for the sender then is not asked again. A mail goes only to one who was proven: whether DMARC had
        // failed is not on record.
        let standing = dropped.entry.standing;
        let evidence = Evidence {
            standing,
            may_mail: standing == Standing::Proven,
            findings: Vec::new(),
            results: Vec::new(),
        };
        let mail = Mail::new(&envelope, &raw, &message, &config);
        let incoming = Incoming::new(mail, Some(&self.mint), evidence);
        let (mut plan, intentions) = self.plan(&incoming).await?;
        let Some(decision) = intentions.decisions.first() else { return Err(NotReprocessed::NotFound) };
        if decision.reason.outcome() == Outcome::Drop {
            return Err(NotReprocessed::WouldDrop(decision.reason));
        }
        mark(&mut plan, dropped);
        plan.actor = Some(actor.clone());
        let committed = match self.store.commit(plan).await {
            Ok(committed) => committed,
            Err(CommitError::Stale | CommitError::Duplicate(_) | CommitError::Gone) => return Ok(None),
            Err(error) => return Err(Failed::from(error).into()),
        };
        let entry = committed.entries.into_iter().next().ok_or(NotReprocessed::NotFound)?;
        if let Some(account) = &intentions.new_account {
            let kind = account.kind.as_str();
            let actor = Some(actor.as_str());
            ops::AccountCreated { address: &account.address, kind, by: "reprocess", actor }.emit(&self.ops);
        }
        MailDecided {
            mail_id: dropped.facts.id.to_string(),
            basis: Some(Basis::Reprocessed.as_str()),
            actor: Some(actor.as_str()),
            peer: None,
            session: None,
            ..incoming.decided(decision, &entry, Duration::ZERO)
        }
        .emit(&self.ops);
        Ok(Some(Reprocessed { reason: decision.reason, project: decision.project.clone(), entry }))
    }
}

/// The envelope as it was, for the one project. The bytes are kept again, under an id of their own.
fn envelope(dropped: &Dropped, now: Time) -> Envelope {
    let facts = &dropped.facts;
    let route = || Route::Project(dropped.entry.project.clone());
    let recipients = facts.recipients.iter();
    Envelope {
        mail_id: MailId::new(ops::time_ordered_uuid(now)),
        session: facts.session,
        peer: facts.peer,
        relay: facts.peer,
        helo: facts.helo.clone(),
        protocol: facts.protocol,
        reverse_path: facts.reverse_path.clone(),
        recipients: recipients
            .map(|address| Recipient { address: address.clone(), route: route() })
            .collect(),
        received_at: facts.received_at,
        took: Duration::ZERO,
    }
}

/// Says in the plan that it is about the dropped mail, so that it is applied once.
fn mark(plan: &mut Plan, dropped: &Dropped) {
    for effect in &mut plan.effects {
        let Effect::Record(entry) = effect else { continue };
        entry.basis = Some(Basis::Reprocessed);
        let was =
            format!("{}, dropped as {} at {}", dropped.facts.id, dropped.entry.reason.as_str(), dropped.at);
        let note = Check { check: "reprocessed".into(), input: was.into(), result: "noted".into() };
        entry.trail.insert(0, note);
    }
    let (mail, project) = (dropped.facts.id, dropped.entry.project.clone());
    plan.effects.insert(0, Effect::Reprocess { mail, project });
}
