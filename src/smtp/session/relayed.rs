//! XCLIENT and XFORWARD: a relay of `smtp.xclient_from` tells whom it speaks for. Outsiders change nothing by them.

use super::Session;
use crate::smtp::{
    Action, Policy, Reply,
    xclient::{self, Client, ONLY_XCLIENT, ONLY_XFORWARD},
};

impl Session {
    /// From here on the session is the client's: greeted anew, and EHLO is awaited.
    pub(super) fn xclient(&mut self, attributes: &str, policy: &Policy) -> Result<Action, Reply> {
        let Client { address, helo } = self.told_of(attributes, &ONLY_XCLIENT)?;
        self.begin_anew();
        self.client_helo = helo;
        self.say(Reply::Greeting, &policy.hostname);
        Ok(Action::Peer(address))
    }

    /// The next mail is the client's; what several commands tell adds up.
    pub(super) fn xforward(&mut self, attributes: &str) -> Result<Action, Reply> {
        let Client { address, helo } = self.told_of(attributes, &ONLY_XFORWARD)?;
        let forwarded = &mut self.forwarded;
        forwarded.address = address.or(forwarded.address);
        forwarded.helo = helo.or_else(|| forwarded.helo.take());
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
