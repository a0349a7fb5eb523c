//! STARTTLS (RFC 3207): the command, and what is forgotten once TLS is on.

use super::{Phase, Session, shown};
use crate::smtp::{Action, Policy, Reply, Step};

impl Session {
    /// Also within a transaction, which ends with it: RFC 3207 does not forbid that, and §4.2 forgets the transaction.
    pub(super) fn starttls(&mut self, policy: &Policy) -> Result<Action, Reply> {
        if self.encrypted {
            return Err(Reply::AlreadyTls);
        }
        if !policy.starttls {
            return Err(Reply::NotOffered);
        }
        self.phase = Phase::StartTls;
        Ok(Action::StartTls)
    }

    /// What came in the clear behind STARTTLS must never be taken for something said within TLS: the session ends, without
    /// the 220 that a client waits for.
    pub(super) fn behind_starttls(&mut self, bytes: &[u8], line: usize, policy: &Policy) -> Step {
        let action = self.refuse(Reply::BehindStartTls, shown(&bytes[line..]), policy);
        Step { used: bytes.len(), action }
    }

    pub(super) fn starttls_answered(&mut self, can: bool, policy: &Policy) -> Action {
        self.phase = Phase::Command;
        if !can {
            return self.refuse(Reply::TlsUnavailable, "STARTTLS".to_owned(), policy);
        }
        self.say(Reply::StartTls, "");
        Action::Handshake
    }

    /// TLS is on: nothing that was said in the clear counts (§4.2).
    pub(super) fn restart(&mut self) -> Action {
        let client_helo = self.client_helo.take();
        self.begin_anew();
        self.encrypted = true;
        // Whom the relay speaks for is no less true: the driver keeps the address, too.
        self.client_helo = client_helo;
        Action::Continue
    }
}
