//! Rows: an ordered map of small values, whatever the engine keeps it in. What the keys and rows mean is told here; how
//! they change is told in `machine`.

pub(super) mod key;
mod part;
mod row;
mod txn;

use std::{ops::ControlFlow, sync::Arc};

use smallvec::SmallVec;

use super::{Order, StoreError};
pub(super) use part::{SenderKind, SenderVersion};
pub(super) use row::{
    CheckpointRow, CommentIndex, DecisionIndex, HeldIndex, JobIndex, Location, MailState, RequestIndex, Row,
    SeenRow, SenderRow, Sighting, TokenRow, VerificationEnd, VerificationMailRow, VerificationRow, decode,
    encode,
};
pub(super) use txn::{Changes, Layered, Txn, merge_scan};

/// A row's key. Those of a usual mail lie in place: keys are copied from layer to layer, and an allocation for each copy
/// would cost more than the copy.
pub(super) type Key = SmallVec<[u8; 40]>;
/// A row's value, shared between the layers that hold it.
pub(super) type Value = Arc<[u8]>;
/// Is shown each row of a scan, and says whether to go on.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// Largest value in bytes: sled keeps such values in its log, and only those survive a power cut.
pub(super) const MAX_VALUE: usize = 4096;

/// Keys from `from` up to and without `until`.
#[derive(Debug, Clone)]
pub(super) struct KeyRange {
    /// The first key.
    pub(super) from: Key,
    /// The first key that is not in it any more.
    pub(super) until: Key,
}

/// An ordered view of all rows.
pub(super) trait Rows {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError>;

    /// Shows the rows of a range, ascending for [`Order::Oldest`], descending for [`Order::Newest`].
    fn scan(&self, range: &KeyRange, order: Order, visit: Visit<'_>) -> Result<(), StoreError>;
}

/// The row of a key, decoded.
pub(super) fn read<T: Row>(rows: &dyn Rows, key: &[u8]) -> Result<Option<T>, StoreError> {
    rows.get(key)?.map(|value| decode(key, &value)).transpose()
}

/// The greatest key of a range.
pub(super) fn last_key(rows: &dyn Rows, range: &KeyRange) -> Result<Option<Key>, StoreError> {
    let mut last = None;
    rows.scan(range, Order::Newest, &mut |key, _| {
        last = Some(Key::from_slice(key));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(last)
}
