//! The server's side of one SMTP session (RFC 5321), as a step function: no socket, no clock, no await.
//!
//! The driver gives each step what has happened; the step appends replies and says what to do next. SMTP is lock-step,
//! so there is only ever one thing to do.
//!
//! Two seams for what is not built yet: STARTTLS would be one more [`Action`] after which the driver upgrades the stream
//! and begins with a new `Session` (RFC 3207 §4.2: all that was learnt is forgotten); XCLIENT one that replaces the peer
//! and greets anew.

use super::{
    Delivery, Envelope, Policy, Protocol, Recipient, Reply,
    body::Body,
    command::{self, Command, MailCommand},
    line::{self, Line, Skip},
};
use crate::types::{EmailAddress, MailId, SessionId, Time};

/// Errors after which a session ends.
const MAX_ERRORS: u8 = 10;
/// Unknown recipients after which a session ends: somebody is guessing addresses.
const MAX_UNKNOWN: u8 = 20;
/// Octets of a mail that one step takes at most, so that no more memory is asked for than is soon used.
const PIECE: usize = 16 * 1024;
/// Longest part of an offending line that goes to the log, in octets.
const MAX_DETAIL: usize = 512;

/// What has happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The peer is there and may be greeted.
    Connected,
    /// Bytes have come: the new ones, behind those that an earlier step has not used.
    Bytes(&'a [u8]),
    /// Answers [`Action::Mail`].
    Mail(MailAnswer),
    /// Answers [`Action::Reserve`]: whether the memory is granted.
    Memory(bool),
    /// Answers [`Action::Deliver`].
    Delivered(MailId, Delivery),
    /// The peer has sent nothing for too long.
    Idle,
    /// The peer sends too slowly.
    TooSlow,
    /// The daemon stops.
    Stopping,
}

/// What to do next.
#[derive(Debug)]
pub enum Action {
    /// Step again with the bytes that are left.
    Continue,
    /// Send the replies, then read: what is left is incomplete.
    Read,
    /// Ask whether a mail may come in; answer with [`Input::Mail`].
    Mail(MailRequest),
    /// Ask for this many bytes of memory more; answer with [`Input::Memory`].
    Reserve(usize),
    /// Hand the mail on; answer with [`Input::Delivered`].
    Deliver(ReceivedMail),
    /// Send the replies and close.
    Close(Ended),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// QUIT.
    Quit,
    /// The peer has closed.
    PeerClosed,
    /// A deadline has passed.
    Timeout,
    /// Too many errors, or a peer that does not speak SMTP.
    Errors,
    /// The daemon stops.
    Stopping,
    /// The connection broke.
    Io,
}

impl Ended {
    /// `how` of `session.closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::PeerClosed => "peer-closed",
            Self::Timeout => "timeout",
            Self::Errors => "errors",
            Self::Stopping => "stopping",
            Self::Io => "io",
        }
    }
}

/// One step's outcome.
#[derive(Debug)]
pub struct Step {
    /// How many of the given bytes are done with.
    pub used: usize,
    /// What to do next.
    pub action: Action,
}

/// A MAIL command that parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRequest {
    /// The reverse-path's mailbox; empty for `<>`.
    pub reverse_path: String,
    /// SIZE, where the peer tells it (RFC 1870).
    pub size: Option<u64>,
}

/// Whether a mail may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailAnswer {
    /// Yes.
    Open,
    /// The store takes no writes.
    NotWritable,
    /// Less free space than the site wants.
    LowSpace,
    /// The memory budget is used up.
    NoMemory,
    /// A rate limit is reached.
    RateLimited,
    /// The daemon stops.
    Stopping,
}

/// A mail whose last byte has come.
#[derive(Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The name that the peer gave itself.
    pub helo: String,
    /// HELO or EHLO, and whether SMTPUTF8 is on the mail.
    pub protocol: Protocol,
    /// The reverse-path's mailbox; empty for `<>`.
    pub reverse_path: String,
    /// The recipients in the order of RCPT; never empty.
    pub recipients: Vec<Recipient>,
    /// The mail, dots unstuffed.
    pub content: Vec<u8>,
}

impl ReceivedMail {
    /// The envelope, with what only the driver knows, and the mail.
    pub fn into_envelope(
        self,
        mail_id: MailId,
        session: SessionId,
        peer: std::net::IpAddr,
        received_at: Time,
    ) -> (Envelope, Vec<u8>) {
        let Self { helo, protocol, reverse_path, recipients, content } = self;
        let envelope =
            Envelope { mail_id, session, peer, helo, protocol, reverse_path, recipients, received_at };
        (envelope, content)
    }
}

/// A reply that refused something, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reply.
    pub reply: Reply,
    /// What it was about: the command line as the peer wrote it (cut), or a mail's id.
    pub detail: String,
}

/// What the session waits for, so that the driver knows for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The first command.
    FirstCommand,
    /// The next command.
    Command,
    /// The rest of a line that has begun.
    Line,
    /// The rest of a mail or chunk.
    Mail,
}

/// HELO or EHLO.
#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// From MAIL on.
#[derive(Debug)]
struct Transaction {
    reverse_path: String,
    size: Option<u64>,
    utf8: bool,
    recipients: Vec<Recipient>,
    body: Option<Body>,
}

/// What the next bytes are.
#[derive(Debug)]
enum Phase {
    /// A command line.
    Command,
    /// The rest of a line that is not run. `due`: it still gets its reply.
    Skip { skip: Skip, due: bool },
    /// None: the driver was asked whether the mail may come in.
    Mail(Box<Transaction>),
    /// Lines of the mail (DATA).
    Data,
    /// Octets of a chunk (BDAT); with `refused` they are only read (RFC 3030 §2).
    Chunk { left: u64, last: bool, refused: Option<Reply> },
    /// None: the mail is being delivered.
    Delivery,
    /// None: over.
    Closed,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    hello: Option<Hello>,
    transaction: Option<Box<Transaction>>,
    phase: Phase,
    replies: Vec<u8>,
    refusal: Option<Refusal>,
    asked: usize,
    errors: u8,
    unknown: u8,
    spoken: bool,
    mail_refused: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session that begins.
    pub const fn new() -> Self {
        Self {
            hello: None,
            transaction: None,
            phase: Phase::Command,
            replies: Vec::new(),
            refusal: None,
            asked: 0,
            errors: 0,
            unknown: 0,
            spoken: false,
            mail_refused: false,
        }
    }

    /// Replies that are not sent yet.
    pub fn replies(&self) -> &[u8] {
        &self.replies
    }

    /// The replies are sent.
    pub fn clear_replies(&mut self) {
        self.replies.clear();
    }

    /// What the last step has refused.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Bytes of memory that the mail coming in holds, of those that were granted.
    pub fn held_memory(&self) -> usize {
        self.body().map_or(0, Body::granted)
    }

    /// What the next bytes are.
    pub fn waiting(&self) -> Waiting {
        match self.phase {
            Phase::Data | Phase::Chunk { .. } => Waiting::Mail,
            Phase::Skip { .. } => Waiting::Line,
            _ if self.spoken => Waiting::Command,
            _ => Waiting::FirstCommand,
        }
    }

    /// Whether MAIL was taken and the mail has not ended.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether bytes of a mail have been asked for: such a mail is finished even when the daemon stops.
    pub fn is_taking_mail(&self) -> bool {
        self.body().is_some()
    }

    fn body(&self) -> Option<&Body> {
        self.transaction.as_ref().and_then(|transaction| transaction.body.as_ref())
    }

    fn body_mut(&mut self) -> Option<&mut Body> {
        self.transaction.as_mut().and_then(|transaction| transaction.body.as_mut())
    }

    /// Takes what has happened and says what to do next.
    pub fn step(&mut self, input: Input<'_>, policy: &Policy) -> Step {
        let action = match input {
            Input::Bytes(bytes) => return self.bytes(bytes, policy),
            Input::Connected => self.say(Reply::Greeting, &policy.hostname),
            Input::Mail(answer) => self.mail_answered(answer, policy),
            Input::Memory(granted) => self.memory_answered(granted),
            Input::Delivered(mail_id, delivery) => self.delivered(mail_id, delivery, policy),
            Input::Idle => self.end(Reply::Idle, Ended::Timeout, policy),
            Input::TooSlow => self.end(Reply::TooSlow, Ended::Timeout, policy),
            Input::Stopping => self.end(Reply::Stopping, Ended::Stopping, policy),
        };
        Step { used: 0, action }
    }

    fn bytes(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        match self.phase {
            _ if bytes.is_empty() => Step { used: 0, action: Action::Read },
            Phase::Command => self.line(bytes, policy),
            Phase::Skip { .. } => self.skip(bytes, policy),
            Phase::Data => self.data(bytes, policy),
            Phase::Chunk { .. } => self.chunk(bytes, policy),
            Phase::Mail(_) | Phase::Delivery | Phase::Closed => Step { used: 0, action: Action::Read },
        }
    }

    fn line(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        match line::first(bytes) {
            Line::Partial => Step { used: 0, action: Action::Read },
            Line::Whole(length) => {
                let action = self.command(&bytes[..length], policy);
                Step { used: length + 2, action }
            }
            Line::TooLong => {
                self.phase = Phase::Skip { skip: Skip::default(), due: true };
                Step { used: 0, action: Action::Continue }
            }
            // Answered at once, because a peer that ends its lines so waits for a reply now.
            Line::BareNewline(at) => {
                self.phase = Phase::Skip { skip: Skip::default(), due: false };
                let http = command::begins_http(&bytes[..at]);
                let reply = if http { Reply::NotSmtp } else { Reply::BareNewlineInCommand };
                let action = self.refuse(reply, shown(&bytes[..at]), policy);
                Step { used: at + 1, action }
            }
        }
    }

    fn skip(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        let Phase::Skip { skip, due } = &mut self.phase else {
            return Step { used: 0, action: Action::Continue };
        };
        let (due, (used, done)) = (*due, skip.take(bytes));
        let endless = skip.is_endless();
        if done && !endless {
            self.phase = Phase::Command;
        }
        let mut action = if done { Action::Continue } else { Action::Read };
        if due && (done || endless) {
            action = self.refuse(Reply::LineTooLong, shown(bytes), policy);
        }
        if endless {
            self.phase = Phase::Closed;
            action = Action::Close(Ended::Errors);
        }
        Step { used, action }
    }

    fn data(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        let Some(body) = self.body_mut() else {
            self.phase = Phase::Command;
            return Step { used: 0, action: Action::Continue };
        };
        let piece = &bytes[..bytes.len().min(PIECE)];
        if let Some(wanted) = body.wants(piece.len()) {
            return self.reserve(wanted);
        }
        let used = body.take_data(piece);
        let action = if body.has_ended() { self.mail_ended(policy) } else { Action::Continue };
        Step { used, action }
    }

    fn chunk(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        let Phase::Chunk { left, refused, .. } = self.phase else {
            return Step { used: 0, action: Action::Continue };
        };
        let used = bytes.len().min(PIECE).min(usize::try_from(left).unwrap_or(usize::MAX));
        if refused.is_none()
            && let Some(body) = self.body_mut()
        {
            if let Some(wanted) = body.wants(used) {
                return self.reserve(wanted);
            }
            body.take_chunk(&bytes[..used]);
        }
        let now_left = left - used as u64;
        if let Phase::Chunk { left, .. } = &mut self.phase {
            *left = now_left;
        }
        let action = if now_left == 0 { self.chunk_ended(policy) } else { Action::Continue };
        Step { used, action }
    }

    fn reserve(&mut self, bytes: usize) -> Step {
        self.asked = bytes;
        Step { used: 0, action: Action::Reserve(bytes) }
    }

    fn chunk_ended(&mut self, policy: &Policy) -> Action {
        let Phase::Chunk { last, refused, .. } = std::mem::replace(&mut self.phase, Phase::Command) else {
            return Action::Continue;
        };
        if let Some(reply) = refused {
            return self.refuse(reply, "BDAT".to_owned(), policy);
        }
        let fault = self.body().and_then(Body::fault);
        if last || fault.is_some() {
            return self.mail_ended(policy);
        }
        self.say(Reply::ChunkTaken, "")
    }

    /// The last byte has come, or what has come can't become a mail any more.
    fn mail_ended(&mut self, policy: &Policy) -> Action {
        self.phase = Phase::Command;
        let Some(Transaction { reverse_path, utf8, recipients, body, .. }) =
            self.transaction.take().map(|it| *it)
        else {
            return Action::Continue;
        };
        match body.map_or(Ok(Vec::new()), Body::finish) {
            Ok(content) => {
                self.phase = Phase::Delivery;
                let (helo, protocol) = self.protocol(utf8);
                Action::Deliver(ReceivedMail { helo, protocol, reverse_path, recipients, content })
            }
            Err(reply) => self.refuse(reply, format!("mail from <{reverse_path}>"), policy),
        }
    }

    fn protocol(&self, utf8: bool) -> (String, Protocol) {
        match &self.hello {
            Some(Hello { name, .. }) if utf8 => (name.clone(), Protocol::Utf8Smtp),
            Some(Hello { name, extended: true }) => (name.clone(), Protocol::Esmtp),
            Some(Hello { name, extended: false }) => (name.clone(), Protocol::Smtp),
            None => (String::new(), Protocol::Smtp),
        }
    }

    fn delivered(&mut self, mail_id: MailId, delivery: Delivery, policy: &Policy) -> Action {
        self.phase = Phase::Command;
        let id = mail_id.to_string();
        let reply = match delivery {
            Delivery::Accepted => return self.say(Reply::Accepted, &id),
            Delivery::Rejected => Reply::Rejected,
            Delivery::TooComplex => Reply::TooComplex,
            Delivery::Nul => Reply::NulInMail,
            Delivery::Unavailable => Reply::NotStored,
        };
        self.refuse(reply, id, policy)
    }

    fn memory_answered(&mut self, granted: bool) -> Action {
        let asked = std::mem::take(&mut self.asked);
        if let Some(body) = self.body_mut() {
            if granted {
                body.grant(asked);
            } else {
                body.refuse();
            }
        }
        Action::Continue
    }

    fn command(&mut self, line: &[u8], policy: &Policy) -> Action {
        self.spoken = true;
        let done = command::parse(line).and_then(|command| self.run(command, policy));
        done.unwrap_or_else(|reply| self.refuse(reply, shown(line), policy))
    }

    /// Each arm checks, then acts.
    fn run(&mut self, command: Command<'_>, policy: &Policy) -> Result<Action, Reply> {
        match command {
            Command::Ehlo(name) => Ok(self.hello(name, true, policy)),
            Command::Helo(name) => Ok(self.hello(name, false, policy)),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(mailbox) => self.recipient(mailbox, policy),
            Command::Data => self.begin_data(policy),
            Command::Bdat { size, last } => Ok(self.begin_chunk(size, last, policy)),
            Command::Rset => {
                self.forget_mail();
                Ok(self.say(Reply::Reset, ""))
            }
            Command::Noop => Ok(self.say(Reply::Ok, "")),
            Command::Vrfy => Ok(self.say(Reply::CannotVerify, "")),
            Command::Help => Ok(self.say(Reply::Help, "")),
            Command::Quit => {
                self.say(Reply::Bye, &policy.hostname);
                self.phase = Phase::Closed;
                Ok(Action::Close(Ended::Quit))
            }
            Command::Http => Err(Reply::NotSmtp),
        }
    }

    /// A second EHLO acts like RSET (RFC 5321 §4.1.4).
    fn hello(&mut self, name: &str, extended: bool, policy: &Policy) -> Action {
        self.forget_mail();
        self.hello = Some(Hello { name: name.to_owned(), extended });
        if !extended {
            return self.say(Reply::Hello, &policy.hostname);
        }
        Reply::Hello.write_more(&mut self.replies, &policy.hostname);
        Reply::Hello.write_more(&mut self.replies, "PIPELINING");
        Reply::Hello.write_more(&mut self.replies, &format!("SIZE {}", policy.max_message_size));
        for keyword in ["8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"] {
            Reply::Hello.write_more(&mut self.replies, keyword);
        }
        self.say(Reply::Hello, "CHUNKING")
    }

    fn forget_mail(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
    }

    fn mail(&mut self, mail: MailCommand<'_>) -> Result<Action, Reply> {
        if self.hello.is_none() {
            return Err(Reply::HelloFirst);
        }
        if self.transaction.is_some() {
            return Err(Reply::NestedMail);
        }
        self.mail_refused = false;
        let request = MailRequest { reverse_path: mail.reverse_path.to_owned(), size: mail.size };
        self.phase = Phase::Mail(Box::new(Transaction {
            reverse_path: request.reverse_path.clone(),
            size: mail.size,
            utf8: mail.utf8,
            recipients: Vec::new(),
            body: None,
        }));
        Ok(Action::Mail(request))
    }

    fn mail_answered(&mut self, answer: MailAnswer, policy: &Policy) -> Action {
        let Phase::Mail(transaction) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return Action::Continue;
        };
        let refused = match answer {
            _ if transaction.size.is_some_and(|size| size > policy.max_message_size) => Reply::TooLarge,
            MailAnswer::Open => {
                self.transaction = Some(transaction);
                return self.say(Reply::SenderOk, "");
            }
            MailAnswer::NotWritable => Reply::StoreNotWritable,
            MailAnswer::LowSpace => Reply::LowSpace,
            MailAnswer::NoMemory => Reply::NoMemory,
            MailAnswer::RateLimited => Reply::RateLimited,
            MailAnswer::Stopping => return self.end(Reply::Stopping, Ended::Stopping, policy),
        };
        self.mail_refused = true;
        self.refuse(refused, format!("MAIL FROM:<{}>", transaction.reverse_path), policy)
    }

    fn recipient(&mut self, mailbox: &str, policy: &Policy) -> Result<Action, Reply> {
        let transaction = self.transaction.as_mut().ok_or(Reply::MailFirst)?;
        if transaction.body.is_some() {
            return Err(Reply::ChunksBegun);
        }
        if transaction.recipients.len() >= policy.max_recipients {
            return Err(Reply::TooManyRecipients);
        }
        if !mailbox.is_ascii() && !transaction.utf8 {
            return Err(Reply::Utf8NotDeclared);
        }
        let route = if mailbox.eq_ignore_ascii_case("postmaster") {
            policy.routes.route_bare_postmaster()
        } else {
            mailbox.parse::<EmailAddress>().ok().and_then(|address| policy.routes.route(&address))
        };
        let route = route.ok_or(Reply::UnknownRecipient)?;
        transaction.recipients.push(Recipient { address: mailbox.to_owned(), route });
        Ok(self.say(Reply::RecipientOk, ""))
    }

    /// The transaction that may take a mail's bytes.
    fn ready(&mut self) -> Result<&mut Transaction, Reply> {
        let transaction = self.transaction.as_deref_mut().ok_or(Reply::MailFirst)?;
        if transaction.recipients.is_empty() { Err(Reply::NoRecipients) } else { Ok(transaction) }
    }

    fn begin_data(&mut self, policy: &Policy) -> Result<Action, Reply> {
        let transaction = self.ready()?;
        if transaction.body.is_some() {
            return Err(Reply::ChunksBegun);
        }
        transaction.body = Some(Body::new(policy.max_message_size, policy.normalize_newlines));
        self.phase = Phase::Data;
        Ok(self.say(Reply::StartMail, ""))
    }

    /// The octets behind the line are read even where they are refused, or they would be taken for commands.
    fn begin_chunk(&mut self, size: u64, last: bool, policy: &Policy) -> Action {
        let refused = match self.ready() {
            Ok(transaction) => {
                let limit = policy.max_message_size;
                transaction.body.get_or_insert_with(|| Body::new(limit, policy.normalize_newlines));
                None
            }
            Err(reply) => Some(reply),
        };
        self.phase = Phase::Chunk { left: size, last, refused };
        if size == 0 { self.chunk_ended(policy) } else { Action::Continue }
    }

    fn say(&mut self, reply: Reply, argument: &str) -> Action {
        reply.write(&mut self.replies, argument);
        Action::Continue
    }

    fn refuse(&mut self, reply: Reply, detail: String, policy: &Policy) -> Action {
        let reply = self.counted(reply);
        self.say(reply, &policy.hostname);
        self.refusal = Some(Refusal { reply, detail });
        if !reply.closes() {
            return Action::Continue;
        }
        self.phase = Phase::Closed;
        Action::Close(Ended::Errors)
    }

    /// The reply itself, or the 421 that the last straw gets instead.
    fn counted(&mut self, reply: Reply) -> Reply {
        if reply == Reply::UnknownRecipient {
            self.unknown += 1;
            return if self.unknown < MAX_UNKNOWN { reply } else { Reply::TooManyUnknown };
        }
        // Commands that were pipelined behind a refused MAIL are no fault of the peer's (RFC 2920 §3.1).
        let follows = self.mail_refused && reply == Reply::MailFirst;
        if !matches!(reply.code(), 500..=503 | 553 | 555) || follows {
            return reply;
        }
        self.errors += 1;
        if self.errors < MAX_ERRORS { reply } else { Reply::TooManyErrors }
    }

    fn end(&mut self, reply: Reply, ended: Ended, policy: &Policy) -> Action {
        self.transaction = None;
        self.phase = Phase::Closed;
        self.say(reply, &policy.hostname);
        self.refusal = Some(Refusal { reply, detail: String::new() });
        Action::Close(ended)
    }
}

/// The beginning of an offending line, for the log.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(MAX_DETAIL)]).into_owned()
}
