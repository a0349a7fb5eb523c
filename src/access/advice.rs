//! What a decision rests on and what would change it, in words for the one who is asked "why did this mail not arrive?".

use super::Reason;
use crate::types::{EmailAddress, ProjectKey};

/// Two lines about a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The setting that decided, with the value that the reason implies, or what else did.
    pub decided_by: String,
    /// What would have to be otherwise for another outcome.
    pub to_change: String,
}

/// About a decision with this reason. `sender`: the From address, where there is one.
pub fn advice(reason: Reason, project: &ProjectKey, sender: Option<&EmailAddress>) -> Advice {
    let address = sender.map_or("the address", |sender| sender.key());
    let domain = sender.map_or("the domain", |sender| sender.domain().as_str());
    let add = format!("vestibule accounts add {address} --kind portal-only");
    let key = |name: &str| format!("{name} of [[projects]] {project}");
    let (decided_by, to_change) = match reason {
        Reason::Duplicate => (
            "store.duplicate_window, or store.one_request_per_mail".to_owned(),
            "nothing is missing: the trail names what the first copy became".to_owned(),
        ),
        Reason::MailLoop => (
            "no setting: our own mail came back, or it goes round in circles".to_owned(),
            "find the forwarding that sends our mail back to us".to_owned(),
        ),
        Reason::AutomaticMessage => (
            key("allow_automatic_from"),
            format!(
                "to let this machine in, list {address} there and give it an account ({add}); reports and bounces never come in"
            ),
        ),
        Reason::NoUsableSender => (
            "no setting: the mail has no one From address that is not our own".to_owned(),
            "the program that sends it has to write one address into From".to_owned(),
        ),
        Reason::SenderForged => (
            "authentication.mode, and the DMARC policy of the From domain".to_owned(),
            format!("the SPF, DKIM or DMARC of {domain} has to pass at the relay that is believed"),
        ),
        Reason::AccountDeactivated => (
            format!("the account of {address} is deactivated"),
            format!(
                "an administrator activates it, or `vestibule accounts delete {address}` makes the address unknown again"
            ),
        ),
        Reason::NotAProjectCustomer => (
            format!("{} = \"added\"", key("access")),
            format!("{add} --project {project}, or another value of access"),
        ),
        Reason::SenderUnproven => (
            "authentication.mode: nothing proves the sender".to_owned(),
            format!(
                "the sender follows the link in the verification mail, or an administrator releases it; SPF, DKIM and DMARC of {domain} spare both"
            ),
        ),
        Reason::RequestClosed => (
            format!("{} = \"drop\"", key("on_closed")),
            "on_closed = \"reopen\" or \"new-linked-request\"".to_owned(),
        ),
        Reason::Reply | Reason::KnownCustomer => (
            format!("the account of {address}, and {}", key("access")),
            format!("vestibule accounts deactivate {address}"),
        ),
        Reason::AccountCreationDenied => (
            "access.portal.account_creation = \"deny\"".to_owned(),
            format!("account_creation = \"allow\", or {add}"),
        ),
        Reason::InternalAccountUnverified => (
            format!("access.internal.approved_domains has {domain}"),
            format!(
                "the sender follows the link in the verification mail, or an administrator releases it; vestibule accounts add {address} --kind internal spares both"
            ),
        ),
        Reason::PortalOnlyAccountsDenied => (
            "access.external.allow_portal_only_accounts = false".to_owned(),
            format!("allow_portal_only_accounts = true, or {add}"),
        ),
        Reason::DomainNotAllowed => (
            format!("access.external.only_allowed_domains = true, and allowed_domains has no {domain}"),
            format!("add \"{domain}\" to access.external.allowed_domains, or {add}"),
        ),
        Reason::NewPortalOnlyCustomer => (
            "access.external.allow_portal_only_accounts = true".to_owned(),
            format!("only_allowed_domains = true without {domain}, or allow_portal_only_accounts = false"),
        ),
        Reason::HoldLimit => (
            "verification.max_held_per_address".to_owned(),
            format!(
                "the mails of {address} that wait have to be confirmed, released or discarded first: vestibule who {address}"
            ),
        ),
        Reason::NotMine => (
            format!("the owner of {address} said so on the verification page"),
            "nothing: it was not theirs".to_owned(),
        ),
        Reason::HoldExpired => (
            "verification.hold_for".to_owned(),
            format!(
                "see whether the verification mail arrived: vestibule who {address}; then have the mail sent again"
            ),
        ),
        Reason::HoldDiscarded => {
            ("an administrator discarded it".to_owned(), "have the mail sent again".to_owned())
        }
        Reason::ProjectClosed => (
            format!("[[projects]] has no {project} any more"),
            "configure the project again, and have the mail sent again".to_owned(),
        ),
    };
    Advice { decided_by, to_change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_names_what_decided_and_what_would_change_it() {
        let (project, sender) = ("IT".parse().unwrap(), "ada@partner.example".parse().unwrap());
        let all: Vec<_> = Reason::ALL.iter().map(|reason| advice(*reason, &project, Some(&sender))).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(!one.to_change.is_empty() && !one.decided_by.is_empty());
            // A reply is decided by what decides about any mail of a known customer.
            assert!(all[..index].iter().filter(|other| *other == one).count() <= 1, "{one:?}");
        }
        let refused = advice(Reason::DomainNotAllowed, &project, Some(&sender));
        assert!(refused.decided_by.contains("only_allowed_domains = true"));
        assert!(refused.to_change.starts_with("add \"partner.example\" to access.external.allowed_domains"));
        assert!(advice(Reason::NotAProjectCustomer, &project, None).to_change.contains("--project IT"));
    }
}
