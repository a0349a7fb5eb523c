//! Whether the store takes writes, and how much room there is.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::reserve::Reserve;
use crate::store::{Health, StoreWork};

/// What the threads tell, and everybody asks.
pub(super) struct Status {
    pub(super) reserve: Reserve,
    takes_writes: AtomicBool,
    commits: AtomicU64,
    syncs: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    problem: Option<String>,
    fatal: bool,
    oldest: Option<Instant>,
}

impl Status {
    /// All is well.
    pub(super) fn new(reserve: Reserve) -> Self {
        Self {
            reserve,
            takes_writes: AtomicBool::new(true),
            commits: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// So many commits have become durable.
    pub(super) fn committed(&self, commits: usize) {
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
    }

    /// A file was synced.
    pub(super) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn work(&self) -> StoreWork {
        StoreWork { commits: self.commits.load(Ordering::Relaxed), syncs: self.syncs.load(Ordering::Relaxed) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why no writes are taken, if they are not.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.takes_writes.load(Ordering::Acquire) {
            return None;
        }
        self.with(|state| state.problem.clone())
    }

    /// A write failed; another may succeed.
    pub(super) fn fail(&self, problem: String) {
        self.with(|state| {
            state.problem.get_or_insert(problem);
        });
        self.takes_writes.store(false, Ordering::Release);
    }

    /// What is on disk is uncertain: nothing more is taken by this process.
    pub(super) fn fail_for_good(&self, problem: String) {
        self.with(|state| {
            if !state.fatal {
                (state.problem, state.fatal) = (Some(problem), true);
            }
        });
        self.takes_writes.store(false, Ordering::Release);
    }

    /// Writes get through again.
    pub(super) fn recover(&self) {
        let recovered = self.with(|state| {
            if !state.fatal {
                state.problem = None;
            }
            !state.fatal
        });
        self.takes_writes.store(recovered, Ordering::Release);
    }

    /// Whether nothing more is taken by this process.
    pub(super) fn is_fatal(&self) -> bool {
        self.with(|state| state.fatal)
    }

    /// Since when the oldest commit under way waits.
    pub(super) fn waiting_since(&self, oldest: Option<Instant>) {
        self.with(|state| state.oldest = oldest);
    }

    /// The answer for readiness, MAIL and metrics.
    pub(super) fn health(&self) -> Health {
        let (free, full) = self.reserve.room();
        self.with(|state| {
            let problem = state.problem.clone().or(full);
            Health {
                writable: problem.is_none(),
                problem,
                fatal: state.fatal,
                free,
                oldest_waiting: state.oldest.map(|since| since.elapsed()),
                work: self.work(),
            }
        })
    }
}
