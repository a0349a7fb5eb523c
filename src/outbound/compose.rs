//! The verification mail. Pure: the same delivery gives the same bytes on every try.

use std::time::{Duration, SystemTime};

use askama::Template;
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
    store::{Delivery, DeliveryKind},
    types::{EmailAddress, Time, VerificationToken},
};

/// Longest Message-ID that is answered to, in octets; the store cuts longer ones, and a cut one names no mail.
const MAX_MESSAGE_ID: usize = 254;

/// Longest line of a mail without its CRLF, in octets (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// The last second of the year 9999: the last that a Date field can carry.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Why a mail can't be composed. None of it gets better by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A forwarded mail is sent as it came; there is nothing to compose.
    #[error("the delivery is no verification mail")]
    NotAVerification,
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
    /// The whole mail, lines ending in CRLF.
    pub bytes: Vec<u8>,
}

/// What the verification mail says. Nothing of it is the sender's own text: the mail goes to an address that a stranger
/// may have written, and must not carry the stranger's words there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The subject: fixed, with the project's name.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part, saying the same.
    pub html: String,
}

#[derive(Template)]
#[template(path = "outbound/templates/verification.txt")]
struct TextPart<'a>(&'a Facts);

#[derive(Template)]
#[template(path = "outbound/templates/verification.html")]
struct HtmlPart<'a>(&'a Facts);

/// What both parts are filled with.
struct Facts {
    subject: String,
    who: String,
    hostname: String,
    project: String,
    received: String,
    until: String,
    link: String,
    contact: Option<String>,
}

/// Composes the mail of a delivery; `enqueued_at` becomes its Date.
pub fn compose(
    delivery: &Delivery,
    token: &VerificationToken,
    config: &Config,
    enqueued_at: Time,
) -> Result<Composed, ComposeError> {
    let DeliveryKind::Verification { in_reply_to, .. } = &delivery.kind else {
        return Err(ComposeError::NotAVerification);
    };
    let content = content(delivery, token, config)?;
    let to = address(&delivery.to)?;
    let envelope = Envelope::new(None, vec![to.clone()]).map_err(failed)?;
    let mut mail = Message::builder()
        .envelope(envelope)
        .date(date(enqueued_at))
        .from(from(&config.mail.from)?)
        .to(Mailbox::new(None, to))
        .subject(content.subject)
        .message_id(Some(format!("<{}@{}>", delivery.id, config.hostname)))
        .raw_header(field("Auto-Submitted", "auto-replied"))
        .raw_header(field("X-Auto-Response-Suppress", "All"))
        .raw_header(field("X-Vestibule-Mail", "verification"));
    if let Some(id) = in_reply_to.as_deref().filter(|id| is_message_id(id)) {
        mail = mail.in_reply_to(format!("<{id}>")).references(format!("<{id}>"));
    }
    // Drawn at random by lettre otherwise; every try must give the same bytes.
    let boundary = format!("vestibule-{}", delivery.id.uuid().simple());
    let parts = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(part(ContentType::TEXT_PLAIN, content.text))
        .singlepart(part(ContentType::TEXT_HTML, content.html));
    let bytes = mail.multipart(parts).map_err(failed)?.formatted();
    Ok(Composed { envelope_to: delivery.to.clone(), bytes })
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

/// What the mail of a delivery says.
pub(super) fn content(
    delivery: &Delivery,
    token: &VerificationToken,
    config: &Config,
) -> Result<Content, ComposeError> {
    let facts = facts(delivery, token, config)?;
    let text = TextPart(&facts).render().map_err(failed)?;
    let html = HtmlPart(&facts).render().map_err(failed)?;
    Ok(Content { subject: facts.subject, text, html })
}

fn facts(delivery: &Delivery, token: &VerificationToken, config: &Config) -> Result<Facts, ComposeError> {
    let DeliveryKind::Verification { project: key, received_at, expires_at, .. } = &delivery.kind else {
        return Err(ComposeError::NotAVerification);
    };
    let hostname = config.hostname.to_unicode();
    // A project that was taken out of the configuration meanwhile is still what the mail was for.
    let named = config.project(key).and_then(|project| one_line(&project.name));
    let project = named.unwrap_or_else(|| key.to_string());
    Ok(Facts {
        subject: subject(&project),
        who: config.mail.from.name.as_deref().and_then(one_line).unwrap_or_else(|| hostname.clone()),
        hostname,
        project,
        received: human(*received_at),
        until: human(*expires_at),
        link: format!("{}/verify/{}", config.http.public_url, token.reveal()),
        contact: config.verification.contact.as_deref().and_then(one_line),
    })
}

/// The subject of the verification mail for a project.
pub(super) fn subject(project: &str) -> String {
    format!("Is this message to {project} from you?")
}

/// `Sunday 22 November 2026, 08:00 UTC`: the month in letters, so that no reader takes it for the day.
fn human(at: Time) -> String {
    at.to_jiff().strftime("%A %-d %B %Y, %H:%M UTC").to_string()
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
