//! `mail.templates`: the operator's texts are read with the file, so that a bad one is a mistake of the configuration and
//! never a mail that fails at night. And the languages that need them.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    model::MailConfig,
    reader::{Reader, Scope},
    sections::{ReadFile, WrittenProject, scope},
    values::{self, Wrong},
};
use crate::templates::{Kind, Language, Part, TemplateMistake, Templates, place_of};

/// How the operator gets files to begin with.
const EXPORT: &str = "`vestibule verification templates --out DIR` writes those built in";

/// The folder, and the built-in templates with the operator's in their places. What is wrong is written down.
pub(super) fn templates(
    r: &mut Reader<'_>,
    at: &Scope<'_>,
    folder: &Path,
    read_file: &ReadFile<'_>,
) -> (Option<PathBuf>, Templates) {
    let mut templates = Templates::built_in();
    let folder = r.optional(at, "templates", |value| Ok(folder.join(values::text(value)?)));
    let Some(folder) = folder else { return (None, templates) };
    match read_file(&folder) {
        Ok(names) => {
            let names: Vec<&str> = names.lines().filter(|name| is_text(name)).collect();
            for name in &names {
                for wrong in put(&mut templates, (&folder, name), &names, read_file) {
                    r.mistake(at, "templates", wrong);
                }
            }
        }
        Err(error) => {
            let problem = format!("{} can't be read: {error}", folder.display());
            let fix = format!("name a folder that the user who runs vestibule can read; {EXPORT}");
            r.mistake(at, "templates", Wrong::new(problem, fix));
        }
    }
    (Some(folder), templates)
}

/// Other files may lie beside the templates; hidden ones are editors'.
fn is_text(name: &str) -> bool {
    let ends = Path::new(name).extension().is_some_and(|end| end == "txt" || end == "html");
    ends && !name.starts_with('.')
}

/// Puts one file in its place; answers what is wrong with it.
fn put(
    templates: &mut Templates,
    (folder, name): (&Path, &str),
    names: &[&str],
    read_file: &ReadFile<'_>,
) -> Vec<Wrong> {
    let path = folder.join(name);
    let shown = path.display();
    let Some(place) = place_of(name) else {
        let kinds = Kind::ALL.map(Kind::name).join(", ");
        let fix = format!("name it KIND.LANGUAGE.txt or .html, KIND being one of {kinds}; or remove it");
        return vec![Wrong::new(format!("{shown} is the name of no template"), fix)];
    };
    let other =
        if place.2 == Part::Text { name.replace(".txt", ".html") } else { name.replace(".html", ".txt") };
    if !names.contains(&other.as_str()) {
        let problem =
            format!("{shown} stands alone: a mail has a text and an HTML part, and they must say the same");
        return vec![Wrong::new(problem, format!("add {other}; {EXPORT}"))];
    }
    match read_file(&path) {
        Ok(text) => {
            let wrong = |mistake: TemplateMistake| {
                Wrong::new(format!("{shown}:{}: {}", mistake.line, mistake.problem), mistake.fix)
            };
            templates.put(place, text).err().into_iter().flatten().map(wrong).collect()
        }
        Err(error) => {
            let fix = match error.kind() {
                io::ErrorKind::InvalidData => "save it as UTF-8",
                _ => "make it readable for the user who runs vestibule",
            };
            vec![Wrong::new(format!("{shown} can't be read: {error}"), fix)]
        }
    }
}

/// Every language in use has all of its templates.
pub(super) fn languages(r: &mut Reader<'_>, mail: &MailConfig, projects: &[WrittenProject<'_>]) {
    if let (Some(wrong), Some(at)) = (missing(mail, &mail.language), scope(r, "mail")) {
        r.mistake(&at, "language", wrong);
    }
    for project in projects {
        if let Some(wrong) = project.language.as_ref().and_then(|language| missing(mail, language)) {
            r.mistake(&project.at, "language", wrong);
        }
    }
}

fn missing(mail: &MailConfig, language: &Language) -> Option<Wrong> {
    let files = mail.templates.missing(language);
    (!files.is_empty()).then(|| {
        let problem =
            format!("\"{language}\" is not built in, and mail.templates lacks {}", files.join(", "));
        Wrong::new(problem, format!("write \"en\", \"de\" or \"fr\", or add those files; {EXPORT}"))
    })
}
