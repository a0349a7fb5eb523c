//! The keys. One letter says what a row is; numbers are big-endian, so that their order is the order of the keys.

use uuid::Uuid;

use super::{Key, KeyRange, Location};
use crate::{
    store::{Lane, Once, Queue, ThreadKey},
    types::{DeliveryId, EmailAddress, HeldId, MailId, ProjectKey, Time, TokenDigest, VerificationId},
};

/// Ends texts of varying length inside a key; neither addresses nor project keys contain it.
const END: u8 = 0;

fn key(letter: u8, parts: &[&[u8]]) -> Key {
    let mut key = Key::from_slice(&[letter, b'/']);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// All keys that begin with `prefix`.
pub(in crate::store) fn under(prefix: Key) -> KeyRange {
    let mut until = prefix.clone();
    // No prefix ends in 0xff: letters, slashes, the end mark and queue numbers are all below it.
    if let Some(last) = until.last_mut() {
        *last += 1;
    }
    KeyRange { from: prefix, until }
}

/// All rows of one letter.
pub(in crate::store) fn all(letter: u8) -> KeyRange {
    under(key(letter, &[]))
}

/// All rows.
pub(in crate::store) fn everything() -> KeyRange {
    KeyRange { from: Key::from_slice(&[0]), until: Key::from_slice(&[0xff]) }
}

/// The number that ends a key.
pub(in crate::store) fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// `a/`: the sender.
pub(in crate::store) fn sender(address: &EmailAddress) -> Key {
    key(b'a', &[address.key().as_bytes()])
}

/// The address of a sender's key.
pub(in crate::store) fn address_of(key: &[u8]) -> String {
    String::from_utf8_lossy(&key[2..]).into_owned()
}

/// `x/`: a decision.
pub(in crate::store) fn decision(seq: u64) -> Key {
    key(b'x', &[&seq.to_be_bytes()])
}

/// `s/`: a sender's decisions.
pub(in crate::store) fn sender_decision(address: &EmailAddress, seq: u64) -> Key {
    key(b's', &[address.key().as_bytes(), &[END], &seq.to_be_bytes()])
}

/// The range of a sender's decisions.
pub(in crate::store) fn sender_decisions(address: &EmailAddress) -> KeyRange {
    under(key(b's', &[address.key().as_bytes(), &[END]]))
}

/// `q/`: a request.
pub(in crate::store) fn request(project: &ProjectKey, number: u64) -> Key {
    key(b'q', &[project.as_str().as_bytes(), &[END], &number.to_be_bytes()])
}

/// The range of a project's requests.
pub(in crate::store) fn requests(project: &ProjectKey) -> KeyRange {
    under(key(b'q', &[project.as_str().as_bytes(), &[END]]))
}

/// The project of a request's key.
pub(in crate::store) fn project_of(key: &[u8]) -> String {
    let text = key.get(2..key.len().saturating_sub(9)).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// `h/`: a mail that waits, in order of arrival.
pub(in crate::store) fn held(seq: u64) -> Key {
    key(b'h', &[&seq.to_be_bytes()])
}

/// `i/`: where a waiting mail is.
pub(in crate::store) fn held_id(id: HeldId) -> Key {
    key(b'i', &[id.uuid().as_bytes()])
}

/// `c/`: a comment.
pub(in crate::store) fn comment(project: &ProjectKey, number: u64, seq: u64) -> Key {
    key(b'c', &[project.as_str().as_bytes(), &[END], &number.to_be_bytes(), &seq.to_be_bytes()])
}

/// The range of a request's comments.
pub(in crate::store) fn comments(project: &ProjectKey, number: u64) -> KeyRange {
    KeyRange { from: comment(project, number, 0), until: comment(project, number, u64::MAX) }
}

/// `b/`: a mail whose bytes are in a file of their own.
pub(in crate::store) fn big(mail: MailId) -> Key {
    key(b'b', &[mail.uuid().as_bytes()])
}

/// `r/`: a dropped mail that was decided again for the project: the number of the new decision.
pub(in crate::store) fn reprocessed(mail: MailId, project: &ProjectKey) -> Key {
    key(b'r', &[mail.uuid().as_bytes(), project.as_str().as_bytes()])
}

/// `n/`: the mails of a Message-ID. `d/`: a mail without one.
pub(in crate::store) fn seen(once: &Once) -> Key {
    match &once.thread {
        Some(thread) => self::thread(thread),
        None => key(b'd', &[&once.digest.0]),
    }
}

/// `n/`: the mails of a Message-ID.
pub(in crate::store) fn thread(thread: &ThreadKey) -> Key {
    key(b'n', &[&thread.0])
}

/// `t/`: a token.
pub(in crate::store) fn token(digest: &TokenDigest) -> Key {
    key(b't', &[&digest.0])
}

/// `e/`: a token that confirms an address.
pub(in crate::store) fn confirmation(digest: &TokenDigest) -> Key {
    key(b'e', &[&digest.0])
}

/// `o/`: a mail of ours.
pub(in crate::store) fn sent(id: DeliveryId) -> Key {
    key(b'o', &[id.uuid().as_bytes()])
}

/// `v/`: a verification.
pub(in crate::store) fn verification(id: VerificationId) -> Key {
    key(b'v', &[id.uuid().as_bytes()])
}

/// `w/`: an address's verifications, in order of their ids, which is the order of time.
pub(in crate::store) fn address_verification(address: &EmailAddress, id: VerificationId) -> Key {
    key(b'w', &[address.key().as_bytes(), &[END], id.uuid().as_bytes()])
}

/// The range of an address's verifications.
pub(in crate::store) fn address_verifications(address: &EmailAddress) -> KeyRange {
    under(key(b'w', &[address.key().as_bytes(), &[END]]))
}

/// The UUID that ends a key.
pub(in crate::store) fn uuid_of(key: &[u8]) -> Option<Uuid> {
    key.last_chunk().map(|bytes| Uuid::from_bytes(*bytes))
}

fn queue_number(queue: Queue) -> u8 {
    match queue {
        Queue::Outbox => 0,
        Queue::Release => 1,
        Queue::Expiry => 2,
    }
}

/// The queue that a job's key is in, if it is one.
pub(in crate::store) fn queue_of(key: &[u8]) -> Option<Queue> {
    match key {
        [b'j', b'/', 0, ..] => Some(Queue::Outbox),
        [b'j', b'/', 1, ..] => Some(Queue::Release),
        [b'j', b'/', 2, ..] => Some(Queue::Expiry),
        _ => None,
    }
}

/// Times before 1970 sort first: the sign bit is turned.
fn time_bytes(time: Time) -> [u8; 8] {
    (time.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// `j/`: a job, in the order in which jobs are due.
pub(in crate::store) fn job(queue: Queue, due: Time, id: Uuid) -> Key {
    key(b'j', &[&[queue_number(queue)], &time_bytes(due), id.as_bytes()])
}

/// The range of a queue's jobs.
pub(in crate::store) fn jobs(queue: Queue) -> KeyRange {
    under(key(b'j', &[&[queue_number(queue)]]))
}

/// `k/`: when a job is due.
pub(in crate::store) fn job_id(queue: Queue, id: Uuid) -> Key {
    key(b'k', &[&[queue_number(queue)], id.as_bytes()])
}

/// `f/`: somebody was forgotten by the record there, and the journal may still hold something of the person.
pub(in crate::store) fn forgotten(at: Location) -> Key {
    key(b'f', &[&at.segment.to_be_bytes(), &at.offset.to_be_bytes()])
}

/// The place in a key of `f/`.
pub(in crate::store) fn location(key: &[u8]) -> Location {
    let segment = key.get(2..10).and_then(number).unwrap_or_default();
    Location { segment, offset: number(key).unwrap_or_default() }
}

/// The address in a key of `a/`, `s/` or `w/`.
pub(in crate::store) fn address_part(key: &[u8]) -> Option<&[u8]> {
    match key {
        [b'a' | b's' | b'w', b'/', rest @ ..] => rest.split(|byte| *byte == END).next(),
        _ => None,
    }
}

/// The keys of a letter behind those of an address.
pub(in crate::store) fn behind_address(letter: u8, address: &[u8]) -> KeyRange {
    // No address has a character below a blank.
    KeyRange { from: key(letter, &[address, &[END + 1]]), until: all(letter).until }
}

/// `m/lane/`: when a lane is free again.
pub(in crate::store) fn lane(lane: Lane) -> Key {
    match lane {
        Lane::Approved => Key::from_slice(b"m/lane/approved"),
        Lane::External => Key::from_slice(b"m/lane/external"),
        Lane::Acknowledgements => Key::from_slice(b"m/lane/acknowledgements"),
    }
}

/// `m/checkpoint`: up to where the journal is in the rows.
pub(in crate::store) fn checkpoint() -> Key {
    Key::from_slice(b"m/checkpoint")
}

/// `m/schema`: the version of the rows.
pub(in crate::store) fn schema() -> Key {
    Key::from_slice(b"m/schema")
}

/// `m/retired`: the highest decision that was ever retired; the numbers up to it may have gaps.
pub(in crate::store) fn retired() -> Key {
    Key::from_slice(b"m/retired")
}

/// `m/sweep`: where the sweep goes on.
pub(in crate::store) fn sweep() -> Key {
    Key::from_slice(b"m/sweep")
}
