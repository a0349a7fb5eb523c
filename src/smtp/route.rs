//! Which project an address belongs to (contract: `[[projects]] addresses`).

use std::collections::HashMap;

use crate::types::{DeliveryId, Domain, EmailAddress, MintKey, ProjectKey};

/// Where a recipient address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the inbox of this project.
    Project(ProjectKey),
    /// To the site's postmaster, unchanged.
    Postmaster,
    /// A bounce of this mail of ours.
    Bounce(DeliveryId),
}

/// Where bounces of our mail come to (`mail.bounce_domain`).
#[derive(Debug, Clone)]
pub struct BounceRoutes {
    /// Every address of it is ours.
    pub domain: Domain,
    /// Tells the addresses that we made.
    pub mint: MintKey,
}

impl BounceRoutes {
    /// The mail that this recipient is the envelope sender of. Bounces have the null reverse-path (RFC 5321 §4.5.5);
    /// nothing else is taken there.
    pub fn route(&self, recipient: &EmailAddress, reverse_path: &str) -> Option<Route> {
        let ours = reverse_path.is_empty() && *recipient.domain() == self.domain;
        ours.then(|| self.mint.read_bounce_local_part(recipient.local_part()))?.map(Route::Bounce)
    }
}

/// The table of all inbox addresses. Looked up in this order: the exact address, the address without its detail,
/// `*@domain`; then `postmaster` and `abuse` of our domains, when the site names a postmaster.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    addresses: HashMap<String, ProjectKey>,
    domains: HashMap<Domain, ProjectKey>,
    own_domains: Vec<Domain>,
    detail_separator: Option<char>,
    postmaster: bool,
}

impl RouteTable {
    /// An empty table. `detail_separator` begins the detail of our addresses (`it+detail@`), `None` = no details;
    /// `postmaster` tells whether the site takes mail for postmaster and abuse; `hostname` is one of our domains.
    pub fn new(detail_separator: Option<char>, postmaster: bool, hostname: Domain) -> Self {
        Self { detail_separator, postmaster, own_domains: vec![hostname], ..Self::default() }
    }

    /// Adds an inbox address. Returns the project that has it already, if another has.
    pub fn add(&mut self, address: &EmailAddress, project: &ProjectKey) -> Option<ProjectKey> {
        self.own(address.domain());
        self.addresses.insert(address.key().to_owned(), project.clone())
    }

    /// Adds every address of a domain. Returns the project that has it already, if another has.
    pub fn add_domain(&mut self, domain: &Domain, project: &ProjectKey) -> Option<ProjectKey> {
        self.own(domain);
        self.domains.insert(domain.clone(), project.clone())
    }

    fn own(&mut self, domain: &Domain) {
        if !self.own_domains.contains(domain) {
            self.own_domains.push(domain.clone());
        }
    }

    /// Where mail for `address` goes; `None` when it is none of ours.
    pub fn route(&self, address: &EmailAddress) -> Option<Route> {
        let domain = address.domain();
        let project = self.addresses.get(address.key()).or_else(|| {
            let base = self.without_detail(address)?;
            self.addresses.get(&base)
        });
        if let Some(project) = project {
            return Some(Route::Project(project.clone()));
        }
        // Ahead of `*@domain`: RFC 5321 §4.5.1 wants postmaster to reach a person.
        if self.postmaster && self.own_domains.contains(domain) && is_postmaster(address.local_part()) {
            return Some(Route::Postmaster);
        }
        self.domains.get(domain).cloned().map(Route::Project)
    }

    /// Where `RCPT TO:<postmaster>` without a domain goes (RFC 5321 §4.5.1).
    pub fn route_bare_postmaster(&self) -> Option<Route> {
        self.postmaster.then_some(Route::Postmaster)
    }

    /// What begins the detail of our addresses; `None` = no details.
    pub fn detail_separator(&self) -> Option<char> {
        self.detail_separator
    }

    /// The detail of an address: what follows the separator in its local part.
    pub fn detail<'a>(&self, address: &'a EmailAddress) -> Option<&'a str> {
        address.local_part().split_once(self.detail_separator?).map(|(_, detail)| detail)
    }

    fn without_detail(&self, address: &EmailAddress) -> Option<String> {
        let separator = self.detail_separator?;
        let (base, _) = address.local_part().split_once(separator)?;
        (!base.is_empty()).then(|| format!("{base}@{}", address.domain()))
    }
}

fn is_postmaster(local: &str) -> bool {
    matches!(local, "postmaster" | "abuse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_row_wins() {
        let it: ProjectKey = "IT".parse().unwrap();
        let hr: ProjectKey = "HR".parse().unwrap();
        let all: ProjectKey = "ALL".parse().unwrap();
        let mut table = RouteTable::new(Some('+'), true, "mx.example".parse().unwrap());
        table.add(&"it@help.example".parse().unwrap(), &it);
        table.add(&"it+hr@help.example".parse().unwrap(), &hr);
        table.add_domain(&"all.example".parse().unwrap(), &all);
        let project = |key: &ProjectKey| Some(Route::Project(key.clone()));
        for (address, route) in [
            ("it@help.example", project(&it)),
            ("IT@HELP.example", project(&it)),
            ("it+printer@help.example", project(&it)),
            ("it+a+b@help.example", project(&it)),
            ("it+hr@help.example", project(&hr)),
            ("anyone@all.example", project(&all)),
            ("postmaster@all.example", Some(Route::Postmaster)),
            ("abuse@mx.example", Some(Route::Postmaster)),
            ("postmaster@elsewhere.example", None),
            ("hr@help.example", None),
            ("it@elsewhere.example", None),
            ("+it@help.example", None),
        ] {
            assert_eq!(table.route(&address.parse().unwrap()), route, "{address}");
        }
    }
}
