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

use std::{fs, path::Path};

use vestibule::smtp::{Delivery, Ended, Input, MailAnswer};

use crate::{
    session::{Run, Setting},
    support,
};

/// One line of a fixture that does something.
#[derive(Debug, Clone)]
enum Move {
    Send(Vec<u8>),
    Expect(String),
    Event(Input<'static>),
}

/// A fixture.
struct Dialogue {
    setting: Setting,
    moves: Vec<Move>,
    ends: Option<String>,
    mails: Vec<(String, Vec<u8>)>,
}

impl Dialogue {
    fn read(text: &str) -> Self {
        let mut dialogue = Self {
            setting: Setting::new(support::HOSTNAME, support::routes()),
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
            "max_message_size" => self.setting.policy.max_message_size = value.parse().ok()?,
            "max_recipients" => self.setting.policy.max_recipients = value.parse().ok()?,
            "starttls" => {
                self.setting.policy.starttls = true;
                self.setting.certificate = value == "offered";
            }
            "xclient" => self.setting.trusted = value == "yes",
            "require_tls" => self.setting.policy.require_tls = value == "yes",
            "memory" => self.setting.memory = value.parse().ok()?,
            "bare_newlines" => self.setting.policy.normalize_newlines = value == "normalize",
            "answer" => self.setting.answer = answer(value)?,
            "delivery" => self.setting.delivery = delivery(value)?,
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
    let mut run = Run::new(&dialogue.setting);
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
    let mut run = Run::new(&dialogue.setting);
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
            let mut run = Run::new(&dialogue.setting);
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
