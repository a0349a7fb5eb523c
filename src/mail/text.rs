//! HTML made text, within caps: links with their targets, lists, cells, and quoted mail behind `>` as plain text has it.

use super::{
    clean,
    html::{self, Tag, Token, Tokens, TooComplex},
    quote::{Hint, HintKind},
};

/// Most bytes of text that are made.
const MAX_TEXT: usize = 512 * 1024;
/// Deepest quotation and deepest list that is shown as such.
const MAX_LEVELS: usize = 12;
/// Longest link target that is shown, in bytes. Longer ones are for counting readers.
const MAX_TARGET: usize = 300;
/// Most non-breaking spaces in a row that are kept.
const MAX_SPACES: usize = 40;
/// Stands where HTML was too large, too deep or not convertible.
pub(super) const NOTICE: &str =
    "[This mail is HTML that is not shown as text: too large or too deeply nested.]\n";

/// Elements that begin and end a line.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];
/// Elements with an empty line around them.
const PARAGRAPHS: &[&str] = &["p", "h1", "h2", "h3", "h4", "h5", "h6"];

/// An HTML body as text.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// Clean lines.
    pub text: String,
    /// Where the markup says that something is quoted or a signature.
    pub hints: Vec<Hint>,
}

/// The text of an HTML body; a notice when it exceeds the caps.
pub(super) fn from_html(html: &str) -> Converted {
    converted(html).unwrap_or_else(|TooComplex| Converted { text: NOTICE.to_owned(), hints: Vec::new() })
}

fn converted(html: &str) -> Result<Converted, TooComplex> {
    let mut tokens = Tokens::of(html)?;
    let mut writer = Writer::default();
    while let Some(token) = tokens.next()? {
        match token {
            Token::Text(text) => writer.text(&html::decoded(text)),
            Token::Tag(tag) if tag.closes => writer.close(&tag.name, tokens.depth),
            Token::Tag(tag) => writer.open(&tag, tokens.depth),
        }
    }
    Ok(writer.finish())
}

/// What stands before the text that is written next.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Line,
    Empty,
}

#[derive(Default)]
struct Writer {
    out: String,
    hints: Vec<Hint>,
    gap: Gap,
    spaces: usize,
    /// Whether a cell of this row stands on the line already, and whether another one has begun.
    cells: (bool, bool),
    /// Whether nothing has been written since a cell began.
    fresh_cell: bool,
    /// Open blockquotes: whether they quote.
    quotes: Vec<bool>,
    /// How deep the last line was quoted.
    last_depth: usize,
    /// Open lists: the number of the next item, 0 for bullets.
    lists: Vec<usize>,
    bullet: Option<String>,
    pre: usize,
    /// Whether the paragraph begun last has no space around it.
    tight: bool,
    /// The target of the open link and where its text begins.
    link: Option<(String, usize)>,
    /// A hint for the line that begins next, with the depth of its element.
    hint: Option<(HintKind, usize)>,
}

impl Writer {
    fn open(&mut self, tag: &Tag<'_>, depth: usize) {
        if let Some(kind) = HintKind::of(tag) {
            self.gap(Gap::Line);
            self.hint = Some((kind, depth));
        }
        match &*tag.name {
            "br" => self.line_end(),
            "img" => self.image(tag),
            "a" => self.link = tag.attribute("href").map(|target| (target, self.out.len())),
            "td" | "th" => (self.cells.1, self.fresh_cell) = (self.cells.0, true),
            "blockquote" => self.quotes.push(!is_indent(tag)),
            "ul" => self.lists.push(0),
            "ol" => self.lists.push(1),
            "pre" => self.pre += 1,
            _ => {}
        }
        if tag.name == "p" {
            self.tight = is_tight(tag);
        }
        self.separate(&tag.name);
        match &*tag.name {
            "li" => self.bullet = Some(self.next_bullet()),
            "tr" => self.cells = (false, false),
            _ => {}
        }
    }

    fn close(&mut self, name: &str, depth: usize) {
        match name {
            "a" => self.end_link(),
            "td" | "th" => self.gap = self.gap.min(Gap::Line),
            "blockquote" => drop(self.quotes.pop()),
            "ul" | "ol" => drop(self.lists.pop()),
            "pre" => self.pre = self.pre.saturating_sub(1),
            "tr" | "table" => self.cells = (false, false),
            _ => {}
        }
        self.separate(name);
        let end = self.out.len();
        for hint in self.hints.iter_mut().rev().take(4).filter(|hint| hint.end == usize::MAX) {
            if depth < hint.depth {
                hint.end = end;
            }
        }
    }

    fn separate(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) {
            let tight = self.tight && name == "p" || self.fresh_cell || !self.lists.is_empty();
            self.gap(if tight { Gap::Line } else { Gap::Empty });
        } else if BLOCKS.contains(&name) {
            self.gap(Gap::Line);
        }
    }

    fn gap(&mut self, least: Gap) {
        if self.spaces > 0 && self.gap != Gap::None {
            // A line of nothing but spaces.
            self.gap = Gap::Empty;
        }
        self.gap = self.gap.max(least);
        self.spaces = 0;
    }

    /// A line ends; where none has begun, an empty one.
    fn line_end(&mut self) {
        let next = if self.gap == Gap::None { Gap::Line } else { Gap::Empty };
        self.gap(next);
    }

    fn text(&mut self, text: &str) {
        let text = clean::lines(text);
        for c in text.chars() {
            match c {
                _ if self.out.len() > MAX_TEXT => return,
                '\n' if self.pre > 0 => self.line_end(),
                ' ' | '\t' if self.pre > 0 => self.spaces = (self.spaces + 1).min(MAX_SPACES),
                '\u{a0}' => self.spaces = (self.spaces + 1).min(MAX_SPACES),
                ' ' | '\t' | '\n' if self.at_line_start() => {}
                ' ' | '\t' | '\n' => self.spaces = self.spaces.max(1),
                c => self.character(c),
            }
        }
    }

    fn at_line_start(&self) -> bool {
        self.gap != Gap::None || self.out.is_empty()
    }

    fn character(&mut self, c: char) {
        let separates_cells = std::mem::take(&mut self.cells.1);
        if separates_cells && !self.out.is_empty() {
            self.out.push_str(" | ");
            (self.gap, self.spaces) = (Gap::None, 0);
        } else if self.at_line_start() {
            self.begin_line();
        }
        (self.cells.0, self.fresh_cell) = (true, false);
        self.out.extend(std::iter::repeat_n(' ', std::mem::take(&mut self.spaces)));
        self.out.push(c);
    }

    fn begin_line(&mut self) {
        let depth = self.quotes.iter().filter(|quotes| **quotes).count().min(MAX_LEVELS);
        if !self.out.is_empty() {
            self.out.push('\n');
            if self.gap == Gap::Empty {
                self.out.push_str(&">".repeat(depth.min(self.last_depth)));
                self.out.push('\n');
            }
        }
        (self.gap, self.last_depth) = (Gap::None, depth);
        if let Some((kind, depth)) = self.hint.take() {
            self.hints.push(Hint { kind, start: self.out.len(), end: usize::MAX, depth });
        }
        if depth > 0 {
            self.out.push_str(&">".repeat(depth));
            self.out.push(' ');
        }
        let indent = self.lists.len().min(MAX_LEVELS);
        let bullet = self.bullet.take();
        self.out.push_str(&"  ".repeat(indent.saturating_sub(usize::from(bullet.is_some()))));
        self.out.push_str(bullet.as_deref().unwrap_or_default());
    }

    fn next_bullet(&mut self) -> String {
        match self.lists.last_mut() {
            Some(number) if *number > 0 => {
                let bullet = format!("{number}. ");
                *number += 1;
                bullet
            }
            _ => "- ".to_owned(),
        }
    }

    /// What a picture says in words; signs that are pictures (emoji) without brackets.
    fn image(&mut self, tag: &Tag<'_>) {
        let alt = tag.attribute("alt").map(|alt| clean::line(&alt, 200)).unwrap_or_default();
        if alt.is_empty() {
            return;
        }
        let is_sign = !alt.chars().any(|c| c.is_ascii_graphic());
        self.text(&if is_sign { alt } else { format!("[{alt}]") });
    }

    fn end_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let shown = self.out[start.min(self.out.len())..].trim();
        let Some(target) = shown_target(&target).filter(|target| !shown.is_empty() && !says(shown, target))
        else {
            return;
        };
        self.text(&format!(" <{target}>"));
    }

    fn finish(mut self) -> Converted {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        Converted { text: self.out, hints: self.hints }
    }
}

/// A target that says something to people, fit to stand between angle brackets.
fn shown_target(target: &str) -> Option<String> {
    let target = target.trim();
    let schemes = ["http://", "https://", "mailto:", "ftp://"];
    let known = |scheme: &&str| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    schemes.iter().find(|scheme| known(scheme))?;
    let line = clean::line(target, MAX_TARGET + 1);
    let fit = line.len() <= MAX_TARGET;
    fit.then(|| line.replace(' ', "%20").replace('<', "%3C").replace('>', "%3E"))
}

/// Whether the text of a link is its target: scheme, `www.` and a last slash may be missing.
fn says(shown: &str, target: &str) -> bool {
    let bare = |text: &str| {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let text = text.strip_prefix("mailto:").unwrap_or(text);
        text.trim_start_matches("www.").trim_end_matches('/').to_lowercase()
    };
    shown.len() < 4 * MAX_TARGET && bare(shown.trim_start_matches(['>', ' ', '-'])) == bare(target)
}

/// A blockquote that moves text to the right and quotes nobody: the indent button of Gmail and others.
fn is_indent(tag: &Tag<'_>) -> bool {
    let named = tag.attribute("class").is_some()
        || tag.attribute("type").is_some()
        || tag.attribute("cite").is_some();
    !named && tag.has("style", |style| style.contains("border:none") || style.contains("border:0"))
}

/// A paragraph without space around it, as Outlook writes lines.
fn is_tight(tag: &Tag<'_>) -> bool {
    tag.has("class", |class| class.starts_with("mso"))
        || tag.has("style", |style| style.contains("margin:0") || style.contains("margin-bottom:0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        from_html(html).text
    }

    #[test]
    fn markup_becomes_lines_of_text() {
        for (html, expected) in [
            ("<p>a</p><p>b</p>", "a\n\nb\n"),
            ("<div>a<div>b</div></div>c", "a\nb\nc\n"),
            ("<div>a</div><div><br></div><div>b<br></div><div>c</div>", "a\n\nb\nc\n"),
            ("<p class=MsoNormal>a</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>b</p>", "a\n\nb\n"),
            ("<p class=MsoNormal>a</p><p class=MsoNormal>b</p>", "a\nb\n"),
            ("a<br>b<BR/>c<br clear=\"all\">d", "a\nb\nc\nd\n"),
            ("a<br><br><br><br>b", "a\n\nb\n"),
            ("<td>a</td><td>b</td>", "a | b\n"),
            ("a &lt;b&gt; &amp; &#228; &copy;", "a <b> & ä ©\n"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2\n"),
            ("<a title='x>y' href=z>t</a>", "t\n"),
            ("a<script type=x>b < c</script >d", "ad\n"),
            ("a<style>b", "a\n"),
            ("a<!-- b <p> -->c<!-- d", "ac\n"),
            ("<!DOCTYPE html><?xml?>a", "a\n"),
            ("<b>a</b> <i> b</i>c", "a bc\n"),
            ("<pre>a\n  b\n\nc</pre>d", "a\n  b\n\nc\nd\n"),
            ("a<o:p></o:p>b", "ab\n"),
            ("<", "<\n"),
            ("", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn lists_keep_their_signs() {
        for (html, expected) in [
            ("<ul><li>a<li>b</ul>c", "- a\n- b\nc\n"),
            ("<ol><li>a</li><li><p>b</p></li></ol>", "1. a\n2. b\n"),
            ("<ul><li>a<ul><li>b</li></ul></li><li>c<br>d</li></ul>", "- a\n  - b\n- c\n  d\n"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn cells_of_a_row_stand_on_one_line() {
        let row = |a: &str, b: &str| format!("<tr><td><p>{a}</p></td><td><p>{b}</p></td></tr>");
        let table = format!("<table>{}{}</table>after", row("a", "b"), row("", "d"));
        assert_eq!(text(&table), "a | b\nd\nafter\n");
    }

    #[test]
    fn links_show_where_they_lead() {
        for (html, expected) in [
            ("<a href=\"https://a.example/?x>y\">here</a>.", "here <https://a.example/?x%3Ey>.\n"),
            ("<a href=\"https://a.example/\">a.example</a>", "a.example\n"),
            ("<a href=\"https://www.a.example/x\">https://www.a.example/x</a>", "https://www.a.example/x\n"),
            ("<a href=\"mailto:a@b.example\">a@b.example</a>", "a@b.example\n"),
            ("<a href=\"mailto:a@b.example\">Ada</a>", "Ada <mailto:a@b.example>\n"),
            ("<a href=\"javascript:alert(1)\">x</a>", "x\n"),
            ("<a href=\"https://a.example\"><img alt=\"Logo\"></a>", "[Logo] <https://a.example>\n"),
            ("a <img alt=\"\u{1f642}\"> b", "a \u{1f642} b\n"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn quoted_mail_stands_behind_signs() {
        for (html, expected) in [
            ("a<blockquote>b<blockquote>c</blockquote></blockquote>d", "a\n> b\n>> c\nd\n"),
            ("<blockquote type=cite><p>a</p><p>b</p></blockquote><p>c</p>", "> a\n>\n> b\n\nc\n"),
            ("<blockquote style=\"margin:0 0 0 40px; border: none\">b</blockquote>", "b\n"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn too_large_or_deep_gives_the_notice() {
        let nested = |n: usize| format!("{}x{}", "<div>".repeat(n), "</div>".repeat(n));
        assert_eq!(text(&nested(256)), "x\n");
        assert_eq!(text(&nested(257)), NOTICE);
        assert_eq!(text(&"<div>".repeat(20_000)), NOTICE);
        assert_eq!(text(&"<p>x".repeat(1_000)).lines().filter(|line| *line == "x").count(), 1_000);
        assert_eq!(text(&"x".repeat(512 * 1024 + 1)), NOTICE);
    }

    #[test]
    fn quotation_does_not_blow_a_text_up() {
        let html = format!("{}{}", "<blockquote>".repeat(250), "x<br>".repeat(90_000));
        assert!(text(&html).len() <= MAX_TEXT + 64);
    }
}
