//! SMTP sessions. The first byte chooses the setting, the second the size of the pieces; the rest is what the client sends.

use vestibule::smtp::{Input, RouteTable};

use crate::session::{Run, Setting};

/// Begins a mail, so that what follows is bytes of one.
const MAIL: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<postmaster>\r\nDATA\r\n";

const NORMALIZE: u8 = 1;
const TRUSTED: u8 = 2;
const STARTTLS: u8 = 4;
const TIGHT: u8 = 8;
const IN_MAIL: u8 = 16;

/// Whatever comes, in whatever pieces: the same replies and mails; every reply as RFC 5321 §4.2 has it, and nothing piles up
/// (`Run` checks both); a mail of DATA is what stood before CRLF.CRLF, and no other bytes end one.
pub(crate) fn holds(data: &[u8]) {
    let [choice, size, sent @ ..] = data else { return };
    let mut sent = sent.to_vec();
    if choice & IN_MAIL != 0 {
        sent.splice(0..0, MAIL.iter().copied());
    }
    let setting = setting(*choice);
    let whole = run(&setting, &sent, usize::MAX);
    let pieces = run(&setting, &sent, usize::from(*size) % 97 + 1);
    // Where a piece ends behind STARTTLS decides whether bytes were left behind it (B04): there the pieces matter.
    if choice & STARTTLS == 0 {
        assert_eq!(whole.replies, pieces.replies, "replies");
        assert_eq!(whole.mails, pieces.mails, "mails");
        assert_eq!(whole.ended, pieces.ended, "end");
    }
    let chunking = contains(&sent.to_ascii_uppercase(), b"BDAT");
    for (_, mail) in whole.mails.iter().chain(&pieces.mails) {
        assert!(mail.len() as u64 <= setting.policy.max_message_size, "a mail larger than is taken");
        if !chunking {
            ended_by_crlf_dot_crlf(mail, &sent, setting.policy.normalize_newlines);
        }
    }
}

fn setting(choice: u8) -> Setting {
    let routes = RouteTable::new(Some('+'), true, "mx.example".parse().expect("a domain"));
    let mut setting = Setting::new("mx.example", routes);
    setting.policy.normalize_newlines = choice & NORMALIZE != 0;
    setting.policy.starttls = choice & STARTTLS != 0;
    setting.trusted = choice & TRUSTED != 0;
    if choice & TIGHT != 0 {
        setting.policy.max_message_size = 60;
        setting.policy.max_recipients = 2;
    }
    setting
}

fn run<'a>(setting: &'a Setting, sent: &[u8], size: usize) -> Run<'a> {
    let mut run = Run::new(setting);
    for piece in sent.chunks(size) {
        run.send(piece);
        if run.handshake {
            run.tell(Some(Input::Encrypted));
        }
    }
    run
}

/// The end of a mail, in `unstuffed`.
const END: &[u8] = b"\0end of mail\r\n";

fn ended_by_crlf_dot_crlf(mail: &[u8], sent: &[u8], normalized: bool) {
    let mut previous = 0;
    for &byte in mail {
        assert_eq!(byte == b'\n', previous == b'\r', "a bare CR or LF was taken");
        previous = byte;
    }
    assert!(mail.is_empty() || mail.ends_with(b"\r\n"), "a line without its end");
    if !normalized {
        let wanted = [b"\r\n", mail, END].concat();
        assert!(contains(&unstuffed(sent), &wanted), "the mail is not what stood before CRLF.CRLF");
    }
}

/// Every line, only CRLF ending one, as if it were of a mail (RFC 5321 §4.5.2).
fn unstuffed(sent: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sent.len());
    let mut rest = sent;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, left) = rest.split_at(end + 2);
        out.extend_from_slice(if line == b".\r\n" { END } else { line.strip_prefix(b".").unwrap_or(line) });
        rest = left;
    }
    out
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
