//! The mails beside the verification mail that answer a new request: which may go out, and what they are. Pure.

use super::{
    plan::{Answered, Planning},
    schedule::{self, MailTime},
};
use crate::{
    store::{Delivery, DeliveryKind, Effect, Lane, LaneRate, SenderView},
    types::{ConfirmationToken, DeliveryId, EmailAddress},
};

impl Planning<'_> {
    /// "We have your request": for a request that the decision ahead of it in the plan opens. The caller has made sure that
    /// the mail is a person's and its sender proven; `None` where the site sends none, or none to this address.
    pub fn acknowledgement(&self, address: &EmailAddress, answered: &Answered<'_>) -> Option<Effect> {
        let mail = &self.config.mail;
        let wanted = mail.acknowledge && self.may_mail(address);
        let per_minute = mail.max_acknowledgements_per_minute.get();
        wanted.then(|| {
            let kind = DeliveryKind::Acknowledgement {
                project: answered.project.clone(),
                request: None,
                per_day: mail.max_acknowledgements_per_address_per_day.get(),
                last: false,
                received_at: answered.received_at,
                in_reply_to: answered.message_id.map(str::to_owned),
            };
            self.letter(address, LaneRate { lane: Lane::Acknowledgements, per_minute }, kind)
        })
    }

    /// A mail with a link that confirms the address of a new customer (`access.external.confirm_address`), within the caps
    /// of verification mails; `None` where they are reached: nothing waits for it.
    pub fn confirmation(
        &self,
        address: &EmailAddress,
        view: &SenderView,
        answered: &Answered<'_>,
    ) -> Option<Effect> {
        let settings = &self.config.verification;
        let time = schedule::next_mail(address, view, settings, self.now);
        let wanted = self.config.mail.confirm_address && self.may_mail(address) && time == MailTime::Now;
        wanted.then(|| {
            let token = ConfirmationToken::new((self.new_token)());
            let kind = DeliveryKind::Confirmation {
                token: token.digest(),
                sealed: self.seal.seal(&token),
                expires_at: self.now.plus(settings.link_lifetime),
                project: answered.project.clone(),
                received_at: answered.received_at,
                in_reply_to: answered.message_id.map(str::to_owned),
            };
            self.letter(address, schedule::lane(address.domain(), &self.config.access, settings), kind)
        })
    }

    fn may_mail(&self, address: &EmailAddress) -> bool {
        self.config.verification.may_mail(address) && !self.config.is_own_address(address)
    }

    fn letter(&self, to: &EmailAddress, lane: LaneRate, kind: DeliveryKind) -> Effect {
        let id = DeliveryId::new((self.new_id)());
        Effect::Enqueue(Delivery { id, to: to.clone(), not_before: self.now, lane: Some(lane), kind })
    }
}
