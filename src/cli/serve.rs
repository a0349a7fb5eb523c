//! `vestibule serve`: the daemon.

use std::{sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandResult, Failure, config_file::ConfigFile, runtime};
use crate::{
    app::{App, Ended, Reload, supervisor::Supervisor},
    config::{self, Config},
    ops::{self, Clock, ConfigRefused, Event, LogControl, Ops, Shutdown},
};

/// For threads that are still busy when the daemon has stopped.
const LEAVE: Duration = Duration::from_millis(500);

/// Run the daemon. SIGHUP reads the configuration again; SIGTERM and SIGINT stop it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule serve --config /etc/vestibule/vestibule.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command until the daemon is stopped, or leaves because its store failed.
pub(super) fn run(args: &Args) -> CommandResult {
    let config = args.config.load()?;
    let log = ops::init_log(&config.log).map_err(Failure::invalid)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(config, log));
    // A disk that hangs must not keep the process.
    runtime.shutdown_timeout(LEAVE);
    ended
}

async fn serve(config: Config, log: LogControl) -> CommandResult {
    let path = config.path.clone();
    let ops = Ops::new(Clock::system(), config.log.addresses, None).with_log(log);
    ops::log_panics(ops.clone());
    let app = App::start(config, ops.clone())
        .await
        .map_err(|error| Failure::failed(format!("can't start: {error}")))?;
    let (signals, settings) = (Signals::new()?, app.reload_handle());
    let supervisor = app.supervisor(Arc::new(sd_notify::notify));
    supervisor.ready().map_err(|error| {
        Failure::failed(format!("can't tell the service manager (NOTIFY_SOCKET) that all is ready: {error}"))
    })?;
    let watching = tokio::spawn(supervisor.clone().watch(app.shutdown(), sd_notify::watchdog_enabled()));
    tokio::spawn(signals.obey(app.shutdown(), supervisor, move || reload(&path, &settings, &ops)));
    let ended = app.run().await;
    // What it says at the end is said before the process is gone.
    let _ = watching.await;
    match ended {
        Ended::Stopped { .. } => Ok(()),
        Ended::StoreFailed(why) => Err(Failure::failed(format!(
            "the store failed, and what is on its disk is uncertain: {why}\n\
             Look at the disk; the next start recovers everything that was answered 250."
        ))),
    }
}

/// The signals that a daemon obeys, caught from now on.
pub(super) struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let catch =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("can't catch signals: {error}")));
        Ok(Self {
            hangup: catch(SignalKind::hangup())?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    /// Resolves when the process is told to stop.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn obey(mut self, shutdown: Shutdown, supervisor: Supervisor, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => supervisor.around_reload(&reload),
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
            }
        }
        shutdown.begin();
    }
}

/// A good file takes effect for the next mail; a bad one is refused with its mistakes, and the old settings stay.
fn reload(path: &std::path::Path, settings: &Reload, ops: &Ops) {
    match config::load(path) {
        Ok(config) => settings.apply(config),
        Err(errors) => {
            ConfigRefused { path: path.display().to_string(), errors: &errors.to_string() }.emit(ops);
        }
    }
}
