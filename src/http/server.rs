//! Connections, with the limits that `axum::serve` lacks: how many, how long a head may take, how long one may live.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{Context, Peer, State, guard, health, router};
use crate::ops::Shutdown;

/// Most connections of one listener at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// Longest that a request's head may take, and longest that a kept connection may idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// Longest life of a connection; then the answer under way is finished and the connection closed. It also bounds a peer
/// that reads its answer a byte at a time.
const CONNECTION_LIFE: Duration = Duration::from_mins(5);
/// How long the answer under way has once the connection is to close.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file descriptors left), so that it is not tried in a tight loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest request head in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Serves the pages on `pages`, and API, health and metrics on `admin`, or beside the pages where there is none. Returns
/// when stopping has begun and the last answers are written, at the latest when stopping is over.
pub async fn serve(pages: TcpListener, admin: Option<TcpListener>, state: State) {
    let shutdown = state.shutdown.clone();
    let _daemon_waits = shutdown.handle();
    let books = health::Books::open(&state).await;
    let context = Arc::new(Context { state, guard: guard::Guard::new(), books });
    let sweeper = sweep(&context, &shutdown);
    match admin {
        Some(admin) => {
            let public = listen(pages, router::pages_only(&context), &shutdown);
            let private = listen(admin, router::admin_only(&context), &shutdown);
            tokio::join!(public, private, sweeper);
        }
        None => {
            tokio::join!(listen(pages, router::everything(&context), &shutdown), sweeper);
        }
    }
}

async fn sweep(context: &Context, shutdown: &Shutdown) {
    while timeout(guard::SWEEP_EVERY, shutdown.begun()).await.is_err() {
        context.guard.sweep();
    }
}

/// Accepts until stopping begins, then waits for the connections that are open.
async fn listen(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    while let Some((stream, peer, permit)) = accept(&listener, &permits, shutdown).await {
        connections.spawn(connection(stream, peer, service.clone(), shutdown.clone(), permit));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The next connection, once there is room for it; `None` when stopping has begun.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>, shutdown: &Shutdown) -> Option<Accepted> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, permit)),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = shutdown.begun() => None,
        accepted = next => accepted,
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: TowerToHyperService<Router>,
    shutdown: Shutdown,
    _permit: OwnedSemaphorePermit,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A connection that breaks is the peer's affair: every answer was logged where it was made.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(CONNECTION_LIFE) => {}
        () = shutdown.begun() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(LAST_ANSWER, connection) => {}
        () = shutdown.over() => {}
    }
}
