//! The pages themselves. Askama escapes everything; [`super::text`] cleans what strangers wrote.

use askama::Template;
use axum::{
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse, Response},
};

use super::{
    style,
    text::{clean, mails, moment},
};
use crate::{
    config::Config,
    http::problem::Problem,
    verify::{Confirming, Disowned, NewLink, PageMail, PageView, Redeemed},
};

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Site {
    name: String,
    contact: Option<String>,
}

impl Site {
    /// The name that our mail comes from, or the host's.
    pub(super) fn of(config: &Config) -> Self {
        let from = config.mail.from.name.clone().filter(|name| !name.trim().is_empty());
        Self {
            name: from.unwrap_or_else(|| config.hostname.to_unicode()),
            contact: config.verification.contact.clone().filter(|contact| !contact.trim().is_empty()),
        }
    }

    #[expect(clippy::unused_self, reason = "templates reach it through the site")]
    fn css(&self) -> &'static str {
        style::CSS
    }
}

/// One mail of the list.
struct Line {
    id: String,
    subject: String,
    project: String,
    at: String,
    received: String,
    sent_by: Option<String>,
}

impl Line {
    fn of(mail: &PageMail) -> Self {
        let subject = clean(&mail.subject);
        Self {
            id: mail.id.to_string(),
            subject: if subject.is_empty() { "(no subject)".to_owned() } else { subject },
            project: clean(&mail.project),
            at: mail.received_at.to_string(),
            received: moment(mail.received_at),
            sent_by: mail.sent_by.as_deref().map(clean),
        }
    }
}

#[derive(Template)]
#[template(path = "http/templates/pending.html")]
struct Pending<'a> {
    site: &'a Site,
    address: &'a str,
    projects: String,
    count: String,
    /// The words of the second button.
    none: &'static str,
    mails: Vec<Line>,
    until: Option<String>,
    until_at: String,
    until_text: String,
}

/// What can be done on a page that only tells something.
#[derive(PartialEq, Eq)]
enum Action {
    None,
    NewLink,
    Paste,
    Confirm,
}

#[derive(Template)]
#[template(path = "http/templates/message.html")]
struct Message<'a> {
    site: &'a Site,
    title: &'a str,
    /// `status` for results, `alert` for what went wrong (WAI-ARIA).
    role: &'static str,
    lines: Vec<String>,
    action: Action,
}

#[derive(Template)]
#[template(path = "http/templates/paste.html")]
struct Paste<'a> {
    site: &'a Site,
    failed: bool,
}

/// A page that was made.
pub(super) struct Page {
    status: StatusCode,
    /// The page, or why it could not be made.
    pub(super) html: Result<String, askama::Error>,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.html {
            Ok(html) => {
                (self.status, [(CONTENT_SECURITY_POLICY, style::POLICY.clone())], Html(html)).into_response()
            }
            Err(error) => {
                let mut problem =
                    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.");
                problem.log = Some(error.to_string());
                problem.into_response()
            }
        }
    }
}

fn render(status: StatusCode, template: &impl Template) -> Page {
    Page { status, html: template.render() }
}

fn message(site: &Site, status: StatusCode, title: &str, lines: Vec<String>, action: Action) -> Page {
    let role = if status.is_success() { "status" } else { "alert" };
    render(status, &Message { site, title, role, lines, action })
}

/// What waits, with a box each, and the two buttons.
pub(super) fn pending(site: &Site, view: &PageView) -> Page {
    render(StatusCode::OK, &pending_page(site, view))
}

fn pending_page<'a>(site: &'a Site, view: &'a PageView) -> Pending<'a> {
    let lines: Vec<Line> = view.mails.iter().map(Line::of).collect();
    Pending {
        site,
        address: view.address.spelling(),
        projects: projects(&lines),
        count: mails(lines.len()),
        none: if lines.len() == 1 { "This is not from me" } else { "None of these are from me" },
        until: lines.last().map(|last| last.id.clone()),
        mails: lines,
        until_at: view.expires_at.to_string(),
        until_text: moment(view.expires_at),
    }
}

/// `IT support and Facilities`, each named once, in the order of their first mail.
fn projects(lines: &[Line]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for line in lines {
        if !names.contains(&line.project.as_str()) {
            names.push(&line.project);
        }
    }
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "its service desk".to_owned(),
    }
}

/// The fixed result of a redemption.
pub(super) fn redeemed(site: &Site, result: Redeemed) -> Page {
    let mut lines = vec![match result.handed_on {
        0 => "No mail was handed on.".to_owned(),
        1 => "Thank you. 1 mail was handed on.".to_owned(),
        many => format!("Thank you. {many} mails were handed on."),
    }];
    if result.not_mine > 0 {
        lines.push(format!("Not from you, and so deleted: {}.", mails(result.not_mine)));
    }
    lines.push(
        "You are done and can close this page. Opening the link again shows this page and changes nothing."
            .into(),
    );
    message(site, StatusCode::OK, "Your address is confirmed", lines, Action::None)
}

/// The fixed result of disowning.
pub(super) fn disowned(site: &Site, result: Disowned) -> Page {
    let lines = vec![
        format!("Not from you, and so deleted: {}. Nothing was handed on.", mails(result.not_mine)),
        "Your address was not registered. You are done and can close this page.".into(),
    ];
    message(site, StatusCode::OK, "Thank you for telling us", lines, Action::None)
}

/// The link is too old, or (not `renewable`) nothing waits for it any more: the mail was dealt with at the help desk, or
/// has waited too long.
pub(super) fn expired(site: &Site, renewable: bool) -> Page {
    let (title, line, action) = if renewable {
        ("This link is too old", "Your mail still waits. Ask for a new link to pass it on.", Action::NewLink)
    } else {
        (
            "No mail waits for this link any more",
            "We have dealt with your mail without it, or it has waited too long. If you still need help, write to us again.",
            Action::None,
        )
    };
    message(site, StatusCode::GONE, title, vec![line.to_owned()], action)
}

/// There is no such link.
pub(super) fn unknown(site: &Site) -> Page {
    let lines = vec![
        "This link is not known here. Perhaps it was cut off in your mail program, or what it was for has ended."
            .to_owned(),
        "Copy the whole link from the mail and try again. If that does not help, write to us again.".to_owned(),
    ];
    message(site, StatusCode::NOT_FOUND, "This link does not work", lines, Action::Paste)
}

/// What came of asking for a new link.
pub(super) fn new_link(site: &Site, link: NewLink) -> Page {
    let (title, words) = match link {
        NewLink::Sent => ("A new link is on its way", "Look into your mailbox in a few minutes.".to_owned()),
        NewLink::Delayed(at) => (
            "A new link will be sent",
            format!("It goes out at {}, because you have had several already.", moment(at)),
        ),
        NewLink::TooSoon(at) => (
            "There is a newer link already",
            format!(
                "It was sent to you a short while ago: look into your mailbox, and into the folder for unwanted \
                 mail. The next one can be had from {}.",
                moment(at)
            ),
        ),
        NewLink::Never | NewLink::Nothing => (
            "No link can be sent",
            "This address gets no mail from us. The people who run this service can pass your mail on."
                .to_owned(),
        ),
    };
    message(site, StatusCode::OK, title, vec![words], Action::None)
}

/// What came of a link that confirms an address. GET only shows; the one button confirms.
pub(super) fn confirming(site: &Site, state: &Confirming) -> Page {
    let (status, title, line, action) = match state {
        Confirming::Open(address) => (
            StatusCode::OK,
            "Confirm your address",
            format!("Is {} your address? Then press the button. Nothing waits for it.", address.spelling()),
            Action::Confirm,
        ),
        Confirming::Done(address) => (
            StatusCode::OK,
            "Your address is confirmed",
            format!("Thank you. We know now that our mail reaches {}.", address.spelling()),
            Action::None,
        ),
        Confirming::Expired => (
            StatusCode::GONE,
            "This link is too old",
            "You need not do anything: your requests are worked on without it.".to_owned(),
            Action::None,
        ),
        Confirming::Unknown => return unknown(site),
    };
    message(site, status, title, vec![line], action)
}

/// The field for a link; `failed` when there was none in what was pasted.
pub(super) fn paste(site: &Site, failed: bool) -> Page {
    let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    render(status, &Paste { site, failed })
}

/// Something else went wrong.
pub(super) fn problem(site: &Site, problem: &Problem) -> Response {
    let title = match problem.status {
        StatusCode::TOO_MANY_REQUESTS => "Too many tries",
        StatusCode::SERVICE_UNAVAILABLE => "Not possible just now",
        StatusCode::NOT_FOUND => "Page not found",
        _ => "That did not work",
    };
    let page = message(site, problem.status, title, vec![problem.detail.clone()], Action::None);
    let mut response = page.into_response();
    problem.dress(&mut response);
    response
}

#[cfg(test)]
mod tests;
