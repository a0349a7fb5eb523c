//! The table of signs that a mail was not written by a person, each with where it comes from. docs/mail.md shows it.

use super::{bounces, fields::HeaderBlock, groups, nature::Arrival};
use crate::types::EmailAddress;

/// More Received fields than this are a loop (RFC 5321 §6.3).
const MAX_RECEIVED: usize = 100;
/// So many Delivered-To fields with one address are a loop. Two come of an alias that leads to a group.
const MAX_DELIVERED: usize = 3;
/// The field that every mail of ours carries.
const OWN_FIELD: &str = "x-vestibule-mail";

/// What a sign says of a mail that has it, from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignKind {
    /// It goes round in circles: drop `mail-loop`.
    Loop,
    /// It reports about another mail: drop `automatic-message`, whatever `allow_automatic_from` says.
    Report,
    /// A machine wrote it, or it is bulk mail: drop `automatic-message`, but from known accounts that
    /// `allow_automatic_from` names.
    Automatic,
    /// Persons' mail can have it: the rules decide as without it, and nothing is mailed.
    Weak,
}

impl SignKind {
    /// The word used in the documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Report => "report",
            Self::Automatic => "automatic",
            Self::Weak => "weak",
        }
    }
}

/// One sign.
pub struct NatureRow {
    /// Its name in trails.
    pub name: &'static str,
    /// What is looked for, and where that is defined or who writes it.
    pub source: &'static str,
    /// What it says.
    pub kind: SignKind,
    /// Whether a group that forwards to the project leaves it: lifted by `via_lists`.
    pub of_lists: bool,
    pub(super) look: Look,
}

/// Where a sign is looked for; what stood there, if it is there.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// In the mail.
    Mail(fn(&Seen<'_>) -> Option<String>),
    /// In how it came.
    Arrival(fn(&Arrival<'_>) -> Option<String>),
}

/// What the signs of a mail are looked for in.
pub(super) struct Seen<'a> {
    pub(super) block: &'a HeaderBlock<'a>,
    pub(super) author: Option<&'a EmailAddress>,
    /// Decoded.
    pub(super) subject: &'a str,
    /// Of the whole mail, in lower case.
    pub(super) media_type: &'a str,
    /// The parameter of multipart/report, in lower case; empty without one.
    pub(super) report_type: &'a str,
    /// The beginning of the text; made only where it is wanted.
    pub(super) opening: &'a dyn Fn() -> String,
}

const fn row(name: &'static str, kind: SignKind, source: &'static str, look: Look) -> NatureRow {
    NatureRow { name, source, kind, of_lists: false, look }
}

const fn list(name: &'static str, kind: SignKind, source: &'static str, look: Look) -> NatureRow {
    NatureRow { of_lists: true, ..row(name, kind, source, look) }
}

/// All signs, the strongest first; the first that applies is the one that counts.
pub const NATURE_ROWS: &[NatureRow] = &[
    row(
        "own-mail",
        SignKind::Loop,
        "`X-Vestibule-Mail`, which our own mail carries; loops: RFC 3834 §2",
        Look::Mail(|seen| seen.block.first(OWN_FIELD).map(|field| field.unfolded().into_owned())),
    ),
    row(
        "own-message-id",
        SignKind::Loop,
        "a Message-ID that only this daemon can make (keyed hash)",
        Look::Arrival(|arrival| arrival.minted.then(|| "minted by this daemon".to_owned())),
    ),
    row(
        "received-count",
        SignKind::Loop,
        "more than 100 Received fields: RFC 5321 §6.3",
        Look::Mail(|seen| {
            let count = seen.block.all("received").count();
            (count > MAX_RECEIVED).then(|| count.to_string())
        }),
    ),
    row(
        "delivered-to",
        SignKind::Loop,
        "one address in three Delivered-To fields: RFC 9228, Postfix local(8), qmail",
        Look::Mail(delivered_again),
    ),
    row(
        "delivery-report",
        SignKind::Report,
        "multipart/report with report-type delivery-status: RFC 3464 §2",
        Look::Mail(|seen| report(seen, "delivery-status")),
    ),
    row(
        "disposition-report",
        SignKind::Report,
        "multipart/report with report-type disposition-notification: RFC 8098 §3",
        Look::Mail(|seen| report(seen, "disposition-notification")),
    ),
    row(
        "abuse-report",
        SignKind::Report,
        "multipart/report with report-type feedback-report: RFC 5965 §2",
        Look::Mail(|seen| report(seen, "feedback-report")),
    ),
    row(
        "report",
        SignKind::Report,
        "any other multipart/report: RFC 6522 §3",
        Look::Mail(|seen| (seen.media_type == "multipart/report").then(|| seen.report_type.to_owned())),
    ),
    row(
        "failed-recipients",
        SignKind::Report,
        "`X-Failed-Recipients`: Exim, Gmail",
        Look::Mail(|seen| field(seen.block, &["x-failed-recipients"])),
    ),
    row(
        "mailer-daemon",
        SignKind::Report,
        "From is mailer-daemon, postmaster or Exchange's own mailbox: RFC 3834 §2, RFC 5321 §4.5.1",
        Look::Mail(mailer_daemon),
    ),
    row(
        "null-reverse-path",
        SignKind::Report,
        "the reverse-path `<>` of bounces and notices, or mailer-daemon: RFC 5321 §4.5.5, RFC 3834 §2",
        Look::Arrival(|arrival| match local_part(arrival.reverse_path).as_str() {
            "" => Some("<>".to_owned()),
            "mailer-daemon" => Some(arrival.reverse_path.to_owned()),
            _ => None,
        }),
    ),
    row(
        "bounce-shape",
        SignKind::Report,
        "subject and first words as a common mail server writes a bounce, not quoted, not forwarded: `src/mail/bounces.rs`",
        Look::Mail(|seen| bounces::shape(seen).map(str::to_owned)),
    ),
    row(
        "auto-submitted",
        SignKind::Automatic,
        "`Auto-Submitted` with any value but no: RFC 3834 §5",
        Look::Mail(|seen| {
            groups::tokens(seen.block, "auto-submitted").find(|value| !matches!(&**value, "" | "no"))
        }),
    ),
    row(
        "auto-reply-precedence",
        SignKind::Automatic,
        "`Precedence` or `X-Precedence` auto_reply: vacation programs, cPanel",
        Look::Mail(|seen| {
            let all =
                ["precedence", "x-precedence"].into_iter().flat_map(|name| groups::tokens(seen.block, name));
            all.into_iter().find(|value| matches!(&**value, "auto_reply" | "auto-reply" | "autoreply"))
        }),
    ),
    row(
        "x-autoreply",
        SignKind::Automatic,
        "`X-Autoreply` and its family, but for the value no: Gmail, cPanel, CommuniGate, DTC and others",
        Look::Mail(|seen| field(seen.block, AUTOREPLY_FIELDS)),
    ),
    row(
        "machine",
        SignKind::Automatic,
        "`X-Cron-Env` (cron), `X-FC-MachineGenerated` (FirstClass), `X-Jenkins-Job`: named for machines alone",
        Look::Mail(|seen| field(seen.block, &["x-cron-env", "x-fc-machinegenerated", "x-jenkins-job"])),
    ),
    row(
        "ticket-system",
        SignKind::Automatic,
        "`X-OTRS-Loop`, `X-RT-Loop-Prevention`, `X-JIRA-FingerPrint`, `X-Zendesk-From-Account-Id`, \
         `X-ServiceNow-Generated`, `X-Redmine-Host`: what help desks mark their mail with",
        Look::Mail(|seen| field(seen.block, TICKET_FIELDS)),
    ),
    list(
        "list-id",
        SignKind::Automatic,
        "`List-Id`: RFC 2919 §3; a group that forwards to the project belongs into its `via_lists`",
        Look::Mail(|seen| groups::lists(seen.block).into_iter().next()),
    ),
    list(
        "bulk",
        SignKind::Automatic,
        "`Precedence` bulk, list or junk and a List field beside it: RFC 2369, RFC 3834 §2",
        Look::Mail(|seen| {
            Some(format!("{}, {}", groups::precedence(seen.block)?, groups::list_field(seen.block)?))
        }),
    ),
    list(
        "precedence",
        SignKind::Weak,
        "`Precedence` bulk, list or junk alone, in any case: RFC 2076 §3.9, RFC 3834 §2",
        Look::Mail(|seen| groups::precedence(seen.block)),
    ),
    list(
        "list-field",
        SignKind::Weak,
        "`List-Unsubscribe` or another List field alone: RFC 2369, RFC 8058; newsletters, and sending services",
        Look::Mail(|seen| groups::list_field(seen.block).map(str::to_owned)),
    ),
    list(
        "list-manager",
        SignKind::Weak,
        "a reverse-path that begins with owner- or ends in -request: RFC 3834 §2, RFC 2142 §6",
        Look::Arrival(|arrival| {
            let local = local_part(arrival.reverse_path);
            (local.starts_with("owner-") || local.ends_with("-request"))
                .then(|| arrival.reverse_path.to_owned())
        }),
    ),
    list(
        "x-loop",
        SignKind::Weak,
        "`X-Loop`: procmail and help desks; a forward by procmail leaves it on persons' mail too",
        Look::Mail(|seen| field(seen.block, &["x-loop"])),
    ),
    row(
        "x-auto-response-suppress",
        SignKind::Weak,
        "`X-Auto-Response-Suppress` with All, AutoReply, OOF or DR: MS-OXCMAIL §2.1.3.2.20",
        Look::Mail(suppressed),
    ),
    row(
        "auto-reply-subject",
        SignKind::Weak,
        "a subject that begins as Outlook's automatic replies do, in eight languages",
        Look::Mail(|seen| bounces::auto_reply(seen.subject).then(|| seen.subject.to_owned())),
    ),
    row(
        "no-reply-sender",
        SignKind::Weak,
        "From is no-reply, do-not-reply, bounce or such: nobody reads what is sent there",
        Look::Mail(no_reply),
    ),
];

const AUTOREPLY_FIELDS: &[&str] = &[
    "x-autoreply",
    "x-auto-reply",
    "x-mail-autoreply",
    "x-autoreply-from",
    "x-autoreply-to",
    "x-autorespond",
    "x-autoresponse",
    "x-autoresponder",
    "x-autogenerated",
];

const TICKET_FIELDS: &[&str] = &[
    "x-otrs-loop",
    "x-rt-loop-prevention",
    "x-jira-fingerprint",
    "x-zendesk-from-account-id",
    "x-servicenow-generated",
    "x-redmine-host",
];

/// Mailboxes of mail servers; the last is the one that Exchange sends its notices from.
const DAEMONS: [&str; 3] =
    ["mailer-daemon", "postmaster", "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e"];

/// Beginnings of local parts that nobody reads, without hyphens, dots and underscores.
const UNREAD: [&str; 7] =
    ["noreply", "donotreply", "dontreply", "nepasrepondre", "noresponder", "nichtantworten", "keineantwort"];

/// The first of these fields that does not say no, with its name.
fn field(block: &HeaderBlock<'_>, names: &'static [&'static str]) -> Option<String> {
    let fields = names.iter().flat_map(|name| block.all(name).map(move |field| (name, field.unfolded())));
    let mut told = fields.filter(|(_, value)| {
        !["no", "false", "0", "none", "off"].iter().any(|no| value.trim().eq_ignore_ascii_case(no))
    });
    told.next().map(|(name, value)| format!("{name}: {value}"))
}

fn report(seen: &Seen<'_>, kind: &str) -> Option<String> {
    (seen.media_type == "multipart/report" && seen.report_type == kind).then(|| kind.to_owned())
}

fn delivered_again(seen: &Seen<'_>) -> Option<String> {
    let mut addresses: Vec<_> =
        seen.block.all("delivered-to").map(|field| field.unfolded().trim().to_lowercase()).collect();
    addresses.sort_unstable();
    let mut runs = addresses.chunk_by(|one, next| one == next);
    runs.find(|run| run.len() >= MAX_DELIVERED).and_then(|run| run.first().cloned())
}

/// Some write the name alone, which is no address (`From: MAILER-DAEMON (Mail Delivery System)`).
fn mailer_daemon(seen: &Seen<'_>) -> Option<String> {
    if let Some(author) = seen.author {
        return DAEMONS.contains(&&*local_part(author.key())).then(|| author.key().to_owned());
    }
    let from = seen.block.first("from")?.unfolded().into_owned();
    let words = from.split(|c: char| c.is_whitespace() || "<>()\"".contains(c));
    words.into_iter().any(|word| DAEMONS.contains(&&*word.to_ascii_lowercase())).then(|| from.clone())
}

fn suppressed(seen: &Seen<'_>) -> Option<String> {
    let mut fields = seen.block.all("x-auto-response-suppress").map(|field| field.unfolded().into_owned());
    fields.find(|value| {
        let mut words = value.split([',', ' ', ';']).map(str::to_ascii_lowercase);
        words.any(|word| matches!(&*word, "all" | "autoreply" | "oof" | "dr"))
    })
}

fn no_reply(seen: &Seen<'_>) -> Option<String> {
    let author = seen.author?;
    let name = local_part(author.key()).replace(['-', '_', '.'], "");
    let unread =
        UNREAD.iter().any(|unread| name.starts_with(unread)) || matches!(&*name, "bounce" | "bounces");
    unread.then(|| author.key().to_owned())
}

/// In lower case; the whole where there is no @.
fn local_part(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(local, _)| local).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_named_and_sourced_once_and_the_strongest_come_first() {
        let mut names: Vec<_> = NATURE_ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NATURE_ROWS.len());
        assert!(NATURE_ROWS.iter().all(|row| row.source.len() > 10 && !row.source.contains('|')));
        assert!(NATURE_ROWS.is_sorted_by_key(|row| row.kind));
    }
}
