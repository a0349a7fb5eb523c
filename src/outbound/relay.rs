//! Hands mails to an SMTP relay.
//!
//! lettre speaks the protocol; its transport and pool are not used. The pool takes a connection back after a send was
//! cancelled or answered wrongly, and then every later reply belongs to an earlier command; its transport can't tell 5xx
//! to a login (our settings) from 5xx to the mail. Here one transaction is four commands, each with the one code that
//! means yes, and a connection is kept only after a whole success.

use std::{
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

use lettre::{
    Address,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Response,
    },
};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{error::Elapsed, timeout},
};

use super::{
    clean::words,
    compose,
    guard::OneReplyAtATime,
    transport::{Outgoing, SendError},
};
use crate::{
    config::{RelaySecurity, SmtpRelay},
    types::EmailAddress,
};

/// For the TCP connection alone; RFC 5321 §4.5.3.2 lets a relay take minutes for the replies that follow.
const CONNECT: Duration = Duration::from_secs(30);
/// For all of one mail. Well below the outbox's lease, so that no mail is ever sent by two at once.
const TOTAL: Duration = Duration::from_mins(5);
/// For the NOOP that tries a kept connection.
const PROBE: Duration = Duration::from_secs(10);
/// For the reply to QUIT.
const LEAVE: Duration = Duration::from_secs(2);
/// A connection is kept open no longer than this without use; relays commonly close after a minute.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Most connections that are kept open.
const MAX_KEPT: usize = 4;
/// 5xx that ask us to log in, or refuse our login (RFC 4954 §6): about our settings, not about the mail.
const LOGIN_CODES: [u16; 4] = [530, 534, 535, 538];

/// One relay and the connections to it that are free.
pub(super) struct SmtpTransport {
    relay: SmtpRelay,
    hello: ClientId,
    tls: Option<TlsParameters>,
    free: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpTransport").field("relay", &self.relay).finish_non_exhaustive()
    }
}

impl SmtpTransport {
    /// Connects to nothing yet.
    pub(super) fn new(relay: &SmtpRelay, hostname: &str) -> Result<Self, SendError> {
        let tls = match relay.security {
            RelaySecurity::None => None,
            RelaySecurity::Tls | RelaySecurity::StartTls => {
                Some(tls(relay).map_err(|error| transient("TLS", error))?)
            }
        };
        let hello = ClientId::Domain(hostname.to_owned());
        Ok(Self { relay: relay.clone(), hello, tls, free: Mutex::default() })
    }

    /// One mail, within five minutes.
    pub(super) async fn send(&self, mail: &Outgoing) -> Result<String, SendError> {
        let message = wire_form(&mail.bytes)?;
        let envelope = Envelope::of(mail)?;
        within(TOTAL, "the relay", self.deliver(&envelope, message)).await
    }

    async fn deliver(&self, envelope: &Envelope, message: &[u8]) -> Result<String, SendError> {
        let mut connection = self.connection().await?;
        let result = transaction(&mut connection, envelope, message).await;
        if result.is_ok() {
            self.keep(connection).await;
        } else {
            // Beside the caller: what the relay said must not wait for its goodbye.
            tokio::spawn(leave(connection));
        }
        result
    }

    /// A kept connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        loop {
            let Some((mut connection, since)) = self.free.lock().await.pop() else {
                return self.connect().await;
            };
            let fresh = since.elapsed() < KEPT_FOR;
            if fresh && timeout(PROBE, connection.test_connected()).await == Ok(true) {
                return Ok(connection);
            }
        }
    }

    async fn keep(&self, connection: AsyncSmtpConnection) {
        let mut free = self.free.lock().await;
        free.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        if free.len() < MAX_KEPT {
            free.push((connection, Instant::now()));
        }
    }

    /// Says QUIT on all kept connections.
    pub(super) async fn close(&self) {
        for (connection, _) in self.free.lock().await.drain(..) {
            leave(connection).await;
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = self.greet().await?;
        if let (RelaySecurity::StartTls, Some(tls)) = (self.relay.security, &self.tls) {
            let upgraded = connection.starttls(tls.clone(), &self.hello).await;
            upgraded.map_err(|error| transient("STARTTLS", said_by(&error)))?;
        }
        if let Some((user, password)) = &self.relay.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            let login = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            login.map_err(|error| transient("AUTH", said_by(&error)))?;
        }
        Ok(connection)
    }

    /// Connected, greeted and EHLO answered.
    async fn greet(&self) -> Result<AsyncSmtpConnection, SendError> {
        let SmtpRelay { host, port, security, .. } = &self.relay;
        let place = format!("{host}:{port}");
        let server = (host.as_str(), *port);
        let greeted = if *security == RelaySecurity::Tls {
            let tls = self.tls.clone();
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, tls, None).await
        } else {
            let connect =
                async { TcpStream::connect(server).await.map_err(|error| transient(&place, error)) };
            let stream = within(CONNECT, &place, connect).await?;
            let stream = Box::new(OneReplyAtATime::new(stream, *security == RelaySecurity::StartTls));
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await
        };
        greeted.map_err(|error| transient(&place, said_by(&error)))
    }
}

/// Whose certificates are trusted, and for which name.
fn tls(relay: &SmtpRelay) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let mut parameters = TlsParameters::builder(relay.host.clone());
    if let Some(authorities) = &relay.authorities {
        parameters = parameters.certificate_store(CertificateStore::None);
        for authority in authorities {
            parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec())?);
        }
    }
    parameters.build()
}

/// MAIL and RCPT of one mail.
struct Envelope {
    from: Option<Address>,
    to: Address,
    utf8: bool,
    eight_bit: bool,
}

impl Envelope {
    fn of(mail: &Outgoing) -> Result<Self, SendError> {
        let address = |address: &EmailAddress| {
            compose::address(address).map_err(|error| SendError::Permanent(error.to_string()))
        };
        let from = mail.reverse_path.as_ref().map(address).transpose()?;
        let to = address(&mail.to)?;
        let utf8 = [from.as_ref(), Some(&to)].into_iter().flatten().any(|a| !a.to_string().is_ascii());
        Ok(Self { from, to, utf8, eight_bit: !mail.bytes.is_ascii() })
    }

    /// What MAIL must ask for, where the relay offers it.
    fn parameters(&self, connection: &AsyncSmtpConnection) -> Result<Vec<MailParameter>, SendError> {
        let wanted = [
            (self.utf8, Extension::SmtpUtfEight, MailParameter::SmtpUtfEight),
            (self.eight_bit, Extension::EightBitMime, MailParameter::Body(MailBodyParameter::EightBitMime)),
        ];
        let mut parameters = Vec::new();
        for (needed, extension, parameter) in wanted {
            if needed && !connection.server_info().supports_feature(extension) {
                let error = format!("the relay does not offer {extension}, which this mail needs");
                return Err(SendError::Transient(error));
            }
            parameters.extend(needed.then_some(parameter));
        }
        Ok(parameters)
    }
}

/// MAIL, RCPT, DATA, the mail. Only 250 to the mail is success: with any other code the connection is out of step.
async fn transaction(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<String, SendError> {
    let parameters = envelope.parameters(connection)?;
    let mail = Mail::new(envelope.from.clone(), parameters);
    expect("MAIL FROM", &[250], connection.command(mail).await)?;
    let rcpt = Rcpt::new(envelope.to.clone(), Vec::new());
    expect("RCPT TO", &[250, 251], connection.command(rcpt).await)?;
    expect("DATA", &[354], connection.command(Data).await)?;
    expect("the mail", &[250], connection.message(message).await)
}

/// The relay's words when it said one of `codes`.
fn expect(
    step: &str,
    codes: &[u16],
    reply: Result<Response, lettre::transport::smtp::Error>,
) -> Result<String, SendError> {
    match reply {
        Ok(reply) => {
            let code = u16::from(reply.code());
            let text: Vec<&str> = reply.message().collect();
            let said = format!("{code} {}", text.join(" "));
            if codes.contains(&code) {
                return Ok(words(&said));
            }
            Err(transient(step, format!("{said} (expected {})", codes[0])))
        }
        Err(error) => {
            let ours = error.status().is_some_and(|code| LOGIN_CODES.contains(&u16::from(code)));
            if error.is_permanent() && !ours {
                return Err(SendError::Permanent(words(&format!("{step}: {}", said_by(&error)))));
            }
            Err(transient(step, said_by(&error)))
        }
    }
}

/// The relay's code and words; lettre's own where the relay has said nothing.
fn said_by(error: &lettre::transport::smtp::Error) -> String {
    let text = std::error::Error::source(error).map(ToString::to_string);
    match (error.status(), text) {
        (Some(code), Some(text)) => format!("{code} {text}"),
        (Some(code), None) => code.to_string(),
        (None, _) => error.to_string(),
    }
}

fn transient(step: &str, error: impl Display) -> SendError {
    SendError::Transient(words(&format!("{step}: {error}")))
}

async fn within<T>(
    limit: Duration,
    whom: &str,
    work: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(Elapsed { .. }) => Err(transient(whom, format!("no answer within {} s", limit.as_secs()))),
    }
}

async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = timeout(LEAVE, connection.quit()).await;
}

/// What DATA carries: the mail without its last CRLF, which comes with the final dot. A bare CR or LF would be altered
/// on the way, or end the mail for a lenient relay and make its rest commands (RFC 5321 §2.3.8); lettre stuffs dots
/// after CRLF and at the start.
fn wire_form(bytes: &[u8]) -> Result<&[u8], SendError> {
    let mut previous = 0;
    for &byte in bytes {
        if (byte == b'\n') != (previous == b'\r') {
            return Err(unsendable("a bare CR or LF"));
        }
        if byte == 0 {
            return Err(unsendable("a NUL"));
        }
        previous = byte;
    }
    if previous == b'\r' {
        return Err(unsendable("a bare CR or LF"));
    }
    Ok(bytes.strip_suffix(b"\r\n").unwrap_or(bytes))
}

fn unsendable(what: &str) -> SendError {
    SendError::Permanent(format!("the mail has {what} and can't be sent unchanged"))
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
