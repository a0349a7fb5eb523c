//! A connection, in the clear or within TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

/// What the driver reads and writes.
pub(super) enum Stream<S> {
    /// As it was accepted.
    Plain(S),
    /// Since STARTTLS. Boxed: most of the state of TLS would be empty space in sessions without it.
    Tls(Box<TlsStream<S>>),
    /// Broken by a handshake that failed: at its end for who reads, closed for who writes.
    Broken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Makes the server's side of the handshake. After an error the stream is broken.
    pub(super) async fn encrypt(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let Self::Plain(plain) = std::mem::replace(self, Self::Broken) else {
            return Err(io::Error::other("TLS is already on"));
        };
        let tls = TlsAcceptor::from(config).accept(plain).await?;
        *self = Self::Tls(Box::new(tls));
        Ok(())
    }

    /// `TLSv1_2` or `TLSv1_3`; `None` in the clear.
    pub(super) fn tls_version(&self) -> Option<&'static str> {
        let Self::Tls(tls) = self else { return None };
        tls.get_ref().1.protocol_version().and_then(|version| version.as_str())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Broken => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Broken => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Broken => Poll::Ready(Ok(())),
        }
    }
}
