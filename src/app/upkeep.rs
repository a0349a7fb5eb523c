//! Care of a stopped store: check, compaction, restore; and copying a snapshot away.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, lchown},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::SECRET_FILE;
use crate::{
    config::Config,
    ops::Clock,
    store::{Compacted, Effort, Store as _, StoreError, embedded},
};

/// Names what a backup holds; written last, so that a backup without it is not whole.
const MANIFEST: &str = "BACKUP";
/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// Why the store could not be cared for.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] embedded::OpenError),
    /// It can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It takes no writes.
    #[error(transparent)]
    Commit(#[from] crate::store::CommitError),
    /// A file or folder can't be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was asked for would overwrite something, or rests on something that is not whole.
    #[error("{0}")]
    Refused(String),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CareError {
    move |source| CareError::File { path: path.to_owned(), source }
}

/// Every finding about a stopped store: what opening it repaired, broken invariants, damaged files.
pub async fn check(config: &Config) -> Result<Vec<String>, CareError> {
    must_exist(config)?;
    let (report, mut findings) = for_owner(config, audited(config)).await?;
    findings.splice(0..0, report.findings());
    Ok(findings)
}

/// What opening the store did, and what its own audit finds.
async fn audited(config: &Config) -> Result<(embedded::OpenReport, Vec<String>), CareError> {
    let (store, report) = open(config)?;
    let audited = store.audit().await;
    store.close().await;
    Ok((report, audited?))
}

/// Takes everything past its retention out of a stopped store, and makes its index anew.
pub async fn compact(config: &Config) -> Result<Compacted, CareError> {
    must_exist(config)?;
    for_owner(config, compact_all(config)).await
}

/// Does it, and gives what was written to the store's owner, whatever came of it.
async fn for_owner<T>(
    config: &Config,
    work: impl Future<Output = Result<T, CareError>>,
) -> Result<T, CareError> {
    let done = work.await;
    let given = give_to_owner(&config.store.path);
    let done = done?;
    given.map(|()| done)
}

async fn compact_all(config: &Config) -> Result<Compacted, CareError> {
    let (store, _) = open(config)?;
    let compacted = store.compact(&config.retention, Clock::system().now(), Effort::Full).await;
    store.close().await;
    drop(store);
    let compacted = compacted?;
    let index = config.store.path.join("index");
    fs::remove_dir_all(&index).map_err(at(&index))?;
    let (store, _) = open(config)?;
    store.close().await;
    Ok(compacted)
}

fn open(config: &Config) -> Result<(embedded::Embedded, embedded::OpenReport), CareError> {
    Ok(embedded::open(embedded::Options::new(config.store.path.clone()), Clock::system().now())?)
}

/// A check must not make a store where there is none.
fn must_exist(config: &Config) -> Result<(), CareError> {
    let path = &config.store.path;
    if path.join("VERSION").exists() || path.join("journal").exists() {
        return Ok(());
    }
    Err(CareError::Refused(format!("{}: there is no store; see store.path", path.display())))
}

/// What a backup holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The program that made it.
    pub program: String,
    /// When.
    pub made_at: String,
    /// Its files.
    pub files: Vec<Copied>,
}

/// One file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copied {
    /// Its path in the backup.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hex.
    pub blake3: String,
}

/// Copies a snapshot into `to`, which must be new or empty; `secret` is the data directory whose key goes with it.
pub fn copy_away(snapshot: &Path, to: &Path, secret: Option<&Path>) -> Result<Manifest, CareError> {
    must_be_empty(to, "a backup")?;
    let mut names: Vec<PathBuf> = Vec::new();
    for folder in ["journal", "big"] {
        private(&to.join(folder))?;
        names.extend(entries(&snapshot.join(folder))?.into_iter().map(|name| Path::new(folder).join(name)));
    }
    names.push("VERSION".into());
    names.sort();
    let mut files = Vec::with_capacity(names.len() + 1);
    for name in &names {
        files.push(copy(&snapshot.join(name), &to.join(name), name)?);
    }
    if let Some(data) = secret {
        files.push(copy(&data.join(SECRET_FILE), &to.join(SECRET_FILE), Path::new(SECRET_FILE))?);
    }
    let made_at = Clock::system().now().to_string();
    let manifest =
        Manifest { program: concat!("vestibule ", env!("CARGO_PKG_VERSION")).to_owned(), made_at, files };
    let path = to.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(io::Error::other).map_err(at(&path))?;
    write_whole(&path, text.as_bytes()).map_err(at(&path))?;
    sync_folders(to)?;
    Ok(manifest)
}

/// Brings a backup into the store of the configuration, which must be new or empty, and opens it: every file is checked on the
/// way, the index is made anew, and the invariants are checked. Answers what is wrong.
pub async fn restore(from: &Path, config: &Config) -> Result<Vec<String>, CareError> {
    let manifest = manifest(from)?;
    let to = &config.store.path;
    must_be_empty(to, "a restored store")?;
    private(&to.join("journal"))?;
    private(&to.join("big"))?;
    // The version last: without it a store that was not restored whole is refused.
    let (version, others): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.path == "VERSION");
    for file in others.into_iter().chain(version) {
        let name = Path::new(&file.path);
        let copied = copy(&from.join(name), &to.join(name), name)?;
        if copied.bytes != file.bytes || copied.blake3 != file.blake3 {
            return Err(CareError::Refused(format!(
                "{} is not as it was written: take another backup, and empty {}",
                from.join(name).display(),
                to.display()
            )));
        }
    }
    sync_folders(to)?;
    let (report, mut findings) = for_owner(config, audited(config)).await?;
    findings.splice(0..0, report.damage);
    Ok(findings)
}

fn manifest(from: &Path) -> Result<Manifest, CareError> {
    let path = from.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CareError::Refused(format!(
            "{} is missing: {} is no backup, or one that was not finished",
            path.display(),
            from.display()
        )),
        _ => at(&path)(error),
    })?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| CareError::Refused(format!("{}: {error}", path.display())))?;
    let is_plain = |file: &Copied| match Path::new(&file.path)
        .components()
        .map(std::path::Component::as_os_str)
        .collect::<Vec<_>>()[..]
    {
        [name] => name == "VERSION" || name == SECRET_FILE,
        [folder, name] => (folder == "journal" || folder == "big") && name != "..",
        _ => false,
    };
    match manifest.files.iter().find(|file| !is_plain(file)) {
        None => Ok(manifest),
        Some(file) => {
            Err(CareError::Refused(format!("{}: {:?} is no file of a backup", path.display(), file.path)))
        }
    }
}

fn must_be_empty(dir: &Path, what: &str) -> Result<(), CareError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CareError::Refused(format!(
            "{} is not empty, and {what} must not be mixed with anything: name another, or empty it",
            dir.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => private(dir),
        Err(error) => Err(at(dir)(error)),
    }
}

fn private(dir: &Path) -> Result<(), CareError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

/// Gives what root has written into the store to the owner of its folder: the daemon is not root, and could not open it. Never a
/// file with another name somewhere else: that owner must not get a file by linking it here.
fn give_to_owner(dir: &Path) -> Result<(), CareError> {
    let owner = fs::metadata(dir).map_err(at(dir))?;
    give(dir, &owner)
}

fn give(path: &Path, owner: &fs::Metadata) -> Result<(), CareError> {
    let found = fs::symlink_metadata(path).map_err(at(path))?;
    if found.uid() != owner.uid() && (found.is_dir() || found.nlink() == 1) {
        lchown(path, Some(owner.uid()), Some(owner.gid())).map_err(at(path))?;
    }
    if found.is_dir() {
        for name in entries(path)? {
            give(&path.join(name), owner)?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, CareError> {
    let found = fs::read_dir(dir).map_err(at(dir))?;
    found.map(|entry| entry.map(|entry| entry.file_name().into()).map_err(at(dir))).collect()
}

fn copy(from: &Path, to: &Path, name: &Path) -> Result<Copied, CareError> {
    let mut source = File::open(from).map_err(at(from))?;
    let (mut hasher, mut bytes, mut chunk) = (blake3::Hasher::new(), 0, vec![0; CHUNK]);
    let mut write = || -> io::Result<()> {
        let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        loop {
            let some = source.read(&mut chunk)?;
            if some == 0 {
                return target.sync_all();
            }
            hasher.update(&chunk[..some]);
            target.write_all(&chunk[..some])?;
            bytes += some as u64;
        }
    };
    write().map_err(at(to))?;
    let blake3 = hasher.finalize().to_hex().to_string();
    Ok(Copied { path: name.display().to_string(), bytes, blake3 })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folders(root: &Path) -> Result<(), CareError> {
    for dir in [root.join("journal"), root.join("big"), root.to_owned()] {
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(at(&dir))?;
    }
    Ok(())
}
