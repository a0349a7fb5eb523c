//! The demo's folder: a configuration, the data, the mails that go out, the log.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;

use crate::{
    cli::Failure,
    config::{self, Config},
    ops,
};

const TEMPLATE: &str = include_str!("site.toml");
/// The first line of the template: a folder with it is ours to make anew.
const MARK: &str = "# Written by `vestibule demo`";
const CONFIG: &str = "vestibule.toml";
const LOCK: &str = "demo.lock";
/// What a run makes, and the next one removes.
const MADE: [&str; 3] = ["data", "outbound", "log.jsonl"];
/// The ports of the example configuration; others where they are taken.
const SMTP_PORT: u16 = 2525;
const HTTP_PORT: u16 = 8025;

/// A folder that this process has for itself.
#[derive(Debug)]
pub(super) struct Site {
    /// The folder.
    pub(super) dir: PathBuf,
    /// The API's token.
    pub(super) token: String,
    /// What it means.
    pub(super) config: Config,
    _lock: File,
}

impl Site {
    /// Makes the folder, or makes a former demo's folder new. Any other folder with something in it is left alone.
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let named = |error: io::Error| Failure::failed(format!("{}: {error}", dir.display()));
        check_ours(dir)?;
        fs::create_dir_all(dir).map_err(named)?;
        let lock = lock(dir)?;
        for name in MADE {
            remove(&dir.join(name)).map_err(named)?;
        }
        fs::create_dir(dir.join("outbound")).map_err(named)?;
        let token = HEXLOWER.encode(&ops::random::<16>());
        let path = dir.join(CONFIG);
        write_private(&path, &text(&token).map_err(named)?).map_err(named)?;
        let config = config::load(&path).map_err(|errors| Failure::failed(errors.to_string()))?;
        Ok(Self { dir: dir.to_owned(), token, config, _lock: lock })
    }

    /// A file of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The file holds the API's token.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

fn check_ours(dir: &Path) -> Result<(), Failure> {
    let foreign = |why: &str| {
        let dir = dir.display();
        Failure::invalid(format!("{dir} {why}: the demo does not touch it; name another folder with --dir"))
    };
    let mut entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(foreign(&format!("can't be read ({error})"))),
    };
    match fs::read_to_string(dir.join(CONFIG)) {
        Ok(text) if text.starts_with(MARK) => Ok(()),
        Ok(_) => Err(foreign("holds a configuration of yours")),
        Err(_) if entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)) => Ok(()),
        Err(_) => Err(foreign("is not empty and no demo's folder")),
    }
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(LOCK);
    let file =
        File::create(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let dir = dir.display();
            Err(Failure::failed(format!(
                "a demo is running in {dir} already; stop it, or name another --dir"
            )))
        }
        Err(TryLockError::Error(error)) => Err(Failure::failed(format!("{}: {error}", path.display()))),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn text(token: &str) -> io::Result<String> {
    // Both at once, so that they are not given the same free port.
    let (smtp, http) = (reserve(SMTP_PORT)?, reserve(HTTP_PORT)?);
    let fill = |name: &str, socket: &TcpListener| {
        Ok::<_, io::Error>((name.to_owned(), socket.local_addr()?.to_string()))
    };
    let mut text = TEMPLATE.replace("{token}", token);
    for (name, address) in [fill("{smtp}", &smtp)?, fill("{http}", &http)?] {
        text = text.replace(&name, &address);
    }
    Ok(text)
}

/// The port on loopback, or a free one where it is taken. Freed again when the socket is dropped.
fn reserve(port: u16) -> io::Result<TcpListener> {
    let on = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    on(port).or_else(|_| on(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(Site::new(dir.path()), Err(Failure::Invalid(_))));
        fs::write(dir.path().join(CONFIG), "hostname = \"mine.example\"\n").unwrap();
        assert!(matches!(Site::new(dir.path()), Err(Failure::Invalid(_))));
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn a_second_run_starts_afresh_and_two_at_once_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("demo");
        let first = Site::new(&dir).unwrap();
        fs::create_dir(dir.join("data")).unwrap();
        fs::write(dir.join("notes.txt"), "kept").unwrap();
        assert!(matches!(Site::new(&dir), Err(Failure::Failed(text)) if text.contains("running")));
        let mode = fs::metadata(dir.join(CONFIG)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds the token");
        let token = first.token.clone();
        drop(first);
        let second = Site::new(&dir).unwrap();
        assert!(!dir.join("data").exists() && dir.join("notes.txt").exists());
        assert_ne!(token, second.token);
        assert!(second.config.http.public_url.starts_with("http://127.0.0.1:"));
    }
}
