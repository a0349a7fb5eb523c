//! What the session knows of a mail beside its bytes (RFC 5321 §2.3.1), and what became of it.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::Route;
use crate::types::{MailId, SessionId, Time};

/// How the mail came in; the `with` of our Received field (RFC 5321 §4.4, RFC 6531 §4.3). HELO has no name of its own for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// HELO.
    #[serde(rename = "SMTP")]
    Smtp,
    /// EHLO.
    #[serde(rename = "ESMTP")]
    Esmtp,
    /// EHLO, with SMTPUTF8 on this mail.
    #[serde(rename = "UTF8SMTP")]
    Utf8Smtp,
    /// EHLO within TLS (RFC 3848).
    #[serde(rename = "ESMTPS")]
    Esmtps,
    /// EHLO within TLS, with SMTPUTF8 on this mail.
    #[serde(rename = "UTF8SMTPS")]
    Utf8Smtps,
}

/// One accepted RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path's mailbox as the peer wrote it, without the angle brackets.
    pub address: String,
    /// Where it leads.
    pub route: Route,
}

/// The envelope of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Our id for the mail; stands in the 250 reply.
    pub mail_id: MailId,
    /// The session it came in.
    pub session: SessionId,
    /// The peer: the relay that connected, or the client that a trusted relay or proxy told (PROXY, XCLIENT, XFORWARD).
    pub peer: IpAddr,
    /// The relay that handed it on: who connected, or the proxy's client (PROXY). XCLIENT and XFORWARD don't change it, so
    /// it is what `authentication.results_from` and `internal_relays` are about.
    pub relay: IpAddr,
    /// The name that the peer gave with HELO or EHLO, or that a trusted relay told.
    pub helo: String,
    /// HELO or EHLO.
    pub protocol: Protocol,
    /// The reverse-path's mailbox as written; empty for `<>`.
    pub reverse_path: String,
    /// The recipients in the order of RCPT; never empty.
    pub recipients: Vec<Recipient>,
    /// When the last byte had come.
    pub received_at: Time,
    /// How long its data was waited for; zero where it came with what was read before.
    pub took: Duration,
}

/// What became of a mail whose last byte has come. Each variant is one row of the reply table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Decided and on disk: 250 2.0.0 with the mail's id.
    Accepted,
    /// Dropped, and the site wants its relay to say so: 550 5.7.1.
    Rejected,
    /// A structural limit of the pre-scan: 552 5.6.0.
    TooComplex,
    /// NUL in the mail: 554 5.6.0.
    Nul,
    /// A write failed, it could not be decided in time, or a recipient has gone since RCPT; the mail stays with the relay:
    /// 451 4.3.0.
    Unavailable,
    /// The sender can't be checked at present, for want of an answer of DNS; the mail stays with the relay: 451 4.7.0.
    SenderUnchecked,
}

impl Delivery {
    /// One word of a few, for traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::TooComplex => "too-complex",
            Self::Nul => "nul",
            Self::Unavailable => "unavailable",
            Self::SenderUnchecked => "sender-unchecked",
        }
    }
}
