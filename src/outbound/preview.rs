//! What an administrator looks at before the first mail goes out. Pure.

use std::time::Duration;

use askama::Template;

use super::{
    clean::one_line,
    compose::{ComposeError, Content, compose, content, subject},
};
use crate::{
    config::{Config, Project},
    store::{Delivery, DeliveryKind},
    types::{DeliveryId, EmailAddress, Time, TokenSeal, VerificationId, VerificationToken},
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

/// Composes the verification mail of a project as it would answer a mail that came `now`. The token is all zeros.
pub fn preview(config: &Config, project: &Project, now: Time) -> Result<Preview, ComposeError> {
    let token = VerificationToken::new([0; 32]);
    let delivery = sample(config, project, now)?;
    let content = content(&delivery, &token, config)?;
    let eml = compose(&delivery, &token, config, now)?.bytes;
    Ok(Preview { content, eml })
}

fn sample(config: &Config, project: &Project, now: Time) -> Result<Delivery, ComposeError> {
    let token = VerificationToken::new([0; 32]);
    let to: EmailAddress = PREVIEW_ADDRESS
        .parse()
        .map_err(|error| ComposeError::Failed(format!("the sample address: {error}")))?;
    Ok(Delivery {
        id: DeliveryId::new(uuid::Uuid::nil()),
        to,
        not_before: now,
        lane: None,
        kind: DeliveryKind::Verification {
            verification: VerificationId::new(uuid::Uuid::nil()),
            token: token.digest(),
            sealed: TokenSeal::new([0; 32]).seal(&token),
            expires_at: now.plus(config.verification.link_lifetime),
            project: project.key.clone(),
            received_at: now.minus(Duration::from_secs(5)),
            in_reply_to: Some("sample@customer.example".to_owned()),
        },
    })
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
pub fn announcement(config: &Config) -> Result<String, ComposeError> {
    let names: Vec<String> = config.projects.iter().filter_map(|project| one_line(&project.name)).collect();
    let from = &config.mail.from;
    Announcement {
        subjects: names.iter().map(|name| subject(name)).collect(),
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
        let preview = preview(&config, &config.projects[0], samples::received()).unwrap();
        let link = format!("https://help.example.com/verify/{}", "A".repeat(43));
        assert!(preview.content.text.contains(&link) && preview.content.html.contains(&link));
        let eml = String::from_utf8(preview.eml).unwrap();
        assert!(eml.contains(&link) && eml.contains("Subject: Is this message to IT support from you?\r\n"));
    }

    #[test]
    fn staff_are_told_how_to_know_the_mail() {
        let mut config = samples::config(Relay::Directory("outbound".into()));
        let text = announcement(&config).unwrap();
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
        assert!(!announcement(&config).unwrap().contains("Questions"));
    }
}
