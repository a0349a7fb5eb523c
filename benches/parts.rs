//! What the pure parts of a mail's way cost: `cargo bench --bench parts`. The same mail at 2, 20 and 200 KB.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench ends where it fails"
)]

use std::{hint::black_box, net::IpAddr, sync::Arc};

use divan::{Bencher, counter::BytesCount};
use vestibule::{
    access::{DomainEntry, External, Internal, SenderList, SiteAccess, decide},
    mail::{self},
    smtp::{Action, Input, MailAnswer, Policy, RouteTable, Session},
    store::{Effect, Fence, NewMail, Plan},
    types::{EmailAddress, MailId, SessionId, Time},
};

#[path = "sample.rs"]
mod sample;

const SIZES: [usize; 3] = [2 << 10, 20 << 10, 200 << 10];

fn main() {
    divan::main();
}

fn policy() -> Policy {
    let mut routes = RouteTable::new(None, false, "help.example.com".parse().unwrap());
    routes.add(&"it@help.example.com".parse().unwrap(), &sample::key());
    Policy {
        hostname: "help.example.com".to_owned(),
        max_message_size: 36 << 20,
        max_recipients: 100,
        normalize_newlines: false,
        starttls: false,
        require_tls: false,
        routes: Arc::new(routes),
        bounces: None,
    }
}

/// Steps until more bytes are wanted or a mail has come in.
fn run(session: &mut Session, mut bytes: &[u8], policy: &Policy) -> Option<usize> {
    let mut told = None;
    loop {
        let step = session.step(told.take().unwrap_or(Input::Bytes(bytes)), policy);
        bytes = &bytes[step.used..];
        match step.action {
            Action::Continue if bytes.is_empty() => return None,
            Action::Continue => {}
            Action::Mail(_) => told = Some(Input::Mail(MailAnswer::Open)),
            Action::Reserve(_) => told = Some(Input::Memory(true)),
            Action::Deliver(mail) => {
                return Some(
                    mail.into_envelope(mail_id(), session_id(), peer(), Time::from_millis(0)).1.len(),
                );
            }
            _ => return None,
        }
    }
}

fn mail_id() -> MailId {
    MailId::new(uuid::Uuid::from_u128(1))
}

fn session_id() -> SessionId {
    SessionId::new(uuid::Uuid::from_u128(2))
}

fn peer() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

/// A whole mail through the session: greeting, EHLO, MAIL, RCPT, DATA, its bytes.
#[divan::bench(args = SIZES)]
fn session_step(bencher: Bencher<'_, '_>, size: usize) {
    let policy = policy();
    let mut content = sample::mail(size);
    content.extend_from_slice(b".\r\n");
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let mut session = Session::new();
        session.step(Input::Connected, &policy);
        for line in [
            "EHLO client.example\r\n",
            "MAIL FROM:<ada@partner.example>\r\n",
            "RCPT TO:<it@help.example.com>\r\n",
            "DATA\r\n",
        ] {
            run(&mut session, line.as_bytes(), &policy);
        }
        run(&mut session, &content, &policy).expect("a mail")
    });
}

/// The limits of structure, before any parser.
#[divan::bench(args = SIZES)]
fn prescan(bencher: Bencher<'_, '_>, size: usize) {
    let mail = sample::mail(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| mail::prescan(black_box(&mail)).unwrap());
}

/// Parse, second opinion on From, digest, signs.
#[divan::bench(args = SIZES)]
fn read(bencher: Bencher<'_, '_>, size: usize) {
    let mail = sample::mail(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| mail::read(black_box(&mail)));
}

/// Reading a mail that is nothing but its From field: mostly what finding the sender costs.
#[divan::bench]
fn sender(bencher: Bencher<'_, '_>) {
    let mail = b"From: \"Lovelace, Ada\" <Ada.Lovelace@partner.example>\r\n\r\n";
    bencher.bench_local(|| mail::read(black_box(mail)).author.unwrap());
}

/// The decision, with so many domains on each list; the sender stands on neither.
#[divan::bench(args = [0, 100_000])]
fn decision(bencher: Bencher<'_, '_>, domains: usize) {
    let list = |stem: &str| {
        let name = |n| format!("{stem}{n}.example").parse::<DomainEntry>().unwrap();
        (0..domains).map(name).collect()
    };
    let site = SiteAccess {
        internal: Internal { use_approved_domains: true, approved_domains: list("approved") },
        external: External {
            allow_portal_only_accounts: true,
            only_allowed_domains: domains > 0,
            allowed_domains: list("allowed"),
        },
        ..SiteAccess::default()
    };
    let sender: EmailAddress = "ada@mail.partner.example".parse().unwrap();
    let (facts, nobody) = (sample::sender_facts(&sender), SenderList::default());
    let settings = sample::settings(&site, &nobody);
    bencher.bench_local(|| decide(black_box(&facts), &settings));
}

/// The plan of a usual mail, encoded as in its journal record.
#[divan::bench]
fn encode_record(bencher: Bencher<'_, '_>) {
    let plan = plan();
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        rmp_serde::encode::write_named(&mut out, black_box(&plan)).unwrap();
        out.len()
    });
}

fn plan() -> Plan {
    let sender: EmailAddress = "ada@partner.example".parse().unwrap();
    let at = Time::from_millis(1_790_000_000_000);
    Plan {
        fences: vec![Fence { address: sender.clone(), version: 1 }],
        mail: Some(NewMail { facts: sample::facts(sender.clone(), at), raw: bytes::Bytes::new() }),
        ..Plan::new(at, vec![Effect::Record(sample::entry(&sender, None, at))])
    }
}
