//! What the session must know of the settings.

use std::sync::Arc;

use super::{BounceRoutes, RouteTable};

/// Settings of a session. The driver may give another one at every mail, so that a reload needs no new connection.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Our name: the greeting and EHLO.
    pub hostname: String,
    /// Largest mail in bytes, as it is stored: CRLF line ends, no dot-stuffing (RFC 1870 §3).
    pub max_message_size: u64,
    /// Most recipients of one mail.
    pub max_recipients: usize,
    /// A bare CR or LF in DATA becomes CRLF instead of 550 5.6.0.
    pub normalize_newlines: bool,
    /// STARTTLS is offered: there is a certificate.
    pub starttls: bool,
    /// MAIL is refused before TLS.
    pub require_tls: bool,
    /// The addresses that we take mail for.
    pub routes: Arc<RouteTable>,
    /// Where bounces of our mail come to.
    pub bounces: Option<BounceRoutes>,
}
