//! How long and how much. Every limit of the listener that is not a setting, in one place, with its unit and reason.

use std::time::Duration;

/// From the greeting to the end of the first command. Port scanners and mistaken clients go early; a relay speaks at once.
pub(super) const FIRST_COMMAND: Duration = Duration::from_mins(1);
/// Between commands (RFC 5321 §4.5.3.2.7: at least 5 minutes).
pub(super) const NEXT_COMMAND: Duration = Duration::from_mins(5);
/// From a command line's first byte to its CRLF. A line fits into one packet; only a dripping client needs longer.
pub(super) const LINE: Duration = Duration::from_secs(30);
/// Longest silence within a mail (RFC 5321 §4.5.3.2.5: 3 minutes for each block).
pub(super) const MAIL_BLOCK: Duration = Duration::from_mins(3);
/// A mail may be slow for so long before its rate counts.
pub(super) const MAIL_HEAD_START: Duration = Duration::from_mins(1);
/// Least average rate of a mail after its head start, in bytes a second: a modem of 1990.
pub(super) const MAIL_LEAST_RATE: u64 = 1024;
/// Longest time from one mail's end (or the greeting) to the next mail's end; it also ends clients that only send NOOP.
pub(super) const WITHOUT_MAIL: Duration = Duration::from_mins(20);
/// Longest wait for the peer to take replies; they are small, so one that does not take them does not read at all.
pub(super) const WRITE: Duration = Duration::from_mins(1);
/// Longest TLS handshake. A relay needs two round trips; only a dripping client needs longer.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long what the peer still sends is read after the last reply, so that the reply is not lost in a reset.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// The most that is read meanwhile, in bytes.
pub(super) const LINGER_BYTES: usize = 256 * 1024;

/// Read buffer while a command is awaited, in bytes: a usual transaction's commands. An idle connection costs little more.
pub(super) const IDLE_BUFFER: usize = 1024;
/// Read buffer once a line has begun, in bytes: the longest line.
pub(super) const LINE_BUFFER: usize = crate::smtp::MAX_LINE;
/// Read buffer when a mail begins, in bytes: most mails are one read.
pub(super) const MAIL_BUFFER: usize = 16 * 1024;
/// Read buffer of a large mail, in bytes.
pub(super) const LARGE_MAIL_BUFFER: usize = 128 * 1024;
/// Replies are sent at this many bytes even while more commands wait in the buffer.
pub(super) const MOST_REPLIES: usize = 8 * 1024;

/// Longest wait for a PROXY header; a proxy sends it at once.
pub(super) const PROXY_HEADER: Duration = Duration::from_secs(3);
/// Connections that have yet to send their PROXY header; beyond them a connection is just closed.
pub(super) const PROXY_HEADERS: usize = 1024;

/// Connections that are being told 421 at once; beyond them the connection is just closed.
pub(super) const REFUSALS: usize = 64;
/// Longest time for one such connection.
pub(super) const REFUSAL: Duration = Duration::from_secs(5);
/// Wait after a failed `accept` (too many open files, mostly), doubled up to the longest.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(10);
/// Longest wait after a failed `accept`.
pub(super) const ACCEPT_RETRY_MOST: Duration = Duration::from_secs(1);

/// Keys of one rate limiter. Past it new keys share one limit instead of taking memory.
pub(super) const RATE_KEYS: usize = 100_000;
/// How many times the limit of one key the shared one is: it must not stop the service when keys are flooded.
pub(super) const RATE_SHARED: u32 = 1000;
/// How often keys that are at rest are dropped.
pub(super) const RATE_EVICTION: Duration = Duration::from_mins(1);
