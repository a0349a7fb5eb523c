//! What a whole daemon shows only one by one: `on_drop = "reject"` for every reason, senders that are not proven, mails that
//! are being released.

use std::{io, net::Ipv4Addr, path::Path, time::Duration};

use super::{
    plan::{Intention, plan},
    *,
};
use crate::{
    access::Reason,
    authn::Evidence,
    config::{self, LogAddresses},
    ops::{Clock, LogBuffer, json_dispatch},
    smtp::{Protocol, Recipient, Route},
    store::{Effect, Kept, SenderView, Thread, memory::Memory},
    types::{AccountKind, DeliveryId, HeldId, MailId, SessionId, Standing, Time, VerificationId},
    verify,
};

const RAW: &str = "From: <ada@approved.example>\r\nMessage-ID: <a@approved.example>\r\n\r\nHello\r\n";
const SITE: &str = r#"
hostname = "help.example.com"
[smtp]
postmaster = "ops@example.com"
[http]
public_url = "http://127.0.0.1:8025"
[mail]
relay = "file:outbound"
from = "help@help.example.com"
[verification]
max_held_per_address = 3
[authentication]
mode = "off"
[access.internal]
use_approved_domains = true
approved_domains = ["approved.example"]
[[projects]]
key = "IT"
name = "IT"
addresses = ["it@help.example.com"]
access = "anyone"
[[projects]]
key = "HR"
name = "HR"
addresses = ["hr@help.example.com"]
access = "anyone"
"#;

fn site() -> Config {
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    config::parse(SITE, Path::new("/etc/vestibule.toml"), &no_file)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn envelope(recipients: &[&str], reverse_path: &str, config: &Config) -> Envelope {
    let recipient = |text: &&str| {
        let route = config.routes.route(&text.parse().unwrap()).unwrap();
        Recipient { address: (*text).to_owned(), route }
    };
    Envelope {
        mail_id: MailId::new(uuid::Uuid::from_u128(1)),
        session: SessionId::new(uuid::Uuid::from_u128(2)),
        peer: Ipv4Addr::LOCALHOST.into(),
        relay: Ipv4Addr::LOCALHOST.into(),
        helo: "relay.example".to_owned(),
        protocol: Protocol::Esmtp,
        reverse_path: reverse_path.to_owned(),
        recipients: recipients.iter().map(recipient).collect(),
        received_at: Time::from_millis(0),
        took: Duration::ZERO,
    }
}

/// One try of `on_drop`: what the relay is told of these decisions.
struct Told<'a> {
    on_drop: OnDrop,
    reverse_path: &'a str,
    standing: Standing,
    forwarded: bool,
}

impl Told<'_> {
    fn of(&self, reasons: &[Reason]) -> Delivery {
        let mut config = site();
        config.smtp.on_drop = self.on_drop;
        let (raw, message) = (Bytes::from(RAW), mail::read(RAW.as_bytes()));
        let envelope = envelope(&["it@help.example.com"], self.reverse_path, &config);
        let mut incoming =
            Incoming::new(Mail::new(&envelope, &raw, &message, &config), None, Evidence::believed());
        incoming.standing = self.standing;
        let decision =
            |reason: &Reason| Intention { project: "IT".parse().unwrap(), reason: *reason, account: None };
        let decisions = reasons.iter().map(decision).collect();
        delivery(
            &incoming,
            &Intentions {
                decisions,
                new_account: None,
                forwarded: self.forwarded,
                looping: false,
                awaits_release: false,
            },
        )
    }
}

const REJECTING: Told<'_> = Told {
    on_drop: OnDrop::Reject,
    reverse_path: "x@y.example",
    standing: Standing::Proven,
    forwarded: false,
};

/// Contract, *SMTP*: the second row.
#[test]
fn a_relay_hears_only_of_drops_that_a_proven_sender_may_hear_of() {
    let told = [
        Reason::AccountCreationDenied,
        Reason::PortalOnlyAccountsDenied,
        Reason::DomainNotAllowed,
        Reason::NotAProjectCustomer,
        Reason::AccountDeactivated,
    ];
    assert_eq!(REJECTING.of(&[]), Delivery::Accepted, "for the postmaster alone, and going round in circles");
    for reason in Reason::ALL {
        let expected = if told.contains(reason) { Delivery::Rejected } else { Delivery::Accepted };
        assert_eq!(REJECTING.of(&[*reason]), expected, "{}", reason.as_str());
        let with_another = REJECTING.of(&[Reason::AccountDeactivated, *reason]);
        assert_eq!(with_another, expected, "account-deactivated and {}", reason.as_str());
        for never in [
            Told { on_drop: OnDrop::Accept, ..REJECTING },
            Told { reverse_path: "", ..REJECTING },
            Told { standing: Standing::Unproven, ..REJECTING },
            Told { standing: Standing::Disproven, ..REJECTING },
            Told { forwarded: true, ..REJECTING },
        ] {
            assert_eq!(never.of(&[*reason]), Delivery::Accepted, "{}", reason.as_str());
        }
    }
}

/// The reasons for a mail to both projects from a sender of whom the view is known, and what the plan enqueues.
fn planned(view: SenderView, standing: Standing, config: &Config) -> (Vec<Reason>, usize) {
    let (raw, message) = (Bytes::from(RAW), mail::read(RAW.as_bytes()));
    let envelope = envelope(&["hr@help.example.com", "it@help.example.com"], "x@y.example", config);
    let mut incoming =
        Incoming::new(Mail::new(&envelope, &raw, &message, config), None, Evidence::believed());
    incoming.standing = standing;
    outcome(&incoming, view, config)
}

fn outcome(incoming: &Incoming<'_>, view: SenderView, config: &Config) -> (Vec<Reason>, usize) {
    let planning = Planning {
        config,
        now: Time::from_millis(0),
        seal: &TokenSeal::new([0; 32]),
        new_id: &|| uuid::Uuid::from_u128(9),
        new_token: &|| [0; 32],
    };
    let (plan, intentions) = plan(incoming, view, &planning);
    let mails = plan.effects.iter().filter(|effect| matches!(effect, Effect::Enqueue(_))).count();
    (intentions.decisions.iter().map(|decision| decision.reason).collect(), mails)
}

/// Access rules: "any hold past `max_held_per_address`"; what is being released still waits.
#[test]
fn mails_that_are_being_released_count_as_held() {
    let ids = |from: u128, count: u128| {
        (from..from + count).map(|n| HeldId::new(uuid::Uuid::from_u128(n))).collect()
    };
    let (hold, limit) = (Reason::InternalAccountUnverified, Reason::HoldLimit);
    for (held, releasing, reasons, mails) in [
        (0, 0, [hold, hold], 1),
        (1, 0, [hold, hold], 0),
        (0, 1, [hold, hold], 1),
        (2, 0, [hold, limit], 0),
        (1, 1, [hold, limit], 0),
        (0, 3, [limit, limit], 0),
    ] {
        let view = SenderView {
            held: ids(100, held),
            releasing: ids(200, releasing),
            pending: (held > 0).then(|| VerificationId::new(uuid::Uuid::from_u128(7))),
            mailed: if held > 0 { vec![Time::from_millis(0)] } else { Vec::new() },
            ..SenderView::default()
        };
        let planned = planned(view, Standing::Proven, &site());
        assert_eq!(planned, (reasons.to_vec(), mails), "{held} held, {releasing} being released");
    }
}

/// Checks 4 and 7: a disproven sender is dropped and nobody is mailed; an unproven one of an open site waits.
#[test]
fn a_sender_who_is_not_proven_waits_or_is_dropped() {
    let mut config = site();
    let forged = planned(SenderView::default(), Standing::Disproven, &config);
    assert_eq!(forged, (vec![Reason::SenderForged; 2], 0));
    let access = Arc::make_mut(&mut config.access);
    access.internal.use_approved_domains = false;
    access.external.allow_portal_only_accounts = true;
    let waits = planned(SenderView::default(), Standing::Unproven, &config);
    assert_eq!(waits, (vec![Reason::SenderUnproven; 2], 1));
}

/// A stalled disk: the relay is told to come back, and what was committed all the same is in the books.
#[tokio::test(start_paused = true)]
async fn a_commit_that_outlasts_the_relays_patience_is_still_reported() {
    let (store, log) = (Arc::new(Memory::new()), LogBuffer::default());
    let ops =
        Ops::new(Clock::manual(Time::from_millis(0)), LogAddresses::Full, Some(json_dispatch(log.clone())));
    let config = Arc::new(ArcSwap::from_pointee(site()));
    let intake =
        Intake::new(store.clone(), Arc::clone(&config), ops.clone(), TokenSeal::new([0; 32]), Arc::default());
    let mail = || (envelope(&["it@help.example.com"], "x@y.example", &config.load()), Bytes::from(RAW));
    store.faults().answer_late(Duration::from_mins(1));
    let (first, raw) = mail();
    assert_eq!(intake.deliver(first, raw).await, Delivery::Unavailable);
    assert_eq!(log.events("mail.decided").len(), 0);
    tokio::time::sleep(Duration::from_mins(1)).await;
    store.faults().answer_late(Duration::ZERO);
    let (again, raw) = mail();
    assert_eq!(intake.deliver(again, raw).await, Delivery::Accepted);
    let reasons: Vec<_> = log.events("mail.decided").iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, ["internal-account-unverified", "duplicate"]);
    assert_eq!(store.held_count().await.unwrap(), 1);
    assert_eq!((ops.metrics.accepted.get(), ops.metrics.holds_made.get()), (2, 1));
}

/// What RCPT promised is gone: nothing may be decided in silence.
#[test]
fn a_recipient_that_is_gone_is_noticed() {
    let (raw, message) = (Bytes::from(RAW), mail::read(RAW.as_bytes()));
    let all = site();
    let envelope =
        envelope(&["it@help.example.com", "hr@help.example.com", "abuse@help.example.com"], "", &all);
    assert!(
        !Incoming::new(Mail::new(&envelope, &raw, &message, &all), None, Evidence::believed()).misdirected
    );
    let mut without = site();
    without.projects.retain(|project| project.key.as_str() != "HR");
    assert!(
        Incoming::new(Mail::new(&envelope, &raw, &message, &without), None, Evidence::believed()).misdirected
    );
    let mut without = site();
    without.smtp.postmaster = None;
    assert!(
        Incoming::new(Mail::new(&envelope, &raw, &message, &without), None, Evidence::believed()).misdirected
    );
    assert!(envelope.recipients.iter().any(|recipient| recipient.route == Route::Postmaster));
}

/// A mail that names one which is just being released is planned anew; one that names a mail which only waits is not.
#[test]
fn a_reply_awaits_the_release_that_is_under_way() {
    let config = site();
    let raw = RAW.replace("\r\n\r\n", "\r\nIn-Reply-To: <first@approved.example>\r\n\r\n");
    let (raw, message) = (Bytes::from(raw.clone()), mail::read(raw.as_bytes()));
    let envelope = envelope(&["it@help.example.com"], "x@y.example", &config);
    let incoming = Incoming::new(Mail::new(&envelope, &raw, &message, &config), None, Evidence::believed());
    let planning = Planning {
        config: &config,
        now: Time::from_millis(0),
        seal: &TokenSeal::new([0; 32]),
        new_id: &|| uuid::Uuid::from_u128(9),
        new_token: &|| [0; 32],
    };
    let held = HeldId::new(uuid::Uuid::from_u128(1));
    let waits = Thread { kept: Kept::Held(held), closed: false, involved: false };
    for (releasing, known, awaits) in [(true, true, true), (false, true, false), (true, false, false)] {
        let account =
            verify::new_account(incoming.sender.as_ref().unwrap(), None, AccountKind::Internal, planning.now);
        let view = SenderView {
            account: known.then_some(account),
            held: if releasing { vec![] } else { vec![held] },
            releasing: if releasing { vec![held] } else { vec![] },
            threads: Some(vec![("IT".parse().unwrap(), vec![waits])]),
            ..SenderView::default()
        };
        let (_, intentions) = plan(&incoming, view, &planning);
        assert_eq!(intentions.awaits_release, awaits, "releasing: {releasing}, known: {known}");
    }
}

/// RFC 3834 §2: a mail with a Message-ID that only we can have made is ours, come back.
#[test]
fn a_minted_message_id_is_a_loop() {
    let config = site();
    let key = TokenSeal::new([0; 32]).mint_key();
    let id = key.message_id(DeliveryId::new(uuid::Uuid::from_u128(7)), None);
    for (id, expected) in
        [(id.clone(), Reason::MailLoop), (id.replace("verify", "veriff"), Reason::InternalAccountUnverified)]
    {
        let raw = Bytes::from(RAW.replace("ID: <a@approved.example>", &format!("ID: <{id}@x.example>")));
        let message = mail::read(&raw);
        let envelope = envelope(&["it@help.example.com"], "x@y.example", &config);
        let mail = Mail::new(&envelope, &raw, &message, &config);
        let incoming = Incoming::new(mail, Some(&key), Evidence::believed());
        assert_eq!(outcome(&incoming, SenderView::default(), &config).0, [expected], "{id}");
    }
}
