//! What an administrator looks at before the first mail goes out. Pure.

use std::time::Duration;

use askama::Template;

use super::{
    clean::one_line,
    compose::{ComposeError, Composer},
};
use crate::{
    config::{Config, Project},
    store::{Delivery, DeliveryKind},
    templates::{Content, Kind},
    types::{
        ConfirmationToken, DeliveryId, EmailAddress, MintKey, RequestId, Time, TokenSeal, VerificationId,
        VerificationToken,
    },
};

/// Whom a preview is addressed to.
pub const PREVIEW_ADDRESS: &str = "customer@customer.example";

/// The mail of a project, with a link that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What it says.
    pub content: Content,
    /// The whole mail, as it would be sent.
    pub eml: Vec<u8>,
}

/// Composes a mail about a project as it would answer a mail that came `now`. Tokens and keys are all zeros: nothing that
/// it names leads anywhere.
pub fn preview(config: &Config, project: &Project, kind: Kind, now: Time) -> Result<Preview, ComposeError> {
    let delivery = Delivery {
        id: DeliveryId::new(uuid::Uuid::nil()),
        to: PREVIEW_ADDRESS
            .parse::<EmailAddress>()
            .map_err(|error| ComposeError::Failed(format!("the sample address: {error}")))?,
        not_before: now,
        lane: None,
        kind: sample(config, project, kind, now),
    };
    let mint = MintKey::new([0; 32]);
    let composer = Composer { config, mint: &mint };
    let token = VerificationToken::new([0; 32]).reveal();
    let content = composer.content(&delivery, Some(&token))?;
    let eml = composer.compose(&delivery, Some(&token), now)?.bytes;
    Ok(Preview { content, eml })
}

fn sample(config: &Config, project: &Project, kind: Kind, now: Time) -> DeliveryKind {
    let expires_at = now.plus(config.verification.link_lifetime);
    let received_at = now.minus(Duration::from_secs(5));
    let in_reply_to = Some("sample@customer.example".to_owned());
    let (key, seal) = (project.key.clone(), TokenSeal::new([0; 32]));
    let (verify, confirm) = (VerificationToken::new([0; 32]), ConfirmationToken::new([0; 32]));
    match kind {
        Kind::Verification => DeliveryKind::Verification {
            verification: VerificationId::new(uuid::Uuid::nil()),
            token: verify.digest(),
            sealed: seal.seal(&verify),
            expires_at,
            project: key,
            received_at,
            in_reply_to,
        },
        Kind::Confirmation => DeliveryKind::Confirmation {
            token: confirm.digest(),
            sealed: seal.seal(&confirm),
            expires_at,
            project: key,
            received_at,
            in_reply_to,
        },
        Kind::Acknowledgement | Kind::LastAcknowledgement => DeliveryKind::Acknowledgement {
            request: Some(RequestId { project: key.clone(), number: 12 }),
            project: key,
            per_day: config.mail.max_acknowledgements_per_address_per_day.get(),
            last: kind == Kind::LastAcknowledgement,
            received_at,
            in_reply_to,
        },
    }
}

#[derive(Template)]
#[template(path = "outbound/templates/announcement.txt")]
struct Announcement<'a> {
    names: String,
    from: &'a str,
    who: String,
    subjects: Vec<String>,
    public_url: &'a str,
    contact: Option<String>,
}

/// A text that tells staff what the verification mail is and how to tell it from a forgery.
pub fn announcement(config: &Config, now: Time) -> Result<String, ComposeError> {
    let subject = |project| Ok(preview(config, project, Kind::Verification, now)?.content.subject);
    let names: Vec<String> = config.projects.iter().filter_map(|project| one_line(&project.name)).collect();
    let from = &config.mail.from;
    Announcement {
        subjects: config.projects.iter().map(subject).collect::<Result<_, ComposeError>>()?,
        names: names.join(", "),
        from: from.address.spelling(),
        who: from.name.as_deref().and_then(one_line).unwrap_or_else(|| config.hostname.to_unicode()),
        public_url: &config.http.public_url,
        contact: config.verification.contact.as_deref().and_then(one_line),
    }
    .render()
    .map_err(|error| ComposeError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Relay, outbound::samples};

    #[test]
    fn a_preview_is_the_real_mail_with_a_link_that_leads_nowhere() {
        let config = samples::config(Relay::Directory("outbound".into()));
        let preview = preview(&config, &config.projects[0], Kind::Verification, samples::received()).unwrap();
        let link = format!("https://help.example.com/verify/{}", "A".repeat(43));
        assert!(preview.content.text.contains(&link) && preview.content.html.contains(&link));
        let eml = String::from_utf8(preview.eml).unwrap();
        assert!(eml.contains(&link) && eml.contains("Subject: Is this message to IT support from you?\r\n"));
    }

    #[test]
    fn staff_are_told_how_to_know_the_mail() {
        let mut config = samples::config(Relay::Directory("outbound".into()));
        let text = announcement(&config, samples::received()).unwrap();
        for said in [
            "help@help.example.com",
            "  Is this message to IT support from you?\n",
            "https://help.example.com/verify/",
            "no password",
            "Service desk, 4711",
            "X-Vestibule-Mail: verification",
        ] {
            assert!(text.replace("password, ever", "password").contains(said), "{said:?} in {text}");
        }
        config.verification.contact = None;
        assert!(!announcement(&config, samples::received()).unwrap().contains("Questions"));
    }
}
