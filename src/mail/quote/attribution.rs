//! The line, or the few lines, that say who wrote the text quoted below: `On …, … wrote:`.

use super::{
    Line,
    phrases::{OPENERS, WROTE, WROTE_WITHOUT_SPACES},
};

/// Most lines that a client's or relay's line wrapping makes of one.
const MAX_LINES: usize = 4;
/// Shortest last line of it in bytes.
const MIN_BYTES: usize = 6;
/// Longest such text in bytes.
const MAX_BYTES: usize = 500;

/// How sure it is that a line speaks of the mail below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// It says that somebody wrote: enough above lines that are marked as quoted.
    Some,
    /// It says who wrote at what time: enough even where the quoted lines bear no mark.
    Full,
}

/// Whether the lines up to and with `last` are such a text, and which of them is its first.
pub(super) fn ending_at(lines: &[Line<'_>], last: usize) -> Option<(usize, Certainty)> {
    let end = lines.get(last)?.text.trim_end_matches(['*', '_', ' ', '\u{a0}']);
    if end.len() < MIN_BYTES || !(end.ends_with([':', '：', '︰']) || is_between_dashes(end)) {
        return None;
    }
    let mut joined = String::new();
    for first in (0..=last).rev().take(MAX_LINES) {
        let line = &lines[first];
        if line.is_blank() || line.is_quoted() || joined.len() + line.text.len() > MAX_BYTES {
            break;
        }
        // One that ends there is whole: what stands below it is somebody's words.
        if first < last && says_at_end(&line.text.to_lowercase()) {
            break;
        }
        joined = format!("{} {joined}", line.text.to_lowercase());
        let opens = opens(line.text)
            || first == last && (says_at_end(&joined) || line.text.contains('<') && line.text.contains('@'));
        if opens && is_dated(&joined) && (says_wrote(&joined) || names_sender(&joined)) {
            let full = says_wrote(&joined) && (joined.contains('@') || has_time(&joined));
            return Some((first, if full { Certainty::Full } else { Certainty::Some }));
        }
    }
    says_at_end(&lines[last].text.to_lowercase()).then_some((last, Certainty::Some))
}

/// Whether the colon, or the dashes, follow the word.
fn says_at_end(lower: &str) -> bool {
    let text = lower.trim_end_matches([':', '：', '︰', '-', ' ', '\u{a0}', '*', '_']);
    let tail = |phrase: &&&str| text.ends_with(**phrase);
    let before = |phrase: &str| text[..text.len() - phrase.len()].chars().next_back();
    WROTE.iter().find(tail).is_some_and(|phrase| !before(phrase).is_some_and(char::is_alphabetic))
        || WROTE_WITHOUT_SPACES.iter().any(|phrase| text.ends_with(phrase))
}

/// `---- On … wrote ----`.
fn is_between_dashes(text: &str) -> bool {
    text.starts_with("--") && text.ends_with("--") && says_wrote(&text.to_lowercase())
}

fn says_wrote(lower: &str) -> bool {
    WROTE.iter().any(|phrase| contains_word(lower, phrase))
        || WROTE_WITHOUT_SPACES.iter().any(|phrase| lower.contains(phrase))
}

/// `2026-01-02 10:00 GMT+01:00 Ada <ada@a.example>:`.
fn names_sender(lower: &str) -> bool {
    lower.contains('@') && has_time(lower)
}

fn contains_word(text: &str, word: &str) -> bool {
    let bounded = |(at, found): (usize, &str)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(char::is_alphabetic) && !after.is_some_and(char::is_alphabetic)
    };
    text.match_indices(word).any(bounded)
}

/// Whether a wrapped line could be the first of them.
fn opens(line: &str) -> bool {
    let mut words = line.split_whitespace().take(3);
    let first = words.next().unwrap_or_default().to_lowercase();
    let first = first.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
    let digit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    OPENERS.contains(&first) || digit(first) || words.any(digit)
}

/// The words that are no addresses: digits of those tell no time.
fn without_addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| !word.contains('@'))
}

/// Whether it holds two numbers at least, as every date does.
fn is_dated(text: &str) -> bool {
    let numbers = |word: &str| word.split(|c: char| !c.is_numeric()).filter(|n| !n.is_empty()).count();
    without_addresses(text).map(numbers).sum::<usize>() >= 2
}

/// `10:00`, `10.00`, `10h00`, `10时00`.
fn has_time(text: &str) -> bool {
    let two_digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count() == 2;
    let is_time = |word: &str| {
        word.char_indices().any(|(at, c)| {
            matches!(c, ':' | '.' | 'h' | '：' | '时' | '時')
                && word[..at].ends_with(|c: char| c.is_ascii_digit())
                && two_digits(&word[at + c.len_utf8()..])
        })
    };
    without_addresses(text).any(is_time)
}

#[cfg(test)]
mod tests {
    use super::{super::lines_of, *};

    fn found(text: &str) -> Option<(usize, Certainty)> {
        let lines = lines_of(text);
        ending_at(&lines, lines.len() - 1)
    }

    #[test]
    fn every_language_says_who_wrote() {
        for text in [
            "On Mon, 5 Jan 2026 at 10:00, Ada Lovelace <ada@a.example> wrote:",
            "On 05/01/2026 10:00, Ada Lovelace wrote:",
            "On Jan 5, 2026, at 10:00 AM, Ada <ada@a.example> wrote:",
            "Am Mo., 5. Jan. 2026 um 10:00 Uhr schrieb Ada <ada@a.example>:",
            "Am 05.01.2026 um 10:00 schrieb Ada:",
            "Le lun. 5 janv. 2026 à 10:00, Ada <ada@a.example> a écrit :",
            "El lun, 5 ene 2026 a las 10:00, Ada (<ada@a.example>) escribió:",
            "El dl., 5 de gen. 2026, 10:00, Ada <ada@a.example> va escriure:",
            "Em seg., 5 de jan. de 2026 às 10:00, Ada <ada@a.example> escreveu:",
            "Il giorno lun 5 gen 2026 alle ore 10:00 Ada <ada@a.example> ha scritto:",
            "Op ma 5 jan 2026 om 10:00 schreef Ada <ada@a.example>:",
            "Den mån 5 jan. 2026 kl 10:00 skrev Ada <ada@a.example>:",
            "Den man. 5. jan. 2026 kl. 10.00 skrev Ada <ada@a.example>:",
            "ma 5. tammik. 2026 klo 10.00 Ada (ada@a.example) kirjoitti:",
            "pon., 5 sty 2026 o 10:00 Ada <ada@a.example> napisał(a):",
            "W dniu 5.01.2026 o 10:00, Ada pisze:",
            "po 5. 1. 2026 v 10:00 odesílatel Ada <ada@a.example> napsal:",
            "po 5. 1. 2026 o 10:00 Ada <ada@a.example> napísal(a):",
            "Ada <ada@a.example> ezt írta (időpont: 2026. jan. 5., H, 10:00):",
            "În lun., 5 ian. 2026 la 10:00, Ada <ada@a.example> a scris:",
            "Ada <ada@a.example>, 5 Oca 2026 Pzt, 10:00 tarihinde şunu yazdı:",
            "05.01.2026 10:00, Ada пишет:",
            "пн, 5 янв. 2026 г. в 10:00, Ada <ada@a.example>:",
            "пн, 5 січ. 2026 р. о 10:00 Ada <ada@a.example> пише:",
            "На пн, 5.01.2026 г. в 10:00 Ada <ada@a.example> написа:",
            "Στις Δευ 5 Ιαν 2026 στις 10:00 π.μ., ο/η Ada <ada@a.example> έγραψε:",
            "בתאריך יום ב׳, 5 בינו׳ 2026 ב-10:00 מאת Ada <ada@a.example>:",
            "في الاثنين، 5 يناير 2026 في 10:00 ص تمت كتابة ما يلي بواسطة Ada <ada@a.example>:",
            "2026年1月5日(月) 10:00 Ada <ada@a.example>:",
            "2026/01/05 10:00、Ada <ada@a.example>のメール:",
            "Ada <ada@a.example> 于2026年1月5日周一 10:00写道：",
            "Ada <ada@a.example> 於 2026年1月5日 週一 上午10:00寫道：",
            "2026년 1월 5일 (월) 오전 10:00, Ada <ada@a.example>님이 작성:",
            "Vào Th 2, 5 thg 1, 2026 vào lúc 10:00 Ada <ada@a.example> đã viết:",
            "Pada tanggal Sen, 5 Jan 2026 pukul 10.00 Ada <ada@a.example> menulis:",
            "2026-01-05 10:00 GMT+01:00 Ada <ada@a.example>:",
            "---- On Mon, 05 Jan 2026 10:00:00 +0100 Ada <ada@a.example> wrote ----",
            "Ada <ada@a.example> writes:",
            "*On Mon, 5 Jan 2026, Ada wrote:*",
        ] {
            assert_eq!(found(text).map(|(first, _)| first), Some(0), "{text}");
        }
    }

    #[test]
    fn wrapped_lines_belong_together() {
        for (text, first) in [
            ("On Mon, 5 Jan 2026 at 10:00,\nAda Lovelace <ada@a.example> wrote:", 0),
            ("Thanks!\nOn Mon, 5 Jan 2026 at 10:00, Ada Lovelace <\nada@a.example> wrote:", 1),
            ("Am Mo., 5. Jan. 2026 um 10:00 Uhr schrieb Ada Lovelace\n<ada@a.example>:", 0),
            ("I have 3 printers and 2026 problems.\n\nAda wrote:", 2),
            ("ma 5. tammik. 2026 klo 10.00\nAda (ada@a.example) kirjoitti:", 0),
        ] {
            assert_eq!(found(text).map(|(first, _)| first), Some(first), "{text}");
        }
    }

    #[test]
    fn what_people_say_before_a_colon_is_theirs() {
        for text in [
            "The printer shows this:",
            "I wrote to ada@a.example and got this answer back:",
            "Steps to see it, tried 3 times at 10:00 and 11:00:",
            "It was rewrote: ",
            "On Monday it fails",
        ] {
            assert!(found(text).is_none_or(|(_, certainty)| certainty < Certainty::Full), "{text}");
        }
        assert_eq!(found("Steps to see it, tried 3 times at 10:00 and 11:00:"), None);
        assert_eq!(found("The printer shows this:"), None);
    }
}
