//! The mistakes of a configuration file: one line each for logs, or underlined in the file for people.

use std::{
    fmt::{self, Write as _},
    ops::Range,
};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::secrets::masked;

/// Width of a rendered report in columns, the same on every terminal.
const WIDTH: usize = 110;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The dotted key, `smtp.listen` or `projects[1].access`; empty where the file as a whole is meant.
    pub key: String,
    /// The bytes of the file that are wrong; `None` where something is missing and there is no place for it yet.
    pub place: Option<Range<usize>>,
    /// Further bytes of the file that have to do with it.
    pub beside: Option<Range<usize>>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

/// All mistakes of a configuration file, in the order of the file.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigErrors {
    file: String,
    text: String,
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    pub(super) fn new(file: &std::path::Path, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        let start = |mistake: &Mistake| mistake.place.as_ref().map_or(usize::MAX, |place| place.start);
        mistakes.sort_by_key(start);
        Self { file: file.display().to_string(), text: masked(text), mistakes }
    }

    /// The mistakes; never empty.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Every mistake underlined in the file, with the fix below it. Without `color` plain ASCII for files and pipes.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_break_words(false)
            .without_syntax_highlighting();
        let source = NamedSource::new(&self.file, self.text.clone());
        let mut out = String::new();
        for mistake in &self.mistakes {
            let shown = Underlined { mistake, source: &source, file: &self.file };
            if handler.render_report(&mut out, &shown).is_err() {
                let _ = writeln!(out, "{}", self.line(mistake));
            }
        }
        let count = self.mistakes.len();
        let _ = writeln!(out, "{}: {count} mistake{}", self.file, if count == 1 { "" } else { "s" });
        out
    }

    fn line(&self, mistake: &Mistake) -> String {
        let mut line = self.file.clone();
        if let Some(place) = &mistake.place {
            let (row, column) = line_and_column(&self.text, place.start);
            let _ = write!(line, ":{row}:{column}");
        }
        if !mistake.key.is_empty() {
            let _ = write!(line, ": {}", mistake.key);
        }
        let _ = write!(line, ": {}; {}", mistake.problem, mistake.fix);
        line
    }
}

impl fmt::Display for ConfigErrors {
    /// One line a mistake: `FILE:LINE:COLUMN: key: what is wrong; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.mistakes.iter().map(|mistake| self.line(mistake)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Line and column of a byte, both counted from 1, columns in characters.
fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let row = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (row, column)
}

/// A mistake as miette shows it.
#[derive(Debug)]
struct Underlined<'a> {
    mistake: &'a Mistake,
    source: &'a NamedSource<String>,
    file: &'a str,
}

impl fmt::Display for Underlined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mistake.place.is_none() {
            write!(f, "{}: ", self.file)?;
        }
        if !self.mistake.key.is_empty() {
            write!(f, "{}: ", self.mistake.key)?;
        }
        f.write_str(&self.mistake.problem)
    }
}

impl std::error::Error for Underlined<'_> {}

impl Diagnostic for Underlined<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.mistake.fix))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.mistake.place.is_some().then_some(self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.mistake.place.clone()?;
        let first = LabeledSpan::new_primary_with_span(None, place);
        let second = self.mistake.beside.clone().map(|beside| LabeledSpan::new_with_span(None, beside));
        Some(Box::new(std::iter::once(first).chain(second)))
    }
}
