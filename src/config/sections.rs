//! Reads each table of the file into its part of [`Config`](super::Config). Every key of a table is read before the first
//! `?`, so that one mistake hides no other.

use std::{io, num::NonZeroU32, path::Path, sync::Arc};

use super::{
    keys::{PROJECTS, section},
    model::{
        HttpConfig, LogConfig, MailConfig, Relay, RelaySecurity, SmtpConfig, StoreConfig, VerificationConfig,
    },
    names::{self, Inbox, SenderEntry},
    reader::{Placed, Reader, Scope},
    retention::Retention,
    texts, tls, tokens, urls,
    values::{self, Wrong},
    words,
};
use crate::{
    access::{
        DomainEntry, DomainList, External, Internal, OnClosed, Portal, ProjectAccess, SenderList, SiteAccess,
    },
    templates::Language,
    types::{Domain, ProjectKey},
};

/// Smallest `smtp.max_message_size`; less than RFC 5321 asks for is warned about, less than this is a slip.
const MIN_MESSAGE: u64 = 1 << 10;
/// Largest `smtp.max_message_size`; a mail is held in memory as a whole.
const MAX_MESSAGE: u64 = 1 << 30;
/// Largest size elsewhere: 1 PiB; more is a slip.
const MAX_SIZE: u64 = 1 << 50;

/// Reads the file that a key names, relative to the configuration file; of a folder the names in it, one a line.
pub(super) type ReadFile<'r> = dyn Fn(&Path) -> io::Result<String> + 'r;

pub(super) fn scope<'d>(r: &Reader<'d>, name: &str) -> Option<Scope<'d>> {
    section(name).map(|section| r.scope(section))
}

pub(super) fn hostname(r: &mut Reader<'_>) -> Option<Domain> {
    let top = scope(r, "")?;
    r.value(&top, "hostname", names::domain)
}

/// `[smtp]`, and its detail separator.
pub(super) fn smtp(
    r: &mut Reader<'_>,
    folder: &Path,
    read_file: &ReadFile<'_>,
) -> Option<(SmtpConfig, Option<char>)> {
    let at = scope(r, "smtp")?;
    let rate = scope(r, "smtp.rate")?;
    let listen = r.list(&at, "listen", names::socket(2525));
    let max_message_size = r.value(&at, "max_message_size", values::size(MIN_MESSAGE, MAX_MESSAGE));
    let max_recipients = r.value(&at, "max_recipients", values::number(1, 10_000));
    let max_connections = r.value(&at, "max_connections", values::number(1, 1_000_000));
    let max_connections_per_peer = r.value(&at, "max_connections_per_peer", values::number(1, 1_000_000));
    let memory_budget = r.value(&at, "memory_budget", values::size(1, MAX_SIZE));
    let allow_from = r.list(&at, "allow_from", names::network);
    let xclient_from = r.list(&at, "xclient_from", names::network);
    let proxy_from = r.list(&at, "proxy_from", names::network);
    let tls = tls::tls(r, folder, read_file);
    let require_tls = r.value(&at, "require_tls", values::truth);
    let on_drop = r.value(&at, "on_drop", words::on_drop);
    let bare_newlines = r.value(&at, "bare_newlines", words::bare_newlines);
    let detail_separator = r.value(&at, "detail_separator", names::detail_separator);
    let postmaster = r.optional(&at, "postmaster", names::address);
    let per_peer = r.value(&rate, "per_peer_per_minute", values::number(0, u32::MAX));
    let per_sender = r.value(&rate, "per_envelope_sender_per_hour", values::number(0, u32::MAX));
    let smtp = SmtpConfig {
        listen: plain(listen?),
        max_message_size: max_message_size?,
        max_recipients: max_recipients? as usize,
        max_connections: max_connections? as usize,
        max_connections_per_peer: max_connections_per_peer? as usize,
        memory_budget: memory_budget?,
        allow_from: plain(allow_from?),
        xclient_from: plain(xclient_from?),
        proxy_from: plain(proxy_from?),
        tls,
        require_tls: require_tls?,
        on_drop: on_drop?,
        bare_newlines: bare_newlines?,
        postmaster,
        per_peer_per_minute: NonZeroU32::new(per_peer?),
        per_envelope_sender_per_hour: NonZeroU32::new(per_sender?),
    };
    Some((smtp, detail_separator?))
}

pub(super) fn plain<T>(entries: Vec<Placed<T>>) -> Vec<T> {
    entries.into_iter().map(|entry| entry.value).collect()
}

pub(super) fn http(r: &mut Reader<'_>, folder: &Path, read_file: &ReadFile<'_>) -> Option<HttpConfig> {
    let at = scope(r, "http")?;
    let listen = r.value(&at, "listen", names::socket(8025));
    let admin_listen = r.optional(&at, "admin_listen", names::socket(8026));
    let public_url = r.value(&at, "public_url", urls::public_url);
    let (admin_token, tokens) = tokens::tokens(r, &at, folder, read_file);
    Some(HttpConfig { listen: listen?, admin_listen, public_url: public_url?, admin_token, tokens })
}

pub(super) fn store(r: &mut Reader<'_>, folder: &Path) -> Option<StoreConfig> {
    let at = scope(r, "store")?;
    let path = r.value(&at, "path", |value| {
        let path = values::str(value, "\"data\"")?;
        let empty =
            || Wrong::new("an empty path", "name a directory, such as \"data\" or \"/var/lib/vestibule\"");
        if path.is_empty() { Err(empty()) } else { Ok(folder.join(path)) }
    });
    let min_free = r.value(&at, "min_free", values::size(0, MAX_SIZE));
    let duplicate_window = r.value(&at, "duplicate_window", values::duration_or_zero);
    let one_request_per_mail = r.value(&at, "one_request_per_mail", values::truth);
    Some(StoreConfig {
        path: path?,
        min_free: min_free?,
        duplicate_window: duplicate_window?,
        one_request_per_mail: one_request_per_mail?,
    })
}

pub(super) fn retention(r: &mut Reader<'_>) -> Option<Retention> {
    let at = scope(r, "retention")?;
    let dropped_mail = r.value(&at, "dropped_mail", values::keep);
    let ended_holds = r.value(&at, "ended_holds", values::keep);
    let requests = r.value(&at, "requests", values::keep_a_day);
    let decisions = r.value(&at, "decisions", values::keep_a_day);
    let retention = Retention {
        dropped_mail: dropped_mail?,
        ended_holds: ended_holds?,
        requests: requests?,
        decisions: decisions?,
    };
    for (name, kept) in [("dropped_mail", retention.dropped_mail), ("ended_holds", retention.ended_holds)] {
        if kept.outlasts(retention.decisions) {
            let wrong = Wrong::new(
                format!(
                    "shorter than retention.{name}; a mail's bytes can't be found without the record of its decision"
                ),
                format!("write at least what retention.{name} says"),
            );
            r.mistake(&at, "decisions", wrong);
        }
    }
    Some(retention)
}

pub(super) fn mail(r: &mut Reader<'_>, folder: &Path, read_file: &ReadFile<'_>) -> Option<MailConfig> {
    let at = scope(r, "mail")?;
    let mut relay = r.value(&at, "relay", urls::relay(folder));
    let authorities = tls::authorities(r, &at, folder, read_file);
    match &mut relay {
        Some(Relay::Smtp(relay)) if relay.security != RelaySecurity::None => relay.authorities = authorities,
        Some(_) if authorities.is_some() => {
            r.warnings.push("mail.relay_ca has no effect: mail.relay is not spoken to within TLS".to_owned());
        }
        _ => {}
    }
    let from = r.value(&at, "from", names::mailbox);
    let acknowledge = r.value(&at, "acknowledge", values::truth);
    let per_day = r.value(&at, "max_acknowledgements_per_address_per_day", values::number(1, 10_000));
    let per_minute = r.value(&at, "max_acknowledgements_per_minute", values::number(1, 100_000));
    let bounce_domain = r.optional(&at, "bounce_domain", names::domain);
    let language = r.value(&at, "language", names::language);
    let (templates_folder, templates) = texts::templates(r, &at, folder, read_file);
    let confirm_address =
        scope(r, "access.external").and_then(|external| r.value(&external, "confirm_address", values::truth));
    Some(MailConfig {
        relay: relay?,
        from: from?,
        acknowledge: acknowledge?,
        max_acknowledgements_per_address_per_day: NonZeroU32::new(per_day?)?,
        max_acknowledgements_per_minute: NonZeroU32::new(per_minute?)?,
        confirm_address: confirm_address?,
        bounce_domain,
        language: language?,
        templates_folder,
        templates: Arc::new(templates),
    })
}

/// `[verification]`, and `max_held_per_address`, which is kept with the access settings.
pub(super) fn verification(r: &mut Reader<'_>) -> Option<(VerificationConfig, usize)> {
    let at = scope(r, "verification")?;
    let per_minute = values::number(1, 100_000);
    let link_lifetime = r.value(&at, "link_lifetime", values::duration);
    let hold_for = r.value(&at, "hold_for", values::duration);
    let resend_after = r.value(&at, "resend_after", values::duration_or_zero);
    let per_day = r.value(&at, "max_mails_per_address_per_day", values::number(1, 64));
    let internal = r.value(&at, "max_mails_per_minute", &per_minute);
    let external = r.value(&at, "max_mails_per_minute_external", &per_minute);
    let never_mail = senders(r, &at, "never_mail");
    let max_held = r.value(&at, "max_held_per_address", values::number(1, 128));
    let contact = r.optional(&at, "contact", values::line);
    let verification = VerificationConfig {
        link_lifetime: link_lifetime?,
        hold_for: hold_for?,
        resend_after: resend_after?,
        max_mails_per_address_per_day: per_day? as usize,
        max_mails_per_minute: NonZeroU32::new(internal?)?,
        max_mails_per_minute_external: NonZeroU32::new(external?)?,
        never_mail: never_mail?,
        contact,
    };
    Some((verification, max_held? as usize))
}

fn senders(r: &mut Reader<'_>, at: &Scope<'_>, name: &str) -> Option<SenderList> {
    let (mut addresses, mut domains) = (Vec::new(), Vec::new());
    for entry in plain(r.list(at, name, names::sender_entry)?) {
        match entry {
            SenderEntry::Address(address) => addresses.push(address),
            SenderEntry::Domain(domain) => domains.push(domain),
        }
    }
    Some(SenderList { addresses, domains: domains.into_iter().collect() })
}

/// `[access]`; `max_held` is `verification.max_held_per_address`.
pub(super) fn access(r: &mut Reader<'_>, max_held: Option<usize>) -> Option<SiteAccess> {
    let (internal, external, portal) =
        (scope(r, "access.internal")?, scope(r, "access.external")?, scope(r, "access.portal")?);
    let approve = r.value(&internal, "use_approved_domains", values::truth);
    let approved = domains(r, &internal, "approved_domains");
    let portal_only = r.value(&external, "allow_portal_only_accounts", values::truth);
    let restrict = r.value(&external, "only_allowed_domains", values::truth);
    let allowed = domains(r, &external, "allowed_domains");
    let creation = r.value(&portal, "account_creation", words::account_creation);
    let without_login = r.value(&portal, "without_login", values::truth);
    Some(SiteAccess {
        internal: Internal { use_approved_domains: approve?, approved_domains: approved? },
        external: External {
            allow_portal_only_accounts: portal_only?,
            only_allowed_domains: restrict?,
            allowed_domains: allowed?,
        },
        portal: Portal { account_creation: creation?, without_login: without_login? },
        max_held_per_address: max_held?,
    })
}

fn domains(r: &mut Reader<'_>, at: &Scope<'_>, name: &str) -> Option<DomainList> {
    let entries: Vec<Placed<DomainEntry>> = r.list(at, name, names::domain_entry)?;
    Some(entries.into_iter().map(|entry| entry.value).collect())
}

/// One project as it is written, each part with its place; what is wrong is absent.
#[derive(Debug)]
pub(super) struct WrittenProject<'d> {
    pub(super) at: Scope<'d>,
    pub(super) key: Option<ProjectKey>,
    pub(super) name: Option<String>,
    pub(super) addresses: Option<Vec<Placed<(String, Inbox)>>>,
    pub(super) access: Option<ProjectAccess>,
    pub(super) on_closed: Option<OnClosed>,
    pub(super) via_lists: Option<Vec<String>>,
    pub(super) language: Option<Language>,
    pub(super) allow_automatic_from: Option<SenderList>,
}

/// All `[[projects]]`.
pub(super) fn projects<'d>(r: &mut Reader<'d>) -> Vec<WrittenProject<'d>> {
    let Some(section) = section(PROJECTS) else { return Vec::new() };
    let scopes = r.tables(section);
    scopes.into_iter().map(|at| project(r, at)).collect()
}

fn project<'d>(r: &mut Reader<'d>, at: Scope<'d>) -> WrittenProject<'d> {
    let key = r.value(&at, "key", names::project_key);
    let name = r.optional(&at, "name", values::line).or_else(|| key.as_ref().map(ToString::to_string));
    let addresses = r.list(&at, "addresses", names::inbox);
    let access = r.value(&at, "access", words::project_access);
    let on_closed = r.value(&at, "on_closed", words::on_closed);
    let via_lists = r.list(&at, "via_lists", names::list_id).map(plain);
    let language = r.optional(&at, "language", names::language);
    let allow_automatic_from = senders(r, &at, "allow_automatic_from");
    WrittenProject { at, key, name, addresses, access, on_closed, via_lists, language, allow_automatic_from }
}

pub(super) fn log(r: &mut Reader<'_>) -> Option<LogConfig> {
    let at = scope(r, "log")?;
    let format = r.value(&at, "format", words::log_format);
    let level = r.value(&at, "level", words::log_level);
    let addresses = r.value(&at, "addresses", words::log_addresses);
    Some(LogConfig { format: format?, level: level?, addresses: addresses? })
}
