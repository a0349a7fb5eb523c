//! STARTTLS with real handshakes.

use std::{path::Path, sync::LazyLock};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use vestibule::config::{self, TlsConfig};

use super::*;

/// A certificate for mx.example and its key, as a site has them.
struct Pair {
    certificate: CertificateDer<'static>,
    config: TlsConfig,
}

static FIRST: LazyLock<Pair> = LazyLock::new(Pair::new);
static SECOND: LazyLock<Pair> = LazyLock::new(Pair::new);

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([support::HOSTNAME.to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let text = include_str!("../../../fixtures/config/good-tls.toml");
        let read_file = |file: &Path| match file.file_name().and_then(|name| name.to_str()) {
            Some("certificate.pem") => Ok(certificate.clone()),
            Some("key.pem") => Ok(key.clone()),
            _ => Err(std::io::Error::other("no such file")),
        };
        let config = config::parse(text, Path::new("good-tls.toml"), &read_file).unwrap();
        Self { certificate: made.cert.der().clone(), config: config.smtp.tls.unwrap() }
    }

    /// A client that trusts this certificate and no other.
    fn client(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions();
        TlsConnector::from(Arc::new(versions.unwrap().with_root_certificates(roots).with_no_client_auth()))
    }
}

fn encrypting(change: impl FnOnce(&mut Config)) -> House {
    House::new(|config| {
        config.smtp.tls = Some(FIRST.config.clone());
        change(config);
    })
}

/// Asks for TLS and makes the handshake.
async fn encrypt<S>(mut client: Client<S>, pair: &Pair) -> Client<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.ask("STARTTLS", "220 2.0.0").await;
    assert!(client.0.buffer().is_empty());
    let name = ServerName::try_from(support::HOSTNAME).unwrap();
    let tls = pair.client().connect(name, client.0.into_inner()).await.unwrap();
    Client(BufReader::new(tls))
}

#[tokio::test]
async fn a_mail_comes_in_within_tls() {
    let house = encrypting(|_| {});
    let (address, _) = house.serve().await;
    let mut client = connect(address).await;
    client.expect("220").await;
    client.send("EHLO forgotten.example\r\n").await;
    assert!(client.reply().await.contains("250-STARTTLS\r\n"));
    let mut client = encrypt(client, &FIRST).await;
    client.send("EHLO client.example\r\n").await;
    assert!(!client.reply().await.contains("STARTTLS"));
    client.ask("STARTTLS", "503 5.5.1").await;
    let large = "0123456789abcdef\r\n".repeat(20_000);
    client.mail(&large, "250 2.0.0").await;
    client.ask("QUIT", "221").await;
    client.expect_end().await;
    let mails = house.mails();
    let (envelope, bytes) = &mails[0];
    assert_eq!((envelope.helo.as_str(), envelope.protocol), ("client.example", Protocol::Esmtps));
    assert_eq!(bytes.len(), large.len() + 2);
    until("the session is told as closed", || !house.log.events("session.closed").is_empty()).await;
    let closed = &house.log.events("session.closed")[0];
    assert_eq!((closed["tls"].as_str(), closed["how"].as_str()), (Some("TLSv1_3"), Some("quit")));
}

/// B04: commands behind STARTTLS, in one piece with it.
#[tokio::test]
async fn plaintext_behind_starttls_ends_the_session() {
    let house = encrypting(|_| {});
    let (address, _) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    client.send("STARTTLS\r\nRSET\r\nMAIL FROM:<a@client.example>\r\n").await;
    client.expect("421 4.7.0").await;
    client.expect_end().await;
    let refused = house.refused();
    assert_eq!((refused[0].0, refused[0].1.as_str()), (421, "behind-starttls"));
    assert!(refused[0].2.starts_with("RSET"), "{refused:?}");
}

/// B04: commands that come after the 220 are taken for a handshake, and fail as one.
#[tokio::test]
async fn plaintext_after_the_220_is_no_handshake() {
    let house = encrypting(|_| {});
    let (address, _) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    client.ask("STARTTLS", "220 2.0.0").await;
    client.send("RSET\r\nMAIL FROM:<a@client.example>\r\n").await;
    let mut rest = Vec::new();
    let _ = client.0.read_to_end(&mut rest).await;
    // A TLS alert (record type 21), never a reply.
    assert!(rest.first().is_none_or(|first| *first == 21), "{}", rest.escape_ascii());
    until("the failure is told", || !house.log.events("tls.failed").is_empty()).await;
    assert!(house.log.events("tls.failed")[0]["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_deadline() {
    let house = encrypting(|_| {});
    let (mut client, attending) = house.pipe(4096);
    client.greet().await;
    client.ask("STARTTLS", "220 2.0.0").await;
    client.send([22, 3, 1]).await;
    client.expect_end().await;
    attending.await.unwrap();
    let error = house.log.events("tls.failed")[0]["error"].to_string();
    assert!(error.contains("30 s"), "{error}");
    assert_eq!(house.log.events("session.closed")[0]["how"], "timeout");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_handshakes() {
    let house = encrypting(|_| {});
    let (address, _) = house.serve().await;
    let (mut before, mut between) = (connect(address).await, connect(address).await);
    before.greet().await;
    between.greet().await;
    let mut before = encrypt(before, &FIRST).await;
    let mut config = Config::clone(&house.parts.config.load());
    config.smtp.tls = Some(SECOND.config.clone());
    house.parts.config.store(Arc::new(config.clone()));
    // Connected before, encrypted after.
    encrypt(between, &SECOND).await.ask("EHLO client.example", "250").await;
    before.ask("EHLO client.example", "250-mx.example").await;
    before.mail("x", "250 2.0.0").await;

    let mut late = connect(address).await;
    late.greet().await;
    config.smtp.tls = None;
    house.parts.config.store(Arc::new(config));
    late.ask("STARTTLS", "454 4.7.0").await;
    late.mail("y", "250 2.0.0").await;
    let protocols: Vec<_> = house.mails().iter().map(|(envelope, _)| envelope.protocol).collect();
    assert_eq!(protocols, [Protocol::Esmtps, Protocol::Esmtp]);
}

#[tokio::test]
async fn a_site_may_require_tls() {
    let house = encrypting(|config| config.smtp.require_tls = true);
    let (address, _) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    client.ask("MAIL FROM:<a@client.example>", "530 5.7.0").await;
    let mut client = encrypt(client, &FIRST).await;
    client.ask("EHLO client.example", "250-mx.example").await;
    client.mail("x", "250 2.0.0").await;
    assert_eq!(house.mails()[0].0.protocol, Protocol::Esmtps);
}
