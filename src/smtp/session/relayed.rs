//! XCLIENT and XFORWARD: a relay of `smtp.xclient_from` tells whom it speaks for. Outsiders change nothing by them.

use super::Session;
use crate::smtp::{
    Action, Policy, Reply,
    xclient::{self, Client, ONLY_XCLIENT, ONLY_XFORWARD, Told},
};

impl Session {
    /// From here on the session is the client's: greeted anew, and EHLO is awaited.
    pub(super) fn xclient(&mut self, attributes: &str, policy: &Policy) -> Result<Action, Reply> {
        let Client { address, helo } = self.told_of(attributes, &ONLY_XCLIENT)?;
        self.begin_anew();
        self.client_helo = helo.known();
        let greeted = self.say(Reply::Greeting, &policy.hostname);
        Ok(if address == Told::Not { greeted } else { Action::Peer(address.known()) })
    }

    /// The next mail is the client's. What several commands tell adds up, and the last word on an attribute counts: the client
    /// of a mail that came to nothing is not that of the next one.
    pub(super) fn xforward(&mut self, attributes: &str) -> Result<Action, Reply> {
        let Client { address, helo } = self.told_of(attributes, &ONLY_XFORWARD)?;
        let before = std::mem::take(&mut self.forwarded);
        self.forwarded = Client { address: before.address.then(address), helo: before.helo.then(helo) };
        Ok(self.say(Reply::Ok, ""))
    }

    fn told_of(&self, attributes: &str, further: &[&str]) -> Result<Client, Reply> {
        if !self.may_speak_for_others {
            return Err(Reply::MayNotSpeakForOthers);
        }
        if self.transaction.is_some() {
            return Err(Reply::NestedMail);
        }
        xclient::parse(attributes, further).ok_or(Reply::BadArgument)
    }
}
