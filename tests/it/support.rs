//! Not a test: what several of them need. A configuration for those that don't read one from a file, with everything at its
//! default and two projects; what is in a folder, for those that look for what must not be there.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use memchr::memmem;
use vestibule::{
    access::{OnClosed, ProjectAccess, SenderList, SiteAccess},
    authn::{AuthenticationMode, RelayTrust},
    config::{
        AuthenticationConfig, BareNewlines, Config, HttpConfig, Keep, LogAddresses, LogConfig, LogFormat,
        MailConfig, Mailbox, OnDrop, Project, Relay, Retention, SmtpConfig, StoreConfig, VerificationConfig,
        VerifyConfig,
    },
    smtp::RouteTable,
    templates::Language,
    types::ProjectKey,
};

/// Our name in tests.
pub(crate) const HOSTNAME: &str = "mx.example";
/// The inboxes of the projects IT and HR.
pub(crate) const INBOXES: [(&str, &str); 2] = [("IT", "it@help.example"), ("HR", "hr@help.example")];

/// A configuration with the contract's defaults, on free ports of the loopback, with the inboxes above and a postmaster.
/// Everybody may connect from the loopback. Change the fields that the test is about.
pub(crate) fn config() -> Config {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        path: PathBuf::from("vestibule.toml"),
        hostname: HOSTNAME.parse().unwrap(),
        smtp: smtp(loopback),
        http: HttpConfig {
            listen: loopback,
            admin_listen: None,
            public_url: "http://127.0.0.1:8025".to_owned(),
            admin_token: None,
            tokens: Vec::new(),
        },
        store: StoreConfig {
            path: PathBuf::from("data"),
            min_free: 0,
            duplicate_window: Duration::from_hours(7 * 24),
            one_request_per_mail: false,
        },
        retention: Retention {
            dropped_mail: Keep::For(Duration::from_hours(7 * 24)),
            ended_holds: Keep::For(Duration::from_hours(7 * 24)),
            requests: Keep::Forever,
            decisions: Keep::For(Duration::from_hours(400 * 24)),
        },
        mail: MailConfig {
            relay: Relay::Directory(PathBuf::from("outbound")),
            from: Mailbox {
                name: Some("Example Help".to_owned()),
                address: "desk@help.example".parse().unwrap(),
            },
            acknowledge: false,
            max_acknowledgements_per_address_per_day: NonZeroU32::MIN,
            max_acknowledgements_per_minute: NonZeroU32::MIN,
            confirm_address: false,
            bounce_domain: None,
            language: Language::english(),
            templates_folder: None,
            templates: Arc::default(),
        },
        verification: verification(),
        authentication: AuthenticationConfig {
            mode: AuthenticationMode::Off,
            relay: RelayTrust::default(),
            verify: VerifyConfig::default(),
        },
        access: Arc::new(SiteAccess { max_held_per_address: 50, ..SiteAccess::default() }),
        projects: INBOXES.iter().map(|(key, address)| project(key, address)).collect(),
        routes: Arc::new(routes()),
        log: LogConfig { format: LogFormat::Json, level: "info".to_owned(), addresses: LogAddresses::Full },
        otlp: None,
        warnings: Vec::new(),
        version: "0123456789abcdef".to_owned(),
    }
}

/// The inboxes above, with details after `+` and a postmaster.
pub(crate) fn routes() -> RouteTable {
    let mut routes = RouteTable::new(Some('+'), true, HOSTNAME.parse().unwrap());
    for (key, address) in INBOXES {
        let key: ProjectKey = key.parse().unwrap();
        assert_eq!(routes.add(&address.parse().unwrap(), &key), None);
    }
    routes
}

fn smtp(listen: SocketAddr) -> SmtpConfig {
    SmtpConfig {
        listen: vec![listen],
        max_message_size: 36 << 20,
        max_recipients: 100,
        max_connections: 2000,
        max_connections_per_peer: 200,
        memory_budget: 256 << 20,
        allow_from: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        tls: None,
        xclient_from: Vec::new(),
        proxy_from: Vec::new(),
        require_tls: false,
        on_drop: OnDrop::Accept,
        bare_newlines: BareNewlines::Refuse,
        postmaster: Some("ops@example.com".parse().unwrap()),
        per_peer_per_minute: None,
        per_envelope_sender_per_hour: None,
    }
}

fn verification() -> VerificationConfig {
    VerificationConfig {
        link_lifetime: Duration::from_hours(7 * 24),
        hold_for: Duration::from_hours(30 * 24),
        resend_after: Duration::from_hours(1),
        max_mails_per_address_per_day: 2,
        max_mails_per_minute: NonZeroU32::new(60).unwrap(),
        max_mails_per_minute_external: NonZeroU32::new(20).unwrap(),
        never_mail: SenderList::default(),
        contact: None,
    }
}

fn project(key: &str, address: &str) -> Project {
    Project {
        key: key.parse().unwrap(),
        name: format!("{key} support"),
        addresses: vec![address.to_owned()],
        access: ProjectAccess::Anyone,
        on_closed: OnClosed::Reopen,
        via_lists: Vec::new(),
        language: None,
        allow_automatic_from: SenderList::default(),
    }
}

/// The folder and everything below it, each folder before what is in it.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(entries(&path)) } else { found.push(path) }
    }
    found
}

/// The files below the folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_file()).collect()
}

/// The files below the folder that hold one of these, whatever its letters' case.
pub(crate) fn files_with(folder: &Path, parts: &[impl AsRef<[u8]>]) -> Vec<String> {
    let parts: Vec<_> = parts.iter().map(|part| part.as_ref().to_ascii_lowercase()).collect();
    let holds_one = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap();
        bytes.make_ascii_lowercase();
        parts.iter().any(|part| memmem::find(&bytes, part).is_some())
    };
    let files = files_below(folder).into_iter().filter(holds_one);
    files.map(|path| path.display().to_string()).collect()
}
