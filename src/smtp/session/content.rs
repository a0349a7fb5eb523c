//! The bytes of a mail, from DATA or BDAT to what became of it.

use super::{Hello, Phase, Session, Transaction};
use crate::{
    smtp::{Action, Delivery, Policy, Protocol, ReceivedMail, Reply, Step, body::Body, xclient::Client},
    types::MailId,
};

/// Octets of a mail that one step takes at most, so that no more memory is asked for than is soon used.
const PIECE: usize = 16 * 1024;

impl Session {
    pub(super) fn data(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        let Some(body) = self.body_mut() else {
            self.phase = Phase::Command;
            return Step { used: 0, action: Action::Continue };
        };
        let piece = &bytes[..bytes.len().min(PIECE)];
        if let Some(wanted) = body.wants(piece.len()) {
            return self.reserve(wanted);
        }
        let used = body.take_data(piece);
        let action = if body.has_ended() { self.mail_ended(policy) } else { Action::Continue };
        Step { used, action }
    }

    pub(super) fn chunk(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        let Phase::Chunk { left, refused, .. } = self.phase else {
            return Step { used: 0, action: Action::Continue };
        };
        let used = bytes.len().min(PIECE).min(usize::try_from(left).unwrap_or(usize::MAX));
        if refused.is_none()
            && let Some(body) = self.body_mut()
        {
            if let Some(wanted) = body.wants(used) {
                return self.reserve(wanted);
            }
            body.take_chunk(&bytes[..used]);
        }
        let now_left = left - used as u64;
        if let Phase::Chunk { left, .. } = &mut self.phase {
            *left = now_left;
        }
        let action = if now_left == 0 { self.chunk_ended(policy) } else { Action::Continue };
        Step { used, action }
    }

    fn reserve(&mut self, bytes: usize) -> Step {
        self.asked = bytes;
        Step { used: 0, action: Action::Reserve(bytes) }
    }

    pub(super) fn chunk_ended(&mut self, policy: &Policy) -> Action {
        let Phase::Chunk { last, refused, .. } = std::mem::replace(&mut self.phase, Phase::Command) else {
            return Action::Continue;
        };
        if let Some(reply) = refused {
            return self.refuse(reply, "BDAT".to_owned(), policy);
        }
        let fault = self.body().and_then(Body::fault);
        if last || fault.is_some() {
            return self.mail_ended(policy);
        }
        self.say(Reply::ChunkTaken, "")
    }

    /// The last byte has come, or what has come can't become a mail any more.
    fn mail_ended(&mut self, policy: &Policy) -> Action {
        self.phase = Phase::Command;
        let Client { address, helo: forwarded } = std::mem::take(&mut self.forwarded);
        let Some(Transaction { reverse_path, utf8, recipients, body, .. }) =
            self.transaction.take().map(|it| *it)
        else {
            return Action::Continue;
        };
        match body.map_or(Ok(Vec::new()), Body::finish) {
            Ok(content) => {
                self.phase = Phase::Delivery;
                let (said, protocol) = self.protocol(utf8);
                let client = address.known();
                let helo = forwarded.known().or_else(|| self.client_helo.clone()).unwrap_or(said);
                Action::Deliver(ReceivedMail { helo, protocol, reverse_path, recipients, client, content })
            }
            Err(reply) => self.refuse(reply, format!("mail from <{reverse_path}>"), policy),
        }
    }

    fn protocol(&self, utf8: bool) -> (String, Protocol) {
        let Some(Hello { name, extended }) = &self.hello else { return (String::new(), Protocol::Smtp) };
        let protocol = match (extended, utf8, self.encrypted) {
            (false, false, _) => Protocol::Smtp,
            (true, false, false) => Protocol::Esmtp,
            (true, false, true) => Protocol::Esmtps,
            (_, true, false) => Protocol::Utf8Smtp,
            (_, true, true) => Protocol::Utf8Smtps,
        };
        (name.clone(), protocol)
    }

    pub(super) fn delivered(&mut self, mail_id: MailId, delivery: Delivery, policy: &Policy) -> Action {
        self.phase = Phase::Command;
        let id = mail_id.to_string();
        let reply = match delivery {
            Delivery::Accepted => return self.say(Reply::Accepted, &id),
            Delivery::Rejected => Reply::Rejected,
            Delivery::TooComplex => Reply::TooComplex,
            Delivery::Nul => Reply::NulInMail,
            Delivery::Unavailable => Reply::NotStored,
            Delivery::SenderUnchecked => Reply::SenderUnchecked,
        };
        self.refuse(reply, id, policy)
    }

    pub(super) fn memory_answered(&mut self, granted: bool) -> Action {
        let asked = std::mem::take(&mut self.asked);
        if let Some(body) = self.body_mut() {
            if granted {
                body.grant(asked);
            } else {
                body.refuse();
            }
        }
        Action::Continue
    }
}
