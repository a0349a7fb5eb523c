//! What the service manager is told, in the words of `sd_notify`(3): whether the daemon is ready, what it does, and that it
//! lives.

use std::{io, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::time;

use super::{App, gate};
use crate::{listener::Gate, ops::Shutdown, store::Store};

/// Between two looks where nobody asks for signs of life.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The looks within the time after which the service manager takes the daemon for dead.
const LOOKS: u32 = 3;

/// Hands messages to the service manager.
pub type Tell = Arc<dyn Fn(&[NotifyState<'_>]) -> io::Result<()> + Send + Sync>;

/// Speaks to the service manager. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    store: Arc<dyn Store>,
    gate: Arc<dyn Fn() -> Gate + Send + Sync>,
    tell: Tell,
}

impl App {
    /// Tells a service manager of this daemon.
    pub fn supervisor(&self, tell: Tell) -> Supervisor {
        let gate = gate(Arc::clone(&self.store), Arc::clone(&self.config));
        Supervisor { store: Arc::clone(&self.store), gate, tell }
    }
}

impl Supervisor {
    /// Every socket is bound: who connects now is served.
    pub fn ready(&self) -> io::Result<()> {
        (self.tell)(&[NotifyState::Ready])
    }

    /// Reads the configuration again, and says so before and after.
    pub fn around_reload(&self, reload: impl Fn()) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            // Who does not listen any more can't be helped: the daemon serves on.
            let _ = (self.tell)(&[NotifyState::Reloading, now]);
        }
        reload();
        let _ = self.ready();
    }

    /// Says what the daemon does, until it stops. With `limit` the service manager takes it for dead after that time without
    /// a sign of life, and gets one only when the runtime, the writer of the journal and the index have answered.
    pub async fn watch(self, shutdown: Shutdown, limit: Option<Duration>) {
        let limit = limit.filter(|limit| !limit.is_zero());
        tokio::select! {
            () = shutdown.begun() => {}
            () = self.look(limit) => {}
        }
        let _ = (self.tell)(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: what is under way is finished"),
        ]);
    }

    async fn look(&self, limit: Option<Duration>) {
        let every = limit.map_or(LOOK_EVERY, |limit| limit / LOOKS);
        loop {
            let _ = match time::timeout(every, self.held()).await {
                Ok(held) => self.alive(held, limit.is_some()),
                Err(_) => (self.tell)(&[NotifyState::Status("the store does not answer")]),
            };
            time::sleep(every).await;
        }
    }

    /// The mails that wait, once everything that a mail needs has answered.
    async fn held(&self) -> Option<u64> {
        self.store.ping().await;
        self.store.held_count().await.ok()
    }

    fn alive(&self, held: Option<u64>, wanted: bool) -> io::Result<()> {
        let does = match (self.gate)() {
            Gate::Open => "accepting",
            Gate::LowSpace => "refusing mail: less room than store.min_free",
            Gate::NotWritable => "refusing mail: the store takes no writes",
        };
        let status = held.map_or_else(|| does.to_owned(), |held| format!("{does}; {held} held"));
        let status = NotifyState::Status(&status);
        if wanted { (self.tell)(&[NotifyState::Watchdog, status]) } else { (self.tell)(&[status]) }
    }
}
