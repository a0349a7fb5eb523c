//! Accepts connections and says no to those that get no session.

use std::{io::Write as _, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{
    driver,
    limits::{ACCEPT_RETRY, ACCEPT_RETRY_MOST, PROXY_HEADER, REFUSAL},
    proxy::{self, NoHeader},
    shared::Shared,
};
use crate::{
    ops::{AcceptFailed, Event, RefusalLabels, SmtpRefused},
    smtp::Reply,
};

/// Accepts until the daemon begins to stop. Failures are waited out: the daemon never goes deaf.
pub(super) async fn accept(socket: TcpListener, shared: Arc<Shared>) {
    let shutdown = shared.parts.shutdown.clone();
    let mut begun = pin!(shutdown.begun());
    let mut wait = ACCEPT_RETRY;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut begun => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                wait = ACCEPT_RETRY;
                // IPv4 peers of an IPv6 socket are IPv4 peers.
                begin(&shared, stream, peer.ip().to_canonical());
            }
            Err(error) => wait = pause(&shared, &error, wait).await,
        }
    }
}

/// Waits after a failed `accept`; returns how long to wait after the next.
async fn pause(shared: &Shared, error: &std::io::Error, wait: Duration) -> Duration {
    AcceptFailed { error, wait }.emit(&shared.parts.ops);
    sleep(wait).await;
    (2 * wait).min(ACCEPT_RETRY_MOST)
}

fn begin(shared: &Arc<Shared>, stream: TcpStream, peer: IpAddr) {
    // Replies are whole; waiting for more would only delay them. Without it the session works, just slower.
    let _ = stream.set_nodelay(true);
    if !shared.is_proxy(peer) {
        return greet(shared, stream, peer);
    }
    let Ok(permit) = Arc::clone(&shared.headers).try_acquire_owned() else {
        return closed(shared, peer, "too many connections without a PROXY header");
    };
    let shared_then = Arc::clone(shared);
    shared.sessions.spawn(async move {
        behind_proxy(&shared_then, stream, peer).await;
        drop(permit);
    });
}

/// Begins with the client that the proxy tells; without a header the connection is closed and nothing said, because who is
/// there does not know SMTP.
async fn behind_proxy(shared: &Arc<Shared>, mut stream: TcpStream, proxy: IpAddr) {
    match timeout(PROXY_HEADER, proxy::client(&mut stream)).await {
        Ok(Ok(client)) => greet(shared, stream, client.unwrap_or(proxy)),
        Ok(Err(NoHeader::Silent)) => {}
        Ok(Err(error)) => closed(shared, proxy, &error.to_string()),
        Err(_) => closed(shared, proxy, "no PROXY header within 3 s, though smtp.proxy_from wants one"),
    }
}

/// Tells of a connection that was closed without a word.
fn closed(shared: &Shared, peer: IpAddr, detail: &str) {
    SmtpRefused { session: None, peer, code: 0, reason: "no-proxy-header", mail_from: None, detail }
        .emit(&shared.parts.ops);
}

fn greet(shared: &Arc<Shared>, stream: TcpStream, peer: IpAddr) {
    match shared.admit(peer) {
        Ok(place) => {
            let of_session = Arc::clone(shared);
            // Made within the task: a future that is moved into another is held twice.
            shared.sessions.spawn(async move {
                driver::attend(stream, peer, of_session).await;
                drop(place);
            });
        }
        Err((reply, detail)) => refuse(shared, stream, peer, reply, &detail),
    }
}

/// Says why there is no session. So many peers at once as there are permits are waited for until they have read it; to the
/// others it is said without waiting, and they are only counted, so that a flood costs neither memory nor log.
fn refuse(shared: &Arc<Shared>, mut stream: TcpStream, peer: IpAddr, reply: Reply, detail: &str) {
    let ops = &shared.parts.ops;
    let (code, reason) = (reply.code(), reply.name());
    let Ok(permit) = Arc::clone(&shared.refusals).try_acquire_owned() else {
        ops.metrics.refused.get_or_create(&RefusalLabels { code, reason }).inc();
        return say_and_close(stream, &reply.line(&shared.in_force().policy.hostname));
    };
    SmtpRefused { session: None, peer, code, reason, mail_from: None, detail }.emit(ops);
    let line = reply.line(&shared.in_force().policy.hostname);
    shared.sessions.spawn(async move {
        let say = async {
            if stream.write_all(&line).await.is_ok() && stream.shutdown().await.is_ok() {
                driver::linger(&mut stream).await;
            }
        };
        let _ = timeout(REFUSAL, say).await;
        drop(permit);
    });
}

/// The buffer of a new connection has room for a line, so this never blocks. Who writes before the greeting may not get to
/// read it: what is unread at a close resets the connection.
fn say_and_close(stream: TcpStream, line: &[u8]) {
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(line));
}
