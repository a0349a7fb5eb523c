//! The bytes of one mail, from DATA or BDAT, with what is wrong with them.
//!
//! Only CRLF "." CRLF ends DATA, and only CRLF begins a line: a bare CR or LF never does either, so no peer with another
//! idea of line ends can slip a second mail through (SMTP smuggling, CVE-2023-51764 and its like). A mail with a fault is
//! read to its true end and not kept. Bytes are searched and copied in slices, never one by one.

use memchr::{memchr, memchr2};

use super::Reply;

/// Memory is asked for in whole blocks of this many bytes.
const BLOCK: usize = 4 * 1024;
/// The most that is asked for beyond what is needed, in bytes: mails that grow are not copied too often.
const MAX_SPARE: usize = 1024 * 1024;

/// Where in a line the next byte of DATA stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// At the beginning of a line.
    Start,
    /// Within a line.
    Within,
    /// After a CR that is not stored yet.
    Cr,
    /// After a dot at the beginning of a line; the dot is not stored (RFC 5321 §4.5.2).
    Dot,
    /// After such a dot and a CR.
    DotCr,
    /// After CRLF "." CRLF.
    End,
}

/// One mail that is coming in.
#[derive(Debug)]
pub(super) struct Body {
    content: Vec<u8>,
    granted: usize,
    size: u64,
    limit: u64,
    normalize: bool,
    edge: Edge,
    bare_newline: bool,
    nul: bool,
    no_memory: bool,
}

impl Body {
    /// An empty mail of at most `limit` bytes. `normalize`: a bare CR or LF in DATA becomes CRLF instead of a fault.
    pub(super) fn new(limit: u64, normalize: bool) -> Self {
        Self {
            content: Vec::new(),
            granted: 0,
            size: 0,
            limit,
            normalize,
            edge: Edge::Start,
            bare_newline: false,
            nul: false,
            no_memory: false,
        }
    }

    /// Bytes of memory that must be granted before `incoming` bytes can be taken; `None` when there is enough.
    pub(super) fn wants(&self, incoming: usize) -> Option<usize> {
        if self.is_faulty() {
            return None;
        }
        // A bare newline grows by a byte when it is normalised; a CR of the bytes before may still be outstanding.
        let needed = self.content.len() + if self.normalize { 2 * incoming } else { incoming } + 2;
        if needed <= self.granted {
            return None;
        }
        let spare = self.granted.min(MAX_SPARE);
        let whole = needed.max(self.granted + spare).next_multiple_of(BLOCK);
        Some(whole - self.granted)
    }

    /// Memory that [`Body::wants`] has asked for.
    pub(super) fn grant(&mut self, bytes: usize) {
        self.granted += bytes;
        self.content.reserve_exact(self.granted - self.content.len());
    }

    /// There is no memory: the rest is read and not kept.
    pub(super) fn refuse(&mut self) {
        self.no_memory = true;
        self.give_up();
    }

    /// Bytes of memory that are held.
    pub(super) fn granted(&self) -> usize {
        self.granted
    }

    /// Whether the end of DATA has come.
    pub(super) fn has_ended(&self) -> bool {
        self.edge == Edge::End
    }

    /// Takes bytes after DATA up to the end of the mail; returns how many.
    pub(super) fn take_data(&mut self, input: &[u8]) -> usize {
        let (mut at, mut from) = (0, 0);
        while at < input.len() && self.edge != Edge::End {
            let byte = input[at];
            match (self.edge, byte) {
                (Edge::Start, b'.') => {
                    self.store(&input[from..at]);
                    (self.edge, at) = (Edge::Dot, at + 1);
                    from = at;
                }
                (Edge::Dot, b'\r') => (self.edge, at, from) = (Edge::DotCr, at + 1, at + 1),
                (Edge::DotCr, b'\n') => (self.edge, at, from) = (Edge::End, at + 1, at + 1),
                (Edge::Cr, b'\n') => {
                    self.store(b"\r\n");
                    (self.edge, at, from) = (Edge::Start, at + 1, at + 1);
                }
                (Edge::Cr | Edge::DotCr, _) => {
                    self.bare();
                    (self.edge, from) = (Edge::Within, at);
                }
                _ => (at, from) = self.within(input, at, from),
            }
        }
        if from < at {
            self.store(&input[from..at]);
        }
        self.look_for_nul(&input[..at]);
        at
    }

    /// Goes on to behind the next CR or LF. `from` is where the bytes begin that are not stored yet; returns both anew.
    fn within(&mut self, input: &[u8], at: usize, from: usize) -> (usize, usize) {
        self.edge = Edge::Within;
        let Some(found) = memchr2(b'\r', b'\n', &input[at..]) else { return (input.len(), from) };
        let newline = at + found;
        match (input[newline], input.get(newline + 1)) {
            (b'\r', Some(b'\n')) => {
                self.edge = Edge::Start;
                (newline + 2, from)
            }
            (b'\r', None) => {
                self.store(&input[from..newline]);
                self.edge = Edge::Cr;
                (input.len(), input.len())
            }
            _ => {
                self.store(&input[from..newline]);
                self.bare();
                (newline + 1, newline + 1)
            }
        }
    }

    /// Takes octets of a chunk as they are: its length ends it (RFC 3030 §2).
    pub(super) fn take_chunk(&mut self, octets: &[u8]) {
        self.store(octets);
        self.look_for_nul(octets);
    }

    /// The mail, or what is wrong with it. A lasting fault goes before one that will pass.
    pub(super) fn finish(self) -> Result<Vec<u8>, Reply> {
        match self.fault() {
            Some(reply) => Err(reply),
            None => Ok(self.content),
        }
    }

    /// What is wrong so far.
    pub(super) fn fault(&self) -> Option<Reply> {
        match () {
            () if self.is_too_large() => Some(Reply::TooLarge),
            () if self.bare_newline => Some(Reply::BareNewlineInMail),
            () if self.nul => Some(Reply::NulInMail),
            () if self.no_memory => Some(Reply::NoMemory),
            () => None,
        }
    }

    fn is_faulty(&self) -> bool {
        self.bare_newline || self.nul || self.no_memory || self.is_too_large()
    }

    fn is_too_large(&self) -> bool {
        self.size > self.limit
    }

    fn store(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if !self.is_faulty() {
            self.content.extend_from_slice(bytes);
        } else if self.granted > 0 {
            self.give_up();
        }
    }

    fn bare(&mut self) {
        if self.normalize {
            self.store(b"\r\n");
        } else {
            self.bare_newline = true;
            self.give_up();
        }
    }

    fn look_for_nul(&mut self, bytes: &[u8]) {
        if !self.nul && memchr(0, bytes).is_some() {
            self.nul = true;
            self.give_up();
        }
    }

    /// Frees the memory of a mail that is not going to be kept.
    fn give_up(&mut self) {
        self.content = Vec::new();
        self.granted = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (Result<Vec<u8>, Reply>, usize, bool);

    /// Feeds `input` in pieces of `step` bytes; returns the outcome and how many bytes the mail took.
    fn decode(input: &[u8], step: usize, limit: u64, normalize: bool) -> Decoded {
        let mut body = Body::new(limit, normalize);
        let mut used = 0;
        for piece in input.chunks(step) {
            if let Some(bytes) = body.wants(piece.len()) {
                body.grant(bytes);
            }
            used += body.take_data(piece);
            assert!(body.content.len() <= body.granted, "never more than was granted");
            if body.has_ended() {
                break;
            }
        }
        let ended = body.has_ended();
        (body.finish(), used, ended)
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_mail() {
        type Case<'a> = (&'a [u8], Result<&'a [u8], Reply>);
        let cases: &[Case<'_>] = &[
            (b".\r\n", Ok(b"")),
            (b"..x\r\n.\r\n", Ok(b".x\r\n")),
            (b".x\r\n.\r\n", Ok(b"x\r\n")),
            (b"a\r\n..\r\n.\r\n", Ok(b"a\r\n.\r\n")),
            (b"a\r\n.b\r\n.\r\n", Ok(b"a\r\nb\r\n")),
            (b"a\r\n\r\n.\r\n", Ok(b"a\r\n\r\n")),
            (b"a\n.\n\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"a\r\n.\n\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"a\r\n.\r\r\n\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"a\r.\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"a\r\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"a\0\r\n.\r\n", Err(Reply::NulInMail)),
            (b"a\0\n\r\n.\r\n", Err(Reply::BareNewlineInMail)),
            (b"123456789\r\n.\r\n", Err(Reply::TooLarge)),
        ];
        for (input, wanted) in cases {
            for step in 1..=input.len() {
                let mut with_more = input.to_vec();
                with_more.extend_from_slice(b"QUIT\r\n");
                let (result, used, ended) = decode(&with_more, step, 10, false);
                assert!(ended, "{}", input.escape_ascii());
                assert_eq!(used, input.len(), "{} in {step}", input.escape_ascii());
                assert_eq!(result.as_deref(), wanted.as_deref(), "{} in {step}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn normalising_makes_bare_newlines_crlf_but_never_an_end() {
        let input = b"a\n.\nb\r.\rc\r\n.\r\r\nd\n\r\n.\r\n";
        for step in 1..=input.len() {
            let (result, used, ended) = decode(input, step, 1000, true);
            assert!(ended && used == input.len(), "in {step}");
            let wanted: &[u8] = b"a\r\n.\r\nb\r\n.\r\nc\r\n\r\n\r\nd\r\n\r\n";
            assert_eq!(
                result.unwrap().escape_ascii().to_string(),
                wanted.escape_ascii().to_string(),
                "in {step}"
            );
        }
    }

    #[test]
    fn a_faulty_mail_holds_no_memory() {
        let mut body = Body::new(10, false);
        body.grant(body.wants(8).unwrap());
        body.take_data(b"12345678");
        assert_eq!(body.granted(), BLOCK);
        body.take_data(b"90123");
        assert_eq!((body.granted(), body.content.capacity()), (0, 0));
        assert_eq!(body.wants(1 << 20), None);
        body.take_data(b"\r\n.\r\n");
        assert!(body.has_ended());
        assert_eq!(body.finish(), Err(Reply::TooLarge));
    }

    /// The obvious decoder, a byte at a time: what the fast one must agree with.
    fn slow(input: &[u8]) -> Option<(Vec<u8>, bool, usize)> {
        let (mut out, mut line_start, mut bare, mut i) = (Vec::new(), true, false, 0);
        while i < input.len() {
            if line_start && input[i..].starts_with(b".\r\n") {
                return Some((out, bare, i + 3));
            }
            if line_start && input[i] == b'.' {
                i += 1;
            }
            line_start = false;
            if input[i..].starts_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
                (i, line_start) = (i + 2, true);
            } else if i < input.len() {
                let newline = matches!(input[i], b'\r' | b'\n');
                bare |= newline;
                out.extend_from_slice(if newline { b"\r\n" } else { &input[i..=i] });
                i += 1;
            }
        }
        None
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_decoder(
            input in proptest::collection::vec(proptest::sample::select(b"\r\n.a\r\n.".to_vec()), 0..60),
            step in 1_usize..9,
        ) {
            let mut input = input;
            input.extend_from_slice(b"\r\n.\r\nrest");
            if let Some((content, bare, used)) = slow(&input) {
                let (normal, normal_used, _) = decode(&input, step, 1 << 20, true);
                prop_assert_eq!(normal, Ok(content));
                prop_assert_eq!(normal_used, used);
                let (strict, strict_used, _) = decode(&input, step, 1 << 20, false);
                prop_assert_eq!(strict.is_err(), bare);
                prop_assert_eq!(strict_used, used);
            }
        }
    }
}
