//! The API's JSON for people: aligned tables and records. Whatever came from a mail is stripped of what a terminal
//! would obey.

use std::io::{self, Write};

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::{access::Reason, types::Time};

/// A column of a table: its head and where its value stands in an item (a JSON pointer, RFC 6901). The first of several
/// pointers that leads to a value is taken.
pub(crate) struct Column {
    /// The head.
    pub(crate) head: &'static str,
    /// Where the value stands.
    pub(crate) at: &'static [&'static str],
    /// Widest it gets, in characters; longer values end in `…`.
    pub(crate) max: usize,
}

/// A column that is never cut.
pub(crate) const fn column(head: &'static str, at: &'static [&'static str]) -> Column {
    Column { head, at, max: usize::MAX }
}

/// A column that is cut at `max` characters.
pub(crate) const fn cut_column(head: &'static str, at: &'static [&'static str], max: usize) -> Column {
    Column { head, at, max }
}

/// Writes items as an aligned table, or says that there are none. On a terminal that is too narrow the last columns are
/// left out, and that is said.
pub(crate) fn table(out: &mut dyn Write, columns: &[Column], items: &[Value]) -> io::Result<()> {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    table_within(out, columns, items, terminal.map(|(width, _)| width.0.into()))
}

fn table_within(
    out: &mut dyn Write,
    columns: &[Column],
    items: &[Value],
    room: Option<usize>,
) -> io::Result<()> {
    if items.is_empty() {
        return writeln!(out, "none");
    }
    let heads = columns.iter().map(|column| column.head.to_owned()).collect();
    let rows = items.iter().map(|item| columns.iter().map(|column| cell(column, item)).collect());
    let mut rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let kept = room.map_or(columns.len(), |room| fitting(&rows, room));
    for row in &mut rows {
        row.truncate(kept);
    }
    rows_aligned(out, &rows)?;
    if kept < columns.len() {
        let left: Vec<_> = columns[kept..].iter().map(|column| column.head).collect();
        writeln!(out, "Left out, for the terminal is too narrow: {}. --json has all.", left.join(", "))?;
    }
    Ok(())
}

/// How many columns fit; the first is always there.
fn fitting(rows: &[Vec<String>], room: usize) -> usize {
    let columns = rows.first().map_or(0, Vec::len);
    let mut used = 0;
    for index in 0..columns {
        used += rows.iter().map(|row| width(&row[index])).max().unwrap_or(0);
        if used > room {
            return index.max(1);
        }
        used += 2;
    }
    columns
}

fn cell(column: &Column, item: &Value) -> String {
    let value = column.at.iter().find_map(|at| item.pointer(at).filter(|value| !value.is_null()));
    let text = value.map_or_else(String::new, |value| to_the_second(inline(value)));
    if text.is_empty() {
        // Every line has the same number of words, for those who cut columns out.
        return "-".to_owned();
    }
    if text.chars().count() <= column.max {
        return text;
    }
    let kept: String = text.chars().take(column.max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A time without its milliseconds: a table has its order anyway, and wide lines wrap. Any other text as it is.
fn to_the_second(text: String) -> String {
    let parts = text.strip_suffix('Z').and_then(|text| text.split_once('.'));
    match parts {
        Some((seconds, millis)) if millis.len() == 3 && text.parse::<Time>().is_ok() => format!("{seconds}Z"),
        _ => text,
    }
}

/// A longer cell sticks out of its column: one long line must not push all others off the screen.
const WIDEST: usize = 64;

/// Writes rows with their columns aligned; no blanks at the ends of lines.
pub(crate) fn rows_aligned(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |index: usize| rows.iter().filter_map(move |row| row.get(index)).map(|cell| width(cell));
    let width = |index: usize| cells(index).filter(|width| *width <= WIDEST).max();
    let widths: Vec<usize> = (0..columns).map(|index| width(index).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wide.saturating_sub(self::width(cell)) + 2));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Columns of a terminal: two for each character of Chinese or Japanese (Unicode UAX #11).
fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// What a reader looks for first, in this order; all other fields follow by their names.
const FIRST: [&str; 21] = [
    "id",
    "address",
    "name",
    "at",
    "received_at",
    "created_at",
    "mail_id",
    "message_id",
    "sender",
    "sender_name",
    "project",
    "subject",
    "outcome",
    "reason",
    "decided_by",
    "to_change",
    "basis",
    "actor",
    "request",
    "held",
    "reporter",
];

/// The fields that say something, in the order in which they are read.
fn in_order(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    // That a person was forgotten is worth a line; that nobody was is not.
    let says = |name: &str, value: &Value| !is_empty(value) && (name != "forgotten" || value != false);
    let mut present: Vec<_> = fields.iter().filter(|(name, value)| says(name, value)).collect();
    present.sort_by_key(|(name, _)| rank(name));
    present
}

/// Writes one object, a field a line; then lists of objects and long texts as blocks below their names.
pub(crate) fn record(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Object(fields) => object(out, fields, 0),
        other => writeln!(out, "{}", inline(other)),
    }
}

fn object(out: &mut dyn Write, fields: &Map<String, Value>, indent: usize) -> io::Result<()> {
    let (short, long): (Vec<_>, Vec<_>) =
        in_order(fields).into_iter().partition(|(_, value)| is_inline(value));
    let wide = short.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let pad = " ".repeat(indent);
    for (name, value) in short {
        writeln!(out, "{pad}{name:wide$}  {}{}", inline(value), meaning(name, value))?;
    }
    for (name, value) in long {
        writeln!(out, "{pad}{name}")?;
        block(out, value, indent + 2)?;
    }
    Ok(())
}

/// What a reason code stands for, behind it.
fn meaning(name: &str, value: &Value) -> String {
    let reason =
        (name == "reason").then(|| Reason::ALL.iter().find(|reason| value == reason.as_str())).flatten();
    reason.map_or_else(String::new, |reason| format!(" ({})", reason.meaning()))
}

fn block(out: &mut dyn Write, value: &Value, indent: usize) -> io::Result<()> {
    match value {
        Value::Object(fields) => object(out, fields, indent),
        Value::Array(items) if items.iter().all(is_check) => trail(out, items, indent),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                block(out, item, indent)?;
            }
            Ok(())
        }
        Value::String(text) => {
            let line = |line: &str| format!("{}{}", " ".repeat(indent), plain(line));
            text.lines().try_for_each(|text| writeln!(out, "{}", line(text).trim_end()))
        }
        other => writeln!(out, "{}{}", " ".repeat(indent), inline(other)),
    }
}

/// A trail of checks is a table of three columns.
fn trail(out: &mut dyn Write, checks: &[Value], indent: usize) -> io::Result<()> {
    let cells = |check: &Value| {
        let pad = " ".repeat(indent);
        vec![pad + &inline(&check["check"]), inline(&check["input"]), inline(&check["result"])]
    };
    rows_aligned(out, &checks.iter().map(cells).collect::<Vec<_>>())
}

fn is_check(value: &Value) -> bool {
    ["check", "input", "result"].iter().all(|field| value[*field].is_string())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_inline(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        Value::String(text) => !text.contains('\n'),
        _ => true,
    }
}

/// A value in one line: lists joined by commas, nested objects as JSON.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        other => plain(&other.to_string()),
    }
}

/// The text without anything that a terminal obeys: control characters (escape sequences), and the direction marks
/// that make text read other than it is written.
pub(crate) fn plain(text: &str) -> String {
    let unseen =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || unseen(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_align_and_fall_back_to_the_second_place() {
        const COLUMNS: [Column; 3] = [
            column("ID", &["/id"]),
            column("WHAT", &["/request", "/held"]),
            cut_column("SUBJECT", &["/s"], 5),
        ];
        let items = [
            json!({"id": "IT-1", "request": null, "held": null, "s": "short"}),
            json!({"id": "IT-10", "held": "h", "s": "longer than five"}),
        ];
        let shown = text(|out| table(out, &COLUMNS, &items));
        assert_eq!(shown, "ID     WHAT  SUBJECT\nIT-1   -     short\nIT-10  h     long…\n");
        assert_eq!(text(|out| table(out, &COLUMNS, &[])), "none\n");
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_and_named() {
        const COLUMNS: [Column; 3] =
            [column("ID", &["/id"]), column("WHAT", &["/w"]), column("SUBJECT", &["/s"])];
        let items = [json!({"id": "IT-1", "w": "abcd", "s": "printer"})];
        let within = |room| text(|out| table_within(out, &COLUMNS, &items, room));
        let all = "ID    WHAT  SUBJECT\nIT-1  abcd  printer\n";
        assert_eq!((within(None).as_str(), within(Some(19)).as_str()), (all, all));
        let left = "Left out, for the terminal is too narrow: SUBJECT. --json has all.\n";
        assert_eq!(within(Some(18)), format!("ID    WHAT\nIT-1  abcd\n{left}"));
        assert!(
            within(Some(1)).starts_with("ID\nIT-1\nLeft out, for the terminal is too narrow: WHAT, SUBJECT.")
        );
    }

    #[test]
    fn tables_show_times_to_the_second_and_touch_nothing_else() {
        for (text, shown) in [
            ("2026-11-22T08:00:00.123Z", "2026-11-22T08:00:00Z"),
            ("a.bcdZ", "a.bcdZ"),
            ("1.2.3Z", "1.2.3Z"),
            ("", "-"),
        ] {
            assert_eq!(cell(&column("AT", &["/at"]), &json!({ "at": text })), shown);
        }
    }

    #[test]
    fn columns_align_behind_wide_characters() {
        let rows = [["山田", "x"], ["abcd", "y"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(text(|out| rows_aligned(out, &rows)), "山田  x\nabcd  y\n");
    }

    #[test]
    fn one_long_cell_sticks_out_alone() {
        let long = "x".repeat(WIDEST + 1);
        let rows = [[long.as_str(), "a"], ["short", "b"], ["longer", "c"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(text(|out| rows_aligned(out, &rows)), format!("{long}  a\nshort   b\nlonger  c\n"));
    }

    #[test]
    fn a_record_begins_with_what_is_looked_for_and_says_what_a_reason_means() {
        let decision = json!({"sender": "a@b.example", "at": "T", "reason": "mail-loop", "outcome": "drop"});
        assert_eq!(
            text(|out| record(out, &decision)),
            "at       T\nsender   a@b.example\noutcome  drop\nreason   mail-loop (our own mail come back, or one that \
             goes round in circles)\n"
        );
    }

    #[test]
    fn what_came_from_a_mail_gives_a_terminal_no_orders() {
        assert_eq!(plain("a\u{1b}[31m\r\nb\u{202e}c"), "a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn records_show_trails_as_tables_and_texts_as_blocks() {
        let shown = text(|out| {
            record(
                out,
                &json!({"id": "IT-1", "body": "one\ntwo", "projects": ["IT", "HR"], "basis": null,
                    "trail": [{"check": "account", "input": "none", "result": "continue"},
                              {"check": "project-access", "input": "anyone", "result": "create x"}]}),
            )
        });
        for line in [
            "id        IT-1\nprojects  IT, HR\nbody\n  one\n  two\ntrail\n",
            "  account         none    continue\n",
            "  project-access  anyone  create x\n",
        ] {
            assert!(shown.contains(line), "{line:?} is not in\n{shown}");
        }
        assert!(!shown.contains("basis"));
    }
}
