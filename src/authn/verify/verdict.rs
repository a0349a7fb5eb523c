//! From what SPF, DKIM, DMARC and ARC came to, to a standing (access-rules: *Sender standing*). Pure.

use crate::{
    authn::{
        Entry, Evidence, alignment, field,
        judge::{Judged, MAX_FINDINGS, shown},
    },
    types::{Domain, Standing},
};

/// The result of one method, in the words of RFC 8601 §2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    None,
    /// It may have verified, but is of a kind that is not believed.
    Policy,
    TempError,
    PermError,
}

impl Word {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// One DKIM signature, or an ARC chain by its newest seal.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) word: Word,
    pub(super) domain: String,
    pub(super) selector: String,
    /// Why it is no pass; empty for a pass.
    pub(super) why: String,
}

/// What SPF came to.
#[derive(Debug, Clone)]
pub(super) enum Spf {
    /// For this domain: the envelope sender's, or the name in EHLO for the null reverse-path.
    Asked { word: Word, domain: String },
    /// There is no client to ask it with. Whether it might have passed for the From domain.
    NotAsked { open: bool },
}

/// What the owner of the From domain wants done with a failure, after `sp`, `np` and `t` (RFC 9989 §4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    None,
    Quarantine,
    Reject,
}

/// What DMARC came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dmarc {
    /// The domain has no record that says anything.
    Absent,
    Pass,
    Fail(Policy),
    TempError(String),
    PermError(String),
}

/// All that was found out about one mail.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) dkim: Vec<Signed>,
    /// Signatures beyond those that are tried.
    pub(super) untried: usize,
    pub(super) spf: Spf,
    pub(super) dmarc: Dmarc,
    /// The ARC chain; `None` where there is none.
    pub(super) arc: Option<Signed>,
    /// What a trusted sealer's own results come to.
    pub(super) sealed: Option<Judged>,
    /// Anything else for the trail.
    pub(super) notes: Vec<String>,
}

/// Whom it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) from: &'a Domain,
    /// Whether the domain is on the approved list.
    pub(super) approved: bool,
    /// Whether only an exact match is aligned.
    pub(super) strict: bool,
}

/// What the checks came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The standing, and what it rests on.
    pub evidence: Evidence,
    /// Method and result, for the counters: from a small set of words.
    pub results: Vec<(&'static str, &'static str)>,
    /// What DNS gave no answer to at present, where the answer could have proven the sender.
    pub unanswered: Option<String>,
}

impl Verdict {
    /// Without any check of ours.
    pub fn of(evidence: Evidence) -> Self {
        Self { evidence, results: Vec::new(), unanswered: None }
    }

    /// The checks came to no end, for this reason.
    pub(super) fn unanswered(why: &str) -> Self {
        Self { unanswered: Some(why.to_owned()), ..Self::of(Evidence::unproven(why)) }
    }
}

/// What the facts come to.
pub(super) fn verdict(facts: &Facts, subject: Subject<'_>) -> Verdict {
    let Judged { standing, may_mail } = own(facts, subject).beside_sealed(facts.sealed);
    let unanswered = waiting(facts, subject).filter(|_| standing == Standing::Unproven);
    let evidence =
        Evidence { standing, may_mail, findings: findings(facts, subject), results: told(facts, subject) };
    Verdict { evidence, results: results(facts), unanswered }
}

/// What our own checks come to.
fn own(facts: &Facts, subject: Subject<'_>) -> Judged {
    let told = |standing, may_mail| Judged { standing, may_mail };
    let spf_is_open = matches!(facts.spf, Spf::NotAsked { open: true });
    match &facts.dmarc {
        Dmarc::Pass if !subject.strict || vouched(facts, subject, Word::Pass) => told(Standing::Proven, true),
        // It failed for want of a client address alone: nobody knows, and nobody is mailed.
        Dmarc::Fail(Policy::Reject) if spf_is_open => told(Standing::Unproven, false),
        Dmarc::Fail(Policy::Reject) => told(Standing::Disproven, false),
        Dmarc::Fail(Policy::Quarantine) => told(Standing::Unproven, false),
        Dmarc::Absent if signed(facts, subject, Word::Pass) => told(Standing::Proven, true),
        Dmarc::Absent if !subject.approved && sent(facts, subject, Word::Pass) => {
            told(Standing::Proven, true)
        }
        _ => told(Standing::Unproven, true),
    }
}

/// What a later try may find out, as far as it matters.
fn waiting(facts: &Facts, subject: Subject<'_>) -> Option<String> {
    let counts = match &facts.dmarc {
        Dmarc::TempError(_) => true,
        Dmarc::Absent => {
            signed(facts, subject, Word::TempError)
                || (!subject.approved && sent(facts, subject, Word::TempError))
        }
        Dmarc::Pass => vouched(facts, subject, Word::TempError),
        Dmarc::Fail(_) | Dmarc::PermError(_) => false,
    };
    let arc = facts.arc.as_ref().is_some_and(|arc| arc.word == Word::TempError);
    let lines = findings(facts, subject);
    let lines: Vec<_> = lines.into_iter().filter(|line| line.contains("=temperror")).collect();
    (counts || arc).then(|| lines.join("; "))
}

fn vouched(facts: &Facts, subject: Subject<'_>, word: Word) -> bool {
    signed(facts, subject, word) || sent(facts, subject, word)
}

fn signed(facts: &Facts, subject: Subject<'_>, word: Word) -> bool {
    facts.dkim.iter().any(|signed| signed.word == word && subject.is_aligned(&signed.domain))
}

fn sent(facts: &Facts, subject: Subject<'_>, word: Word) -> bool {
    matches!(&facts.spf, Spf::Asked { word: told, domain } if *told == word && subject.is_aligned(domain))
}

impl Subject<'_> {
    /// Whether the domain may speak for the From domain.
    pub(super) fn is_aligned(self, domain: &str) -> bool {
        alignment::aligned(domain, self.from, self.strict)
    }
}

fn results(facts: &Facts) -> Vec<(&'static str, &'static str)> {
    let mut results: Vec<_> = facts.dkim.iter().map(|signed| ("dkim", signed.word.as_str())).collect();
    if facts.dkim.is_empty() {
        results.push(("dkim", Word::None.as_str()));
    }
    if let Spf::Asked { word, .. } = &facts.spf {
        results.push(("spf", word.as_str()));
    }
    results.push(("dmarc", facts.dmarc.word().as_str()));
    results.extend(facts.arc.iter().map(|arc| ("arc", arc.word.as_str())));
    results
}

impl Dmarc {
    fn word(&self) -> Word {
        match self {
            Self::Absent => Word::None,
            Self::Pass => Word::Pass,
            Self::Fail(_) => Word::Fail,
            Self::TempError(_) => Word::TempError,
            Self::PermError(_) => Word::PermError,
        }
    }
}

/// For our own Authentication-Results field.
fn told(facts: &Facts, subject: Subject<'_>) -> Vec<String> {
    let entry = |method: &str, word: Word, properties: &[(&str, &str)]| Entry {
        method: method.to_owned(),
        result: word.as_str().to_owned(),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        clean: true,
    };
    let dmarc = entry("dmarc", facts.dmarc.word(), &[("header.from", subject.from.as_str())]);
    let spf = match &facts.spf {
        Spf::Asked { word, domain } => Some(entry("spf", *word, &[("smtp.mailfrom", domain)])),
        Spf::NotAsked { .. } => None,
    };
    let dkim = facts.dkim.iter().map(|signed| {
        entry("dkim", signed.word, &[("header.d", &signed.domain), ("header.s", &signed.selector)])
    });
    let all = std::iter::once(dmarc).chain(spf).chain(dkim).take(field::MAX_RESULTS);
    all.map(|entry| field::resinfo(&entry)).collect()
}

/// The lines for the trail, each result with its domain and selector.
fn findings(facts: &Facts, subject: Subject<'_>) -> Vec<String> {
    let mut lines: Vec<String> = facts.dkim.iter().take(MAX_FINDINGS).map(|it| it.line("dkim")).collect();
    if facts.dkim.is_empty() {
        lines.push("dkim=none".to_owned());
    }
    if facts.untried > 0 {
        lines.push(format!("{} more DKIM signatures: not tried", facts.untried));
    }
    lines.push(match &facts.spf {
        Spf::Asked { word, domain } => format!("spf={} smtp.mailfrom={domain}", word.as_str()),
        Spf::NotAsked { .. } => {
            "spf was not asked: the peer is a relay, and no client was told with XCLIENT, XFORWARD or PROXY"
                .to_owned()
        }
    });
    let dmarc = format!("dmarc={} header.from={}", facts.dmarc.word().as_str(), subject.from);
    lines.push(match &facts.dmarc {
        Dmarc::Fail(policy) => format!("{dmarc} policy.dmarc={}", policy.as_str()),
        Dmarc::TempError(why) | Dmarc::PermError(why) => format!("{dmarc} ({why})"),
        Dmarc::Pass if subject.strict && !vouched(facts, subject, Word::Pass) => {
            format!("{dmarc}, but not of exactly this domain (authentication.strict_alignment)")
        }
        Dmarc::Pass | Dmarc::Absent => dmarc,
    });
    lines.extend(facts.arc.iter().map(|arc| arc.line("arc")));
    lines.extend(facts.sealed.map(|it| format!("the ARC sealer's word: {}", it.standing.as_str())));
    lines.extend(facts.notes.iter().cloned());
    lines.iter().map(|line| shown(line)).collect()
}

impl Signed {
    fn line(&self, method: &str) -> String {
        let Self { word, domain, selector, why } = self;
        let line = match domain.as_str() {
            // A field that can't be read tells neither.
            "" => format!("{method}={}", word.as_str()),
            _ => format!("{method}={} header.d={domain} header.s={selector}", word.as_str()),
        };
        if why.is_empty() { line } else { format!("{line} ({why})") }
    }
}

impl Policy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}
