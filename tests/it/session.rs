//! The driver's part of an SMTP session, without sockets: for `dialogues` and for the fuzz target `session`. It checks at
//! every step what must hold whatever the client sends.

use std::{fmt::Write as _, sync::Arc};

use vestibule::{
    smtp::{Action, Delivery, Ended, Input, MAX_LINE, MailAnswer, Policy, ReceivedMail, RouteTable, Session},
    types::MailId,
};

/// What the session is told of the world.
pub(crate) struct Setting {
    pub(crate) policy: Policy,
    /// Bytes that may be granted.
    pub(crate) memory: usize,
    /// Whether a handshake can be made.
    pub(crate) certificate: bool,
    /// Whether the peer may use XCLIENT.
    pub(crate) trusted: bool,
    /// What MAIL is answered with.
    pub(crate) answer: MailAnswer,
    /// What becomes of each mail.
    pub(crate) delivery: Delivery,
}

impl Setting {
    /// All is open and well.
    pub(crate) fn new(hostname: &str, routes: RouteTable) -> Self {
        let policy = Policy {
            hostname: hostname.to_owned(),
            max_message_size: 10 << 20,
            max_recipients: 100,
            normalize_newlines: false,
            starttls: false,
            require_tls: false,
            routes: Arc::new(routes),
            bounces: None,
        };
        Self {
            policy,
            memory: usize::MAX,
            certificate: true,
            trusted: false,
            answer: MailAnswer::Open,
            delivery: Delivery::Accepted,
        }
    }
}

/// The driver's part, without sockets.
pub(crate) struct Run<'a> {
    setting: &'a Setting,
    session: Session,
    /// What the session has not used yet.
    pub(crate) pending: Vec<u8>,
    /// Every line that the server has said.
    pub(crate) replies: Vec<String>,
    /// Envelope and bytes of each mail that was delivered.
    pub(crate) mails: Vec<(String, Vec<u8>)>,
    granted: usize,
    /// The TLS handshake is due: answer it with `Input::Encrypted`.
    pub(crate) handshake: bool,
    /// How it ended.
    pub(crate) ended: Option<Ended>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(setting: &'a Setting) -> Self {
        let mut run = Self {
            setting,
            session: if setting.trusted { Session::of_trusted_relay() } else { Session::new() },
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

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.tell(None);
    }

    /// Steps until the session wants to read or is over.
    pub(crate) fn tell(&mut self, mut told: Option<Input<'static>>) {
        if matches!(told, Some(Input::Encrypted)) {
            assert!(self.handshake && self.pending.is_empty(), "no handshake is due");
            self.handshake = false;
        }
        assert!(!self.handshake, "more is said before the handshake");
        while self.ended.is_none() {
            let input = told.take().unwrap_or(Input::Bytes(&self.pending));
            let step = self.session.step(input, &self.setting.policy);
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
                Action::Mail(_) => Some(Input::Mail(self.setting.answer)),
                Action::Reserve(bytes) => Some(Input::Memory(self.reserve(bytes))),
                Action::Deliver(mail) => Some(self.deliver(mail)),
                Action::StartTls => Some(Input::StartTls(self.setting.certificate)),
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
        let fits = self.granted.saturating_add(bytes) <= self.setting.memory;
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
        Input::Delivered(id, self.setting.delivery)
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
