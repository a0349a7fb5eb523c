//! What the server made of a replay: one result a mail, and the replies counted.

use std::{collections::BTreeMap, io, io::Write};

use serde::Serialize;

use super::relay::{Delivered, SmtpAnswer};

/// One mail and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayResult {
    /// The file it came from.
    pub mail: String,
    /// What the server answered.
    #[serde(flatten)]
    pub delivered: Option<Delivered>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ReplayResult {
    /// `accepted`, `refused` (by the server, at least one recipient) or `failed` (no answer).
    pub fn status(&self) -> &'static str {
        match &self.delivered {
            Some(delivered) if delivered.is_accepted() => "accepted",
            Some(_) => "refused",
            None => "failed",
        }
    }
}

/// All results, counted.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Mails found.
    pub mails: usize,
    /// Mails taken for every recipient.
    pub accepted: usize,
    /// Mails the server refused, for some recipient at least.
    pub refused: usize,
    /// Mails without an answer.
    pub failed: usize,
    /// The replies by code and text, the most frequent first.
    pub replies: Vec<ReplyCount>,
    #[serde(skip)]
    counted: BTreeMap<(u16, String), usize>,
}

/// A reply and how often it came. Ids in the text stand as `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplyCount {
    /// The code.
    pub code: u16,
    /// The text.
    pub text: String,
    /// How often.
    pub count: usize,
}

impl Summary {
    /// Counts one result.
    pub fn add(&mut self, result: &ReplayResult) {
        self.mails += 1;
        match result.status() {
            "accepted" => self.accepted += 1,
            "refused" => self.refused += 1,
            _ => self.failed += 1,
        }
        let Some(delivered) = &result.delivered else { return };
        let refused = delivered.refused_recipients.iter().map(|refused| &refused.answer);
        // With no recipient left the deciding answer is the last of those.
        let all_refused = !delivered.answer.is_accepted() && !delivered.refused_recipients.is_empty();
        let own = std::iter::once(&delivered.answer).filter(|_| !all_refused);
        for answer in own.chain(refused) {
            *self.counted.entry((answer.code, without_ids(answer))).or_default() += 1;
        }
    }

    /// Sorts the replies; call when all results are in.
    pub fn finish(&mut self) {
        let counted = std::mem::take(&mut self.counted).into_iter();
        self.replies = counted.map(|((code, text), count)| ReplyCount { code, text, count }).collect();
        self.replies.sort_by_key(|reply| std::cmp::Reverse(reply.count));
    }

    /// Whether every mail was taken.
    pub fn all_accepted(&self) -> bool {
        self.accepted == self.mails
    }

    /// Writes it for people.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for reply in &self.replies {
            let text = crate::cli::show::plain(&reply.text);
            writeln!(out, "{:>8}  {} {text}", reply.count, reply.code)?;
        }
        writeln!(
            out,
            "{} mail{}: {} accepted, {} refused, {} failed",
            self.mails,
            if self.mails == 1 { "" } else { "s" },
            self.accepted,
            self.refused,
            self.failed
        )
    }
}

/// The text with what differs from mail to mail as `*`: long words of letters, digits and dashes with a digit in them.
fn without_ids(answer: &SmtpAnswer) -> String {
    let is_id = |word: &str| {
        word.len() >= 8
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let shown = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_id(core) { word.replace(core, "*") } else { word.to_owned() }
    };
    answer.text.split_whitespace().map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::relay::RefusedRecipient;

    fn answer(code: u16, text: &str) -> SmtpAnswer {
        SmtpAnswer { code, text: text.to_owned() }
    }

    fn result(answer: SmtpAnswer, refused: Vec<SmtpAnswer>) -> ReplayResult {
        let address: crate::types::EmailAddress = "no@h.example".parse().unwrap();
        let refused_recipients =
            refused.into_iter().map(|answer| RefusedRecipient { address: address.clone(), answer }).collect();
        ReplayResult {
            mail: "m".into(),
            delivered: Some(Delivered { answer, refused_recipients }),
            error: None,
        }
    }

    #[test]
    fn replies_that_differ_in_an_id_are_counted_together() {
        let mut summary = Summary::default();
        summary.add(&result(answer(250, "2.0.0 taken as 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a"), vec![]));
        summary.add(&result(answer(250, "2.0.0 taken as 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718b"), vec![]));
        summary.add(&result(answer(550, "5.1.1 no"), vec![answer(550, "5.1.1 no")]));
        summary.add(&ReplayResult { mail: "m".into(), delivered: None, error: Some("cut".into()) });
        summary.finish();
        assert_eq!((summary.mails, summary.accepted, summary.refused, summary.failed), (4, 2, 1, 1));
        let counted: Vec<_> = summary.replies.iter().map(|r| (r.code, r.text.as_str(), r.count)).collect();
        assert_eq!(counted, [(250, "2.0.0 taken as *", 2), (550, "5.1.1 no", 1)]);
        assert!(!summary.all_accepted());
    }

    #[test]
    fn a_mail_taken_for_some_recipients_only_is_not_accepted() {
        let mut summary = Summary::default();
        summary.add(&result(answer(250, "2.0.0 ok"), vec![answer(550, "5.1.1 no")]));
        summary.finish();
        assert_eq!((summary.accepted, summary.refused, summary.replies.len()), (0, 1, 2));
    }
}
