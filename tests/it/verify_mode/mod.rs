//! `authentication.mode = "verify"` on a whole daemon, with a name server in this process. Mails come from 127.0.0.1, a relay
//! that may tell its client with XCLIENT.

mod arc;
mod dkim;
mod dmarc;
mod outages;
mod spf;

use data_encoding::BASE64;
use mail_auth::{
    common::{
        crypto::{Ed25519Key, RsaKey, Sha256},
        headers::HeaderWriter,
    },
    dkim::DkimSigner,
    hickory_resolver::{
        TokioResolver,
        config::{ConnectionConfig, NameServerConfig, ResolverConfig},
        net::runtime::TokioRuntimeProvider,
    },
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;

use crate::{
    daemon::{Daemon, SITE, Smtp},
    dns::Dns,
};

const IT: &[&str] = &["it@help.example.com"];
const BOSS: &str = "boss@approved.example";
const ANN: &str = "ann@partner.example";
/// A client from outside.
const CLIENT: &str = "203.0.113.9";
const SIGNED: [&str; 4] = ["From", "To", "Subject", "Message-ID"];

fn site(dns: &Dns, more: &str) -> String {
    let authentication = format!("mode = \"verify\"\nresolver = \"{}\"\n{more}", dns.address);
    let site = SITE.replace("mode = \"off\"", &authentication);
    assert_ne!(site, SITE);
    site.replace("[smtp]", "[smtp]\nxclient_from = [\"127.0.0.1\"]")
}

fn mail(from: &str, subject: &str) -> String {
    format!(
        "From: Somebody <{from}>\r\nTo: it@help.example.com\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@x.example>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nHello {subject}.\r\n"
    )
}

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dkim").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn rsa() -> RsaKey<Sha256> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(fixture("rsa2048.pem").as_bytes()).unwrap();
    RsaKey::from_key_der(PrivateKeyDer::Pkcs8(der)).unwrap()
}

/// Publishes the RSA key.
fn publish(dns: &Dns, selector: &str, domain: &str) {
    dns.txt(&format!("{selector}._domainkey.{domain}"), fixture("rsa2048.txt").trim());
}

/// Publishes a new Ed25519 key.
fn publish_ed25519(dns: &Dns, selector: &str, domain: &str) -> Ed25519Key {
    let key = Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().unwrap()).unwrap();
    let record = format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(&key.public_key()));
    dns.txt(&format!("{selector}._domainkey.{domain}"), &record);
    key
}

/// The mail with a signature of the RSA key on top.
fn signed(raw: &str, selector: &str, domain: &str) -> String {
    let signer = DkimSigner::from_key(rsa()).domain(domain).selector(selector).headers(SIGNED);
    signer.sign(raw.as_bytes()).unwrap().to_header() + raw
}

/// A resolver of the test's own.
fn resolver(dns: &Dns) -> TokioResolver {
    let mut connection = ConnectionConfig::udp();
    connection.port = dns.address.port();
    let server = NameServerConfig::new(dns.address.ip(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap()
}

/// Relays a mail of this client; answers the reply to its data.
async fn relay(daemon: &Daemon, client: Option<&str>, mail_from: &str, raw: &str) -> String {
    let mut smtp = Smtp::connect(daemon.addresses.smtp[0]).await;
    if let Some(client) = client {
        assert!(smtp.command(&format!("XCLIENT ADDR={client}")).await.starts_with("220"));
        assert!(smtp.command("EHLO mail.partner.example").await.starts_with("250"));
    }
    smtp.mail(mail_from, IT, raw).await
}

/// Relays a mail that is taken; answers its `mail.decided` line.
async fn decided(daemon: &Daemon, client: Option<&str>, mail_from: &str, raw: &str) -> Value {
    let before = daemon.log.events("mail.decided").len();
    let reply = relay(daemon, client, mail_from, raw).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}\n{raw}");
    let lines = daemon.log.events("mail.decided");
    assert_eq!(lines.len(), before + 1);
    lines[before].clone()
}

/// Reason and standing of that line.
fn told(line: &Value) -> (&str, &str) {
    (line["reason"].as_str().unwrap(), line["standing"].as_str().unwrap())
}

/// The findings in the trail of the newest decision.
async fn findings(daemon: &Daemon) -> Vec<String> {
    let (status, shown) = daemon.api("GET", "/api/v1/decisions?limit=1", None).await;
    assert_eq!(status, 200);
    let trail = shown["items"][0]["trail"].as_array().unwrap();
    let noted = trail.iter().filter(|check| check["check"] == "authentication" && check["result"] == "noted");
    noted.map(|check| check["input"].as_str().unwrap().to_owned()).collect()
}
