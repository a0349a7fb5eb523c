//! From the text of a file to a valid [`Config`], or to everything that is wrong with it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::{Spanned, de::DeTable};

use super::{
    authentication, checks, effective,
    errors::{ConfigErrors, Mistake},
    inboxes,
    model::Config,
    otlp,
    reader::Reader,
    sections::{self, ReadFile},
    texts, unknown, warnings,
};

/// Reads a configuration file, and the files that it may name: token, certificate, key, templates.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, path, &read_or_list),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn read_or_list(path: &Path) -> io::Result<String> {
    if !path.is_dir() {
        return fs::read_to_string(handed_over(path).as_deref().unwrap_or(path));
    }
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
    names.sort_unstable();
    Ok(names.join("\n"))
}

/// What systemd hands over under the file's name (`LoadCredential=admin-token:/etc/vestibule/admin-token`). So one
/// configuration serves the daemon, which can't read the file itself, and root, who checks it and asks the API.
fn handed_over(path: &Path) -> Option<PathBuf> {
    let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
    let credential = Path::new(&folder).join(path.file_name()?);
    credential.is_file().then_some(credential)
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    let fix = match error.kind() {
        io::ErrorKind::NotFound => {
            "name the file with --config FILE; deploy/vestibule.example.toml is one to start from"
        }
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs vestibule",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "name a readable file with --config FILE",
    };
    let problem = format!("the configuration can't be read: {error}");
    let mistake = Mistake { key: String::new(), place: None, beside: None, problem, fix: fix.to_owned() };
    ConfigErrors::new(path, "", vec![mistake])
}

/// Reads a configuration from its text. `path` names it in messages; its folder is what relative paths are relative to.
/// `read_file` reads the files of `http.admin_token_file`, `http.tokens`, `smtp.tls`, `mail.relay_ca` and `mail.templates`; of
/// a folder it answers the names in it, one a line.
pub fn parse(
    text: &str,
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, ConfigErrors> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistakes = errors.iter().map(|error| syntax(text, error)).collect();
        return Err(ConfigErrors::new(path, text, mistakes));
    }
    let mut reader = Reader::new(root.get_ref());
    match read(&mut reader, &root, path, read_file) {
        Some(config) if reader.mistakes.is_empty() => Ok(completed(config, reader.warnings)),
        _ => Err(ConfigErrors::new(path, text, reader.mistakes)),
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> Mistake {
    let place = error.span().map(|span| span.start.min(text.len())..span.end.min(text.len()));
    Mistake {
        key: String::new(),
        place: place.or(Some(0..0)),
        beside: None,
        problem: format!("this is not TOML: {}", error.message()),
        fix: "mend this first; the keys are checked once the file can be read as TOML".to_owned(),
    }
}

/// Reads and checks everything; `None` goes with at least one mistake in the reader.
fn read<'d>(
    r: &mut Reader<'d>,
    root: &Spanned<DeTable<'d>>,
    path: &Path,
    read_file: &ReadFile<'_>,
) -> Option<Config> {
    let folder = path.parent().unwrap_or(Path::new(""));
    unknown::check(r, root.get_ref());
    let hostname = sections::hostname(r);
    let smtp = sections::smtp(r, folder, read_file);
    let http = sections::http(r, folder, read_file);
    let store = sections::store(r, folder);
    let retention = sections::retention(r);
    let mail = sections::mail(r, folder, read_file);
    let verification = sections::verification(r);
    let authentication = authentication::authentication(r);
    let access = sections::access(r, verification.as_ref().map(|(_, max_held)| *max_held));
    let projects = sections::projects(r);
    let log = sections::log(r);
    let otlp = otlp::otlp(r);

    checks::site(r);
    for project in &projects {
        checks::permission(r, project);
    }
    if let Some(mail) = &mail {
        texts::languages(r, mail, &projects);
    }
    let (projects, routes) = inboxes::projects(r, projects)?;

    Some(Config {
        path: path.to_owned(),
        hostname: hostname?,
        smtp: smtp?.0,
        http: http?,
        store: store?,
        retention: retention?,
        mail: mail?,
        verification: verification?.0,
        authentication: authentication?,
        access: Arc::new(access?),
        projects,
        routes: Arc::new(routes),
        log: log?,
        otlp,
        warnings: Vec::new(),
        version: String::new(),
    })
}

fn completed(mut config: Config, noted: Vec<String>) -> Config {
    config.warnings = warnings::warnings(&config);
    config.warnings.extend(noted);
    config.version = effective::version(&config.effective());
    config
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::keys::SECTIONS, *};
    use crate::config::example;

    #[test]
    fn every_key_of_the_table_is_read_and_no_other() {
        let token = "[[http.tokens]]\nname = \"anna\"\nrole = \"read\"\ntoken = \"0123456789abcdef\"\n";
        let text = example() + token;
        let root = DeTable::parse(&text).unwrap();
        let mut reader = Reader::new(root.get_ref());
        let config = read(&mut reader, &root, Path::new("x.toml"), &|_| Err(io::Error::other("none")));
        assert!(config.is_some(), "{:?}", reader.mistakes);
        let known = SECTIONS
            .iter()
            .flat_map(|section| section.keys.iter().map(|key| format!("{}.{}", section.name, key.name)));
        assert_eq!(reader.asked, known.collect::<BTreeSet<String>>());
    }

    #[test]
    fn byte_order_marks_and_crlf_are_taken() {
        let none = |_: &Path| Err(io::Error::other("none"));
        let plain = parse(&example(), Path::new("x.toml"), &none).unwrap();
        let windows = format!("\u{feff}{}", example().replace('\n', "\r\n"));
        assert_eq!(parse(&windows, Path::new("x.toml"), &none).unwrap().version, plain.version);
        let errors = parse(&windows.replace("smtp://", "smpt://"), Path::new("x.toml"), &none).unwrap_err();
        let line = windows.lines().position(|line| line.starts_with("relay")).unwrap() + 1;
        assert!(errors.to_string().starts_with(&format!("x.toml:{line}:9: mail.relay")), "{errors}");
    }

    #[test]
    fn any_text_has_an_answer() {
        let whole = example();
        let cuts = whole.char_indices().map(|(at, _)| &whole[..at]).step_by(7);
        let mut refused = 0;
        for text in cuts {
            if let Err(errors) = parse(text, Path::new("x.toml"), &|_| Err(io::Error::other("none"))) {
                assert!(!errors.mistakes().is_empty());
                assert!(errors.render(false).contains("mistake"));
                refused += 1;
            }
        }
        assert!(refused > 100);
    }
}
