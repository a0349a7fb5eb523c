//! Lists of domains: `example.com` is exactly that domain, `*.example.com` every domain below it and not itself.

use std::{collections::HashSet, fmt, str::FromStr};

use crate::types::{Domain, DomainError};

/// One entry of a list, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DomainEntry {
    /// Exactly this domain.
    Exactly(Domain),
    /// Every domain below this one, and not itself.
    Below(Domain),
}

/// The text is no entry of a domain list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainListError {
    /// An address where a domain is wanted.
    #[error("an address, where a domain such as example.com is wanted")]
    Address,
    /// A `*` elsewhere than as the whole first label.
    #[error("a * may only be the whole first label, as in *.example.com")]
    Wildcard,
    /// Not a domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl FromStr for DomainEntry {
    type Err = DomainListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            return Err(DomainListError::Address);
        }
        match text.strip_prefix("*.") {
            Some(rest) if rest.contains('*') => Err(DomainListError::Wildcard),
            Some(rest) => Ok(Self::Below(rest.parse()?)),
            None if text.contains('*') => Err(DomainListError::Wildcard),
            None => Ok(Self::Exactly(text.parse()?)),
        }
    }
}

impl fmt::Display for DomainEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// A set of entries. Looking a domain up costs one hash for each of its labels, however long the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainList {
    exactly: HashSet<Domain>,
    below: HashSet<String>,
}

impl DomainList {
    /// Whether the domain is on the list.
    pub fn contains(&self, domain: &Domain) -> bool {
        if self.exactly.contains(domain) {
            return true;
        }
        if self.below.is_empty() {
            return false;
        }
        let name = domain.as_str();
        name.match_indices('.').any(|(dot, _)| self.below.contains(&name[dot + 1..]))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.exactly.is_empty() && self.below.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.exactly.len() + self.below.len()
    }

    /// The entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = DomainEntry> + '_ {
        let below = self.below.iter().filter_map(|name| name.parse().ok());
        self.exactly.iter().cloned().map(DomainEntry::Exactly).chain(below.map(DomainEntry::Below))
    }

    /// Whether the same entry stands on this list.
    pub fn has_entry(&self, entry: &DomainEntry) -> bool {
        match entry {
            DomainEntry::Exactly(domain) => self.exactly.contains(domain),
            DomainEntry::Below(domain) => self.below.contains(domain.as_str()),
        }
    }
}

impl FromIterator<DomainEntry> for DomainList {
    fn from_iter<I: IntoIterator<Item = DomainEntry>>(entries: I) -> Self {
        let mut list = Self::default();
        for entry in entries {
            match entry {
                DomainEntry::Exactly(domain) => list.exactly.insert(domain),
                DomainEntry::Below(domain) => list.below.insert(domain.as_str().to_owned()),
            };
        }
        list
    }
}

/// On which of the two lists a domain stands, whatever the switches say. For logs and the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainMembership {
    /// On A only.
    Approved,
    /// On L only.
    Allowed,
    /// On A and L.
    Both,
    /// On neither.
    Neither,
}

impl DomainMembership {
    /// From the two answers.
    pub fn new(approved: bool, allowed: bool) -> Self {
        match (approved, allowed) {
            (true, true) => Self::Both,
            (true, false) => Self::Approved,
            (false, true) => Self::Allowed,
            (false, false) => Self::Neither,
        }
    }

    /// The word used in logs: `approved`, `allowed`, `both` or `neither`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Allowed => "allowed",
            Self::Both => "both",
            Self::Neither => "neither",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> DomainList {
        entries.iter().map(|entry| entry.parse::<DomainEntry>().unwrap()).collect()
    }

    #[test]
    fn entries_match_exactly_or_below() {
        let list = list(&["approved.example", "*.corp.example", "bücher.example"]);
        for (domain, on) in [
            ("approved.example", true),
            ("APPROVED.example", true),
            ("sub.approved.example", false),
            ("notapproved.example", false),
            ("approved.example.evil.example", false),
            ("corp.example", false),
            ("a.corp.example", true),
            ("a.b.corp.example", true),
            ("acorp.example", false),
            ("xn--bcher-kva.example", true),
            ("\u{430}pproved.example", false),
        ] {
            assert_eq!(list.contains(&domain.parse().unwrap()), on, "{domain}");
        }
    }

    #[test]
    fn wrong_entries_say_what_is_wrong() {
        for (text, error) in [
            ("ada@example.com", DomainListError::Address),
            ("*.*.example.com", DomainListError::Wildcard),
            ("a.*.example.com", DomainListError::Wildcard),
            ("*", DomainListError::Wildcard),
            ("*example.com", DomainListError::Wildcard),
            ("", DomainListError::Domain(DomainError::Empty)),
        ] {
            assert_eq!(text.parse::<DomainEntry>(), Err(error), "{text}");
        }
    }
}
