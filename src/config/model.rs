//! What the configuration means, once it is valid. Every field's key, default and meaning stand in
//! `deploy/vestibule.example.toml` (contract: *Configuration*).

use std::{collections::HashSet, net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;

use super::{otlp::OtlpConfig, retention::Retention, tokens::ApiToken};
use crate::{
    access::{AccessSettings, OnClosed, ProjectAccess, SenderList, SiteAccess},
    authn::{AuthenticationMode, RelayTrust},
    mail::MAX_PARTICIPANTS,
    smtp::RouteTable,
    templates::{Language, Templates},
    types::{Domain, EmailAddress, ProjectKey, Time},
};

/// A whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Our name: EHLO, Received, Message-ID.
    pub hostname: Domain,
    /// `[smtp]`.
    pub smtp: SmtpConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[retention]`.
    pub retention: Retention,
    /// `[mail]`.
    pub mail: MailConfig,
    /// `[verification]`.
    pub verification: VerificationConfig,
    /// `[authentication]`.
    pub authentication: AuthenticationConfig,
    /// `[access]`.
    pub access: Arc<SiteAccess>,
    /// `[[projects]]`, in the order of the file.
    pub projects: Vec<Project>,
    /// The inbox addresses of all projects.
    pub routes: Arc<RouteTable>,
    /// `[log]`.
    pub log: LogConfig,
    /// `[otlp]`; `None`: no traces.
    pub otlp: Option<OtlpConfig>,
    /// What is valid but probably not meant.
    pub warnings: Vec<String>,
    /// A short digest of the settings in force (16 hex digits), to tell which settings a decision rested on.
    pub version: String,
}

impl Config {
    /// The project with this key.
    pub fn project(&self, key: &ProjectKey) -> Option<&Project> {
        self.projects.iter().find(|project| project.key == *key)
    }

    /// What a decision for the project rests on.
    pub fn access_settings<'a>(&'a self, project: &'a Project) -> AccessSettings<'a> {
        AccessSettings {
            site: &self.access,
            project: project.access,
            on_closed: project.on_closed,
            automatic_from: &project.allow_automatic_from,
        }
    }

    /// Whether the address is one of our inboxes, the sender of our mail or where its bounces go; such a From is no usable
    /// sender (access-rules, check 3).
    pub fn is_own_address(&self, address: &EmailAddress) -> bool {
        self.mail.from.address == *address
            || self.mail.bounce_domain.as_ref() == Some(address.domain())
            || self.routes.route(address).is_some()
    }

    /// The language of our mails about a project; the site's for one that is configured no more.
    pub fn language(&self, project: &ProjectKey) -> &Language {
        let own = self.project(project).and_then(|project| project.language.as_ref());
        own.unwrap_or(&self.mail.language)
    }

    /// Of the addresses in To and Cc of a mail those that become participants: all but ours and the sender's (none is known
    /// of a sender who was forgotten), at most [`MAX_PARTICIPANTS`], each once.
    pub fn participants(&self, sender: Option<&EmailAddress>, named: &[EmailAddress]) -> Vec<EmailAddress> {
        let mut seen = HashSet::new();
        let others = named.iter().filter(|address| Some(*address) != sender && !self.is_own_address(address));
        others.filter(|address| seen.insert(address.key())).take(MAX_PARTICIPANTS).cloned().collect()
    }
}

/// `[smtp]`.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Sockets to listen on; never empty.
    pub listen: Vec<SocketAddr>,
    /// Largest mail in bytes.
    pub max_message_size: u64,
    /// Most recipients of one mail.
    pub max_recipients: usize,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most connections of one peer at once.
    pub max_connections_per_peer: usize,
    /// Bytes of mail in flight, all sessions together.
    pub memory_budget: u64,
    /// Networks of the relays that may send at all.
    pub allow_from: Vec<IpNet>,
    /// Networks of the relays that may use XCLIENT and XFORWARD.
    pub xclient_from: Vec<IpNet>,
    /// Networks of the proxies that must begin with a PROXY header.
    pub proxy_from: Vec<IpNet>,
    /// `[smtp.tls]`; `None`: STARTTLS is not offered.
    pub tls: Option<TlsConfig>,
    /// No mail before TLS; only with `tls`.
    pub require_tls: bool,
    /// What a dropped mail's relay is told.
    pub on_drop: OnDrop,
    /// What becomes of a bare CR or LF in DATA.
    pub bare_newlines: BareNewlines,
    /// Takes mail for postmaster and abuse of our domains.
    pub postmaster: Option<EmailAddress>,
    /// `[smtp.rate] per_peer_per_minute`; `None` = off.
    pub per_peer_per_minute: Option<NonZeroU32>,
    /// `[smtp.rate] per_envelope_sender_per_hour`; `None` = off.
    pub per_envelope_sender_per_hour: Option<NonZeroU32>,
}

/// `[smtp.tls]`, read and put together.
#[derive(Clone)]
pub struct TlsConfig {
    /// The file of the certificate chain.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// When the certificate ends; `None` where it does not say so in a way that can be read.
    pub expires_at: Option<Time>,
    /// Certificate, key and TLS versions (1.2 and 1.3), for each new handshake.
    pub server: Arc<rustls::ServerConfig>,
}

impl std::fmt::Debug for TlsConfig {
    /// The files only: nothing of the key is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { certificate, key, expires_at: _, server: _ } = self;
        f.debug_struct("TlsConfig")
            .field("certificate", certificate)
            .field("key", key)
            .finish_non_exhaustive()
    }
}

/// `on_drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrop {
    /// 250: the relay never learns of it.
    Accept,
    /// 550 5.7.1 where the contract allows it.
    Reject,
}

/// `bare_newlines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewlines {
    /// 550 5.6.0 after the true end.
    Refuse,
    /// Made CRLF once the true end is found.
    Normalize,
}

/// `[http]`.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The verification pages; and API, health and metrics unless `admin_listen` is set.
    pub listen: SocketAddr,
    /// API, health and metrics, here and only here.
    pub admin_listen: Option<SocketAddr>,
    /// The only source of links in mail; without a trailing slash.
    pub public_url: String,
    /// `admin_token`, as it is shown to the API by the commands.
    pub admin_token: Option<AdminToken>,
    /// All bearer tokens of the API, that one too; without any the API answers 403.
    pub tokens: Vec<ApiToken>,
}

/// The API's bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(pub String);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[store]`.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The data directory. A relative path is relative to the configuration file.
    pub path: PathBuf,
    /// Free bytes below which MAIL is answered 452; 0 = off.
    pub min_free: u64,
    /// How long a mail is remembered so that its copy is dropped; zero = not at all.
    pub duplicate_window: Duration,
    /// A mail to several projects counts for the first that takes it.
    pub one_request_per_mail: bool,
}

/// `[mail]`: what the daemon sends.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Where it goes.
    pub relay: Relay,
    /// The From of it.
    pub from: Mailbox,
    /// Whether new requests are acknowledged.
    pub acknowledge: bool,
    /// Most acknowledgements to one address in 24 hours.
    pub max_acknowledgements_per_address_per_day: NonZeroU32,
    /// Most acknowledgements a minute.
    pub max_acknowledgements_per_minute: NonZeroU32,
    /// `[access.external] confirm_address`: whether a new portal-only customer is asked to confirm the address.
    pub confirm_address: bool,
    /// Where bounces of our mail go; `None`: our mail has the null reverse-path.
    pub bounce_domain: Option<Domain>,
    /// The language of mails about projects that have none of their own.
    pub language: Language,
    /// The operator's templates. A relative path is relative to the configuration file.
    pub templates_folder: Option<PathBuf>,
    /// All templates in force.
    pub templates: Arc<Templates>,
}

/// A display name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, if any.
    pub name: Option<String>,
    /// The address.
    pub address: EmailAddress,
}

/// `[mail] relay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relay {
    /// An SMTP server.
    Smtp(SmtpRelay),
    /// A directory that gets one `.eml` file for each mail. A relative path is relative to the configuration file.
    Directory(PathBuf),
}

/// An SMTP server that takes our mail.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpRelay {
    /// Host name or address.
    pub host: String,
    /// Port; 25, 465 or 587 where the URL names none.
    pub port: u16,
    /// How the connection is protected.
    pub security: RelaySecurity,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Who may have issued its certificate, instead of the authorities that the system trusts; never empty.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

impl std::fmt::Debug for SmtpRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let login = self.credentials.as_ref().map(|(user, _)| format!("{user}:***"));
        f.debug_struct("SmtpRelay")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("credentials", &login)
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .finish()
    }
}

/// How a connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelaySecurity {
    /// `smtp://`: not at all.
    None,
    /// `smtps://`: TLS from the first byte.
    Tls,
    /// `smtp+starttls://`: TLS after STARTTLS, required.
    StartTls,
}

/// `[verification]`.
#[derive(Debug, Clone)]
pub struct VerificationConfig {
    /// How long a link works.
    pub link_lifetime: Duration,
    /// How long a mail waits.
    pub hold_for: Duration,
    /// Shortest time between two verification mails to one address; zero = any.
    pub resend_after: Duration,
    /// Most verification mails to one address in 24 hours.
    pub max_mails_per_address_per_day: usize,
    /// Most a minute to addresses of approved domains.
    pub max_mails_per_minute: NonZeroU32,
    /// Most a minute to all others.
    pub max_mails_per_minute_external: NonZeroU32,
    /// Who gets none.
    pub never_mail: SenderList,
    /// Whom to ask; printed in the mail and on the page.
    pub contact: Option<String>,
}

impl VerificationConfig {
    /// Whether the address may be sent verification mail at all (`never_mail`).
    pub fn may_mail(&self, address: &EmailAddress) -> bool {
        !self.never_mail.contains(address)
    }
}

/// `[authentication]`.
#[derive(Debug, Clone)]
pub struct AuthenticationConfig {
    /// How senders are judged.
    pub mode: AuthenticationMode,
    /// Whom mode = "relay" believes; seals, strict alignment and internal relays are those of mode = "verify" too.
    pub relay: RelayTrust,
    /// What mode = "verify" needs.
    pub verify: VerifyConfig,
}

/// `[authentication]`, for mode = "verify".
#[derive(Debug, Clone, Default)]
pub struct VerifyConfig {
    /// The name server to ask; `None` = those of the system.
    pub resolver: Option<SocketAddr>,
    /// How old a mail may be for a temporary failure of DNS to send it back to its relay; zero = never.
    pub retry_window: Duration,
}

/// One service project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The key that begins its request ids.
    pub key: ProjectKey,
    /// Its name for people.
    pub name: String,
    /// Its inbox addresses as written.
    pub addresses: Vec<String>,
    /// Who may send requests.
    pub access: ProjectAccess,
    /// What becomes of replies to its closed requests.
    pub on_closed: OnClosed,
    /// List-Ids of groups that forward to its addresses, lower case, without angle brackets.
    pub via_lists: Vec<String>,
    /// The language of our mails about it; `None` = the site's.
    pub language: Option<Language>,
    /// Machines that may be its customers, where they have an account.
    pub allow_automatic_from: SenderList,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// JSON lines or text for a terminal.
    pub format: LogFormat,
    /// A level or a filter of tracing-subscriber's `EnvFilter`.
    pub level: String,
    /// How mail addresses appear.
    pub addresses: LogAddresses,
}

/// `[log] format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `[log] addresses`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAddresses {
    /// As they are.
    Full,
    /// A keyed hash of the address, and its domain.
    Hashed,
    /// The domain only.
    Domain,
}
