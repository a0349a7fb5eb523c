//! Layers: changes that lie over other rows and win over them.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{Key, KeyRange, Row, Rows, Value, Visit, encode, key, read};
use crate::{
    store::{CommitError, Order, StoreError, rows::SenderRow},
    types::EmailAddress,
};

/// Changed rows; `None` = removed.
pub(in crate::store) type Changes = BTreeMap<Key, Option<Value>>;

/// Changes over other rows.
pub(in crate::store) struct Layered<'a> {
    /// Below.
    pub(in crate::store) base: &'a dyn Rows,
    /// Above.
    pub(in crate::store) changes: &'a Changes,
}

impl Rows for Layered<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let over: Vec<_> = self
            .changes
            .range(range.from.clone()..range.until.clone())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        merge_scan(over, order, visit, |inner| self.base.scan(range, order, inner))
    }
}

/// Shows the rows of `base` with the ascending `over` laid over them, in the given order.
pub(in crate::store) fn merge_scan(
    mut over: Vec<(Key, Option<Value>)>,
    order: Order,
    visit: Visit<'_>,
    base: impl FnOnce(Visit<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    if over.is_empty() {
        return base(visit);
    }
    if order == Order::Newest {
        over.reverse();
    }
    let comes_before = |a: &[u8], b: &[u8]| if order == Order::Oldest { a < b } else { a > b };
    let mut over = over.into_iter().peekable();
    let mut stopped = false;
    base(&mut |key, value| {
        while let Some((changed, new)) = over.next_if(|(changed, _)| comes_before(changed, key)) {
            if let Some(new) = new
                && visit(&changed, &new)?.is_break()
            {
                stopped = true;
                return Ok(ControlFlow::Break(()));
            }
        }
        let flow = match over.next_if(|(changed, _)| changed.as_slice() == key) {
            Some((_, None)) => ControlFlow::Continue(()),
            Some((_, Some(new))) => visit(key, &new)?,
            None => visit(key, value)?,
        };
        stopped = flow.is_break();
        Ok(flow)
    })?;
    if stopped {
        return Ok(());
    }
    for (key, value) in over {
        if let Some(value) = value
            && visit(&key, &value)?.is_break()
        {
            break;
        }
    }
    Ok(())
}

/// Changes being made over other rows: all of them count, or none.
pub(in crate::store) struct Txn<'a> {
    base: &'a dyn Rows,
    changes: Changes,
    compacted: bool,
}

impl<'a> Txn<'a> {
    /// No changes yet.
    pub(in crate::store) fn new(base: &'a dyn Rows) -> Self {
        Self { base, changes: Changes::new(), compacted: false }
    }

    /// The same, for the replay of a journal that may have been compacted.
    pub(in crate::store) fn replay(base: &'a dyn Rows, compacted: bool) -> Self {
        Self { compacted, ..Self::new(base) }
    }

    /// Whether what changes are about may be gone for being past its time.
    pub(in crate::store) fn is_compacted(&self) -> bool {
        self.compacted
    }

    /// The changes made.
    pub(in crate::store) fn into_changes(self) -> Changes {
        self.changes
    }

    /// The rows, as changed so far.
    pub(in crate::store) fn rows(&self) -> Layered<'_> {
        Layered { base: self.base, changes: &self.changes }
    }

    /// A row, as changed so far.
    pub(in crate::store) fn read<T: Row>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        read(&self.rows(), key)
    }

    /// Writes a row.
    pub(in crate::store) fn put<T: Row>(&mut self, key: Key, row: &T) -> Result<(), CommitError> {
        let value = encode(&key, row)?;
        self.changes.insert(key, Some(value));
        Ok(())
    }

    /// Changes a row, where it is still there.
    pub(in crate::store) fn change<T: Row>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T),
    ) -> Result<(), CommitError> {
        let Some(mut row) = self.read(key)? else { return Ok(()) };
        change(&mut row);
        self.put(Key::from_slice(key), &row)
    }

    /// Writes a row that is all key.
    pub(in crate::store) fn mark(&mut self, key: Key) {
        self.changes.insert(key, Some(Value::from([])));
    }

    /// Removes a row.
    pub(in crate::store) fn remove(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// The sender's row; an empty one when nothing is known.
    pub(in crate::store) fn sender(&self, address: &EmailAddress) -> Result<SenderRow, StoreError> {
        Ok(self.read(&key::sender(address))?.unwrap_or_default())
    }

    /// Changes what no decision rests on: the version stays, so that a busy sender is never stale.
    pub(in crate::store) fn note_sender(
        &mut self,
        address: &EmailAddress,
        change: impl FnOnce(&mut SenderRow),
    ) -> Result<(), CommitError> {
        let mut row = self.sender(address)?;
        change(&mut row);
        self.put(key::sender(address), &row)
    }

    /// Changes what decisions rest on: raises the version.
    pub(in crate::store) fn change_sender(
        &mut self,
        address: &EmailAddress,
        change: impl FnOnce(&mut SenderRow),
    ) -> Result<(), CommitError> {
        self.note_sender(address, |row| {
            change(row);
            row.version += 1;
        })
    }
}
