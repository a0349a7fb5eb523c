//! Keys that mean nothing, each with the one that was probably meant.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{SECTIONS, Section, is_list, section},
    reader::{Reader, kind},
    values::Wrong,
    words::nearest,
};

/// Writes every unknown key and every table that is none down as a mistake.
pub(super) fn check(reader: &mut Reader<'_>, root: &DeTable<'_>) {
    table(reader, root, "", "");
}

/// `name` is the table's dotted name, `label` what messages call it (`projects[1]`).
fn table(reader: &mut Reader<'_>, table: &DeTable<'_>, name: &str, label: &str) {
    for (key, value) in table {
        let path = join(name, key.get_ref());
        if section(name).is_some_and(|section| section.key(key.get_ref()).is_some()) {
            continue;
        }
        match value.get_ref() {
            _ if !is_table_name(&path) => {
                let wrong = unknown(name, key.get_ref());
                reader.mistake_at(join(label, key.get_ref()), Some(key.span()), wrong);
            }
            DeValue::Array(entries) if is_list(&path) => tables(reader, entries, &path, value.span()),
            DeValue::Table(inner) if !is_list(&path) => self::table(reader, inner, &path, &path),
            other => {
                let wrong = no_table(&path, other);
                reader.mistake_at(path, Some(value.span()), wrong);
            }
        }
    }
}

fn tables(
    reader: &mut Reader<'_>,
    entries: &[Spanned<DeValue<'_>>],
    name: &str,
    place: std::ops::Range<usize>,
) {
    for (index, entry) in entries.iter().enumerate() {
        match entry.get_ref() {
            DeValue::Table(inner) => table(reader, inner, name, &format!("{name}[{index}]")),
            other => reader.mistake_at(name.to_owned(), Some(place.clone()), no_table(name, other)),
        }
    }
}

fn no_table(path: &str, value: &DeValue<'_>) -> Wrong {
    if is_list(path) {
        let all = path.rsplit('.').next().unwrap_or(path);
        let one = all.trim_end_matches('s');
        let fix = format!("write [[{path}]], in double brackets, above the keys of each {one}");
        return Wrong::new(format!("the {all} are a list of tables"), fix);
    }
    let fix = format!("write [{path}] on a line of its own, its keys below it");
    Wrong::new(format!("{} where a table is wanted", kind(value)), fix)
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Whether a table of this name exists, itself or as the way to one (`access`).
fn is_table_name(path: &str) -> bool {
    let below = |section: &Section| {
        section.name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    SECTIONS.iter().any(below)
}

fn unknown(table: &str, key: &str) -> Wrong {
    let what = if table.is_empty() { "at the top of the file".to_owned() } else { format!("in [{table}]") };
    let problem = format!("there is no key or table of this name {what}");
    Wrong::new(problem, suggestion(table, key))
}

fn suggestion(table: &str, key: &str) -> String {
    let here: Vec<&str> = names_in(table).collect();
    if let Some(near) = nearest(key, here.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere = SECTIONS.iter().filter(|section| section.key(key).is_some());
    let elsewhere: Vec<&str> = elsewhere.map(|section| section.name).collect();
    match elsewhere.as_slice() {
        [] => format!("remove it; known here: {}", here.join(", ")),
        ["", ..] => format!("`{key}` belongs at the top of the file, above all tables"),
        tables => format!("`{key}` belongs in [{}]", tables.join("] or [")),
    }
}

/// The keys of a table and the names of the tables below it.
fn names_in(table: &str) -> impl Iterator<Item = &'static str> {
    let keys = section(table).into_iter().flat_map(|section| section.keys.iter().map(|key| key.name));
    let prefix = join(table, "");
    let mut below: Vec<&str> = SECTIONS
        .iter()
        .filter_map(|section| section.name.strip_prefix(prefix.as_str()))
        .filter_map(|rest| rest.split('.').next())
        .filter(|name| !name.is_empty())
        .collect();
    below.dedup();
    keys.chain(below)
}
