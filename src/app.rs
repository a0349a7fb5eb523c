//! Puts the daemon together: a configuration becomes an [`App`] with bound sockets and an opened store, which runs until
//! it is told to stop and then drains. The only file that names every room.

mod answers;
mod care;
mod resolve;
mod sockets;
pub mod supervisor;
pub mod upkeep;

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{net::TcpListener, task::JoinHandle, time};

pub(crate) use resolve::verifier;
use sockets::bind;

use crate::{
    authn::{NoResolver, Verifier},
    config::Config,
    http,
    intake::Intake,
    listener::{self, Gate},
    ops::{
        self, CertificateLabels, ConfigLoaded, ConfigWarning, DaemonStarted, DaemonStopped, Event, Ops,
        Shutdown, StoreDamaged, StoreOpened,
    },
    outbound,
    store::{Disk, RealDisk, Store, embedded},
    types::TokenSeal,
    verify::Verify,
};

/// For what is under way when the daemon is told to stop; with a quarter more for leaving, and the store's close, it stays
/// under 15 s, also on a disk that hangs.
const GRACE: Duration = Duration::from_secs(8);
/// For the store's last writes.
const CLOSE: Duration = Duration::from_secs(4);
/// The file that holds the key of [`TokenSeal`].
const SECRET_FILE: &str = "secret";

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error("{key} = \"{address}\": {source}; is another process listening there?")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] embedded::OpenError),
    /// The key file could not be read or made.
    #[error("{}: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// DNS can't be asked.
    #[error(transparent)]
    Resolver(#[from] NoResolver),
    /// The runtime is ending.
    #[error("the runtime is stopping")]
    Stopping,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop. Whether all that was under way was finished.
    Stopped {
        /// False when the time for it was over.
        drained: bool,
    },
    /// The store can't be trusted any more; the text says why.
    StoreFailed(String),
}

/// The addresses that are really bound (port 0 has become a port).
#[derive(Debug, Clone)]
pub struct Addresses {
    /// SMTP.
    pub smtp: Vec<SocketAddr>,
    /// The verification pages.
    pub http: SocketAddr,
    /// API, health and metrics; the same as `http` unless they have a socket of their own.
    pub admin: SocketAddr,
}

/// A daemon that is ready to run.
pub struct App {
    config: Arc<ArcSwap<Config>>,
    ops: Ops,
    store: Arc<dyn Store>,
    verify: Verify,
    seal: TokenSeal,
    verifier: Arc<ArcSwapOption<Verifier>>,
    shutdown: Shutdown,
    smtp: Vec<TcpListener>,
    pages: TcpListener,
    admin: Option<TcpListener>,
    addresses: Addresses,
}

/// Changes the settings of a running daemon.
#[derive(Clone)]
pub struct Reload {
    config: Arc<ArcSwap<Config>>,
    verifier: Arc<ArcSwapOption<Verifier>>,
    ops: Ops,
}

impl App {
    /// Opens the store and binds every socket; nothing is served yet.
    pub async fn start(config: Config, ops: Ops) -> Result<Self, StartError> {
        Self::start_on(config, ops, Arc::new(RealDisk)).await
    }

    /// Like [`App::start`], with the store on this disk; for those who want to see it fail.
    pub async fn start_on(config: Config, ops: Ops, disk: Arc<dyn Disk>) -> Result<Self, StartError> {
        let verifier = Arc::new(ArcSwapOption::new(verifier(&config)?.map(Arc::new)));
        let (store, seal) = open(&config, &ops, disk).await?;
        let mut smtp = Vec::with_capacity(config.smtp.listen.len());
        for address in &config.smtp.listen {
            smtp.push(bind("smtp.listen", *address)?);
        }
        let pages = bind("http.listen", config.http.listen)?;
        let admin = config.http.admin_listen.map(|address| bind("http.admin_listen", address)).transpose()?;
        let addresses = addresses(&smtp, &pages, admin.as_ref(), &config);
        let config = Arc::new(ArcSwap::from_pointee(config));
        ops.set_traces(&config.load());
        let verify = Verify::new(Arc::clone(&store), Arc::clone(&config), ops.clone(), seal.clone());
        let shutdown = Shutdown::new();
        Ok(Self { config, ops, store, verify, seal, verifier, shutdown, smtp, pages, admin, addresses })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops the daemon when told to.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Changes its settings.
    pub fn reload_handle(&self) -> Reload {
        Reload {
            config: Arc::clone(&self.config),
            verifier: Arc::clone(&self.verifier),
            ops: self.ops.clone(),
        }
    }

    /// The store, for those who look into a daemon in the same process (tests, `demo`).
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Serves until [`App::shutdown`] is begun or the store fails; then drains and closes the store.
    pub async fn run(self) -> Ended {
        self.announce();
        let watch =
            tokio::spawn(care::watch(Arc::clone(&self.store), self.ops.clone(), self.shutdown.clone()));
        let (store, ops, shutdown) = (Arc::clone(&self.store), self.ops.clone(), self.shutdown.clone());
        let scrub = tokio::spawn(care::scrub(Arc::clone(&store), ops.clone(), shutdown.clone()));
        let path = self.config.load().store.path.clone();
        let measure = tokio::spawn(care::measure(path, ops.clone(), shutdown.clone()));
        let compact =
            care::compact(Arc::clone(&store), Arc::clone(&self.config), ops.clone(), shutdown.clone());
        let compact = tokio::spawn(compact);
        let mut tasks = self.spawn();
        tasks.extend([scrub, measure, compact]);
        shutdown.begun().await;
        let stopping = time::Instant::now();
        let drained = shutdown.drain(GRACE).await;
        let failed = watch.await.ok().flatten();
        for task in tasks {
            task.abort();
        }
        let (closed, ()) = tokio::join!(time::timeout(CLOSE, store.close()), ops.stop_traces());
        let drained = drained && closed.is_ok();
        DaemonStopped { drained, took: stopping.elapsed() }.emit(&ops);
        failed.map_or(Ended::Stopped { drained }, Ended::StoreFailed)
    }

    fn announce(&self) {
        let config = self.config.load();
        let smtp = self.addresses.smtp.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        DaemonStarted {
            smtp: &smtp,
            http: self.addresses.http.to_string(),
            admin: self.addresses.admin.to_string(),
            store: config.store.path.display().to_string(),
            authentication: config.authentication.mode.as_str(),
        }
        .emit(&self.ops);
        in_force(&config, &self.ops);
    }

    fn spawn(self) -> Vec<JoinHandle<()>> {
        let Self { config, ops, store, verify, seal, verifier, shutdown, smtp, pages, admin, .. } = self;
        let intake = Intake::new(
            Arc::clone(&store),
            Arc::clone(&config),
            ops.clone(),
            seal.clone(),
            Arc::clone(&verifier),
        );
        let for_mail = intake.clone();
        let parts = listener::Parts {
            config: Arc::clone(&config),
            ops: ops.clone(),
            gate: gate(Arc::clone(&store), Arc::clone(&config)),
            deliver: Arc::new(move |envelope, raw| {
                let intake = for_mail.clone();
                Box::pin(async move { intake.deliver(envelope, raw).await })
            }),
            mint: seal.mint_key(),
            shutdown: shutdown.clone(),
        };
        let state = http::State {
            store: Arc::clone(&store),
            verify: verify.clone(),
            config: Arc::clone(&config),
            ops: ops.clone(),
            explain: answers::explainer(Arc::clone(&store), seal.clone(), Arc::clone(&config), verifier),
            reprocess: answers::reprocessor(intake.clone()),
            ready: ready(Arc::clone(&store), shutdown.clone()),
            shutdown: shutdown.clone(),
        };
        let outbox = outbound::Parts { store, config, ops, seal, shutdown: shutdown.clone() };
        vec![
            tokio::spawn(listener::serve(smtp, parts)),
            tokio::spawn(http::serve(pages, admin, state)),
            tokio::spawn(outbound::run(outbox)),
            tokio::spawn(verify.clone().run_releases(shutdown.clone())),
            tokio::spawn(verify.clone().run_expiry(shutdown.clone())),
            tokio::spawn(verify.run_sweeps(shutdown)),
        ]
    }
}

impl Reload {
    /// Puts these settings in force for the next mail. What only a start can change is named in a warning.
    pub fn apply(&self, config: Config) {
        let old = self.config.load_full();
        let (config, waiting) = config.for_reload(&old);
        if let Err(error) = self.ops.set_log(&config.log) {
            ConfigWarning { warning: &error }.emit(&self.ops);
        }
        for key in waiting {
            let warning = format!(
                "{key} has changed; it takes effect at the next start, and stays as it was until then"
            );
            ConfigWarning { warning: &warning }.emit(&self.ops);
        }
        self.ops.set_traces(&config);
        resolve::anew(&self.verifier, &old, &config, &self.ops);
        self.config.store(Arc::new(config));
        in_force(&self.config.load(), &self.ops);
    }
}

/// Says what is in force from now on.
fn in_force(config: &Config, ops: &Ops) {
    for warning in &config.warnings {
        ConfigWarning { warning }.emit(ops);
    }
    ops.metrics.certificate_expiry.clear();
    if let Some(expires_at) = config.smtp.tls.as_ref().and_then(|tls| tls.expires_at) {
        let labels = CertificateLabels { listener: "smtp" };
        ops.metrics.certificate_expiry.get_or_create(&labels).set(expires_at.as_millis() / 1000);
    }
    ConfigLoaded {
        path: config.path.display().to_string(),
        settings_version: &config.version,
        settings: &config.effective(),
        warnings: config.warnings.len(),
    }
    .emit(ops);
}

async fn open(
    config: &Config,
    ops: &Ops,
    disk: Arc<dyn Disk>,
) -> Result<(Arc<dyn Store>, TokenSeal), StartError> {
    let options = embedded::Options { disk, ..embedded::Options::new(config.store.path.clone()) };
    let (path, now) = (config.store.path.clone(), ops.clock.now());
    let opening = tokio::task::spawn_blocking(move || {
        let (store, report) = embedded::open(options, now)?;
        let seal = secret(&path.join(SECRET_FILE))?;
        Ok::<_, StartError>((store, report, seal))
    });
    let (store, report, seal) = opening.await.map_err(|_| StartError::Stopping)??;
    StoreOpened { replayed: report.replayed, rebuilt: report.rebuilt.as_deref() }.emit(ops);
    for damage in &report.damage {
        StoreDamaged { damage }.emit(ops);
    }
    Ok((Arc::new(store), seal))
}

/// The key of the outbox's tokens: 32 random bytes, made once, for the daemon's user only.
fn secret(path: &Path) -> Result<TokenSeal, StartError> {
    let failed = |source| StartError::Secret { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not the 32 bytes that were written");
            let key = bytes.try_into().map_err(|_| failed(wrong()))?;
            Ok(TokenSeal::new(key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = ops::random();
            write_secret(path, &key).map_err(failed)?;
            Ok(TokenSeal::new(key))
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_secret(path: &Path, key: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn addresses(
    smtp: &[TcpListener],
    pages: &TcpListener,
    admin: Option<&TcpListener>,
    config: &Config,
) -> Addresses {
    let http = pages.local_addr().unwrap_or(config.http.listen);
    Addresses {
        smtp: smtp.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
        http,
        admin: admin.and_then(|socket| socket.local_addr().ok()).unwrap_or(http),
    }
}

fn gate(store: Arc<dyn Store>, config: Arc<ArcSwap<Config>>) -> Arc<dyn Fn() -> Gate + Send + Sync> {
    Arc::new(move || {
        let health = store.health();
        let min_free = config.load().store.min_free;
        match health.writable {
            false => Gate::NotWritable,
            true if min_free > 0 && health.free < min_free => Gate::LowSpace,
            true => Gate::Open,
        }
    })
}

fn ready(store: Arc<dyn Store>, shutdown: Shutdown) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
    Arc::new(move || {
        if shutdown.has_begun() {
            return Err("stopping".to_owned());
        }
        let health = store.health();
        if health.writable {
            Ok(())
        } else {
            Err(health.problem.unwrap_or_else(|| "the store takes no writes".to_owned()))
        }
    })
}
