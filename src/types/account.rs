//! Customers' accounts (access-rules: *Words*, *Accounts*).

use serde::{Deserialize, Serialize};

use super::{EmailAddress, ProjectKey, Time};

/// Where a customer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A customer of the organisation itself; mail creates one only for a verified address of an approved domain.
    Internal,
    /// A customer from outside.
    PortalOnly,
}

impl AccountKind {
    /// The word used in logs, trails and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::PortalOnly => "portal-only",
        }
    }
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountStatus {
    /// In use.
    Active,
    /// Kept out for good by an administrator.
    Deactivated,
}

/// What the holder of an account does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sends requests.
    #[default]
    Customer,
    /// Works on requests, and may send them too.
    Agent,
}

/// One customer's account. Its key is the normalised address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The one address that the account belongs to.
    pub address: EmailAddress,
    /// The display name, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Internal or portal-only.
    pub kind: AccountKind,
    /// Active or deactivated.
    pub status: AccountStatus,
    /// Customer or agent.
    #[serde(default)]
    pub role: Role,
    /// The projects that an administrator has put the account into; mail never adds to it.
    #[serde(default)]
    pub projects: Vec<ProjectKey>,
    /// When the account came to be.
    pub created_at: Time,
    /// When its owner confirmed the address with a link; it gates nothing. Verified addresses need no such link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Time>,
}
