//! What goes out to the sender of a new request, in the step that makes it. Pure.

use super::incoming::Incoming;
use crate::{
    access::Reason,
    store::{Disposition, Effect, SenderView},
    types::{ProjectKey, Standing},
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
