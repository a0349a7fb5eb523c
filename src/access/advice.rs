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

/// About a decision with this reason. `project`: the one decided for, where it was for one; `sender`: the From address,
/// where there is one.
pub fn advice(reason: Reason, project: Option<&ProjectKey>, sender: Option<&EmailAddress>) -> Advice {
    let names = Names {
        project: project.map_or("the project", ProjectKey::as_str),
        address: sender.map_or("the address", |sender| sender.key()),
        domain: sender.map_or("the domain", |sender| sender.domain().as_str()),
    };
    Advice { decided_by: names.decided_by(reason), to_change: names.to_change(reason) }
}

/// What the words are about.
struct Names<'a> {
    project: &'a str,
    address: &'a str,
    domain: &'a str,
}

impl Names<'_> {
    fn decided_by(&self, reason: Reason) -> String {
        let Self { project, address, domain } = self;
        let key = |name: &str| format!("{name} of [[projects]] {project}");
        match reason {
            Reason::Duplicate => "store.duplicate_window, or store.one_request_per_mail".to_owned(),
            Reason::MailLoop => "no setting: our own mail came back, or it goes round in circles".to_owned(),
            Reason::AutomaticMessage => key("allow_automatic_from"),
            Reason::NoUsableSender => {
                "no setting: the mail has no one From address that is not our own".to_owned()
            }
            Reason::SenderForged => "authentication.mode, and the DMARC policy of the From domain".to_owned(),
            Reason::AccountDeactivated => format!("the account of {address} is deactivated"),
            Reason::NotAProjectCustomer => key("access = \"added\""),
            Reason::SenderUnproven => "authentication.mode: nothing proves the sender".to_owned(),
            Reason::RequestClosed => key("on_closed = \"drop\""),
            Reason::Reply | Reason::KnownCustomer => {
                format!("the account of {address}, and {}", key("access"))
            }
            Reason::AccountCreationDenied => "access.portal.account_creation = \"deny\"".to_owned(),
            Reason::InternalAccountUnverified => format!("access.internal.approved_domains has {domain}"),
            Reason::PortalOnlyAccountsDenied => {
                "access.external.allow_portal_only_accounts = false".to_owned()
            }
            Reason::DomainNotAllowed => {
                format!("access.external.only_allowed_domains = true, and allowed_domains has no {domain}")
            }
            Reason::NewPortalOnlyCustomer => "access.external.allow_portal_only_accounts = true".to_owned(),
            Reason::HoldLimit => "verification.max_held_per_address".to_owned(),
            Reason::NotMine => format!("the owner of {address} said so on the verification page"),
            Reason::HoldExpired => "verification.hold_for".to_owned(),
            Reason::HoldDiscarded => "an administrator discarded it".to_owned(),
            Reason::ProjectClosed => format!("[[projects]] has no {project} any more"),
        }
    }

    fn to_change(&self, reason: Reason) -> String {
        let Self { project, address, domain } = self;
        let add = format!("vestibule accounts add {address} --kind portal-only");
        let released =
            "the sender follows the link in the verification mail, or an administrator releases it";
        match reason {
            Reason::Duplicate => "nothing is missing: the trail names what the first copy became".to_owned(),
            Reason::MailLoop => "find the forwarding that sends our mail back to us".to_owned(),
            Reason::AutomaticMessage => format!(
                "to let this machine in, list {address} there and give it an account ({add}); reports and bounces never come in"
            ),
            Reason::NoUsableSender => {
                "the program that sends it has to write one address into From".to_owned()
            }
            Reason::SenderForged => {
                format!("SPF, DKIM or DMARC of {domain} has to pass at the relay that is believed")
            }
            Reason::AccountDeactivated => format!(
                "an administrator activates it, or `vestibule accounts delete {address}` makes the address unknown again"
            ),
            Reason::NotAProjectCustomer => format!("{add} --project {project}, or another value of access"),
            Reason::SenderUnproven => format!("{released}; SPF, DKIM and DMARC of {domain} spare both"),
            Reason::RequestClosed => "on_closed = \"reopen\" or \"new-linked-request\"".to_owned(),
            Reason::Reply | Reason::KnownCustomer => format!("vestibule accounts deactivate {address}"),
            Reason::AccountCreationDenied => format!("account_creation = \"allow\", or {add}"),
            Reason::InternalAccountUnverified => {
                format!("{released}; vestibule accounts add {address} --kind internal spares both")
            }
            Reason::PortalOnlyAccountsDenied => format!("allow_portal_only_accounts = true, or {add}"),
            Reason::DomainNotAllowed => {
                format!("add \"{domain}\" to access.external.allowed_domains, or {add}")
            }
            Reason::NewPortalOnlyCustomer => {
                format!("only_allowed_domains = true without {domain}, or allow_portal_only_accounts = false")
            }
            Reason::HoldLimit => format!(
                "what waits of {address} has to be confirmed, released or discarded first: vestibule who {address}"
            ),
            Reason::NotMine => "nothing: it was not theirs".to_owned(),
            Reason::HoldExpired => format!(
                "see whether the verification mail arrived (vestibule who {address}), then have the mail sent again"
            ),
            Reason::HoldDiscarded => "have the mail sent again".to_owned(),
            Reason::ProjectClosed => "configure the project again, and have the mail sent again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_names_what_decided_and_what_would_change_it() {
        let (project, sender) = ("IT".parse().unwrap(), "ada@partner.example".parse().unwrap());
        let all: Vec<_> =
            Reason::ALL.iter().map(|reason| advice(*reason, Some(&project), Some(&sender))).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(!one.to_change.is_empty() && !one.decided_by.is_empty());
            // A reply is decided by what decides about any mail of a known customer.
            assert!(all[..index].iter().filter(|other| *other == one).count() <= 1, "{one:?}");
        }
        let refused = advice(Reason::DomainNotAllowed, Some(&project), Some(&sender));
        assert!(refused.decided_by.contains("only_allowed_domains = true"));
        assert!(refused.to_change.starts_with("add \"partner.example\" to access.external.allowed_domains"));
        assert!(advice(Reason::NotAProjectCustomer, Some(&project), None).to_change.contains("--project IT"));
    }
}
