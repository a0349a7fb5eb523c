//! Hides secrets in the text of a file, so that a report that quotes the file can be shown to anybody.

/// The text with each byte of a secret as `*`, so that every place stays where it is. Works on any text, valid TOML or
/// not: the password of a URL with a login, the value of a key whose name has `token` in it, but for the names of files
/// (`token_file`), and the values of `headers`.
pub(super) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let passwords = text.match_indices("://").filter_map(|(at, mark)| password(text, at + mark.len()));
    let tokens = text.match_indices("token").filter_map(|(at, mark)| value(text, at + mark.len()));
    let headers = text.match_indices("headers").flat_map(|(at, mark)| fields(text, at + mark.len()));
    for secret in passwords.chain(tokens).chain(headers) {
        bytes[secret].fill(b'*');
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Between the `:` and the `@` of the login that begins at `start`.
fn password(text: &str, start: usize) -> Option<std::ops::Range<usize>> {
    let rest = &text[start..];
    let end = rest.find(['"', '\'', '\n', ' ']).unwrap_or(rest.len());
    let at = rest[..end].rfind('@')?;
    let colon = rest[..at].find(':')?;
    Some(start + colon + 1..start + at)
}

/// What stands in quotes behind the `=` that follows the name of a key.
fn value(text: &str, start: usize) -> Option<std::ops::Range<usize>> {
    let rest = text[start..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if text[start..].starts_with("_file") {
        return None;
    }
    let rest = rest.trim_start_matches(['"', '\'', ' ', '\t']);
    let rest = rest.strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let begin = text.len() - rest.len() + 1;
    let rest = &rest[1..];
    let end = rest.find([quote, '\n']).unwrap_or(rest.len());
    Some(begin..begin + end)
}

/// In each text of the list behind the `=` that follows the name of a key, or in the one text there: what stands behind its first
/// colon, or all of it.
fn fields(text: &str, start: usize) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let written = text[start..].trim_start_matches(['"', '\'', ' ', '\t']);
    let Some(mut rest) = written.strip_prefix('=').map(str::trim_start) else { return found };
    let is_list = rest.starts_with('[');
    while let Some((at, quote)) = rest.char_indices().find(|(_, c)| matches!(c, '"' | '\'' | ']' | '\n')) {
        rest = &rest[at + 1..];
        match quote {
            '\n' if is_list => continue,
            ']' | '\n' => break,
            _ => {}
        }
        let begin = text.len() - rest.len();
        let end = begin + rest.find([quote, '\n']).unwrap_or(rest.len());
        let colon = text[begin..end].find(':').map_or(begin, |at| begin + at + 1);
        found.push(colon..end);
        rest = text.get(end + 1..).unwrap_or_default();
        if !is_list {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_moves() {
        for (text, hidden) in [
            ("admin_token = \"abc def\"\n", "admin_token = \"*******\"\n"),
            ("\"admin_token\"='geheim'", "\"admin_token\"='******'"),
            ("admin_token = \"näh", "admin_token = \"****"),
            (
                "http = { admin_token = \"abc\", listen = \"x\" }",
                "http = { admin_token = \"***\", listen = \"x\" }",
            ),
            ("token_sha256 = \"9f86\"", "token_sha256 = \"****\""),
            ("token_sha265 = \"9f86\"", "token_sha265 = \"****\""),
            ("token_files = \"x\"", "token_files = \"x\""),
            ("[{ name = \"anna\", token = 'x' }]", "[{ name = \"anna\", token = '*' }]"),
            ("admin_token_file = \"/etc/token\"", "admin_token_file = \"/etc/token\""),
            ("# a token\nkey = \"IT\"", "# a token\nkey = \"IT\""),
            (
                "headers = [ \"x-key: abc\",\n'b:c'] # \"d: e\"\n",
                "headers = [ \"x-key:****\",\n'b:*'] # \"d: e\"\n",
            ),
            ("otlp.headers=[\"abc", "otlp.headers=[\"***"),
            ("headers = \"x: y\"\nkey = \"IT\"", "headers = \"x:**\"\nkey = \"IT\""),
            ("headers = 5\nkey = \"IT\"", "headers = 5\nkey = \"IT\""),
            ("relay = \"smtp://u:p@ss@h:25\"", "relay = \"smtp://u:****@h:25\""),
            ("relay = \"smtp://user@h\"", "relay = \"smtp://user@h\""),
            ("relay = \"smtp://h:25\"\nfrom = \"a@b\"", "relay = \"smtp://h:25\"\nfrom = \"a@b\""),
            ("relay = \"smtp://u:geheim@h", "relay = \"smtp://u:******@h"),
        ] {
            assert_eq!(masked(text), hidden, "{text}");
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
