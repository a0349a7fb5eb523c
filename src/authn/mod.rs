//! Who vouches for the sender. Pure; the modes `relay` and `verify` are not built yet and are refused by the configuration.

use crate::{config::AuthenticationMode, types::Standing};

/// How far the From address of a mail is proven under the given mode.
pub fn standing(mode: AuthenticationMode) -> Standing {
    match mode {
        // access-rules, *Sender standing*: with mode = "off" every sender counts as proven.
        AuthenticationMode::Off => Standing::Proven,
    }
}
