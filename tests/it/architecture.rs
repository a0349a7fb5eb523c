//! `src/` as ARCHITECTURE.md says it is: arrows between rooms point down, pure rooms touch nothing outside, files and
//! functions stay short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::support::files_below;

/// The rooms from the bottom up. A room may use those of lower floors, and its own parts.
const FLOORS: &[&[&str]] = &[
    &["types"],
    &["smtp", "mail"],
    &["authn", "access", "templates"],
    &["config"],
    &["ops"],
    &["store"],
    &["outbound"],
    &["verify"],
    &["intake", "listener", "http"],
    &["app"],
    &["cli"],
    &["main"],
];

/// Rooms without clock, randomness, sockets, files, environment, threads.
const PURE: &[&str] = &["types", "smtp", "mail", "authn", "access", "templates", "config"];

/// Files of pure rooms that touch the outside, and why.
const OUTSIDE: &[(&str, &str)] = &[
    ("config/load.rs", "reads the configuration file"),
    ("authn/verify/mod.rs", "asks DNS, within a deadline"),
];

/// What touches the outside. Plain address types of `std::net` are values.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "fs",
    "File::open",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::env",
    "env::var",
    "std::thread",
    "thread::spawn",
    "std::process",
    "Command::new",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "getrandom",
    "now_v7",
    "new_v4",
];

/// Longest file in lines, tests not counted.
const MAX_FILE: usize = 400;
/// Longest function in lines, its signature counted.
const MAX_FUNCTION: usize = 70;

/// Longer files, and why.
const LONG_FILES: &[(&str, &str)] = &[
    ("config/keys.rs", "the flat table of all keys"),
    ("ops/events.rs", "the flat table of all events"),
    ("store/memory.rs", "the calls of the trait, one behind the other"),
    ("store/view.rs", "plain records"),
];

struct Source {
    /// The path below `src/`, with `/`.
    name: String,
    room: String,
    /// Without tests and comments; every line stands where it stood.
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = files_below(&root);
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    let found: Vec<_> = paths.iter().filter_map(|path| source(&root, path)).collect();
    assert!(found.len() > 60, "only {} files were found", found.len());
    found
}

/// `None` for files that are tests as a whole.
fn source(src: &Path, path: &Path) -> Option<Source> {
    let name = path.strip_prefix(src).unwrap().to_string_lossy().replace('\\', "/");
    let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let parent = fs::read_to_string(path.parent().unwrap().join("mod.rs")).unwrap_or_default();
    let is_test = parent.contains(&format!("#[cfg(test)]\nmod {module};"))
        || module == "tests"
        || name.contains("/tests/");
    if is_test || name == "lib.rs" {
        return None;
    }
    let room = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let text = fs::read_to_string(path).unwrap();
    let code = without_tests(&text).lines().map(without_comment).collect();
    Some(Source { name, room, code })
}

/// Up to a test module that ends the file; one in the middle stays.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..=at])
}

fn without_comment(line: &str) -> String {
    if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
}

/// The rooms that a file names behind `crate::`, alone or in braces, each with the line.
fn used(source: &Source) -> Vec<(usize, String)> {
    let crate_name = if source.room == "main" { "vestibule::" } else { "crate::" };
    let text = source.code.join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(crate_name) {
        let line = text[..at].lines().count().max(1);
        let rest = &text[at + crate_name.len()..];
        found.extend(first_names(rest).into_iter().map(|name| (line, name)));
    }
    found
}

/// `a::b` names a; `{a, b::{c, d}, e}` names a, b, e.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0_usize, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn every_room_has_a_floor_and_every_floor_its_rooms() {
    let rooms: BTreeSet<_> = sources().into_iter().map(|source| source.room).collect();
    let planned: BTreeSet<_> =
        FLOORS.iter().flat_map(|rooms| rooms.iter().map(ToString::to_string)).collect();
    assert_eq!(rooms, planned);
}

#[test]
fn arrows_between_rooms_point_down() {
    let (mut arrows, mut wrong) = (0, Vec::new());
    for source in sources() {
        let own = floor(&source.room).unwrap();
        for (line, room) in used(&source) {
            let Some(other) = floor(&room).filter(|_| room != source.room) else { continue };
            arrows += 1;
            if other >= own {
                wrong.push(format!(
                    "src/{}:{line}: {} uses {room}, which is not below it",
                    source.name, source.room
                ));
            }
        }
    }
    assert!(arrows > 100, "only {arrows} arrows were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    let allowed: BTreeMap<_, _> = OUTSIDE.iter().copied().collect();
    let (mut looked, mut wrong, mut needed) = (0, Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        looked += 1;
        for (number, line) in source.code.iter().enumerate() {
            let Some(name) = FORBIDDEN.iter().find(|name| names(line, name)) else { continue };
            if allowed.contains_key(source.name.as_str()) {
                needed.insert(source.name.clone());
            } else {
                wrong.push(format!(
                    "src/{}:{}: {name} in a pure room: {}",
                    source.name,
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(looked > 30, "only {looked} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(needed.len(), allowed.len(), "an exception is not needed any more: {allowed:?}");
}

/// Whether `name` stands there as a whole word.
fn names(line: &str, name: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(name).any(|(at, _)| {
        !part_of_word(line[..at].chars().next_back()) && !part_of_word(line[at + name.len()..].chars().next())
    })
}

#[test]
fn files_are_short() {
    let long: BTreeMap<_, _> =
        sources().into_iter().filter(|s| s.code.len() > MAX_FILE).map(|s| (s.name, s.code.len())).collect();
    let excused: BTreeSet<_> = LONG_FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let wrong: Vec<_> = long.iter().filter(|(name, _)| !excused.contains(*name)).collect();
    assert!(wrong.is_empty(), "longer than {MAX_FILE} lines: {wrong:?}");
    let idle: Vec<_> = excused.iter().filter(|name| !long.contains_key(*name)).collect();
    assert!(idle.is_empty(), "an exception is not needed any more: {idle:?}");
}

#[test]
fn functions_are_short() {
    let (mut functions, mut wrong) = (0, Vec::new());
    for source in sources() {
        for (number, line) in source.code.iter().enumerate() {
            let Some(length) = function_length(&source.code[number..], line) else { continue };
            functions += 1;
            if length > MAX_FUNCTION {
                wrong.push(format!("src/{}:{}: {length} lines", source.name, number + 1));
            }
        }
    }
    assert!(functions > 300, "only {functions} functions were found");
    assert!(wrong.is_empty(), "functions longer than {MAX_FUNCTION} lines:\n{}", wrong.join("\n"));
}

/// Lines from `fn` to the brace that closes it, which rustfmt puts under the `fn`'s first column.
fn function_length(from: &[String], line: &str) -> Option<usize> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let head = line.trim_start();
    let is_function = head.starts_with("fn ")
        || ["pub ", "pub(", "async ", "const "].iter().any(|start| head.starts_with(start))
            && head.contains(" fn ")
        || head.starts_with("pub fn ");
    if !is_function || head.ends_with(';') || head.ends_with('}') {
        return None;
    }
    let close = format!("{indent}}}");
    from.iter().position(|line| *line == close).map(|at| at + 1)
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(first_names("a::b, c"), ["a"]);
    assert_eq!(first_names("{\n    a,\n    b::{c, d},\n    e::f,\n};"), ["a", "b", "e"]);
    assert!(names("let x = Instant::now();", "Instant") && !names("struct InstantLike;", "Instant"));
    let body: Vec<String> = ["    fn a() {", "        b();", "    }", "}"].map(str::to_owned).to_vec();
    assert_eq!(function_length(&body, &body[0]), Some(3));
}
