//! The Authentication-Results field (RFC 8601 §2.2), read without trust in what it says.

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// Who wrote it; `None` where the field begins with a result, as Exchange Online writes it.
    pub authserv_id: Option<String>,
    /// The version token after the id; a field of another version than 1 says nothing (RFC 8601 §2.6).
    pub version: Option<String>,
    /// Its results in order.
    pub entries: Vec<Entry>,
    /// A comment or quoted string that does not end, or words where none may stand: no proof can rest on such a field.
    pub malformed: bool,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Lower case, such as `dmarc`.
    pub method: String,
    /// Lower case, such as `pass`.
    pub result: String,
    /// `reason`, `header.from` and so on in order; names in lower case, values as written, without quotes.
    pub properties: Vec<(String, String)>,
    /// Whether nothing else stands between the properties.
    pub clean: bool,
}

impl Entry {
    /// The values of this property.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.properties.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Its first value.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Results {
    /// Reads an unfolded value. Total, and linear in its length. Comments are left out wherever they stand; results of
    /// another method version than 1 are left out (RFC 8601 §2.2).
    pub fn parse(value: &str) -> Self {
        let mut lexer = Lexer::default();
        lexer.read(value);
        let mut results = Self { malformed: lexer.malformed, ..Self::default() };
        let mut segments = lexer.tokens.split(|token| *token == Token::Semicolon);
        results.head(segments.next().unwrap_or_default());
        results.entries.extend(segments.filter_map(entry));
        results
    }

    /// All before the first semicolon: id and version, or a result already.
    fn head(&mut self, segment: &[Token]) {
        let run = segment.iter().take_while(|token| matches!(token, Token::Word(_)));
        let words = run.filter_map(Token::word);
        if segment.contains(&Token::Equals) {
            let mut words = joined(words).into_iter();
            let (first, second) = (words.next(), words.next());
            if second.is_none() {
                self.entries.extend(entry(segment));
                return;
            }
            self.authserv_id = first;
            self.malformed = true;
            return;
        }
        let mut words = words.map(str::to_owned);
        self.authserv_id = words.next();
        self.version = words.next();
        self.malformed |= self.authserv_id.is_none() || words.next().is_some();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
    Semicolon,
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Lexer {
    tokens: Vec<Token>,
    word: Option<String>,
    malformed: bool,
}

impl Lexer {
    fn read(&mut self, value: &str) {
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                ' ' | '\t' | '\r' | '\n' => self.end_word(),
                '(' => self.comment(&mut chars),
                '"' => self.quoted(&mut chars),
                ';' => self.separator(Token::Semicolon),
                // A value may hold `=`: bounce+ada=example.com@list.example.
                '=' if self.tokens.last() != Some(&Token::Equals) => self.separator(Token::Equals),
                c => {
                    self.malformed |= c == ')' || c.is_control();
                    self.word.get_or_insert_default().push(c);
                }
            }
        }
        self.end_word();
    }

    fn end_word(&mut self) {
        self.tokens.extend(self.word.take().map(Token::Word));
    }

    fn separator(&mut self, token: Token) {
        self.end_word();
        self.tokens.push(token);
    }

    fn comment(&mut self, chars: &mut std::str::Chars<'_>) {
        self.end_word();
        let mut depth = 1_usize;
        while depth > 0 {
            match chars.next() {
                Some('(') => depth += 1,
                Some(')') => depth -= 1,
                Some('\\') => drop(chars.next()),
                Some(_) => {}
                None => {
                    self.malformed = true;
                    return;
                }
            }
        }
    }

    fn quoted(&mut self, chars: &mut std::str::Chars<'_>) {
        let word = self.word.get_or_insert_default();
        loop {
            match chars.next() {
                Some('"') => return,
                Some('\\') => word.extend(chars.next()),
                Some(c) => word.push(c),
                None => {
                    self.malformed = true;
                    return;
                }
            }
        }
    }
}

/// Words with those made one that only white space or a comment parts: `header . d`, `dkim / 1`.
fn joined<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in words {
        match out.last_mut() {
            Some(last) if last.ends_with(['.', '/']) || word.starts_with(['.', '/']) => last.push_str(word),
            _ => out.push(word.to_owned()),
        }
    }
    out
}

/// `None` for `none`, for nothing at all and for a method of another version.
fn entry(segment: &[Token]) -> Option<Entry> {
    let (mut pairs, clean) = pairs(segment);
    if pairs.is_empty() {
        return None;
    }
    let (method, result) = pairs.remove(0);
    let method = match method.split_once('/') {
        Some((method, "1")) => method.to_owned(),
        Some(_) => return None,
        None => method,
    };
    Some(Entry { method, result: result.to_ascii_lowercase(), properties: pairs, clean })
}

/// All `name=value` in order, and whether nothing else stands there.
fn pairs(segment: &[Token]) -> (Vec<(String, String)>, bool) {
    let (mut pairs, mut clean) = (Vec::new(), true);
    let (mut run, mut name): (Vec<&str>, Option<String>) = (Vec::new(), None);
    for token in segment {
        match (token, name.take()) {
            (Token::Word(value), Some(name)) => pairs.push((name, value.clone())),
            (Token::Word(word), None) => run.push(word),
            (_, None) => {
                let mut names = joined(run.drain(..));
                name = names.pop().map(|name| name.to_ascii_lowercase());
                clean &= names.is_empty() && name.is_some();
            }
            (_, Some(_)) => clean = false,
        }
    }
    (pairs, clean && run.is_empty() && name.is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Id, version, each entry in one line; `!` where it is not clean.
    fn shown(value: &str) -> (String, Vec<String>) {
        let results = Results::parse(value);
        let head = [results.authserv_id, results.version].map(Option::unwrap_or_default).join("|");
        let entries = results.entries.iter().map(|entry| {
            let pairs = entry.properties.iter().map(|(name, value)| [" ", name, "=", value].concat());
            let head = format!("{}={}", entry.method, entry.result);
            let sign = if entry.clean { "" } else { " !" };
            [head, pairs.collect(), sign.to_owned()].concat()
        });
        (format!("{head}{}", if results.malformed { "|malformed" } else { "" }), entries.collect())
    }

    #[test]
    fn fields_are_read_as_rfc_8601_has_them() {
        for (value, head, entries) in [
            ("mx.example; none", "mx.example|", &[][..]),
            ("mx.example 1; none", "mx.example|1", &[]),
            ("mx.example 2; dmarc=pass", "mx.example|2", &["dmarc=pass"]),
            ("\"mx.example\"; none", "mx.example|", &[]),
            ("(a (b) \\) c) mx.example (d) 1 (e) ; (f)", "mx.example|1", &[]),
            (
                "mx.example; DKIM/1 = Pass (2048-bit) reason=\"good; x=y\" header . D = a.example header.i=@a.example",
                "mx.example|",
                &["dkim=pass reason=good; x=y header.d=a.example header.i=@a.example"],
            ),
            ("mx.example; dkim / 1 (c) = (c) pass", "mx.example|", &["dkim=pass"]),
            ("mx.example; dkim/2=pass; spf=fail", "mx.example|", &["spf=fail"]),
            (
                "mx.example;\r\n\tspf=pass smtp.mailfrom=bounce+ada=a.example@list.example",
                "mx.example|",
                &["spf=pass smtp.mailfrom=bounce+ada=a.example@list.example"],
            ),
            (
                "mx.example; spf=pass smtp.mailfrom=\"a; dmarc=pass header.from=b.example\"@evil.example",
                "mx.example|",
                &["spf=pass smtp.mailfrom=a; dmarc=pass header.from=b.example@evil.example"],
            ),
            (
                "mx.example; dmarc=fail (dmarc=pass) header.from=a",
                "mx.example|",
                &["dmarc=fail header.from=a"],
            ),
            // Exchange Online.
            (
                "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.example; dmarc=pass action=none header.from=a.example;compauth=pass reason=100",
                "|",
                &[
                    "spf=pass smtp.mailfrom=a.example",
                    "dmarc=pass action=none header.from=a.example",
                    "compauth=pass reason=100",
                ],
            ),
            ("mx.example; dmarc=pass oh no header.from=a", "mx.example|", &["dmarc=pass header.from=a !"]),
            ("mx.example; dmarc=pass header.from=", "mx.example|", &["dmarc=pass !"]),
            ("mx.example; =pass; dmarc=", "mx.example|", &[]),
            ("mx.example from=a; dmarc=pass", "mx.example||malformed", &["dmarc=pass"]),
            ("mx.example; dmarc=pass (never ends", "mx.example||malformed", &["dmarc=pass"]),
            (
                "mx.example; dmarc=pass x=\"never; ends",
                "mx.example||malformed",
                &["dmarc=pass x=never; ends"],
            ),
            ("mx.example 1 2; dmarc=pass", "mx.example|1|malformed", &["dmarc=pass"]),
            ("", "||malformed", &[]),
            (";;=;", "||malformed", &[]),
        ] {
            assert_eq!(
                shown(value),
                (head.to_owned(), entries.iter().map(ToString::to_string).collect()),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_nothing_is_added(value in "[ -~\\t\\r\\n]{0,200}|[a-c=;()\"\\\\ ./1]{0,200}|\\PC{0,60}") {
            let results = Results::parse(&value);
            let length: usize = results.entries.iter().flat_map(|entry| {
                let texts = entry.properties.iter().flat_map(|(name, text)| [name.len(), text.len()]);
                texts.chain([entry.method.len(), entry.result.len()]).collect::<Vec<_>>()
            }).sum();
            prop_assert!(length <= value.len());
            prop_assert!(results.entries.len() <= value.matches(';').count() + 1);
        }
    }

    #[test]
    fn the_cost_of_a_hostile_field_grows_with_its_length() {
        for unit in ["(", "a . ", "a=b ", "\"\\", ";", "=", "a/", "x=y;"] {
            let value = unit.repeat(200_000);
            let results = Results::parse(&value);
            assert!(results.entries.len() <= 200_001, "{unit}");
        }
    }
}
