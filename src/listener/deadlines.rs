//! Until when a session may wait. Whatever a peer sends and however slowly, some deadline ends it.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::{
    FIRST_COMMAND, LINE, MAIL_BLOCK, MAIL_HEAD_START, MAIL_LEAST_RATE, NEXT_COMMAND, WITHOUT_MAIL,
};
use crate::smtp::Waiting;

/// The clocks of one session.
#[derive(Debug)]
pub(super) struct Deadlines {
    opened: Instant,
    last_mail: Instant,
    line_since: Option<Instant>,
    mail: Option<Coming>,
}

/// A mail or chunk that is coming in.
#[derive(Debug, Clone, Copy)]
struct Coming {
    since: Instant,
    bytes: u64,
}

/// When a wait ends, and what it says of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    /// When.
    pub(super) at: Instant,
    /// The peer sends, but too slowly; otherwise it is silent.
    pub(super) too_slow: bool,
}

impl Deadlines {
    /// A session that begins.
    pub(super) const fn new(now: Instant) -> Self {
        Self { opened: now, last_mail: now, line_since: None, mail: None }
    }

    /// So many bytes have come.
    pub(super) const fn received(&mut self, bytes: usize) {
        if let Some(coming) = &mut self.mail {
            coming.bytes += bytes as u64;
        }
    }

    /// How long its data has been waited for: zero where it came with what was read before.
    pub(super) fn mail_took(&self, now: Instant) -> Duration {
        self.mail.map_or(Duration::ZERO, |coming| now.saturating_duration_since(coming.since))
    }

    /// A mail has been dealt with.
    pub(super) const fn mail_ended(&mut self, now: Instant) {
        self.last_mail = now;
        self.mail = None;
    }

    /// Until when the wait that begins now may last. `partial`: a command line has begun.
    pub(super) fn next(&mut self, waiting: Waiting, partial: bool, now: Instant) -> Deadline {
        if waiting != Waiting::Mail {
            self.mail = None;
        }
        let in_line = waiting == Waiting::Line || (partial && waiting != Waiting::Mail);
        if !in_line {
            self.line_since = None;
        }
        let at = match waiting {
            Waiting::Mail => self.mail_deadline(now),
            _ if in_line => *self.line_since.get_or_insert(now) + LINE,
            _ => now + NEXT_COMMAND,
        };
        let at = if waiting == Waiting::FirstCommand { at.min(self.opened + FIRST_COMMAND) } else { at };
        Deadline { at: at.min(self.last_mail + WITHOUT_MAIL), too_slow: in_line || waiting == Waiting::Mail }
    }

    fn mail_deadline(&mut self, now: Instant) -> Instant {
        let coming = *self.mail.get_or_insert(Coming { since: now, bytes: 0 });
        let earned = MAIL_HEAD_START + Duration::from_secs(coming.bytes / MAIL_LEAST_RATE);
        (now + MAIL_BLOCK).min(coming.since + earned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_has_a_minute_then_five() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let first = deadlines.next(Waiting::FirstCommand, false, start + SECOND);
        assert_eq!(first, Deadline { at: start + FIRST_COMMAND, too_slow: false });
        let next = deadlines.next(Waiting::Command, false, start + SECOND);
        assert_eq!(next, Deadline { at: start + SECOND + NEXT_COMMAND, too_slow: false });
    }

    #[test]
    fn a_line_has_its_time_from_its_first_byte_however_many_follow() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        for second in 0..20 {
            let deadline = deadlines.next(Waiting::Command, true, start + second * SECOND);
            assert_eq!(deadline, Deadline { at: start + LINE, too_slow: true });
        }
        deadlines.next(Waiting::Command, false, start + 20 * SECOND);
        let deadline = deadlines.next(Waiting::Line, false, start + 21 * SECOND);
        assert_eq!(deadline.at, start + 21 * SECOND + LINE);
    }

    #[test]
    fn a_mail_must_keep_its_rate() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        assert_eq!(deadlines.next(Waiting::Mail, false, start).at, start + MAIL_HEAD_START);
        deadlines.received(10 * 1024);
        let deadline = deadlines.next(Waiting::Mail, false, start + SECOND);
        assert_eq!(deadline, Deadline { at: start + MAIL_HEAD_START + 10 * SECOND, too_slow: true });
        deadlines.received(10 * 1024 * 1024);
        let silent = deadlines.next(Waiting::Mail, false, start + SECOND);
        assert_eq!(silent.at, start + SECOND + MAIL_BLOCK, "silence has its own limit");
    }

    #[test]
    fn no_session_lasts_without_mail() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let late = start + WITHOUT_MAIL - SECOND;
        assert_eq!(deadlines.next(Waiting::Command, false, late).at, start + WITHOUT_MAIL);
        deadlines.mail_ended(late);
        assert_eq!(deadlines.next(Waiting::Command, false, late).at, late + NEXT_COMMAND);
    }
}
