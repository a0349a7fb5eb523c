//! Who asks DNS for `authentication.mode = "verify"`: made at start, and anew when the settings change.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::{
    authn::{AuthenticationMode, NoResolver, Verifier},
    config::Config,
    ops::{ConfigWarning, Event, Ops},
};

/// Who asks DNS, where the mode wants it asked.
pub(crate) fn verifier(config: &Config) -> Result<Option<Verifier>, NoResolver> {
    let settings = &config.authentication;
    let wanted = settings.mode == AuthenticationMode::Verify;
    wanted.then(|| Verifier::new(settings.verify.resolver)).transpose()
}

/// Puts the resolver of the new settings in force. The answers that are known are kept as long as the same name server is
/// named; the system's may have changed. Where there is none, the one before stays, with a warning.
pub(super) fn anew(current: &ArcSwapOption<Verifier>, old: &Config, new: &Config, ops: &Ops) {
    let (before, after) = (&old.authentication, &new.authentication);
    let named = after.verify.resolver.is_some() && before.verify.resolver == after.verify.resolver;
    if named && before.mode == after.mode {
        return;
    }
    match verifier(new) {
        Ok(verifier) => current.store(verifier.map(Arc::new)),
        Err(error) => ConfigWarning { warning: &error.to_string() }.emit(ops),
    }
}
