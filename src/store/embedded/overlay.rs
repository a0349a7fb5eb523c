//! Rows that are durable in the journal and not yet in the index. Reads see them at once.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use super::index::Index;
use crate::store::{
    Order, StoreError,
    rows::{Changes, Key, KeyRange, Rows, Value, Visit, merge_scan},
};

/// The rows, each with the number of the record that made it.
#[derive(Default)]
pub(super) struct Overlay(RwLock<BTreeMap<Key, (u64, Option<Value>)>>);

impl Overlay {
    /// Shows the rows of a batch to all reads, all of them at once.
    pub(super) fn publish<'a>(&self, batch: impl Iterator<Item = (u64, &'a Changes)>) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (seq, changes) in batch {
            for (key, value) in changes {
                rows.insert(key.clone(), (seq, value.clone()));
            }
        }
    }

    /// Whether the index has all rows.
    pub(super) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Forgets rows that are in the index, unless a later record has changed them again.
    pub(super) fn retire<'a>(&self, keys: impl Iterator<Item = &'a Key>, seq: u64) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if rows.get(key).is_some_and(|(of, _)| *of <= seq) {
                rows.remove(key);
            }
        }
    }
}

/// The index with the overlay over it.
///
/// The overlay is looked at first. A row leaves it only after it is in the index, so that nothing is missed in between.
pub(super) struct Merged {
    pub(super) overlay: Overlay,
    pub(super) index: Index,
}

impl Rows for Merged {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let over = self.overlay.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        match over {
            Some((_, value)) => Ok(value),
            None => self.index.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let over: Vec<_> = {
            let rows = self.overlay.0.read().unwrap_or_else(PoisonError::into_inner);
            let within = rows.range(range.from.clone()..range.until.clone());
            within.map(|(key, (_, value))| (key.clone(), value.clone())).collect()
        };
        merge_scan(over, order, visit, |inner| self.index.scan(range, order, inner))
    }
}
