//! One connection to an SMTP server, and one mail after another over it, unchanged.

use std::{io, net::SocketAddr, time::Duration};

use async_smtp::{
    SmtpClient, SmtpTransport,
    error::Error as SmtpError,
    extension::{ClientId, Extension, ServerInfo},
    response::Response,
};
use serde::Serialize;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{
    mail::ReplayMail,
    wire::{ReplyAllowance, SharedWriter, Wire, wire},
};
use crate::types::EmailAddress;

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(30);
/// Longest wait for the reply to a command (RFC 5321 §4.5.3.2: 5 minutes for greeting, MAIL and RCPT).
const COMMAND: Duration = Duration::from_mins(5);
/// Longest wait until a mail's bytes are written (RFC 5321 §4.5.3.2.5: 3 minutes for each block).
const WRITE: Duration = Duration::from_mins(3);
/// Longest wait for the reply to a mail (RFC 5321 §4.5.3.2.6).
const FINAL: Duration = Duration::from_mins(10);
/// Largest piece written under one [`WRITE`] deadline, in bytes.
const BLOCK: usize = 256 * 1024;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SmtpAnswer {
    /// The reply code.
    pub code: u16,
    /// The text with its enhanced code; several lines joined by blanks.
    pub text: String,
}

impl SmtpAnswer {
    fn new(response: &Response) -> Self {
        let code = response.code.to_string().parse().unwrap_or(0);
        Self { code, text: response.message.join(" ").trim().to_owned() }
    }

    /// Whether the server has taken what was offered.
    pub fn is_accepted(&self) -> bool {
        self.code == 250
    }
}

/// The fate of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The reply that decided: to the mail, or the one that ended the transaction before it.
    #[serde(flatten)]
    pub answer: SmtpAnswer,
    /// The recipients that the server did not take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_recipients: Vec<RefusedRecipient>,
}

impl Delivered {
    /// Whether the mail was taken, for every recipient.
    pub fn is_accepted(&self) -> bool {
        self.answer.is_accepted() && self.refused_recipients.is_empty()
    }
}

/// A recipient that the server did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRecipient {
    /// The address.
    pub address: EmailAddress,
    /// The reply to RCPT.
    #[serde(flatten)]
    pub answer: SmtpAnswer,
}

/// Why a mail could not be offered, or its fate is unknown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RelayError {
    /// The server can't carry this mail; the connection goes on.
    #[error("{0}")]
    NotOffered(String),
    /// The connection is of no use any more.
    #[error("{0}")]
    Broken(String),
}

/// An open connection.
pub struct Relay {
    transport: SmtpTransport<Wire>,
    writer: SharedWriter,
    allowance: ReplyAllowance,
    eight_bit: bool,
    international: bool,
    size: bool,
}

impl Relay {
    /// Connects and says EHLO. `to` is `HOST:PORT`.
    pub async fn connect(to: &str) -> Result<Self, RelayError> {
        let broken =
            |what: &str, error: &dyn std::fmt::Display| RelayError::Broken(format!("{to}: {what}: {error}"));
        let stream = timeout(CONNECT, TcpStream::connect(to))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| broken("can't connect", &error))?;
        let hello = local_literal(stream.local_addr().map_err(|error| broken("can't connect", &error))?);
        let _ = stream.set_nodelay(true);
        let (wire, writer, allowance) = wire(stream);
        // One command, one reply: after a refused RCPT the crate's pipelined mode is out of step.
        let client = SmtpClient::new().pipelining(false).hello_name(ClientId::new(hello.clone()));
        let greeted = timeout(COMMAND, SmtpTransport::new(client, wire)).await;
        let mut transport = greeted
            .map_err(|_| broken("no greeting", &"timed out"))?
            .map_err(|error| broken("no greeting", &describe(&error)))?;
        allowance.renew();
        // The crate keeps what the server offers to itself; a second EHLO asks again (RFC 5321 §4.1.4 allows it).
        let offered = timeout(COMMAND, transport.get_mut().ehlo(ClientId::new(hello)))
            .await
            .map_err(|_| broken("no reply to EHLO", &"timed out"))?
            .map_err(|error| broken("EHLO was refused", &describe(&error)))?;
        let info = ServerInfo::from_response(&offered).map_err(|error| broken("EHLO", &error))?;
        let size = offered.message.iter().any(|line| line.split_whitespace().next() == Some("SIZE"));
        Ok(Self {
            transport,
            writer,
            allowance,
            eight_bit: info.supports_feature(Extension::EightBitMime),
            international: info.supports_feature(Extension::SmtpUtfEight),
            size,
        })
    }

    /// Offers one mail to all its recipients in one transaction. A recipient that is refused does not keep the others
    /// from it; when none is left the transaction ends there.
    pub async fn send(&mut self, mail: &ReplayMail) -> Result<Delivered, RelayError> {
        let command = self.mail_command(mail)?;
        let taken = self.command(command).await?;
        if !taken.is_accepted() {
            return self.abandon(taken, Vec::new()).await;
        }
        let (accepted, refused) = self.recipients(mail).await?;
        if !accepted {
            let last = refused.last().map(|refused| refused.answer.clone());
            let last = last.ok_or_else(|| RelayError::NotOffered("it has no recipient".to_owned()))?;
            return self.abandon(last, refused).await;
        }
        let go_on = self.command("DATA\r\n".to_owned()).await?;
        if go_on.code != 354 {
            return self.abandon(go_on, refused).await;
        }
        self.write(&mail.data()).await?;
        self.allowance.renew();
        let reply = timeout(FINAL, self.transport.get_mut().read_response()).await;
        let answer = Self::answer(reply, "no reply to the mail: whether it was taken is unknown")?;
        Ok(Delivered { answer, refused_recipients: refused })
    }

    /// Says QUIT; what the server makes of it changes nothing any more.
    pub async fn quit(mut self) {
        let _ = timeout(CONNECT, self.transport.quit()).await;
    }

    fn mail_command(&self, mail: &ReplayMail) -> Result<String, RelayError> {
        let missing = |what: &str| {
            RelayError::NotOffered(format!("the server does not offer {what}, which this mail needs"))
        };
        let from = mail.envelope.from.as_ref().map_or("", EmailAddress::spelling);
        let size = if self.size { format!(" SIZE={}", mail.size()) } else { String::new() };
        let mut command = format!("MAIL FROM:<{from}>{size}");
        if mail.is_eight_bit() {
            if !self.eight_bit {
                return Err(missing("8BITMIME"));
            }
            command.push_str(" BODY=8BITMIME");
        }
        if mail.is_international() {
            if !self.international {
                return Err(missing("SMTPUTF8"));
            }
            command.push_str(" SMTPUTF8");
        }
        Ok(command + "\r\n")
    }

    async fn recipients(&mut self, mail: &ReplayMail) -> Result<(bool, Vec<RefusedRecipient>), RelayError> {
        let (mut accepted, mut refused) = (false, Vec::new());
        for address in &mail.envelope.to {
            let answer = self.command(format!("RCPT TO:<{}>\r\n", address.spelling())).await?;
            match answer.code {
                250..=251 => accepted = true,
                _ => refused.push(RefusedRecipient { address: address.clone(), answer }),
            }
        }
        Ok((accepted, refused))
    }

    /// The transaction ended before its mail: RSET, so that the next one starts clean.
    async fn abandon(
        &mut self,
        answer: SmtpAnswer,
        refused_recipients: Vec<RefusedRecipient>,
    ) -> Result<Delivered, RelayError> {
        // After 421 the server closes (RFC 5321 §3.8): the next mail finds out and connects anew.
        if answer.code != 421 {
            self.command("RSET\r\n".to_owned()).await?;
        }
        Ok(Delivered { answer, refused_recipients })
    }

    async fn command(&mut self, command: String) -> Result<SmtpAnswer, RelayError> {
        self.allowance.renew();
        let reply = timeout(COMMAND, self.transport.get_mut().command(&command)).await;
        let verb = command.split_whitespace().next().unwrap_or_default();
        Self::answer(reply, &format!("no reply to {verb}"))
    }

    fn answer(
        reply: Result<Result<Response, SmtpError>, tokio::time::error::Elapsed>,
        what: &str,
    ) -> Result<SmtpAnswer, RelayError> {
        match reply {
            Ok(Ok(response) | Err(SmtpError::Transient(response) | SmtpError::Permanent(response))) => {
                Ok(SmtpAnswer::new(&response))
            }
            Ok(Err(error)) => Err(RelayError::Broken(format!("{what}: {}", describe(&error)))),
            Err(_) => Err(RelayError::Broken(format!("{what}: timed out"))),
        }
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), RelayError> {
        let broken =
            |error: &dyn std::fmt::Display| RelayError::Broken(format!("the mail was cut off: {error}"));
        for block in data.chunks(BLOCK) {
            let written = timeout(WRITE, self.writer.write_all(block)).await;
            written.map_err(|_| broken(&"timed out"))?.map_err(|error| broken(&error))?;
        }
        Ok(())
    }
}

/// Our name in EHLO: the address literal (RFC 5321 §4.1.3), which is always true.
fn local_literal(local: SocketAddr) -> String {
    match local {
        SocketAddr::V4(v4) => format!("[{}]", v4.ip()),
        SocketAddr::V6(v6) => format!("[IPv6:{}]", v6.ip()),
    }
}

/// The crate says "io: incomplete" when the server hangs up.
fn describe(error: &SmtpError) -> String {
    match error {
        SmtpError::Transient(response) | SmtpError::Permanent(response) => {
            format!("{} {}", response.code, response.message.join(" "))
        }
        SmtpError::Io(error) if error.to_string() == "incomplete" => {
            "the server closed the connection".to_owned()
        }
        SmtpError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, BufReader},
        net::TcpListener,
    };

    use super::*;
    use crate::cli::replay::envelope::{Overrides, ReplayEnvelope};

    fn mail(text: &str) -> ReplayMail {
        let envelope = ReplayEnvelope::of(text.as_bytes(), &Overrides::default()).unwrap();
        ReplayMail::new(envelope, text.as_bytes().to_vec()).unwrap()
    }

    /// A server of one connection: (what it waits for, what it says). `(".", …)` reads to the end of data. Returns all
    /// bytes it read.
    async fn server(script: Vec<(&'static str, &'static str)>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut seen = String::new();
            stream.write_all(b"220 scripted\r\n").await.unwrap();
            for (expected, reply) in script {
                let mut line = String::new();
                loop {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap();
                    seen.push_str(&line);
                    if expected != "." || line == ".\r\n" {
                        break;
                    }
                }
                assert!(line.starts_with(expected), "{line:?} came where {expected:?} was due");
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
            stream.read_to_string(&mut seen).await.unwrap();
            seen
        });
        (address, served)
    }

    const EHLO: (&str, &str) = ("EHLO [127.0.0.1]", "250-scripted\r\n250-SIZE 1000\r\n250 8BITMIME\r\n");
    const SIMPLE: &str = "From: a@x.example\r\nTo: it@h.example\r\n\r\nhello\r\n";

    #[tokio::test]
    async fn several_mails_go_over_one_connection_in_step() {
        let (to, served) = server(vec![
            EHLO,
            EHLO,
            ("MAIL FROM:<a@x.example> SIZE=", "250 2.1.0 ok\r\n"),
            ("RCPT TO:<it@h.example>", "250 2.1.5 ok\r\n"),
            ("DATA", "354 go on\r\n"),
            (".", "250 2.0.0 taken\r\n"),
            ("MAIL FROM:<a@x.example>", "250 2.1.0 ok\r\n"),
            ("RCPT TO:<no@h.example>", "550 5.1.1 no\r\n"),
            ("RCPT TO:<it@h.example>", "250 2.1.5 ok\r\n"),
            ("DATA", "354 go on\r\n"),
            (".", "250-2.0.0 taken\r\n250 2.0.0 again\r\n"),
            ("MAIL FROM:<a@x.example>", "250 2.1.0 ok\r\n"),
            ("RCPT TO:<no@h.example>", "550 5.1.1 no\r\n"),
            ("RSET", "250 2.0.0 ok\r\n"),
            ("QUIT", "221 2.0.0 bye\r\n"),
        ])
        .await;
        let mut relay = Relay::connect(&to).await.unwrap();
        assert!(relay.send(&mail(SIMPLE)).await.unwrap().is_accepted());

        let two = mail("From: a@x.example\r\nTo: no@h.example, it@h.example\r\n\r\n.dot\r\n");
        let delivered = relay.send(&two).await.unwrap();
        assert_eq!(delivered.answer, SmtpAnswer { code: 250, text: "2.0.0 taken 2.0.0 again".into() });
        assert_eq!(delivered.refused_recipients[0].answer.code, 550);
        assert!(!delivered.is_accepted(), "one recipient did not get it");

        let none = relay.send(&mail("From: a@x.example\r\nTo: no@h.example\r\n\r\n\r\n")).await.unwrap();
        assert_eq!(none.answer.code, 550);
        relay.quit().await;
        let seen = served.await.unwrap();
        assert!(seen.contains("\r\n\r\n..dot\r\n.\r\n"), "{seen}");
    }

    #[tokio::test]
    async fn a_mail_that_the_server_can_not_carry_is_not_offered() {
        let plain = ("EHLO", "250 plain\r\n");
        let (to, served) = server(vec![plain, plain, ("QUIT", "221 bye\r\n")]).await;
        let mut relay = Relay::connect(&to).await.unwrap();
        let eight_bit = mail("From: a@x.example\r\nTo: it@h.example\r\n\r\nGrüße\r\n");
        let error = relay.send(&eight_bit).await.unwrap_err();
        assert!(matches!(&error, RelayError::NotOffered(text) if text.contains("8BITMIME")), "{error}");
        relay.quit().await;
        assert!(!served.await.unwrap().contains("MAIL"));
    }

    #[tokio::test]
    async fn only_250_is_a_mail_taken_and_a_server_that_hangs_up_is_said() {
        let begin =
            vec![EHLO, EHLO, ("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("DATA", "354 go on\r\n")];
        let mut odd = begin.clone();
        odd.push((".", "354 what\r\n"));
        let (to, _served) = server(odd).await;
        let mut relay = Relay::connect(&to).await.unwrap();
        assert!(!relay.send(&mail(SIMPLE)).await.unwrap().is_accepted());

        let mut cut = begin;
        cut.push((".", "250"));
        let (to, served) = server(cut).await;
        let mut relay = Relay::connect(&to).await.unwrap();
        served.abort();
        let sent = relay.send(&mail(SIMPLE)).await;
        assert!(matches!(sent, Err(RelayError::Broken(_))), "{sent:?}");
    }

    #[tokio::test]
    async fn a_reply_without_end_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.write_all(&[b'2'; 4096]).await.is_ok() {}
        });
        let Err(error) = Relay::connect(&to).await else { panic!("that was no greeting") };
        assert!(error.to_string().contains("does not end"), "{error}");
    }
}
