//! What goes out to the sender of a new request, in the step that makes it. Pure.

use super::plan::Incoming;
use crate::{
    access::Reason,
    mail::{Arrival, Nature},
    store::{Disposition, Effect, SenderView},
    types::{MintKey, ProjectKey, Standing},
    verify::{Answered, Planning},
};

/// The acknowledgement, and for a new customer the mail that asks to confirm the address. Only to a proven sender: a
/// forged From must buy no mail to somebody else.
pub(super) fn mails(
    incoming: &Incoming<'_>,
    planning: &Planning<'_>,
    view: &SenderView,
    (reason, project, disposition): (Reason, &ProjectKey, &Disposition),
) -> Vec<Effect> {
    let Ok(address) = &incoming.sender else { return Vec::new() };
    if !disposition.opens() || incoming.standing != Standing::Proven || !incoming.may_answer() {
        return Vec::new();
    }
    let answered = Answered {
        project,
        received_at: incoming.envelope.received_at,
        message_id: incoming.message.message_id.as_deref(),
    };
    let confirmation = (reason == Reason::NewPortalOnlyCustomer)
        .then(|| planning.confirmation(address, view, &answered))
        .flatten();
    planning.acknowledgement(address, &answered).into_iter().chain(confirmation).collect()
}

impl Incoming<'_> {
    /// Notes whether it is a mail of ours that came back: its Message-ID is one that only this key makes.
    pub(super) fn know_ours(&mut self, mint: &MintKey) {
        let id = self.message.message_id.as_deref();
        self.ours = id.is_some_and(|id| mint.read_message_id(id).is_some());
    }

    /// Whether a person wrote it, as the project sees it.
    pub(super) fn nature(&self, via_lists: &[String]) -> Nature {
        let reverse_path = &self.envelope.reverse_path;
        self.message.nature(&Arrival { reverse_path, via_lists, minted: self.ours })
    }

    /// Whether a mail of ours may answer it, whatever is decided about its sender.
    pub(super) fn may_answer(&self) -> bool {
        self.may_mail && self.projects.iter().all(|project| self.nature(&project.via_lists).may_be_answered())
    }
}
