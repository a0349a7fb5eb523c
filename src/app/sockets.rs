//! The sockets that the daemon listens on.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::StartError;

/// Connections that wait to be accepted; the kernel takes no more than `net.core.somaxconn`. Past it clients are lost without
/// a word, and come again after a second.
const BACKLOG: u32 = 4096;

/// Listens; `key` names the setting that the address is from.
pub(super) fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // What the last daemon has left in TIME_WAIT must not keep this one from starting.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| StartError::Bind { key, address, source })
}
