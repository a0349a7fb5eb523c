//! HTML cut into tags and text, each byte looked at once: for making text of it, and for making it safe to show.

use std::borrow::Cow;

use super::parse;

/// Most bytes of HTML that are looked at.
const MAX_HTML: usize = 512 * 1024;
/// Deepest nesting of open elements. What walks the tree of a deeper one costs the square of its depth.
const MAX_DEPTH: usize = 256;
/// Most attributes of one tag that are looked at.
const MAX_ATTRIBUTES: usize = 64;
/// Longest character reference without `&` and `;`.
const MAX_ENTITY: usize = 32;

/// Elements that have no end tag, or whose end tag may be left out (HTML, *Optional tags*): they do not nest.
const UNNESTED: &[&str] = &[
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option",
    "p", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];
/// Elements whose content is no text, or none that is shown.
const HIDDEN: &[&str] = &[
    "head", "script", "style", "template", "title", "noscript", "svg", "math", "iframe", "object", "select",
    "textarea", "noembed", "noframes",
];

/// The HTML is larger or deeper than what is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooComplex;

/// A piece of HTML.
pub(super) enum Token<'a> {
    /// Text with its character references.
    Text(&'a str),
    /// A start or end tag.
    Tag(Tag<'a>),
}

/// A start or end tag.
pub(super) struct Tag<'a> {
    /// In lower case; empty for declarations.
    pub name: String,
    /// Whether it is an end tag.
    pub closes: bool,
    attributes: &'a str,
}

/// The pieces of some HTML in order; comments and hidden elements are left out.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// How many elements are open after the piece given last.
    pub depth: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(html: &'a str) -> Result<Self, TooComplex> {
        if html.len() > MAX_HTML { Err(TooComplex) } else { Ok(Self { rest: html, depth: 0 }) }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, TooComplex> {
        while !self.rest.is_empty() {
            let text = text_before_tag(self.rest);
            if !text.is_empty() {
                self.rest = &self.rest[text.len()..];
                return Ok(Some(Token::Text(text)));
            }
            if let Some(comment) = self.rest.strip_prefix("<!--") {
                self.rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            let Some((tag, rest)) = Tag::at(self.rest) else { return Ok(None) };
            self.rest = rest;
            if HIDDEN.contains(&&*tag.name) {
                if !tag.closes && !tag.closes_itself() {
                    self.rest = after_end_tag(rest, &tag.name);
                }
                continue;
            }
            self.count(&tag)?;
            return Ok(Some(Token::Tag(tag)));
        }
        Ok(None)
    }

    fn count(&mut self, tag: &Tag<'_>) -> Result<(), TooComplex> {
        if !UNNESTED.contains(&&*tag.name) && !tag.name.is_empty() {
            self.depth = if tag.closes { self.depth.saturating_sub(1) } else { self.depth + 1 };
        }
        if self.depth > MAX_DEPTH { Err(TooComplex) } else { Ok(()) }
    }
}

/// All up to what is surely a tag or comment; a `<` that begins none is text.
fn text_before_tag(html: &str) -> &str {
    let bytes = html.as_bytes();
    let begins_tag = |at: &usize| {
        let after = &bytes[at + 1..];
        let name = after.strip_prefix(b"/").unwrap_or(after);
        name.first().is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, b'!' | b'?'))
    };
    let end = memchr::memchr_iter(b'<', bytes).find(begins_tag);
    &html[..end.unwrap_or(html.len())]
}

impl<'a> Tag<'a> {
    /// The tag that `text` begins with, and what follows it; also declarations and processing instructions, with an empty
    /// name.
    fn at(text: &'a str) -> Option<(Self, &'a str)> {
        let inside = text.strip_prefix('<')?;
        let closes = inside.starts_with('/');
        let named = &inside[usize::from(closes)..];
        let letters = named.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b':').count();
        let name = named[..letters].to_ascii_lowercase();
        let (attributes, rest) = split_at_end(&named[letters..]);
        Some((Self { name, closes, attributes }, rest))
    }

    /// `<svg/>`; for HTML's own elements the slash means nothing, but none of the hidden ones is empty.
    fn closes_itself(&self) -> bool {
        self.attributes.ends_with('/')
    }

    /// The value of an attribute, character references decoded; the first one counts (HTML, *attribute name state*).
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| decoded(value))
    }

    /// Whether a value of an attribute, in lower case and without spaces, passes the test.
    pub(super) fn has(&self, name: &str, test: impl Fn(&str) -> bool) -> bool {
        self.attribute(name).is_some_and(|value| {
            test(&value.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>().to_ascii_lowercase())
        })
    }

    /// The attributes in order, at most 64.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.attributes;
        let next = move || {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/'));
            // A = in front belongs to the name.
            let (name, after) = rest.split_at(end.map_or(rest.len(), |end| end.max(1).min(rest.len())));
            let after = after.trim_ascii_start();
            let Some(value) = after.strip_prefix('=') else {
                rest = after;
                return (!name.is_empty()).then_some((name, ""));
            };
            let (value, after) = value_at(value.trim_ascii_start());
            rest = after;
            Some((name, value))
        };
        std::iter::from_fn(next).take(MAX_ATTRIBUTES)
    }
}

/// An attribute's value and what follows it.
fn value_at(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()))
}

/// What stands before the `>` and what follows it; one in quotes is part of a value.
fn split_at_end(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return (&text[..at], &text[at + 1..]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    (text, "")
}

/// What follows the end tag of a hidden element; nothing, when it is not closed.
fn after_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name)) {
            return split_at_end(&rest[name.len()..]).1;
        }
    }
    ""
}

/// Text with its character references decoded; what is none stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let window = &rest.as_bytes()[..rest.len().min(MAX_ENTITY)];
        let name = window.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'#').count();
        match parse::entity(&rest[..name]) {
            Some(character) => {
                out.push(character);
                rest = rest[name..].strip_prefix(';').unwrap_or(&rest[name..]);
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

/// Text as it stands in HTML.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"']) {
        return text.into();
    }
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_however_they_are_written() {
        let html = r#"<a HREF='x>y' class = "q  gmail_quote" id=z/1 open title="&lt;&amp;&quot;" id=no>"#;
        let (tag, rest) = Tag::at(html).unwrap();
        assert_eq!((&*tag.name, rest), ("a", ""));
        for (name, value) in [
            ("href", Some("x>y")),
            ("class", Some("q  gmail_quote")),
            ("id", Some("z/1")),
            ("open", Some("")),
            ("title", Some("<&\"")),
            ("none", None),
        ] {
            assert_eq!(tag.attribute(name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn attributes_end() {
        for html in ["<a =", "<a = = =", "<a ==x", "<a /", "<a b", "<a b=", "<a b='", "<a \u{e9}=\u{e9}>"] {
            let (tag, _) = Tag::at(html).unwrap();
            assert!(tag.attributes().count() < 4, "{html}");
        }
        let many = format!("<a {}>", "x=1 ".repeat(1_000));
        assert_eq!(Tag::at(&many).unwrap().0.attributes().count(), MAX_ATTRIBUTES);
    }

    #[test]
    fn character_references_are_decoded() {
        for (text, plain) in [
            ("a &lt;b&gt; &amp; &#228; &#xe4; &copy;", "a <b> & ä ä ©"),
            ("&nbsp;&#160;", "\u{a0}\u{a0}"),
            ("&#146;&#x80;", "’€"),
            ("&#0;&#xd800;&#x110000;", "\u{fffd}\u{fffd}\u{fffd}"),
            ("AT&T & co &nosuch; &", "AT&T & co &nosuch; &"),
            ("&amp&lt", "&<"),
        ] {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }
}
