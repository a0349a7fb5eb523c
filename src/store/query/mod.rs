//! What is read: snapshots of senders and verifications, single rows, lists. The same for every engine.

mod decisions;
mod facts;
mod jobs;
mod lists;
mod threads;
mod traces;
mod walk;

use std::ops::ControlFlow;

pub(super) use jobs::{backlog, claim, deliveries, hurried, next_due};
pub(super) use lists::accounts;
pub(super) use threads::threads;

use super::{
    Comment, ConfirmationView, HeldRow, Once, Order, RequestRow, Seen, SenderView, SentMail, StoreError,
    TokenView, VerificationView,
    machine::{Event, seen_since},
    rows::{
        CommentIndex, HeldIndex, Location, RequestIndex, Rows, SenderRow, TokenRow, VerificationRow, decode,
        key, read,
    },
};
use crate::types::{DeliveryId, EmailAddress, HeldId, RequestId, Time, TokenDigest, VerificationId};

/// The journal, for what rows do not hold.
pub(super) trait Records {
    /// The event of a record.
    fn event(&self, at: Location) -> Result<Event, StoreError>;
}

/// All that can be read.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// The rows.
    pub(super) rows: &'a dyn Rows,
    /// The journal.
    pub(super) records: &'a dyn Records,
}

/// [`super::Store::sender`].
pub(super) fn sender(
    rows: &dyn Rows,
    address: &EmailAddress,
    once: &[Once],
    since: Time,
) -> Result<SenderView, StoreError> {
    let row: SenderRow = read(rows, &key::sender(address))?.unwrap_or_default();
    let mut duplicates = Vec::new();
    for once in once {
        if let Some(sighting) = seen_since(once, since, rows)? {
            duplicates.push(Seen { digest: sighting.digest, kept: sighting.kept });
        }
    }
    Ok(SenderView {
        version: row.version,
        account: row.account,
        pending: row.pending,
        held: row.held,
        releasing: row.releasing,
        mailed: row.mailed,
        quiet_until: row.quiet_until,
        duplicates,
        threads: None,
    })
}

/// [`super::Store::token`].
pub(super) fn token(rows: &dyn Rows, digest: &TokenDigest) -> Result<Option<TokenView>, StoreError> {
    let Some(token): Option<TokenRow> = read(rows, &key::token(digest))? else { return Ok(None) };
    let found = verification(rows, token.verification)?;
    Ok(found.map(|verification| TokenView { expires_at: token.expires_at, verification }))
}

/// [`super::Store::confirmation`].
pub(super) fn confirmation(
    rows: &dyn Rows,
    digest: &TokenDigest,
) -> Result<Option<ConfirmationView>, StoreError> {
    read(rows, &key::confirmation(digest))
}

/// [`super::Store::sent`].
pub(super) fn sent(rows: &dyn Rows, id: DeliveryId) -> Result<Option<SentMail>, StoreError> {
    read(rows, &key::sent(id))
}

/// [`super::Store::verification`].
pub(super) fn verification(
    rows: &dyn Rows,
    id: VerificationId,
) -> Result<Option<VerificationView>, StoreError> {
    let row: Option<VerificationRow> = read(rows, &key::verification(id))?;
    Ok(row.map(|row| row.view(id)))
}

/// [`super::Store::verifications`].
pub(super) fn verifications(
    rows: &dyn Rows,
    address: &EmailAddress,
    limit: usize,
) -> Result<Vec<VerificationView>, StoreError> {
    let mut ids = Vec::new();
    rows.scan(&key::address_verifications(address), Order::Newest, &mut |key, _| {
        if ids.len() == limit {
            return Ok(ControlFlow::Break(()));
        }
        ids.extend(key::uuid_of(key).map(VerificationId::new));
        Ok(ControlFlow::Continue(()))
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(verification(rows, id)?);
    }
    Ok(found)
}

/// [`super::Store::held_count`].
pub(super) fn held_count(rows: &dyn Rows) -> Result<u64, StoreError> {
    let mut count = 0;
    rows.scan(&key::all(b'h'), Order::Oldest, &mut |_, _| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

impl View<'_> {
    /// [`super::Store::request`].
    pub(super) fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        let row: Option<RequestIndex> = read(self.rows, &key::request(&id.project, id.number))?;
        row.map(|row| self.request_row(id.clone(), row)).transpose()
    }

    fn request_row(&self, id: RequestId, row: RequestIndex) -> Result<RequestRow, StoreError> {
        let texts = self.texts(&row.body)?;
        let follows = row.follows;
        Ok(RequestRow {
            seq: row.seq,
            subject: texts.subject,
            reporter: row.reporter,
            reporter_name: texts.sender_name,
            reporter_kind: row.kind,
            message_id: texts.message_id,
            mail_id: row.body.mail,
            created_at: row.at,
            basis: row.basis,
            closed_at: row.closed_at,
            follows: follows.map(|number| RequestId { project: id.project.clone(), number }),
            id,
            body: row.body,
        })
    }

    /// [`super::Store::comments`].
    pub(super) fn comments(&self, id: &RequestId) -> Result<Vec<Comment>, StoreError> {
        let mut rows: Vec<CommentIndex> = Vec::new();
        self.rows.scan(&key::comments(&id.project, id.number), Order::Oldest, &mut |key, value| {
            rows.push(decode(key, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        rows.into_iter().map(|row| self.comment(row)).collect()
    }

    fn comment(&self, row: CommentIndex) -> Result<Comment, StoreError> {
        let message_id = self.texts(&row.body)?.message_id;
        Ok(Comment { author: row.author, message_id, created_at: row.at, body: row.body })
    }

    /// [`super::Store::held`].
    pub(super) fn held(&self, id: HeldId) -> Result<Option<HeldRow>, StoreError> {
        let Some(seq): Option<u64> = read(self.rows, &key::held_id(id))? else { return Ok(None) };
        let row: Option<HeldIndex> = read(self.rows, &key::held(seq))?;
        row.map(|row| self.held_row(seq, row)).transpose()
    }

    fn held_row(&self, seq: u64, row: HeldIndex) -> Result<HeldRow, StoreError> {
        let texts = self.texts(&row.body)?;
        let sender =
            row.sender.ok_or_else(|| StoreError::Damaged(format!("held {} has no sender", row.id)))?;
        Ok(HeldRow {
            id: row.id,
            seq,
            mail_id: row.body.mail,
            project: row.project,
            sender,
            sender_name: texts.sender_name,
            sent_by: texts.sent_by,
            subject: texts.subject,
            message_id: texts.message_id,
            recipients: texts.recipients,
            reason: row.reason,
            received_at: row.received_at,
            expires_at: row.expires_at,
            standing: row.standing,
            size: texts.size,
            may_answer: texts.may_answer,
            body: row.body,
        })
    }
}
