//! What stands below a text and is none: signatures, and the lines that phones add.

use super::{
    Line,
    phrases::{DEVICES, SENT_WITH},
};

/// Most lines below `-- ` (RFC 3676 §4.3).
const MAX_LINES: usize = 30;
/// Most lines below `--` without its space, which people also write to part their text.
const MAX_LINES_UNSURE: usize = 8;
/// Longest line of a phone in bytes.
const MAX_PHONE_LINE: usize = 160;

/// The line that begins the signature with which `lines` end.
pub(super) fn start(lines: &[Line<'_>]) -> Option<usize> {
    let from = lines.len().saturating_sub(MAX_LINES + 1);
    let at = (from..lines.len()).rev().find(|at| lines[*at].text == "--" || lines[*at].is_quoted())?;
    let is_sure = lines[at].full.ends_with("-- ");
    let below = lines.len() - at - 1;
    (!lines[at].is_quoted() && (is_sure || below <= MAX_LINES_UNSURE)).then_some(at)
}

/// `Sent from my iPhone`, in any language: says that it was sent, says from what, and says nothing else.
pub(super) fn is_phone_line(text: &str) -> bool {
    if text.len() > MAX_PHONE_LINE {
        return false;
    }
    let lower = text.to_lowercase().replace('\u{a0}', " ");
    let lower = lower.trim_start_matches(['*', '_', '[', '(', ' ']);
    let says = |phrase: &&str| match phrase.chars().next() {
        // Ideographs and syllables end the line as well as begin it.
        Some(first) if !first.is_ascii() => lower.contains(phrase),
        _ => lower.starts_with(*phrase) || ends_with_word(lower, phrase),
    };
    SENT_WITH.iter().any(says) && DEVICES.iter().any(|device| lower.contains(device))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let end = text.trim_end_matches(['.', '*', '_', ']', ')', ' ']);
    end.strip_suffix(word.trim_end()).is_some_and(|rest| rest.ends_with([' ', '>']))
}

#[cfg(test)]
mod tests {
    use super::{super::lines_of, *};

    #[test]
    fn phones_say_so_in_every_language() {
        for text in [
            "Sent from my iPhone",
            "Sent from Outlook for iOS<https://aka.ms/o0ukef>",
            "Get Outlook for Android<https://aka.ms/ghei36>",
            "Sent from Mail for Windows 10",
            "Sent from Yahoo Mail on Android",
            "Sent with Proton Mail secure email.",
            "Von meinem iPhone gesendet",
            "Gesendet von Outlook für iOS",
            "Holen Sie sich Outlook für iOS",
            "Outlook für Android<https://aka.ms/AAb9ysg> herunterladen",
            "Diese Nachricht wurde von meinem Android Mobiltelefon mit K-9 Mail gesendet.",
            "Envoyé de mon iPhone",
            "Obtenir Outlook pour Android",
            "Enviado desde mi iPhone",
            "Enviado do meu iPhone",
            "Inviato da iPhone",
            "Verzonden vanaf mijn iPhone",
            "Skickat från min iPhone",
            "Sendt fra min iPhone",
            "Lähetetty iPhonesta",
            "Wysłane z iPhone'a",
            "Odesláno z iPhonu",
            "iPhone'umdan gönderildi",
            "Отправлено с iPhone",
            "Надіслано з iPhone",
            "iPhoneから送信",
            "发自我的 iPhone",
            "從我的 iPhone 傳送自",
            "나의 iPhone에서 보냄",
        ] {
            assert!(is_phone_line(text), "{text}");
        }
    }

    #[test]
    fn what_people_say_of_phones_stays() {
        for text in [
            "My iPhone does not work.",
            "I sent from my desk what you asked for.",
            "Can you tell me how to send mail from Outlook?",
            "The iPhone was sent",
        ] {
            assert!(!is_phone_line(text), "{text}");
        }
    }

    #[test]
    fn a_signature_begins_with_its_sign() {
        for (text, at) in [
            ("text\n-- \nAda", Some(1)),
            ("text\n--\nAda", Some(1)),
            ("text\n--\na\nb\nc\nd\ne\nf\ng\nh\ni", None),
            ("text\n-- \na\nb\nc\nd\ne\nf\ng\nh\ni", Some(1)),
            ("text\n---\nAda", None),
            ("text\n--\n> quoted", None),
            ("text", None),
        ] {
            assert_eq!(start(&lines_of(text)), at, "{text}");
        }
    }
}
