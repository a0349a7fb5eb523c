//! The customer access settings of a site and of a project (access-rules: *Settings*).

use serde::{Deserialize, Serialize};

use super::DomainList;
use crate::types::{Domain, EmailAddress};

/// I and A: accounts of the organisation itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Internal {
    /// I: use approved domains to grant internal customers access.
    pub use_approved_domains: bool,
    /// A: the approved domains.
    pub approved_domains: DomainList,
}

/// E, R and L: accounts of people from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct External {
    /// E: allow portal-only accounts to be created for new customers.
    pub allow_portal_only_accounts: bool,
    /// R: only allow account creation for customers with specific email domains.
    pub only_allowed_domains: bool,
    /// L: the allowed domains.
    pub allowed_domains: DomainList,
}

/// W: whether customers may create accounts by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountCreation {
    /// Nobody unknown gets in.
    Deny,
    /// New customers may get an account.
    #[default]
    Allow,
}

/// W and N: the portal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Portal {
    /// W: don't allow / allow customers to create accounts.
    pub account_creation: AccountCreation,
    /// N: requests from the portal without logging in; no effect on mail.
    pub without_login: bool,
}

/// P: who may send requests to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectAccess {
    /// Customers added by agents and administrators.
    #[default]
    Added,
    /// Anyone with an existing account; only with W = deny.
    Existing,
    /// Anyone on the web; only with W = allow.
    Anyone,
}

impl ProjectAccess {
    /// The value as written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Existing => "existing",
            Self::Anyone => "anyone",
        }
    }

    /// Whether this permission may stand beside the given W (access-rules: *Settings*, valid pairs).
    pub fn fits(self, creation: AccountCreation) -> bool {
        match self {
            Self::Added => true,
            Self::Existing => creation == AccountCreation::Deny,
            Self::Anyone => creation == AccountCreation::Allow,
        }
    }
}

impl AccountCreation {
    /// The value as written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

/// What becomes of a reply to a closed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnClosed {
    /// A comment on it, and it is open again.
    #[default]
    Reopen,
    /// A new request, which names the closed one.
    NewLinkedRequest,
    /// Dropped.
    Drop,
}

impl OnClosed {
    /// The value as written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reopen => "reopen",
            Self::NewLinkedRequest => "new-linked-request",
            Self::Drop => "drop",
        }
    }
}

/// What the site decides for all its projects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteAccess {
    /// I and A.
    pub internal: Internal,
    /// E, R and L.
    pub external: External,
    /// W and N.
    pub portal: Portal,
    /// Most mails of one address that may wait at once, over all projects (1 to 128).
    pub max_held_per_address: usize,
}

/// Senders by address or by domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderList {
    /// Exactly these.
    pub addresses: Vec<EmailAddress>,
    /// All addresses of these domains.
    pub domains: DomainList,
}

impl SenderList {
    /// Whether the address is on the list.
    pub fn contains(&self, address: &EmailAddress) -> bool {
        self.addresses.contains(address) || self.domains.contains(address.domain())
    }
}

/// The settings that one decision rests on: the site's, and those of the project the mail is for.
#[derive(Debug, Clone, Copy)]
pub struct AccessSettings<'a> {
    /// The site's settings.
    pub site: &'a SiteAccess,
    /// P of the project.
    pub project: ProjectAccess,
    /// What becomes of replies to the project's closed requests.
    pub on_closed: OnClosed,
    /// Machines that may be customers of the project, where they have an account (check 2).
    pub automatic_from: &'a SenderList,
}

impl SiteAccess {
    /// Whether the rules give an address of this list membership an internal account once it is verified: W = allow,
    /// I on, and the domain in A (access-rules: *Holds*, redeeming).
    pub fn grants_internal_account(&self, domain: &Domain) -> bool {
        self.portal.account_creation == AccountCreation::Allow
            && self.internal.use_approved_domains
            && self.internal.approved_domains.contains(domain)
    }
}
