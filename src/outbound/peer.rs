//! A relay that does what a script says, for tests.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::config::{RelaySecurity, SmtpRelay};

/// Instead of a reply: nothing is said any more, and the clock of the test is paused, so that it runs ahead.
pub(super) const SILENCE: &str = "";
/// Instead of a reply: the connection is closed.
pub(super) const CLOSE: &str = "close";

/// What is said at each step; CRLF is added.
#[derive(Clone)]
pub(super) struct Script {
    /// Speaks TLS from the first byte with this, or after it has said 220 to STARTTLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) greeting: &'static str,
    pub(super) ehlo: &'static str,
    pub(super) auth: &'static str,
    pub(super) starttls: &'static str,
    pub(super) mail: &'static str,
    pub(super) rcpt: &'static str,
    pub(super) data: &'static str,
    pub(super) end: &'static str,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tls: None,
            greeting: "220 relay.example ESMTP",
            ehlo: "250-relay.example\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            auth: "235 2.7.0 welcome",
            starttls: "454 4.7.0 not now",
            mail: "250 2.1.0 ok",
            rcpt: "250 2.1.5 ok",
            data: "354 go on",
            end: "250 2.0.0 queued as 42",
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { greeting, ehlo, auth, starttls, mail, rcpt, data, end, .. } = self;
        write!(f, "{:?}", [greeting, ehlo, auth, starttls, mail, rcpt, data, end])
    }
}

/// An authority of its own, and what a relay with these names presents that it issued.
pub(super) fn authority(names: &[&str]) -> (CertificateDer<'static>, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (issuer.der().clone(), Arc::new(server))
}

/// What the relay has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) commands: Vec<String>,
    /// The mails, dots taken out again.
    pub(super) mails: Vec<Vec<u8>>,
}

/// A running relay.
pub(super) struct Peer {
    pub(super) port: u16,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Peer {
    pub(super) async fn start(script: Script) -> Self {
        Self::speaking(script, false).await
    }

    /// TLS from the first byte.
    pub(super) async fn start_within_tls(script: Script) -> Self {
        Self::speaking(script, true).await
    }

    async fn speaking(script: Script, within_tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                let (script, shared) = (script.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if !within_tls {
                        return serve(Box::new(stream), script, shared).await;
                    }
                    let acceptor = TlsAcceptor::from(script.tls.clone()?);
                    serve(Box::new(acceptor.accept(stream).await.ok()?), script, shared).await
                });
            }
        });
        Self { port, seen }
    }

    pub(super) fn relay(&self, security: RelaySecurity) -> SmtpRelay {
        SmtpRelay {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            security,
            credentials: None,
            authorities: None,
        }
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }
}

async fn serve(stream: Box<dyn Stream>, script: Script, seen: Arc<Mutex<Seen>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, script.greeting).await?;
    loop {
        let line = read_line(&mut stream).await?;
        let command = String::from_utf8_lossy(&line).trim_end().to_owned();
        seen.lock().unwrap().commands.push(command.clone());
        let reply = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => script.ehlo,
            "AUTH" => script.auth,
            "STARTTLS" => script.starttls,
            "MAIL" => script.mail,
            "RCPT" => script.rcpt,
            "DATA" => script.data,
            "NOOP" => "250 2.0.0 ok",
            "QUIT" => "221 2.0.0 bye",
            _ => "500 5.5.2 what?",
        };
        say(&mut stream, reply).await?;
        if let (true, Some(tls)) = (command == "STARTTLS" && reply.starts_with("220"), &script.tls) {
            let upgraded = TlsAcceptor::from(Arc::clone(tls)).accept(stream.into_inner()).await.ok()?;
            stream = BufReader::new(Box::new(upgraded));
            continue;
        }
        if reply.starts_with("354") {
            let mail = read_mail(&mut stream).await?;
            seen.lock().unwrap().mails.push(mail);
            say(&mut stream, script.end).await?;
        }
    }
}

/// Either kind of connection.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn say(stream: &mut BufReader<Box<dyn Stream>>, reply: &str) -> Option<()> {
    match reply {
        CLOSE => None,
        SILENCE => {
            tokio::time::pause();
            std::future::pending().await
        }
        reply => stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok(),
    }
}

async fn read_line(stream: &mut BufReader<Box<dyn Stream>>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
    Some(line)
}

/// Up to the line that is a dot, as RFC 5321 §4.5.2 has it.
async fn read_mail(stream: &mut BufReader<Box<dyn Stream>>) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line == b".\r\n" {
            return Some(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
