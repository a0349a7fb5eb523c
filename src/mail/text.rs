//! HTML made text, within caps. No markup, script, style or link target is left.

use std::borrow::Cow;

use super::parse;

/// Most bytes of HTML that are turned into text.
const MAX_HTML: usize = 512 * 1024;
/// Deepest nesting of open elements.
const MAX_DEPTH: usize = 256;
/// Stands where HTML was too large, too deep or not convertible.
pub(super) const NOTICE: &str =
    "[This mail is HTML that is not shown as text: too large or too deeply nested.]\n";

/// Elements that have no end tag, or whose end tag may be left out (HTML, *Optional tags*): they do not nest.
const UNNESTED: &[&str] = &[
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option",
    "p", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];
/// Elements whose content is no text.
const HIDDEN: &[&str] = &["head", "script", "style", "template", "title", "noscript"];
/// Elements that begin or end a line.
const LINES: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];

/// The text of an HTML body; a notice when it exceeds the caps.
pub(super) fn from_html(html: &str) -> Cow<'static, str> {
    if html.len() > MAX_HTML {
        return NOTICE.into();
    }
    match simplified(html).and_then(|simple| parse::simple_html_to_text(&simple)) {
        Some(text) => Cow::Owned(tidy(&text)),
        None => NOTICE.into(),
    }
}

/// The same text with `<br>` as its only tag; `None` when elements nest too deeply.
fn simplified(html: &str) -> Option<String> {
    let mut out = String::with_capacity(html.len());
    let (mut rest, mut depth) = (html, 0_usize);
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        if rest.starts_with("<!--") {
            rest = rest.find("-->").map_or("", |end| &rest[end + 3..]);
            continue;
        }
        let Some(tag) = Tag::at(rest) else {
            // A < that begins no tag is text.
            out.push_str("&lt;");
            rest = &rest[1..];
            continue;
        };
        rest = tag.rest;
        if HIDDEN.contains(&&*tag.name) && !tag.closes {
            rest = after_end_tag(rest, &tag.name);
            continue;
        }
        out.push_str(replacement(&tag.name));
        depth = deeper(depth, &tag);
        if depth > MAX_DEPTH {
            return None;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// What a tag leaves in the text: a paragraph an empty line, a block a line end, a cell a space.
fn replacement(name: &str) -> &'static str {
    match name {
        "p" => "<br><br>",
        "td" | "th" => " ",
        name if LINES.contains(&name) => "<br>",
        _ => "",
    }
}

fn deeper(depth: usize, tag: &Tag<'_>) -> usize {
    if UNNESTED.contains(&&*tag.name) {
        depth
    } else if tag.closes {
        depth.saturating_sub(1)
    } else {
        depth + 1
    }
}

struct Tag<'a> {
    name: String,
    closes: bool,
    rest: &'a str,
}

impl<'a> Tag<'a> {
    /// The tag that `text` begins with; also declarations and processing instructions, with an empty name.
    fn at(text: &'a str) -> Option<Self> {
        let inside = &text[1..];
        let closes = inside.starts_with('/');
        let named = &inside[usize::from(closes)..];
        let letters = named.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if letters == 0 && !named.starts_with(['!', '?']) {
            return None;
        }
        let name = named[..letters].to_ascii_lowercase();
        Some(Self { name, closes, rest: after_tag(&named[letters..]) })
    }
}

/// What follows the `>`; one in quotes is part of a value.
fn after_tag(text: &str) -> &str {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return &text[at + 1..],
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end tag of a hidden element; nothing, when it is not closed.
fn after_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name)) {
            return after_tag(&rest[name.len()..]);
        }
    }
    ""
}

/// Lines trimmed; at most one empty line between others.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if empty > 1 && !out.is_empty() {
            out.push('\n');
        }
        empty = 0;
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_lines_of_text() {
        for (html, text) in [
            ("<p>a</p><p>b</p>", "a\n\nb\n"),
            ("<div>a<div>b</div></div>c", "a\nb\nc\n"),
            ("a<br>b<BR/>c<br clear=\"all\">d", "a\nb\nc\nd\n"),
            ("<ul><li>a<li>b</ul>", "a\nb\n"),
            ("<td>a</td><td>b</td>", "a b\n"),
            ("a &lt;b&gt; &amp; &#228; &copy;", "a <b> & ä ©\n"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2\n"),
            ("<a title='x>y' href=z>t</a>", "t\n"),
            ("a<script type=x>b < c</script >d", "ad\n"),
            ("a<style>b", "a\n"),
            ("a<!-- b <p> -->c<!-- d", "ac\n"),
            ("<!DOCTYPE html><?xml?>a", "a\n"),
            ("<", "<\n"),
            ("", ""),
        ] {
            assert_eq!(from_html(html), text, "{html}");
        }
    }

    #[test]
    fn too_large_or_deep_gives_the_notice() {
        let nested = |n: usize| format!("{}x{}", "<div>".repeat(n), "</div>".repeat(n));
        assert_eq!(from_html(&nested(MAX_DEPTH)), "x\n");
        assert_eq!(from_html(&nested(MAX_DEPTH + 1)), NOTICE);
        assert_eq!(from_html(&"<div>".repeat(20_000)), NOTICE);
        assert_eq!(from_html(&"<p>x".repeat(1_000)).lines().filter(|line| *line == "x").count(), 1_000);
        assert_eq!(from_html(&"x".repeat(MAX_HTML + 1)), NOTICE);
    }
}
