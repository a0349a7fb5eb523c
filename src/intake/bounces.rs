//! Mails of ours that come back, to an address that only we can have made. They create nothing.

use super::{Intake, incoming::Incoming};
use crate::{
    mail::{Bounce, bounce},
    ops::{AcknowledgementEnded, BounceReceived, ConfirmationEnded, Event, VerificationFailed},
    smtp::Route,
    store::{Committed, Effect, SentAbout, SentMail},
    types::DeliveryId,
};

/// The mails of ours that it was sent to the bounce addresses of.
fn returned<'a>(incoming: &'a Incoming<'_>) -> impl Iterator<Item = DeliveryId> + use<'a> {
    incoming.envelope.recipients.iter().filter_map(|recipient| match recipient.route {
        Route::Bounce(delivery) => Some(delivery),
        Route::Project(_) | Route::Postmaster => None,
    })
}

/// What a bounce changes: the mail is marked as undeliverable, no more. A delay, a receipt or a vacation message changes
/// nothing (threats L03, L04).
pub(super) fn effects(incoming: &Incoming<'_>) -> Vec<Effect> {
    let deliveries: Vec<DeliveryId> = returned(incoming).collect();
    if deliveries.is_empty() {
        return Vec::new();
    }
    let Bounce::Failed(words) = bounce(incoming.raw, incoming.message) else { return Vec::new() };
    deliveries.into_iter().map(|delivery| Effect::Bounced { delivery, words: words.clone() }).collect()
}

impl Intake {
    /// Says what came back, and what that ends: once, however often it comes.
    pub(super) async fn report_bounces(&self, incoming: &Incoming<'_>, committed: &Committed) {
        let deliveries: Vec<DeliveryId> = returned(incoming).collect();
        if deliveries.is_empty() {
            return;
        }
        let (said, words) = match bounce(incoming.raw, incoming.message) {
            Bounce::Failed(words) => ("failed", words),
            Bounce::Delayed(words) => ("delayed", words),
            Bounce::NoBounce => ("not-a-bounce", String::new()),
        };
        for delivery in deliveries {
            // A store that can't be read now has kept the bounce all the same.
            let is_known =
                said != "failed" || self.store.sent(delivery).await.is_ok_and(|sent| sent.is_some());
            let result = if is_known { said } else { "unknown" };
            let (mail_id, delivery) = (incoming.envelope.mail_id.to_string(), delivery.to_string());
            BounceReceived { mail_id, delivery, result, words: &words }.emit(&self.ops);
        }
        committed.returned.iter().for_each(|sent| self.report_undeliverable(sent, &words));
    }

    fn report_undeliverable(&self, sent: &SentMail, words: &str) {
        let (address, error, attempts) = (&sent.to, words, 1);
        match &sent.about {
            SentAbout::Verification(id) => {
                self.ops.metrics.step("bounced");
                VerificationFailed { address, verification: id.to_string(), error, attempts }.emit(&self.ops);
            }
            SentAbout::Acknowledgement(request) => {
                let (request, result) = (request.to_string(), Err(error));
                AcknowledgementEnded { address, request, result, attempts }.emit(&self.ops);
            }
            SentAbout::Confirmation => {
                ConfirmationEnded { address, result: Err(error), attempts }.emit(&self.ops);
            }
        }
    }
}
