//! What is remembered of each mail: against its copies, and for the replies that name it.

use crate::{
    store::{
        CommitError, DedupKey, Effect, Kept, Once, Plan, StoreError,
        rows::{HeldIndex, Key, Rows, SeenRow, Sighting, Txn, key, read},
    },
    types::Time,
};

/// The mail under this key, when it was seen at or after `since`.
pub(in crate::store) fn seen_since(
    once: &Once,
    since: Time,
    rows: &dyn Rows,
) -> Result<Option<Sighting>, StoreError> {
    let row: Option<SeenRow> = read(rows, &key::seen(once))?;
    Ok(row.and_then(|row| row.find(&once.digest).copied()).filter(|seen| seen.at >= since))
}

/// The plan's keys that were seen already.
pub(super) fn duplicates(plan: &Plan, rows: &dyn Rows) -> Result<Vec<DedupKey>, StoreError> {
    let message_id = plan.mail.as_ref().and_then(|mail| mail.facts.message_id.as_deref());
    let mut found = Vec::new();
    for effect in &plan.effects {
        let Effect::Record(entry) = effect else { continue };
        let here = entry.once.map(|digest| Once::of(&entry.project, message_id, digest));
        for once in here.iter().chain(&entry.once_elsewhere) {
            if seen_since(once, entry.once_since, rows)?.is_some() {
                found.push(once.digest);
            }
        }
    }
    Ok(found)
}

/// Remembers a mail.
pub(super) fn remember(once: &Once, kept: Kept, at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let place = key::seen(once);
    let mut row: SeenRow = txn.read(&place)?.unwrap_or_default();
    row.put(Sighting { digest: once.digest, at, kept });
    txn.put(place, &row)
}

/// What became of a mail that waited: the request that has it now; `None` forgets it, so that the same mail may come again
/// (access-rules, check 1). A copy that came after the window has its place already.
pub(super) fn end_hold(held: &HeldIndex, number: Option<u64>, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let Some(once) = &held.once else { return Ok(()) };
    let is_this = |seen: &Sighting| seen.digest == once.digest && seen.kept == Kept::Held(held.id);
    change_seen(key::seen(once), txn, |seen| match number {
        Some(number) => {
            let this = seen.iter_mut().filter(|seen| is_this(seen));
            this.for_each(|seen| seen.kept = Kept::Request(number));
        }
        None => seen.retain(|seen| !is_this(seen)),
    })
}

/// Changes what was seen under a key; the row goes with the last of it.
pub(super) fn change_seen(
    place: Key,
    txn: &mut Txn<'_>,
    change: impl FnOnce(&mut Vec<Sighting>),
) -> Result<(), CommitError> {
    let Some(SeenRow(mut seen)) = txn.read(&place)? else { return Ok(()) };
    change(&mut seen);
    if seen.is_empty() {
        txn.remove(place);
        return Ok(());
    }
    txn.put(place, &SeenRow(seen))
}
