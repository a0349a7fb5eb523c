//! `[smtp.tls]` and `mail.relay_ca`: the certificate and its key are read with the file, so that a bad pair is a mistake of the configuration
//! and never a handshake that fails at night.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use toml::de::DeValue;

use crate::types::Time;

use super::{
    keys::section,
    model::TlsConfig,
    reader::{Reader, Scope},
    sections::ReadFile,
    values::{self, Wrong},
};

/// `mail.relay_ca`: the authorities that the relay's certificate must come from.
pub(super) fn authorities(
    r: &mut Reader<'_>,
    at: &Scope<'_>,
    folder: &Path,
    read_file: &ReadFile<'_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let path = r.optional(at, "relay_ca", file(folder))?;
    let found = certificates(&path, "name the file with the certificates of the authorities", read_file);
    let usable = found.and_then(|found| {
        let mut roots = RootCertStore::empty();
        found.iter().try_for_each(|one| roots.add(one.clone())).map(|()| found).map_err(|error| {
            let problem = format!("{} holds a certificate that can't be used: {error}", path.display());
            Wrong::new(problem, "have it issued again, as an X.509 certificate in PEM")
        })
    });
    usable.map_err(|wrong| r.mistake(at, "relay_ca", wrong)).ok()
}

/// The table; `None` where there is none, or where a mistake was written down.
pub(super) fn tls(r: &mut Reader<'_>, folder: &Path, read_file: &ReadFile<'_>) -> Option<TlsConfig> {
    let at = r.scope(section("smtp.tls")?);
    let before = r.mistakes.len();
    let certificate = r.optional(&at, "certificate", file(folder));
    let key = r.optional(&at, "key", file(folder));
    match (certificate, key) {
        _ if r.mistakes.len() > before => None,
        (None, None) => None,
        (Some(certificate), Some(key)) => pair(r, &at, certificate, key, read_file),
        (certificate, _) => {
            let missing = if certificate.is_some() { "key" } else { "certificate" };
            let problem = "certificate and key go together, and this one is missing";
            let fix = format!("name the PEM file: {missing} = \"/etc/vestibule/{missing}.pem\"");
            r.mistake(&at, missing, Wrong::new(problem, fix));
            None
        }
    }
}

fn file(folder: &Path) -> impl Fn(&DeValue<'_>) -> Result<PathBuf, Wrong> {
    move |value| {
        let name = values::text(value)?;
        Ok(folder.join(name))
    }
}

fn pair(
    r: &mut Reader<'_>,
    at: &Scope<'_>,
    certificate: PathBuf,
    key: PathBuf,
    read_file: &ReadFile<'_>,
) -> Option<TlsConfig> {
    let fix = "name the file with our certificate, then those that it rests on";
    let chain =
        certificates(&certificate, fix, read_file).map_err(|wrong| r.mistake(at, "certificate", wrong)).ok();
    let private = private(&key, read_file).map_err(|wrong| r.mistake(at, "key", wrong)).ok();
    let chain = chain?;
    let expires_at = chain.first().and_then(expiry);
    let server = server(chain, &private?).map_err(|(name, wrong)| r.mistake(at, name, wrong)).ok()?;
    Some(TlsConfig { certificate, key, expires_at, server: Arc::new(server) })
}

/// The end of the certificate's validity (RFC 5280 §4.1.2.5).
fn expiry(certificate: &CertificateDer<'_>) -> Option<Time> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Time::from_millis(certificate.validity().not_after.timestamp().checked_mul(1000)?))
}

fn read(file: &Path, read_file: &ReadFile<'_>) -> Result<String, Wrong> {
    read_file(file).map_err(|error| {
        let fix = match error.kind() {
            io::ErrorKind::InvalidData => "convert it to PEM, the text form that begins with -----BEGIN",
            _ => "name a PEM file that the user who runs vestibule can read",
        };
        Wrong::new(format!("{} can't be read: {error}", file.display()), fix)
    })
}

fn certificates(
    file: &Path,
    fix: &str,
    read_file: &ReadFile<'_>,
) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let text = read(file, read_file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Wrong::new(
            format!("{} holds no certificate as PEM", file.display()),
            format!("{fix}: -----BEGIN CERTIFICATE-----"),
        )),
    }
}

fn private(file: &Path, read_file: &ReadFile<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let text = read(file, read_file)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        Wrong::new(
            format!("{} holds no private key as PEM", file.display()),
            "name the file with the certificate's key, not encrypted: -----BEGIN PRIVATE KEY-----",
        )
    })
}

/// Both together; otherwise the key of the configuration that is wrong.
fn server(
    chain: Vec<CertificateDer<'static>>,
    private: &PrivateKeyDer<'static>,
) -> Result<ServerConfig, (&'static str, Wrong)> {
    let provider = ring::default_provider();
    let signing = provider.key_provider.load_private_key(private.clone_key()).map_err(|error| {
        let fix = "use an ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits or more) key";
        ("key", Wrong::new(format!("this key can't be used: {error}"), fix))
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            let fix = "name the key that the certificate was made for; our certificate must stand first in its file";
            return Err(("key", Wrong::new("this is not the certificate's key", fix)));
        }
        Err(error) => {
            let fix = "have it issued again, as an X.509 certificate in PEM";
            return Err(("certificate", Wrong::new(format!("this certificate can't be used: {error}"), fix)));
        }
    }
    let versions =
        ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| {
        ("certificate", Wrong::new(format!("TLS can't be set up: {error}"), "remove the table [smtp.tls]"))
    })?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    Ok(versions.with_no_client_auth().with_cert_resolver(resolver))
}
