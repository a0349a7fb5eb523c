//! Rows past their time: keys against copies, tokens, mails of ours, ended verifications.

use std::ops::ControlFlow;

use serde_bytes::ByteBuf;

use super::SweepEvent;
use crate::{
    store::{
        CommitError, ConfirmationView, Order, SentMail, StoreError,
        rows::{Key, KeyRange, Rows, SeenRow, TokenRow, Txn, VerificationRow, decode, key, read},
    },
    types::{Time, VerificationId},
};

/// The letters that are swept, in the order of their keys. What is remembered under a Message-ID stays: a reply may name it
/// after years.
const SWEPT: [u8; 5] = [b'd', b'e', b'o', b't', b'v'];
/// Most rows looked at in one sweep for each that may be removed.
const LOOKS: usize = 16;

/// What may be removed, found from where the last sweep ended, at most `max` rows; `None` when there is nothing to write.
pub(in crate::store) fn candidates(
    rows: &dyn Rows,
    (duplicates_before, tokens_before): (Time, Time),
    max: usize,
) -> Result<Option<SweepEvent>, StoreError> {
    let start: ByteBuf = read(rows, &key::sweep())?.unwrap_or_default();
    let mut event =
        SweepEvent { keys: Vec::new(), position: ByteBuf::new(), duplicates_before, tokens_before };
    let mut looks = max.saturating_mul(LOOKS);
    for letter in SWEPT {
        let mut range = key::all(letter);
        if start.as_slice() >= range.until.as_slice() {
            continue;
        }
        range.from = range.from.max(Key::from_slice(&start));
        if !sweep_range(rows, &range, &mut event, &mut looks, max)? {
            break;
        }
    }
    Ok(Some(event).filter(|event| !event.keys.is_empty() || event.position != start))
}

/// Whether the range was walked to its end.
fn sweep_range(
    rows: &dyn Rows,
    range: &KeyRange,
    event: &mut SweepEvent,
    looks: &mut usize,
    max: usize,
) -> Result<bool, StoreError> {
    let mut whole = true;
    rows.scan(range, Order::Oldest, &mut |key, value| {
        if event.keys.len() >= max || *looks == 0 {
            event.position = ByteBuf::from(key);
            whole = false;
            return Ok(ControlFlow::Break(()));
        }
        *looks -= 1;
        if has_ended(rows, (key, value), event.duplicates_before, event.tokens_before)? {
            event.keys.push(ByteBuf::from(key));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(whole)
}

/// A token goes with its verification, if not before.
fn has_ended(
    rows: &dyn Rows,
    (place, value): (&[u8], &[u8]),
    duplicates_before: Time,
    tokens_before: Time,
) -> Result<bool, StoreError> {
    Ok(match place.first() {
        Some(b'd') => decode::<SeenRow>(place, value)?.0.iter().all(|seen| seen.at < duplicates_before),
        Some(b'e') => decode::<ConfirmationView>(place, value)?.expires_at < tokens_before,
        Some(b'o') => decode::<SentMail>(place, value)?.at < tokens_before,
        Some(b't') => {
            let row: TokenRow = decode(place, value)?;
            row.expires_at < tokens_before || rows.get(&key::verification(row.verification))?.is_none()
        }
        Some(b'v') => {
            decode::<VerificationRow>(place, value)?.end.is_some_and(|end| end.at() < tokens_before)
        }
        _ => false,
    })
}

/// Keeps only those keys whose rows are still past their time: a mail may have come again since they were found.
pub(super) fn retain_ended(event: &mut SweepEvent, rows: &dyn Rows) -> Result<(), CommitError> {
    let mut kept = Vec::with_capacity(event.keys.len());
    for key in std::mem::take(&mut event.keys) {
        if let Some(value) = rows.get(&key)?
            && has_ended(rows, (&key, &value), event.duplicates_before, event.tokens_before)?
        {
            kept.push(key);
        }
    }
    event.keys = kept;
    Ok(())
}

/// Removes the rows.
pub(super) fn apply(event: &SweepEvent, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    for swept in &event.keys {
        if swept.first() == Some(&b'v')
            && let Some(row) = txn.read::<VerificationRow>(swept)?
            && let Some(id) = key::uuid_of(swept)
        {
            txn.remove(key::address_verification(&row.address, VerificationId::new(id)));
        }
        txn.remove(Key::from_slice(swept));
    }
    txn.put(key::sweep(), &event.position)
}
