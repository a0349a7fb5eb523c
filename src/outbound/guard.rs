//! A stream that lets a relay say one reply at a time until TLS begins.
//!
//! lettre reads replies through a buffer and keeps that buffer when STARTTLS succeeds: whatever an attacker on the path
//! appended to the plaintext reply would be taken for the relay's words under TLS, and a mail that was never accepted
//! would count as sent. Counting reply codes can't detect it (the attacker knows the dialogue), so the surplus is refused
//! where it arrives.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The first byte of a TLS handshake record (RFC 8446 §5.1); no SMTP command begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A TCP stream whose plaintext replies are checked.
#[derive(Debug)]
pub(super) struct OneReplyAtATime {
    stream: TcpStream,
    replies: Replies,
    checked: bool,
}

impl OneReplyAtATime {
    /// `checked` where TLS is to follow; a connection that stays plain has nothing to protect.
    pub(super) fn new(stream: TcpStream, checked: bool) -> Self {
        Self { stream, replies: Replies::default(), checked }
    }

    fn before_write(&mut self, bytes: &[u8]) {
        self.checked &= bytes.first() != Some(&TLS_HANDSHAKE);
        self.replies = Replies::default();
    }
}

/// Follows the lines of one reply (RFC 5321 §4.2.1): the line whose fourth character is no hyphen ends it.
#[derive(Debug, Default)]
struct Replies {
    column: usize,
    goes_on: bool,
    complete: bool,
}

impl Replies {
    /// Whether these bytes still belong to the one reply that is due.
    fn take(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.take_byte(*byte))
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        if self.complete {
            return false;
        }
        match (byte, self.column) {
            (b'\n', _) => *self = Self { complete: !self.goes_on, ..Self::default() },
            (b'-', 3) => (self.goes_on, self.column) = (true, 4),
            _ => self.column = self.column.saturating_add(1),
        }
        true
    }
}

impl AsyncRead for OneReplyAtATime {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let surplus = self.checked && !self.replies.take(&buffer.filled()[before..]);
        if surplus {
            let message = "the relay said more than one reply before TLS (an attack on STARTTLS?)";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        read
    }
}

impl AsyncWrite for OneReplyAtATime {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.before_write(bytes);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for OneReplyAtATime {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reply_passes_and_whatever_follows_does_not() {
        let table: [(&[&str], bool); 8] = [
            (&["220 go\r\n"], true),
            (&["250-a\r\n250-b\r\n250 c\r\n"], true),
            (&["25", "0-a\r", "\n250 c\r\n"], true),
            (&["220\r\n"], true),
            (&["220 go\r\n250 x\r\n"], false),
            (&["220 go\r\n", "2"], false),
            (&["220 a-b\r\nx"], false),
            (&["250-a\r\n250 b\r\n250 c\r\n"], false),
        ];
        for (reads, passes) in table {
            let mut replies = Replies::default();
            assert_eq!(reads.iter().all(|read| replies.take(read.as_bytes())), passes, "{reads:?}");
        }
    }
}
