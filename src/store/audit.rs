//! What must always hold between the rows. For tests, and for an operator who doubts.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::ControlFlow,
};

use sha2::{Digest, Sha256};

use super::{
    Job, JobKind, Kept, Order, Queue, StoreError,
    rows::{
        DecisionIndex, HeldIndex, JobIndex, RequestIndex, Row, Rows, SeenRow, SenderRow, VerificationRow,
        decode, encode, key,
    },
};
use crate::types::{EmailAddress, HeldId, VerificationId};

/// The rows, read once.
struct Books {
    senders: Vec<(String, SenderRow)>,
    held: HashMap<HeldId, (u64, HeldIndex)>,
    jobs: Vec<(Queue, Job)>,
    problems: Vec<String>,
}

/// Lists what does not hold.
pub(super) fn audit(rows: &dyn Rows) -> Result<Vec<String>, StoreError> {
    let mut books =
        Books { senders: Vec::new(), held: HashMap::new(), jobs: Vec::new(), problems: Vec::new() };
    books.read(rows)?;
    books.check_held(rows)?;
    books.check_releases();
    books.check_job_index(rows)?;
    books.check_verifications(rows)?;
    books.check_decisions(rows)?;
    books.check_requests(rows)?;
    books.check_seen(rows)?;
    Ok(books.problems)
}

/// SHA-256 over all rows but the checkpoint, what compaction may forget (where the next sweep goes on, how often a sender's
/// row has changed) left out.
pub(super) fn digest(rows: &dyn Rows) -> Result<[u8; 32], StoreError> {
    let mut hash = Sha256::new();
    each_that_counts(rows, &mut |place, value| {
        for part in [place, value] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    })?;
    Ok(hash.finalize().into())
}

fn each_that_counts(rows: &dyn Rows, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
    rows.scan(&key::everything(), Order::Oldest, &mut |place, value| {
        if [key::checkpoint(), key::sweep()].iter().any(|own| own.as_slice() == place) {
            return Ok(ControlFlow::Continue(()));
        }
        let sender = place.starts_with(b"a/").then(|| decode(place, value)).transpose()?;
        let sender = sender.map(|row: SenderRow| encode(place, &SenderRow { version: 0, ..row }));
        let sender = sender.transpose().map_err(|error| StoreError::Damaged(error.to_string()))?;
        visit(place, sender.as_deref().unwrap_or(value));
        Ok(ControlFlow::Continue(()))
    })
}

/// All rows that [`digest`] goes over, as text.
pub(super) fn dump(rows: &dyn Rows) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    each_that_counts(rows, &mut |place, value| {
        lines.push(format!("{} = {}", place.escape_ascii(), value.escape_ascii()));
    })?;
    Ok(lines)
}

/// All rows of one letter, decoded.
fn each<T: Row>(
    rows: &dyn Rows,
    letter: u8,
    mut visit: impl FnMut(&[u8], T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    rows.scan(&key::all(letter), Order::Oldest, &mut |place, value| {
        visit(place, decode(place, value)?)?;
        Ok(ControlFlow::Continue(()))
    })
}

impl Books {
    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn read(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        each(rows, b'a', |place, row| {
            self.senders.push((key::address_of(place), row));
            Ok(())
        })?;
        each(rows, b'h', |place, row: HeldIndex| {
            self.held.insert(row.id, (key::number(place).unwrap_or(0), row));
            Ok(())
        })?;
        each(rows, b'j', |place, job| {
            self.jobs.extend(key::queue_of(place).map(|queue| (queue, job)));
            Ok(())
        })
    }

    /// Each waiting mail is listed by its sender exactly once, found by its id, and will expire.
    fn check_held(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let mut listed: HashMap<HeldId, Vec<String>> = HashMap::new();
        for (address, row) in &self.senders {
            for id in row.held.iter().chain(&row.releasing) {
                listed.entry(*id).or_default().push(address.clone());
            }
        }
        let expiring: HashSet<HeldId> = self
            .jobs
            .iter()
            .filter_map(|(_, job)| if let JobKind::Expire(id) = job.kind { Some(id) } else { None })
            .collect();
        let mut problems = Vec::new();
        for (id, (seq, held)) in &self.held {
            let by = listed.remove(id).unwrap_or_default();
            let sender = held.sender.as_ref().map_or("nobody", EmailAddress::key);
            if by != [sender] {
                problems.push(format!("held {id} of {sender} is listed by {by:?}"));
            }
            if !expiring.contains(id) {
                problems.push(format!("held {id} has no job that expires it"));
            }
            if super::rows::read::<u64>(rows, &key::held_id(*id))? != Some(*seq) {
                problems.push(format!("held {id} is not found by its id"));
            }
        }
        problems.extend(listed.into_iter().map(|(id, by)| format!("{by:?} list {id}, which does not wait")));
        problems.extend(
            expiring
                .iter()
                .filter(|id| !self.held.contains_key(id))
                .map(|id| format!("a job expires {id}, which does not wait")),
        );
        self.problems.extend(problems);
        let mut ids = 0;
        each(rows, b'i', |_, _: u64| {
            ids += 1;
            Ok(())
        })?;
        if ids != self.held.len() {
            self.problem(format!("{ids} ids of held mails, and {} held mails", self.held.len()));
        }
        Ok(())
    }

    /// What is being released is listed by a release job of that address.
    fn check_releases(&mut self) {
        let mut in_jobs: HashSet<(String, HeldId)> = HashSet::new();
        for (_, job) in &self.jobs {
            if let JobKind::Release { address, release, not_mine } = &job.kind {
                in_jobs.extend(release.iter().chain(not_mine).map(|id| (address.key().to_owned(), *id)));
            }
        }
        let mut problems = Vec::new();
        for (address, row) in &self.senders {
            for id in &row.releasing {
                if !in_jobs.contains(&(address.clone(), *id)) {
                    problems.push(format!("{id} of {address} is to be released, and no job does it"));
                }
            }
        }
        self.problems.extend(problems);
    }

    /// Jobs and their index agree.
    fn check_job_index(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let mut problems = Vec::new();
        for (queue, job) in &self.jobs {
            let due: Option<JobIndex> = super::rows::read(rows, &key::job_id(*queue, job.id))?;
            if due != Some(JobIndex(job.due_at)) {
                problems.push(format!("job {} of {queue:?} is not found by its id", job.id));
            }
        }
        let mut ids = 0;
        each(rows, b'k', |_, _: JobIndex| {
            ids += 1;
            Ok(())
        })?;
        if ids != self.jobs.len() {
            problems.push(format!("{ids} ids of jobs, and {} jobs", self.jobs.len()));
        }
        self.problems.extend(problems);
        Ok(())
    }

    /// A pending verification is its sender's; a sender's pending verification is pending.
    fn check_verifications(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let mut pending: BTreeMap<VerificationId, &str> = BTreeMap::new();
        for (address, row) in &self.senders {
            pending.extend(row.pending.map(|id| (id, address.as_str())));
        }
        let mut problems = Vec::new();
        each(rows, b'v', |place, row: VerificationRow| {
            let Some(id) = key::uuid_of(place).map(VerificationId::new) else { return Ok(()) };
            let of = pending.remove(&id);
            if row.end.is_none() != (of == Some(row.address.key())) {
                problems.push(format!("verification {id} of {} is pending for {of:?}", row.address.key()));
            }
            if rows.get(&key::address_verification(&row.address, id))?.is_none() {
                problems.push(format!("verification {id} is not found by its address"));
            }
            Ok(())
        })?;
        problems
            .extend(pending.into_iter().map(|(id, of)| format!("{of} waits for {id}, which is not there")));
        self.problems.extend(problems);
        Ok(())
    }

    /// The numbers of decisions have no gap above the last one that was retired.
    fn check_decisions(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let retired: u64 = super::rows::read(rows, &key::retired())?.unwrap_or(0);
        let (mut next, mut problems) = (1, Vec::new());
        each(rows, b'x', |place, row: DecisionIndex| {
            let seq = key::number(place).unwrap_or(0);
            if seq != next && seq - 1 > retired {
                problems.push(format!("decision {seq} follows {}", next - 1));
            }
            next = seq + 1;
            if let Some(number) = row.opened
                && rows.get(&key::request(&row.project, number))?.is_none()
            {
                problems.push(format!("decision {seq} opened {}-{number}, which is not there", row.project));
            }
            Ok(())
        })?;
        self.problems.extend(problems);
        Ok(())
    }

    /// The numbers of a project's requests have no gap, and grow with the decisions that opened them.
    fn check_requests(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut problems = Vec::new();
        each(rows, b'q', |place, row: RequestIndex| {
            let (project, number) = (key::project_of(place), key::number(place).unwrap_or(0));
            let (before, seq) = last.insert(project.clone(), (number, row.seq)).unwrap_or_default();
            if number != before + 1 || row.seq <= seq {
                problems.push(format!(
                    "{project}-{number} (decision {}) follows {before} (decision {seq})",
                    row.seq
                ));
            }
            Ok(())
        })?;
        self.problems.extend(problems);
        Ok(())
    }

    /// A mail that is remembered as waiting waits.
    fn check_seen(&mut self, rows: &dyn Rows) -> Result<(), StoreError> {
        let mut problems = Vec::new();
        for letter in [b'd', b'n'] {
            each(rows, letter, |place, row: SeenRow| {
                if row.0.is_empty() {
                    problems.push(format!("{} remembers nothing", place.escape_ascii()));
                }
                for seen in &row.0 {
                    if let Kept::Held(id) = seen.kept
                        && !self.held.contains_key(&id)
                    {
                        problems.push(format!("a mail is remembered as {id}, which does not wait"));
                    }
                }
                Ok(())
            })?;
        }
        self.problems.extend(problems);
        Ok(())
    }
}
