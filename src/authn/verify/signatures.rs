//! Which DKIM signatures are tried at all (RFC 6376, RFC 8301), before any is asked about in DNS. Pure.

use mail_auth::{
    AuthenticatedMessage, Error,
    common::{crypto::Algorithm, headers::Header},
    dkim::{self, DkimError},
};

use super::verdict::{Signed, Subject, Word};
use crate::{mail, types::EmailAddress};

/// Most signatures that are tried; a flood of them costs no more queries than this.
pub(super) const MAX_TRIED: usize = 5;
/// Most fields that one signature may name; finding them costs the square.
const MAX_SIGNED_FIELDS: usize = 200;

/// Why signatures may stand for another author or another text than those that we have read; `None` where they can't. A mail
/// that somebody sends once more may have got lines that end its header block for one reader only.
pub(super) fn doubt(
    message: &AuthenticatedMessage<'_>,
    raw: &[u8],
    from: &EmailAddress,
) -> Option<&'static str> {
    if !mail::has_plain_header(raw) {
        return Some("readers may differ about where the header ends");
    }
    let ours = covers_our_from(message, from);
    (!ours).then_some("they may be over another From than the one that was read")
}

/// Whether the one From field that signatures are computed over is the one that we have read: the same bytes give the
/// same address. Where readers differ, a signature could speak for another author.
fn covers_our_from(message: &AuthenticatedMessage<'_>, from: &EmailAddress) -> bool {
    let is_from = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"from");
    let mut fields = message.headers.iter().filter(|(name, _)| is_from(name));
    let (Some((name, value)), None) = (fields.next(), fields.next()) else { return false };
    let field = [*name, b":", value, b"\r\n"].concat();
    mail::read(&field).author.is_ok_and(|author| author.address == *from)
}

/// Leaves in `message` the signatures that are worth trying, those of the From domain first. Answers those that are not,
/// with the reason, and how many were cut off.
pub(super) fn choose(message: &mut AuthenticatedMessage<'_>, subject: Subject<'_>) -> (Vec<Signed>, usize) {
    let mut refused: Vec<Signed> = message.errors.iter().filter_map(unreadable).collect();
    message.errors.retain(|header| unreadable(header).is_none());
    message.dkim_headers.retain(|header| match weakness(&header.header) {
        Some(why) => {
            refused.push(signed(&header.header, Word::Policy, why));
            false
        }
        None => true,
    });
    message.dkim_headers.sort_by_key(|header| !subject.is_aligned(&header.header.d));
    let untried = message.dkim_headers.len().saturating_sub(MAX_TRIED);
    message.dkim_headers.truncate(MAX_TRIED);
    for header in &mut message.dkim_headers {
        // Third-party signers (RFC 6541) and reports (RFC 6651) cost queries and prove nothing here.
        header.header.atps = None;
        header.header.r = false;
    }
    (refused, untried)
}

/// Why a signature is not believed even if it verifies.
fn weakness(signature: &dkim::Signature) -> Option<&'static str> {
    if signature.a == Algorithm::RsaSha1 {
        return Some("rsa-sha1 is no proof (RFC 8301)");
    }
    weak_fields(&signature.h)
}

/// The same for the names of the signed fields, of an ARC signature too.
pub(super) fn weak_fields(names: &[String]) -> Option<&'static str> {
    if names.len() > MAX_SIGNED_FIELDS {
        return Some("names more fields than anybody signs");
    }
    let from = names.iter().any(|name| name.trim().eq_ignore_ascii_case("from"));
    (!from).then_some("From is not signed")
}

/// A DKIM-Signature field that mail-auth has not taken.
fn unreadable(header: &Header<'_, Error>) -> Option<Signed> {
    if !header.name.trim_ascii().eq_ignore_ascii_case(b"dkim-signature") {
        return None;
    }
    let read = dkim::Signature::parse(header.value).unwrap_or_default();
    let (word, why) = match &header.header {
        Error::Dkim(DkimError::SignatureLength) => {
            (Word::Policy, "l= leaves the end of the body unsigned".to_owned())
        }
        error => (Word::PermError, error.to_string()),
    };
    Some(Signed { why, ..signed(&read, word, "") })
}

fn signed(signature: &dkim::Signature, word: Word, why: &str) -> Signed {
    let (domain, selector) = (signature.d.clone(), signature.s.clone());
    Signed { word, domain, selector, why: why.to_owned() }
}
