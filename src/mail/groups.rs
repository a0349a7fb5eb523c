//! Mailing lists and groups: what they leave on a mail that passes them.

use super::{clean, fields::HeaderBlock, sender};
use crate::types::EmailAddress;

/// Longest line for the trail, in characters.
const MAX_NOTE: usize = 400;
const LIST_FIELDS: [&str; 6] =
    ["list-unsubscribe", "list-post", "list-help", "list-subscribe", "list-owner", "list-archive"];

/// The identifiers of all List-Id fields.
pub(super) fn lists(block: &HeaderBlock<'_>) -> Vec<String> {
    block.all("list-id").map(|field| list_id(&field.unfolded())).collect()
}

/// The identifier between the last brackets (RFC 2919 §2), else the whole, in lower case.
pub(super) fn list_id(value: &str) -> String {
    let inside = value.rsplit_once('<').map_or(value, |(_, after)| after.split('>').next().unwrap_or(after));
    inside.trim().to_lowercase()
}

/// The name of the first field of RFC 2369.
pub(super) fn list_field(block: &HeaderBlock<'_>) -> Option<&'static str> {
    LIST_FIELDS.into_iter().find(|name| block.first(name).is_some())
}

/// A Precedence that says bulk mail.
pub(super) fn precedence(block: &HeaderBlock<'_>) -> Option<String> {
    tokens(block, "precedence").find(|value| matches!(&**value, "bulk" | "list" | "junk"))
}

/// The values of all fields of that name: without comments and parameters, in lower case (RFC 3834 §5).
pub(super) fn tokens<'a>(
    block: &'a HeaderBlock<'_>,
    name: &'static str,
) -> impl Iterator<Item = String> + 'a {
    block.all(name).map(|field| {
        let plain = without_comments(&field.unfolded());
        plain.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    })
}

fn without_comments(value: &str) -> String {
    let (mut depth, mut out) = (0_usize, String::with_capacity(value.len()));
    for c in value.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// A line for the trail where a group has put itself into From: who wrote is then told by fields that anybody can write,
/// and so by none. `name` is the display name of From.
pub(super) fn rewritten(
    block: &HeaderBlock<'_>,
    author: Option<&EmailAddress>,
    name: Option<&str>,
) -> Option<String> {
    let list = lists(block).into_iter().next()?;
    let original = ["x-original-from", "reply-to"].into_iter().find_map(|field| {
        let found = sender::addresses(&block.first(field)?.unfolded()).into_iter().next()?;
        Some((field, found)).filter(|(_, found)| Some(found) != author)
    });
    let told = block.first("x-original-from").is_some() || name.is_some_and(|name| name.contains(" via "));
    let (field, original) = original.filter(|_| told)?;
    let line = format!(
        "the group {list} put itself into From; {} ({field}) is no sender. Switch the group's footer and subject prefix \
         off (Google Groups), set DMARC mitigation to none (Mailman), or route instead of forwarding by a group",
        original.key(),
    );
    Some(clean::line(&line, MAX_NOTE))
}

#[cfg(test)]
mod tests {
    use crate::mail::read;

    #[test]
    fn a_group_in_the_authors_place_is_told() {
        let id = "List-Id: <it.partner.example>\r\n";
        for (fields, told) in [
            (format!("From: \"'Ada' via IT\" <it@partner.example>\r\n{id}Reply-To: ada@x.example\r\n"), true),
            (format!("From: IT <it@partner.example>\r\n{id}X-Original-From: Ada <ada@x.example>\r\n"), true),
            (format!("From: IT <it@partner.example>\r\n{id}Reply-To: ada@x.example\r\n"), false),
            (format!("From: Ada <ada@x.example>\r\n{id}X-Original-From: Ada <ada@x.example>\r\n"), false),
            ("From: \"'Ada' via IT\" <it@partner.example>\r\nReply-To: ada@x.example\r\n".to_owned(), false),
        ] {
            let note = read(format!("{fields}\r\n").as_bytes()).rewritten;
            assert_eq!(note.is_some(), told, "{fields}");
            assert!(note.is_none_or(|note| {
                note.contains("it.partner.example put")
                    && note.contains("ada@x.example (")
                    && note.ends_with("a group")
            }));
        }
    }
}
