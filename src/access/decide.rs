//! The decision itself: the only implementation of access-rules.md, *Order of checks*.

use std::borrow::Cow;

use super::{
    AccessSettings, AccountCreation, Check, OnClosed, Outcome, ProjectAccess, Reason, ReplyTo, SenderFacts,
    SiteAccess, Stage,
};
use crate::{
    mail::{AutomaticSign, Nature},
    types::{AccountKind, AccountStatus, Domain, EmailAddress, Standing},
};

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rule that decided; its outcome is [`Reason::outcome`].
    pub reason: Reason,
    /// Every check that was looked at, in order; the last one decided.
    pub trail: Vec<Check>,
}

/// Decides about one mail for one project. Total: every combination of facts and settings has exactly one verdict.
pub fn decide(facts: &SenderFacts<'_>, settings: &AccessSettings<'_>) -> Verdict {
    let mut trail = Trail(Vec::with_capacity(12));
    let reason = match facts.stage {
        Stage::Intake => match message_checks(facts, settings, &mut trail) {
            Ok(sender) => account_checks(sender, facts, settings, &mut trail),
            Err(reason) => reason,
        },
        Stage::Release => match usable_sender(facts, &mut trail) {
            Ok(sender) => account_checks(sender, facts, settings, &mut trail),
            Err(reason) => reason,
        },
    };
    Verdict { reason, trail: trail.0 }
}

/// Collects the checks; each returns what it was told, so that a rule reads in one line.
struct Trail(Vec<Check>);

impl Trail {
    /// The check that decides.
    fn decide(&mut self, check: &'static str, input: impl Into<Cow<'static, str>>, reason: Reason) -> Reason {
        let result = format!("{} {}", reason.outcome().as_str(), reason.as_str());
        self.0.push(Check { check: check.into(), input: input.into(), result: result.into() });
        reason
    }

    /// A check that was passed.
    fn pass(&mut self, check: &'static str, input: impl Into<Cow<'static, str>>) {
        self.0.push(Check { check: check.into(), input: input.into(), result: "continue".into() });
    }
}

/// Checks 1 to 4: the message, whoever sent it.
fn message_checks<'a>(
    facts: &SenderFacts<'a>,
    settings: &AccessSettings<'_>,
    trail: &mut Trail,
) -> Result<&'a EmailAddress, Reason> {
    if let Some(repeats) = facts.duplicate {
        return Err(trail.decide("duplicate", repeats.to_owned(), Reason::Duplicate));
    }
    trail.pass("duplicate", "not seen before");
    written_by_a_person(facts, settings, trail)?;
    let sender = usable_sender(facts, trail)?;
    match facts.standing {
        Standing::Disproven => Err(trail.decide("standing", "disproven", Reason::SenderForged)),
        Standing::Unproven | Standing::Proven => {
            trail.pass("standing", facts.standing.as_str());
            Ok(sender)
        }
    }
}

/// Check 2. A machine that the project lets in is decided like a person, if it has an account.
fn written_by_a_person(
    facts: &SenderFacts<'_>,
    settings: &AccessSettings<'_>,
    trail: &mut Trail,
) -> Result<(), Reason> {
    let sign = match facts.nature {
        Nature::Loop(sign) => return Err(trail.decide("nature", sign_text(sign), Reason::MailLoop)),
        Nature::Report(sign) => {
            return Err(trail.decide("nature", sign_text(sign), Reason::AutomaticMessage));
        }
        Nature::Person { weak: None } => {
            trail.pass("nature", "a person");
            return Ok(());
        }
        Nature::Person { weak: Some(sign) } => {
            trail.pass("nature", format!("a person; {}: nothing is mailed", sign_text(sign)));
            return Ok(());
        }
        Nature::Automatic(sign) => sign_text(sign),
    };
    if !facts.sender.is_ok_and(|sender| settings.automatic_from.contains(sender)) {
        return Err(trail.decide("nature", sign, Reason::AutomaticMessage));
    }
    if facts.account.is_none() {
        let unknown = format!("{sign}; on allow_automatic_from, but without an account");
        return Err(trail.decide("nature", unknown, Reason::AutomaticMessage));
    }
    trail.pass("nature", format!("{sign}; let in by allow_automatic_from: nothing is mailed"));
    Ok(())
}

fn sign_text(sign: &AutomaticSign) -> String {
    format!("{}: {}", sign.name, sign.value)
}

/// Check 3. At release the sender was usable at intake; a record that says otherwise is dropped, not guessed at.
fn usable_sender<'a>(facts: &SenderFacts<'a>, trail: &mut Trail) -> Result<&'a EmailAddress, Reason> {
    match facts.sender {
        Ok(sender) => {
            trail.pass("sender", sender.key().to_owned());
            Ok(sender)
        }
        Err(why) => Err(trail.decide("sender", why.to_string(), Reason::NoUsableSender)),
    }
}

/// Checks 5 to 7: the account, known or not.
fn account_checks(
    sender: &EmailAddress,
    facts: &SenderFacts<'_>,
    settings: &AccessSettings<'_>,
    trail: &mut Trail,
) -> Reason {
    let Some(account) = facts.account else {
        trail.pass("account", "none");
        return unknown_sender(sender.domain(), facts, settings, trail);
    };
    let described = format!("{}, {}", account.kind.as_str(), status_text(account.status));
    if account.status == AccountStatus::Deactivated {
        return trail.decide("account", described, Reason::AccountDeactivated);
    }
    trail.pass("account", described);
    let permission = settings.project;
    if permission == ProjectAccess::Added && !account.in_project {
        return trail.decide("project-access", "added, not in the project", Reason::NotAProjectCustomer);
    }
    trail.pass("project-access", permission.as_str());
    if let Some(reason) = unproven(facts, settings, trail) {
        return reason;
    }
    trail.pass("sender-proven", facts.standing.as_str());
    let (input, reason) = reply(facts.reply_to, settings.on_closed);
    trail.decide("reply", input, reason)
}

/// Holds the mail of a sender who is not proven.
fn unproven(facts: &SenderFacts<'_>, settings: &AccessSettings<'_>, trail: &mut Trail) -> Option<Reason> {
    let standing = facts.standing;
    let unproven = standing != Standing::Proven;
    unproven.then(|| hold(Reason::SenderUnproven, "sender-proven", standing.as_str(), facts, settings, trail))
}

/// The end of check 6: a comment, or a request of its own.
fn reply(to: &ReplyTo, on_closed: OnClosed) -> (Cow<'static, str>, Reason) {
    match to {
        ReplyTo::Nothing => ("no".into(), Reason::KnownCustomer),
        ReplyTo::Unknown => ("not known: no store was asked".into(), Reason::KnownCustomer),
        ReplyTo::NotInvolved(id) => {
            (format!("names {id}, in which the sender has no part").into(), Reason::KnownCustomer)
        }
        ReplyTo::Waiting(held) => (format!("names a mail that waits, {held}").into(), Reason::KnownCustomer),
        ReplyTo::Request { id, closed: false } => (id.to_string().into(), Reason::Reply),
        ReplyTo::Request { id, closed: true } => match on_closed {
            OnClosed::Reopen => (format!("{id}, closed: it is opened again").into(), Reason::Reply),
            OnClosed::NewLinkedRequest => {
                (format!("{id}, closed: a new request follows it").into(), Reason::KnownCustomer)
            }
            OnClosed::Drop => (format!("{id}, closed").into(), Reason::RequestClosed),
        },
    }
}

fn status_text(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Deactivated => "deactivated",
    }
}

/// Check 7: creation of accounts.
fn unknown_sender(
    domain: &Domain,
    facts: &SenderFacts<'_>,
    settings: &AccessSettings<'_>,
    trail: &mut Trail,
) -> Reason {
    let site = settings.site;
    let creation = site.portal.account_creation;
    if creation == AccountCreation::Deny {
        return trail.decide("account-creation", "deny", Reason::AccountCreationDenied);
    }
    trail.pass("account-creation", creation.as_str());
    if settings.project == ProjectAccess::Added {
        return trail.decide("project-access", "added, no account", Reason::NotAProjectCustomer);
    }
    trail.pass("project-access", settings.project.as_str());
    if let Err((check, input, reason)) = portal_only_account(domain, site, trail) {
        if reason.outcome() == Outcome::Hold {
            return hold(reason, check, input, facts, settings, trail);
        }
        return trail.decide(check, input, reason);
    }
    if let Some(reason) = unproven(facts, settings, trail) {
        return reason;
    }
    trail.decide("sender-proven", facts.standing.as_str(), Reason::NewPortalOnlyCustomer)
}

/// A check that speaks against an account: its name, what it looked at, and the reason.
type Against = (&'static str, Cow<'static, str>, Reason);

/// The part of check 7 in which neither W nor the project has a say: whether the site gives somebody of this domain a
/// portal-only account (I, E and R).
fn portal_only_account(domain: &Domain, site: &SiteAccess, trail: &mut Trail) -> Result<(), Against> {
    let internal = &site.internal;
    if internal.use_approved_domains && internal.approved_domains.contains(domain) {
        let on_list = format!("{domain} is approved").into();
        return Err(("approved-domains", on_list, Reason::InternalAccountUnverified));
    }
    trail.pass("approved-domains", list_text(internal.use_approved_domains, domain, "approved"));
    let external = &site.external;
    if !external.allow_portal_only_accounts {
        return Err(("portal-only-accounts", "off".into(), Reason::PortalOnlyAccountsDenied));
    }
    trail.pass("portal-only-accounts", "on");
    if external.only_allowed_domains && !external.allowed_domains.contains(domain) {
        let off_list = format!("{domain} is not allowed").into();
        return Err(("allowed-domains", off_list, Reason::DomainNotAllowed));
    }
    let allowed: Cow<'static, str> = if external.only_allowed_domains {
        format!("{domain} is allowed").into()
    } else {
        "any domain".into()
    };
    trail.pass("allowed-domains", allowed);
    Ok(())
}

/// Whether somebody who is less than a site administrator may add an account of this kind (access-rules: *Accounts*): no
/// other than a mail from the address would make, if it were proven, the project open and W = allow.
///
/// # Errors
/// The reason that the mail would have been held or dropped for. An internal account is always one to be verified.
pub fn may_add(kind: AccountKind, domain: &Domain, site: &SiteAccess) -> Result<(), Reason> {
    if kind == AccountKind::Internal {
        return Err(Reason::InternalAccountUnverified);
    }
    let mut nobody_reads_it = Trail(Vec::new());
    portal_only_account(domain, site, &mut nobody_reads_it).map_err(|(_, _, reason)| reason)
}

fn list_text(in_use: bool, domain: &Domain, list: &str) -> Cow<'static, str> {
    if in_use { format!("{domain} is not {list}").into() } else { "off".into() }
}

/// Holds, unless the address has as many mails waiting as it may.
fn hold(
    reason: Reason,
    check: &'static str,
    input: impl Into<Cow<'static, str>>,
    facts: &SenderFacts<'_>,
    settings: &AccessSettings<'_>,
    trail: &mut Trail,
) -> Reason {
    let limit = settings.site.max_held_per_address;
    if facts.held < limit {
        return trail.decide(check, input, reason);
    }
    trail.0.push(Check {
        check: check.into(),
        input: input.into(),
        result: format!("hold {}", reason.as_str()).into(),
    });
    trail.decide("held-mails", format!("{} of {limit}", facts.held), Reason::HoldLimit)
}
