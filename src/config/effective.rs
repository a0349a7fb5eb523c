//! The settings in force as one text, without secrets, and their digest.

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::model::{
    AuthenticationConfig, BareNewlines, Config, LogAddresses, LogFormat, OnDrop, Project, Relay,
    RelaySecurity, SmtpRelay,
};
use super::{
    otlp::OtlpConfig,
    retention::{Keep, Retention},
    tokens::ApiToken,
};
use crate::{
    access::{DomainList, SenderList},
    authn::{AuthenticationMode, ResultsFormat},
    templates::Language,
};

/// Stands for a secret.
const SECRET: &str = "***";
/// Longest list that is shown entry by entry; a longer one is shown as its length and digest.
const MAX_ENTRIES: usize = 100;

impl Config {
    /// The settings in force, defaults included, as one line of JSON; `***` stands for each secret.
    pub fn effective(&self) -> String {
        json!({
            "hostname": self.hostname,
            "smtp": smtp(self),
            "http": http(self),
            "store": store(self),
            "retention": retention(self),
            "mail": mail(self),
            "verification": verification(self),
            "authentication": authentication(self),
            "access": access(self),
            "projects": self.projects.iter().map(project).collect::<Vec<_>>(),
            "log": log(self),
            "otlp": self.otlp.as_ref().map(otlp),
        })
        .to_string()
    }
}

/// The first 16 hex digits of the SHA-256 of the effective settings. Secrets are no part of it.
pub(super) fn version(effective: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(effective.as_bytes())[..8])
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    if length.is_zero() {
        return "0s".to_owned();
    }
    for (unit, size) in [("d", 86_400), ("h", 3600), ("min", 60)] {
        if seconds.is_multiple_of(size) && length.subsec_nanos() == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{}s", length.as_secs_f64())
}

fn smtp(config: &Config) -> Value {
    let smtp = &config.smtp;
    json!({
        "listen": texts(&smtp.listen),
        "max_message_size": smtp.max_message_size,
        "max_recipients": smtp.max_recipients,
        "max_connections": smtp.max_connections,
        "max_connections_per_peer": smtp.max_connections_per_peer,
        "memory_budget": smtp.memory_budget,
        "allow_from": texts(&smtp.allow_from),
        "xclient_from": texts(&smtp.xclient_from),
        "proxy_from": texts(&smtp.proxy_from),
        "tls": smtp.tls.as_ref().map(|tls| json!({"certificate": tls.certificate, "key": tls.key})),
        "require_tls": smtp.require_tls,
        "on_drop": match smtp.on_drop { OnDrop::Accept => "accept", OnDrop::Reject => "reject" },
        "bare_newlines": match smtp.bare_newlines {
            BareNewlines::Refuse => "refuse",
            BareNewlines::Normalize => "normalize",
        },
        "detail_separator": config.routes.detail_separator().map(String::from).unwrap_or_default(),
        "postmaster": smtp.postmaster,
        "rate": {
            "per_peer_per_minute": smtp.per_peer_per_minute.map_or(0, Into::into),
            "per_envelope_sender_per_hour": smtp.per_envelope_sender_per_hour.map_or(0, Into::into),
        },
    })
}

fn retention(config: &Config) -> Value {
    let kept = |keep: Keep| match keep {
        Keep::For(length) => duration(length),
        Keep::Forever => "forever".to_owned(),
    };
    let Retention { dropped_mail, ended_holds, requests, decisions } = config.retention;
    json!({
        "dropped_mail": kept(dropped_mail),
        "ended_holds": kept(ended_holds),
        "requests": kept(requests),
        "decisions": kept(decisions),
    })
}

fn authentication(config: &Config) -> Value {
    let settings = &config.authentication;
    match settings.mode {
        AuthenticationMode::Off => json!({"mode": "off"}),
        AuthenticationMode::Relay => relay_mode(settings),
        AuthenticationMode::Verify => json!({
            "mode": "verify",
            "internal_relays": texts(&settings.relay.internal_relays),
            "trusted_arc_sealers": texts(&settings.relay.arc_sealers),
            "strict_alignment": texts(&settings.relay.strict_alignment),
            "resolver": settings.verify.resolver,
            "retry_window": duration(settings.verify.retry_window),
        }),
    }
}

fn relay_mode(settings: &AuthenticationConfig) -> Value {
    let relay = &settings.relay;
    json!({
        "mode": "relay",
        "results_from": texts(&relay.results_from),
        "authserv_ids": relay.authserv_ids,
        "results_format": match relay.format {
            ResultsFormat::Rfc8601 => "rfc8601",
            ResultsFormat::ExchangeOnline => "exchange-online",
        },
        "results_below_received": relay.below_received,
        "internal_relays": texts(&relay.internal_relays),
        "trusted_arc_sealers": texts(&relay.arc_sealers),
        "strict_alignment": texts(&relay.strict_alignment),
    })
}

fn http(config: &Config) -> Value {
    json!({
        "listen": config.http.listen,
        "admin_listen": config.http.admin_listen,
        "public_url": config.http.public_url,
        "admin_token": config.http.admin_token.as_ref().map(|_| SECRET),
        "tokens": config.http.tokens.iter().map(token).collect::<Vec<_>>(),
    })
}

fn token(token: &ApiToken) -> Value {
    json!({"name": token.name, "role": token.role.as_str(), "token": SECRET})
}

fn store(config: &Config) -> Value {
    json!({
        "path": config.store.path.display().to_string(),
        "min_free": config.store.min_free,
        "duplicate_window": duration(config.store.duplicate_window),
        "one_request_per_mail": config.store.one_request_per_mail,
    })
}

/// The operator's templates are settings too: they are shown by the digest of all texts in force.
fn mail(config: &Config) -> Value {
    let mail = &config.mail;
    let relay_ca = match &config.mail.relay {
        Relay::Smtp(relay) => relay.authorities.as_ref().map(|all| format!("certificates: {}", all.len())),
        Relay::Directory(_) => None,
    };
    let texts: Vec<String> = mail.templates.files().map(|(name, text)| format!("{name}\0{text}")).collect();
    json!({
        "relay": relay(&mail.relay),
        "relay_ca": relay_ca,
        "from": from(config),
        "acknowledge": mail.acknowledge,
        "max_acknowledgements_per_address_per_day": mail.max_acknowledgements_per_address_per_day,
        "max_acknowledgements_per_minute": mail.max_acknowledgements_per_minute,
        "bounce_domain": mail.bounce_domain,
        "language": mail.language.as_str(),
        "templates": mail.templates_folder.as_ref().map(|folder| json!({
            "path": folder.display().to_string(),
            "digest": version(&texts.join("\0")),
        })),
    })
}

fn relay(relay: &Relay) -> String {
    match relay {
        Relay::Directory(path) => format!("file:{}", path.display()),
        Relay::Smtp(relay) => smtp_relay(relay),
    }
}

fn smtp_relay(relay: &SmtpRelay) -> String {
    let scheme = match relay.security {
        RelaySecurity::None => "smtp",
        RelaySecurity::Tls => "smtps",
        RelaySecurity::StartTls => "smtp+starttls",
    };
    let login = relay.credentials.as_ref().map(|(user, _)| format!("{user}:{SECRET}@")).unwrap_or_default();
    let host = if relay.host.contains(':') { format!("[{}]", relay.host) } else { relay.host.clone() };
    format!("{scheme}://{login}{host}:{}", relay.port)
}

fn from(config: &Config) -> String {
    let from = &config.mail.from;
    match &from.name {
        Some(name) => format!("{name} <{}>", from.address),
        None => from.address.to_string(),
    }
}

fn verification(config: &Config) -> Value {
    let verification = &config.verification;
    json!({
        "link_lifetime": duration(verification.link_lifetime),
        "hold_for": duration(verification.hold_for),
        "resend_after": duration(verification.resend_after),
        "max_mails_per_address_per_day": verification.max_mails_per_address_per_day,
        "max_mails_per_minute": verification.max_mails_per_minute,
        "max_mails_per_minute_external": verification.max_mails_per_minute_external,
        "never_mail": senders(&verification.never_mail),
        "max_held_per_address": config.access.max_held_per_address,
        "contact": verification.contact,
    })
}

fn access(config: &Config) -> Value {
    let access = &config.access;
    json!({
        "internal": {
            "use_approved_domains": access.internal.use_approved_domains,
            "approved_domains": domains(&access.internal.approved_domains),
        },
        "external": {
            "allow_portal_only_accounts": access.external.allow_portal_only_accounts,
            "only_allowed_domains": access.external.only_allowed_domains,
            "allowed_domains": domains(&access.external.allowed_domains),
            "confirm_address": config.mail.confirm_address,
        },
        "portal": {
            "account_creation": access.portal.account_creation.as_str(),
            "without_login": access.portal.without_login,
        },
    })
}

fn domains(list: &DomainList) -> Value {
    shortened(texts(list.entries()))
}

/// The entries in alphabetical order, or how many there are and their digest.
fn shortened(mut entries: Vec<String>) -> Value {
    entries.sort_unstable();
    if entries.len() <= MAX_ENTRIES {
        return json!(entries);
    }
    json!({"entries": entries.len(), "digest": version(&entries.join("\n"))})
}

fn senders(list: &SenderList) -> Value {
    let mut entries = texts(&list.addresses);
    entries.extend(texts(list.domains.entries()));
    shortened(entries)
}

fn project(project: &Project) -> Value {
    json!({
        "key": project.key,
        "name": project.name,
        "addresses": project.addresses,
        "access": project.access.as_str(),
        "on_closed": project.on_closed.as_str(),
        "via_lists": project.via_lists,
        "language": project.language.as_ref().map(Language::as_str),
        "allow_automatic_from": senders(&project.allow_automatic_from),
    })
}

fn log(config: &Config) -> Value {
    json!({
        "format": match config.log.format { LogFormat::Json => "json", LogFormat::Text => "text" },
        "level": config.log.level,
        "addresses": match config.log.addresses {
            LogAddresses::Full => "full",
            LogAddresses::Hashed => "hashed",
            LogAddresses::Domain => "domain",
        },
    })
}

fn otlp(otlp: &OtlpConfig) -> Value {
    let headers = otlp.headers.iter().map(|(name, _)| format!("{name}: {SECRET}"));
    json!({
        "endpoint": otlp.endpoint,
        "sample_ratio": otlp.sample_ratio,
        "headers": headers.collect::<Vec<_>>(),
    })
}
