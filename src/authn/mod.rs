//! Who vouches for the sender. `off` believes everybody, `relay` the Authentication-Results of the relays that the site
//! names, `verify` what SPF, DKIM, DMARC and ARC come to. Pure but for `verify/mod.rs`, which asks DNS.

mod alignment;
mod field;
mod judge;
mod relay;
mod results;
#[cfg(test)]
mod tests;
mod verify;

pub use alignment::is_public_suffix;
pub use field::results_field;
pub use judge::judge;
pub use relay::{RelayTrust, ResultsFormat};
pub use results::{Entry, Results};
pub use verify::{Claim, DEADLINE, NoResolver, Verdict, Verifier, client};

use crate::types::Standing;

/// `[authentication] mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// Every sender counts as proven: for closed networks and tests.
    Off,
    /// What the site's own relays say counts.
    Relay,
    /// What our own checks of SPF, DKIM and DMARC come to counts.
    Verify,
}

impl AuthenticationMode {
    /// The word of the configuration and of the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Relay => "relay",
            Self::Verify => "verify",
        }
    }
}

/// How far the From address of a mail is proven, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it comes to.
    pub standing: Standing,
    /// Whether a verification mail may go out for it: not where DMARC failed (access-rules: *Sender standing*).
    pub may_mail: bool,
    /// Each result that counted, and what did not, in lines for the trail; printable ASCII.
    pub findings: Vec<String>,
    /// Each result that counted as RFC 8601 §2.2 writes it (`resinfo`), for our own Authentication-Results field.
    pub results: Vec<String>,
}

impl Evidence {
    /// access-rules, *Sender standing*: with mode = "off" every sender counts as proven.
    pub fn believed() -> Self {
        Self { standing: Standing::Proven, may_mail: true, findings: Vec::new(), results: Vec::new() }
    }

    /// Nothing was asked, for this reason: no proof.
    pub fn unproven(why: &str) -> Self {
        Self {
            standing: Standing::Unproven,
            may_mail: true,
            findings: vec![why.to_owned()],
            results: Vec::new(),
        }
    }
}
