//! Rows that are durable in the journal and not yet in the index. Reads see them at once.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{PoisonError, RwLock},
};

use super::{cache::Cache, index::Index};
use crate::store::{
    Order, StoreError,
    rows::{Changes, CheckpointRow, Key, KeyRange, Rows, Value, Visit, merge_scan},
};

/// What follows from some records, one after another: the index takes in all of it or nothing.
#[derive(Default)]
pub(super) struct Unit {
    /// How many records.
    pub(super) records: usize,
    /// The number of the last.
    pub(super) seq: u64,
    /// Their rows.
    pub(super) changes: Changes,
    /// Where the index is with them.
    pub(super) checkpoint: CheckpointRow,
}

/// The rows, each with the number of the last record of its unit.
#[derive(Default)]
pub(super) struct Overlay(RwLock<BTreeMap<Key, (u64, Option<Value>)>>);

impl Overlay {
    /// Whether the index has all rows.
    pub(super) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Forgets rows that are in the index, unless a later unit has changed them again.
    pub(super) fn retire(&self, units: &[Unit]) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for unit in units {
            for key in unit.changes.keys() {
                if let Entry::Occupied(row) = rows.entry(key.clone())
                    && row.get().0 <= unit.seq
                {
                    row.remove();
                }
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
    cache: Cache,
}

impl Rows for Merged {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.cache.get(key, || {
            let over = self.overlay.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
            match over {
                Some((_, value)) => Ok(value),
                None => self.index.get(key),
            }
        })
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

impl Merged {
    /// Over this index, with nothing.
    pub(super) fn new(index: Index) -> Self {
        Self { overlay: Overlay::default(), index, cache: Cache::default() }
    }

    /// Shows the rows of a batch to all reads, all of them at once.
    pub(super) fn publish(&self, units: &[Unit]) {
        let mut rows = self.overlay.0.write().unwrap_or_else(PoisonError::into_inner);
        for unit in units {
            for (key, value) in &unit.changes {
                rows.insert(key.clone(), (unit.seq, value.clone()));
            }
        }
        drop(rows);
        self.cache.changed(units.iter().flat_map(|unit| &unit.changes));
    }
}
