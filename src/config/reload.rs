//! What a reload puts in force of a changed file, and what waits for the next start.

use super::{effective, keys::SECTIONS, model::Config};

impl Config {
    /// These settings, as a daemon that runs under `running` can put them in force: what only a start reads (sockets, the data
    /// directory) keeps its running value. With it the dotted names of those keys whose change has to wait.
    pub fn for_reload(mut self, running: &Self) -> (Self, Vec<String>) {
        let mut waiting = Vec::new();
        for section in SECTIONS {
            for key in section.keys {
                if key.at_start.is_some_and(|keep| keep(&mut self, running)) {
                    waiting.push(section.path(key));
                }
            }
        }
        if !waiting.is_empty() {
            self.version = effective::version(&self.effective());
        }
        (self, waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, io, path::Path, sync::LazyLock};

    use super::*;
    use crate::config::{
        self,
        keys::{Section, Shown, TOKENS, is_list},
    };

    /// Another value for every key: a key that is not here fails the test.
    const CHANGES: &[(&str, &str)] = &[
        ("hostname", "\"other.example.com\""),
        ("smtp.listen", "[\"127.0.0.1:2526\"]"),
        ("smtp.max_message_size", "\"1 MiB\""),
        ("smtp.max_recipients", "7"),
        ("smtp.max_connections", "7"),
        ("smtp.max_connections_per_peer", "7"),
        ("smtp.memory_budget", "\"1 GiB\""),
        ("smtp.allow_from", "[\"192.0.2.0/24\"]"),
        ("smtp.xclient_from", "[\"127.0.0.1\"]"),
        ("smtp.proxy_from", "[\"127.0.0.1\"]"),
        ("smtp.require_tls", "true"),
        ("smtp.on_drop", "\"reject\""),
        ("smtp.bare_newlines", "\"normalize\""),
        ("smtp.detail_separator", "\"-\""),
        ("smtp.postmaster", "\"ops@example.com\""),
        ("smtp.rate.per_peer_per_minute", "7"),
        ("smtp.rate.per_envelope_sender_per_hour", "7"),
        ("smtp.tls.certificate", "\"other.pem\""),
        ("smtp.tls.key", "\"same-key.pem\""),
        ("http.listen", "\"127.0.0.1:8035\""),
        ("http.admin_listen", "\"127.0.0.1:8036\""),
        ("http.public_url", "\"https://other.example.com\""),
        ("http.admin_token", "\"another-token-of-some-length\""),
        ("http.admin_token_file", "\"token\""),
        ("http.tokens.name", "\"bert\""),
        ("http.tokens.role", "\"admin\""),
        ("http.tokens.token_sha256", "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\""),
        ("http.tokens.token_file", "\"token\""),
        ("http.tokens.token", "\"another-token-of-some-length\""),
        ("store.path", "\"elsewhere\""),
        ("store.min_free", "7"),
        ("store.duplicate_window", "\"1d\""),
        ("store.one_request_per_mail", "true"),
        ("retention.dropped_mail", "\"1d\""),
        ("retention.ended_holds", "\"1d\""),
        ("retention.requests", "\"10d\""),
        ("retention.decisions", "\"100d\""),
        ("mail.relay", "\"smtp://127.0.0.1:26\""),
        ("mail.relay_ca", "\"certificate.pem\""),
        ("mail.from", "\"Other <other@example.com>\""),
        ("mail.acknowledge", "true"),
        ("mail.max_acknowledgements_per_address_per_day", "7"),
        ("mail.max_acknowledgements_per_minute", "7"),
        ("mail.bounce_domain", "\"bounce.help.example.com\""),
        ("mail.language", "\"de\""),
        ("mail.templates", "\"templates\""),
        ("verification.link_lifetime", "\"1d\""),
        ("verification.hold_for", "\"10d\""),
        ("verification.resend_after", "\"2h\""),
        ("verification.max_mails_per_address_per_day", "7"),
        ("verification.max_mails_per_minute", "7"),
        ("verification.max_mails_per_minute_external", "7"),
        ("verification.never_mail", "[\"ceo@example.com\"]"),
        ("verification.max_held_per_address", "7"),
        ("verification.contact", "\"4711\""),
        ("authentication.mode", "\"verify\""),
        ("authentication.results_from", "[\"192.0.2.1\"]"),
        ("authentication.authserv_ids", "[\"mx2.example.com\"]"),
        ("authentication.results_format", "\"exchange-online\""),
        ("authentication.results_below_received", "true"),
        ("authentication.internal_relays", "[\"192.0.2.2\"]"),
        ("authentication.trusted_arc_sealers", "[\"lists.example\"]"),
        ("authentication.strict_alignment", "[\"example.com\"]"),
        ("authentication.resolver", "\"127.0.0.1:54\""),
        ("authentication.retry_window", "\"2h\""),
        ("access.internal.use_approved_domains", "true"),
        ("access.internal.approved_domains", "[\"example.com\"]"),
        ("access.external.allow_portal_only_accounts", "true"),
        ("access.external.only_allowed_domains", "true"),
        ("access.external.allowed_domains", "[\"partner.example\"]"),
        ("access.external.confirm_address", "true"),
        ("access.portal.account_creation", "\"deny\""),
        ("access.portal.without_login", "true"),
        ("projects.key", "\"HR\""),
        ("projects.name", "\"Other\""),
        ("projects.addresses", "[\"other@help.example.com\"]"),
        ("projects.access", "\"anyone\""),
        ("projects.on_closed", "\"drop\""),
        ("projects.via_lists", "[\"it.lists.example\"]"),
        ("projects.language", "\"de\""),
        ("projects.allow_automatic_from", "[\"*.monitoring.example\"]"),
        ("log.format", "\"text\""),
        ("log.level", "\"debug\""),
        ("log.addresses", "\"domain\""),
        ("otlp.endpoint", "\"http://127.0.0.1:4318\""),
        ("otlp.sample_ratio", "0.5"),
        ("otlp.headers", "[\"x: y\"]"),
    ];

    /// What else has to stand in the file, before the change and after it.
    const WITH: &[(&str, &[(&str, &str)])] = &[
        ("smtp.require_tls", TLS),
        ("smtp.tls.certificate", TLS),
        ("smtp.tls.key", TLS),
        ("smtp.on_drop", RELAY),
        ("http.tokens.name", TOKEN),
        ("http.tokens.role", TOKEN),
        ("http.tokens.token_sha256", TOKEN),
        ("http.tokens.token_file", TOKEN),
        ("http.tokens.token", TOKEN),
        ("mail.relay_ca", &[("mail.relay", "\"smtps://relay.example.com\"")]),
        ("authentication.results_from", RELAY),
        ("authentication.authserv_ids", RELAY),
        ("authentication.results_format", RELAY),
        ("authentication.results_below_received", RELAY),
        ("authentication.internal_relays", RELAY),
        ("authentication.trusted_arc_sealers", RELAY),
        ("authentication.strict_alignment", RELAY),
        ("authentication.resolver", &[("authentication.mode", "\"verify\"")]),
        ("authentication.retry_window", &[("authentication.mode", "\"verify\"")]),
        ("otlp.sample_ratio", COLLECTOR),
        ("otlp.headers", COLLECTOR),
    ];
    const TLS: &[(&str, &str)] =
        &[("smtp.tls.certificate", "\"certificate.pem\""), ("smtp.tls.key", "\"key.pem\"")];
    const RELAY: &[(&str, &str)] = &[
        ("authentication.mode", "\"relay\""),
        ("authentication.results_from", "[\"127.0.0.1\"]"),
        ("authentication.authserv_ids", "[\"mx.example.com\"]"),
    ];
    const TOKEN: &[(&str, &str)] = &[
        ("http.tokens.name", "\"anna\""),
        ("http.tokens.role", "\"read\""),
        ("http.tokens.token", "\"the-token-of-a-person\""),
    ];
    const COLLECTOR: &[(&str, &str)] = &[("otlp.endpoint", "\"http://127.0.0.1:4319\"")];

    /// What else has to change with it; nothing: it is not written any more.
    const ALSO: &[(&str, &[(&str, &str)])] = &[
        ("authentication.results_format", &[("authentication.authserv_ids", "")]),
        ("http.tokens.token_sha256", &[("http.tokens.token", "")]),
        ("http.tokens.token_file", &[("http.tokens.token", "")]),
    ];

    static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(["help.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    });

    fn parse(written: &[(&str, &str)]) -> Config {
        let read_file = |file: &Path| match file.to_str() {
            Some("token") => Ok("a-token-of-some-length".to_owned()),
            Some("certificate.pem" | "other.pem") => Ok(PAIR.0.clone()),
            Some("key.pem" | "same-key.pem") => Ok(PAIR.1.clone()),
            Some("templates") => Ok(String::new()),
            _ => Err(io::Error::other("no such file")),
        };
        let parsed = config::parse(&file(written), Path::new("vestibule.toml"), &read_file);
        parsed.unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Whether they mean something else, secrets included.
    fn differ(a: &Config, b: &Config) -> bool {
        a.effective() != b.effective() || a.http.tokens != b.http.tokens || a.otlp != b.otlp
    }

    fn beside<'k>(
        rows: &[(&str, &'k [(&'k str, &'k str)])],
        key: &str,
    ) -> impl Iterator<Item = (&'k str, &'k str)> {
        let found = rows.iter().find(|(name, _)| *name == key);
        found.into_iter().flat_map(|(_, written)| written.iter().copied())
    }

    /// Every key, changed: it is in force after a reload, or named as one that waits, and then all is as it was.
    #[test]
    fn a_changed_key_takes_effect_or_is_named() {
        let mut changed = BTreeSet::new();
        for (key, value) in CHANGES {
            changed.insert((*key).to_owned());
            if key.starts_with("otlp.") && !cfg!(feature = "otlp") {
                continue;
            }
            let with: Vec<_> = beside(WITH, key).collect();
            let after: Vec<_> =
                with.iter().copied().chain([(*key, *value)]).chain(beside(ALSO, key)).collect();
            let (before, after) = (parse(&with), parse(&after));
            assert!(differ(&before, &after), "{key} = {value} changes nothing");
            let (in_force, waiting) = after.clone().for_reload(&before);
            let expected: &[&str] = if waits(key) { &[key] } else { &[] };
            assert_eq!(waiting, expected);
            let (same, other) = if waits(key) { (&before, &after) } else { (&after, &before) };
            assert!(!differ(&in_force, same) && differ(&in_force, other), "{key}");
            assert_eq!(in_force.version, same.version, "{key}");
        }
        let keys = |section: &'static Section| section.keys.iter().map(|key| section.path(key));
        assert_eq!(changed, SECTIONS.iter().flat_map(keys).collect());
    }

    fn waits(key: &str) -> bool {
        ["smtp.listen", "http.listen", "http.admin_listen", "store.path"].contains(&key)
    }

    /// The example's required keys, and these; the last one written of a key counts.
    fn file(written: &[(&str, &str)]) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            let _ = match section.name {
                "" => Ok(()),
                TOKENS if !written.iter().any(|(key, _)| key.starts_with(TOKENS)) => Ok(()),
                name if is_list(name) => writeln!(text, "[[{name}]]"),
                name => writeln!(text, "[{name}]"),
            };
            for key in section.keys {
                let dotted = section.path(key);
                let written = written.iter().rev().find(|(name, _)| *name == dotted).map(|(_, value)| *value);
                let example = match key.shown {
                    Shown::Required(value) | Shown::Suggested(value) => Some(value),
                    Shown::Default(_) | Shown::Unset(_) => None,
                };
                if let Some(value) = written.or(example).filter(|value| !value.is_empty()) {
                    let _ = writeln!(text, "{} = {value}", key.name);
                }
            }
        }
        text
    }
}
