//! Outcomes, their reasons, and the trail that led to them. The codes are public: dashboards and tests rest on them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What becomes of a mail: exactly one of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A request, or a comment on one.
    Create,
    /// Kept, invisible to the project, until its sender has proven the address.
    Hold,
    /// Nothing comes of it but the record that it was dropped.
    Drop,
}

impl Outcome {
    /// The word used in logs, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Hold => "hold",
            Self::Drop => "drop",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal => $outcome:ident, $meaning:literal;)*) => {
        /// Why a mail had its outcome: the rule of access-rules.md that decided.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Reason {
            /// Every reason there is, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The rule in a few words, for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// The one outcome that this reason stands for.
            pub fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome,)* }
            }
        }
    };
}

reasons! {
    /// Check 1: the same mail was created or held within `store.duplicate_window`.
    Duplicate = "duplicate" => Drop, "the same mail was created or held within `store.duplicate_window`";
    /// Check 2: our own mail came back, or the mail goes round in circles.
    MailLoop = "mail-loop" => Drop, "our own mail come back, or one that goes round in circles";
    /// Check 2: written by a machine.
    AutomaticMessage = "automatic-message" => Drop, "written by a machine: out-of-office, bounce, bulk";
    /// Check 3: no From address that can be used, or one of our own.
    NoUsableSender = "no-usable-sender" => Drop, "no From address, several, unreadable, or one of our own";
    /// Check 4: the sender is disproven.
    SenderForged = "sender-forged" => Drop, "the sender is disproven";
    /// Check 5: the account is kept out.
    AccountDeactivated = "account-deactivated" => Drop, "the account is kept out";
    /// Checks 6 and 7: the project takes only customers that were added to it.
    NotAProjectCustomer = "not-a-project-customer" => Drop, "the project takes only customers that were added to it";
    /// Checks 6 and 7: nothing says that the sender is who From names.
    SenderUnproven = "sender-unproven" => Hold, "nothing says that the sender is who From names";
    /// Check 6: a reply to a closed request, where the project's `on_closed` is `drop`.
    RequestClosed = "request-closed" => Drop, "a reply to a closed request, and `on_closed` is \"drop\"";
    /// Check 6: a comment on a request that the sender is involved in.
    Reply = "reply" => Create, "a comment on a request the sender is involved in";
    /// Check 6: a permitted customer with an account.
    KnownCustomer = "known-customer" => Create, "a customer with an account, permitted in the project";
    /// Check 7: customers may not create accounts.
    AccountCreationDenied = "account-creation-denied" => Drop, "customers may not create accounts";
    /// Check 7: an approved domain; the address has to be verified before its internal account exists.
    InternalAccountUnverified = "internal-account-unverified" => Hold, "an approved domain: the address is to be verified before its internal account exists";
    /// Check 7: no accounts for people from outside.
    PortalOnlyAccountsDenied = "portal-only-accounts-denied" => Drop, "no accounts for people from outside";
    /// Check 7: the domain is not on the allowed list.
    DomainNotAllowed = "domain-not-allowed" => Drop, "the domain is not on the allowed list";
    /// Check 7: the account and the request, in one step.
    NewPortalOnlyCustomer = "new-portal-only-customer" => Create, "somebody new from outside: account and request in one step";
    /// Any hold past `max_held_per_address`.
    HoldLimit = "hold-limit" => Drop, "too many mails of this address wait already";
    /// The reader of the verification page did not send it.
    NotMine = "not-mine" => Drop, "the owner of the address did not send it";
    /// The hold lived longer than `hold_for`.
    HoldExpired = "hold-expired" => Drop, "nobody confirmed it in time";
    /// An administrator discarded it.
    HoldDiscarded = "hold-discarded" => Drop, "an administrator discarded it";
    /// At release: the project is no longer configured.
    ProjectClosed = "project-closed" => Drop, "its project is not configured any more";
}

/// What ended a hold, or why a mail was decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The sender verified the address.
    Verified,
    /// An administrator released it.
    Released,
    /// The owner of the address said it is not theirs.
    NotMine,
    /// It lived longer than `hold_for`.
    Expired,
    /// An administrator discarded it.
    Discarded,
    /// No hold: a dropped mail was decided again.
    Reprocessed,
}

impl Basis {
    /// The word used in logs and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Released => "released",
            Self::NotMine => "not-mine",
            Self::Expired => "expired",
            Self::Discarded => "discarded",
            Self::Reprocessed => "reprocessed",
        }
    }
}

/// One check of the trail: what was looked at, what was found, and what followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The check's name, such as `approved-domains`.
    pub check: Cow<'static, str>,
    /// What it looked at, such as the domain.
    pub input: Cow<'static, str>,
    /// What followed: `continue`, or the outcome and reason that ended the decision.
    pub result: Cow<'static, str>,
}
