//! Every reply that the daemon ever gives, one row each. A reply is made only from this table, so the same case never
//! gets two classes, and nothing that a peer has written is ever in a reply.

/// What a reply means for the peer's next step (RFC 5321 §4.2.1). The first digit of the code and of the enhanced code
/// both come from it, so they can't differ (RFC 2034 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permanence {
    /// 2: done.
    Done,
    /// 3: go on.
    GoOn,
    /// 4: not now; the mail stays with the relay, which tries again.
    Transient,
    /// 5: never; the relay tells the sender.
    Permanent,
}

impl Permanence {
    const fn digit(self) -> u16 {
        match self {
            Self::Done => 2,
            Self::GoOn => 3,
            Self::Transient => 4,
            Self::Permanent => 5,
        }
    }
}

/// One row: the class, the last two digits of the code, subject and detail of the enhanced code (RFC 3463), the name in
/// logs and counters, the text. `{}` in the text stands for our host name or a mail's id.
struct Row {
    permanence: Permanence,
    digits: u16,
    status: Option<(u8, u8)>,
    name: &'static str,
    text: &'static str,
}

macro_rules! replies {
    ($($(#[$doc:meta])* $variant:ident: $permanence:ident $digits:literal $status:expr, $name:literal, $text:literal;)*) => {
        /// A reply of the table. Multi-line only for EHLO, which is [`Reply::Hello`] and the keywords.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reply {
            $($(#[$doc])* $variant,)*
        }

        impl Reply {
            /// All rows, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        permanence: Permanence::$permanence,
                        digits: $digits,
                        status: $status,
                        name: $name,
                        text: $text,
                    },)*
                }
            }
        }
    };
}

replies! {
    /// The first line of a session (RFC 5321 §3.1).
    Greeting: Done 20 None, "greeting", "{} ESMTP vestibule";
    /// HELO, and the first line of EHLO; RFC 2034 §4 wants no enhanced code here.
    Hello: Done 50 None, "hello", "{}";
    /// MAIL is taken.
    SenderOk: Done 50 Some((1, 0)), "sender-ok", "sender ok";
    /// RCPT is taken.
    RecipientOk: Done 50 Some((1, 5)), "recipient-ok", "recipient ok";
    /// DATA: send the mail.
    StartMail: GoOn 54 None, "start-mail", "send the mail, end it with a line that holds only a dot";
    /// A chunk that is not the last (RFC 3030 §2).
    ChunkTaken: Done 50 Some((0, 0)), "chunk-taken", "chunk taken";
    /// The mail is decided and on disk.
    Accepted: Done 50 Some((0, 0)), "accepted", "{} accepted";
    /// RSET.
    Reset: Done 50 Some((0, 0)), "reset", "reset";
    /// NOOP.
    Ok: Done 50 Some((0, 0)), "ok", "ok";
    /// STARTTLS: the handshake begins (RFC 3207 §4).
    StartTls: Done 20 Some((0, 0)), "start-tls", "begin the TLS handshake";
    /// QUIT.
    Bye: Done 21 Some((0, 0)), "bye", "{} closing";
    /// VRFY: never tells whether an address exists (RFC 5321 §7.3).
    CannotVerify: Done 52 Some((5, 0)), "cannot-verify", "not verified here; send the mail and it will be tried";
    /// HELP.
    Help: Done 14 Some((0, 0)), "help", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT";

    /// Nothing came for too long between commands.
    Idle: Transient 21 Some((4, 2)), "idle", "{} waited too long for a command";
    /// A command line or a mail comes too slowly.
    TooSlow: Transient 21 Some((4, 2)), "too-slow", "{} gives up: the line or the mail comes too slowly";
    /// The daemon stops.
    Stopping: Transient 21 Some((3, 2)), "stopping", "{} is stopping, try again soon";
    /// The cap of connections, in all or of this peer.
    TooManyConnections: Transient 21 Some((3, 2)), "too-many-connections", "{} has too many connections";
    /// The peer is not in `smtp.allow_from`. Transient: a mistake in a network list must not bounce mail.
    PeerNotAllowed: Transient 21 Some((7, 1)), "peer-not-allowed", "{} takes no mail from your address";
    /// The store takes no writes, at connect.
    StoreClosed: Transient 21 Some((3, 0)), "store-not-writable", "{} can't store mail at present";
    /// Too many errors in one session.
    TooManyErrors: Transient 21 Some((7, 0)), "too-many-errors", "{} has seen too many errors";
    /// Too many unknown recipients in one session.
    TooManyUnknown: Transient 21 Some((7, 0)), "too-many-unknown-recipients", "{} has seen too many unknown recipients";
    /// An HTTP request.
    NotSmtp: Transient 21 Some((7, 0)), "not-smtp", "{} speaks SMTP";
    /// Bytes behind STARTTLS: commands that somebody on the way may have put there (CVE-2011-0411). None of them is used.
    BehindStartTls: Transient 21 Some((7, 0)), "behind-starttls", "{} got commands behind STARTTLS";
    /// STARTTLS was offered, and the certificate has gone since (RFC 3207 §4).
    TlsUnavailable: Transient 54 Some((7, 0)), "tls-unavailable", "TLS is not available at present";
    /// The store takes no writes, at MAIL.
    StoreNotWritable: Transient 51 Some((3, 0)), "store-not-writable", "mail can't be stored at present";
    /// A write failed; nothing of the mail is kept.
    NotStored: Transient 51 Some((3, 0)), "not-stored", "the mail could not be stored, try again";
    /// DNS gives no answer to what the sender is checked by; nothing of the mail is kept.
    SenderUnchecked: Transient 51 Some((7, 0)), "sender-unchecked", "the sender can't be checked at present, try again";
    /// Less free space than `store.min_free`.
    LowSpace: Transient 52 Some((3, 1)), "low-space", "not enough space for mail at present";
    /// The budget for mail in flight is used up.
    NoMemory: Transient 52 Some((3, 1)), "memory-budget", "too much mail in flight, try again";
    /// A rate limit.
    RateLimited: Transient 50 Some((7, 1)), "rate-limited", "too many mails, try again later";
    /// More recipients than `smtp.max_recipients`; the earlier ones are kept (RFC 5321 §4.5.3.1.10).
    TooManyRecipients: Transient 52 Some((5, 3)), "too-many-recipients", "too many recipients";

    /// No such command.
    UnknownCommand: Permanent 0 Some((5, 1)), "unknown-command", "unknown command";
    /// A command line over the limit.
    LineTooLong: Permanent 0 Some((5, 2)), "line-too-long", "command line too long";
    /// A bare CR or LF in a command line; the line is not run.
    BareNewlineInCommand: Permanent 0 Some((5, 2)), "bare-newline-in-command", "command lines end in CRLF";
    /// NUL or another control character in a command line.
    ControlInCommand: Permanent 0 Some((5, 2)), "control-in-command", "control character in the command line";
    /// A command line that is no UTF-8 (RFC 6531 §3.3).
    NotUtf8: Permanent 1 Some((5, 2)), "not-utf8", "the command line is not UTF-8";
    /// A missing, superfluous or malformed argument.
    BadArgument: Permanent 1 Some((5, 4)), "bad-argument", "missing, superfluous or malformed argument";
    /// The reverse-path does not parse.
    BadReversePath: Permanent 1 Some((1, 7)), "bad-reverse-path", "write MAIL FROM:<user@example.com>";
    /// The forward-path does not parse.
    BadForwardPath: Permanent 1 Some((1, 3)), "bad-forward-path", "write RCPT TO:<user@example.com>";
    /// Known, but not offered here: EXPN, AUTH and more; STARTTLS without a certificate.
    NotOffered: Permanent 2 Some((5, 1)), "not-offered", "not offered here";
    /// Needs EHLO or HELO first.
    HelloFirst: Permanent 3 Some((5, 1)), "hello-first", "send EHLO first";
    /// MAIL inside a transaction.
    NestedMail: Permanent 3 Some((5, 1)), "nested-mail", "a mail is already begun";
    /// STARTTLS within TLS (RFC 3207 §4.2).
    AlreadyTls: Permanent 3 Some((5, 1)), "already-tls", "TLS is already on";
    /// MAIL without TLS where the site requires it (RFC 3207 §4).
    TlsRequired: Permanent 30 Some((7, 0)), "tls-required", "send STARTTLS first";
    /// RCPT, DATA or BDAT without MAIL.
    MailFirst: Permanent 3 Some((5, 1)), "mail-first", "send MAIL first";
    /// DATA or RCPT after BDAT (RFC 3030 §2).
    ChunksBegun: Permanent 3 Some((5, 1)), "chunks-begun", "the mail is coming in chunks, go on with BDAT";
    /// DATA or BDAT, but no recipient was accepted.
    NoRecipients: Permanent 54 Some((5, 1)), "no-recipients", "no valid recipients";
    /// A parameter of MAIL or RCPT that is not offered (RFC 5321 §4.1.1.11).
    UnknownParameter: Permanent 55 Some((5, 4)), "unknown-parameter", "parameter not offered here";
    /// A UTF-8 address without SMTPUTF8 (RFC 6531 §3.5).
    Utf8NotDeclared: Permanent 53 Some((6, 7)), "utf8-not-declared", "a UTF-8 address needs SMTPUTF8 on MAIL";
    /// XCLIENT or XFORWARD of a peer that is not in `smtp.xclient_from`.
    MayNotSpeakForOthers: Permanent 50 Some((7, 0)), "xclient-not-allowed", "you may not speak for other clients";
    /// An address of no project.
    UnknownRecipient: Permanent 50 Some((1, 1)), "unknown-recipient", "no such recipient here";
    /// Larger than `smtp.max_message_size`.
    TooLarge: Permanent 52 Some((3, 4)), "too-large", "the mail is larger than allowed";
    /// A bare CR or LF in DATA.
    BareNewlineInMail: Permanent 50 Some((6, 0)), "bare-newline-in-mail", "lines of a mail end in CRLF";
    /// NUL in the mail.
    NulInMail: Permanent 54 Some((6, 0)), "nul-in-mail", "NUL in the mail";
    /// A structural limit of the mail.
    TooComplex: Permanent 52 Some((6, 0)), "too-complex", "the structure of the mail is over a limit";
    /// Dropped, and the site wants its relay to say so.
    Rejected: Permanent 50 Some((7, 1)), "rejected", "this service does not take requests from the sender";
}

impl Reply {
    /// The three-digit code.
    pub const fn code(self) -> u16 {
        let row = self.row();
        row.permanence.digit() * 100 + row.digits
    }

    /// What it means for the peer's next step.
    pub const fn permanence(self) -> Permanence {
        self.row().permanence
    }

    /// The name of the row: `reason` of `smtp.refused`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether it refuses something.
    pub const fn is_refusal(self) -> bool {
        matches!(self.permanence(), Permanence::Transient | Permanence::Permanent)
    }

    /// Whether the session ends with it (RFC 5321 §3.8: 421, and 221 to QUIT).
    pub const fn closes(self) -> bool {
        matches!(self.code(), 221 | 421)
    }

    /// Appends the line with its CRLF. `argument` takes the place of `{}`: our host name or an id of ours, never
    /// anything of the peer's.
    pub fn write(self, out: &mut Vec<u8>, argument: &str) {
        self.write_with(out, b' ', argument);
    }

    /// Appends the line as the first or a middle one of a multi-line reply.
    pub(super) fn write_more(self, out: &mut Vec<u8>, argument: &str) {
        self.write_with(out, b'-', argument);
    }

    fn write_with(self, out: &mut Vec<u8>, separator: u8, argument: &str) {
        let row = self.row();
        push_number(out, self.code());
        out.push(separator);
        if let Some((subject, detail)) = row.status {
            push_number(out, row.permanence.digit());
            out.push(b'.');
            push_number(out, subject.into());
            out.push(b'.');
            push_number(out, detail.into());
            out.push(b' ');
        }
        match row.text.split_once("{}") {
            Some((before, after)) => {
                for piece in [before, argument, after] {
                    out.extend_from_slice(piece.as_bytes());
                }
            }
            None => out.extend_from_slice(row.text.as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The line alone, for a connection that gets no session.
    pub fn line(self, argument: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        self.write(&mut out, argument);
        out
    }
}

fn push_number(out: &mut Vec<u8>, number: u16) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Longest host name there is.
    fn longest_argument() -> String {
        "h".repeat(255)
    }

    #[test]
    fn every_row_is_a_valid_reply_line() {
        assert!(Reply::ALL.len() > 40);
        for reply in Reply::ALL {
            let line = String::from_utf8(reply.line(&longest_argument())).unwrap();
            assert!(line.len() <= 512, "RFC 5321 §4.5.3.1.5: {line}");
            assert!(line.is_ascii() && line.ends_with("\r\n") && line.matches(['\r', '\n']).count() == 2);
            let mut words = line.split(' ');
            assert_eq!(words.next().unwrap(), reply.code().to_string());
            let enhanced = words.next().unwrap();
            let wanted = !matches!(reply, Reply::Greeting | Reply::Hello | Reply::StartMail);
            let digits: Vec<&str> = enhanced.split('.').collect();
            let has = digits.len() == 3 && digits.iter().all(|part| part.parse::<u8>().is_ok());
            assert_eq!(has, wanted, "{line}");
            if wanted {
                assert_eq!(digits[0].as_bytes()[0], line.as_bytes()[0], "the classes agree: {line}");
            }
        }
    }

    #[test]
    fn one_name_has_one_class() {
        let mut classes = HashMap::new();
        for reply in Reply::ALL {
            let class = *classes.entry(reply.name()).or_insert(reply.permanence());
            assert_eq!(class, reply.permanence(), "{}", reply.name());
        }
    }

    #[test]
    fn lines_read_as_written() {
        assert_eq!(Reply::Accepted.line("01890a5d"), b"250 2.0.0 01890a5d accepted\r\n");
        assert_eq!(Reply::Greeting.line("mx.example"), b"220 mx.example ESMTP vestibule\r\n");
        assert_eq!(Reply::Help.code(), 214);
        assert_eq!(Reply::UnknownCommand.code(), 500);
    }
}
