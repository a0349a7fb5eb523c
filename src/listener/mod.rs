//! SMTP over sockets: accepts, drives sessions, keeps the limits. Does not know what becomes of a mail: it is handed
//! [`Deliver`].

mod accept;
mod budget;
mod buffer;
mod deadlines;
mod driver;
mod limits;
mod peers;
mod proxy;
mod rates;
mod shared;
mod stream;

use std::{net::IpAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::sleep,
};

use shared::Shared;
pub use shared::{Deliver, Gate, Parts};

/// Serves all sockets. Returns when all sessions have ended after the shutdown has begun.
pub async fn serve(sockets: Vec<TcpListener>, parts: Parts) {
    Listener::new(parts).serve(sockets).await;
}

/// The caps, budget and rate limits that all sessions share.
#[derive(Clone)]
pub struct Listener(Arc<Shared>);

impl Listener {
    /// Nobody is connected yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared::new(parts)))
    }

    /// See [`serve`].
    pub async fn serve(self, sockets: Vec<TcpListener>) {
        let mut evicting = JoinSet::new();
        evicting.spawn(evict(Arc::clone(&self.0)));
        let mut accepting = JoinSet::new();
        for socket in sockets {
            accepting.spawn(accept::accept(socket, Arc::clone(&self.0)));
        }
        accepting.join_all().await;
        self.0.sessions.close();
        self.0.sessions.wait().await;
    }

    /// Serves one connection that somebody else has accepted, to its end. The caps of connections, `allow_from` and
    /// `proxy_from` don't apply to it.
    pub async fn attend<S>(&self, stream: S, peer: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        driver::attend(stream, peer, Arc::clone(&self.0)).await;
    }
}

/// Drops the keys of the rate limiters that are at rest, for ever.
async fn evict(shared: Arc<Shared>) {
    loop {
        sleep(limits::RATE_EVICTION).await;
        shared.rates.evict();
    }
}
