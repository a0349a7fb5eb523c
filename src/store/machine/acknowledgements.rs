//! The cap of acknowledgements: so many to an address in 24 hours, counted from the first of them.

use std::time::Duration;

use super::Cap;
use crate::{
    store::{
        CommitError, Delivery, DeliveryKind, Effect, Plan, StoreError,
        rows::{Rows, SenderRow, Txn, key, read},
    },
    types::{EmailAddress, Time},
};

/// How long acknowledgements are counted together.
const DAY: Duration = Duration::from_hours(24);

/// Where the delivery stands; `ahead` deliveries stand ahead of it in the plan. Always below for other mails.
pub(super) fn cap(
    plan: &Plan,
    ahead: usize,
    delivery: &Delivery,
    rows: &dyn Rows,
) -> Result<Cap, StoreError> {
    let DeliveryKind::Acknowledgement { per_day, .. } = delivery.kind else { return Ok(Cap::Below) };
    let row: SenderRow = read(rows, &key::sender(&delivery.to))?.unwrap_or_default();
    let in_plan = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Enqueue(delivery) => Some(delivery),
        _ => None,
    });
    let same = |other: &&Delivery| {
        matches!(other.kind, DeliveryKind::Acknowledgement { .. }) && other.to == delivery.to
    };
    let before = in_plan.take(ahead).filter(same).count();
    let counted = counted(&row, plan.at).1.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
    Ok(match counted.saturating_add(1).cmp(&per_day) {
        std::cmp::Ordering::Less => Cap::Below,
        std::cmp::Ordering::Equal => Cap::Last,
        std::cmp::Ordering::Greater => Cap::Over,
    })
}

/// Counts one. No decision rests on it.
pub(super) fn count(to: &EmailAddress, at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    txn.note_sender(to, |row| {
        let (since, count) = counted(row, at);
        row.acknowledged = Some((since, count.saturating_add(1)));
    })
}

/// Since when the address's acknowledgements are counted, and how many there were.
fn counted(row: &SenderRow, at: Time) -> (Time, u32) {
    row.acknowledged.filter(|(since, _)| since.plus(DAY) > at).unwrap_or((at, 0))
}
