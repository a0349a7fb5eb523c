//! `authentication.mode = "verify"`: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 9989) and ARC (RFC 8617), checked here
//! with mail-auth. This file asks DNS, the one thing of `authn` that is not pure; `verdict` says what the answers come to.

mod client;
mod resolver;
mod signatures;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, DnsError, Error,
    MessageAuthenticator, SpfOutput, SpfResult, Txt,
    arc::Set,
    common::{cache::NoCache, crypto::Algorithm},
    dmarc::{self, verify::DmarcParameters},
    spf::{self, verify::SpfParameters},
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

pub use client::client;
pub use resolver::NoResolver;
pub use verdict::Verdict;
use verdict::{Dmarc, Facts, Policy, Signed, Spf, Subject, Word};

use super::{
    Evidence,
    judge::{self, Judged},
    relay::Believed,
};
use crate::types::{Domain, EmailAddress};

/// For all checks of one mail together; what is not done by then is a temporary failure.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// A mail larger than this is hashed on a thread of its own, so that other sessions go on.
const HASH_ASIDE: usize = 256 * 1024;

/// Asks DNS, and keeps answers within their TTL: 500 mails of one domain cost one set of queries, and mails that ask the
/// same at once share the query. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(MessageAuthenticator);

/// A mail, and what the checks need to know of its way.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The mail as it came.
    pub raw: Bytes,
    /// The one address of its one From field, as we have read it.
    pub from: EmailAddress,
    /// Whether its domain is on the approved list, where SPF alone is no proof.
    pub approved: bool,
    /// Whether only an exact match of the domain is aligned.
    pub strict: bool,
    /// For SPF; see [`client`].
    pub client: Option<IpAddr>,
    /// What the client said in EHLO.
    pub helo: String,
    /// The envelope sender; empty for `<>`.
    pub reverse_path: String,
    /// Our own name, which SPF records may ask for.
    pub hostname: String,
    /// `trusted_arc_sealers`.
    pub sealers: Vec<Domain>,
}

impl Claim {
    fn subject(&self) -> Subject<'_> {
        Subject { from: self.from.domain(), approved: self.approved, strict: self.strict }
    }

    /// The domain that SPF is about (RFC 7208 §2.4).
    fn spf_domain(&self) -> &str {
        self.reverse_path.rsplit_once('@').map_or(self.helo.as_str(), |(_, domain)| domain)
    }
}

impl Verifier {
    /// Asks this name server, or those of the system.
    pub fn new(resolver: Option<SocketAddr>) -> Result<Self, NoResolver> {
        Ok(Self(MessageAuthenticator(resolver::resolver(resolver)?)))
    }

    /// Checks everything, within [`DEADLINE`]. A check that fails in an unforeseen way proves nothing.
    pub async fn verify(&self, claim: Claim) -> Verdict {
        // A task of its own: a panic of the parser ends it and not the mail.
        let verifier = self.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move { verifier.check(&claim).await }));
        match timeout(DEADLINE, task).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::of(Evidence::unproven("the checks of SPF, DKIM and DMARC have failed")),
            Err(_) => {
                Verdict::unanswered("SPF, DKIM and DMARC were not checked within 10 s: DNS is too slow")
            }
        }
    }

    async fn check(&self, claim: &Claim) -> Verdict {
        let Some((head, body_hashes)) = hashed(claim.raw.clone()).await else {
            return Verdict::of(Evidence::unproven("no header that can be read"));
        };
        let Some(mut message) = AuthenticatedMessage::parse(&claim.raw[..head]) else {
            return Verdict::of(Evidence::unproven("no header that can be read"));
        };
        message.body_hashes = body_hashes;
        let subject = claim.subject();
        let mut notes = Vec::new();
        if let Some(doubt) = signatures::doubt(&message, &claim.raw, &claim.from) {
            message.dkim_headers.clear();
            message.as_headers.clear();
            notes.push(format!("signatures were not tried: {doubt}"));
        }
        // Ours, not the parser's: it reads glued addresses as the one that comes last.
        message.from = vec![format!("from@{}", claim.from.domain())];
        let (refused, untried) = signatures::choose(&mut message, subject);
        let (signatures, spf) = tokio::join!(self.0.verify_dkim(&message), self.spf(claim));
        let asked = spf.clone().unwrap_or_default();
        let parameters = DmarcParameters::new(&message, &signatures, claim.spf_domain(), &asked);
        let dmarc = dmarc_of(&self.0.verify_dmarc(parameters).await);
        let (arc, sealed) = self.arc(&message, claim).await;
        let facts = Facts {
            dkim: signatures.iter().filter_map(signed).chain(refused).collect(),
            untried,
            spf: self.spf_fact(claim, spf.as_ref(), &dmarc).await,
            dmarc,
            arc,
            sealed,
            notes,
        };
        verdict::verdict(&facts, subject)
    }

    async fn spf(&self, claim: &Claim) -> Option<SpfOutput> {
        let Claim { helo, hostname, reverse_path, .. } = claim;
        let parameters = SpfParameters::verify_mail_from(claim.client?, helo, hostname, reverse_path);
        Some(self.0.verify_spf(parameters).await)
    }

    /// What SPF came to; where nobody could be asked about and all else has failed, whether it might have passed.
    async fn spf_fact(&self, claim: &Claim, output: Option<&SpfOutput>, dmarc: &Dmarc) -> Spf {
        let domain = claim.spf_domain();
        if let Some(output) = output {
            return Spf::Asked { word: spf_word(output.result()), domain: domain.to_owned() };
        }
        let matters = *dmarc == Dmarc::Fail(Policy::Reject)
            && !claim.reverse_path.is_empty()
            && claim.subject().is_aligned(domain);
        if !matters {
            return Spf::NotAsked { open: false };
        }
        let record = self.0.txt_lookup::<spf::Spf>(domain, None::<&NoCache<Box<str>, Txt>>).await;
        let none = matches!(
            record,
            Err(Error::ParseError | Error::Dns(DnsError::RecordNotFound(_) | DnsError::InvalidRecordType))
        );
        Spf::NotAsked { open: !none }
    }

    /// The ARC chain, where its newest seal names a sealer that is believed; no other is asked about. With a pass, what
    /// that sealer has found.
    async fn arc(
        &self,
        message: &AuthenticatedMessage<'_>,
        claim: &Claim,
    ) -> (Option<Signed>, Option<Judged>) {
        let (Some(seal), Some(signature)) = (message.as_headers.last(), message.ams_headers.last()) else {
            return (None, None);
        };
        let (seal, signature) = (&seal.header, &signature.header);
        let told = |word, why: &str| Signed {
            word,
            domain: seal.d.clone(),
            selector: seal.s.clone(),
            why: why.to_owned(),
        };
        let trusted = |name: &str| name.parse().is_ok_and(|domain: Domain| claim.sealers.contains(&domain));
        if !trusted(&seal.d) || !trusted(&signature.d) {
            return (
                Some(told(Word::Policy, "not in authentication.trusted_arc_sealers, not checked")),
                None,
            );
        }
        let sha1 = seal.a == Algorithm::RsaSha1 || signature.a == Algorithm::RsaSha1;
        let weak = if sha1 {
            Some("rsa-sha1 is no proof (RFC 8301)")
        } else {
            signatures::weak_fields(&signature.h)
        };
        if let Some(why) = weak {
            return (Some(told(Word::Policy, why)), None);
        }
        let output = self.0.verify_arc(message).await;
        let (word, why) = dkim_word(output.result());
        let newest = output.sets().last().filter(|_| word == Word::Pass);
        let sealed = newest.map(|set| {
            judge::judged(&sealed_results(set), claim.from.domain(), claim.approved, claim.strict)
        });
        (Some(told(word, &why)), sealed)
    }
}

/// Where the body begins, and its hashes for the signatures of the header, the one costly step.
async fn hashed(raw: Bytes) -> Option<(usize, BodyHashes)> {
    let large = raw.len() > HASH_ASIDE;
    let hash = move || {
        let message = AuthenticatedMessage::parse(&raw)?;
        Some((message.body_offset(), message.body_hashes))
    };
    if large { tokio::task::spawn_blocking(hash).await.ok()? } else { hash() }
}

type BodyHashes =
    Vec<(mail_auth::dkim::Canonicalization, mail_auth::common::crypto::HashAlgorithm, u64, Vec<u8>)>;

/// The ARC-Authentication-Results of a set: `i=1; mx.example; …` (RFC 8617 §4.1.1).
fn sealed_results(set: &Set<'_>) -> Believed {
    let text = String::from_utf8_lossy(set.results.value);
    Believed::of(text.split_once(';').map_or("", |(_, results)| results))
}

fn signed(output: &DkimOutput<'_>) -> Option<Signed> {
    let signature = output.signature()?;
    let (word, why) = dkim_word(output.result());
    Some(Signed { word, domain: signature.d.clone(), selector: signature.s.clone(), why })
}

fn dkim_word(result: &DkimResult) -> (Word, String) {
    match result {
        DkimResult::Pass => (Word::Pass, String::new()),
        // mail-auth's word for a changed body and an expired signature.
        DkimResult::Fail(why) | DkimResult::Neutral(why) => (Word::Fail, why.to_string()),
        DkimResult::PermError(why) => (Word::PermError, why.to_string()),
        DkimResult::TempError(why) => (Word::TempError, why.to_string()),
        DkimResult::None => (Word::None, String::new()),
    }
}

fn spf_word(result: SpfResult) -> Word {
    match result {
        SpfResult::Pass => Word::Pass,
        SpfResult::Fail => Word::Fail,
        SpfResult::SoftFail => Word::SoftFail,
        SpfResult::Neutral => Word::Neutral,
        SpfResult::TempError => Word::TempError,
        SpfResult::PermError => Word::PermError,
        SpfResult::None => Word::None,
    }
}

fn dmarc_of(output: &DmarcOutput) -> Dmarc {
    match output.result() {
        DmarcResult::Pass => Dmarc::Pass,
        DmarcResult::Fail(_) => Dmarc::Fail(match output.policy() {
            dmarc::Policy::Reject => Policy::Reject,
            dmarc::Policy::Quarantine => Policy::Quarantine,
            dmarc::Policy::None | dmarc::Policy::Unspecified => Policy::None,
        }),
        DmarcResult::TempError(why) => Dmarc::TempError(why.to_string()),
        DmarcResult::PermError(why) => Dmarc::PermError(why.to_string()),
        DmarcResult::None => Dmarc::Absent,
    }
}
