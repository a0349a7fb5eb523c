//! What each command does: first checks, then acts.

use super::{Hello, Phase, Session, Transaction, shown};
use crate::{
    smtp::{
        Action, Ended, MailAnswer, MailRequest, Policy, Recipient, Reply,
        body::Body,
        command::{self, Command, MailCommand},
        xclient::{Client, XCLIENT, XFORWARD},
    },
    types::EmailAddress,
};

impl Session {
    pub(super) fn command(&mut self, line: &[u8], policy: &Policy) -> Action {
        self.spoken = true;
        let done = command::parse(line).and_then(|command| self.run(command, policy));
        done.unwrap_or_else(|reply| self.refuse(reply, shown(line), policy))
    }

    /// Each arm checks, then acts.
    fn run(&mut self, command: Command<'_>, policy: &Policy) -> Result<Action, Reply> {
        match command {
            Command::Ehlo(name) => Ok(self.hello(name, true, policy)),
            Command::Helo(name) => Ok(self.hello(name, false, policy)),
            Command::Xclient(attributes) => self.xclient(attributes, policy),
            Command::Xforward(attributes) => self.xforward(attributes),
            Command::StartTls => self.starttls(policy),
            Command::Mail(mail) => self.mail(mail, policy),
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
        if policy.starttls && !self.encrypted {
            Reply::Hello.write_more(&mut self.replies, "STARTTLS");
        }
        if self.may_speak_for_others {
            Reply::Hello.write_more(&mut self.replies, XCLIENT);
            Reply::Hello.write_more(&mut self.replies, XFORWARD);
        }
        self.say(Reply::Hello, "CHUNKING")
    }

    fn forget_mail(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
        self.forwarded = Client::default();
    }

    fn mail(&mut self, mail: MailCommand<'_>, policy: &Policy) -> Result<Action, Reply> {
        if policy.require_tls && !self.encrypted {
            self.mail_refused = true;
            return Err(Reply::TlsRequired);
        }
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

    pub(super) fn mail_answered(&mut self, answer: MailAnswer, policy: &Policy) -> Action {
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
            mailbox.parse::<EmailAddress>().ok().and_then(|address| {
                let bounces = policy.bounces.as_ref();
                let bounce = bounces.and_then(|to| to.route(&address, &transaction.reverse_path));
                bounce.or_else(|| policy.routes.route(&address))
            })
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
}
