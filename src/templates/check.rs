//! What can be wrong with a template, found before the first mail is made of it.

use minijinja::ErrorKind;

use super::{Kind, MAX_TEMPLATE, Part, Values, environment, split_subject};

/// Something is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

impl TemplateMistake {
    fn new(line: usize, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { line, problem: problem.into(), fix: fix.into() }
    }
}

/// Finds all that is wrong. A template that passes can be filled, whatever the values.
pub(super) fn check(kind: Kind, part: Part, text: &str) -> Result<(), Vec<TemplateMistake>> {
    if text.len() > MAX_TEMPLATE {
        let problem = format!("{} bytes are too many", text.len());
        let fix = format!("shorten it to at most {} KiB", MAX_TEMPLATE / 1024);
        return Err(vec![TemplateMistake::new(1, problem, fix)]);
    }
    let environment = environment();
    let template = match environment.template_from_str(text) {
        Ok(template) => template,
        Err(error) => return Err(vec![syntax(&error)]),
    };
    let mut used: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    used.sort_unstable();
    let mut mistakes: Vec<TemplateMistake> = unknown(kind, text, &used).collect();
    for name in kind.required().iter().filter(|name| !used.iter().any(|used| used == *name)) {
        let fix = format!("write {{{{ {name} }}}} where it belongs");
        mistakes.push(TemplateMistake::new(1, format!("{{{{ {name} }}}} is missing"), fix));
    }
    mistakes.extend(kind.has_link().then(|| other_link(text)).flatten());
    if mistakes.is_empty() {
        mistakes.extend(filled(kind, part, text));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn syntax(error: &minijinja::Error) -> TemplateMistake {
    let what = match error.kind() {
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest => {
            "filters and functions are not to be had".to_owned()
        }
        kind => format!("{kind}{}", error.detail().map(|detail| format!(": {detail}")).unwrap_or_default()),
    };
    let fix = "write values as {{ name }}, and {% if contact %} … {% endif %} around what depends on one";
    TemplateMistake::new(error.line().unwrap_or(1), what, fix)
}

fn unknown(kind: Kind, text: &str, used: &[String]) -> impl Iterator<Item = TemplateMistake> {
    let names: Vec<&str> = kind.names().collect();
    let strange = used.iter().filter(|name| !names.contains(&name.as_str()));
    let place = |name: &String| {
        let opened = text.match_indices('{').find(|(at, _)| {
            let inside = text[*at..].split('}').next().unwrap_or_default();
            inside.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
        });
        opened.map_or(1, |(at, _)| line_of(text, at))
    };
    let mistake = |name: &String| {
        let near = names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        let near = near.filter(|near| strsim::jaro_winkler(name, near) > 0.8);
        let meant = near.map(|near| format!("did you mean {{{{ {near} }}}}? ")).unwrap_or_default();
        let fix = format!("{meant}this mail can say: {}", names.join(", "));
        TemplateMistake::new(place(name), format!("there is no {{{{ {name} }}}} here"), fix)
    };
    strange.map(mistake).collect::<Vec<_>>().into_iter()
}

/// A mail with a link that proves something holds no other: readers are told to trust the one.
fn other_link(text: &str) -> Option<TemplateMistake> {
    let lower = text.to_ascii_lowercase();
    let found = ["://", "<img", "src="].iter().find_map(|sign| lower.find(sign).map(|at| (at, *sign)))?;
    let (at, sign) = found;
    let fix = "remove it: {{ link }} is the one link of this mail, and there are no pictures in it";
    Some(TemplateMistake::new(line_of(text, at), format!("\"{sign}\" is another link or a picture"), fix))
}

/// Fills it with and without what may be empty.
fn filled(kind: Kind, part: Part, text: &str) -> Option<TemplateMistake> {
    ["sample", ""].iter().find_map(|contact| {
        let values: Values = kind
            .names()
            .map(|name| (name, if name == "contact" { *contact } else { "sample" }.to_owned()))
            .collect();
        match environment().render_str(text, &values) {
            Err(error) => Some(syntax(&error)),
            Ok(filled) if part == Part::Text && split_subject(&filled).is_none() => {
                let fix = "begin the file with a line `Subject: …` and an empty line behind it";
                Some(TemplateMistake::new(1, "there is no subject", fix))
            }
            Ok(_) => None,
        }
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
