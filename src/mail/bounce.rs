//! What came to a bounce address of ours: whether it says that a mail could not be delivered (RFC 3464), and in what words.

use super::{Author, Message, clean, fields::HeaderBlock, parse};

/// Longest words kept of a bounce, in characters.
const MAX_WORDS: usize = 256;
/// A run of so many letters of base64url may be a token of ours that the bounce quotes.
const TOKEN: usize = 32;

/// What a mail to a bounce address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounce {
    /// The mail was given up; the bounce's words, without what may be a token of ours.
    Failed(String),
    /// A report that ends nothing: delayed, relayed, delivered, expanded.
    Delayed(String),
    /// No bounce at all: a vacation message, a receipt.
    NoBounce,
}

/// Reads a mail that came to a bounce address with the null reverse-path. Total: whatever can't be understood and comes
/// from a mail system counts as a bounce, and what a person's mail program sends does not.
pub fn bounce(raw: &[u8], message: &Message) -> Bounce {
    let Ok(parsed) = parse::parse(raw) else { return from_its_looks(raw, message) };
    for part in parsed.texts().chain(parsed.attachments()) {
        match part.media_type().as_str() {
            "message/delivery-status" | "message/global-delivery-status" => return report(&part.bytes()),
            "message/disposition-notification"
            | "message/global-disposition-notification"
            | "message/feedback-report" => return Bounce::NoBounce,
            _ => {}
        }
    }
    from_its_looks(raw, message)
}

/// The groups of a delivery report: the first is about the mail, the others each about a recipient (RFC 3464 §2.1).
fn report(bytes: &[u8]) -> Bounce {
    let mut ends_nothing = None;
    let mut rest = bytes.trim_ascii_start();
    while !rest.is_empty() {
        let group = HeaderBlock::of(rest);
        let value = |name| group.first(name).map(|field| field.unfolded().into_owned()).unwrap_or_default();
        let (action, status, diagnostic) = (value("action"), value("status"), value("diagnostic-code"));
        let said = words(&format!("{action} {status} {diagnostic}"));
        match action.split_whitespace().next().map(str::to_ascii_lowercase).as_deref() {
            Some("failed") => return Bounce::Failed(said),
            Some("delayed" | "delivered" | "relayed" | "expanded") => ends_nothing = Some(said),
            _ => {}
        }
        rest = group.body.trim_ascii_start();
    }
    ends_nothing.map_or_else(|| Bounce::Failed(words("a delivery report without an action")), Bounce::Delayed)
}

/// Bounces without a report: of mail systems, by their sender or by the field of Exim.
fn from_its_looks(raw: &[u8], message: &Message) -> Bounce {
    let by_a_system = message.author.as_ref().map_or(true, is_mail_system);
    if by_a_system || HeaderBlock::of(raw).first("x-failed-recipients").is_some() {
        return Bounce::Failed(words(&format!("returned: {}", message.subject)));
    }
    Bounce::NoBounce
}

fn is_mail_system(author: &Author) -> bool {
    let local = author.address.local_part();
    ["mailer-daemon", "postmaster", "mail-daemon", "maildaemon"].contains(&local)
}

/// One line, with what may be a token left out: a bounce often quotes the mail.
fn words(text: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::new();
    for run in text.trim().split_inclusive(|c| !is_letter(c)) {
        let word = run.trim_end_matches(|c| !is_letter(c));
        out.push_str(if word.len() >= TOKEN { "***" } else { word });
        out.push_str(&run[word.len()..]);
    }
    clean::line(&out, MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::read;

    fn of(raw: &str) -> Bounce {
        let raw = raw.replace('\n', "\r\n");
        bounce(raw.as_bytes(), &read(raw.as_bytes()))
    }

    fn reported(fields: &str) -> Bounce {
        of(&format!(
            "From: MAILER-DAEMON@mx.example\nSubject: x\nContent-Type: multipart/report; report-type=delivery-status;\n\
             \tboundary=b\n\n--b\n\nIt came back.\n--b\nContent-Type: message/delivery-status\n\n\
             Reporting-MTA: dns; mx.example\n\n{fields}\n--b\nContent-Type: message/rfc822\n\nSubject: ours\n\n--b--\n"
        ))
    }

    #[test]
    fn a_report_is_believed_by_its_action() {
        let failed = "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n\
                      Diagnostic-Code: smtp; 550 5.1.1 no such\n user\n";
        assert_eq!(reported(failed), Bounce::Failed("failed 5.1.1 smtp; 550 5.1.1 no such user".to_owned()));
        let delayed = "Action: delayed\nStatus: 4.4.1\n";
        assert_eq!(reported(delayed), Bounce::Delayed("delayed 4.4.1".to_owned()));
        assert_eq!(reported(&format!("{delayed}\n{failed}")), reported(failed));
        assert!(matches!(reported("Action: relayed (elsewhere)\n"), Bounce::Delayed(_)));
        assert!(matches!(reported("X: y\n"), Bounce::Failed(_)));
    }

    #[test]
    fn without_a_report_a_mail_system_is_believed_and_a_person_is_not() {
        for (fields, failed) in [
            ("From: MAILER-DAEMON@mx.example\nSubject: failure notice", true),
            ("From: Postmaster <postmaster@mx.example>\nSubject: Undeliverable", true),
            ("Subject: no author at all", true),
            ("From: ada@b.example\nX-Failed-Recipients: ada@b.example", true),
            ("From: ada@b.example\nAuto-Submitted: auto-replied\nSubject: Away", false),
            ("From: ada@b.example\nSubject: Re: ours", false),
        ] {
            let bounce = of(&format!("{fields}\n\nhttps://help.example.com/verify/x\n"));
            assert_eq!(matches!(bounce, Bounce::Failed(_)), failed, "{fields}: {bounce:?}");
        }
        let receipt = "From: ada@b.example\nContent-Type: multipart/report; boundary=b;\n\
                       \treport-type=disposition-notification\n\n--b\n\nread\n--b\n\
                       Content-Type: message/disposition-notification\n\nDisposition: x; displayed\n\n--b--\n";
        assert_eq!(of(receipt), Bounce::NoBounce);
    }

    /// A04: a bounce that quotes the link gives it to nobody.
    #[test]
    fn what_may_be_a_token_is_left_out() {
        let token = "A-b_".repeat(10) + "xyz";
        let Bounce::Failed(words) =
            of(&format!("From: mailer-daemon@mx.example\nSubject: x /verify/{token}, sorry\n\n"))
        else {
            panic!("no bounce")
        };
        assert_eq!(words, "returned: x /verify/***, sorry");
    }
}
