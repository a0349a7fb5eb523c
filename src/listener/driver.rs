//! One connection: carries out what the session asks for.

use std::{future::Future, net::IpAddr, pin::Pin, pin::pin, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{
    budget::Hold,
    buffer::ReadBuffer,
    deadlines::Deadlines,
    limits::{HANDSHAKE, LINGER, LINGER_BYTES, MOST_REPLIES, WRITE},
    shared::{InForce, Shared},
    stream::Stream,
};
use crate::{
    config::LogAddresses,
    ops::{Event, SessionClosed, SessionOpened, SessionRelayed, SmtpRefused, TlsFailed, time_ordered_uuid},
    smtp::{Action, Delivery, Ended, Input, MailAnswer, MailRequest, ReceivedMail, Session, Waiting},
    types::{MailId, SessionId},
};

/// What may end a wait, beside bytes. Made once for each session.
struct Alarms<'a> {
    sleep: Pin<&'a mut Sleep>,
    begun: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
    over: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
}

/// One connection with its session.
///
struct Driver<S> {
    stream: Stream<S>,
    tls: Option<&'static str>,
    peer: IpAddr,
    /// Who connected: the peer before XCLIENT.
    relay: IpAddr,
    shared: Arc<Shared>,
    in_force: Arc<InForce>,
    id: SessionId,
    session: Session,
    buffer: ReadBuffer,
    hold: Hold,
    deadlines: Deadlines,
    stopping: bool,
    opened: Instant,
    /// The reverse-path of the mail under way, for the log.
    mail_from: Option<String>,
    mails: u64,
    ended: Ended,
}

/// Serves one connection to its end.
pub(super) async fn attend<S>(stream: S, peer: IpAddr, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let shutdown = shared.parts.shutdown.clone();
    let _handle = shutdown.handle();
    let mut driver = Driver::open(stream, peer, shared);
    let mut alarms = Alarms {
        sleep: pin!(sleep_until(driver.opened)),
        begun: pin!(shutdown.begun()),
        over: pin!(shutdown.over()),
    };
    driver.ended = match driver.run(&mut alarms).await {
        Ok(ended) | Err(ended) => ended,
    };
}

impl<S> Driver<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    fn open(stream: S, peer: IpAddr, shared: Arc<Shared>) -> Self {
        let ops = &shared.parts.ops;
        let (id, opened) = (SessionId::new(time_ordered_uuid(ops.clock.now())), Instant::now());
        SessionOpened { session: id, peer }.emit(ops);
        let in_force = shared.in_force();
        let trusted = in_force.config.smtp.xclient_from.iter().any(|network| network.contains(&peer));
        Self {
            stream: Stream::Plain(stream),
            tls: None,
            peer,
            relay: peer,
            in_force,
            id,
            session: if trusted { Session::of_trusted_relay() } else { Session::new() },
            buffer: ReadBuffer::default(),
            hold: shared.budget.hold(),
            deadlines: Deadlines::new(opened),
            stopping: false,
            opened,
            mail_from: None,
            mails: 0,
            ended: Ended::Io,
            shared,
        }
    }

    /// Steps the session and does what it asks for. `Err` where there is nothing more to say to the peer.
    async fn run(&mut self, alarms: &mut Alarms<'_>) -> Result<Ended, Ended> {
        let mut told = Some(Input::Connected);
        loop {
            let input = told.take().unwrap_or_else(|| Input::Bytes(self.buffer.pending()));
            let step = self.session.step(input, &self.in_force.policy);
            self.buffer.consume(step.used);
            self.report_refusal();
            told = match step.action {
                Action::Continue => self.next_command().await?,
                Action::Read => self.read(alarms).await?,
                Action::Mail(request) => Some(Input::Mail(self.may_mail(&request))),
                Action::Reserve(bytes) => Some(Input::Memory(self.reserve(bytes))),
                Action::Deliver(mail) => Some(self.deliver(mail, alarms).await?),
                Action::StartTls => Some(Input::StartTls(self.can_encrypt())),
                Action::Peer(client) => self.speaks_for(client),
                Action::Handshake => Some(self.handshake(alarms).await?),
                Action::Close(ended) => {
                    self.close(ended, alarms).await?;
                    return Ok(ended);
                }
            };
        }
    }

    /// Between two steps of what is in the buffer.
    async fn next_command(&mut self) -> Result<Option<Input<'static>>, Ended> {
        self.hold.shrink_to(self.session.held_memory());
        if !self.session.is_in_transaction() {
            self.mail_from = None;
        }
        if self.session.replies().len() >= MOST_REPLIES {
            self.flush().await?;
        }
        Ok(None)
    }

    /// Sends the replies and waits for bytes, a deadline, or the end of the daemon.
    async fn read(&mut self, alarms: &mut Alarms<'_>) -> Result<Option<Input<'static>>, Ended> {
        self.hold.shrink_to(self.session.held_memory());
        self.flush().await?;
        if self.must_leave() {
            return Ok(Some(Input::Stopping));
        }
        let waiting = self.session.waiting();
        let partial = !self.buffer.pending().is_empty();
        let deadline = self.deadlines.next(waiting, partial, Instant::now());
        alarms.sleep.as_mut().reset(deadline.at);
        loop {
            tokio::select! {
                biased;
                read = self.stream.read_buf(self.buffer.room(waiting == Waiting::Mail)) => return self.after_read(&read),
                () = &mut alarms.over => return Err(Ended::Stopping),
                () = &mut alarms.begun, if !self.stopping => {
                    self.stopping = true;
                    if !self.session.is_in_transaction() {
                        return Ok(Some(Input::Stopping));
                    }
                }
                () = &mut alarms.sleep => {
                    return Ok(Some(if deadline.too_slow { Input::TooSlow } else { Input::Idle }));
                }
            }
        }
    }

    /// Whether the daemon stops and the peer has nothing under way: no mail, or one without data and a next command.
    fn must_leave(&self) -> bool {
        let under_way = self.session.is_taking_mail()
            || (self.session.is_in_transaction() && self.buffer.pending().is_empty());
        self.stopping && !under_way
    }

    fn after_read(&mut self, read: &std::io::Result<usize>) -> Result<Option<Input<'static>>, Ended> {
        match read {
            Ok(0) => Err(Ended::PeerClosed),
            Ok(count) => {
                self.deadlines.received(*count);
                // A transaction without data gets its 421 at its next command.
                let leave = self.stopping && !self.session.is_taking_mail();
                Ok(leave.then_some(Input::Stopping))
            }
            // Within TLS: closed without a farewell, as many do. The end of a mail is told by SMTP, not by it.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Ended::PeerClosed),
            Err(_) => Err(Ended::Io),
        }
    }

    /// From here on the mail goes by the settings in force now.
    fn may_mail(&mut self, request: &MailRequest) -> MailAnswer {
        self.in_force = self.shared.in_force();
        self.mail_from = Some(request.reverse_path.clone());
        self.shared.may_mail(&self.in_force.config, self.peer, request)
    }

    /// The peer's networks were looked at when it connected, and its place stays its own.
    fn speaks_for(&mut self, client: Option<IpAddr>) -> Option<Input<'static>> {
        if let Some(client) = client {
            SessionRelayed { session: self.id, peer: self.peer, client }.emit(&self.shared.parts.ops);
        }
        self.peer = client.unwrap_or(self.relay);
        None
    }

    /// The handshake goes by the certificate in force now.
    fn can_encrypt(&mut self) -> bool {
        self.in_force = self.shared.in_force();
        self.in_force.config.smtp.tls.is_some()
    }

    /// Sends the 220, then all that comes is TLS. The session lets no byte stay in the buffer before it.
    async fn handshake(&mut self, alarms: &mut Alarms<'_>) -> Result<Input<'static>, Ended> {
        self.flush().await?;
        let server = self.in_force.config.smtp.tls.as_ref().map(|tls| Arc::clone(&tls.server));
        let server = server.filter(|_| self.buffer.pending().is_empty()).ok_or(Ended::Io)?;
        // Boxed: its state would be part of every session.
        let made = tokio::select! {
            made = Box::pin(timeout(HANDSHAKE, self.stream.encrypt(server))) => made,
            () = &mut alarms.over => return Err(Ended::Stopping),
        };
        let (ended, error) = match made {
            Ok(Ok(())) => {
                self.tls = self.stream.tls_version();
                return Ok(Input::Encrypted);
            }
            Ok(Err(error)) => (Ended::Io, error.to_string()),
            Err(_) => (Ended::Timeout, format!("not done within {} s", HANDSHAKE.as_secs())),
        };
        TlsFailed { session: self.id, peer: self.peer, error: &error }.emit(&self.shared.parts.ops);
        Err(ended)
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        self.hold.grow(bytes, self.in_force.config.smtp.memory_budget)
    }

    async fn deliver(
        &mut self,
        mail: ReceivedMail,
        alarms: &mut Alarms<'_>,
    ) -> Result<Input<'static>, Ended> {
        let ops = &self.shared.parts.ops;
        let took = self.deadlines.mail_took(Instant::now());
        let now = ops.clock.now();
        let mail_id = MailId::new(time_ordered_uuid(now));
        let (mut envelope, content) = mail.into_envelope(mail_id, self.id, self.peer, now);
        (envelope.relay, envelope.took) = (self.relay, took);
        // The memory is the mail's until it is dealt with.
        let _hold = self.hold.take();
        let delivery = tokio::select! {
            biased;
            delivery = (self.shared.parts.deliver)(envelope, Bytes::from(content)) => delivery,
            () = &mut alarms.over => return Err(Ended::Stopping),
        };
        self.mails += u64::from(delivery == Delivery::Accepted);
        self.deadlines.mail_ended(Instant::now());
        Ok(Input::Delivered(mail_id, delivery))
    }

    /// Sends all replies in one write.
    async fn flush(&mut self) -> Result<(), Ended> {
        if self.session.replies().is_empty() {
            return Ok(());
        }
        let (stream, replies) = (&mut self.stream, self.session.replies());
        let write = async {
            stream.write_all(replies).await?;
            stream.flush().await
        };
        let sent = timeout(WRITE, write).await;
        self.session.clear_replies();
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Io),
            Err(_) => Err(Ended::Timeout),
        }
    }

    /// Sends the last replies and closes so that they arrive: closing with unread bytes would reset the connection.
    async fn close(&mut self, ended: Ended, alarms: &mut Alarms<'_>) -> Result<(), Ended> {
        self.flush().await.map_err(|_| ended)?;
        // Within TLS it writes, too.
        let _ = timeout(WRITE, self.stream.shutdown()).await;
        if ended == Ended::Quit && self.buffer.pending().is_empty() {
            return Ok(());
        }
        tokio::select! {
            () = linger(&mut self.stream) => {}
            () = &mut alarms.over => {}
        }
        Ok(())
    }

    fn report_refusal(&mut self) {
        let Some(refusal) = self.session.take_refusal() else { return };
        // `[log] addresses` says how addresses may appear; of a whole line only the command is known to hold none.
        let whole = self.in_force.config.log.addresses == LogAddresses::Full;
        let command = refusal.detail.split([':', ' ', '<']).next().unwrap_or_default();
        let ops = &self.shared.parts.ops;
        let words = ops.log_words(command);
        SmtpRefused {
            session: Some(self.id),
            peer: self.peer,
            code: refusal.reply.code(),
            reason: refusal.reply.name(),
            mail_from: self.mail_from.as_deref().and_then(|path| ops.log_path(path)),
            detail: if whole { &refusal.detail } else { &words },
        }
        .emit(ops);
    }
}

impl<S> Drop for Driver<S> {
    /// Here, so that it is told however the session ends.
    fn drop(&mut self) {
        SessionClosed {
            session: self.id,
            peer: self.peer,
            mails: self.mails,
            tls: self.tls,
            how: self.ended.as_str(),
            lasted: self.opened.elapsed(),
        }
        .emit(&self.shared.parts.ops);
    }
}

/// Reads what a peer still sends, for a short while, until it closes.
pub(super) async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut rest = [0; 512];
    let read_all = async {
        let mut left = LINGER_BYTES;
        while let Ok(count @ 1..) = stream.read(&mut rest).await {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(LINGER, read_all).await;
}
