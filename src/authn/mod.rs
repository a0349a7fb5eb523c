//! Who vouches for the sender. Pure. `off` believes everybody, `relay` the Authentication-Results of the relays that the
//! site names; the mode `verify` is not built yet and is refused by the configuration.

mod alignment;
mod field;
mod judge;
mod relay;
mod results;
#[cfg(test)]
mod tests;

pub use alignment::is_public_suffix;
pub use field::results_field;
pub use judge::judge;
pub use relay::{RelayTrust, ResultsFormat};
pub use results::{Entry, Results};

use crate::types::Standing;

/// `[authentication] mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// Every sender counts as proven: for closed networks and tests.
    Off,
    /// What the site's own relays say counts.
    Relay,
}

impl AuthenticationMode {
    /// The word of the configuration and of the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Relay => "relay",
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
}
