//! SMTP sessions as data: `fixtures/dialogues/*.smtp`, each line one of
//!
//! ```text
//! # remark
//! @ max_message_size 100     policy: also max_recipients, bare_newlines normalize, memory (bytes that may be granted),
//!                            starttls (offered; then withdrawn: has gone since), require_tls yes, xclient yes (the peer
//!                            may use it)
//! @ answer low-space         what MAIL is answered with; @ delivery rejected: what becomes of each mail
//! C: NOOP                    the client sends this line with CRLF
//! C> NO\rOP\n                the client sends these bytes: \r \n \t \0 \\ \xNN, and \{1000*x} for repeated ones
//! S: 250 2.0.0               the server answers with a line that begins so; * stands for anything
//! ! idle                     also stopping, too-slow; tls: the handshake is made, nothing sent before it is left
//! X: quit                    the session ends so; without it, it is still open at the end
//! mail: ESMTP <a@b.example> it@help.example     a mail is delivered, with this envelope
//! = Subject: x\r\n           and these bytes
//! ```
//!
//! Each runs as written (every reply must come where it stands), and then with the bytes in one piece, one by one and in
//! odd pieces: replies and mails must be the same.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use vestibule::{
    smtp::{Action, Delivery, Ended, Input, MAX_LINE, MailAnswer, Policy, ReceivedMail, Session},
    types::MailId,
};

use crate::support;

/// One line of a fixture that does something.
#[derive(Debug, Clone)]
enum Move {
    Send(Vec<u8>),
    Expect(String),
    Event(Input<'static>),
}

/// A fixture.
struct Dialogue {
    policy: Policy,
    memory: usize,
    certificate: bool,
    trusted: bool,
    answer: MailAnswer,
    delivery: Delivery,
    moves: Vec<Move>,
    ends: Option<String>,
    mails: Vec<(String, Vec<u8>)>,
}

impl Dialogue {
    fn read(text: &str) -> Self {
        let mut dialogue = Self {
            policy: Policy {
                hostname: support::HOSTNAME.to_owned(),
                max_message_size: 10 << 20,
                max_recipients: 100,
                normalize_newlines: false,
                starttls: false,
                require_tls: false,
                routes: Arc::new(support::routes()),
                bounces: None,
            },
            memory: usize::MAX,
            certificate: true,
            trusted: false,
            answer: MailAnswer::Open,
            delivery: Delivery::Accepted,
            moves: Vec::new(),
            ends: None,
            mails: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            dialogue.line(line).unwrap_or_else(|| panic!("line {}: can't read {line:?}", number + 1));
        }
        dialogue
    }

    fn line(&mut self, line: &str) -> Option<()> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Some(());
        }
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "@" => self.setting(rest)?,
            "C:" => self.moves.push(Move::Send([unescape(rest)?, b"\r\n".to_vec()].concat())),
            "C>" => self.moves.push(Move::Send(unescape(rest)?)),
            "S:" => self.moves.push(Move::Expect(rest.to_owned())),
            "!" => self.moves.push(Move::Event(event(rest)?)),
            "X:" => self.ends = Some(rest.to_owned()),
            "mail:" => self.mails.push((rest.to_owned(), Vec::new())),
            "=" => self.mails.last_mut()?.1.extend(unescape(rest)?),
            _ => return None,
        }
        Some(())
    }

    fn setting(&mut self, text: &str) -> Option<()> {
        let (key, value) = text.split_once(' ')?;
        match key {
            "max_message_size" => self.policy.max_message_size = value.parse().ok()?,
            "max_recipients" => self.policy.max_recipients = value.parse().ok()?,
            "starttls" => {
                self.policy.starttls = true;
                self.certificate = value == "offered";
            }
            "xclient" => self.trusted = value == "yes",
            "require_tls" => self.policy.require_tls = value == "yes",
            "memory" => self.memory = value.parse().ok()?,
            "bare_newlines" => self.policy.normalize_newlines = value == "normalize",
            "answer" => self.answer = answer(value)?,
            "delivery" => self.delivery = delivery(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn event(name: &str) -> Option<Input<'static>> {
    Some(match name {
        "idle" => Input::Idle,
        "stopping" => Input::Stopping,
        "too-slow" => Input::TooSlow,
        "tls" => Input::Encrypted,
        _ => return None,
    })
}

fn answer(name: &str) -> Option<MailAnswer> {
    Some(match name {
        "not-writable" => MailAnswer::NotWritable,
        "low-space" => MailAnswer::LowSpace,
        "no-memory" => MailAnswer::NoMemory,
        "rate-limited" => MailAnswer::RateLimited,
        "stopping" => MailAnswer::Stopping,
        _ => return None,
    })
}

fn delivery(name: &str) -> Option<Delivery> {
    Some(match name {
        "rejected" => Delivery::Rejected,
        "too-complex" => Delivery::TooComplex,
        "nul" => Delivery::Nul,
        "unavailable" => Delivery::Unavailable,
        _ => return None,
    })
}

/// Bytes with `\r \n \t \0 \\ \xNN` and `\{COUNT*TEXT}`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut used = 2;
        match rest.as_bytes().get(at + 1)? {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                out.push(u8::from_str_radix(rest.get(at + 2..at + 4)?, 16).ok()?);
                used = 4;
            }
            b'{' => {
                let (inner, _) = rest[at + 2..].split_once('}')?;
                let (count, unit) = inner.split_once('*')?;
                out.extend(unescape(unit)?.repeat(count.parse().ok()?));
                used = inner.len() + 3;
            }
            _ => return None,
        }
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

/// The driver's part, without sockets.
struct Run<'a> {
    dialogue: &'a Dialogue,
    session: Session,
    pending: Vec<u8>,
    replies: Vec<String>,
    mails: Vec<(String, Vec<u8>)>,
    granted: usize,
    handshake: bool,
    ended: Option<Ended>,
}

impl<'a> Run<'a> {
    fn new(dialogue: &'a Dialogue) -> Self {
        let mut run = Self {
            dialogue,
            session: if dialogue.trusted { Session::of_trusted_relay() } else { Session::new() },
            pending: Vec::new(),
            replies: Vec::new(),
            mails: Vec::new(),
            granted: 0,
            handshake: false,
            ended: None,
        };
        run.tell(Some(Input::Connected));
        run
    }

    fn send(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.tell(None);
    }

    /// Steps until the session wants to read or is over.
    fn tell(&mut self, mut told: Option<Input<'static>>) {
        if matches!(told, Some(Input::Encrypted)) {
            assert!(self.handshake && self.pending.is_empty(), "no handshake is due");
            self.handshake = false;
        }
        assert!(!self.handshake, "more is said before the handshake");
        while self.ended.is_none() {
            let input = told.take().unwrap_or(Input::Bytes(&self.pending));
            let step = self.session.step(input, &self.dialogue.policy);
            self.pending.drain(..step.used);
            if !matches!(step.action, Action::Deliver(_)) {
                self.granted = self.granted.min(self.session.held_memory());
            }
            let refusal = self.session.take_refusal();
            let refused = refusal.as_ref().map(|refusal| refusal.reply.code());
            let before = self.replies.len();
            self.collect();
            let codes: Vec<u16> =
                self.replies[before..].iter().map(|line| line[..3].parse().unwrap()).collect();
            let refusals: Vec<u16> = codes.into_iter().filter(|code| *code >= 400).collect();
            assert_eq!(
                refusals,
                refused.into_iter().collect::<Vec<u16>>(),
                "every refusal is reported, no other"
            );
            told = match step.action {
                Action::Continue | Action::Peer(_) => None,
                Action::Read => break,
                Action::Mail(_) => Some(Input::Mail(self.dialogue.answer)),
                Action::Reserve(bytes) => Some(Input::Memory(self.reserve(bytes))),
                Action::Deliver(mail) => Some(self.deliver(mail)),
                Action::StartTls => Some(Input::StartTls(self.dialogue.certificate)),
                Action::Handshake => {
                    self.handshake = true;
                    break;
                }
                Action::Close(ended) => {
                    self.ended = Some(ended);
                    None
                }
            };
        }
        if self.ended.is_none() {
            assert!(self.pending.len() < MAX_LINE, "the session lets bytes pile up: {}", self.pending.len());
        }
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        assert!(bytes <= 1 << 20, "asks for far more than it was given: {bytes}");
        let fits = self.granted.saturating_add(bytes) <= self.dialogue.memory;
        self.granted += if fits { bytes } else { 0 };
        fits
    }

    fn deliver(&mut self, mail: ReceivedMail) -> Input<'static> {
        let id = MailId::new(uuid::Uuid::from_u128(self.mails.len() as u128 + 1));
        assert!(!mail.recipients.is_empty());
        let mut envelope = format!("{} <{}>", protocol(&mail), mail.reverse_path);
        for recipient in &mail.recipients {
            let _ = write!(envelope, " {}", recipient.address);
        }
        self.mails.push((envelope, mail.content));
        self.granted = 0;
        Input::Delivered(id, self.dialogue.delivery)
    }

    /// Takes the replies; each line must be one that RFC 5321 §4.2 and RFC 2034 §4 allow.
    fn collect(&mut self) {
        let text = String::from_utf8(self.session.replies().to_vec()).expect("replies are text");
        self.session.clear_replies();
        for line in text.split_inclusive("\r\n") {
            assert!(line.len() <= 512 && line.ends_with("\r\n"), "{line:?}");
            let line = &line[..line.len() - 2];
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let class = &line[..1];
            let hello = matches!(&line[..4], "220 " | "250-" | "354 ") || line.starts_with("250 mx.");
            let exempt = hello || line == "250 CHUNKING";
            assert!(exempt || line[4..].starts_with(&format!("{class}.")), "no enhanced code: {line:?}");
            self.replies.push(line.to_owned());
        }
    }
}

fn protocol(mail: &ReceivedMail) -> String {
    let name = serde_json::to_value(mail.protocol).unwrap();
    name.as_str().unwrap().to_owned()
}

/// `*` stands for anything; the rest must be there, from the beginning of the line on.
fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    pieces.all(|piece| {
        rest.find(piece).is_some_and(|at| {
            rest = &rest[at + piece.len()..];
            true
        })
    })
}

/// As written: each reply where it stands.
fn run_as_written<'a>(dialogue: &'a Dialogue, name: &str) -> Run<'a> {
    let mut run = Run::new(dialogue);
    let mut seen = 0;
    for next in &dialogue.moves {
        match next {
            Move::Expect(pattern) => {
                let line =
                    run.replies.get(seen).unwrap_or_else(|| panic!("{name}: no reply for S: {pattern}"));
                assert!(matches(pattern, line), "{name}: wanted {pattern:?}, got {line:?}");
                seen += 1;
            }
            other => {
                assert_eq!(
                    run.replies.get(seen),
                    None,
                    "{name}: a reply that is not expected before {other:?}"
                );
                match other {
                    Move::Send(bytes) => run.send(bytes),
                    Move::Event(input) => run.tell(Some(*input)),
                    Move::Expect(_) => unreachable!(),
                }
            }
        }
    }
    assert_eq!(run.replies.get(seen), None, "{name}: a reply more than is expected");
    run
}

/// In pieces whose sizes are taken from `sizes` in turn.
fn run_in_pieces<'a>(dialogue: &'a Dialogue, sizes: &[usize]) -> Run<'a> {
    let mut run = Run::new(dialogue);
    let mut sizes = sizes.iter().copied().cycle();
    let mut waiting = Vec::new();
    let mut flush = |run: &mut Run<'a>, waiting: &mut Vec<u8>| {
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            run.send(piece);
            rest = left;
        }
        waiting.clear();
    };
    for next in &dialogue.moves {
        match next {
            Move::Send(bytes) => waiting.extend_from_slice(bytes),
            Move::Expect(_) => {}
            Move::Event(input) => {
                flush(&mut run, &mut waiting);
                run.tell(Some(*input));
            }
        }
    }
    flush(&mut run, &mut waiting);
    run
}

fn check(name: &str, dialogue: &Dialogue) {
    let written = run_as_written(dialogue, name);
    assert_eq!(written.ended.map(Ended::as_str), dialogue.ends.as_deref(), "{name}: how it ended");
    let shown = |mails: &[(String, Vec<u8>)]| -> Vec<(String, String)> {
        mails.iter().map(|(envelope, bytes)| (envelope.clone(), bytes.escape_ascii().to_string())).collect()
    };
    assert_eq!(shown(&written.mails), shown(&dialogue.mails), "{name}: mails");
    for (way, sizes) in
        [("whole", &[usize::MAX][..]), ("bytes", &[1]), ("odd", &[3, 1, 7, 2, 61, 5]), ("big", &[1500])]
    {
        let run = run_in_pieces(dialogue, sizes);
        assert_eq!(run.replies, written.replies, "{name}: replies, fed in pieces: {way}");
        assert_eq!(run.ended, written.ended, "{name}: fed in pieces: {way}");
        assert_eq!(shown(&run.mails), shown(&written.mails), "{name}: mails, fed in pieces: {way}");
    }
}

#[test]
fn every_dialogue_goes_as_written_in_any_pieces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dialogues");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut moves = 0;
    for path in &names {
        assert_eq!(path.extension().unwrap(), "smtp", "{}", path.display());
        let dialogue = Dialogue::read(&fs::read_to_string(path).unwrap());
        let replies = dialogue.moves.iter().filter(|next| matches!(next, Move::Expect(_))).count();
        assert!(replies > 1, "{}: a dialogue without replies", path.display());
        moves += dialogue.moves.len();
        check(&path.file_stem().unwrap().to_string_lossy(), &dialogue);
    }
    assert!(names.len() >= 20 && moves > 300, "only {} dialogues with {moves} lines ran", names.len());
}

#[test]
fn the_runner_tells_when_a_dialogue_goes_otherwise() {
    for wrong in [
        "S: 220\nC: NOOP\nS: 500",
        "S: 220\nC: NOOP",
        "S: 220\nC: NOOP\nS: 250\nS: 250",
        "S: 220\nC: QUIT\nS: 221",
        "S: 220\nX: quit",
        "S: 220\nmail: SMTP <>",
    ] {
        let dialogue = Dialogue::read(wrong);
        let outcome = std::panic::catch_unwind(|| check("wrong", &dialogue));
        assert!(outcome.is_err(), "{wrong:?} went through");
    }
    assert!(matches("250 * accepted", "250 2.0.0 id accepted"));
    assert!(!matches("250 * accepted", "250 2.0.0 id"));
    assert_eq!(unescape("a\\r\\{3*\\x41b}").unwrap(), b"a\rAbAbAb");
}

/// B04 (CVE-2011-0411): bytes behind STARTTLS end the session, without the 220 and unused, wherever the line was cut.
#[test]
fn bytes_behind_starttls_are_never_used() {
    let dialogue = Dialogue::read("@ starttls offered");
    let line: &[u8] = b"STARTTLS\r\n";
    for behind in [&b"RSET\r\n"[..], b"R", b"\x16\x03\x01", b"\r\n", b"EHLO x\r\nMAIL FROM:<>\r\n"] {
        for cut in 0..line.len() {
            let mut run = Run::new(&dialogue);
            run.send(&line[..cut]);
            run.send(&[&line[cut..], behind].concat());
            assert_eq!(run.replies.len(), 2, "{cut}: {:?}", run.replies);
            assert!(run.replies[1].starts_with("421 4.7.0 "), "{cut}: {:?}", run.replies);
            assert_eq!(run.ended, Some(Ended::Errors));
            assert!(run.pending.is_empty() && !run.handshake);
        }
    }
}

/// What hostile clients are made of.
const SHARDS: [&[u8]; 20] = [
    b"EHLO client.example\r\n",
    b"MAIL FROM:<a@client.example>\r\n",
    b"RCPT TO:<it@help.example>\r\n",
    b"DATA\r\n",
    b"BDAT 7\r\n",
    b"BDAT 3 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b".\r\n",
    b"\r\n",
    b".",
    b"\r",
    b"\n",
    b"\0",
    b"x",
    b"text of a mail\r\n",
    b"\xc3\xa9",
    b"BDAT 18446744073709551615\r\n",
    b"MAIL FROM:<a@client.example> SIZE=99\r\n",
    b"QUIT\r\n",
];

proptest::proptest! {
    /// Whatever comes, in whatever pieces: no panic, nothing piles up, and the pieces make no difference.
    #[test]
    fn pieces_never_matter(
        shards in proptest::collection::vec(proptest::sample::select(&SHARDS[..]), 0..40),
        size in 1_usize..40,
    ) {
        let mut dialogue = Dialogue::read("@ max_message_size 60");
        let hello = Move::Send(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n".to_vec());
        dialogue.moves = vec![hello, Move::Send(shards.concat())];
        let whole = run_in_pieces(&dialogue, &[usize::MAX]);
        let pieces = run_in_pieces(&dialogue, &[size]);
        proptest::prop_assert_eq!(whole.replies, pieces.replies);
        proptest::prop_assert_eq!(whole.mails, pieces.mails);
        proptest::prop_assert_eq!(whole.ended, pieces.ended);
    }
}
