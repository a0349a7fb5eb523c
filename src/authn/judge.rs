//! From the results that count to a standing (access-rules: *Sender standing*). The worst of several results wins.

use std::net::IpAddr;

use super::{Entry, Evidence, RelayTrust, alignment::aligned, field, relay::Believed};
use crate::{
    mail::{ArcChain, Message},
    types::{Domain, EmailAddress, Standing},
};

/// Most lines for the trail.
pub(super) const MAX_FINDINGS: usize = 16;
/// Longest line for the trail, in characters.
const MAX_FINDING: usize = 160;

/// What the DMARC results come to, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dmarc {
    Pass,
    /// The From domain has no DMARC record, or nobody asked.
    Absent,
    /// Anything that is neither: errors, policy none, another From domain, a field that can't be read.
    Undecided,
    /// Failed under quarantine: no mail goes out.
    Quarantine,
    /// Failed under reject, or no action was told.
    Reject,
}

/// How far `from` is proven by what the peer's fields say. `approved` is whether the From domain is on the approved list, where
/// SPF is no proof and internal relays count.
pub fn judge(
    trust: &RelayTrust,
    peer: IpAddr,
    message: &Message,
    from: Option<(&EmailAddress, bool)>,
) -> Evidence {
    let mut findings = Vec::new();
    let (mut believed, mut by_sealer) = (Believed::default(), None);
    if trust.has_results_from(peer) {
        believed = trust.believed(&message.trace);
        describe(&believed, &mut findings);
        by_sealer = sealed_results(trust, &believed, &message.arc, &mut findings);
    } else {
        findings.push("the peer is in no network of authentication.results_from".to_owned());
    }
    let internal = trust.is_internal(peer) && from.is_some_and(|(_, approved)| approved);
    if internal {
        findings.push("the peer is in authentication.internal_relays".to_owned());
    }
    let results: Vec<String> = believed.entries("").take(field::MAX_RESULTS).map(field::resinfo).collect();
    let Some((from, approved)) = from else {
        return Evidence { standing: Standing::Unproven, may_mail: true, findings, results };
    };
    let strict = trust.is_strict(from.domain());
    let own = if internal || is_submitted(&believed, from, strict) {
        Judged { standing: Standing::Proven, may_mail: true }
    } else {
        judged(&believed, from.domain(), approved, strict)
    };
    let sealed = by_sealer.map(|results| judged(&results, from.domain(), approved, strict));
    let Judged { standing, may_mail } = own.beside_sealed(sealed);
    Evidence { standing, may_mail, findings, results }
}

/// A standing, and whether a verification mail may go out for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) standing: Standing,
    pub(super) may_mail: bool,
}

impl Judged {
    /// An ARC pass by a trusted sealer counts as its result, for better or worse; what is proven here needs no other's word.
    pub(super) fn beside_sealed(self, sealed: Option<Self>) -> Self {
        use Standing::{Disproven, Proven, Unproven};
        let Some(sealed) = sealed else { return self };
        match (self.standing, sealed.standing) {
            (Proven, _) | (Disproven, Disproven | Unproven) => self,
            (_, Proven | Disproven) => sealed,
            (Unproven, Unproven) => Self { standing: Unproven, may_mail: self.may_mail && sealed.may_mail },
        }
    }
}

/// The results that a trusted sealer wrote, where the relay says that the chain holds (RFC 8617 §5.2). The relay's word is
/// about the newest seal; what older ones say, the newest sealer has judged, and its own results say how.
fn sealed_results(
    trust: &RelayTrust,
    believed: &Believed,
    chain: &ArcChain,
    findings: &mut Vec<String>,
) -> Option<Believed> {
    let mut entries = believed.entries("arc").peekable();
    let holds = entries.peek().is_some() && entries.all(|entry| entry.clean && entry.result == "pass");
    if !holds || believed.malformed || trust.arc_sealers.is_empty() {
        return None;
    }
    let set = match chain {
        ArcChain::Sealed(set) => set,
        ArcChain::Absent => {
            findings.push("arc=pass, and the mail has no ARC set: not counted".to_owned());
            return None;
        }
        ArcChain::Unreadable(why) => {
            findings.push(format!("arc=pass, but the ARC sets can be read in several ways: {why}"));
            return None;
        }
    };
    if !trust.arc_sealers.contains(&set.sealer) {
        findings.push(format!("{} sealed, which is not in authentication.trusted_arc_sealers", set.sealer));
        return None;
    }
    let sealed = Believed::of(&set.results);
    findings.extend(
        sealed
            .entries("")
            .take(MAX_FINDINGS)
            .map(|entry| format!("{} sealed: {}", set.sealer, finding(entry))),
    );
    Some(sealed)
}

/// What the results of a relay come to, or those of a trusted sealer: what it found when the mail came to it (RFC 8617
/// §4.1.1). Logins are looked at elsewhere: a sealer's were its own people's.
pub(super) fn judged(results: &Believed, from: &Domain, approved: bool, strict: bool) -> Judged {
    let dmarc = dmarc(results, from, strict);
    let standing = match dmarc {
        Dmarc::Reject => Standing::Disproven,
        Dmarc::Pass => Standing::Proven,
        Dmarc::Absent if signed(results, from, strict) => Standing::Proven,
        Dmarc::Absent if !approved && sent_from(results, from, strict) => Standing::Proven,
        Dmarc::Quarantine | Dmarc::Absent | Dmarc::Undecided => Standing::Unproven,
    };
    Judged { standing, may_mail: dmarc < Dmarc::Quarantine }
}

/// The worst of all DMARC results. Under strict alignment a pass is one only beside a signature or an envelope sender of exactly
/// the From domain, as the field does not say what the pass rests on.
fn dmarc(believed: &Believed, from: &Domain, strict: bool) -> Dmarc {
    let worst = believed.entries("dmarc").map(|entry| dmarc_of(entry, from)).max().unwrap_or(Dmarc::Absent);
    let exact = || signed(believed, from, true) || sent_from(believed, from, true);
    let floor = if believed.malformed || (strict && worst == Dmarc::Pass && !exact()) {
        Dmarc::Undecided
    } else {
        Dmarc::Pass
    };
    worst.max(floor)
}

fn dmarc_of(entry: &Entry, from: &Domain) -> Dmarc {
    let told = entry.first("header.from").is_some();
    let ours = entry.all("header.from").all(|name| is_domain(name, from));
    match entry.result.as_str() {
        _ if !ours => Dmarc::Undecided,
        "pass" if told && entry.clean => Dmarc::Pass,
        "none" | "bestguesspass" => Dmarc::Absent,
        "fail" => action(entry),
        _ => Dmarc::Undecided,
    }
}

/// What the domain's policy asks for: `action=` of Exchange Online, or a property of type `policy` (RFC 8601 §2.3). A
/// comment, such as `OpenDMARC`'s `(p=none dis=none)`, is no word of it. The hardest of several counts.
fn action(entry: &Entry) -> Dmarc {
    const NAMES: [&str; 4] = ["action", "policy.action", "policy.dmarc", "policy.published-domain-policy"];
    let told = NAMES.iter().flat_map(|name| entry.all(name)).map(|word| {
        match word.to_ascii_lowercase().as_str() {
            "none" | "temperror" | "permerror" => Dmarc::Undecided,
            // Sampled out by pct=: the policy was not applied.
            "quarantine" | "pct.quarantine" | "pct.reject" => Dmarc::Quarantine,
            _ => Dmarc::Reject,
        }
    });
    told.max().unwrap_or(Dmarc::Reject)
}

/// Some write the whole address.
fn is_domain(text: &str, domain: &Domain) -> bool {
    let text = text.rsplit_once('@').map_or(text, |(_, domain)| domain);
    text.parse::<Domain>().is_ok_and(|read| read == *domain)
}

/// `auth=pass`: the relay knows the sender by a login (RFC 8601 §2.7.4), and DMARC asks for no more than to look. Where the
/// login is an address it is the one that counts; the envelope sender beside it is the client's own word then.
fn is_submitted(believed: &Believed, from: &EmailAddress, strict: bool) -> bool {
    let is_from =
        |text: &str| text.trim_matches(['<', '>']).parse::<EmailAddress>().is_ok_and(|a| a == *from);
    let proves = |entry: &Entry| {
        let login = entry.first("smtp.auth").filter(|login| login.contains('@'));
        entry.clean
            && entry.result == "pass"
            && login.or_else(|| entry.first("smtp.mailfrom")).is_some_and(is_from)
    };
    let mut entries = believed.entries("auth").peekable();
    let submitted = entries.peek().is_some() && entries.all(proves);
    submitted && !believed.malformed && dmarc(believed, from.domain(), strict) < Dmarc::Quarantine
}

/// An aligned signature that verified, and no other result for the same signer and selector.
fn signed(believed: &Believed, from: &Domain, strict: bool) -> bool {
    let same = |a: &Entry, b: &Entry| {
        let (ours, theirs) = (a.first("header.s"), b.first("header.s"));
        signer(a).is_some()
            && signer(a) == signer(b)
            && (ours.is_none() || theirs.is_none() || ours == theirs)
    };
    let proves = |entry: &Entry| {
        entry.clean
            && entry.result == "pass"
            && signer(entry).is_some()
            && signers(entry).all(|name| aligned(name, from, strict))
            && believed.entries("dkim").all(|other| other.result == "pass" || !same(entry, other))
    };
    believed.entries("dkim").any(proves)
}

/// `header.d`, and what follows the @ of `header.i`, which is d or below it (RFC 6376 §3.5).
fn signers(entry: &Entry) -> impl Iterator<Item = &str> {
    entry.all("header.d").chain(entry.all("header.i").filter_map(|name| Some(name.rsplit_once('@')?.1)))
}

fn signer(entry: &Entry) -> Option<String> {
    signers(entry).next().map(str::to_ascii_lowercase)
}

/// SPF passed for an aligned envelope sender, and nothing says otherwise.
fn sent_from(believed: &Believed, from: &Domain, strict: bool) -> bool {
    let by_helo =
        |entry: &Entry| entry.first("smtp.mailfrom").is_none() && entry.first("smtp.helo").is_some();
    let proves = |entry: &Entry| {
        let mut senders = entry.all("smtp.mailfrom").peekable();
        entry.clean
            && entry.result == "pass"
            && senders.peek().is_some()
            && senders.all(|name| {
                let name = name.trim_matches(['<', '>']);
                aligned(name.rsplit_once('@').map_or(name, |(_, domain)| domain), from, strict)
            })
    };
    let mut entries = believed.entries("spf").filter(|entry| !by_helo(entry)).peekable();
    entries.peek().is_some() && entries.all(proves)
}

/// The lines for the trail: each result with its method, domain and selector.
fn describe(believed: &Believed, findings: &mut Vec<String>) {
    findings.extend(believed.entries("").take(MAX_FINDINGS).map(finding));
    let more = believed.entries("").count().saturating_sub(MAX_FINDINGS);
    if more > 0 {
        findings.push(format!("{more} more results"));
    }
    if believed.malformed {
        findings.push("Authentication-Results of the relay that can't be read: no proof".to_owned());
    }
    if believed.ignored > 0 {
        findings.push(format!(
            "{} Authentication-Results below the relay's own Received field, where a sender can write: not counted",
            believed.ignored
        ));
    }
    if believed.fields.is_empty() && believed.ignored == 0 {
        findings.push("no Authentication-Results of the relay".to_owned());
    }
}

fn finding(entry: &Entry) -> String {
    const NAMES: [&str; 8] = [
        "header.from",
        "header.d",
        "header.i",
        "header.s",
        "smtp.auth",
        "smtp.mailfrom",
        "action",
        "policy.dmarc",
    ];
    let told = NAMES.iter().filter_map(|name| Some([" ", name, "=", entry.first(name)?].concat()));
    let line: String =
        [entry.method.as_str(), "=", &entry.result].into_iter().map(str::to_owned).chain(told).collect();
    shown(&line)
}

/// One line for the trail: printable ASCII, cut.
pub(super) fn shown(line: &str) -> String {
    line.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).take(MAX_FINDING).collect()
}
