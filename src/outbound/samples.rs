//! What the tests of this module send.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    access::{OnClosed, ProjectAccess, SenderList, SiteAccess},
    authn::{AuthenticationMode, RelayTrust},
    config::{
        AuthenticationConfig, BareNewlines, Config, HttpConfig, Keep, LogAddresses, LogConfig, LogFormat,
        MailConfig, Mailbox, OnDrop, Project, Relay, Retention, SmtpConfig, StoreConfig, VerificationConfig,
        VerifyConfig,
    },
    smtp::RouteTable,
    store::{Delivery, DeliveryKind, Job, JobKind},
    templates::Language,
    types::{DeliveryId, EmailAddress, ProjectKey, Time, TokenSeal, VerificationId, VerificationToken},
};

/// Our fields on a mail that is handed on.
pub(super) const TRACE: &str =
    "Received: from a by help.example.com; x\r\nAuthentication-Results: help.example.com; none\r\n";

pub(super) fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// 2026-11-22T08:00:00Z, when the mail that is answered came.
pub(super) fn received() -> Time {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

/// A second later, when the answer went into the outbox.
pub(super) fn enqueued() -> Time {
    received().plus(Duration::from_secs(1))
}

pub(super) fn token() -> VerificationToken {
    VerificationToken::new(std::array::from_fn(|i| u8::try_from(i).unwrap_or(0).wrapping_mul(37)))
}

pub(super) fn seal() -> TokenSeal {
    TokenSeal::new([9; 32])
}

pub(super) fn config(relay: Relay) -> Config {
    let key: ProjectKey = "IT".parse().unwrap();
    Config {
        path: PathBuf::from("vestibule.toml"),
        hostname: "help.example.com".parse().unwrap(),
        smtp: smtp(),
        http: HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin_listen: None,
            public_url: "https://help.example.com".to_owned(),
            admin_token: None,
            tokens: Vec::new(),
        },
        retention: Retention {
            dropped_mail: Keep::For(Duration::ZERO),
            ended_holds: Keep::For(Duration::ZERO),
            requests: Keep::Forever,
            decisions: Keep::Forever,
        },
        store: StoreConfig {
            path: PathBuf::from("data"),
            min_free: 0,
            duplicate_window: Duration::from_hours(168),
            one_request_per_mail: false,
        },
        mail: MailConfig {
            relay,
            from: Mailbox {
                name: Some("Example Help".to_owned()),
                address: address("help@help.example.com"),
            },
            acknowledge: false,
            max_acknowledgements_per_address_per_day: NonZeroU32::new(20).unwrap(),
            max_acknowledgements_per_minute: NonZeroU32::new(60).unwrap(),
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
        access: Arc::new(SiteAccess::default()),
        projects: vec![Project {
            key,
            name: "IT support".to_owned(),
            addresses: vec!["it@help.example.com".to_owned()],
            access: ProjectAccess::Anyone,
            on_closed: OnClosed::Reopen,
            via_lists: Vec::new(),
            language: None,
            allow_automatic_from: SenderList::default(),
        }],
        routes: Arc::new(RouteTable::new(Some('+'), false, "help.example.com".parse().unwrap())),
        log: LogConfig { format: LogFormat::Json, level: "info".to_owned(), addresses: LogAddresses::Full },
        otlp: None,
        warnings: Vec::new(),
        version: "0".to_owned(),
    }
}

fn smtp() -> SmtpConfig {
    SmtpConfig {
        listen: Vec::new(),
        max_message_size: 1 << 20,
        max_recipients: 100,
        max_connections: 10,
        max_connections_per_peer: 10,
        memory_budget: 1 << 20,
        allow_from: Vec::new(),
        tls: None,
        xclient_from: Vec::new(),
        proxy_from: Vec::new(),
        require_tls: false,
        on_drop: OnDrop::Accept,
        bare_newlines: BareNewlines::Refuse,
        postmaster: None,
        per_peer_per_minute: None,
        per_envelope_sender_per_hour: None,
    }
}

fn verification() -> VerificationConfig {
    VerificationConfig {
        link_lifetime: Duration::from_hours(168),
        hold_for: Duration::from_hours(720),
        resend_after: Duration::from_hours(1),
        max_mails_per_address_per_day: 2,
        max_mails_per_minute: NonZeroU32::MIN,
        max_mails_per_minute_external: NonZeroU32::MIN,
        never_mail: SenderList::default(),
        contact: Some("Service desk, 4711".to_owned()),
    }
}

pub(super) fn verification_delivery() -> Delivery {
    Delivery {
        id: DeliveryId::new(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0001)),
        to: address("Ada.Lovelace@example.com"),
        not_before: enqueued(),
        lane: None,
        kind: DeliveryKind::Verification {
            verification: VerificationId::new(Uuid::from_u128(5)),
            token: token().digest(),
            sealed: seal().seal(&token()),
            expires_at: received().plus(Duration::from_hours(168)),
            project: "IT".parse().unwrap(),
            received_at: received(),
            in_reply_to: Some("CAB+x=1@mail.example.com".to_owned()),
        },
    }
}

pub(super) fn job(delivery: Delivery) -> Job {
    Job {
        id: delivery.id.uuid(),
        due_at: enqueued(),
        enqueued_at: enqueued(),
        attempts: 0,
        last_error: None,
        kind: JobKind::Deliver(delivery),
    }
}
