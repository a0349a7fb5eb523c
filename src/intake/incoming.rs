//! A mail with everything that its own bytes, its envelope and its judge say. Pure.

use std::{ops::Deref, time::Duration};

use bytes::Bytes;

use super::plan::Intention;
use crate::{
    access::DomainMembership,
    authn::{self, Evidence},
    config::{Config, Project},
    mail::{Arrival, Message, Nature, UnusableSender},
    ops::MailDecided,
    smtp::{Envelope, Route},
    store::{CommittedEntry, MailFacts},
    types::{EmailAddress, MintKey, Standing},
    verify::account_word,
};

/// A mail as it came, under the settings in force.
pub(super) struct Mail<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) raw: &'a Bytes,
    pub(super) message: &'a Message,
    pub(super) config: &'a Config,
    /// The From address, unless it is one of our own (access-rules, check 3), or why there is none that can be used.
    pub(super) sender: Result<EmailAddress, UnusableSender>,
}

impl<'a> Mail<'a> {
    pub(super) fn new(
        envelope: &'a Envelope,
        raw: &'a Bytes,
        message: &'a Message,
        config: &'a Config,
    ) -> Self {
        let sender = match &message.author {
            Ok(author) if config.is_own_address(&author.address) => Err(UnusableSender::Own),
            Ok(author) => Ok(author.address.clone()),
            Err(why) => Err(why.clone()),
        };
        Self { envelope, raw, message, config, sender }
    }
}

/// A mail with everything that its own bytes, its envelope and its judge say.
pub(super) struct Incoming<'a> {
    mail: Mail<'a>,
    pub(super) standing: Standing,
    /// Whether mail may go out for it, as far as its authentication goes.
    pub(super) may_mail: bool,
    /// What the standing rests on, for the trail.
    pub(super) findings: Vec<String>,
    /// What the standing rests on, as results for an Authentication-Results field.
    results: Vec<String>,
    /// The projects that it is addressed to, each once, in the order of RCPT.
    pub(super) projects: Vec<&'a Project>,
    /// Whether the settings have changed since RCPT so that one of its recipients is none of ours any more.
    pub(super) misdirected: bool,
    /// Whether it is a mail of ours, by a Message-ID that only we can make.
    pub(super) ours: bool,
}

impl<'a> Deref for Incoming<'a> {
    type Target = Mail<'a>;

    fn deref(&self) -> &Mail<'a> {
        &self.mail
    }
}

impl<'a> Incoming<'a> {
    /// A mail that was judged; `mint` tells which mails are ours, come back: without it none is.
    pub(super) fn new(mail: Mail<'a>, mint: Option<&MintKey>, evidence: Evidence) -> Self {
        let config = mail.config;
        let mut projects: Vec<&Project> = Vec::with_capacity(1);
        let mut misdirected = false;
        for recipient in &mail.envelope.recipients {
            let Route::Project(key) = &recipient.route else {
                misdirected |= recipient.route == Route::Postmaster && config.smtp.postmaster.is_none();
                continue;
            };
            let project = config.project(key);
            misdirected |= project.is_none();
            let known = projects.iter().any(|project| project.key == *key);
            projects.extend(project.filter(|_| !known));
        }
        let Evidence { standing, may_mail, findings, results } = evidence;
        let id = mail.message.message_id.as_deref();
        let ours = mint.zip(id).is_some_and(|(mint, id)| mint.read_message_id(id).is_some());
        Self { mail, standing, may_mail, findings, results, projects, misdirected, ours }
    }

    /// On which lists the sender's domain stands.
    pub(super) fn membership(&self) -> &'static str {
        let Ok(address) = &self.sender else { return DomainMembership::Neither.as_str() };
        let access = &self.config.access;
        DomainMembership::new(
            access.internal.approved_domains.contains(address.domain()),
            access.external.allowed_domains.contains(address.domain()),
        )
        .as_str()
    }

    /// The postmaster, where the mail is for them.
    pub(super) fn postmaster(&self) -> Option<&EmailAddress> {
        let asked = self.envelope.recipients.iter().any(|recipient| recipient.route == Route::Postmaster);
        self.config.smtp.postmaster.as_ref().filter(|_| asked)
    }

    /// Our own fields on top of what is handed on (RFC 5321 §4.4, RFC 8601 §4).
    pub(super) fn trace(&self) -> String {
        let hostname = self.config.hostname.as_str();
        self.envelope.received(hostname) + &authn::results_field(hostname, &self.results)
    }

    /// A forward would keep a loop alive: nothing else ends it (RFC 5321 §6.3).
    pub(super) fn goes_in_circles(&self) -> bool {
        matches!(self.nature(&[]), Nature::Loop(_))
    }

    pub(super) fn facts(&self) -> MailFacts {
        let message = self.message;
        MailFacts {
            id: self.envelope.mail_id,
            session: self.envelope.session,
            peer: self.envelope.peer,
            helo: self.envelope.helo.clone(),
            protocol: self.envelope.protocol,
            reverse_path: self.envelope.reverse_path.clone(),
            recipients: self.envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
            sender: self.sender.as_ref().ok().cloned(),
            sender_name: message.author.as_ref().ok().and_then(|author| author.name.clone()),
            sent_by: message.sent_by.clone(),
            subject: message.subject.clone(),
            message_id: message.message_id.clone(),
            participants: self.participants(),
            size: self.raw.len() as u64,
            received_at: self.envelope.received_at,
            may_answer: self.may_answer(),
        }
    }

    /// The log line of one decision, as it is at intake.
    pub(super) fn decided<'b>(
        &'b self,
        decision: &'b Intention,
        entry: &CommittedEntry,
        elapsed: Duration,
    ) -> MailDecided<'b> {
        MailDecided {
            reason: decision.reason,
            project: decision.project.as_str(),
            mail_id: self.envelope.mail_id.to_string(),
            message_id: self.message.message_id.as_deref(),
            sender: self.sender.as_ref().ok(),
            domain_list: self.membership(),
            account: account_word(decision.account.as_ref()),
            standing: self.standing.as_str(),
            request: entry.request.as_ref().map(ToString::to_string),
            held: entry.held.map(|held| held.to_string()),
            basis: None,
            actor: None,
            bytes: self.raw.len() as u64,
            peer: Some(self.envelope.peer),
            session: Some(self.envelope.session),
            elapsed,
        }
    }

    /// Whether a person wrote it, as the project sees it.
    pub(super) fn nature(&self, via_lists: &[String]) -> Nature {
        let reverse_path = &self.envelope.reverse_path;
        self.message.nature(&Arrival { reverse_path, via_lists, minted: self.ours })
    }

    /// Whether a mail of ours may answer it, whatever is decided about its sender.
    pub(super) fn may_answer(&self) -> bool {
        self.may_mail && self.projects.iter().all(|project| self.nature(&project.via_lists).may_be_answered())
    }
}
