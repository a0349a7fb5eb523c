//! What the tests of the store are made of.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use uuid::Uuid;
use vestibule::{
    access::{Basis, Check, Reason},
    smtp::Protocol,
    store::{
        CommitError, Committed, DedupKey, Delivery, DeliveryKind, Disposition, Effect, Entry, Fence,
        LaneRate, MailFacts, NewMail, Once, Plan, Redemption, Resolution, Spend, Store,
        embedded::{self, Embedded, OpenReport, Options},
    },
    types::{
        Account, AccountKind, AccountStatus, DeliveryId, EmailAddress, HeldId, MailId, ProjectKey, Role,
        SessionId, Standing, Time, TokenDigest, VerificationId,
    },
};

pub(super) type Engine = Arc<dyn Store>;

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// When the tests begin.
pub(super) const T0: Time = Time::from_millis(1_800_000_000_000);

/// A data directory for the embedded engine, with small segments.
pub(super) struct Home {
    pub(super) dir: tempfile::TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn options(&self) -> Options {
        Options { segment_size: 64 << 10, reserve: 256 << 10, ..Options::new(self.path()) }
    }

    pub(super) fn open(&self) -> (Engine, OpenReport) {
        let (store, report) = self.open_embedded();
        (Arc::new(store), report)
    }

    pub(super) fn open_embedded(&self) -> (Embedded, OpenReport) {
        embedded::open(self.options(), T0).unwrap()
    }

    /// The books balance, before and after the index was closed; sled has kept no value outside of its log.
    pub(super) async fn finish(&self, store: Engine) {
        assert_books_balance(&store).await;
        store.close().await;
        drop(store);
        if self.path().join("OVERGROWN").exists() {
            let (store, report) = self.open();
            assert_eq!(report.rebuilt.as_deref(), Some("somebody was forgotten"));
            store.close().await;
        }
        let (store, report) = self.open();
        assert_eq!((report.replayed, report.findings()), (0, vec![]), "after a clean stop");
        assert_books_balance(&store).await;
        store.close().await;
        drop(store);
        assert_no_blobs(&self.path());
    }

    /// What is on disk at this moment, as after a crash: a copy, made while the store runs.
    pub(super) fn crash_image(&self) -> Self {
        let image = Self::new();
        copy(&self.path(), &image.path());
        image
    }
}

pub(super) fn assert_no_blobs(data: &Path) {
    let blobs = data.join("index/blobs");
    let left = fs::read_dir(&blobs).map_or(0, Iterator::count);
    assert_eq!(left, 0, "values in {}", blobs.display());
}

pub(super) async fn assert_books_balance(store: &Engine) {
    assert_eq!(store.audit().await.unwrap(), Vec::<String>::new());
}

/// Copies a directory; the journal last, so that the copy's index is never ahead of it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort_by_key(|path| path.ends_with("journal"));
    for path in entries {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A UUID that no other has, growing.
pub(super) fn fresh() -> Uuid {
    Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::SeqCst)))
}

pub(super) fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub(super) fn project(key: &str) -> ProjectKey {
    key.parse().unwrap()
}

pub(super) fn once(n: u64) -> DedupKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    DedupKey(key)
}

/// Where a mail with this Message-ID and [`once`] is remembered.
pub(super) fn remembered(key: &str, message_id: Option<&str>, n: u64) -> Once {
    Once::of(&project(key), message_id, once(n))
}

pub(super) fn digest(n: u64) -> TokenDigest {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TokenDigest(bytes)
}

pub(super) fn account(text: &str, kind: AccountKind) -> Account {
    Account {
        address: address(text),
        name: None,
        kind,
        status: AccountStatus::Active,
        role: Role::Customer,
        projects: vec![],
        created_at: T0,
        confirmed_at: None,
    }
}

pub(super) fn mail(sender: &str, subject: &str, raw: impl Into<Bytes>) -> NewMail {
    let raw = raw.into();
    NewMail {
        facts: MailFacts {
            id: MailId::new(fresh()),
            session: SessionId::new(fresh()),
            peer: [192, 0, 2, 1].into(),
            helo: "relay.example".to_owned(),
            protocol: Protocol::Esmtp,
            reverse_path: sender.to_owned(),
            recipients: vec!["it@help.example".to_owned()],
            sender: Some(address(sender)),
            sender_name: Some(format!("{sender}'s name")),
            sent_by: None,
            subject: subject.to_owned(),
            message_id: Some(format!("{subject}@{sender}")),
            participants: vec![],
            size: raw.len() as u64,
            received_at: T0,
            may_answer: true,
        },
        raw,
    }
}

pub(super) fn entry(key: &str, reason: Reason, disposition: Disposition) -> Entry {
    let check =
        Check { check: "a-check".into(), input: key.to_owned().into(), result: reason.as_str().into() };
    Entry {
        project: project(key),
        reason,
        trail: vec![check],
        disposition,
        once: None,
        once_elsewhere: Vec::new(),
        once_since: T0.minus(DAY),
        standing: Standing::Proven,
        basis: None,
        settings_version: "v1".to_owned(),
        facts: None,
    }
}

pub(super) fn open(key: &str) -> Entry {
    entry(key, Reason::KnownCustomer, Disposition::Open)
}

pub(super) fn hold(key: &str, held: HeldId) -> Entry {
    let disposition = Disposition::Hold { held, expires_at: T0.plus(DAY * 30) };
    entry(key, Reason::InternalAccountUnverified, disposition)
}

pub(super) fn plan(effects: Vec<Effect>) -> Plan {
    Plan::new(T0, effects)
}

pub(super) fn mail_plan(mail: NewMail, effects: Vec<Effect>) -> Plan {
    Plan { mail: Some(mail), ..plan(effects) }
}

/// The plan with a fence on the sender as it is now.
pub(super) async fn fenced(store: &Engine, text: &str, mut plan: Plan) -> Plan {
    let address = address(text);
    let version = store.sender(&address, &[], T0).await.unwrap().version;
    plan.fences.push(Fence { address, version });
    plan
}

pub(super) fn verification_mail(to: &str, id: VerificationId, token: u64, lane: Option<LaneRate>) -> Effect {
    Effect::Enqueue(Delivery {
        id: DeliveryId::new(fresh()),
        to: address(to),
        not_before: T0,
        lane,
        kind: DeliveryKind::Verification {
            verification: id,
            token: digest(token),
            sealed: [1; 32],
            expires_at: T0.plus(DAY * 7),
            project: project("IT"),
            received_at: T0,
            in_reply_to: None,
        },
    })
}

/// Holds a mail: the first of its sender opens a verification and mails its token, as intake does it.
pub(super) async fn try_hold(store: &Engine, sender: &str, key: &str) -> Result<HeldId, CommitError> {
    let seen = store.sender(&address(sender), &[], T0).await.unwrap();
    // Between reading and committing anything may happen.
    tokio::task::yield_now().await;
    let held = HeldId::new(fresh());
    let mut effects = vec![Effect::Record(hold(key, held))];
    if seen.pending.is_none() {
        let id = VerificationId::new(fresh());
        effects.push(Effect::OpenVerification { id, address: address(sender) });
        effects.push(verification_mail(sender, id, u64::try_from(id.uuid().as_u128()).unwrap(), None));
    }
    let mut plan = mail_plan(mail(sender, "held", "held mail\r\n"), effects);
    plan.fences.push(Fence { address: address(sender), version: seen.version });
    store.commit(plan).await.map(|_| held)
}

/// Like [`try_hold`], planned anew as often as it takes.
pub(super) async fn held_mail(store: &Engine, sender: &str, key: &str) -> HeldId {
    loop {
        match try_hold(store, sender, key).await {
            Ok(held) => return held,
            Err(CommitError::Stale) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A request of a sender with its own number in the subject.
pub(super) async fn request(store: &Engine, sender: &str, key: &str, subject: &str) -> Committed {
    let plan = mail_plan(
        mail(sender, subject, format!("Subject: {subject}\r\n\r\n")),
        vec![Effect::Record(open(key))],
    );
    store.commit(plan).await.unwrap()
}

pub(super) fn spend(plan: &mut Plan, id: VerificationId, redemption: Redemption) {
    plan.spend = Some(Spend { verification: id, redemption });
}

pub(super) fn resolve(held: HeldId, reason: Reason, basis: Basis, disposition: Disposition) -> Effect {
    Effect::Resolve(Resolution {
        held,
        reason,
        basis,
        trail: vec![],
        disposition,
        settings_version: "v2".to_owned(),
    })
}
