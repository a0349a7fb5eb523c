//! Where a command line ends. Only CRLF ends it; what else happens to a line is told once, whatever pieces it comes in.

use memchr::{memchr2, memmem};

/// Longest command line in octets, CRLF included: 512 (RFC 5321 §4.5.3.1.4) and ample room for paths and parameters.
pub const MAX_LINE: usize = 2048;
/// Octets without CRLF after which the peer is not speaking SMTP.
pub(super) const MAX_ENDLESS: usize = 64 * 1024;

/// What stands at the beginning of the bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of this many octets, without its CRLF.
    Whole(usize),
    /// Not told yet.
    Partial,
    /// More octets than a line may have.
    TooLong,
    /// A CR or LF that is not CRLF, at this place.
    BareNewline(usize),
}

/// Looks at the first line.
pub(super) fn first(bytes: &[u8]) -> Line {
    let window = &bytes[..bytes.len().min(MAX_LINE - 1)];
    match memchr2(b'\r', b'\n', window) {
        None if window.len() == MAX_LINE - 1 => Line::TooLong,
        None => Line::Partial,
        Some(at) if bytes[at] == b'\n' => Line::BareNewline(at),
        Some(at) => match bytes.get(at + 1) {
            Some(b'\n') => Line::Whole(at),
            Some(_) => Line::BareNewline(at),
            None => Line::Partial,
        },
    }
}

/// Skips a line that is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Skip {
    seen: usize,
    after_cr: bool,
}

impl Skip {
    /// Takes bytes up to and with the CRLF; returns how many, and whether the CRLF has come.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let end = match bytes.first() {
            Some(b'\n') if self.after_cr => Some(1),
            _ => memmem::find(bytes, b"\r\n").map(|at| at + 2),
        };
        let used = end.unwrap_or(bytes.len());
        self.seen += used;
        self.after_cr = bytes.last() == Some(&b'\r');
        (used, end.is_some())
    }

    /// Whether there was no CRLF for so long that the session must end.
    pub(super) fn is_endless(self) -> bool {
        self.seen >= MAX_ENDLESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        let cases: &[(&[u8], Line)] = &[
            (b"", Line::Partial),
            (b"NOOP", Line::Partial),
            (b"NOOP\r", Line::Partial),
            (b"NOOP\r\n", Line::Whole(4)),
            (b"\r\nNOOP", Line::Whole(0)),
            (b"NOOP\n", Line::BareNewline(4)),
            (b"NOOP\nRSET\r\n", Line::BareNewline(4)),
            (b"NO\rOP\r\n", Line::BareNewline(2)),
            (b"NOOP\r\r\n", Line::BareNewline(4)),
        ];
        for (bytes, line) in cases {
            assert_eq!(first(bytes), *line, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_longest_line_fits_and_one_more_does_not() {
        let mut longest = vec![b'x'; MAX_LINE - 2];
        longest.extend_from_slice(b"\r\n");
        assert_eq!(first(&longest), Line::Whole(MAX_LINE - 2));
        assert_eq!(first(&longest[..MAX_LINE - 1]), Line::Partial);
        longest.insert(0, b'x');
        assert_eq!(first(&longest), Line::TooLong);
        assert_eq!(first(&longest[..MAX_LINE - 1]), Line::TooLong);
    }

    #[test]
    fn skipping_ends_behind_the_next_crlf_in_any_pieces() {
        let bytes = b"x\ny\rz\r\r\nNOOP";
        for step in 1..=bytes.len() {
            let (mut skip, mut used, mut ended) = (Skip::default(), 0, false);
            for piece in bytes.chunks(step) {
                let (taken, done) = skip.take(piece);
                used += taken;
                ended = done;
                if done {
                    break;
                }
            }
            assert!(ended && used == 8, "in {step}: {used}");
        }
    }
}
