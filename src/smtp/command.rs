//! One command line, parsed (RFC 5321 §4.1.1, RFC 1870, RFC 3030, RFC 6152, RFC 6531).

use super::{Reply, path};

/// A command line that parsed. Borrows from the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// EHLO with the peer's name.
    Ehlo(&'a str),
    /// HELO with the peer's name.
    Helo(&'a str),
    /// MAIL.
    Mail(MailCommand<'a>),
    /// RCPT with the forward-path's mailbox.
    Rcpt(&'a str),
    /// DATA.
    Data,
    /// BDAT: this many octets follow the line; whether they are the last.
    Bdat { size: u64, last: bool },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// XCLIENT with its attributes.
    Xclient(&'a str),
    /// XFORWARD with its attributes.
    Xforward(&'a str),
    /// An HTTP request line.
    Http,
}

/// MAIL with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MailCommand<'a> {
    /// The reverse-path's mailbox; empty for `<>`.
    pub(super) reverse_path: &'a str,
    /// SIZE (RFC 1870), in octets.
    pub(super) size: Option<u64>,
    /// SMTPUTF8 (RFC 6531).
    pub(super) utf8: bool,
}

/// Commands of the standards that are not offered here: 502, not 500 (RFC 5321 §4.2.4).
const NOT_OFFERED: [&str; 9] = ["EXPN", "AUTH", "ETRN", "TURN", "ATRN", "SEND", "SAML", "SOML", "LHLO"];

/// Longest name that a peer may give itself, in octets (RFC 5321 §4.5.3.1.2).
const MAX_HELLO: usize = 255;

/// Parses a line without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<Command<'_>, Reply> {
    if line.iter().any(u8::is_ascii_control) {
        return Err(Reply::ControlInCommand);
    }
    let line = std::str::from_utf8(line).map_err(|_| Reply::NotUtf8)?.trim_end_matches(' ');
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    match verb.len() {
        4 if is("MAIL") => mail(rest).map(Command::Mail),
        4 if is("RCPT") => recipient(rest).map(Command::Rcpt),
        4 if is("DATA") => alone(rest, Command::Data),
        4 if is("BDAT") => chunk(rest),
        4 if is("EHLO") => hello(rest).map(Command::Ehlo),
        4 if is("HELO") => hello(rest).map(Command::Helo),
        4 if is("RSET") => alone(rest, Command::Rset),
        4 if is("QUIT") => alone(rest, Command::Quit),
        4 if is("NOOP") => Ok(Command::Noop),
        4 if is("HELP") => Ok(Command::Help),
        4 if is("VRFY") => (!rest.is_empty()).then_some(Command::Vrfy).ok_or(Reply::BadArgument),
        7 if is("XCLIENT") => Ok(Command::Xclient(rest)),
        8 if is("XFORWARD") => Ok(Command::Xforward(rest)),
        8 if is("STARTTLS") => alone(rest, Command::StartTls),
        _ if is_http(verb, rest) => Ok(Command::Http),
        _ if NOT_OFFERED.iter().any(|name| is(name)) => Err(Reply::NotOffered),
        _ => Err(Reply::UnknownCommand),
    }
}

/// Whether the beginning of a line is an HTTP request: the port was mistaken, or a browser is made to talk to us.
pub(super) fn begins_http(line: &[u8]) -> bool {
    std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.split_once(' '))
        .is_some_and(|(verb, rest)| is_http(verb, rest))
}

fn is_http(verb: &str, rest: &str) -> bool {
    let method =
        matches!(verb, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "PATCH" | "PRI");
    method && (rest.starts_with(['/', '*']) || rest.contains(" HTTP/"))
}

/// A command without arguments (RFC 5321 §4.1.1: 501 where there are some).
fn alone<'a>(rest: &str, command: Command<'a>) -> Result<Command<'a>, Reply> {
    if rest.is_empty() { Ok(command) } else { Err(Reply::BadArgument) }
}

/// The peer's name: anything without spaces. That it fits the peer's address is not asked (RFC 5321 §4.1.4).
fn hello(rest: &str) -> Result<&str, Reply> {
    let name = rest.trim_start_matches(' ');
    let valid = (1..=MAX_HELLO).contains(&name.len()) && !name.contains(' ');
    valid.then_some(name).ok_or(Reply::BadArgument)
}

fn mail(rest: &str) -> Result<MailCommand<'_>, Reply> {
    let path = keyword(rest, "FROM:").and_then(path::parse).ok_or(Reply::BadReversePath)?;
    if !path.mailbox.is_empty() && !path::is_mailbox(path.mailbox) {
        return Err(Reply::BadReversePath);
    }
    let mut command = MailCommand { reverse_path: path.mailbox, size: None, utf8: false };
    let mut body = false;
    for parameter in words(path.rest) {
        let (key, value) = match parameter.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (parameter, None),
        };
        let repeated = match () {
            () if key.eq_ignore_ascii_case("SIZE") => command.size.replace(size(value)?).is_some(),
            () if key.eq_ignore_ascii_case("BODY") => std::mem::replace(&mut body, known_body(value)?),
            () if key.eq_ignore_ascii_case("SMTPUTF8") && value.is_none() => {
                std::mem::replace(&mut command.utf8, true)
            }
            () if key.eq_ignore_ascii_case("SMTPUTF8") => true,
            () => return Err(Reply::UnknownParameter),
        };
        if repeated {
            return Err(Reply::BadArgument);
        }
    }
    if !command.reverse_path.is_ascii() && !command.utf8 {
        return Err(Reply::Utf8NotDeclared);
    }
    Ok(command)
}

/// RFC 1870 §3: up to 20 digits.
fn size(value: Option<&str>) -> Result<u64, Reply> {
    digits(value.unwrap_or_default())
        .filter(|_| value.is_some_and(|text| text.len() <= 20))
        .ok_or(Reply::BadArgument)
}

/// A decimal number; one over `u64` counts as the largest.
fn digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2. BINARYMIME (RFC 3030 §3) is not offered.
fn known_body(value: Option<&str>) -> Result<bool, Reply> {
    match value {
        Some(value) if ["7BIT", "8BITMIME"].iter().any(|known| value.eq_ignore_ascii_case(known)) => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("BINARYMIME") => Err(Reply::UnknownParameter),
        _ => Err(Reply::BadArgument),
    }
}

/// The forward-path's mailbox: an address, or `postmaster` alone (RFC 5321 §4.5.1). No parameter is offered.
fn recipient(rest: &str) -> Result<&str, Reply> {
    let path = keyword(rest, "TO:").and_then(path::parse).ok_or(Reply::BadForwardPath)?;
    if !path.mailbox.eq_ignore_ascii_case("postmaster") && !path::is_mailbox(path.mailbox) {
        return Err(Reply::BadForwardPath);
    }
    if words(path.rest).next().is_some() {
        return Err(Reply::UnknownParameter);
    }
    Ok(path.mailbox)
}

fn chunk(rest: &str) -> Result<Command<'_>, Reply> {
    let mut arguments = words(rest);
    let size = arguments.next().and_then(digits).ok_or(Reply::BadArgument)?;
    let last = match arguments.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(Reply::BadArgument),
    };
    if arguments.next().is_some() { Err(Reply::BadArgument) } else { Ok(Command::Bdat { size, last }) }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// What follows `name`, which stands at the beginning in any case.
fn keyword<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.trim_start_matches(' ');
    let head = text.get(..name.len())?;
    head.eq_ignore_ascii_case(name).then(|| &text[name.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail_command(reverse_path: &str) -> Command<'_> {
        Command::Mail(MailCommand { reverse_path, size: None, utf8: false })
    }

    #[test]
    fn commands_are_read_in_any_case_with_trailing_spaces() {
        let sized = MailCommand { reverse_path: "a@b.example", size: Some(12), utf8: true };
        for (line, command) in [
            ("ehlo mx.example", Command::Ehlo("mx.example")),
            ("HELO  [192.0.2.1] ", Command::Helo("[192.0.2.1]")),
            ("MAIL FROM:<>", mail_command("")),
            ("mail from: <a@b.example>", mail_command("a@b.example")),
            ("MAIL FROM:<a@b.example> body=8BitMime SMTPUTF8 Size=12", Command::Mail(sized)),
            ("RCPT TO:<Postmaster>", Command::Rcpt("Postmaster")),
            ("rcpt to:<@x.example:a@b.example>", Command::Rcpt("a@b.example")),
            ("DATA  ", Command::Data),
            ("BDAT 0 last", Command::Bdat { size: 0, last: true }),
            ("BDAT 99999999999999999999999", Command::Bdat { size: u64::MAX, last: false }),
            ("NOOP anything at all", Command::Noop),
            ("VRFY someone", Command::Vrfy),
            ("HELP MAIL", Command::Help),
            ("QUIT", Command::Quit),
            ("RSET", Command::Rset),
            ("xclient ADDR=192.0.2.9", Command::Xclient("ADDR=192.0.2.9")),
            ("XFORWARD", Command::Xforward("")),
            ("StartTLS ", Command::StartTls),
            ("GET / HTTP/1.1", Command::Http),
            ("POST http://x.example/ HTTP/1.1", Command::Http),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_does_not_parse_has_its_reply() {
        use Reply::{
            BadArgument, BadForwardPath, BadReversePath, ControlInCommand, NotOffered, NotUtf8,
            UnknownCommand, UnknownParameter, Utf8NotDeclared,
        };
        let cases: &[(&[u8], Reply)] = &[
            (b"", UnknownCommand),
            (b"FOO", UnknownCommand),
            (b"GET", UnknownCommand),
            (b"STARTTLS now", BadArgument),
            (b"STARTTL", UnknownCommand),
            (b"EXPN staff", NotOffered),
            (b"EHLO", BadArgument),
            (b"EHLO two words", BadArgument),
            (b"DATA now", BadArgument),
            (b"QUIT now", BadArgument),
            (b"RSET now", BadArgument),
            (b"VRFY", BadArgument),
            (b"BDAT", BadArgument),
            (b"BDAT -1", BadArgument),
            (b"BDAT 1 LAST x", BadArgument),
            (b"BDAT 1 FIRST", BadArgument),
            (b"MAIL", BadReversePath),
            (b"MAIL FROM", BadReversePath),
            (b"MAIL FROM:a@b.example", BadReversePath),
            (b"MAIL FROM:<a>", BadReversePath),
            (b"MAIL FROM:<a@b.example> SIZE=", BadArgument),
            (b"MAIL FROM:<a@b.example> SIZE=-1", BadArgument),
            (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", BadArgument),
            (b"MAIL FROM:<a@b.example> SIZE=000000000000000000001", BadArgument),
            (b"MAIL FROM:<a@b.example> SMTPUTF8=1", BadArgument),
            (b"MAIL FROM:<a@b.example> BODY=9BIT", BadArgument),
            (b"MAIL FROM:<a@b.example> BODY=BINARYMIME", UnknownParameter),
            (b"MAIL FROM:<a@b.example> RET=HDRS", UnknownParameter),
            (b"MAIL FROM:<\xc3\xa9@b.example>", Utf8NotDeclared),
            (b"MAIL FROM:<\xff@b.example> SMTPUTF8", NotUtf8),
            (b"MAIL FROM:<a\0@b.example>", ControlInCommand),
            (b"RCPT TO:<>", BadForwardPath),
            (b"RCPT TO:<a>", BadForwardPath),
            (b"RCPT FROM:<a@b.example>", BadForwardPath),
            (b"RCPT TO:<a@b.example> NOTIFY=NEVER", UnknownParameter),
        ];
        for (line, reply) in cases {
            assert_eq!(parse(line), Err(*reply), "{}", String::from_utf8_lossy(line));
        }
    }
}
