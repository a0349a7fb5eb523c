//! How mail servers write bounces that carry no field which says so, and mail programs their automatic replies. Conservative:
//! a person's mail that quotes or forwards a bounce has another subject (`Re:`, `Fwd:`) or other first words, and is a
//! person's.

use super::signs::Seen;

/// Most characters of the text that are looked at: the first words stand there.
pub(super) const OPENING: usize = 2_000;

/// A bounce as one server writes it: both must begin so, in lower case.
struct Shape {
    server: &'static str,
    subjects: &'static [&'static str],
    openings: &'static [&'static str],
}

const SHAPES: &[Shape] = &[
    Shape {
        server: "Postfix",
        subjects: &["undelivered mail returned to sender", "delayed mail (still being retried)"],
        openings: &["this is the mail system at host "],
    },
    Shape {
        server: "Sendmail",
        subjects: &["returned mail: ", "warning: could not send message for past "],
        openings: &["the original message was received at ", "this is a warning message only"],
    },
    Shape {
        server: "Exim",
        subjects: &["mail delivery failed", "warning: message "],
        openings: &["this message was created automatically by mail delivery software"],
    },
    Shape {
        server: "qmail",
        subjects: &["failure notice"],
        openings: &[
            "hi. this is the qmail-send program at ",
            "sorry, we were unable to deliver your message",
        ],
    },
    Shape {
        server: "Exchange",
        subjects: &["undeliverable: ", "delivery delayed: ", "unzustellbar: ", "non remis : ", "non remis: "],
        openings: &[
            "delivery has failed to these recipients or groups",
            "your message did not reach some or all of the intended recipients",
            "delivery is delayed to these recipients or groups",
            "fehler bei der nachrichtenzustellung an folgende empfänger oder gruppen",
            "échec de la remise pour ces destinataires ou groupes",
            "échec de la remise aux destinataires ou groupes suivants",
        ],
    },
    Shape {
        server: "Gmail",
        subjects: &["delivery status notification ("],
        openings: &[
            "address not found",
            "message blocked",
            "message not delivered",
            "delivery incomplete",
            "delivery to the following recipient failed permanently",
            "this is an automatically generated delivery status notification",
        ],
    },
    Shape { server: "Domino", subjects: &["delivery failure: "], openings: &["your message"] },
];

/// Beginnings of the subject of an automatic reply, as Outlook and Exchange write them, in lower case.
const AUTO_REPLIES: [&str; 12] = [
    "automatic reply: ",
    "out of office: ",
    "out of office autoreply: ",
    "automatische antwort: ",
    "abwesenheitsnotiz: ",
    "réponse automatique : ",
    "réponse automatique: ",
    "respuesta automática: ",
    "risposta automatica: ",
    "automatisch antwoord: ",
    "resposta automática: ",
    "autosvar: ",
];

/// The server that writes bounces like this one. What a mail program has sent is a person's.
pub(super) fn shape(seen: &Seen<'_>) -> Option<&'static str> {
    let subject = seen.subject.to_lowercase();
    let shape = SHAPES.iter().find(|shape| begins(&subject, shape.subjects))?;
    let client = ["user-agent", "x-mailer"].into_iter().any(|name| seen.block.first(name).is_some());
    let opening = (seen.opening)().to_lowercase();
    // Gmail puts its heading between asterisks, Sendmail its warning into a box of them.
    let first = opening.trim_start_matches(|c: char| c.is_whitespace() || c == '*');
    (!client && begins(first, shape.openings)).then_some(shape.server)
}

fn begins(text: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| text.starts_with(beginning))
}

/// Whether the subject is that of an automatic reply.
pub(super) fn auto_reply(subject: &str) -> bool {
    begins(&subject.to_lowercase(), &AUTO_REPLIES)
}

#[cfg(test)]
mod tests {
    use crate::mail::{Arrival, Nature, read};

    fn is_bounce(subject: &str, more: &str, text: &str) -> bool {
        let raw =
            format!("From: System <system@mx.partner.example>\r\nSubject: {subject}\r\n{more}\r\n{text}\r\n");
        let arrival = Arrival { reverse_path: "system@mx.partner.example", via_lists: &[], minted: false };
        matches!(read(raw.as_bytes()).nature(&arrival), Nature::Report(sign) if sign.name == "bounce-shape")
    }

    #[test]
    fn bounces_without_a_field_are_told_and_what_quotes_them_is_not() {
        let (subject, text) =
            ("Undelivered Mail Returned to Sender", "This is the mail system at host mx.example.");
        assert!(is_bounce(subject, "", text));
        assert!(is_bounce("Delivery Status Notification (Failure)", "", "\r\n** Address not found **\r\n"));
        assert!(is_bounce(
            "Warning: could not send message for past 4 hours",
            "",
            "    ****\r\n    **   THIS IS A WARNING MESSAGE ONLY   **"
        ));
        for (subject, more, text) in [
            ("Re: Undelivered Mail Returned to Sender", "", text),
            ("Fwd: Undelivered Mail Returned to Sender", "", text),
            (subject, "", "What does this mean?\r\n\r\nThis is the mail system at host mx.example."),
            (subject, "", "> This is the mail system at host mx.example."),
            (
                subject,
                "",
                "-------- Forwarded message --------\r\nThis is the mail system at host mx.example.",
            ),
            (subject, "X-Mailer: Outlook\r\n", text),
            ("Failure notice in the lift", "", "Hi. This is the caretaker."),
            ("I got: Undelivered Mail Returned to Sender", "", text),
        ] {
            assert!(!is_bounce(subject, more, text), "{subject} {more} {text}");
        }
    }
}
