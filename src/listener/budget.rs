//! Memory for mail in flight, all sessions together (`smtp.memory_budget`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

/// Counts the bytes that are held.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicU64,
    gauge: Gauge,
}

impl Budget {
    /// Nothing held; `gauge` follows.
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { used: AtomicU64::new(0), gauge }
    }

    /// Whether `bytes` more would fit, at least one.
    pub(super) fn has_room(&self, bytes: u64, limit: u64) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes.max(1)) <= limit
    }

    /// A hold on nothing yet.
    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        Hold { budget: Arc::clone(self), bytes: 0 }
    }
}

/// Bytes held for one mail; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Hold {
    /// Holds `bytes` more, if all holds together then stay within `limit`.
    pub(super) fn grow(&mut self, bytes: usize, limit: u64) -> bool {
        let bytes = bytes as u64;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes += bytes;
            self.budget.gauge.inc_by(i64::try_from(bytes).unwrap_or(0));
        }
        taken
    }

    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes as u64);
        if surplus > 0 {
            self.bytes -= surplus;
            self.budget.used.fetch_sub(surplus, Ordering::Relaxed);
            self.budget.gauge.dec_by(i64::try_from(surplus).unwrap_or(0));
        }
    }

    /// Takes over all that is held, leaving a hold on nothing.
    pub(super) fn take(&mut self) -> Self {
        Self { budget: Arc::clone(&self.budget), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_share_one_limit_and_give_back() {
        let budget = Arc::new(Budget::new(Gauge::default()));
        let (mut first, mut second) = (budget.hold(), budget.hold());
        assert!(first.grow(60, 100));
        assert!(!second.grow(41, 100));
        assert!(second.grow(40, 100));
        assert!(!budget.has_room(0, 100));
        assert_eq!(budget.gauge.get(), 100);
        first.shrink_to(10);
        let moved = first.take();
        drop(first);
        assert_eq!(budget.gauge.get(), 50);
        assert!(budget.has_room(50, 100) && !budget.has_room(51, 100));
        drop((moved, second));
        assert_eq!((budget.gauge.get(), budget.used.load(Ordering::Relaxed)), (0, 0));
        assert!(!budget.hold().grow(usize::MAX, 100));
    }
}
