//! How far a mail's sender is proven, under the settings. Everything that is asked of others is asked here, before the plan.

use std::time::Duration;

use super::incoming::Mail;
use crate::{
    authn::{self, AuthenticationMode, Claim, Evidence, Verdict, Verifier},
    mail,
    smtp::Route,
    types::{EmailAddress, Time},
};

/// How far ahead the clock of another server may be.
const SKEW: Duration = Duration::from_mins(5);

/// Judges the sender: asks DNS in mode = "verify" (`verifier`), for mails to projects only.
pub(super) async fn judge(verifier: Option<&Verifier>, mail: &Mail<'_>) -> Verdict {
    let config = mail.config;
    let settings = &config.authentication;
    let approved = &config.access.internal.approved_domains;
    let sender = mail.sender.as_ref().ok();
    let from = || sender.map(|address| (address, approved.contains(address.domain())));
    match settings.mode {
        AuthenticationMode::Off => Verdict::of(Evidence::believed()),
        AuthenticationMode::Relay => {
            Verdict::of(authn::judge(&settings.relay, mail.envelope.relay, mail.message, from()))
        }
        AuthenticationMode::Verify => verify(verifier, mail, from()).await,
    }
}

async fn verify(
    verifier: Option<&Verifier>,
    mail: &Mail<'_>,
    from: Option<(&EmailAddress, bool)>,
) -> Verdict {
    let (envelope, config) = (mail.envelope, mail.config);
    let unasked = |why: &str| Verdict::of(Evidence::unproven(why));
    let Some((from, approved)) = from else { return unasked("no usable sender: nothing was checked") };
    if envelope.recipients.iter().all(|recipient| recipient.route == Route::Postmaster) {
        return unasked("for the postmaster alone: nothing was checked");
    }
    let settings = &config.authentication;
    if approved && settings.relay.is_internal(envelope.relay) {
        let findings = vec!["the peer is in authentication.internal_relays".to_owned()];
        return Verdict::of(Evidence { findings, ..Evidence::believed() });
    }
    let Some(verifier) = verifier else { return unasked("DNS can't be asked") };
    // Who may tell of a client and tells of none: the address is its own.
    let smtp = &config.smtp;
    let tellers = smtp.xclient_from.iter().chain(&smtp.proxy_from);
    let relays = smtp.allow_from.iter().chain(tellers).chain(&settings.relay.internal_relays);
    let claim = Claim {
        raw: mail.raw.clone(),
        from: from.clone(),
        approved,
        strict: settings.relay.is_strict(from.domain()),
        client: authn::client(envelope.peer, relays),
        helo: envelope.helo.clone(),
        reverse_path: envelope.reverse_path.clone(),
        hostname: config.hostname.to_string(),
        sealers: settings.relay.arc_sealers.clone(),
    };
    verifier.verify(claim).await
}

/// Whether a mail may be sent back to its relay once more because DNS gave no answer. Its age is told by its topmost
/// Received field: our own relay's, which stays the same at each try. Where the sender's own server connects, the sender
/// writes it; whoever makes the mail look younger has it come back to themselves. A mail that tells no time, or one that is
/// still to come, is not sent back.
pub(super) fn is_young(raw: &[u8], now: Time, window: Duration) -> bool {
    mail::handed_over_at(raw).is_some_and(|at| at <= now.plus(SKEW) && now.since(at) < window)
}
