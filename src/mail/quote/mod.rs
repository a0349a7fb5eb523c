//! Which part of a reply is new. What is quoted in the middle stays: it is what the words below it answer. What is cut is
//! only what stands at the end and is surely not this mail's own; where that is unsure, it stays.

mod attribution;
mod block;
mod hint;
mod phrases;
mod signature;

use std::ops::Range;

pub(super) use hint::{Hint, HintKind};

use attribution::Certainty;

/// What our acknowledgements carry at their top (`{{ marker }}` of their templates); whatever a reply has below it is not
/// new.
pub const REPLY_MARKER: &str = "-#-vestibule-#-";

/// How a mail relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It answers one, and may quote it without signs.
    Answer,
    /// It sends one on, to be read.
    SentOn,
    /// It begins anew.
    New,
}

impl Relation {
    /// Reads the first prefix of the subject, and whether the mail names one that it answers (RFC 5322 §3.6.4, §3.6.5).
    pub(super) fn of(subject: &str, names_another: bool) -> Self {
        let prefix = subject.split([':', '：', '[']).next().unwrap_or_default().trim().to_lowercase();
        if subject.len() > prefix.len() && phrases::SENT_ON.contains(&&*prefix) {
            Self::SentOn
        } else if names_another || subject.len() > prefix.len() && phrases::ANSWERED.contains(&&*prefix) {
            Self::Answer
        } else {
            Self::New
        }
    }
}

/// A line without the white space around it, and its place in the body.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// With its white space, without its end.
    full: &'a str,
    /// What the label before its colon may mean, as [`block::labels_of`] has it.
    labels: u8,
    start: usize,
    end: usize,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    fn is_quoted(&self) -> bool {
        self.full.starts_with('>')
    }
}

fn lines_of(body: &str) -> Vec<Line<'_>> {
    let mut next = 0;
    let line = |whole: &str| {
        let start = next;
        next += whole.len();
        let full = body[start..next].trim_end_matches(['\n', '\r']);
        let text = full.trim();
        Line { text, full, labels: block::labels_of(text), start, end: start + full.len() }
    };
    body.split_inclusive('\n').map(line).collect()
}

/// The bytes of `body` that are new. `hints` are in order and within `body`.
pub(super) fn new_part(body: &str, hints: &[Hint], relation: Relation) -> Range<usize> {
    let lines = lines_of(body);
    let start = lines.iter().position(|line| !line.is_blank()).unwrap_or(lines.len());
    let own = |line: &Line<'_>| !line.is_blank() && !line.is_quoted();
    let first_own = lines.iter().position(own).unwrap_or(lines.len());
    let reply = Reply { lines: &lines, first_own, hints, relation };
    let end = match relation {
        Relation::SentOn => lines.len(),
        _ => reply.unmarked().map_or(lines.len(), |cut| match reply.without_tail(cut) {
            // All above is quoted: what is new stands below, unless signs say that it is quoted too.
            0 => reply.without_tail(lines.len()),
            end => end,
        }),
    };
    match lines[..end].iter().rposition(|line| !line.is_blank()) {
        Some(last) => lines[start].start..lines[last].end,
        None => 0..0,
    }
}

struct Reply<'a> {
    lines: &'a [Line<'a>],
    /// The first line that is neither blank nor quoted.
    first_own: usize,
    hints: &'a [Hint],
    relation: Relation,
}

impl Reply<'_> {
    /// Up to which line the mail does not quote without signs; `None` when it sends something on.
    fn unmarked(&self) -> Option<usize> {
        let mut at = 0;
        while at < self.lines.len() {
            let line = &self.lines[at];
            if line.is_blank() || line.is_quoted() {
                at += 1;
                continue;
            }
            if block::is_forward(line.text) {
                return None;
            }
            if line.text.contains(REPLY_MARKER) {
                return Some(self.unless_first(at));
            }
            let Some((first, after)) = self.head_at(at) else {
                at += 1;
                continue;
            };
            if self.next_is_quoted(after) || self.relation != Relation::Answer {
                at = after;
                continue;
            }
            if self.next_is_forward(after) {
                return None;
            }
            return Some(self.unless_first(first));
        }
        Some(self.lines.len())
    }

    /// A mail that begins with what it quotes has its own words below, somewhere.
    fn unless_first(&self, at: usize) -> usize {
        if self.first_own < at { at } else { self.lines.len() }
    }

    /// The beginning of a quoted mail that may do without signs: its first line, and the line after its head.
    fn head_at(&self, at: usize) -> Option<(usize, usize)> {
        if let Some(length) = block::head_at(self.lines, at) {
            return Some((at, at + length));
        }
        if self.hinted(at, HintKind::Header) {
            return Some((at, at + 1));
        }
        let (first, certainty) = attribution::ending_at(self.lines, at)?;
        (certainty == Certainty::Full).then_some((first, at + 1))
    }

    fn hinted(&self, line: usize, kind: HintKind) -> bool {
        let start = self.lines[line].start;
        let from = self.hints.partition_point(|hint| hint.start < start);
        self.hints[from..].iter().take_while(|hint| hint.start == start).any(|hint| hint.kind == kind)
    }

    fn next_line(&self, from: usize) -> Option<usize> {
        (from..self.lines.len()).find(|at| !self.lines[*at].is_blank())
    }

    fn next_is_quoted(&self, from: usize) -> bool {
        self.next_line(from).is_none_or(|at| self.lines[at].is_quoted())
    }

    fn next_is_forward(&self, from: usize) -> bool {
        self.next_line(from).is_some_and(|at| block::is_forward(self.lines[at].text))
    }

    /// Without quoted lines, signatures and phones' lines at the end.
    fn without_tail(&self, end: usize) -> usize {
        let mut end = end;
        // Where nothing but quotation is left above a signature, that is all there is of this mail.
        let mut signed = None;
        loop {
            while end > 0 && self.lines[end - 1].is_blank() {
                end -= 1;
            }
            let Some(last) = end.checked_sub(1) else { return signed.unwrap_or(0) };
            let cut = if self.lines[last].is_quoted() {
                self.quotation(end)
            } else {
                let cut = self.signature(end).filter(|cut| self.first_own < *cut);
                signed = signed.or(cut.map(|_| end));
                cut
            };
            match cut {
                Some(cut) => end = cut,
                None => return end,
            }
        }
    }

    /// Where the quoted lines begin that end before `end`, with the text that says whose they are.
    fn quotation(&self, end: usize) -> Option<usize> {
        let is_own = |line: &Line<'_>| !line.is_blank() && !line.is_quoted();
        let above = self.lines[..end].iter().rposition(is_own);
        let from = above.map_or(0, |at| at + 1);
        let first = self.next_line(from)?;
        if block::is_forward(self.lines[first].text) {
            return None;
        }
        let attributed = above.filter(|at| first - at <= 3).and_then(|at| self.attribution(at));
        match attributed {
            Some(line) => Some(line),
            None if self.relation == Relation::Answer || above.is_none() => Some(first),
            None => None,
        }
    }

    /// The first line of what says whose the lines below `last` are.
    fn attribution(&self, last: usize) -> Option<usize> {
        if let Some((first, _)) = attribution::ending_at(self.lines, last) {
            return Some(first);
        }
        let mut heads = (last.saturating_sub(8)..=last).filter(|at| !self.lines[*at].is_quoted());
        heads.find(|at| {
            self.hinted(*at, HintKind::Attribution)
                || block::head_at(self.lines, *at).is_some_and(|length| at + length == last + 1)
        })
    }

    fn signature(&self, end: usize) -> Option<usize> {
        if signature::is_phone_line(self.lines[end - 1].text) {
            return Some(end - 1);
        }
        signature::start(&self.lines[..end]).or_else(|| self.hinted_signature(end))
    }

    fn hinted_signature(&self, end: usize) -> Option<usize> {
        let until = self.lines[end - 1].end;
        let before = self.hints.partition_point(|hint| hint.start < until);
        let hint = self.hints[..before].last().filter(|hint| hint.kind == HintKind::Signature)?;
        let line = self.lines[..end].partition_point(|line| line.start < hint.start);
        (hint.end >= until).then_some(line)
    }
}

#[cfg(test)]
mod tests;
