//! What runs beside the work: clock, randomness, events (log line and counter together), metrics, shutdown.

mod clock;
mod events;
mod log;
mod metrics;
mod panics;
mod redact;
mod rng;
mod shutdown;
#[cfg(feature = "otlp")]
mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "no_traces.rs"]
mod traces;
mod way;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::Dispatch;

pub use clock::Clock;
pub use events::*;
pub use log::{JsonLines, LogBuffer, LogControl, init as init_log, json_dispatch, log_dispatch};
pub use metrics::{
    AGES, AgeLabels, CertificateLabels, CheckLabels, DecisionLabels, MailLabels, Metrics, RefusalLabels,
    RequestLabels, SpanLabels, StageLabels, Stages, StepLabels,
};
pub use panics::{log_panics, words_of};
pub use rng::{random, time_ordered_uuid};
pub use shutdown::{Shutdown, ShutdownHandle};
pub use way::Way;

use crate::{
    config::{LogAddresses, LogConfig},
    types::EmailAddress,
};

/// What every part of the running daemon shares for its own watching. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    /// The time.
    pub clock: Clock,
    /// The counters.
    pub metrics: Arc<Metrics>,
    addresses: Arc<ArcSwap<LogAddresses>>,
    hash_key: Arc<[u8; 32]>,
    dispatch: Option<Dispatch>,
    log: Option<LogControl>,
    traces: traces::Traces,
}

impl Ops {
    /// With events going to the process-wide subscriber, or to `dispatch` where one is given (tests).
    pub fn new(clock: Clock, addresses: LogAddresses, dispatch: Option<Dispatch>) -> Self {
        Self {
            clock,
            metrics: Arc::new(Metrics::new()),
            addresses: Arc::new(ArcSwap::from_pointee(addresses)),
            hash_key: Arc::new(random()),
            dispatch,
            log: None,
            traces: traces::Traces::default(),
        }
    }

    /// With a hand on the log, so that a reload changes its level and format too.
    #[must_use]
    pub fn with_log(self, control: LogControl) -> Self {
        Self { log: Some(control), ..self }
    }

    /// Puts `[log]` in force, at a reload. Fails when its filter is not valid; the old level and format stay then.
    pub fn set_log(&self, config: &LogConfig) -> Result<(), String> {
        self.addresses.store(Arc::new(config.addresses));
        self.log.as_ref().map_or(Ok(()), |log| self.in_scope(|| log.set(config)))
    }

    /// The address as the site wants it in its logs. A hash is keyed for this run of the process only.
    pub fn log_address(&self, address: &EmailAddress) -> String {
        match **self.addresses.load() {
            LogAddresses::Full => address.key().to_owned(),
            LogAddresses::Domain => format!("@{}", address.domain()),
            LogAddresses::Hashed => {
                let mut mac = Hmac::<Sha256>::new_from_slice(&*self.hash_key)
                    .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
                mac.update(address.key().as_bytes());
                let hash = mac.finalize().into_bytes();
                format!("{}@{}", data_encoding::HEXLOWER.encode(&hash[..8]), address.domain())
            }
        }
    }

    /// A reverse-path as the site wants it in its logs: `<>` for the null one. One that can't be read as an address is
    /// shown only where addresses are shown in full.
    pub fn log_path(&self, path: &str) -> Option<String> {
        if path.is_empty() {
            return Some("<>".to_owned());
        }
        match path.parse() {
            Ok(address) => Some(self.log_address(&address)),
            Err(_) => matches!(**self.addresses.load(), LogAddresses::Full).then(|| path.to_owned()),
        }
    }

    /// Runs `emit` under this daemon's subscriber.
    pub fn in_scope<T>(&self, emit: impl FnOnce() -> T) -> T {
        match &self.dispatch {
            Some(dispatch) => tracing::dispatcher::with_default(dispatch, emit),
            None => emit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_path_is_shown_as_the_site_wants_addresses() {
        let ops = |addresses| Ops::new(Clock::system(), addresses, None);
        let full = ops(LogAddresses::Full);
        for (path, shown) in
            [("", "<>"), ("Ada@Example.com", "ada@example.com"), ("no address", "no address")]
        {
            assert_eq!(full.log_path(path).as_deref(), Some(shown));
        }
        let domain = ops(LogAddresses::Domain);
        assert_eq!(domain.log_path("ada@example.com").as_deref(), Some("@example.com"));
        assert_eq!((domain.log_path("no address"), domain.log_path("").as_deref()), (None, Some("<>")));
    }
}
