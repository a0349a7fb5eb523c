//! A usual mail, for the benches: a known customer's, taken in.

use vestibule::{
    access::{
        AccessSettings, OnClosed, ProjectAccess, ReplyTo, SenderFacts, SenderList, SiteAccess, Stage, decide,
    },
    mail::Nature,
    smtp::Protocol,
    store::{DedupKey, Disposition, Entry, MailFacts},
    types::{EmailAddress, MailId, ProjectKey, SessionId, Standing, Time},
};

/// A multipart mail of so many bytes.
pub(crate) fn mail(size: usize) -> Vec<u8> {
    let mut mail = b"Received: from client.example (client.example [192.0.2.1]) by mx.example with ESMTP id 1;\r\n \
        Sun, 22 Nov 2026 10:00:00 +0000\r\nFrom: Ada Lovelace <ada@partner.example>\r\nTo: it@help.example.com\r\n\
        Subject: =?UTF-8?Q?The_printer_is_on_fire?=\r\nMessage-ID: <1@partner.example>\r\n\
        Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        .to_vec();
    while mail.len() < size {
        mail.extend_from_slice(
            b"Dear support, the quick brown fox jumped over the lazy dog and now it jams.\r\n",
        );
    }
    mail.extend_from_slice(b"--b--\r\n");
    mail
}

pub(crate) fn key() -> ProjectKey {
    "IT".parse().unwrap()
}

/// What a decision about the mail rests on.
pub(crate) fn sender_facts(sender: &EmailAddress) -> SenderFacts<'_> {
    SenderFacts {
        stage: Stage::Intake,
        duplicate: None,
        nature: &Nature::PERSON,
        sender: Ok(sender),
        standing: Standing::Proven,
        account: None,
        reply_to: &ReplyTo::Nothing,
        held: 0,
    }
}

/// Settings under which everybody may write.
pub(crate) fn settings<'a>(site: &'a SiteAccess, automatic_from: &'a SenderList) -> AccessSettings<'a> {
    AccessSettings { site, project: ProjectAccess::Anyone, on_closed: OnClosed::default(), automatic_from }
}

/// The decision about it, which opens a request.
pub(crate) fn entry(sender: &EmailAddress, once: Option<DedupKey>, at: Time) -> Entry {
    let verdict = decide(&sender_facts(sender), &settings(&SiteAccess::default(), &SenderList::default()));
    Entry {
        project: key(),
        reason: verdict.reason,
        trail: verdict.trail,
        disposition: Disposition::Open,
        once,
        once_elsewhere: Vec::new(),
        once_since: at,
        standing: Standing::Proven,
        basis: None,
        settings_version: "0123456789abcdef".to_owned(),
        facts: None,
    }
}

/// What is kept beside its bytes.
pub(crate) fn facts(sender: EmailAddress, at: Time) -> MailFacts {
    MailFacts {
        id: MailId::new(uuid::Uuid::from_u128(1)),
        session: SessionId::new(uuid::Uuid::from_u128(2)),
        peer: "192.0.2.1".parse().unwrap(),
        helo: "client.example".to_owned(),
        protocol: Protocol::Esmtp,
        reverse_path: sender.spelling().to_owned(),
        recipients: vec!["it@help.example.com".to_owned()],
        sender: Some(sender),
        sender_name: Some("Ada Lovelace".to_owned()),
        sent_by: None,
        subject: "The printer is on fire".to_owned(),
        message_id: Some("1@partner.example".to_owned()),
        participants: Vec::new(),
        may_answer: true,
        size: 2048,
        received_at: at,
    }
}
