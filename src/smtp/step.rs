//! What goes in and out of the session's steps.

use std::{net::IpAddr, time::Duration};

use super::{Delivery, Envelope, Protocol, Recipient, Reply};
use crate::types::{MailId, SessionId, Time};

/// What has happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The peer is there and may be greeted.
    Connected,
    /// Bytes have come: the new ones, behind those that an earlier step has not used.
    Bytes(&'a [u8]),
    /// Answers [`Action::Mail`].
    Mail(MailAnswer),
    /// Answers [`Action::Reserve`]: whether the memory is granted.
    Memory(bool),
    /// Answers [`Action::Deliver`].
    Delivered(MailId, Delivery),
    /// Answers [`Action::StartTls`]: whether a handshake can be made.
    StartTls(bool),
    /// Answers [`Action::Handshake`]: from here on all bytes are those within TLS.
    Encrypted,
    /// The peer has sent nothing for too long.
    Idle,
    /// The peer sends too slowly.
    TooSlow,
    /// The daemon stops.
    Stopping,
}

/// What to do next.
#[derive(Debug)]
pub enum Action {
    /// Step again with the bytes that are left.
    Continue,
    /// Send the replies, then read: what is left is incomplete.
    Read,
    /// Ask whether a mail may come in; answer with [`Input::Mail`].
    Mail(MailRequest),
    /// Ask whether a TLS handshake can be made; answer with [`Input::StartTls`].
    StartTls,
    /// Send the replies, then make the handshake; answer with [`Input::Encrypted`]. No byte is left of what was read.
    Handshake,
    /// A relay told for whom it speaks from now on: that address is the peer; without one, the relay itself is. Then step again
    /// as for `Continue`.
    Peer(Option<IpAddr>),
    /// Ask for this many bytes of memory more; answer with [`Input::Memory`].
    Reserve(usize),
    /// Hand the mail on; answer with [`Input::Delivered`].
    Deliver(ReceivedMail),
    /// Send the replies and close.
    Close(Ended),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// QUIT.
    Quit,
    /// The peer has closed.
    PeerClosed,
    /// A deadline has passed.
    Timeout,
    /// Too many errors, or a peer that does not speak SMTP.
    Errors,
    /// The daemon stops.
    Stopping,
    /// The connection broke.
    Io,
}

impl Ended {
    /// `how` of `session.closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::PeerClosed => "peer-closed",
            Self::Timeout => "timeout",
            Self::Errors => "errors",
            Self::Stopping => "stopping",
            Self::Io => "io",
        }
    }
}

/// One step's outcome.
#[derive(Debug)]
pub struct Step {
    /// How many of the given bytes are done with.
    pub used: usize,
    /// What to do next.
    pub action: Action,
}

/// A MAIL command that parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRequest {
    /// The reverse-path's mailbox; empty for `<>`.
    pub reverse_path: String,
    /// SIZE, where the peer tells it (RFC 1870).
    pub size: Option<u64>,
}

/// Whether a mail may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailAnswer {
    /// Yes.
    Open,
    /// The store takes no writes.
    NotWritable,
    /// Less free space than the site wants.
    LowSpace,
    /// The memory budget is used up.
    NoMemory,
    /// A rate limit is reached.
    RateLimited,
    /// The daemon stops.
    Stopping,
}

/// A mail whose last byte has come.
#[derive(Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The name that the peer gave itself, or that a relay told of it.
    pub helo: String,
    /// HELO or EHLO, and whether SMTPUTF8 or TLS are on.
    pub protocol: Protocol,
    /// The reverse-path's mailbox; empty for `<>`.
    pub reverse_path: String,
    /// The recipients in the order of RCPT; never empty.
    pub recipients: Vec<Recipient>,
    /// The client, where a relay told of it with XFORWARD.
    pub client: Option<IpAddr>,
    /// The mail, dots unstuffed.
    pub content: Vec<u8>,
}

impl ReceivedMail {
    /// The envelope, with what only the driver knows, and the mail. Its relay is the peer, and it took no time, until the
    /// driver knows better.
    pub fn into_envelope(
        self,
        mail_id: MailId,
        session: SessionId,
        peer: IpAddr,
        received_at: Time,
    ) -> (Envelope, Vec<u8>) {
        let Self { helo, protocol, reverse_path, recipients, client, content } = self;
        let (relay, peer, took) = (peer, client.unwrap_or(peer), Duration::ZERO);
        let envelope = Envelope {
            mail_id,
            session,
            peer,
            relay,
            helo,
            protocol,
            reverse_path,
            recipients,
            received_at,
            took,
        };
        (envelope, content)
    }
}

/// A reply that refused something, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reply.
    pub reply: Reply,
    /// What it was about: the command line as the peer wrote it (cut), or a mail's id.
    pub detail: String,
}

/// What the session waits for, so that the driver knows for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The first command.
    FirstCommand,
    /// The next command.
    Command,
    /// The rest of a line that has begun.
    Line,
    /// The rest of a mail or chunk.
    Mail,
}
