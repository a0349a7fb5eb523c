//! The fields that real border servers write, and what forgers make of them. Names and addresses are changed.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{Evidence, RelayTrust, ResultsFormat, judge};
use crate::{
    mail,
    types::{EmailAddress, Standing},
};

const PEER: &str = "192.0.2.25";

fn trust() -> RelayTrust {
    RelayTrust {
        results_from: vec!["192.0.2.0/24".parse().unwrap()],
        authserv_ids: vec!["mx.desk.example".to_owned()],
        ..RelayTrust::default()
    }
}

/// A mail of this From with these lines on top, from the relay; approved.example is on the list.
fn judged(trust: &RelayTrust, peer: &str, top: &str, from: &str) -> Evidence {
    let raw = format!("{}\r\nFrom: {from}\r\n\r\nx\r\n", top.trim_end().replace('\n', "\r\n"));
    let message = mail::read(raw.as_bytes());
    let author = message.author.as_ref().ok();
    let from = author
        .map(|author| (&author.address, author.address.domain().as_str().ends_with("approved.example")));
    judge(trust, peer.parse::<IpAddr>().unwrap(), &message, from)
}

/// The standing, with a `-` where no mail may go out.
fn word(evidence: &Evidence) -> String {
    format!("{}{}", evidence.standing.as_str(), if evidence.may_mail { "" } else { "-" })
}

/// What the relay wrote after its id, for a mail of boss@approved.example and for one of ann@partner.example.
#[test]
fn results_come_to_a_standing() {
    let rows = [
        ("none", "unproven", "unproven"),
        // Postfix with OpenDMARC; its comments are no word of it.
        ("dmarc=pass (p=reject dis=none) header.from=FROM", "proven", "proven"),
        ("dmarc=fail (p=reject dis=none) header.from=FROM", "disproven-", "disproven-"),
        ("dmarc=fail (p=none dis=none) header.from=FROM", "disproven-", "disproven-"),
        ("dmarc=fail (dmarc=pass) header.from=FROM", "disproven-", "disproven-"),
        ("dmarc=none (p=none) header.from=FROM", "unproven", "unproven"),
        ("dmarc=permerror header.from=FROM; dkim=pass header.d=FROM", "unproven", "unproven"),
        ("dmarc=temperror header.from=FROM", "unproven", "unproven"),
        ("dmarc=pass header.from=evil.example", "unproven", "unproven"),
        ("dmarc=pass", "unproven", "unproven"),
        ("dmarc=pass header.from=FROM header.from=evil.example", "unproven", "unproven"),
        ("dmarc=fail header.from=evil.example; dkim=pass header.d=FROM", "unproven", "unproven"),
        ("dmarc=pass oh header.from=FROM", "unproven", "unproven"),
        ("dmarc=PASS header.from=FROM", "proven", "proven"),
        ("dmarc=pass header.from=USER", "proven", "proven"),
        ("dmarc=fail header.from=USER", "disproven-", "disproven-"),
        ("dmarc=pass header.from=FROM@evil.example", "unproven", "unproven"),
        ("dmarc/1=pass header.from=FROM", "proven", "proven"),
        ("dmarc/2=pass header.from=FROM", "unproven", "unproven"),
        ("dmarc=fail policy.dmarc=quarantine header.from=FROM", "unproven-", "unproven-"),
        ("dmarc=fail policy.dmarc=none header.from=FROM", "unproven", "unproven"),
        ("dmarc=fail policy.dmarc=none policy.action=reject header.from=FROM", "disproven-", "disproven-"),
        ("dmarc=pass header.from=FROM; dmarc=fail header.from=FROM", "disproven-", "disproven-"),
        ("dmarc=pass header.from=FROM; dmarc=none header.from=FROM", "unproven", "unproven"),
        // DKIM where nobody asked for DMARC, or there is no record.
        ("dkim=pass (2048-bit key) header.d=FROM header.s=s1 header.b=\"a/b=\"", "proven", "proven"),
        ("dkim=pass header.i=@FROM header.s=s1", "proven", "proven"),
        ("dkim=pass header.d=mail.FROM header.s=s1; dmarc=none header.from=FROM", "proven", "proven"),
        ("dkim=pass header.d=example header.s=s1", "unproven", "unproven"),
        ("dkim=pass header.d=co.uk header.s=s1", "unproven", "unproven"),
        ("dkim=pass header.d=notFROM", "unproven", "unproven"),
        ("dkim=pass header.d=FROM.evil.example", "unproven", "unproven"),
        ("dkim=pass header.d=evil.example header.i=boss@FROM", "unproven", "unproven"),
        ("dkim=pass", "unproven", "unproven"),
        ("dkim=fail header.d=FROM", "unproven", "unproven"),
        ("dkim=pass header.d=FROM header.s=a; dkim=fail header.d=FROM header.s=a", "unproven", "unproven"),
        ("dkim=pass header.d=FROM header.s=a; dkim=neutral header.d=FROM header.s=b", "proven", "proven"),
        ("dkim=pass header.d=FROM; dkim=fail header.d=FROM header.s=b", "unproven", "unproven"),
        ("domainkeys=pass header.d=FROM; dkim-adsp=pass header.d=FROM", "unproven", "unproven"),
        ("dkim=pass header.d=FROM; dmarc=fail action=none header.from=FROM", "unproven", "unproven"),
        // SPF: outside the approved list only.
        ("spf=pass smtp.mailfrom=x@FROM", "unproven", "proven"),
        ("spf=pass smtp.mailfrom=bounce.FROM smtp.helo=a.example", "unproven", "proven"),
        ("spf=pass smtp.mailfrom=evil.example", "unproven", "unproven"),
        ("spf=pass smtp.helo=FROM", "unproven", "unproven"),
        ("spf=pass smtp.mailfrom=FROM; spf=softfail smtp.mailfrom=FROM", "unproven", "unproven"),
        ("spf=pass smtp.mailfrom=\"a; dmarc=pass header.from=FROM\"@evil.example", "unproven", "unproven"),
        // Submissions.
        ("auth=pass (cram-md5) smtp.auth=USER", "proven", "proven"),
        ("auth=pass smtp.auth=boss smtp.mailfrom=<USER>", "proven", "proven"),
        ("auth=pass smtp.mailfrom=USER", "proven", "proven"),
        ("auth=pass smtp.auth=eve@FROM smtp.mailfrom=USER", "unproven", "unproven"),
        ("auth=pass smtp.auth=boss", "unproven", "unproven"),
        ("auth=fail smtp.auth=USER", "unproven", "unproven"),
        ("auth=pass smtp.auth=USER; dmarc=fail header.from=FROM", "disproven-", "disproven-"),
        ("auth=pass smtp.auth=USER; dmarc=fail action=none header.from=FROM", "proven", "proven"),
        ("auth=pass smtp.auth=USER (unclosed", "unproven", "unproven"),
        // rspamd.
        (
            "dkim=pass header.d=FROM header.s=s1 header.b=Zx1; dmarc=pass (policy=reject) header.from=FROM; spf=pass (mx: domain of x designates 192.0.2.1 as permitted sender) smtp.mailfrom=x@FROM",
            "proven",
            "proven",
        ),
        (
            "dkim=none; dmarc=fail reason=\"No valid SPF\" header.from=FROM (policy=reject)",
            "disproven-",
            "disproven-",
        ),
        // Amazon SES.
        (
            "spf=pass (spfCheck: domain of FROM designates 192.0.2.1 as permitted sender) client-ip=192.0.2.1; envelope-from=x@FROM; helo=a.FROM; dkim=pass header.i=@FROM; dmarc=pass header.from=FROM;",
            "proven",
            "proven",
        ),
        // A gateway in front: an ARC pass is no proof by itself.
        ("arc=pass (i=1 spf=pass dkdomain=FROM dmarc=pass fromdomain=FROM)", "unproven", "unproven"),
        (
            "spf=pass smtp.mailfrom=x@FROM; dkim=pass header.d=FROM header.s=s; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=FROM",
            "proven",
            "proven",
        ),
    ];
    for (results, approved, partner) in rows {
        for (user, expected) in [("boss@approved.example", approved), ("ann@partner.example", partner)] {
            let domain = user.split_once('@').unwrap().1;
            let results = results.replace("FROM", domain).replace("USER", user);
            let top = format!(
                "Authentication-Results: mx.desk.example;\n {results}\nReceived: from a by mx.desk.example; x"
            );
            assert_eq!(word(&judged(&trust(), PEER, &top, user)), expected, "{results}");
        }
    }
}

const PASS: &str = "dmarc=pass header.from=approved.example";
const FAIL: &str = "dmarc=fail header.from=approved.example";

/// Which fields count, by where they stand: OWN is the relay's Received field, NEXT one further below.
#[test]
fn only_what_the_relay_wrote_counts() {
    let rows = [
        // (fields from the top, standing, standing with results_below_received)
        ("AR mx.desk.example; PASS|OWN|NEXT", "proven", "proven"),
        ("AR MX.Desk.Example; PASS|OWN", "proven", "proven"),
        ("AR \"mx.desk.example\" 1; PASS|OWN", "proven", "proven"),
        ("X-Spam: no|AR mx.desk.example; PASS|DKIM-Filter: x|OWN", "proven", "proven"),
        ("AR mx.desk.example 2; PASS|OWN", "unproven", "unproven"),
        ("AR mx.desk.example x; PASS|OWN", "unproven", "unproven"),
        ("AR mx.evil.example; PASS|OWN", "unproven", "unproven"),
        ("AR mx.desk.example.evil.example; PASS|OWN", "unproven", "unproven"),
        ("AR (mx.desk.example) evil.example; PASS|OWN", "unproven", "unproven"),
        ("AR PASS|OWN", "unproven", "unproven"),
        ("ARC-AR i=1; mx.desk.example; PASS|OWN", "unproven", "unproven"),
        // The sender's own, in the place where some milters write.
        ("OWN|AR mx.desk.example; PASS", "unproven", "proven"),
        ("OWN|AR mx.desk.example; PASS|NEXT", "unproven", "proven"),
        ("OWN|OWN|AR mx.desk.example; PASS|NEXT", "unproven", "proven"),
        ("OWN|NEXT|AR mx.desk.example; PASS", "unproven", "unproven"),
        ("OWN|NEXT|OWN|AR mx.desk.example; PASS", "unproven", "unproven"),
        ("AR mx.desk.example; FAIL|OWN|AR mx.desk.example; PASS|NEXT", "disproven-", "disproven-"),
        ("AR mx.desk.example; PASS|OWN|AR mx.desk.example; FAIL|NEXT", "proven", "disproven-"),
        ("AR mx.desk.example; PASS|OWN|NEXT|AR mx.desk.example; FAIL", "proven", "proven"),
        // The worst of several.
        ("AR mx.desk.example; PASS|AR mx.desk.example; FAIL|OWN", "disproven-", "disproven-"),
        ("AR mx.desk.example; FAIL|AR mx.desk.example; PASS|OWN", "disproven-", "disproven-"),
        ("AR mx.desk.example; PASS|AR mx.desk.example; none|OWN", "proven", "proven"),
        ("AR mx.desk.example; PASS|AR mx.desk.example; x=\"y|OWN", "unproven", "unproven"),
        // Without a Received field nobody can tell.
        ("AR mx.desk.example; PASS", "unproven", "unproven"),
    ];
    for (fields, above, below) in rows {
        let top = fields
            .replace("ARC-AR ", "ARC-Authentication-Results: ")
            .replace("AR ", "Authentication-Results: ")
            .replace("PASS", PASS)
            .replace("FAIL", FAIL)
            .replace("OWN", "Received: from a (b [203.0.113.9]) by mx.desk.example (Postfix)\n with ESMTP; x")
            .replace("NEXT", "Received: from c by mail.evil.example; x")
            .replace('|', "\n");
        for (below_received, expected) in [(false, above), (true, below)] {
            let trust = RelayTrust { below_received, ..trust() };
            let evidence = judged(&trust, PEER, &top, "boss@approved.example");
            assert_eq!(word(&evidence), expected, "{fields} {below_received}: {:?}", evidence.findings);
            assert!(!evidence.findings.is_empty(), "{fields}");
        }
        let stranger = judged(&trust(), "198.51.100.1", &top, "boss@approved.example");
        assert_eq!(word(&stranger), "unproven", "{fields}");
    }
    let mapped = format!("Authentication-Results: mx.desk.example; {PASS}\nReceived: by mx.desk.example; x");
    assert_eq!(word(&judged(&trust(), "::ffff:192.0.2.25", &mapped, "boss@approved.example")), "proven");
}

/// Google's own field stands below its own Received field, under one that names another of its servers.
#[test]
fn google_needs_its_names_and_the_place_below() {
    let top = "Received: by mail-wr1-f47.google.com with SMTP id a1 for <it@desk.example>; x\n\
               X-Received: by 2002:a05:6000::1 with SMTP id b2; x\n\
               ARC-Authentication-Results: i=1; mx.google.com; dmarc=pass header.from=evil.example\n\
               Received: from a.example (a.example. [203.0.113.9]) by mx.google.com with ESMTPS id c3; x\n\
               Received-SPF: pass (google.com: x) client-ip=203.0.113.9;\n\
               Authentication-Results: mx.google.com;\n dkim=pass header.i=@approved.example header.s=s1 header.b=Ab1;\n \
               spf=pass (google.com: x) smtp.mailfrom=boss@approved.example;\n \
               dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=approved.example\n\
               Received: from x by y; z";
    let google = RelayTrust { authserv_ids: vec!["mx.google.com".to_owned()], ..trust() };
    assert_eq!(word(&judged(&google, PEER, top, "boss@approved.example")), "unproven");
    let below = RelayTrust { below_received: true, ..google };
    assert_eq!(word(&judged(&below, PEER, top, "boss@approved.example")), "proven");
}

#[test]
fn exchange_online_writes_no_id() {
    const HUB: &str = "Received: from A.outlook.com (2603::1) by B.eurprd01.prod.outlook.com (2603::2)\n with Microsoft SMTP Server; x\n";
    const EDGE: &str = "\nReceived: from mail.example (203.0.113.9) by C.mail.protection.outlook.com (10.1.1.1)\n via Frontend Transport; x";
    let field = |results: &str| format!("Authentication-Results: {results}");
    let rows = [
        (
            "spf=pass (sender IP is 203.0.113.9) smtp.mailfrom=approved.example; dkim=pass (signature was verified) header.d=approved.example;dmarc=pass action=none header.from=approved.example;compauth=pass reason=100",
            "proven",
        ),
        (
            "spf=fail smtp.mailfrom=evil.example; dkim=none (message not signed) header.d=none;dmarc=fail action=oreject header.from=approved.example;compauth=fail reason=000",
            "disproven-",
        ),
        ("dmarc=fail action=o.reject header.from=approved.example", "disproven-"),
        ("dmarc=fail action=quarantine header.from=approved.example", "unproven-"),
        ("dmarc=fail action=pct.quarantine header.from=approved.example", "unproven-"),
        ("dmarc=fail action=none header.from=approved.example;compauth=pass reason=703", "unproven"),
        (
            "spf=pass smtp.mailfrom=approved.example; dkim=none; dmarc=bestguesspass action=none header.from=approved.example;compauth=pass reason=109",
            "unproven",
        ),
        (
            "dkim=none (message not signed) header.d=none;dmarc=none action=none header.from=approved.example;",
            "unproven",
        ),
        ("compauth=pass reason=100", "unproven"),
        ("mx.desk.example; dmarc=pass header.from=approved.example", "unproven"),
    ];
    let online = RelayTrust { format: ResultsFormat::ExchangeOnline, authserv_ids: Vec::new(), ..trust() };
    for (results, expected) in rows {
        let top = format!("{HUB}{HUB}{}{EDGE}", field(results));
        assert_eq!(word(&judged(&online, PEER, &top, "boss@approved.example")), expected, "{results}");
    }
    let pass = field("dmarc=pass action=none header.from=approved.example");
    let fail = field("dmarc=fail action=oreject header.from=approved.example");
    for (top, expected) in [
        (format!("{HUB}{fail}{EDGE}\n{pass}"), "disproven-"),
        (format!("{HUB}{pass}{EDGE}\n{fail}"), "proven"),
        (format!("{HUB}{}\n{pass}{EDGE}", field("other.example; none")), "unproven"),
        (format!("{HUB}{pass}"), "unproven"),
        (format!("{HUB}{pass}\nReceived: from a by mail.evil.example; x"), "unproven"),
        // A relay of the site between; further ones are strangers.
        (format!("Received: from a.outlook.com by edge.desk.example; x\n{HUB}{pass}{EDGE}"), "proven"),
        (format!("{HUB}Received: from a by mail.evil.example; x\n{pass}{EDGE}"), "unproven"),
        (format!("{HUB}Received: from a by outlook.com.evil.example; x\n{pass}{EDGE}"), "unproven"),
        (pass.clone(), "unproven"),
    ] {
        assert_eq!(word(&judged(&online, PEER, &top, "boss@approved.example")), expected, "{top}");
    }
}

/// One ARC set, newest first when several are put together.
fn set(instance: usize, sealer: &str, results: &str) -> String {
    let cv = if instance == 1 { "none" } else { "pass" };
    format!(
        "ARC-Seal: i={instance}; a=rsa-sha256; cv={cv}; d={sealer}; s=a; b=x\n\
         ARC-Message-Signature: i={instance}; a=rsa-sha256; d={sealer}; s=a; h=From:Subject; bh=x; b=y\n\
         ARC-Authentication-Results: i={instance}; mx.{sealer}; {results}\n"
    )
}

/// The relay's field above its own Received field, the ARC sets below, where the relay has seen them.
#[test]
fn a_trusted_sealer_counts_where_the_relay_says_that_the_chain_holds() {
    let lists = "lists.example";
    let broken = "arc=pass (i=1); dmarc=fail header.from=approved.example";
    let (pass, signed) = (set(1, lists, PASS), set(1, lists, "dkim=pass header.d=approved.example"));
    let other = set(1, "evil.example", PASS);
    let both = |newest: &str| set(2, lists, newest) + &other;
    for (relay, sets, expected) in [
        // What the forwarder broke, it had seen whole.
        (broken, pass.clone(), "proven"),
        ("arc=pass", pass.clone(), "proven"),
        ("arc=pass", signed.clone(), "proven"),
        // rspamd, OpenARC, Google.
        ("arc=pass (\"lists.example:s=a:i=1\"); dmarc=none", pass.clone(), "proven"),
        (
            "arc=pass header.oldest-pass=0 smtp.remote-ip=192.0.2.1 arc.chain=lists.example",
            pass.clone(),
            "proven",
        ),
        ("arc=pass (i=1 spf=pass dkim=pass dmarc=pass fromdomain=approved.example)", pass.clone(), "proven"),
        // The relay's own word is missing, is another, or is no proof of anything.
        ("dmarc=fail header.from=approved.example", pass.clone(), "disproven-"),
        ("arc=fail; dmarc=fail header.from=approved.example", pass.clone(), "disproven-"),
        ("arc=pass; arc=fail", pass.clone(), "unproven"),
        ("arc=pass what", pass.clone(), "unproven"),
        ("arc=pass x=\"y", pass.clone(), "unproven"),
        ("none", pass.clone(), "unproven"),
        // Another sealer, or one that sealed last.
        (broken, other.clone(), "disproven-"),
        ("arc=pass", other.clone(), "unproven"),
        ("arc=pass", set(2, "evil.example", PASS) + &pass, "unproven"),
        ("arc=pass", String::new(), "unproven"),
        // The newest sealer's own results count, not those that came to it.
        ("arc=pass", both("dmarc=fail header.from=approved.example"), "disproven-"),
        ("arc=pass", both("arc=pass; dmarc=none"), "unproven"),
        ("arc=pass", both(PASS), "proven"),
        // What it sealed is no proof of this From.
        ("arc=pass", set(1, lists, "dmarc=pass header.from=partner.example"), "unproven"),
        ("arc=pass", set(1, lists, "dmarc=pass"), "unproven"),
        ("arc=pass", set(1, lists, "dmarc=fail (dmarc=pass) header.from=approved.example"), "disproven-"),
        // For worse, too.
        ("arc=pass", set(1, lists, FAIL), "disproven-"),
        (
            "arc=pass",
            set(1, lists, "dmarc=fail policy.dmarc=quarantine header.from=approved.example"),
            "unproven-",
        ),
        (
            "arc=pass; dmarc=fail action=quarantine header.from=approved.example",
            set(1, lists, "none"),
            "unproven-",
        ),
        ("arc=pass; dmarc=fail action=none header.from=approved.example", set(1, lists, FAIL), "disproven-"),
        ("arc=pass", set(1, lists, "auth=pass smtp.auth=boss@approved.example"), "unproven"),
        ("arc=pass", set(1, lists, "spf=pass smtp.mailfrom=approved.example"), "unproven"),
        ("arc=pass", set(1, lists, "dkim=pass header.d=evil.example"), "unproven"),
        ("arc=pass", pass.replace("; mx.lists.example", "; mx.lists.example 2"), "unproven"),
        // Sets that two readers could see differently.
        ("arc=pass", pass.clone() + &pass, "unproven"),
        ("arc=pass", pass.replace("h=From:", "h=To:"), "unproven"),
        ("arc=pass", pass.replace("bh=x", "l=1; bh=x"), "unproven"),
        (broken, pass.replace("ARC-Seal:", "ARC-Seal :"), "disproven-"),
    ] {
        let top = format!(
            "Authentication-Results: mx.desk.example; {relay}\nReceived: from a by mx.desk.example; x\n{sets}"
        );
        let sealers = RelayTrust { arc_sealers: vec![lists.parse().unwrap()], ..trust() };
        let evidence = judged(&sealers, PEER, &top, "boss@approved.example");
        assert_eq!(word(&evidence), expected, "{top} {:?}", evidence.findings);
        if expected == "proven" {
            assert!(
                evidence.findings.iter().any(|line| line.starts_with("lists.example sealed: ")),
                "{evidence:?}"
            );
            assert_ne!(
                judged(&trust(), PEER, &top, "boss@approved.example").standing,
                Standing::Proven,
                "{top}"
            );
            assert_ne!(
                judged(&sealers, "198.51.100.1", &top, "boss@approved.example").standing,
                Standing::Proven
            );
        }
    }
}

/// What the relay itself has found proven, no forwarder takes back.
#[test]
fn a_sealed_failure_takes_no_proof_back() {
    let sealers = RelayTrust { arc_sealers: vec!["lists.example".parse().unwrap()], ..trust() };
    for relay in [PASS, "auth=pass smtp.auth=boss@approved.example", "dkim=pass header.d=approved.example"] {
        let top = format!(
            "Authentication-Results: mx.desk.example; arc=pass; {relay}\nReceived: from a by mx.desk.example; x\n{}",
            set(1, "lists.example", FAIL)
        );
        assert_eq!(word(&judged(&sealers, PEER, &top, "boss@approved.example")), "proven", "{relay}");
    }
}

/// Names in other letters, quotes and odd spellings, as relays and forgers write them: the same domain or address, or no proof.
#[test]
fn only_the_same_name_is_ours() {
    let from_bucher = [
        ("dmarc=pass header.from=xn--bcher-kva.approved.example", "proven"),
        ("dmarc=pass header.from=XN--BCHER-KVA.Approved.Example", "proven"),
        ("dmarc=pass header.from=\"b\u{fc}cher.approved.example\"", "proven"),
        ("dmarc=pass header.from=B\u{dc}CHER.approved.example", "proven"),
        ("dkim=pass header.d=b\u{fc}cher.approved.example", "proven"),
        ("dkim=pass header.i=\"\\\"x@evil.example\\\" y\"@xn--bcher-kva.approved.example", "proven"),
        ("dkim=pass header.i=\"x@approved.example\"@evil.example", "unproven"),
        ("dmarc=pass header.from=bucher.approved.example", "unproven"),
        ("dmarc=pass header.from=xn--bcher-kva.approved.example.", "unproven"),
        ("dmarc=pass header.from=\"xn--bcher-kva.approved.example,evil.example\"", "unproven"),
        ("dmarc=pass header.from=\u{24d0}pproved.example", "unproven"),
        ("dmarc=pass header.from=", "unproven"),
        ("dmarc=pass (header.from=xn--bcher-kva.approved.example)", "unproven"),
        ("dmarc=pass reason=\"header.from=xn--bcher-kva.approved.example\"", "unproven"),
        ("dmarc=pass header.from =(x) xn--bcher-kva.approved.example", "proven"),
        ("auth=pass smtp.auth=ann@xn--bcher-kva.approved.example", "proven"),
        ("auth=pass smtp.auth=ANN@b\u{fc}cher.approved.example", "proven"),
        ("auth=pass smtp.auth=ann+x@xn--bcher-kva.approved.example", "unproven"),
        ("auth=pass smtp.auth=ann@approved.example", "unproven"),
        ("auth=pass smtp.auth=\"ann@xn--bcher-kva.approved.example\"@evil.example", "unproven"),
        ("auth=pass smtp.auth=ann smtp.mailfrom=eve@xn--bcher-kva.approved.example", "unproven"),
        (
            "auth=pass smtp.auth=ann@xn--bcher-kva.approved.example; auth=pass smtp.auth=eve@approved.example",
            "unproven",
        ),
    ];
    let odd_local = [
        ("auth=pass smtp.auth=\"\\\"ann smith\\\"@approved.example\"", "proven"),
        ("auth=pass smtp.auth=ann smith@approved.example", "unproven"),
        ("auth=pass smtp.auth=smith@approved.example", "unproven"),
    ];
    let both = from_bucher.map(|row| ("ann@xn--bcher-kva.approved.example", row)).into_iter();
    for (from, (results, expected)) in
        both.chain(odd_local.map(|row| ("\"ann smith\"@approved.example", row)))
    {
        let top =
            format!("Authentication-Results: mx.desk.example; {results}\nReceived: by mx.desk.example; x");
        assert_eq!(word(&judged(&trust(), PEER, &top, from)), expected, "{results}");
    }
}

/// Results in several fields of the relay count together.
#[test]
fn results_in_several_fields_count_together() {
    for (fields, expected) in [
        (["spf=none", PASS], "proven"),
        ([PASS, "dkim=fail header.d=approved.example"], "proven"),
        ([PASS, "dmarc=temperror header.from=approved.example"], "unproven"),
        ([PASS, "dmarc=pass header.from=partner.example"], "unproven"),
        (["dkim=pass header.d=approved.example", FAIL], "disproven-"),
        (["dkim=pass header.d=approved.example", "dmarc=permerror header.from=approved.example"], "unproven"),
        (
            [
                "dkim=pass header.d=approved.example header.s=a",
                "dkim=fail header.d=approved.example header.s=a",
            ],
            "unproven",
        ),
        (["auth=pass smtp.auth=boss@approved.example", "auth=none"], "unproven"),
        (["auth=pass smtp.auth=boss@approved.example", FAIL], "disproven-"),
    ] {
        for fields in [fields, [fields[1], fields[0]]] {
            let fields = fields
                .map(|results| format!("Authentication-Results: mx.desk.example; {results}\n"))
                .concat();
            let top = format!("{fields}Received: by mx.desk.example; x");
            assert_eq!(word(&judged(&trust(), PEER, &top, "boss@approved.example")), expected, "{fields}");
        }
    }
}

/// A sender can write ARC sets and results, too: below the relay's own Received field they say nothing by themselves.
#[test]
fn nobody_speaks_for_the_relay_about_a_chain() {
    let top = format!(
        "Received: from a by mx.desk.example; x\nAuthentication-Results: mx.desk.example; arc=pass\n{}",
        set(1, "lists.example", PASS)
    );
    let sealers = RelayTrust { arc_sealers: vec!["lists.example".parse().unwrap()], ..trust() };
    assert_eq!(word(&judged(&sealers, PEER, &top, "boss@approved.example")), "unproven");
}

#[test]
fn strict_alignment_wants_exactly_the_domain() {
    let strict = RelayTrust {
        strict_alignment: vec!["approved.example".parse().unwrap()],
        arc_sealers: vec!["lists.example".parse().unwrap()],
        ..trust()
    };
    let sealed = |results: &str| {
        format!(
            "arc=pass\nReceived: from a by mx.desk.example; x\n{}",
            set(1, "lists.example", results).trim_end()
        )
    };
    for (results, relaxed, expected) in [
        (PASS.to_owned(), "proven", "unproven"),
        (format!("dkim=pass header.d=approved.example; {PASS}"), "proven", "proven"),
        (format!("spf=pass smtp.mailfrom=x@approved.example; {PASS}"), "proven", "proven"),
        (format!("dkim=pass header.d=mail.approved.example; {PASS}"), "proven", "unproven"),
        (format!("spf=pass smtp.mailfrom=mail.approved.example; {PASS}"), "proven", "unproven"),
        ("dkim=pass header.d=approved.example".to_owned(), "proven", "proven"),
        ("dkim=pass header.d=mail.approved.example".to_owned(), "proven", "unproven"),
        (FAIL.to_owned(), "disproven-", "disproven-"),
        ("auth=pass smtp.auth=boss@approved.example".to_owned(), "proven", "proven"),
        (sealed(PASS), "proven", "unproven"),
        (sealed(&format!("dkim=pass header.d=approved.example; {PASS}")), "proven", "proven"),
    ] {
        let top = format!(
            "Authentication-Results: mx.desk.example; {results}\nReceived: from a by mx.desk.example; x"
        );
        let relaxed_trust = RelayTrust { strict_alignment: Vec::new(), ..strict.clone() };
        assert_eq!(word(&judged(&relaxed_trust, PEER, &top, "boss@approved.example")), relaxed, "{results}");
        assert_eq!(word(&judged(&strict, PEER, &top, "boss@approved.example")), expected, "{results}");
    }
    let sub =
        "Authentication-Results: mx.desk.example; dkim=pass header.d=approved.example\nReceived: by a; x";
    assert_eq!(
        word(&judged(&strict, PEER, sub, "boss@sub.approved.example")),
        "proven",
        "it names one domain"
    );
}

#[test]
fn internal_relays_speak_for_approved_domains_only() {
    let internal =
        RelayTrust { internal_relays: vec!["10.0.0.1/32".parse().unwrap()], ..RelayTrust::default() };
    for (peer, from, expected) in [
        ("10.0.0.1", "boss@approved.example", "proven"),
        ("10.0.0.1", "ann@partner.example", "unproven"),
        ("10.0.0.2", "boss@approved.example", "unproven"),
    ] {
        assert_eq!(word(&judged(&internal, peer, "Subject: x", from)), expected, "{peer} {from}");
    }
}

#[test]
fn two_authors_are_never_proven() {
    let top = format!("Authentication-Results: mx.desk.example; {PASS}\nReceived: by mx.desk.example; x");
    for from in ["boss@approved.example, z@evil.example", "z@evil.example\r\nFrom: boss@approved.example"] {
        assert_eq!(judged(&trust(), PEER, &top, from).standing, Standing::Unproven, "{from}");
    }
}

#[test]
fn the_trail_is_short_and_printable() {
    let flood = "; dkim=pass header.d=approved.example".repeat(5000);
    let top = format!("Authentication-Results: mx.desk.example{flood}\nReceived: by mx.desk.example; x");
    let evidence = judged(&trust(), PEER, &top, "boss@approved.example");
    assert_eq!(word(&evidence), "unproven");
    assert!(evidence.findings.len() <= 20, "{}", evidence.findings.len());
    let odd = format!(
        "Authentication-Results: mx.desk.example; dkim=pass header.d=\"\u{202e}\u{e9}{}\" header.s=s1\nReceived: x",
        "a".repeat(900)
    );
    let evidence = judged(&trust(), PEER, &odd, "boss@approved.example");
    let line = &evidence.findings[0];
    assert!(line.starts_with("dkim=pass header.d=??aaa") && line.len() <= 160, "{line}");
    let one = "Authentication-Results: mx.desk.example; dkim=pass header.d=approved.example header.s=s1\nReceived: x";
    assert_eq!(
        judged(&trust(), PEER, one, "boss@approved.example").findings,
        ["dkim=pass header.d=approved.example header.s=s1"]
    );
}

/// A line that a forger may write, or part of one.
fn forged() -> impl Strategy<Value = String> {
    let parts = [
        "Authentication-Results: mx.desk.example; ",
        "authentication-results:mx.desk.example;",
        "Received: from a by mx.desk.example; x",
        "Received: from a by b.outlook.com; x",
        "dmarc=pass header.from=approved.example",
        "auth=pass smtp.auth=boss@approved.example",
        "dkim=pass header.d=approved.example",
        "\r\n",
        "\r\n ",
        "\n",
        "\r",
        "(",
        ")",
        "\"",
        ";",
        " ",
    ];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..12)
        .prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever stands below the relay's Received field: it proves nothing, and takes nothing back.
    #[test]
    fn nothing_below_the_relays_received_field_changes_anything(below in forged()) {
        let own = "Received: from a by mx.desk.example; x\r\n";
        let boss: EmailAddress = "boss@approved.example".parse().unwrap();
        for (above, expected) in [
            (String::new(), "unproven"),
            (format!("Authentication-Results: mx.desk.example; {PASS}\r\n"), "proven"),
            (format!("Authentication-Results: mx.desk.example; {FAIL}\r\n"), "disproven-"),
        ] {
            let raw = format!("{above}{own}{below}\r\nFrom: {boss}\r\n\r\nx");
            let message = mail::read(raw.as_bytes());
            let evidence = judge(&trust(), PEER.parse().unwrap(), &message, Some((&boss, true)));
            prop_assert_eq!(word(&evidence), expected);
        }
    }
}
