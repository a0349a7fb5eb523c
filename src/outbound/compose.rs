//! The mails that the daemon writes itself. Pure: the same delivery gives the same bytes on every try.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::clean::one_line;
use crate::{
    config::{self, Config},
    mail::REPLY_MARKER,
    store::{Delivery, DeliveryKind},
    templates::{Content, Kind, Values},
    types::{EmailAddress, MintKey, ProjectKey, RequestId, Time},
};

/// Longest Message-ID that is answered to, in octets; the store cuts longer ones, and a cut one names no mail.
const MAX_MESSAGE_ID: usize = 254;

/// Longest line of a mail without its CRLF, in octets (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// Longest local part, in octets (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// The last second of the year 9999: the last that a Date field can carry.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Why a mail can't be composed. None of it gets better by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A forwarded mail is sent as it came, an acknowledgement must know its request, a link its token.
    #[error("the delivery is no mail that can be composed")]
    Incomplete,
    /// An address that our mail library does not take.
    #[error("the address {0} can't be put into a mail")]
    Address(String),
    /// A template or the mail library has failed.
    #[error("the mail can't be composed: {0}")]
    Failed(String),
}

/// A mail, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The one recipient.
    pub envelope_to: EmailAddress,
    /// Where its bounces go; `None` = the null reverse-path.
    pub reverse_path: Option<EmailAddress>,
    /// The whole mail, lines ending in CRLF.
    pub bytes: Vec<u8>,
}

/// What mails are composed with.
#[derive(Debug, Clone, Copy)]
pub struct Composer<'a> {
    /// The settings in force.
    pub config: &'a Config,
    /// Makes names that nobody can guess.
    pub mint: &'a MintKey,
}

/// What composing needs of a delivery. Nothing of it is the sender's own text: our mail may go to an address that a
/// stranger has written, and must not carry the stranger's words there (threat H02).
struct Facts<'a> {
    kind: Kind,
    project: &'a ProjectKey,
    request: Option<&'a RequestId>,
    received_at: Time,
    expires_at: Option<Time>,
    in_reply_to: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(kind: &'a DeliveryKind) -> Result<Self, ComposeError> {
        match kind {
            DeliveryKind::Verification { project, received_at, expires_at, in_reply_to, .. } => Ok(Self {
                kind: Kind::Verification,
                project,
                request: None,
                received_at: *received_at,
                expires_at: Some(*expires_at),
                in_reply_to: in_reply_to.as_deref(),
            }),
            DeliveryKind::Confirmation { project, received_at, expires_at, in_reply_to, .. } => Ok(Self {
                kind: Kind::Confirmation,
                project,
                request: None,
                received_at: *received_at,
                expires_at: Some(*expires_at),
                in_reply_to: in_reply_to.as_deref(),
            }),
            DeliveryKind::Acknowledgement { project, request, last, received_at, in_reply_to, .. } => {
                Ok(Self {
                    kind: if *last { Kind::LastAcknowledgement } else { Kind::Acknowledgement },
                    project,
                    request: Some(request.as_ref().ok_or(ComposeError::Incomplete)?),
                    received_at: *received_at,
                    expires_at: None,
                    in_reply_to: in_reply_to.as_deref(),
                })
            }
            DeliveryKind::Forward { .. } => Err(ComposeError::Incomplete),
        }
    }

    /// The value of X-Vestibule-Mail, for allow rules.
    fn field(&self) -> &'static str {
        match self.kind {
            Kind::LastAcknowledgement => Kind::Acknowledgement.name(),
            kind => kind.name(),
        }
    }
}

impl Composer<'_> {
    /// Composes the mail of a delivery. `token` is the text of its link's token, where it has one; `enqueued_at` becomes
    /// its Date.
    pub fn compose(
        &self,
        delivery: &Delivery,
        token: Option<&str>,
        enqueued_at: Time,
    ) -> Result<Composed, ComposeError> {
        let (facts, config) = (Facts::of(&delivery.kind)?, self.config);
        let content = self.content(delivery, token)?;
        let to = address(&delivery.to)?;
        let envelope = Envelope::new(None, vec![to.clone()]).map_err(failed)?;
        let message_id = self.mint.message_id(delivery.id, facts.request);
        let mut mail = Message::builder()
            .envelope(envelope)
            .date(date(enqueued_at))
            .from(from(&config.mail.from)?)
            .to(Mailbox::new(None, to))
            .subject(content.subject)
            .message_id(Some(format!("<{message_id}@{}>", config.hostname)))
            .raw_header(field("Auto-Submitted", "auto-replied"))
            .raw_header(field("X-Auto-Response-Suppress", "All"))
            .raw_header(field("X-Vestibule-Mail", facts.field()));
        if let Some(replies) = facts.request.and_then(|request| self.replies(request)) {
            mail = mail.reply_to(Mailbox::new(None, address(&replies)?));
        }
        if let Some(id) = facts.in_reply_to.filter(|id| is_message_id(id)) {
            mail = mail.in_reply_to(format!("<{id}>")).references(format!("<{id}>"));
        }
        // Drawn at random by lettre otherwise; every try must give the same bytes.
        let boundary = format!("vestibule-{}", delivery.id.uuid().simple());
        let parts = MultiPart::alternative()
            .boundary(boundary)
            .singlepart(part(ContentType::TEXT_PLAIN, content.text))
            .singlepart(part(ContentType::TEXT_HTML, content.html));
        let bytes = mail.multipart(parts).map_err(failed)?.formatted();
        Ok(Composed { envelope_to: delivery.to.clone(), reverse_path: self.reverse_path(delivery), bytes })
    }

    /// A keyed address in `mail.bounce_domain`.
    fn reverse_path(&self, delivery: &Delivery) -> Option<EmailAddress> {
        let domain = self.config.mail.bounce_domain.as_ref()?;
        format!("{}@{domain}", self.mint.bounce_local_part(delivery.id)).parse().ok()
    }

    /// The address that leads replies to the request: the project's first, with the request as its detail. None where
    /// details are off, or no address of the project can have one: all of a domain, or what is a detail itself.
    fn replies(&self, request: &RequestId) -> Option<EmailAddress> {
        let separator = self.config.routes.detail_separator()?;
        let addresses = &self.config.project(&request.project)?.addresses;
        let inboxes = addresses.iter().filter(|text| !text.starts_with("*@"));
        let inboxes = inboxes.filter_map(|text| text.parse::<EmailAddress>().ok());
        let inbox = inboxes.into_iter().find(|inbox| !inbox.local_part().contains(separator))?;
        let local = inbox.spelling().rsplit_once('@')?.0;
        let local = format!("{local}{separator}{}", self.mint.reply_detail(request));
        (local.len() <= MAX_LOCAL_PART).then(|| format!("{local}@{}", inbox.domain()).parse().ok())?
    }

    /// What the mail of a delivery says.
    pub(super) fn content(&self, delivery: &Delivery, token: Option<&str>) -> Result<Content, ComposeError> {
        let (facts, config) = (Facts::of(&delivery.kind)?, self.config);
        let language = config.language(facts.project);
        let hostname = config.hostname.to_unicode();
        // A project that was taken out of the configuration meanwhile is still what the mail was for.
        let named = config.project(facts.project).and_then(|project| one_line(&project.name));
        let mut values: Values = [
            ("who", config.mail.from.name.as_deref().and_then(one_line).unwrap_or_else(|| hostname.clone())),
            ("hostname", hostname),
            ("project", named.unwrap_or_else(|| facts.project.to_string())),
            ("received", language.moment(facts.received_at)),
            ("contact", config.verification.contact.as_deref().and_then(one_line).unwrap_or_default()),
            ("marker", REPLY_MARKER.to_owned()),
        ]
        .into();
        values.extend(facts.request.map(|request| ("request", request.to_string())));
        if let Some(until) = facts.expires_at {
            let token = token.ok_or(ComposeError::Incomplete)?;
            values.insert("until", language.moment(until));
            values.insert("link", self.link(facts.kind, token));
        }
        config.mail.templates.fill(facts.kind, language, &values).map_err(failed)
    }

    fn link(&self, kind: Kind, token: &str) -> String {
        let page = if kind == Kind::Confirmation { "confirm" } else { "verify" };
        format!("{}/{page}/{token}", self.config.http.public_url)
    }
}

/// As 7bit where the text allows it (RFC 2045 §2.7), so that the link stands whole in the mail for every reader; lettre
/// breaks it up as quoted-printable as soon as one line is longer than 76.
fn part(kind: ContentType, text: String) -> SinglePart {
    let plain = |line: &str| line.len() <= MAX_LINE && line.bytes().all(|b| (b' '..=b'~').contains(&b));
    let body = if text.split('\n').all(plain) {
        Body::dangerous_pre_encoded(
            text.replace('\n', "\r\n").into_bytes(),
            ContentTransferEncoding::SevenBit,
        )
    } else {
        Body::new(text)
    };
    SinglePart::builder().header(kind).body(body)
}

/// A Date can't be before 1970 or after 9999 (lettre panics on either).
fn date(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.since(Time::from_millis(0)).min(LAST_DATE)
}

fn from(sender: &config::Mailbox) -> Result<Mailbox, ComposeError> {
    let name = sender.name.as_deref().and_then(one_line);
    Ok(Mailbox::new(name, address(&sender.address)?))
}

/// The local part as it was first written, the domain with A-labels: only a local part beyond ASCII needs SMTPUTF8.
pub(super) fn address(address: &EmailAddress) -> Result<Address, ComposeError> {
    let spelling = address.spelling();
    let local = spelling.rsplit_once('@').map_or(spelling, |(local, _)| local);
    Address::new(local, address.domain().as_str()).map_err(|_| ComposeError::Address(spelling.to_owned()))
}

fn field(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn failed(error: impl std::fmt::Display) -> ComposeError {
    ComposeError::Failed(error.to_string())
}

/// Whether the text is an `id-left "@" id-right` of RFC 5322 §3.6.4 that can stand in a field as it is.
fn is_message_id(text: &str) -> bool {
    let atom = |part: &str| {
        let plain = |b: u8| b.is_ascii_graphic() && !b"()<>[]:;@\\,\"".contains(&b);
        part.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(plain))
    };
    let literal = |part: &str| {
        let inner = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inner.is_some_and(|inner| inner.bytes().all(|b| b.is_ascii_graphic() && !b"[]\\".contains(&b)))
    };
    text.len() <= MAX_MESSAGE_ID
        && text.split_once('@').is_some_and(|(left, right)| atom(left) && (atom(right) || literal(right)))
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
