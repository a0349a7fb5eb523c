//! Reads single keys out of the file. A key that is wrong is written down and reading goes on, so that all mistakes are
//! reported together.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    errors::Mistake,
    keys::{self, Section, Shown},
    values::Wrong,
};

/// Most wrong entries of one list that are reported one by one.
const MAX_WRONG_ENTRIES: usize = 20;

/// A value and where the file has it; `None` for a default.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Option<Range<usize>>,
}

/// One table of the file, or its absence.
#[derive(Debug, Clone)]
pub(super) struct Scope<'d> {
    section: &'static Section,
    table: Option<&'d DeTable<'d>>,
    /// The table's header.
    pub(super) header: Option<Range<usize>>,
    /// The name in messages: `smtp`, `projects[1]`, empty for the top.
    pub(super) label: String,
}

impl<'d> Scope<'d> {
    /// The dotted name of a key in messages.
    pub(super) fn path(&self, name: &str) -> String {
        if self.label.is_empty() { name.to_owned() } else { format!("{}.{name}", self.label) }
    }

    /// Where the value of a key is written.
    pub(super) fn place(&self, name: &str) -> Option<Range<usize>> {
        self.written(name).map(Spanned::span)
    }

    fn written(&self, name: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table?.get(name)
    }
}

/// The file, and what was found wrong in it so far.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    root: &'d DeTable<'d>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
    /// The keys that were asked for, to be compared with the table of keys.
    #[cfg(test)]
    pub(super) asked: std::collections::BTreeSet<String>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(root: &'d DeTable<'d>) -> Self {
        Self {
            root,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            #[cfg(test)]
            asked: std::collections::BTreeSet::new(),
        }
    }

    /// The table of this name. One that is no table was reported with the unknown keys and reads as absent.
    pub(super) fn scope(&self, section: &'static Section) -> Scope<'d> {
        let (value, is_top) = (self.at(section), section.name.is_empty());
        let table = if is_top { Some(self.root) } else { value.and_then(|value| value.get_ref().as_table()) };
        Scope { section, table, header: value.map(Spanned::span), label: section.name.to_owned() }
    }

    /// What stands at a section's name.
    fn at(&self, section: &Section) -> Option<&'d Spanned<DeValue<'d>>> {
        let mut parts = section.name.split('.');
        let first = self.root.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get_ref().as_table()?.get(part))
    }

    /// The tables of a section that is an array of them.
    pub(super) fn tables(&self, section: &'static Section) -> Vec<Scope<'d>> {
        let array = self.at(section).and_then(|value| value.get_ref().as_array());
        let entries = array.into_iter().flat_map(|array| array.iter().enumerate());
        entries
            .map(|(index, entry)| Scope {
                section,
                table: entry.get_ref().as_table(),
                header: Some(entry.span()),
                label: format!("{}[{index}]", section.name),
            })
            .collect()
    }

    /// Writes a mistake down at the value of a key.
    pub(super) fn mistake(&mut self, scope: &Scope<'_>, name: &str, wrong: Wrong) {
        self.mistake_at(scope.path(name), scope.place(name).or_else(|| scope.header.clone()), wrong);
    }

    /// Writes a mistake down at a place.
    pub(super) fn mistake_at(&mut self, key: String, place: Option<Range<usize>>, wrong: Wrong) {
        let Wrong { problem, fix } = wrong;
        self.mistakes.push(Mistake { key, place, beside: None, problem, fix });
    }

    /// The value of a key that is required or has a default. `None`: a mistake was written down.
    pub(super) fn value<T>(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let before = self.mistakes.len();
        let value = self.optional(scope, name, read);
        if value.is_none() && self.mistakes.len() == before {
            self.missing(scope, name);
        }
        value
    }

    /// The value of a key that may be unset. `None`: it is, or a mistake was written down.
    pub(super) fn optional<T>(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.note(scope, name);
        let result = match scope.written(name) {
            Some(value) => read(value.get_ref()),
            None => read(&default_of(scope.section, name)?),
        };
        result.map_err(|wrong| self.mistake(scope, name, wrong)).ok()
    }

    /// The entries of a list, each with its place. `None`: at least one mistake was written down.
    pub(super) fn list<T>(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<Vec<Placed<T>>> {
        self.note(scope, name);
        let written = scope.written(name);
        let default = if written.is_some() { None } else { default_of(scope.section, name) };
        match written.map(Spanned::get_ref).or(default.as_ref()) {
            Some(DeValue::Array(entries)) => {
                self.entries(&scope.path(name), entries, written.is_some(), read)
            }
            Some(other) => {
                let fix = format!(
                    "write it in square brackets, as in {name} = {}",
                    example_of(scope.section, name)
                );
                self.mistake(scope, name, Wrong::new(format!("{} where a list is wanted", kind(other)), fix));
                None
            }
            None => {
                self.missing(scope, name);
                None
            }
        }
    }

    fn entries<T>(
        &mut self,
        path: &str,
        entries: &[Spanned<DeValue<'_>>],
        written: bool,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<Vec<Placed<T>>> {
        let before = self.mistakes.len();
        let mut values = Vec::with_capacity(entries.len());
        for entry in entries {
            let place = written.then(|| entry.span());
            match read(entry.get_ref()) {
                Ok(value) => values.push(Placed { value, place }),
                Err(wrong) => self.wrong_entry(path, place, wrong, before),
            }
        }
        (self.mistakes.len() == before).then_some(values)
    }

    /// The value of a key of the site, for checks; `None` where it is unset or wrong. Writes nothing down.
    pub(super) fn peek<T>(
        &self,
        table: &str,
        name: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let scope = self.scope(keys::section(table)?);
        match scope.written(name) {
            Some(value) => read(value.get_ref()).ok(),
            None => read(&default_of(scope.section, name)?).ok(),
        }
    }

    /// The right entries of a list of the site, for checks. Writes nothing down.
    pub(super) fn peek_list<T>(
        &self,
        table: &str,
        name: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Vec<Placed<T>> {
        let Some(scope) = keys::section(table).map(|section| self.scope(section)) else { return Vec::new() };
        let written = scope.written(name);
        let default = if written.is_some() { None } else { default_of(scope.section, name) };
        let list = written.map(Spanned::get_ref).or(default.as_ref()).and_then(DeValue::as_array);
        let entries = list.into_iter().flat_map(|list| list.iter());
        let placed = |entry: &Spanned<DeValue<'_>>| {
            let place = written.map(|_| entry.span());
            read(entry.get_ref()).ok().map(|value| Placed { value, place })
        };
        entries.filter_map(placed).collect()
    }

    /// Whether a list of the site is written and empty.
    pub(super) fn is_empty_list(&self, table: &str, name: &str) -> bool {
        let written = keys::section(table).and_then(|section| self.scope(section).written(name));
        written.and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// Where `projects` is written, whatever it is.
    pub(super) fn projects_place(&self) -> Option<Range<usize>> {
        self.root.get(keys::PROJECTS).map(Spanned::span)
    }

    fn wrong_entry(&mut self, path: &str, place: Option<Range<usize>>, wrong: Wrong, before: usize) {
        match self.mistakes.len() - before {
            0..MAX_WRONG_ENTRIES => self.mistake_at(path.to_owned(), place, wrong),
            MAX_WRONG_ENTRIES => {
                let fix = "mend those above first";
                self.mistake_at(
                    path.to_owned(),
                    place,
                    Wrong::new("more wrong entries follow in this list", fix),
                );
            }
            _ => {}
        }
    }

    fn missing(&mut self, scope: &Scope<'_>, name: &str) {
        let example = example_of(scope.section, name);
        let place = match scope.section.name {
            "" => "above all tables".to_owned(),
            list if keys::is_list(list) => format!("to this [[{list}]] table"),
            section if scope.header.is_some() => format!("to [{section}]"),
            section => format!("under a line [{section}]"),
        };
        let fix = format!("add it {place}, for example: {name} = {example}");
        self.mistake_at(
            scope.path(name),
            scope.header.clone(),
            Wrong::new("this key is required and missing", fix),
        );
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "keeps the book of asked keys in tests"))]
    fn note(&mut self, scope: &Scope<'_>, name: &str) {
        debug_assert!(scope.section.key(name).is_some(), "{} is not in the table of keys", scope.path(name));
        #[cfg(test)]
        self.asked.insert(format!("{}.{name}", scope.section.name));
    }
}

fn default_of(section: &Section, name: &str) -> Option<DeValue<'static>> {
    let Shown::Default(text) = section.key(name)?.shown else { return None };
    DeValue::parse(text).ok().map(Spanned::into_inner)
}

fn example_of(section: &Section, name: &str) -> &'static str {
    match section.key(name).map(|key| key.shown) {
        Some(Shown::Required(text) | Shown::Default(text) | Shown::Unset(text) | Shown::Suggested(text)) => {
            text
        }
        None => "…",
    }
}

/// What a value is, for people.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
