//! The connection below async-smtp: bounded replies, and a way to write a mail's bytes beside the crate.
//!
//! async-smtp 0.10.2 alters what it sends (it stuffs dots only behind CRLF, so that a first line `.` ends the mail, and
//! passes bare LF on), reads reply lines of any length, and fails a whole mail at the first refused recipient. It speaks
//! the commands and reads the replies; the mail itself goes around it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, Join, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Longest reply that is read, all its lines together, in bytes. RFC 5321 §4.5.3.1.5 has 512 for one line.
const MAX_REPLY: usize = 64 * 1024;

/// What async-smtp is given.
pub(super) type Wire = Join<BufReader<BoundedReader>, SharedWriter>;

/// Splits a connection into what async-smtp holds and the two handles that stay outside.
pub(super) fn wire(stream: TcpStream) -> (Wire, SharedWriter, ReplyAllowance) {
    let (reader, writer) = stream.into_split();
    let writer = SharedWriter(Arc::new(Mutex::new(writer)));
    let allowance = ReplyAllowance(Arc::new(AtomicUsize::new(MAX_REPLY)));
    let reader = BufReader::new(BoundedReader { inner: reader, allowance: allowance.clone() });
    (tokio::io::join(reader, writer.clone()), writer, allowance)
}

/// How much the peer may still send before the next command.
#[derive(Debug, Clone)]
pub(super) struct ReplyAllowance(Arc<AtomicUsize>);

impl ReplyAllowance {
    /// A command is about to be sent: its reply may be [`MAX_REPLY`] long.
    pub(super) fn renew(&self) {
        self.0.store(MAX_REPLY, Ordering::Relaxed);
    }
}

/// Reads until the allowance is used up.
#[derive(Debug)]
pub(super) struct BoundedReader {
    inner: OwnedReadHalf,
    allowance: ReplyAllowance,
}

impl AsyncRead for BoundedReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let left = self.allowance.0.load(Ordering::Relaxed);
        if read > left {
            return Poll::Ready(Err(io::Error::other("the server's reply does not end")));
        }
        self.allowance.0.store(left - read, Ordering::Relaxed);
        polled
    }
}

/// The writing half, shared between async-smtp (commands) and us (mails); they take turns. Locked for one poll at a time.
#[derive(Debug, Clone)]
pub(super) struct SharedWriter(Arc<Mutex<OwnedWriteHalf>>);

impl SharedWriter {
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut OwnedWriteHalf>) -> T) -> T {
        poll(Pin::new(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl AsyncWrite for SharedWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|writer| writer.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|writer| writer.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|writer| writer.poll_shutdown(context))
    }
}
