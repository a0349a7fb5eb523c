//! Strangers' words and times, made fit for a page.

use crate::types::Time;

/// Longest text of a stranger on the page, in characters.
const MAX_TEXT: usize = 200;

/// The text without controls and without marks that change the direction of what follows, cut to 200 characters. Escaping
/// is the template's affair.
pub(super) fn clean(text: &str) -> String {
    let mut kept = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_hidden(*c));
    let mut out: String = kept.by_ref().take(MAX_TEXT).collect();
    if kept.next().is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}

/// Controls, bidi controls (Unicode UAX #9), and characters without width that hide what a text says.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `22 November 2026, 08:00 UTC`.
pub(super) fn moment(at: Time) -> String {
    at.to_jiff().strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// `1 mail`, `2 mails`.
pub(super) fn mails(count: usize) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_and_nothing_endless_is_shown() {
        assert_eq!(clean("a\r\nb\tc\u{1b}[31m\u{202e}gpj.exe\u{2066}\u{200b} "), "a  b c[31mgpj.exe");
        assert_eq!(clean("Grüße, 你好"), "Grüße, 你好");
        assert_eq!(clean(&"x".repeat(300)), format!("{}…", "x".repeat(200)));
        assert_eq!(clean(" \u{feff} "), "");
    }

    #[test]
    fn moments_read_like_dates() {
        assert_eq!(moment("2026-11-02T08:05:59Z".parse().unwrap()), "2 November 2026, 08:05 UTC");
    }
}
