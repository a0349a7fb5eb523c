//! What is valid but probably not meant (access-rules: *Addresses and domains*). Each text begins with the key.

use super::{
    authentication,
    model::{Config, Relay, RelaySecurity},
    tokens::ApiRole,
    values::in_units,
};
use crate::{
    access::{AccountCreation, DomainEntry, DomainList, ProjectAccess},
    authn::is_public_suffix,
    types::Domain,
};

/// Every server takes mails of this many bytes (RFC 5321 §4.5.3.1.7).
const SMALLEST_LIMIT: u64 = 64 << 10;

/// Most entries that a warning names one by one.
const MAX_NAMED: usize = 5;

/// Domains under which anybody can have an address.
const PUBLIC_DOMAINS: &[&str] = &[
    "126.com",
    "163.com",
    "aim.com",
    "aol.com",
    "att.net",
    "bigpond.com",
    "bk.ru",
    "bluewin.ch",
    "bol.com.br",
    "btinternet.com",
    "comcast.net",
    "cox.net",
    "duck.com",
    "email.com",
    "fastmail.com",
    "fastmail.fm",
    "foxmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.fr",
    "hushmail.com",
    "icloud.com",
    "inbox.ru",
    "interia.pl",
    "laposte.net",
    "libero.it",
    "list.ru",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "rocketmail.com",
    "sbcglobal.net",
    "seznam.cz",
    "sina.com",
    "t-online.de",
    "tutanota.com",
    "uol.com.br",
    "verizon.net",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yahoo.it",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// All warnings about a valid configuration.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut out = Vec::new();
    authentication::warnings(config, &mut out);
    smtp(config, &mut out);
    sizes(config, &mut out);
    http(config, &mut out);
    mail(config, &mut out);
    switches(config, &mut out);
    lists(config, &mut out);
    projects(config, &mut out);
    out
}

fn smtp(config: &Config, out: &mut Vec<String>) {
    if config.smtp.allow_from.is_empty() {
        out.push(
            "smtp.allow_from is empty: every connection gets 421; name the networks of your relays"
                .to_owned(),
        );
    }
    for (key, networks) in
        [("xclient_from", &config.smtp.xclient_from), ("proxy_from", &config.smtp.proxy_from)]
    {
        for network in networks.iter().filter(|network| network.prefix_len() == 0) {
            out.push(format!(
                "smtp.{key} holds {network}: every host that can connect may say that it is another; name your own hosts"
            ));
        }
    }
    for network in config.smtp.allow_from.iter().filter(|network| network.prefix_len() == 0) {
        out.push(format!(
            "smtp.allow_from holds {network}: every host that can connect may send; name the networks of your relays"
        ));
    }
    if config.smtp.postmaster.is_none() {
        out.push(
            "smtp.postmaster is not set: mail for postmaster@ and abuse@ of your domains is answered 550, which RFC 5321 \
             §4.5.1 does not allow; name a mailbox that somebody reads"
                .to_owned(),
        );
    }
}

fn sizes(config: &Config, out: &mut Vec<String>) {
    let (largest, budget) = (config.smtp.max_message_size, config.smtp.memory_budget);
    if largest < SMALLEST_LIMIT {
        out.push(format!(
            "smtp.max_message_size is {}: RFC 5321 §4.5.3.1.7 asks every server to take mails of 64 KiB",
            in_units(largest)
        ));
    }
    if budget < largest {
        out.push(format!(
            "smtp.memory_budget ({}) is smaller than smtp.max_message_size ({}): a mail that is larger than the budget is \
             answered 452 at every try",
            in_units(budget),
            in_units(largest)
        ));
    }
    if config.store.min_free == 0 {
        out.push("store.min_free = 0: mail is taken until the disk is full".to_owned());
    }
}

fn http(config: &Config, out: &mut Vec<String>) {
    let http = &config.http;
    if http.tokens.is_empty() {
        out.push(
            "http.admin_token and http.admin_token_file are not set: the API answers 403, and so do the commands that ask it"
                .to_owned(),
        );
    } else if http.tokens.iter().all(|token| token.role != ApiRole::Admin) {
        out.push(
            "http.tokens: none has role = \"admin\", and http.admin_token is not set: nobody can release or discard what waits, or \
             change an account"
                .to_owned(),
        );
    }
}

fn mail(config: &Config, out: &mut Vec<String>) {
    if let Relay::Smtp(relay) = &config.mail.relay {
        let ip = relay.host.parse::<std::net::IpAddr>();
        let local = relay.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        if relay.credentials.is_some() && relay.security == RelaySecurity::None && !local {
            out.push(format!(
                "mail.relay sends a password to {} in the clear; use smtps:// or smtp+starttls://",
                relay.host
            ));
        }
    }
    if let Some(domain) = &config.mail.bounce_domain {
        out.push(format!(
            "mail.bounce_domain: bounces are seen only when mail for {domain} comes to vestibule: its MX record, and the relay's transport for it"
        ));
    }
    let verification = &config.verification;
    if verification.link_lifetime > verification.hold_for {
        out.push(
            "verification.link_lifetime is longer than verification.hold_for: a link can outlive the mail it is for".to_owned(),
        );
    }
}

fn switches(config: &Config, out: &mut Vec<String>) {
    let (internal, external, portal) =
        (&config.access.internal, &config.access.external, &config.access.portal);
    let mut warn = |when: bool, text: &str| {
        if when {
            out.push(text.to_owned());
        }
    };
    warn(
        internal.use_approved_domains && internal.approved_domains.is_empty(),
        "access.internal.use_approved_domains is on and access.internal.approved_domains is empty: nobody gets an internal \
         account",
    );
    warn(
        !internal.use_approved_domains && !internal.approved_domains.is_empty(),
        "access.internal.approved_domains has no effect: access.internal.use_approved_domains is off",
    );
    warn(
        external.only_allowed_domains && external.allowed_domains.is_empty(),
        "access.external.only_allowed_domains is on and access.external.allowed_domains is empty: nobody gets a portal-only \
         account",
    );
    warn(
        !external.only_allowed_domains && !external.allowed_domains.is_empty(),
        "access.external.allowed_domains has no effect: access.external.only_allowed_domains is off",
    );
    warn(
        !external.allow_portal_only_accounts
            && (external.only_allowed_domains || !external.allowed_domains.is_empty()),
        "access.external.allow_portal_only_accounts is off: only_allowed_domains and allowed_domains have no effect",
    );
    let any =
        internal.use_approved_domains || external.allow_portal_only_accounts || external.only_allowed_domains;
    warn(
        any && portal.account_creation == AccountCreation::Deny,
        "access.portal.account_creation = \"deny\": no account is created by mail, so access.internal and access.external have \
         no effect",
    );
    warn(portal.without_login, "access.portal.without_login has no effect on mail");
}

fn lists(config: &Config, out: &mut Vec<String>) {
    let approved = &config.access.internal.approved_domains;
    let allowed = &config.access.external.allowed_domains;
    let public = PUBLIC_DOMAINS.iter().filter_map(|name| name.parse::<Domain>().ok());
    let public: Vec<String> =
        public.filter(|domain| approved.contains(domain)).map(|domain| domain.to_string()).collect();
    if !public.is_empty() {
        out.push(format!(
            "access.internal.approved_domains holds public mail domains, where anybody can have an address: {}",
            named(&public)
        ));
    }
    for (key, list) in [("internal.approved_domains", approved), ("external.allowed_domains", allowed)] {
        let shared = shared(list);
        if !shared.is_empty() {
            out.push(format!(
                "access.{key} holds public suffixes, below which strangers register names or have hosts of their own: {}",
                named(&shared)
            ));
        }
    }
    let both: Vec<String> = common(approved, allowed);
    if !both.is_empty() {
        out.push(format!(
            "access.external.allowed_domains and access.internal.approved_domains both cover {}; the approved list takes \
             precedence while use_approved_domains is on",
            named(&both)
        ));
    }
}

/// The entries that are public suffixes, or all below one, in alphabetical order.
fn shared(list: &DomainList) -> Vec<String> {
    let public = |entry: &DomainEntry| match entry {
        DomainEntry::Exactly(domain) | DomainEntry::Below(domain) => is_public_suffix(domain),
    };
    let mut shared: Vec<String> = list.entries().filter(public).map(|entry| entry.to_string()).collect();
    shared.sort_unstable();
    shared
}

/// The entries of either list that the other list covers, in alphabetical order.
fn common(a: &DomainList, b: &DomainList) -> Vec<String> {
    let covered = |entry: &DomainEntry, list: &DomainList| match entry {
        DomainEntry::Exactly(domain) => list.contains(domain),
        DomainEntry::Below(_) => list.has_entry(entry),
    };
    let of_a = a.entries().filter(|entry| covered(entry, b));
    let of_b = b.entries().filter(|entry| covered(entry, a));
    let mut both: Vec<String> = of_a.chain(of_b).map(|entry| entry.to_string()).collect();
    both.sort_unstable();
    both.dedup();
    both
}

fn named(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMED)].join(", ");
    let more = names.len().saturating_sub(MAX_NAMED);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn projects(config: &Config, out: &mut Vec<String>) {
    if config.projects.iter().all(|project| project.access == ProjectAccess::Added) {
        out.push(
            "projects: every access is \"added\", so only customers whom an agent or administrator added get through; mail of \
             all others is dropped"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_lists_cover_is_found() {
        let list =
            |entries: &[&str]| entries.iter().map(|entry| entry.parse::<DomainEntry>().unwrap()).collect();
        let approved: DomainList = list(&["a.example", "*.b.example", "*.c.example"]);
        let allowed: DomainList =
            list(&["A.example", "x.b.example", "*.c.example", "b.example", "d.example"]);
        let expected = ["*.c.example", "a.example", "x.b.example"];
        assert_eq!(common(&approved, &allowed), expected);
        assert_eq!(common(&allowed, &approved), expected);
        assert!(common(&approved, &DomainList::default()).is_empty());
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(named(&names), "0, 1, 2, 3, 4 and 2 more");
        assert_eq!(named(&names[..2]), "0, 1");
    }

    #[test]
    fn public_domains_are_domains_and_sorted() {
        assert!(PUBLIC_DOMAINS.is_sorted());
        for name in PUBLIC_DOMAINS {
            assert_eq!(name.parse::<Domain>().unwrap().as_str(), *name);
        }
    }
}
