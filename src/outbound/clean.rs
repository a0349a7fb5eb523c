//! Text from outside, made fit for one line of a mail or a log.

/// Longest reply of a relay that is kept, and longest name or contact in a mail, in characters. A name stands in fields,
/// whose lines must stay below 998 octets where there is no blank to fold at (RFC 5322 §2.1.1).
const MAX: usize = 256;

/// The text without controls, line separators and bidi marks, runs of blanks made one, cut to 256
/// characters; `None` when nothing is left.
///
/// lettre panics on CR, LF or NUL in a display name, and bidi marks let a name read as another.
pub(super) fn one_line(text: &str) -> Option<String> {
    let visible: String = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" ").chars().take(MAX).collect())
}

fn is_hidden(c: char) -> bool {
    let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// What a relay said, for log and store: one line, at most 256 characters.
pub(super) fn words(text: &str) -> String {
    one_line(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_letters_and_lose_what_hides() {
        let table = [
            ("Example Help", Some("Example Help")),
            ("  Žofie \t Nová ", Some("Žofie Nová")),
            ("x\r\nBcc: v@v.example", Some("x Bcc: v@v.example")),
            ("a\0b\u{7f}c\u{85}d", Some("a b c d")),
            ("abc\u{202e}gpj.exe", Some("abc gpj.exe")),
            ("\r\n\0", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(one_line(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn replies_are_one_line_of_at_most_256_characters() {
        assert_eq!(words("5.1.1 no\r\nsuch\u{1b}[31m user"), "5.1.1 no such [31m user");
        assert_eq!(words(&"ž".repeat(300)).chars().count(), MAX);
    }
}
