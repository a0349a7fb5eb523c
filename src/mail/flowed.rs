//! Text whose lines were broken to be joined again (RFC 3676, format=flowed).

/// The text with its paragraphs on one line each. `delsp`: the space before a soft line end was added by the sender and
/// goes with it (§4.1). Quoted lines keep their signs, joined ones once.
pub(super) fn joined(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // The depth of the paragraph that is still open.
    let mut open: Option<usize> = None;
    for line in text.split_terminator('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let content = &line[depth..];
        // Space-stuffing (§4.4).
        let content = content.strip_prefix(' ').unwrap_or(content);
        // A signature's sign is flowed by its looks only (§4.3).
        let is_sign = content == "-- ";
        if open.take_if(|open| *open != depth || is_sign).is_some() {
            out.push('\n');
        }
        if open.is_none() {
            begin(&mut out, depth, content);
        }
        let flows = content.ends_with(' ') && !is_sign;
        out.push_str(if flows && delsp { &content[..content.len() - 1] } else { content });
        open = flows.then_some(depth);
        if !flows {
            out.push('\n');
        }
    }
    if open.is_some() {
        out.push('\n');
    }
    out
}

fn begin(out: &mut String, depth: usize, content: &str) {
    out.extend(std::iter::repeat_n('>', depth));
    // A quoted line keeps its distance; one that is not quoted must not look so.
    if depth > 0 && !content.is_empty() || content.starts_with('>') {
        out.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined() {
        for (text, delsp, expected) in [
            ("a \r\nb \r\nc\r\nd\r\n", false, "a b c\nd\n"),
            ("a \nb\n", true, "ab\n"),
            ("a  \nb\n", true, "a b\n"),
            ("> a \n> b\n> c\n", false, "> a b\n> c\n"),
            (">> a \n> b \nc\n", false, ">> a \n> b \nc\n"),
            (">>a\n>\n", false, ">> a\n>\n"),
            (" >a\n From b\n", false, " >a\nFrom b\n"),
            ("a \n-- \nb\n", false, "a \n-- \nb\n"),
            ("> -- \n> b\n", false, "> -- \n> b\n"),
            ("a \n\nb\n", false, "a \nb\n"),
            ("a", false, "a\n"),
            ("a ", false, "a \n"),
            ("", false, ""),
        ] {
            assert_eq!(joined(text, delsp), expected, "{text:?} {delsp}");
        }
    }
}
