//! Reading a mail once, for everything that the decision and the lists need of it.

use super::{
    ArcChain, Arrival, Author, Nature, UnusableSender, arc, bounces, clean,
    fields::{Field, HeaderBlock, message_ids},
    groups,
    nature::Signs,
    parse::{self, Parsed},
    sender,
    signs::Seen,
    trace::{TraceField, trace},
};
use crate::types::EmailAddress;

/// Longest subject kept, in characters.
const MAX_SUBJECT: usize = 256;
/// Longest text kept of a Sender field, in characters.
const MAX_SENT_BY: usize = 255;
/// Most ids kept of In-Reply-To and of References: the last ones, which are the nearest.
const MAX_REFERENCES: usize = 50;

/// Most participants kept of one request.
pub const MAX_PARTICIPANTS: usize = 100;
/// Most ids that a reply names.
const MAX_NAMED: usize = 20;
/// The fields that tell mails without a Message-ID apart; servers on the way write none of them.
const WRITTEN: [&str; 6] = ["date", "subject", "to", "cc", "in-reply-to", "references"];

/// What a mail says of itself. All texts are cleaned and cut; none is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The one mailbox of the one From field, or why there is none.
    pub author: Result<Author, UnusableSender>,
    /// What mail-parser reads as From where it differs from `author`: a line for the trail. Ordinary folded mail can show
    /// it too; it decides nothing.
    pub differential: Option<String>,
    /// Whether the display name holds an address other than the author's.
    pub name_mismatch: bool,
    /// That a group has put itself into From, and what to switch off: a line for the trail.
    pub rewritten: Option<String>,
    /// Who sent it on behalf of the author: the Sender field where it differs from From, at most 255 characters.
    pub sent_by: Option<String>,
    /// Subject, decoded, at most 256 characters; empty when there is none.
    pub subject: String,
    /// Message-ID without brackets, at most 255 characters.
    pub message_id: Option<String>,
    /// The ids of In-Reply-To, as `message_id`, at most 50.
    pub in_reply_to: Vec<String>,
    /// The ids of References, oldest first, as `message_id`, at most 50.
    pub references: Vec<String>,
    /// The addresses of To and Cc, each once.
    pub participants: Vec<EmailAddress>,
    /// BLAKE3 over what copies of a mail share even when their trace fields differ: the bytes after the header block, and
    /// for a mail without Message-ID the fields that its author wrote, too.
    pub copy_digest: [u8; 32],
    /// Received and Authentication-Results fields, from the top.
    pub trace: Vec<TraceField>,
    /// Its ARC sets.
    pub arc: ArcChain,
    signs: Signs,
}

/// Reads a mail that has passed [`prescan`](super::prescan). Total: where the parser fails, the author is
/// `ParserFailed`.
pub fn read(raw: &[u8]) -> Message {
    let block = HeaderBlock::of(raw);
    let parsed = parse::parse(raw);
    let message_id = ids(&block, "message-id").into_iter().next();
    let (author, differential) = match &parsed {
        Ok(parsed) => cross_checked(sender::author(&block), parsed),
        Err(_) => (Err(UnusableSender::ParserFailed), None),
    };
    let address = author.as_ref().ok().map(|author| &author.address);
    let name = author.as_ref().ok().and_then(|author| author.name.as_deref());
    let subject = block.first("subject").map(subject).unwrap_or_default();
    Message {
        differential,
        name_mismatch: author.as_ref().is_ok_and(sender::name_mismatch),
        rewritten: groups::rewritten(&block, address, name),
        sent_by: sent_by(&block, address),
        in_reply_to: ids(&block, "in-reply-to"),
        references: ids(&block, "references"),
        participants: super::content::addresses(&block, &["to", "cc"]),
        copy_digest: copy_digest(&block, message_id.is_some()),
        trace: trace(&block),
        arc: arc::chain(&block),
        message_id,
        signs: signs(&block, parsed.as_ref().ok(), address, &subject),
        subject,
        author,
    }
}

fn signs(
    block: &HeaderBlock<'_>,
    parsed: Option<&Parsed<'_>>,
    author: Option<&EmailAddress>,
    subject: &str,
) -> Signs {
    let opening = || {
        let text =
            parsed.and_then(|parsed| parsed.texts().next()).map(|part| part.text().0).unwrap_or_default();
        text.chars().take(bounces::OPENING).collect()
    };
    Signs::of(&Seen {
        block,
        author,
        subject,
        media_type: &parsed.map(Parsed::media_type).unwrap_or_default(),
        report_type: &parsed
            .and_then(|parsed| parsed.root()?.type_parameter("report-type"))
            .unwrap_or_default(),
        opening: &opening,
    })
}

impl Message {
    /// Whether a person wrote it.
    pub fn nature(&self, arrival: &Arrival<'_>) -> Nature {
        self.signs.nature(arrival)
    }

    /// The ids that a reply names; see [`named_ids`].
    pub fn named_ids(&self) -> Vec<String> {
        nearest(&self.in_reply_to, &self.references)
    }
}

/// The ids that a reply names: those of In-Reply-To, then those of References from the last, which is the mail answered,
/// to the first; each once, at most 20. Reads the header block alone.
pub fn named_ids(raw: &[u8]) -> Vec<String> {
    let block = HeaderBlock::of(raw);
    nearest(&ids(&block, "in-reply-to"), &ids(&block, "references"))
}

fn nearest(in_reply_to: &[String], references: &[String]) -> Vec<String> {
    let mut nearest: Vec<String> = Vec::new();
    for id in in_reply_to.iter().chain(references.iter().rev()) {
        if nearest.len() < MAX_NAMED && !nearest.contains(id) {
            nearest.push(id.clone());
        }
    }
    nearest
}

/// Without a Message-ID nothing but its whole content tells a mail from the next: a form on a web site sends the same body
/// twice on two days. White space is made one, as servers fold lines anew.
fn copy_digest(block: &HeaderBlock<'_>, has_id: bool) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    if !has_id {
        for name in WRITTEN {
            for field in block.all(name) {
                let value = field.unfolded();
                let words: Vec<&str> = value.split_ascii_whitespace().collect();
                hash.update(format!("{name}:{}\n", words.join(" ")).as_bytes());
            }
        }
    }
    hash.update(block.body);
    *hash.finalize().as_bytes()
}

/// Our reading, and mail-parser's where it is another. Ours decides.
fn cross_checked(
    author: Result<Author, UnusableSender>,
    parsed: &Parsed<'_>,
) -> (Result<Author, UnusableSender>, Option<String>) {
    let Ok(ours) = &author else { return (author, None) };
    let theirs = parsed.addresses_of_from();
    let same = |text: &String| text.parse().is_ok_and(|read: EmailAddress| read == ours.address);
    if theirs.len() == 1 && theirs.iter().all(same) {
        return (author, None);
    }
    let text = format!("read as {}, by mail-parser as {}", ours.address.key(), theirs.join(", "));
    (author, Some(clean::line(&text, MAX_SUBJECT)))
}

fn sent_by(block: &HeaderBlock<'_>, author: Option<&EmailAddress>) -> Option<String> {
    let value = block.first("sender")?.unfolded();
    let text = match sender::mailbox(&value) {
        Ok(sender) if Some(&sender.address) == author => return None,
        Ok(sender) => sender.address.spelling().to_owned(),
        Err(_) => value.into_owned(),
    };
    Some(clean::line(&text, MAX_SENT_BY)).filter(|text| !text.is_empty())
}

fn subject(field: &Field<'_>) -> String {
    clean::line(&parse::decode(field.value), MAX_SUBJECT)
}

fn ids(block: &HeaderBlock<'_>, name: &'static str) -> Vec<String> {
    let mut ids = block.first(name).map(|field| message_ids(&field.unfolded())).unwrap_or_default();
    ids.drain(..ids.len().saturating_sub(MAX_REFERENCES));
    ids
}
