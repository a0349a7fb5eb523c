//! The rows that each mail asks for twice: what is known of its sender, and whether it was seen. First the planner reads
//! them, then the writer, who must find them as they were; the second reading, and that of a sender who writes again,
//! comes from here. So does the answer that there is no such row, which costs the index most.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::{
    StoreError,
    rows::{Key, Value},
};

/// Bytes of keys and values after which the older half is forgotten.
const HALF: usize = 1 << 20;
/// What an entry takes beside the bytes of its value.
const ENTRY: usize = 128;
/// The rows that are kept: senders and mails that were seen.
const KEPT: [u8; 3] = [b'a', b'd', b'n'];

/// Rows as they are, in two halves: the one that fills, and the one that was full before it.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    /// Counts the changes, so that nobody keeps what he has read before one.
    changes: u64,
    filled: usize,
    new: HashMap<Key, Option<Value>>,
    old: HashMap<Key, Option<Value>>,
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row as it is kept here, else as `read` finds it.
    pub(super) fn get(
        &self,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<Value>, StoreError>,
    ) -> Result<Option<Value>, StoreError> {
        if !is_kept(key) {
            return read();
        }
        let begun = {
            let state = self.state();
            if let Some(value) = state.new.get(key).or_else(|| state.old.get(key)) {
                return Ok(value.clone());
            }
            state.changes
        };
        let value = read()?;
        self.state().keep(key, value.clone(), begun);
        Ok(value)
    }

    /// Forgets what has changed. The new rows are visible to `read` already.
    pub(super) fn changed<'a>(&self, rows: impl Iterator<Item = (&'a Key, &'a Option<Value>)>) {
        let mut state = self.state();
        state.changes += 1;
        for (key, _) in rows.filter(|(key, _)| is_kept(key)) {
            state.new.remove(key);
            state.old.remove(key);
        }
    }
}

impl State {
    /// Keeps a row that was read when `begun` changes had been made.
    fn keep(&mut self, key: &[u8], value: Option<Value>, begun: u64) {
        if self.changes != begun {
            return;
        }
        self.filled += ENTRY + value.as_ref().map_or(0, |value| value.len());
        self.new.insert(Key::from_slice(key), value);
        if self.filled >= HALF {
            self.filled = 0;
            self.old = std::mem::take(&mut self.new);
        }
    }
}

fn is_kept(key: &[u8]) -> bool {
    key.first().is_some_and(|letter| KEPT.contains(letter))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn value(text: impl Into<Option<&'static str>>) -> Option<Value> {
        text.into().map(|text| Value::from(text.as_bytes()))
    }

    #[test]
    fn a_row_is_read_once_until_it_changes() {
        let (cache, reads) = (Cache::default(), Cell::new(0));
        let get = |key: &str, found: Option<Value>| {
            let read = || {
                reads.set(reads.get() + 1);
                Ok(found)
            };
            cache.get(key.as_bytes(), read).unwrap()
        };
        assert_eq!(get("a/x", value("1")), value("1"));
        assert_eq!(get("a/x", None), value("1"));
        assert_eq!(get("d/y", None), None);
        assert_eq!(get("d/y", value("2")), None, "what is not there is kept, too");
        assert_eq!(reads.get(), 2);
        cache.changed([(&Key::from_slice(b"d/y"), &value("2"))].into_iter());
        assert_eq!(get("d/y", value("2")), value("2"));
        assert_eq!(get("a/x", None), value("1"));
        assert_eq!(get("q/z", None), None);
        assert_eq!(get("q/z", value("3")), value("3"), "other rows are not kept");
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = Cache::default();
        let key = Key::from_slice(b"a/x");
        let read = || {
            cache.changed([(&key, &value("new"))].into_iter());
            Ok(value("old"))
        };
        assert_eq!(cache.get(&key, read).unwrap(), value("old"));
        assert_eq!(cache.get(&key, || Ok(value("new"))).unwrap(), value("new"));
    }

    #[test]
    fn it_does_not_grow() {
        let cache = Cache::default();
        for number in 0..100_000_u32 {
            let key = [b"d/".as_slice(), &number.to_be_bytes()].concat();
            cache.get(&key, || Ok(None)).unwrap();
        }
        let state = cache.state();
        assert!((state.new.len() + state.old.len()) * ENTRY <= 2 * HALF);
        assert!(!state.old.is_empty());
    }
}
