//! The texts of our mail, in each language: those built in, or the operator's. Pure.
//!
//! A template is a file `KIND.LANGUAGE.txt` or `.html` with `{{ name }}` where a value stands and `{% if contact %}` …
//! `{% endif %}` around what depends on one. The text part begins with a line `Subject:`. Every name is known
//! beforehand, and none is the sender's own text (threat H02): the mail goes where a stranger may have pointed it.

mod built_in;
mod check;
mod kind;
mod language;

use std::{borrow::Cow, collections::BTreeMap};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

pub use check::TemplateMistake;
pub use kind::{Kind, Part};
pub use language::{Language, LanguageError};

/// Largest template in bytes.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// What the placeholders stand for: texts of one line each.
pub type Values = BTreeMap<&'static str, String>;

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part, saying the same.
    pub html: String,
}

/// A template that was checked can still not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FillError(String);

/// One template's place: what it is for, in which language, which part of the mail.
type Place = (Kind, Language, Part);

/// All templates in force.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<Place, Cow<'static, str>>);

impl Default for Templates {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Templates {
    /// Those that come with the program: English, German, French.
    pub fn built_in() -> Self {
        Self(built_in::all().map(|(place, text)| (place, Cow::Borrowed(text))).collect())
    }

    /// Puts the operator's template in the place that its file's name says. Where something is wrong with it, nothing is
    /// changed.
    pub fn put(&mut self, place: (Kind, Language, Part), text: String) -> Result<(), Vec<TemplateMistake>> {
        check::check(place.0, place.2, &text)?;
        self.0.insert(place, Cow::Owned(text));
        Ok(())
    }

    /// The file names of those that are missing for a language; none for one that is built in.
    pub fn missing(&self, language: &Language) -> Vec<String> {
        let places =
            Kind::ALL.into_iter().flat_map(|kind| Part::ALL.map(|part| (kind, language.clone(), part)));
        places.filter(|place| !self.0.contains_key(place)).map(|place| file_name(&place)).collect()
    }

    /// Name and text of each, in order: what the operator can begin with.
    pub fn files(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|(place, text)| (file_name(place), text.as_ref()))
    }

    /// Fills both parts. The subject, like every value, is one line.
    pub fn fill(&self, kind: Kind, language: &Language, values: &Values) -> Result<Content, FillError> {
        let source = |part| {
            let place = (kind, language.clone(), part);
            let found = self.0.get(&place).or_else(|| self.0.get(&(kind, Language::english(), part)));
            found.ok_or_else(|| FillError(format!("there is no template {}", file_name(&place))))
        };
        let text = render(source(Part::Text)?, values)?;
        let escaped: Values = values.iter().map(|(name, value)| (*name, escape(value))).collect();
        let html = render(source(Part::Html)?, &escaped)?;
        let (subject, text) =
            split_subject(&text).ok_or_else(|| FillError("there is no line Subject:".to_owned()))?;
        let (subject, text) = (subject.to_owned(), text.trim_end().to_owned());
        Ok(Content { subject, text, html: html.trim_end().to_owned() })
    }
}

/// The place of a file with this name; `None` where the name is of no template.
pub fn place_of(file: &str) -> Option<(Kind, Language, Part)> {
    let (rest, extension) = file.rsplit_once('.')?;
    let (kind, language) = rest.split_once('.')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    let part = Part::ALL.into_iter().find(|part| part.extension() == extension)?;
    // `De` and `de` would be one place with two files.
    let language: Language = language.parse().ok().filter(|parsed: &Language| parsed.as_str() == language)?;
    Some((kind, language, part))
}

/// `verification.de.txt`.
pub fn file_name((kind, language, part): &(Kind, Language, Part)) -> String {
    format!("{}.{language}.{}", kind.name(), part.extension())
}

/// No filters, no functions, no includes; an unknown name is an error and not an empty text.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None); // values come escaped: see `fill`
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment
}

fn render(source: &str, values: &Values) -> Result<String, FillError> {
    environment().render_str(source, values).map_err(|error| FillError(error.to_string()))
}

/// The subject, and what follows the empty line behind it.
fn split_subject(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.trim_start().split_once('\n')?;
    let subject = first.strip_prefix("Subject:")?.trim();
    let body = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    (!subject.is_empty()).then_some((subject, body))
}

/// Fit for text and for attributes in double quotes.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '&' => out.push_str("&#38;"),
            '<' => out.push_str("&#60;"),
            '>' => out.push_str("&#62;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
