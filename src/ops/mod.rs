//! What runs beside the work: clock, randomness, events (log line and counter together), metrics, shutdown.

mod clock;
mod events;
mod log;
mod metrics;
mod rng;
mod shutdown;

use std::{borrow::Cow, sync::Arc};

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::Dispatch;

pub use clock::Clock;
pub use events::*;
pub use log::{JsonLines, LogBuffer, init as init_log, json_dispatch};
pub use metrics::{DecisionLabels, Metrics, RefusalLabels, RequestLabels};
pub use rng::{random, time_ordered_uuid};
pub use shutdown::{Shutdown, ShutdownHandle};

use crate::{config::LogAddresses, types::EmailAddress};

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
        }
    }

    /// Changes how addresses appear in logs (`[log] addresses`), at a reload.
    pub fn set_log_addresses(&self, addresses: LogAddresses) {
        self.addresses.store(Arc::new(addresses));
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

    /// A relay's words about a mail to the address, which often repeat it, as the site wants addresses in its logs.
    pub fn log_words<'a>(&self, words: &'a str, address: &EmailAddress) -> Cow<'a, str> {
        if **self.addresses.load() == LogAddresses::Full {
            return Cow::Borrowed(words);
        }
        let shown = self.log_address(address);
        Cow::Owned(replace(&replace(words, address.spelling(), &shown), address.key(), &shown))
    }

    /// Runs `emit` under this daemon's subscriber.
    pub fn in_scope<T>(&self, emit: impl FnOnce() -> T) -> T {
        match &self.dispatch {
            Some(dispatch) => tracing::dispatcher::with_default(dispatch, emit),
            None => emit(),
        }
    }
}

/// The text with every `name`, in whatever case of ASCII letters, replaced.
fn replace(text: &str, name: &str, by: &str) -> String {
    let (lower, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(&name) {
        out.push_str(&text[done..at]);
        out.push_str(by);
        done = at + name.len();
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Time;

    #[test]
    fn a_relays_words_name_nobody_where_logs_must_not() {
        let address = "Ada.L@Example.com".parse().unwrap();
        let words = "550 5.1.1 <ADA.L@EXAMPLE.COM>: no mailbox ada.l@example.com here, Grüße";
        for (addresses, expected) in [
            (LogAddresses::Full, words),
            (LogAddresses::Domain, "550 5.1.1 <@example.com>: no mailbox @example.com here, Grüße"),
        ] {
            let ops = Ops::new(Clock::manual(Time::from_millis(0)), addresses, None);
            assert_eq!(ops.log_words(words, &address), expected);
        }
        let ops = Ops::new(Clock::manual(Time::from_millis(0)), LogAddresses::Hashed, None);
        assert!(!ops.log_words(words, &address).to_ascii_lowercase().contains("ada.l"));
    }
}
