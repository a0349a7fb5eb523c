//! The server's side of one SMTP session (RFC 5321), as a step function: no socket, no clock, no await.
//!
//! The driver gives each step what has happened; the step appends replies and says what to do next. SMTP is lock-step,
//! so there is only ever one thing to do.
//!
//! STARTTLS ([`starttls`]) has the driver upgrade the stream, and the session forgets all that it learnt before (RFC 3207
//! §4.2). XCLIENT ([`relayed`]) has it replace the peer, and the session greets anew.

mod commands;
mod content;
mod relayed;
mod starttls;

use super::{
    Action, Ended, Input, Policy, Recipient, Refusal, Reply, Step, Waiting,
    body::Body,
    command,
    line::{self, Line, Skip},
    xclient::{Client, Told},
};

/// Errors after which a session ends.
const MAX_ERRORS: u8 = 10;
/// Unknown recipients after which a session ends: somebody is guessing addresses.
const MAX_UNKNOWN: u8 = 20;
/// Longest part of an offending line that goes to the log, in octets.
const MAX_DETAIL: usize = 512;

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
    /// None: the driver was asked for TLS.
    StartTls,
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
    encrypted: bool,
    may_speak_for_others: bool,
    client_helo: Option<String>,
    forwarded: Client,
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
            encrypted: false,
            may_speak_for_others: false,
            client_helo: None,
            forwarded: Client { address: Told::Not, helo: Told::Not },
        }
    }

    /// A session that begins, of a relay that may use XCLIENT and XFORWARD.
    pub fn of_trusted_relay() -> Self {
        Self { may_speak_for_others: true, ..Self::new() }
    }

    /// What was said so far is forgotten, but for what the peer is, and the errors, of which a session has so many.
    fn begin_anew(&mut self) {
        let old = std::mem::take(self);
        let Self { replies, refusal, errors, unknown, encrypted, may_speak_for_others, .. } = old;
        *self = Self { replies, refusal, errors, unknown, encrypted, may_speak_for_others, ..Self::new() };
        self.spoken = true;
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
            Input::StartTls(can) => self.starttls_answered(can, policy),
            Input::Encrypted => self.restart(),
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
            Phase::Mail(_) | Phase::StartTls | Phase::Delivery | Phase::Closed => {
                Step { used: 0, action: Action::Read }
            }
        }
    }

    fn line(&mut self, bytes: &[u8], policy: &Policy) -> Step {
        match line::first(bytes) {
            Line::Partial => Step { used: 0, action: Action::Read },
            Line::Whole(length) => {
                let action = self.command(&bytes[..length], policy);
                let used = length + 2;
                if matches!(action, Action::StartTls) && bytes.len() > used {
                    return self.behind_starttls(bytes, used, policy);
                }
                Step { used, action }
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
        let error = matches!(reply.code(), 500..=503 | 553 | 555) || reply == Reply::MayNotSpeakForOthers;
        if !error || follows {
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
