//! Who vouches for the sender. Pure; the modes `relay` and `verify` are not built yet and are refused by the configuration.

use crate::types::Standing;

/// `[authentication] mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// Every sender counts as proven: for closed networks and tests.
    Off,
}

/// How far the From address of a mail is proven under the given mode.
pub fn standing(mode: AuthenticationMode) -> Standing {
    match mode {
        // access-rules, *Sender standing*: with mode = "off" every sender counts as proven.
        AuthenticationMode::Off => Standing::Proven,
    }
}
