//! What facts come to, as a table; the checks themselves are tested on whole daemons (`tests/it/verify_mode`).

use mail_auth::AuthenticatedMessage;

use super::{
    signatures,
    verdict::{Dmarc, Facts, Policy, Signed, Spf, Subject, Verdict, Word, verdict},
};
use crate::{
    authn::judge::Judged,
    types::{Domain, EmailAddress, Standing},
};

fn signature(word: Word, domain: &str) -> Signed {
    Signed { word, domain: domain.to_owned(), selector: "s1".to_owned(), why: String::new() }
}

fn spf(word: Word, domain: &str) -> Spf {
    Spf::Asked { word, domain: domain.to_owned() }
}

/// The standing, `-` where no mail may go out, `?` where an answer is waited for.
fn shown(verdict: &Verdict) -> String {
    let Verdict { evidence, unanswered, .. } = verdict;
    let mail = if evidence.may_mail { "" } else { "-" };
    format!("{}{mail}{}", evidence.standing.as_str(), if unanswered.is_some() { "?" } else { "" })
}

fn judged(
    dmarc: &Dmarc,
    dkim: &Signed,
    spf: &Spf,
    sealed: Option<Judged>,
    (approved, strict): (bool, bool),
) -> String {
    let from: Domain = "a.example".parse().unwrap();
    let facts = Facts {
        dkim: vec![dkim.clone()],
        untried: 0,
        spf: spf.clone(),
        dmarc: dmarc.clone(),
        arc: None,
        sealed,
        notes: Vec::new(),
    };
    shown(&verdict(&facts, Subject { from: &from, approved, strict }))
}

#[test]
fn facts_come_to_a_standing() {
    use Word::{Fail, Pass, TempError};
    let temporary = Dmarc::TempError("no answer".to_owned());
    let (fails, unasked, open) =
        (signature(Fail, "a.example"), Spf::NotAsked { open: false }, Spf::NotAsked { open: true });
    let (own, sub) = (signature(Pass, "a.example"), signature(Pass, "mail.a.example"));
    let foreign = signature(Pass, "b.example");
    let rows: [(Dmarc, &Signed, &Spf, &str, &str); 17] = [
        (Dmarc::Pass, &own, &unasked, "proven", "proven"),
        (Dmarc::Pass, &sub, &unasked, "proven", "unproven"),
        (Dmarc::Pass, &fails, &spf(Pass, "m.a.example"), "proven", "unproven"),
        (Dmarc::Pass, &fails, &spf(Pass, "a.example"), "proven", "proven"),
        (Dmarc::Fail(Policy::Reject), &fails, &unasked, "disproven-", "disproven-"),
        (Dmarc::Fail(Policy::Reject), &fails, &open, "unproven-", "unproven-"),
        (Dmarc::Fail(Policy::Quarantine), &foreign, &unasked, "unproven-", "unproven-"),
        (Dmarc::Fail(Policy::None), &foreign, &spf(Fail, "a.example"), "unproven", "unproven"),
        (temporary, &own, &unasked, "unproven?", "unproven?"),
        (Dmarc::PermError("x".to_owned()), &own, &unasked, "unproven", "unproven"),
        (Dmarc::Absent, &own, &unasked, "proven", "proven"),
        (Dmarc::Absent, &sub, &unasked, "proven", "unproven"),
        (Dmarc::Absent, &foreign, &spf(Fail, "a.example"), "unproven", "unproven"),
        (Dmarc::Absent, &fails, &spf(Pass, "b.example"), "unproven", "unproven"),
        (Dmarc::Absent, &signature(TempError, "a.example"), &unasked, "unproven?", "unproven?"),
        (Dmarc::Absent, &signature(TempError, "b.example"), &unasked, "unproven", "unproven"),
        (
            Dmarc::Absent,
            &signature(TempError, "b.example"),
            &spf(TempError, "b.example"),
            "unproven",
            "unproven",
        ),
    ];
    for (dmarc, dkim, spf, relaxed, strict) in &rows {
        for approved in [false, true] {
            assert_eq!(
                judged(dmarc, dkim, spf, None, (approved, false)),
                *relaxed,
                "{dmarc:?} {dkim:?} {spf:?}"
            );
            assert_eq!(
                judged(dmarc, dkim, spf, None, (approved, true)),
                *strict,
                "{dmarc:?} {dkim:?} {spf:?}"
            );
        }
        let sealed = |standing, may_mail| {
            judged(dmarc, dkim, spf, Some(Judged { standing, may_mail }), (false, false))
        };
        assert_eq!(sealed(Standing::Proven, true), "proven");
        assert_eq!(sealed(Standing::Unproven, true), *relaxed);
        let worse = if *relaxed == "proven" { "proven" } else { "disproven-" };
        assert_eq!(sealed(Standing::Disproven, false), worse);
        let silent = relaxed.replace("unproven-", "unproven").replace("unproven", "unproven-");
        assert_eq!(sealed(Standing::Unproven, false), silent);
    }
    for (word, approved, expected) in [
        (Pass, false, "proven"),
        (Pass, true, "unproven"),
        (TempError, false, "unproven?"),
        (TempError, true, "unproven"),
    ] {
        let spf = spf(word, "a.example");
        assert_eq!(
            judged(&Dmarc::Absent, &fails, &spf, None, (approved, false)),
            expected,
            "{word:?} {approved}"
        );
    }
}

/// A signature that names fields by the thousand would cost the square of them.
#[test]
fn signatures_are_chosen_before_anything_is_asked() {
    let fields =
        |h: &str| format!("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s1; h={h}; bh=AA==; b=AA==\r\n");
    let many = (0..300).map(|n| format!("from:x{n}")).collect::<Vec<_>>().join(":");
    let raw = [fields("from"), fields("to"), fields(&many), "From: x@a.example\r\n\r\n".to_owned()].concat();
    let mut message = AuthenticatedMessage::parse(raw.as_bytes()).unwrap();
    let from: Domain = "a.example".parse().unwrap();
    let subject = Subject { from: &from, approved: false, strict: false };
    let (refused, untried) = signatures::choose(&mut message, subject);
    let why: Vec<_> = refused.iter().map(|signed| (signed.word, signed.why.as_str())).collect();
    assert_eq!(
        why,
        [(Word::Policy, "From is not signed"), (Word::Policy, "names more fields than anybody signs"),]
    );
    assert_eq!((message.dkim_headers.len(), untried), (1, 0));
}

/// The From field that is hashed is the one that was read, or no signature counts.
#[test]
fn signatures_cover_the_from_that_was_read() {
    let ann: EmailAddress = "ann@a.example".parse().unwrap();
    let (other, ends) = (
        Some("they may be over another From than the one that was read"),
        Some("readers may differ about where the header ends"),
    );
    for (raw, doubt) in [
        ("From: Ann <ann@a.example>\r\n\r\n", None),
        ("Subject: x\r\nFROM: ann@a.example\r\n\t<ann@a.example>\r\n\r\n", None),
        ("Subject: x\nFrom: ann@a.example\n\nx", None),
        ("From: bob@a.example\r\n\r\n", other),
        ("From: ann@a.example\r\nfrom: bob@b.example\r\n\r\n", other),
        ("Subject: From\r\n\r\nFrom: ann@a.example\r\n", other),
        ("From: ann@a.example\r\nfrom : bob@b.example\r\n\r\n", ends),
        ("X: y\r\njunk\r\nFrom: ann@a.example\r\n\r\n", ends),
        ("X: y\r\n\x0c\nFrom: ann@a.example\r\n\r\n", ends),
        ("X: y\r\n\r\rFrom: ann@a.example\r\n\r\n", ends),
        ("X: y\r\r\nFrom: ann@a.example\r\n\r\n", ends),
        ("X: y\rz: u\r\nFrom: ann@a.example\r\n\r\n", ends),
    ] {
        let message = AuthenticatedMessage::parse(raw.as_bytes()).unwrap();
        assert_eq!(signatures::doubt(&message, raw.as_bytes(), &ann), doubt, "{raw:?}");
    }
}
