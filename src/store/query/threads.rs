//! What a mail names.

use crate::{
    store::{
        Kept, MAX_THREADS, Named, SentMail, StoreError, Thread,
        rows::{RequestIndex, Rows, SeenRow, key, read},
    },
    types::EmailAddress,
};

/// [`crate::store::Store::threads`].
pub(in crate::store) fn threads(
    rows: &dyn Rows,
    sender: &EmailAddress,
    named: &Named,
) -> Result<Vec<Thread>, StoreError> {
    let mut kept: Vec<Kept> = named.requests.iter().copied().map(Kept::Request).collect();
    let mut answered = Vec::new();
    for ours in &named.ours {
        answered.extend(read::<SentMail>(rows, &key::sent(*ours))?.and_then(|sent| sent.answers));
    }
    for thread in answered.iter().chain(&named.threads) {
        let row: SeenRow = read(rows, &key::thread(thread))?.unwrap_or_default();
        kept.extend(row.0.iter().map(|seen| seen.kept));
    }
    let mut found = Vec::new();
    for kept in kept {
        if found.len() < MAX_THREADS && !found.iter().any(|thread: &Thread| thread.kept == kept) {
            found.extend(thread(rows, sender, named, kept)?);
        }
    }
    Ok(found)
}

fn thread(
    rows: &dyn Rows,
    sender: &EmailAddress,
    named: &Named,
    kept: Kept,
) -> Result<Option<Thread>, StoreError> {
    let Kept::Request(number) = kept else {
        return Ok(Some(Thread { kept, closed: false, involved: false }));
    };
    let row: Option<RequestIndex> = read(rows, &key::request(&named.project, number))?;
    Ok(row.map(|row| Thread { kept, closed: row.closed_at.is_some(), involved: row.involves(sender) }))
}
