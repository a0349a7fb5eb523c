//! Text from mail made fit for lines, lists and pages.

/// Whether a character shows nothing and changes how others are shown: bidirectional controls, zero-width characters,
/// soft hyphen, byte order mark, tags (Unicode TR 36 §2.5; CVE-2021-42574).
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character is drawn as nothing and yet makes another address: besides the invisible ones, fillers and
/// variation selectors (Unicode's `Default_Ignorable_Code_Point`). In text they have their use, emoji among them.
pub(super) fn is_ignorable(c: char) -> bool {
    is_invisible(c)
        || matches!(c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0080}'..='\u{e0fff}')
}

/// One line without controls and invisible characters, runs of white space as one space, at most `max` characters.
pub(super) fn line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    let (mut chars, mut space) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            space = !out.is_empty();
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if chars + usize::from(space) >= max {
            break;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
            chars += 1;
        }
        out.push(c);
        chars += 1;
    }
    out
}

/// Several lines: controls other than tab and newline removed, line ends as one newline, bidirectional controls removed.
/// Zero-width joiners stay: they belong to the spelling of many languages and of emoji.
pub(super) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\n' | '\t' | '\u{200c}' | '\u{200d}' => out.push(c),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// The longest beginning of `text` of at most `max` bytes that ends between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        for (text, max, clean) in [
            ("  Ada \t Lovelace\r\nBcc: v@v ", 99, "Ada Lovelace Bcc: v@v"),
            ("a\u{202e}b\u{200b}c\u{feff}d", 99, "abcd"),
            ("a\u{0}\u{7f}\u{9b}b", 99, "a b"),
            ("abcdef", 3, "abc"),
            ("ab cd", 3, "ab"),
            ("äöü", 2, "äö"),
            ("", 9, ""),
        ] {
            assert_eq!(line(text, max), clean, "{text:?}");
            assert!(line(text, max).chars().count() <= max);
        }
    }

    #[test]
    fn lines_keep_their_ends_and_joiners() {
        assert_eq!(lines("a\r\nb\rc\n\td\u{0}\u{202e}e\u{200d}f"), "a\nb\nc\n\tde\u{200d}f");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!((cut("äb", 1), cut("äb", 2), cut("äb", 9)), ("", "ä", "äb"));
    }
}
