//! What is read from the journal for a list. A damaged record must not make a whole list unreadable: its texts are
//! missing, and its trail says why.

use super::View;
use crate::store::{
    BodyRef, MailFacts, StoreError,
    machine::{Event, PlanEvent},
    rows::Location,
};

/// A mail's texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) subject: String,
    pub(super) sender_name: Option<String>,
    pub(super) sent_by: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) recipients: Vec<String>,
    pub(super) size: u64,
    pub(super) may_answer: bool,
}

impl From<MailFacts> for Texts {
    fn from(facts: MailFacts) -> Self {
        Self {
            subject: facts.subject,
            sender_name: facts.sender_name,
            sent_by: facts.sent_by,
            message_id: facts.message_id,
            recipients: facts.recipients,
            size: facts.size,
            may_answer: facts.may_answer,
        }
    }
}

impl View<'_> {
    /// The texts of the mail; none where the record is damaged or the sender was forgotten.
    pub(super) fn texts(&self, body: &BodyRef) -> Result<Texts, StoreError> {
        if body.is_nowhere() {
            return Ok(Texts::default());
        }
        let plan = self.plan(Location::from(body))?.ok();
        Ok(plan.and_then(|event| event.plan.mail).map(|mail| mail.facts.into()).unwrap_or_default())
    }

    /// The plan recorded there, or what is damaged.
    pub(in crate::store) fn plan(&self, at: Location) -> Result<Result<PlanEvent, String>, StoreError> {
        match self.records.event(at) {
            Ok(Event::Plan(event)) => Ok(Ok(*event)),
            Ok(_) => Ok(Err(format!("segment {}, offset {}: not a plan", at.segment, at.offset))),
            Err(StoreError::Damaged(what)) => Ok(Err(what)),
            Err(StoreError::Expired(_)) => Ok(Err("the record was past its time".to_owned())),
            Err(other) => Err(other),
        }
    }
}
