//! How far the From address of a mail is proven (access-rules: *Sender standing*).

use serde::{Deserialize, Serialize};

/// What is known of the claim that the From address sent the mail.
///
/// Unproven is not disproven: nothing speaks for the address, but nothing speaks against it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Authenticated, and the proof speaks for the From address.
    Proven,
    /// Nothing says so.
    Unproven,
    /// DMARC failed under policy reject, or a trusted hop said as much.
    Disproven,
}

impl Standing {
    /// The word used in logs, trails and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Disproven => "disproven",
        }
    }
}
