//! The store: one trait that applies typed plans. It knows no rule; every rule is written once, in the planners of
//! `intake` and `verify`, whatever the engine.

mod audit;
mod body;
mod compaction;
pub mod embedded;
mod forget;
mod journal;
mod leases;
mod machine;
pub mod memory;
mod plan;
mod query;
mod rows;
mod threads;
mod view;
mod wakes;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    config::Retention,
    types::{
        Account, DeliveryId, EmailAddress, HeldId, MailId, RequestId, Time, TokenDigest, VerificationId,
    },
};
pub use body::BodyRef;
pub use compaction::{Compacted, Effort, Snapshot};
pub use forget::{Forget, Traces};
pub use journal::{Disk, RealDisk};
pub use plan::{
    Committed, CommittedEntry, Delivery, DeliveryKind, Disposition, Effect, Entry, Fence, Lane, LaneRate,
    MailFacts, NewMail, Plan, Redemption, Resolution, Spend,
};
pub use threads::{DedupKey, Kept, Named, Once, Seen, Thread, ThreadKey};
pub use view::{
    AccountFilter, Backlog, Comment, ConfirmationView, Cursor, DecisionFilter, DecisionRow, DeliveryRow,
    DeliveryState, Dropped, Health, HeldFilter, HeldRow, Job, JobKind, Lease, Order, Page, PageRequest,
    Queue, RawState, RequestFilter, RequestRow, RequestStatus, SenderView, SentAbout, SentMail, Settled,
    Settlement, StoreWork, TokenView, VerificationMail, VerificationState, VerificationView,
};

/// Most answers of [`Store::threads`].
pub const MAX_THREADS: usize = 64;

/// A read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine can't answer; the text is for the log.
    #[error("the store can't be read: {0}")]
    Unavailable(String),
    /// What was read is damaged: its checksum does not match. The text names file and offset.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// It was past its time and is gone; until when it was kept, where that is known (`[retention]`). Or its sender was
    /// forgotten.
    #[error("it was kept until {}", .0.map_or_else(|| "its time was over".to_owned(), |until| until.to_string()))]
    Expired(Option<Time>),
    /// The caller's cursor is none of ours.
    #[error("{0:?} is no cursor of this list")]
    BadCursor(String),
}

/// A plan was not applied; nothing of it is there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The sender has changed since the plan was made: read again and plan anew.
    #[error("the sender has changed since the plan was made")]
    Stale,
    /// Some of the once-keys are taken: plan anew with these mails as duplicates.
    #[error("{} of the plan's mails are duplicates", .0.len())]
    Duplicate(Vec<DedupKey>),
    /// The verification is no longer pending.
    #[error("the verification is no longer pending")]
    TokenSpent,
    /// What the plan changes is not there any more (a hold that has ended, an account that was deleted), or what it
    /// creates is there already.
    #[error("what the plan changes is not there any more")]
    Gone,
    /// It could not be made durable: nothing was promised, and the caller must not promise anything.
    #[error("the store takes no writes: {0}")]
    Unavailable(String),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// One engine that keeps everything. Object-safe: the daemon holds an `Arc<dyn Store>`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Everything that a decision about mail of this address rests on, in one snapshot. `once` are the mail's keys;
    /// those seen at or after `since` come back in [`SenderView::duplicates`].
    async fn sender(
        &self,
        address: &EmailAddress,
        once: &[Once],
        since: Time,
    ) -> Result<SenderView, StoreError>;

    /// What a mail of this sender names: the requests that are there, and the mails that were created or held under one of
    /// its Message-IDs, in the order of the names; at most [`MAX_THREADS`].
    async fn threads(&self, sender: &EmailAddress, named: &Named) -> Result<Vec<Thread>, StoreError>;

    /// The verification that a mailed token belongs to.
    async fn token(&self, digest: &TokenDigest) -> Result<Option<TokenView>, StoreError>;

    /// What a mailed token confirms.
    async fn confirmation(&self, digest: &TokenDigest) -> Result<Option<ConfirmationView>, StoreError>;

    /// A mail of ours; `None` when there was none with this id, or it is long ago.
    async fn sent(&self, id: DeliveryId) -> Result<Option<SentMail>, StoreError>;

    /// One verification with its mails.
    async fn verification(&self, id: VerificationId) -> Result<Option<VerificationView>, StoreError>;

    /// The verifications of an address, the newest first, at most `limit`.
    async fn verifications(
        &self,
        address: &EmailAddress,
        limit: usize,
    ) -> Result<Vec<VerificationView>, StoreError>;

    /// Applies a plan, all of it or nothing. On disk when it returns; visible to every read that begins after.
    async fn commit(&self, plan: Plan) -> Result<Committed, CommitError>;

    /// Takes up to `max` jobs of a queue that are due at `now`, for `lease`: nobody else gets them until then.
    async fn claim(
        &self,
        queue: Queue,
        now: Time,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Ends a lease. [`Settled::Lost`] when the lease had expired and the job was claimed again, or is gone.
    async fn settle(&self, lease: &Lease, settlement: Settlement, at: Time) -> Result<Settled, CommitError>;

    /// When the next job of the queue that is not leased is due.
    async fn next_due(&self, queue: Queue) -> Result<Option<Time>, StoreError>;

    /// Wakes whoever waits for jobs of the queue after each commit that adds one.
    fn wakes(&self, queue: Queue) -> Arc<Notify>;

    /// The bytes of a mail as they were received; their checksum is verified.
    async fn raw(&self, body: &BodyRef) -> Result<Bytes, StoreError>;

    /// One request.
    async fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError>;

    /// The comments on a request, the oldest first.
    async fn comments(&self, id: &RequestId) -> Result<Vec<Comment>, StoreError>;

    /// Requests, newest first or oldest first.
    async fn requests(
        &self,
        filter: &RequestFilter,
        page: PageRequest,
    ) -> Result<Page<RequestRow>, StoreError>;

    /// One mail that waits.
    async fn held(&self, id: HeldId) -> Result<Option<HeldRow>, StoreError>;

    /// Mails that wait.
    async fn held_mails(&self, filter: &HeldFilter, page: PageRequest) -> Result<Page<HeldRow>, StoreError>;

    /// Accounts in the order of their keys; a cursor goes on behind the last.
    async fn accounts(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError>;

    /// The audit log.
    async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError>;

    /// The decisions that dropped this mail at intake, which was at `since` or later.
    async fn dropped(&self, mail: MailId, since: Time) -> Result<Vec<Dropped>, StoreError>;

    /// The unsent deliveries to an address, for those who ask what became of a mail.
    async fn deliveries(&self, to: &EmailAddress) -> Result<Vec<DeliveryRow>, StoreError>;

    /// What the rows have of an address, by reading all of them: requests, comments, drops, mentions, what is under way. A plan
    /// with what it finds forgets the person; the journal's files have it until the next compaction.
    async fn traces(&self, address: &EmailAddress) -> Result<Traces, StoreError>;

    /// How many mails wait, for the gauges.
    async fn held_count(&self) -> Result<u64, StoreError>;

    /// What waits, for the gauges.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// Removes what is past its time: duplicates' keys older than `duplicates_before`, and the tokens and spent
    /// verifications that ended before `tokens_before`. At most `max` rows; returns how many.
    async fn sweep(
        &self,
        duplicates_before: Time,
        tokens_before: Time,
        max: usize,
    ) -> Result<usize, CommitError>;

    /// Returns once whoever writes has come round to it: not while a write hangs. Writes nothing. An engine that writes
    /// within the call has nobody to ask.
    async fn ping(&self) {}

    /// Takes away what is past its retention: the bytes of mails, the records of drops and of ended holds. What is read
    /// meanwhile stays as it was when reading began.
    async fn compact(
        &self,
        retention: &Retention,
        now: Time,
        effort: Effort,
    ) -> Result<Compacted, CommitError>;

    /// A directory with all that was answered before the call, which nothing changes until [`Store::drop_snapshot`] or the
    /// next snapshot. An engine without files answers `Unavailable`.
    async fn snapshot(&self) -> Result<Snapshot, CommitError>;

    /// Removes the snapshot.
    async fn drop_snapshot(&self) -> Result<(), CommitError>;

    /// Whether it takes writes, and how much room there is.
    fn health(&self) -> Health;

    /// Checks what must always hold (for tests and `check`): books between rows, jobs, journal. Lists what does not.
    async fn audit(&self) -> Result<Vec<String>, StoreError>;

    /// Reads everything that is kept, gently, and lists what is damaged. Takes as long as that takes; ends early when the
    /// store is closed.
    async fn scrub(&self) -> Result<Vec<String>, StoreError>;

    /// Writes what is open and closes; further calls answer `Unavailable`.
    async fn close(&self);
}
