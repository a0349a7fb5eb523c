//! Authentication-Results (RFC 8601). The data is an unfolded value.

use vestibule::authn::{Entry, Results};

/// A comment that would prove everything if it counted.
const COMMENT: &str = "(dmarc=pass header.from=approved.example; \\) auth=pass)";

/// Read without a panic, and nothing is added; what was read, written with quotes and with comments everywhere, is read
/// again as the same: no comment makes a result, and no quoted string ends early.
pub(crate) fn holds(data: &[u8]) {
    let value = String::from_utf8_lossy(data);
    let results = Results::parse(&value);
    let length: usize = results.entries.iter().map(length).sum();
    assert!(length <= value.len(), "something was added");
    assert!(results.entries.len() <= value.matches(';').count() + 1, "more results than separators");
    let Some(id) = results.authserv_id.as_deref().filter(|_| !results.malformed) else { return };
    let entries: Vec<&Entry> = results.entries.iter().filter(|entry| can_be_written(entry)).collect();
    for between in [" ", COMMENT] {
        let again = Results::parse(&written(id, results.version.as_deref(), &entries, between));
        assert!(!again.malformed, "{again:?}");
        assert_eq!(again.authserv_id.as_deref(), Some(id));
        assert_eq!(again.version, results.version);
        assert_eq!(again.entries.iter().collect::<Vec<_>>(), entries);
    }
}

fn length(entry: &Entry) -> usize {
    let properties = entry.properties.iter().map(|(name, value)| name.len() + value.len());
    properties.sum::<usize>() + entry.method.len() + entry.result.len()
}

/// Names can't be quoted, and a result that is not clean can't be written as it was.
fn can_be_written(entry: &Entry) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = |text: &str| text.split('.').all(token);
    let shown = |text: &str| !text.chars().any(char::is_control);
    entry.clean
        && token(&entry.method)
        && shown(&entry.result)
        && entry.properties.iter().all(|(own, value)| name(own) && shown(value))
}

fn written(id: &str, version: Option<&str>, entries: &[&Entry], between: &str) -> String {
    let mut out =
        [between, &quoted(id), between, version.map(quoted).as_deref().unwrap_or_default(), between].concat();
    for entry in entries {
        out.extend([";", between, &entry.method, between, "=", between, &quoted(&entry.result)]);
        for (name, value) in &entry.properties {
            out.extend([between, name, between, "=", between, &quoted(value)]);
        }
        out.push_str(between);
    }
    if entries.is_empty() {
        out.push_str("; none");
    }
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
