//! What the built binary tells systemd, by a socket of our own in its place (`sd_notify`(3)).

use std::{os::unix::net::UnixDatagram, time::Duration};

use crate::binary::{Process, Served};
use crate::daemon::{SITE, message};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // Only so that a daemon that says nothing does not keep the test for ever.
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned(), _folder: folder }
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The messages up to the first with this part.
    fn until(&self, part: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hears());
            if heard.last().unwrap().contains(part) {
                return heard;
            }
        }
    }
}

#[test]
fn systemd_is_told_of_start_reload_life_and_end() {
    let manager = Manager::listen();
    let served = Served::start_in(&[("NOTIFY_SOCKET", &manager.path), ("WATCHDOG_USEC", "300000")]);
    assert_eq!(manager.hears(), "READY=1\n");
    let fed = manager.hears();
    assert_eq!(fed, "WATCHDOG=1\nSTATUS=accepting; 0 held\n");

    served.relay(&message("ada@approved.example", &["it@help.example.com"], "my laptop"));
    manager.until("WATCHDOG=1\nSTATUS=accepting; 1 held\n");

    served.signal("-HUP");
    let heard = manager.until("RELOADING=1\n");
    let since = heard.last().unwrap().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(since.trim_end().parse::<u64>().unwrap() > 0, "{since}");
    // The answers to looks may come between.
    manager.until("READY=1\n");

    served.stop();
    let heard = manager.until("STOPPING=1\n");
    assert!(heard.last().unwrap().contains("STATUS=stopping"), "{heard:?}");
}

#[test]
fn signs_of_life_only_for_those_who_ask() {
    let manager = Manager::listen();
    let served = Served::start_in(&[("NOTIFY_SOCKET", &manager.path)]);
    let mut heard = manager.until("STATUS=accepting; 0 held\n");
    served.stop();
    heard.extend(manager.until("STOPPING=1\n"));
    assert!(heard.iter().all(|said| !said.contains("WATCHDOG")), "{heard:?}");
}

#[test]
fn a_daemon_that_can_not_bind_is_never_ready() {
    let manager = Manager::listen();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vestibule.toml");
    let there = format!("[http]\nlisten = \"{}\"", taken.local_addr().unwrap());
    std::fs::write(&config, SITE.replace("[http]\nlisten = \"127.0.0.1:0\"", &there)).unwrap();
    let process = Process::start_in(
        &["serve", "--config", config.to_str().unwrap()],
        &[("NOTIFY_SOCKET", &manager.path)],
    );
    assert_eq!(process.end(), Some(1));
    manager.socket.set_nonblocking(true).unwrap();
    let nothing = manager.socket.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}
