//! Whether a person wrote the mail (access-rules, check 2). `signs` is the table of what speaks against it.

use super::{
    AutomaticSign, Nature, clean,
    groups::{self, list_id},
    signs::{Look, NATURE_ROWS, NatureRow, Seen, SignKind},
};

/// Longest value kept of a sign, in characters.
const MAX_VALUE: usize = 100;

/// How a mail came to a project: what its own bytes don't say.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The envelope's reverse-path; empty for `<>`.
    pub reverse_path: &'a str,
    /// The List-Ids of the groups that forward to the project.
    pub via_lists: &'a [String],
    /// Whether its Message-ID is one that only we can have made.
    pub minted: bool,
}

/// The signs that a mail's own bytes hold: the row's place in the table, and what stood there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Signs {
    found: Vec<(usize, String)>,
    lists: Vec<String>,
}

impl Signs {
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let found = NATURE_ROWS.iter().enumerate().filter_map(|(place, row)| match row.look {
            Look::Mail(look) => look(seen).map(|value| (place, clean::line(&value, MAX_VALUE))),
            Look::Arrival(_) => None,
        });
        Self { found: found.collect(), lists: groups::lists(seen.block) }
    }

    /// The first sign that applies, in the table's order: the strongest.
    pub(super) fn nature(&self, arrival: &Arrival<'_>) -> Nature {
        let own_list = self.came_through(arrival.via_lists);
        let mut rows = NATURE_ROWS.iter().enumerate().filter(|(_, row)| !(own_list && row.of_lists));
        rows.find_map(|(place, row)| Some(nature(row, self.value(place, row, arrival)?)))
            .unwrap_or(Nature::PERSON)
    }

    fn value(&self, place: usize, row: &NatureRow, arrival: &Arrival<'_>) -> Option<String> {
        match row.look {
            Look::Mail(_) => self.found.iter().find(|found| found.0 == place).map(|found| found.1.clone()),
            Look::Arrival(look) => look(arrival).map(|value| clean::line(&value, MAX_VALUE)),
        }
    }

    /// Whether every list that the mail names is one that forwards to the project.
    fn came_through(&self, via_lists: &[String]) -> bool {
        let named = |list: &String| via_lists.iter().any(|via| list_id(via) == *list);
        !self.lists.is_empty() && self.lists.iter().all(named)
    }
}

fn nature(row: &NatureRow, value: String) -> Nature {
    let sign = AutomaticSign { name: row.name.into(), value };
    match row.kind {
        SignKind::Loop => Nature::Loop(sign),
        SignKind::Report => Nature::Report(sign),
        SignKind::Automatic => Nature::Automatic(sign),
        SignKind::Weak => Nature::Person { weak: Some(sign) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::read;

    fn nature(fields: &str, reverse_path: &str, via_lists: &[&str]) -> Nature {
        let lists: Vec<String> = via_lists.iter().map(|&list| list.to_owned()).collect();
        let message = read(format!("From: ada@partner.example\r\n{fields}\r\n").as_bytes());
        message.nature(&Arrival { reverse_path, via_lists: &lists, minted: false })
    }

    /// `KIND NAME`, such as `weak precedence`; `person` without a sign.
    fn told(nature: &Nature) -> String {
        match nature {
            Nature::Person { weak: None } => "person".to_owned(),
            Nature::Person { weak: Some(sign) } => format!("weak {}", sign.name),
            Nature::Automatic(sign) => format!("automatic {}", sign.name),
            Nature::Report(sign) => format!("report {}", sign.name),
            Nature::Loop(sign) => format!("loop {}", sign.name),
        }
    }

    #[test]
    fn values_are_cleaned_and_cut() {
        let long = format!("Auto-Submitted: auto-x\u{202e}\u{7}{}\r\n", "y".repeat(300));
        let Nature::Automatic(sign) = nature(&long, "a@b", &[]) else { panic!("not automatic") };
        assert_eq!(sign.value.chars().count(), MAX_VALUE);
        assert!(sign.value.starts_with("auto-x yyy"), "{}", sign.value);
    }

    /// The value of a field counts, never that it is there.
    #[test]
    fn each_field_is_told_by_its_value() {
        for (fields, expected) in [
            ("", "person"),
            ("Auto-Submitted: no\r\n", "person"),
            ("AUTO-SUBMITTED: No (really; not) ; owner=x\r\n", "person"),
            ("Auto-Submitted:\r\n", "person"),
            ("Auto-Submitted: auto-generated; owner-email=\"a@b\"\r\n", "automatic auto-submitted"),
            ("Auto-Submitted: (x) AUTO-Replied (vacation)\r\n", "automatic auto-submitted"),
            ("Auto-Submitted: no\r\nAuto-Submitted: auto-notified\r\n", "automatic auto-submitted"),
            ("Precedence: first-class\r\n", "person"),
            ("Precedence: Bulk\r\n", "weak precedence"),
            ("precedence: JUNK\r\n", "weak precedence"),
            ("Precedence: list\r\n", "weak precedence"),
            ("Precedence: Auto_Reply\r\n", "automatic auto-reply-precedence"),
            ("X-Precedence: auto-reply\r\n", "automatic auto-reply-precedence"),
            ("Precedence: bulk\r\nList-Unsubscribe: <https://x.example>\r\n", "automatic bulk"),
            ("List-Unsubscribe: <https://x.example>\r\n", "weak list-field"),
            ("List-Id: IT <it.example>\r\n", "automatic list-id"),
            ("X-Auto-Response-Suppress: All\r\n", "weak x-auto-response-suppress"),
            ("X-Auto-Response-Suppress: rn, nrn,oof\r\n", "weak x-auto-response-suppress"),
            ("X-Auto-Response-Suppress: None\r\n", "person"),
            ("X-Auto-Response-Suppress: RN, NRN\r\n", "person"),
            ("X-Autoreply: yes\r\n", "automatic x-autoreply"),
            ("X-Autoreply: No\r\n", "person"),
            ("X-Autorespond: Re: printer\r\n", "automatic x-autoreply"),
            ("X-AutoReply-From: a@b.example\r\n", "automatic x-autoreply"),
            ("X-Autoresponder: vacation\r\n", "automatic x-autoreply"),
            ("X-Failed-Recipients: a@b.example\r\n", "report failed-recipients"),
            ("X-OTRS-Loop: false\r\n", "person"),
            ("X-OTRS-Loop: yes\r\n", "automatic ticket-system"),
            ("X-JIRA-FingerPrint: 1\r\n", "automatic ticket-system"),
            ("X-Cron-Env: <SHELL=/bin/sh>\r\n", "automatic machine"),
            ("X-Loop: it@partner.example\r\n", "weak x-loop"),
            ("Subject: Automatic reply: Printer\r\n", "weak auto-reply-subject"),
            ("Subject: Re: Automatic reply: Printer\r\n", "person"),
            ("Content-Type: multipart/report; boundary=b\r\n", "report report"),
            (
                "Content-Type: multipart/report; report-type=DELIVERY-STATUS; boundary=b\r\n",
                "report delivery-report",
            ),
        ] {
            assert_eq!(told(&nature(fields, "a@b", &[])), expected, "{fields}");
        }
    }

    #[test]
    fn senders_are_told_by_their_names() {
        for (from, reverse_path, expected) in [
            ("MAILER-DAEMON@mx.partner.example", "a@b", "report mailer-daemon"),
            ("Postmaster@partner.example", "a@b", "report mailer-daemon"),
            ("MAILER-DAEMON (Mail Delivery System)", "a@b", "report mailer-daemon"),
            ("postmasters@partner.example", "a@b", "person"),
            ("ada@partner.example", "", "report null-reverse-path"),
            ("ada@partner.example", "MAILER-DAEMON@mx.partner.example", "report null-reverse-path"),
            ("No-Reply@partner.example", "a@b", "weak no-reply-sender"),
            ("do_not_reply+7@partner.example", "a@b", "weak no-reply-sender"),
            ("ne-pas-repondre@partner.example", "a@b", "weak no-reply-sender"),
            ("reply@partner.example", "a@b", "person"),
            ("bounce@partner.example", "a@b", "weak no-reply-sender"),
            ("noah@partner.example", "a@b", "person"),
            ("ada@partner.example", "owner-all@partner.example", "weak list-manager"),
            ("ada@partner.example", "all-request@partner.example", "weak list-manager"),
            ("ada@partner.example", "request@partner.example", "person"),
        ] {
            let raw = format!("From: {from}\r\n\r\n");
            let arrival = Arrival { reverse_path, via_lists: &[], minted: false };
            assert_eq!(told(&read(raw.as_bytes()).nature(&arrival)), expected, "{from} {reverse_path}");
        }
    }

    #[test]
    fn the_strongest_sign_is_told() {
        let fields = "X-Vestibule-Mail: x\r\nAuto-Submitted: auto-replied\r\nPrecedence: bulk\r\n";
        assert_eq!(told(&nature(fields, "", &[])), "loop own-mail");
        assert_eq!(told(&nature(&fields[21..], "", &[])), "report null-reverse-path");
        assert_eq!(told(&nature(&fields[21..], "a@b", &[])), "automatic auto-submitted");
    }

    #[test]
    fn what_goes_in_circles_is_a_loop() {
        let message = read(b"From: ada@partner.example\r\n\r\n");
        let minted = Arrival { reverse_path: "a@b", via_lists: &[], minted: true };
        assert_eq!(told(&message.nature(&minted)), "loop own-message-id");
        let delivered = |n: usize| "Delivered-To: it@desk.example\r\nDelivered-To: x@y.example\r\n".repeat(n);
        assert_eq!(told(&nature(&delivered(2), "a@b", &[])), "person");
        assert_eq!(told(&nature(&delivered(3), "a@b", &[])), "loop delivered-to");
    }

    #[test]
    fn own_lists_lift_only_the_signs_of_lists() {
        for (fields, reverse_path, expected) in [
            ("List-Id: <it.example>\r\nPrecedence: list\r\n", "owner-it@it.example", "person"),
            (
                "List-Id: IT <IT.Example>\r\nX-Loop: it@it.example\r\nList-Post: <mailto:a@b>\r\n",
                "a@b",
                "person",
            ),
            ("Precedence: list\r\n", "a@b", "weak precedence"),
            ("List-Id: <it.example>\r\n", "", "report null-reverse-path"),
            ("List-Id: <it.example>\r\nAuto-Submitted: auto-replied\r\n", "a@b", "automatic auto-submitted"),
            (
                "List-Id: <it.example>\r\nX-Auto-Response-Suppress: All\r\n",
                "a@b",
                "weak x-auto-response-suppress",
            ),
            ("List-Id: <it.example>\r\nList-Id: <hr.example>\r\n", "a@b", "automatic list-id"),
            ("List-Id: <it.example.evil.example>\r\n", "a@b", "automatic list-id"),
        ] {
            assert_eq!(told(&nature(fields, reverse_path, &["it.example"])), expected, "{fields}");
        }
    }

    #[test]
    fn only_a_person_without_a_sign_is_answered() {
        let sign = || AutomaticSign { name: "x".into(), value: String::new() };
        assert!(Nature::PERSON.may_be_answered());
        for nature in [
            Nature::Person { weak: Some(sign()) },
            Nature::Automatic(sign()),
            Nature::Report(sign()),
            Nature::Loop(sign()),
        ] {
            assert!(!nature.may_be_answered(), "{nature:?}");
        }
    }
}
