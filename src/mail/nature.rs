//! Whether a person wrote the mail (access-rules, check 2): a table of signs, each with where it comes from.

use super::{AutomaticSign, Nature, clean, fields::HeaderBlock};

/// More Received fields than this are a loop (RFC 5321 §6.3).
const MAX_RECEIVED: usize = 100;
/// Longest value kept of a sign, in characters.
const MAX_VALUE: usize = 100;
/// The field that every mail of ours carries.
const OWN_FIELD: &str = "x-vestibule-mail";

/// What a sign says of a mail that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It goes round in circles.
    Loop,
    /// A machine wrote it.
    Automatic,
    /// As `Automatic`; lifted when the mail came through one of the project's own lists.
    List,
}

/// One sign.
pub struct NatureRow {
    /// Its name in trails.
    pub name: &'static str,
    /// Where it is defined, or who writes it.
    pub source: &'static str,
    kind: Kind,
    found: fn(&Signs, &str) -> Option<String>,
}

/// All signs, in the order in which they are looked for.
pub const NATURE_ROWS: &[NatureRow] = &[
    NatureRow {
        name: "own-mail",
        source: "the field that our own mail carries; RFC 3834 §2 on loops",
        kind: Kind::Loop,
        found: |signs, _| signs.own.clone(),
    },
    NatureRow {
        name: "received-count",
        source: "RFC 5321 §6.3: a server should allow at least 100 Received fields",
        kind: Kind::Loop,
        found: |signs, _| (signs.received > MAX_RECEIVED).then(|| signs.received.to_string()),
    },
    NatureRow {
        name: "null-reverse-path",
        source: "RFC 5321 §4.5.5: bounces and notices have the reverse-path <>",
        kind: Kind::Automatic,
        found: |_, reverse_path| reverse_path.is_empty().then(|| "<>".to_owned()),
    },
    NatureRow {
        name: "report",
        source: "RFC 6522: multipart/report; delivery (3464), disposition (8098) and abuse (5965) reports",
        kind: Kind::Automatic,
        found: |signs, _| (signs.media_type == "multipart/report").then(|| signs.media_type.clone()),
    },
    NatureRow {
        name: "auto-submitted",
        source: "RFC 3834 §5: any value but no",
        kind: Kind::Automatic,
        found: |signs, _| signs.auto_submitted.clone(),
    },
    NatureRow {
        name: "precedence",
        source: "RFC 2076 §3.9, and Sendmail, vacation programs: bulk, list, junk, auto_reply",
        kind: Kind::List,
        found: |signs, _| signs.precedence.clone(),
    },
    NatureRow {
        name: "list-id",
        source: "RFC 2919 §3",
        kind: Kind::List,
        found: |signs, _| signs.lists.first().cloned(),
    },
];

/// What the fields hold of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Signs {
    own: Option<String>,
    received: usize,
    media_type: String,
    auto_submitted: Option<String>,
    precedence: Option<String>,
    lists: Vec<String>,
}

impl Signs {
    pub(super) fn of(block: &HeaderBlock<'_>, media_type: String) -> Self {
        Self {
            own: block.first(OWN_FIELD).map(|field| field.unfolded().into_owned()),
            received: block.all("received").count(),
            media_type,
            auto_submitted: tokens(block, "auto-submitted").find(|value| !matches!(&**value, "" | "no")),
            precedence: tokens(block, "precedence")
                .find(|value| matches!(&**value, "bulk" | "list" | "junk" | "auto_reply")),
            lists: block.all("list-id").map(|field| list_id(&field.unfolded())).collect(),
        }
    }

    /// The first sign that applies, in the table's order.
    pub(super) fn nature(&self, reverse_path: &str, via_lists: &[String]) -> Nature {
        let own_list = self.came_through(via_lists);
        for row in NATURE_ROWS.iter().filter(|row| !(own_list && row.kind == Kind::List)) {
            if let Some(value) = (row.found)(self, reverse_path) {
                let sign = AutomaticSign { name: row.name.into(), value: clean::line(&value, MAX_VALUE) };
                return if row.kind == Kind::Loop { Nature::Loop(sign) } else { Nature::Automatic(sign) };
            }
        }
        Nature::Person
    }

    /// Whether every list that the mail names is one that forwards to the project.
    fn came_through(&self, via_lists: &[String]) -> bool {
        let named = |list: &String| via_lists.iter().any(|via| list_id(via) == *list);
        !self.lists.is_empty() && self.lists.iter().all(named)
    }
}

/// The values of all fields of that name: without comments and parameters, in lower case (RFC 3834 §5).
fn tokens<'a>(block: &'a HeaderBlock<'_>, name: &'static str) -> impl Iterator<Item = String> + 'a {
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

/// The identifier between the last brackets (RFC 2919 §2), else the whole, in lower case.
fn list_id(value: &str) -> String {
    let inside = value.rsplit_once('<').map_or(value, |(_, after)| after.split('>').next().unwrap_or(after));
    inside.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nature(fields: &str, reverse_path: &str, via_lists: &[&str]) -> Nature {
        let raw = format!("{fields}\r\n");
        let lists: Vec<String> = via_lists.iter().map(|&list| list.to_owned()).collect();
        Signs::of(&HeaderBlock::of(raw.as_bytes()), "text/plain".to_owned()).nature(reverse_path, &lists)
    }

    #[test]
    fn every_row_is_named_and_sourced_once() {
        let mut names: Vec<_> = NATURE_ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NATURE_ROWS.len());
        assert!(NATURE_ROWS.iter().all(|row| row.source.len() > 10));
    }

    #[test]
    fn values_are_cleaned_and_cut() {
        let long = format!("Auto-Submitted: auto-x\u{202e}\u{7}{}\r\n", "y".repeat(300));
        let Nature::Automatic(sign) = nature(&long, "a@b", &[]) else { panic!("not automatic") };
        assert_eq!(sign.value.chars().count(), MAX_VALUE);
        assert!(sign.value.starts_with("auto-x yyy"), "{}", sign.value);
    }

    #[test]
    fn a_loop_is_found_before_anything_else() {
        let fields = "X-Vestibule-Mail: x\r\nPrecedence: bulk\r\n";
        assert!(matches!(nature(fields, "", &[]), Nature::Loop(sign) if sign.name == "own-mail"));
    }

    #[test]
    fn own_lists_lift_only_the_signs_of_lists() {
        for (fields, reverse_path, person) in [
            ("List-Id: <it.example>\r\nPrecedence: list\r\n", "a@b", true),
            ("List-Id: IT <IT.Example>\r\n", "a@b", true),
            ("Precedence: list\r\n", "a@b", false),
            ("List-Id: <it.example>\r\n", "", false),
            ("List-Id: <it.example>\r\nAuto-Submitted: auto-replied\r\n", "a@b", false),
            ("List-Id: <it.example>\r\nList-Id: <hr.example>\r\n", "a@b", false),
            ("List-Id: <it.example.evil.example>\r\n", "a@b", false),
        ] {
            assert_eq!(nature(fields, reverse_path, &["it.example"]) == Nature::Person, person, "{fields}");
        }
    }
}
