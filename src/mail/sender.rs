//! The one author of a mail: the one mailbox of the one From field (RFC 5322 §3.6.2), read strictly.
//!
//! Every reader of mail forgives something else in this field, and each difference is a way to look like somebody else
//! (access-rules, check 3). So this reader forgives almost nothing: what it can't read in exactly one way is unusable.

use super::{
    UnusableSender,
    clean::{self, is_ignorable},
    fields::HeaderBlock,
    parse,
};
use crate::types::EmailAddress;

/// Longest display name kept, in characters.
const MAX_NAME: usize = 128;

/// Who wrote the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The address of the one From field.
    pub address: EmailAddress,
    /// The display name: decoded (RFC 2047), without controls and invisible characters, at most 128 characters. Never an
    /// identity.
    pub name: Option<String>,
}

/// The author of the mail with this header block.
pub(super) fn author(block: &HeaderBlock<'_>) -> Result<Author, UnusableSender> {
    let mut fields = block.all("from");
    if block.resembles_from {
        return Err(unreadable("another field's name only resembles From"));
    }
    let field = fields.next().ok_or(UnusableSender::Missing)?;
    if fields.next().is_some() {
        return Err(UnusableSender::SeveralFields);
    }
    mailbox(&field.unfolded())
}

fn unreadable(why: &str) -> UnusableSender {
    UnusableSender::Unreadable(why.to_owned())
}

/// Reads an unfolded value that must be exactly one mailbox (RFC 5322 §3.4): `addr-spec`, or a phrase and `<addr-spec>`.
pub(super) fn mailbox(value: &str) -> Result<Author, UnusableSender> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(unreadable("a control character"));
    }
    let tokens = Lexer { rest: value }.tokens()?;
    if tokens.iter().any(|token| matches!(token, Token::Separator)) {
        return Err(UnusableSender::SeveralMailboxes);
    }
    let mut angles = tokens.iter().enumerate().filter_map(|(at, token)| match token {
        Token::Angle(inside) => Some((at, *inside)),
        _ => None,
    });
    match (angles.next(), angles.next()) {
        (None, _) => bare(&tokens),
        (Some((at, inside)), None) => phrase_and_address(&tokens[..at], inside, &tokens[at + 1..]),
        (Some(_), Some(_)) => Err(UnusableSender::SeveralMailboxes),
    }
}

/// `ada@example.com`, or `ada@example.com (Ada)` as it was written before 1982.
fn bare(tokens: &[Token<'_>]) -> Result<Author, UnusableSender> {
    let mut words = tokens.iter().filter_map(Token::word);
    let spec = words.next().ok_or_else(|| unreadable("it is empty"))?;
    if words.next().is_some() {
        return Err(unreadable("words without <address>"));
    }
    let comment = tokens.iter().find_map(Token::comment);
    Ok(Author { address: addr_spec(spec)?, name: comment.and_then(display_name) })
}

fn phrase_and_address(
    phrase: &[Token<'_>],
    inside: &str,
    after: &[Token<'_>],
) -> Result<Author, UnusableSender> {
    if after.iter().any(|token| token.comment().is_none()) {
        return Err(unreadable("text after the <address>"));
    }
    let address = addr_spec(inside.trim_matches([' ', '\t']))?;
    let words: Vec<&str> = phrase.iter().filter_map(Token::word).collect();
    let unquoted_at = words.iter().any(|word| has_unquoted_at(word));
    if unquoted_at && !(words.len() == 1 && words[0].parse() == Ok(address.clone())) {
        return Err(unreadable("another @ before the <address>"));
    }
    Ok(Author { address, name: display_name(&words.join(" ")) })
}

/// An address as `EmailAddress` takes it, and nothing in it that is not seen or that another reader would decode.
fn addr_spec(text: &str) -> Result<EmailAddress, UnusableSender> {
    if text.contains("=?") {
        return Err(unreadable("an encoded word in the address"));
    }
    if text.chars().any(|c| is_ignorable(c) || c == char::REPLACEMENT_CHARACTER) {
        return Err(unreadable("an invisible or undecodable character in the address"));
    }
    text.parse().map_err(|error: crate::types::AddressError| unreadable(&error.to_string()))
}

/// A phrase as people read it: encoded words decoded, then quotes removed and cleaned. `None` when nothing is left.
fn display_name(phrase: &str) -> Option<String> {
    // Outlook and others put encoded words inside quotes, where RFC 2047 §5 does not allow them; all readers decode them.
    let unquoted = unquote(phrase);
    let decoded = if unquoted.contains("=?") { parse::decode(unquoted.as_bytes()) } else { unquoted };
    Some(clean::line(&decoded, MAX_NAME)).filter(|name| !name.is_empty())
}

fn unquote(phrase: &str) -> String {
    let mut out = String::with_capacity(phrase.len());
    let mut chars = phrase.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {}
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

fn has_unquoted_at(word: &str) -> bool {
    let (mut quoted, mut chars) = (false, word.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => drop(chars.next()),
            '@' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// Whether the display name holds an address that is not the author's (threat S05).
pub(super) fn name_mismatch(author: &Author) -> bool {
    let Some(name) = &author.name else { return false };
    let plain = name.replace(['\u{ff20}', '\u{fe6b}'], "@");
    plain
        .split(|c: char| c.is_whitespace() || "<>()[]{}\"',;:|".contains(c))
        .filter(|word| word.contains('@'))
        .any(|word| word.trim_matches('.').parse().is_ok_and(|shown: EmailAddress| shown != author.address))
}

/// The addresses of a To, Cc or Reply-To field (RFC 5322 §3.4: lists, groups). What is not read strictly is left out.
pub(super) fn addresses(value: &str) -> Vec<EmailAddress> {
    let Ok(tokens) = (Lexer { rest: value }).tokens() else { return Vec::new() };
    let between = |token: &Token<'_>| matches!(token, Token::Separator);
    tokens.split(between).filter_map(|one| one_of_list(one).ok()).map(|author| author.address).collect()
}

fn one_of_list(tokens: &[Token<'_>]) -> Result<Author, UnusableSender> {
    match tokens.iter().position(|token| matches!(token, Token::Angle(_))) {
        Some(at) => match tokens[at] {
            Token::Angle(inside) => phrase_and_address(&tokens[..at], inside, &tokens[at + 1..]),
            _ => bare(tokens),
        },
        None => bare(tokens),
    }
}

/// A piece of an address field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// Atoms and quoted strings without space between them, as written.
    Word(&'a str),
    /// What stands in `( )`, without them.
    Comment(&'a str),
    /// What stands in `< >`, without them.
    Angle(&'a str),
    /// `,` `;` or `:`, which only lists and groups have.
    Separator,
}

impl<'a> Token<'a> {
    fn word(&self) -> Option<&'a str> {
        if let Self::Word(text) = self { Some(text) } else { None }
    }

    fn comment(&self) -> Option<&'a str> {
        if let Self::Comment(text) = self { Some(text) } else { None }
    }
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn tokens(mut self) -> Result<Vec<Token<'a>>, UnusableSender> {
        let mut tokens = Vec::with_capacity(4);
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            let Some(first) = self.rest.bytes().next() else { return Ok(tokens) };
            tokens.push(match first {
                b',' | b';' | b':' => {
                    self.rest = &self.rest[1..];
                    Token::Separator
                }
                b'(' => self.comment()?,
                b'<' => self.angle()?,
                b')' | b'>' => return Err(unreadable("a bracket that nothing opened")),
                _ => self.word()?,
            });
        }
    }

    /// Up to white space or a special outside quotes.
    fn word(&mut self) -> Result<Token<'a>, UnusableSender> {
        let bytes = self.rest.as_bytes();
        let (mut quoted, mut at) = (false, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' if quoted => at += 1,
                b'\\' => return Err(unreadable("a \\ outside quotes")),
                b' ' | b'\t' | b',' | b';' | b':' | b'(' | b')' | b'<' | b'>' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        if quoted || at > bytes.len() {
            return Err(unreadable("a quote that does not end"));
        }
        Ok(Token::Word(self.take(at, 0)))
    }

    /// Comments nest, and hold no address: other readers take it for the real one.
    fn comment(&mut self) -> Result<Token<'a>, UnusableSender> {
        let bytes = self.rest.as_bytes();
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => at += 1,
                b'@' | b'<' => return Err(unreadable("a comment with an address")),
                _ => {}
            }
            if depth == 0 {
                self.rest = &self.rest[1..];
                return Ok(Token::Comment(self.take(at - 1, 1)));
            }
            at += 1;
        }
        Err(unreadable("a comment that does not end"))
    }

    fn angle(&mut self) -> Result<Token<'a>, UnusableSender> {
        let bytes = self.rest.as_bytes();
        let (mut quoted, mut at) = (false, 1);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' if quoted => at += 1,
                b'<' if !quoted => break,
                b'>' if !quoted => {
                    self.rest = &self.rest[1..];
                    return Ok(Token::Angle(self.take(at - 1, 1)));
                }
                _ => {}
            }
            at += 1;
        }
        Err(unreadable("a < that nothing closes"))
    }

    /// The next `len` bytes; `skip` more are passed over. Both end at ASCII, so between characters.
    fn take(&mut self, len: usize, skip: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = &rest[skip..];
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> String {
        match mailbox(value) {
            Ok(author) => format!("{} {:?}", author.address.key(), author.name.unwrap_or_default()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_mailbox_is_read() {
        for (value, read_as) in [
            ("a@b.example", r#"a@b.example """#),
            ("<a@b.example>", r#"a@b.example """#),
            ("< a@b.example\t>", r#"a@b.example """#),
            ("Ada <A@B.example>", r#"a@b.example "Ada""#),
            (r#""Ada \"x\" L" <a@b.example>"#, r#"a@b.example "Ada \"x\" L""#),
            (r#""Ada"<a@b.example>"#, r#"a@b.example "Ada""#),
            ("Ada (IT (2nd)) L <a@b.example> (at home)", r#"a@b.example "Ada L""#),
            ("(c) a@b.example (Ada)", r#"a@b.example "c""#),
            ("a@b.example <a@b.example>", r#"a@b.example "a@b.example""#),
            ("=?utf-8?b?w4Q=?= =?utf-8?q?_B?= <a@b.example>", r#"a@b.example "Ä B""#),
            ("\"a@x.example\" <a@b.example>", r#"a@b.example "a@x.example""#),
            ("\"odd local\"@b.example", r#""odd local"@b.example """#),
            ("A\u{202e}da\u{200b} <a@b.example>", r#"a@b.example "Ada""#),
            ("A\u{fffd} <a@b.example>", "a@b.example \"A\u{fffd}\""),
        ] {
            assert_eq!(read(value), read_as, "{value}");
        }
    }

    #[test]
    fn all_else_is_unusable() {
        let several = UnusableSender::SeveralMailboxes.to_string();
        for value in [
            "a@b.example, c@d.example",
            ",a@b.example",
            "a@b.example;",
            "g: a@b.example;",
            "Team: IT <a@b.example>",
            "<a@b.example><c@d.example>",
            "<a@b.example> x <a@b.example>",
        ] {
            assert_eq!(read(value), several, "{value}");
        }
        for value in [
            "",
            "()",
            "a",
            "a b",
            "a @b.example",
            "a@b.example c@d.example",
            "a@b.example x",
            "x a@b.example <a@b.example>",
            "c@d.example <a@b.example>",
            "<a@b.example> x",
            "<a@b.example",
            "a@b.example>",
            "<<a@b.example>>",
            "<a@b.example(x)>",
            "a@b.example(c@d.example)",
            "a@b.example(<c)",
            "(a@b.example",
            "a@b.example)",
            "\"a@b.example",
            "\"a\\",
            "Ada\\ <a@b.example>",
            "a\r@b.example",
            "Ada\u{7f} <a@b.example>",
            "Ada\u{85} <a@b.example>",
            "<@c.example:a@b.example>",
            "<=?utf-8?q?a?=@b.example>",
            "<a\u{200b}@b.example>",
            "<a\u{fe0f}@b.example>",
            "<a\u{3164}@b.example>",
            "<\u{212a}@b.example>",
            "<a\u{fffd}@b.example>",
            "<a@b_c.example>",
        ] {
            assert!(read(value).starts_with("From can't be read: "), "{value}: {}", read(value));
        }
    }

    #[test]
    fn a_name_with_another_address_is_noticed() {
        for (value, mismatch) in [
            ("\"a@b.example\" <x@evil.example>", true),
            ("\"Boss (a@b.example)\" <x@evil.example>", true),
            ("\"mail a@b.example.\" <x@evil.example>", true),
            ("\"a\u{ff20}b.example\" <x@evil.example>", true),
            ("\"X@Evil.Example\" <x@evil.example>", false),
            ("\"Ada @ work\" <x@evil.example>", false),
            ("Ada <x@evil.example>", false),
        ] {
            assert_eq!(name_mismatch(&mailbox(value).unwrap()), mismatch, "{value}");
        }
    }

    #[test]
    fn lists_give_every_address_that_is_read_strictly() {
        let keys = |value| addresses(value).iter().map(|a| a.key().to_owned()).collect::<Vec<_>>().join(" ");
        for (value, found) in [
            ("a@b.example, \"x, y\" <c@d.example>", "a@b.example c@d.example"),
            ("Group: a@b.example, c@d.example; e@f.example", "a@b.example c@d.example e@f.example"),
            ("undisclosed-recipients:;", ""),
            ("x y, <a@b@c>, <c@d.example> z, e@f.example", "e@f.example"),
            ("\"open <a@b.example>", ""),
        ] {
            assert_eq!(keys(value), found, "{value}");
        }
    }
}
