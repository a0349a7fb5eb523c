//! Somebody is forgotten: the rows first, by a record of the journal; what the journal's files have goes with the next
//! compaction (`scrub`).

use std::{collections::HashMap, ops::ControlFlow};

use serde_bytes::ByteBuf;

use super::{jobs, plan::Applying, threads};
use crate::{
    store::{
        BodyRef, CommitError, Forget, Order, StoreError,
        rows::{CommentIndex, DecisionIndex, HeldIndex, Key, Location, RequestIndex, Rows, Txn, decode, key},
        threads::AddressHash,
    },
    types::{AccountKind, EmailAddress, VerificationId},
};

/// The letters of rows whose keys begin with an address.
const OF_ADDRESSES: [u8; 3] = [b'a', b's', b'w'];

impl RequestIndex {
    /// Leaves number, times, state and participants.
    pub(super) fn forget_reporter(&mut self) {
        self.reporter = None;
        self.kind = AccountKind::PortalOnly;
        self.body = BodyRef::nowhere(self.body.mail);
    }
}

impl CommentIndex {
    /// Leaves its place and time.
    pub(super) fn forget_author(&mut self) {
        self.author = None;
        self.body = BodyRef::nowhere(self.body.mail);
    }
}

/// Takes the rows of a person away, and notes that the journal has to follow.
pub(super) fn apply(forget: &Forget, applying: &mut Applying<'_, '_>) -> Result<(), CommitError> {
    let (first, at) = (applying.event.first, applying.at);
    let ended = first..first + applying.decided as u64;
    let txn = &mut *applying.txn;
    let address = match &forget.address {
        Some(address) => Some(address.clone()),
        None => find(forget.digest, &txn.rows())?,
    };
    for seq in forget.decisions.iter().copied().chain(ended) {
        decision(seq, address.as_ref(), txn)?;
    }
    for place in &forget.comments {
        txn.change(place, CommentIndex::forget_author)?;
    }
    for place in &forget.named_in {
        leave_out(place, forget.digest, txn)?;
    }
    for (place, digest) in &forget.seen {
        threads::change_seen(Key::from_slice(place), txn, |seen| seen.retain(|one| one.digest != *digest))?;
    }
    for (queue, id) in &forget.jobs {
        jobs::remove(*queue, *id, txn)?;
    }
    for place in &forget.rows {
        if let (Some(address), [b'v', ..], Some(id)) = (&address, place.as_slice(), key::uuid_of(place)) {
            txn.remove(key::address_verification(address, VerificationId::new(id)));
        }
        txn.remove(Key::from_slice(place));
    }
    if let Some(address) = &address {
        txn.remove(key::sender(address));
    }
    txn.put(key::forgotten(at), &forget.digest)
}

/// A decision stays, without its sender; a request that it opened as a number.
fn decision(seq: u64, of: Option<&EmailAddress>, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    if let Some(address) = of {
        txn.remove(key::sender_decision(address, seq));
    }
    let place = key::decision(seq);
    // It was retired meanwhile.
    let Some(mut row): Option<DecisionIndex> = txn.read(&place)? else { return Ok(()) };
    row.forgotten = true;
    txn.put(place, &row)?;
    let Some(number) = row.opened else { return Ok(()) };
    txn.change(&key::request(&row.project, number), RequestIndex::forget_reporter)
}

/// The person is no participant any more.
fn leave_out(place: &[u8], digest: AddressHash, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    if place.first() == Some(&b'q') {
        return txn.change(place, |row: &mut RequestIndex| row.participants.retain(|other| *other != digest));
    }
    txn.change(place, |row: &mut HeldIndex| row.participants.retain(|other| *other != digest))
}

/// The address of this digest, if a row's key has it: from address to address through their keys.
fn find(digest: AddressHash, rows: &dyn Rows) -> Result<Option<EmailAddress>, StoreError> {
    for letter in OF_ADDRESSES {
        let mut range = key::all(letter);
        loop {
            let mut next = None;
            rows.scan(&range, Order::Oldest, &mut |place, _| {
                next = key::address_part(place).map(Key::from_slice);
                Ok(ControlFlow::Break(()))
            })?;
            let Some(address) = next else { break };
            if AddressHash::of_key(&address) == digest {
                return Ok(std::str::from_utf8(&address).ok().and_then(|text| text.parse().ok()));
            }
            range = key::behind_address(letter, &address);
        }
    }
    Ok(None)
}

/// Who was forgotten while the journal may still have something of it, and up to which record.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Forgotten {
    upto: HashMap<AddressHash, Location>,
    /// Where each was forgotten.
    pub(in crate::store) places: Vec<Location>,
}

impl Forgotten {
    /// As the rows say.
    pub(in crate::store) fn load(rows: &dyn Rows) -> Result<Self, StoreError> {
        let mut forgotten = Self::default();
        rows.scan(&key::all(b'f'), Order::Oldest, &mut |place, value| {
            // In the order of the journal: the last one of a digest counts.
            let at = key::location(place);
            forgotten.upto.insert(decode(place, value)?, at);
            forgotten.places.push(at);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(forgotten)
    }

    /// The keys of the rows that say so.
    pub(in crate::store) fn keys(&self) -> Vec<ByteBuf> {
        self.places.iter().map(|at| ByteBuf::from(key::forgotten(*at).into_vec())).collect()
    }

    /// Whether there is nobody.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether what a record there says of this digest is forgotten.
    pub(super) fn has(&self, digest: AddressHash, at: Location) -> bool {
        self.upto.get(&digest).is_some_and(|upto| at <= *upto)
    }

    /// The same of an address.
    pub(super) fn is(&self, address: &EmailAddress, at: Location) -> bool {
        !self.is_empty() && self.has(AddressHash::of(address), at)
    }

    /// The same of an address as a mail wrote it.
    pub(super) fn is_text(&self, text: &str, at: Location) -> bool {
        !self.is_empty() && text.parse().is_ok_and(|address| self.is(&address, at))
    }

    /// The same of a row's key, wherever it stands: what is to be retired may have been listed before somebody was forgotten,
    /// and written down behind it.
    pub(super) fn is_key(&self, place: &[u8]) -> bool {
        !self.is_empty()
            && key::address_part(place)
                .is_some_and(|address| self.upto.contains_key(&AddressHash::of_key(address)))
    }
}
