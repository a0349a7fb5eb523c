//! The HTML of a mail made safe to show (security: X01). ammonia decides what is safe; what goes in is cut down before, because
//! its parser costs the square of the nesting, and again for what is left open (M06).

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::LazyLock,
};

use ammonia::{Builder, UrlRelative};

use super::{
    attachment::{AttachmentInfo, Listing, content_id_of},
    clean, delimiter,
    html::{self, Tag, Token, Tokens, TooComplex, escaped},
    parse, text,
};

/// Elements that are kept. No forms, no frames, nothing that runs or loads.
const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];
/// Where the attachments lie beside the page.
const OWN: &str = "attachments/";
/// Of the elements those that HTML opens again where they were not closed (HTML, *list of active formatting elements*).
const FORMATTING: &[&str] =
    &["a", "b", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"];
/// Most tags times most open formatting elements: how many elements a parser may make of them.
const MAX_ELEMENTS: usize = 1_000_000;
/// Attributes that are kept.
const ATTRIBUTES: &[&str] = &[
    "align",
    "alt",
    "border",
    "cellpadding",
    "cellspacing",
    "color",
    "colspan",
    "dir",
    "height",
    "href",
    "lang",
    "rowspan",
    "src",
    "start",
    "style",
    "title",
    "valign",
    "width",
];
/// Style properties that are kept: none that places, hides, or loads.
const STYLES: &[&str] = &[
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-right",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "font-size",
    "font-style",
    "font-weight",
    "line-height",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "vertical-align",
    "white-space",
    "width",
];

static RULES: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut rules = Builder::empty();
    rules
        .tags(TAGS.iter().copied().collect())
        .generic_attributes(ATTRIBUTES.iter().copied().collect())
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Custom(Box::new(own)))
        .attribute_filter(|element, name, value| {
            let fits = match name {
                "src" => element == "img" && is_own(value),
                "href" => element == "a" && !is_own(value),
                _ => true,
            };
            fits.then_some(Cow::Borrowed(value))
        })
        .filter_style_properties(STYLES.iter().copied().collect())
        .link_rel(Some("noopener noreferrer nofollow"));
    rules
});

/// Whether a URL is that of an attachment beside the page.
fn is_own(url: &str) -> bool {
    url.strip_prefix(OWN)
        .is_some_and(|n| !n.is_empty() && n.len() < 6 && n.bytes().all(|b| b.is_ascii_digit()))
}

fn own(url: &str) -> Option<Cow<'_, str>> {
    is_own(url).then_some(Cow::Borrowed(url))
}

/// The HTML of a mail that has passed [`prescan`](super::prescan), safe to show in a page of its own; `None` where the mail has
/// no HTML. Nothing is loaded from elsewhere: images are those of the mail, as `attachments/N` beside the page, `N` counted as in
/// [`Content::attachments`](super::Content::attachments).
pub fn display_html(raw: &[u8]) -> Option<String> {
    let masked = delimiter::masked(raw);
    let parsed = parse::parse_as(raw, masked.as_deref()).ok()?;
    parsed.htmls().next()?;
    let images = images(&Listing::of(&parsed));
    let mut page = String::new();
    for part in parsed.html_body() {
        let (text, _) = part.text();
        match part.media_type().as_str() {
            "text/html" => page.push_str(&safe(&text, &images)),
            "text/plain" => {
                let _ = write!(page, "<pre>{}</pre>", escaped(&clean::lines(&text)));
            }
            _ => {}
        }
    }
    Some(page)
}

/// Which attachment each Content-ID names.
fn images(listing: &Listing) -> HashMap<String, usize> {
    let named = |(n, (info, _)): (usize, &(AttachmentInfo, Vec<u8>))| {
        info.content_type.starts_with("image/").then(|| Some((info.content_id.clone()?, n)))?
    };
    listing.items.iter().enumerate().filter_map(named).collect()
}

/// Safe HTML; a notice when it exceeds the caps.
pub(super) fn safe(html: &str, images: &HashMap<String, usize>) -> String {
    let Ok(plain) = cut_down(html, images) else { return format!("<p>{}</p>", escaped(text::NOTICE)) };
    RULES.clean(&plain).to_string()
}

/// The elements and attributes that are kept, and nothing that costs a parser more than its length.
fn cut_down(html: &str, images: &HashMap<String, usize>) -> Result<String, TooComplex> {
    let mut tokens = Tokens::of(html)?;
    let mut out = String::with_capacity(html.len());
    let (mut tags, mut open, mut most_open) = (0, 0_usize, 1);
    while let Some(token) = tokens.next()? {
        let tag = match token {
            Token::Text(text) => {
                out.push_str(&text.replace('<', "&lt;"));
                continue;
            }
            Token::Tag(tag) if TAGS.contains(&&*tag.name) => tag,
            Token::Tag(_) => continue,
        };
        if FORMATTING.contains(&&*tag.name) {
            open = if tag.closes { open.saturating_sub(1) } else { open + 1 };
            most_open = most_open.max(open);
        }
        tags += 1;
        write_tag(&mut out, &tag, images);
    }
    if tags * most_open > MAX_ELEMENTS { Err(TooComplex) } else { Ok(out) }
}

fn write_tag(out: &mut String, tag: &Tag<'_>, images: &HashMap<String, usize>) {
    out.push_str(if tag.closes { "</" } else { "<" });
    out.push_str(&tag.name);
    for (name, value) in tag.attributes().filter(|_| !tag.closes) {
        let Some(kept) = ATTRIBUTES.iter().find(|kept| kept.eq_ignore_ascii_case(name)) else { continue };
        let value = if *kept == "src" {
            let id = content_id_of(&html::decoded(value));
            id.and_then(|id| images.get(&id)).map(|n| format!("{OWN}{n}").into())
        } else {
            Some(Cow::Borrowed(value))
        };
        if let Some(value) = value {
            let _ = write!(out, " {kept}=\"{}\"", value.replace('"', "&quot;"));
        }
    }
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(html: &str) -> String {
        safe(html, &HashMap::from([("i@a".to_owned(), 3)]))
    }

    /// X01.
    #[test]
    fn nothing_runs_and_nothing_is_loaded() {
        for (html, expected) in [
            ("a<img src=x onerror=alert(1)>b", "a<img>b"),
            ("a<svg><script>alert(1)</script></svg>b", "ab"),
            ("<svg onload=alert(1)>", ""),
            ("<script>alert(1)</script>a", "a"),
            ("<a href=\"javascript:alert(1)\">a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            ("<a href=\" java&#x0A;script:alert(1)\">a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            (
                "<a href=\"data:text/html,<script>alert(1)</script>\">a</a>",
                "<a rel=\"noopener noreferrer nofollow\">a</a>",
            ),
            ("<a href=\"/api/v1/accounts\">a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            ("<a href=\"attachments/1\">a</a>", "<a rel=\"noopener noreferrer nofollow\">a</a>"),
            ("<iframe src=\"data:text/html,x\"></iframe>a", "a"),
            ("<object data=x>b</object><embed src=x>a", "a"),
            ("<form action=\"https://a.example\"><input name=x><button>b</button></form>", "b"),
            (
                "<meta http-equiv=refresh content=\"0;url=https://a.example\"><base href=x><link rel=x href=y>a",
                "a",
            ),
            ("<img src=\"https://a.example/pixel.gif\" alt=\"x\">", "<img alt=\"x\">"),
            ("<img src=\"//a.example/pixel.gif\">", "<img>"),
            (
                "<table background=\"https://a.example/x\"><tr><td>a</td></tr></table>",
                "<table><tbody><tr><td>a</td></tr></tbody></table>",
            ),
            (
                "<div style=\"position:fixed;color:red;background:url(https://a.example)\">a</div>",
                "<div style=\"color:red\">a</div>",
            ),
            ("<style>*{color:red}</style>a", "a"),
            (
                "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></table></mtext></math>a",
                "a",
            ),
            ("<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">", "<img>\"&gt;"),
            (
                "<p onclick=alert(1) title=\"&quot;><script>alert(1)</script>\">a</p>",
                "<p title=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">a</p>",
            ),
            ("<div id=x class=y name=z>a</div>", "<div>a</div>"),
            ("a<!-- <b> -->b<![CDATA[c]]>", "ab"),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for (html, expected) in [
            ("<p>a &amp; <b>b</b> &lt;c&gt;</p>", "<p>a &amp; <b>b</b> &lt;c&gt;</p>"),
            (
                "<a href=\"https://a.example/?x=1&amp;y=2\">a</a>",
                "<a href=\"https://a.example/?x=1&amp;y=2\" rel=\"noopener noreferrer nofollow\">a</a>",
            ),
            ("<img src=\"cid:i%40a\" width=\"10\">", "<img src=\"attachments/3\" width=\"10\">"),
            ("<img src=\"cid:other@a\">", "<img>"),
            ("1 < 2", "1 &lt; 2"),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    /// M06: what would cost the square of its length becomes a notice, or is no work.
    #[test]
    fn what_costs_too_much_is_a_notice() {
        let formatting: String = ["<b title=1>", "<b title=2>"].concat().repeat(100);
        for html in
            ["<div>".repeat(20_000), format!("{formatting}{}", "<p>x".repeat(50_000)), "x".repeat(600_000)]
        {
            assert!(shown(&html).contains("not shown as text"), "{}", &html[..20]);
        }
        let foreign = format!("<svg>{}", "<td>".repeat(50_000));
        assert_eq!(shown(&foreign), "");
        assert_eq!(shown(&"<td>x".repeat(50_000)), "x".repeat(50_000));
        let attributes = format!("<p {}>a</p>", "a=b c d ".repeat(20_000));
        assert_eq!(shown(&attributes), "<p>a</p>");
    }
}
