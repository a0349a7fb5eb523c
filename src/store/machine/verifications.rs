//! Verifications: opened, mailed, spent.

use std::time::Duration;

use super::jobs;
use crate::{
    store::{
        CommitError, ConfirmationView, Delivery, DeliveryKind, Job, JobKind, Queue, Redemption, SentAbout,
        SentMail, Spend,
        rows::{
            MailState, SenderRow, TokenRow, Txn, VerificationEnd, VerificationMailRow, VerificationRow, key,
        },
    },
    types::{DeliveryId, EmailAddress, HeldId, Time, VerificationId},
};

/// How long a mail counts for the cap per day.
const DAY: Duration = Duration::from_hours(24);
/// Most times kept for the caps.
const MAX_MAILED: usize = 64;
/// Most mails kept of one verification.
const MAX_MAILS: usize = 16;
/// Most bytes of the relay's words about one mail.
const MAX_WORDS: usize = 128;

fn find(id: VerificationId, txn: &Txn<'_>) -> Result<VerificationRow, CommitError> {
    txn.read(&key::verification(id))?.ok_or(CommitError::Gone)
}

/// Begins a verification.
pub(super) fn open(
    id: VerificationId,
    address: &EmailAddress,
    at: Time,
    txn: &mut Txn<'_>,
) -> Result<(), CommitError> {
    let place = key::verification(id);
    if txn.sender(address)?.pending.is_some() || txn.read::<VerificationRow>(&place)?.is_some() {
        return Err(CommitError::Gone);
    }
    let row = VerificationRow {
        address: address.clone(),
        asked_at: at,
        end: None,
        opened_at: None,
        mails: Vec::new(),
    };
    txn.put(place, &row)?;
    txn.mark(key::address_verification(address, id));
    txn.change_sender(address, |row| row.pending = Some(id))
}

/// Its page was fetched; only the first time counts.
pub(super) fn mark_opened(id: VerificationId, at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let mut row = find(id, txn)?;
    row.opened_at.get_or_insert(at);
    txn.put(key::verification(id), &row)
}

/// A mail with a link goes into the outbox.
pub(super) fn mailed(
    delivery: &Delivery,
    at: Time,
    due_at: Time,
    txn: &mut Txn<'_>,
) -> Result<(), CommitError> {
    let DeliveryKind::Verification { verification, token, expires_at, .. } = &delivery.kind else {
        return Ok(());
    };
    // A swept verification may leave its mail behind: it can still come back.
    if let Some(mut row) = txn.lenient(find(*verification, txn))? {
        row.mails.push(VerificationMailRow {
            id: delivery.id,
            enqueued_at: at,
            due_at,
            expires_at: *expires_at,
            state: MailState::Waiting,
        });
        let over = row.mails.len().saturating_sub(MAX_MAILS);
        row.mails.drain(..over);
        txn.put(key::verification(*verification), &row)?;
    }
    txn.put(key::token(token), &TokenRow { verification: *verification, expires_at: *expires_at })?;
    count_mail(&delivery.to, at, at.max(delivery.not_before), txn)
}

/// A mail with a link that confirms an address goes into the outbox. It counts for the same caps.
pub(super) fn confirming(delivery: &Delivery, at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let DeliveryKind::Confirmation { token, expires_at, .. } = &delivery.kind else { return Ok(()) };
    let row = ConfirmationView { address: delivery.to.clone(), asked_at: at, expires_at: *expires_at };
    txn.put(key::confirmation(token), &row)?;
    count_mail(&delivery.to, at, at.max(delivery.not_before), txn)
}

/// A mail of ours has come back; answers it when that is the first time. Verifications keep what became of their mails.
pub(super) fn bounced(
    id: DeliveryId,
    at: Time,
    words: &str,
    txn: &mut Txn<'_>,
) -> Result<Option<SentMail>, CommitError> {
    let Some(mut sent): Option<SentMail> = txn.read(&key::sent(id))? else { return Ok(None) };
    if sent.returned_at.replace(at).is_some() {
        return Ok(None);
    }
    txn.put(key::sent(id), &sent)?;
    if let SentAbout::Verification(verification) = sent.about {
        let state = MailState::Undeliverable(at, jobs::cut(words, MAX_WORDS));
        change_mail((verification, id), txn, |mail| mail.state = state)?;
    }
    Ok(Some(sent))
}

/// Changes what is kept of a verification mail, where it is still there.
fn change_mail(
    (verification, id): (VerificationId, DeliveryId),
    txn: &mut Txn<'_>,
    change: impl FnOnce(&mut VerificationMailRow),
) -> Result<(), CommitError> {
    let place = key::verification(verification);
    let Some(mut row): Option<VerificationRow> = txn.read(&place)? else { return Ok(()) };
    let Some(mail) = row.mails.iter_mut().find(|mail| mail.id == id) else { return Ok(()) };
    change(mail);
    txn.put(place, &row)
}

/// Counts a mail for the caps. Two who ask for a link at once must not both be let through, so the version rises.
fn count_mail(to: &EmailAddress, at: Time, counts_at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    txn.change_sender(to, |row: &mut SenderRow| {
        row.mailed.retain(|mailed| *mailed > at.minus(DAY));
        row.mailed.push(counts_at);
        row.mailed.sort_unstable();
        let over = row.mailed.len().saturating_sub(MAX_MAILED);
        row.mailed.drain(..over);
    })
}

/// Ends a verification, and takes what it listed out of what waits for one.
pub(super) fn spend(spend: &Spend, at: Time, txn: &mut Txn<'_>) -> Result<(), CommitError> {
    let id = spend.verification;
    let mut row = find(id, txn)?;
    if row.end.is_some() {
        return Err(CommitError::TokenSpent);
    }
    let none: &[HeldId] = &[];
    let (release, not_mine, quiet_until) = match &spend.redemption {
        Redemption::Verified { release, not_mine } => (release.as_slice(), not_mine.as_slice(), None),
        Redemption::Disowned { not_mine, quiet_until } => (none, not_mine.as_slice(), Some(*quiet_until)),
        Redemption::Moot => (none, none, None),
    };
    row.end = Some(match &spend.redemption {
        Redemption::Verified { .. } => VerificationEnd::Verified(at, count(release), count(not_mine)),
        Redemption::Disowned { .. } => VerificationEnd::Disowned(at, count(not_mine)),
        Redemption::Moot => VerificationEnd::Moot(at),
    });
    txn.put(key::verification(id), &row)?;
    let listed: Vec<HeldId> = release.iter().chain(not_mine).copied().collect();
    list(&row.address, &listed, quiet_until, txn)?;
    if listed.is_empty() {
        return Ok(());
    }
    let kind =
        JobKind::Release { address: row.address, release: release.to_vec(), not_mine: not_mine.to_vec() };
    let job = Job { id: id.uuid(), due_at: at, enqueued_at: at, attempts: 0, last_error: None, kind };
    jobs::add(Queue::Release, &job, txn)
}

fn count(ids: &[HeldId]) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

/// Moves what a redemption lists from what waits to what is being released. `Gone` when one of it does not wait.
fn list(
    address: &EmailAddress,
    listed: &[HeldId],
    quiet_until: Option<Time>,
    txn: &mut Txn<'_>,
) -> Result<(), CommitError> {
    let held = txn.sender(address)?.held;
    let waiting: Vec<HeldId> = listed.iter().copied().filter(|id| held.contains(id)).collect();
    if waiting.len() < listed.len() && !txn.is_compacted() {
        return Err(CommitError::Gone);
    }
    txn.change_sender(address, |row| {
        row.pending = None;
        row.held.retain(|id| !listed.contains(id));
        row.releasing.extend_from_slice(&waiting);
        row.quiet_until = quiet_until.or(row.quiet_until);
    })
}

/// Writes down what became of a verification mail. Does nothing for other jobs, and for verifications swept meanwhile.
pub(super) fn settled(
    job: &Job,
    state: impl FnOnce(&mut VerificationMailRow, fn(&String) -> String) -> MailState,
    txn: &mut Txn<'_>,
) -> Result<(), CommitError> {
    let JobKind::Deliver(delivery) = &job.kind else { return Ok(()) };
    let DeliveryKind::Verification { verification, .. } = &delivery.kind else { return Ok(()) };
    change_mail((*verification, delivery.id), txn, |mail| {
        // A bounce can be quicker than the relay's 250 is written down.
        if !matches!(mail.state, MailState::Undeliverable(..)) {
            mail.state = state(mail, |words| jobs::cut(words, MAX_WORDS));
        }
    })
}
