//! A whole daemon in this process: port 0, a folder of its own, a clock that tests move, its log lines in memory.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
};
use vestibule::{
    app::{Addresses, App, Ended, Reload, supervisor::Supervisor},
    config::{self, Config},
    ops::{Clock, LogBuffer, Ops, Shutdown, json_dispatch, log_dispatch},
    store::{Disk, Queue, RealDisk, Store, embedded},
    types::Time,
};

pub(crate) const TOKEN: &str = "a-token-for-tests-only";
/// 2026-01-01T00:00:00Z.
pub(crate) const START: Time = Time::from_millis(1_767_225_600_000);

/// The site that most tests use; each appends or replaces what it is about.
pub(crate) const SITE: &str = r#"
hostname = "help.example.com"
[smtp]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8025"
admin_token = "a-token-for-tests-only"
[store]
path = "data"
min_free = 0
[mail]
relay = "file:outbound"
from = "Example Help <help@help.example.com>"
[verification]
resend_after = "1h"
[authentication]
mode = "off"
[access.internal]
use_approved_domains = true
approved_domains = ["approved.example"]
[access.external]
allow_portal_only_accounts = true
only_allowed_domains = true
allowed_domains = ["partner.example"]
[access.portal]
account_creation = "allow"
[[projects]]
key = "IT"
name = "IT support"
addresses = ["it@help.example.com"]
access = "anyone"
[[projects]]
key = "HR"
name = "Human resources"
addresses = ["hr@help.example.com"]
access = "anyone"
"#;

pub(crate) struct Daemon {
    pub addresses: Addresses,
    pub store: Arc<dyn Store>,
    pub log: LogBuffer,
    pub clock: Clock,
    pub folder: TempDir,
    reload: Reload,
    shutdown: Shutdown,
    supervisor: Supervisor,
    told: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<Ended>,
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        Self::with(SITE).await
    }

    pub(crate) async fn with(site: &str) -> Self {
        Self::within(tempfile::tempdir().unwrap(), site, Clock::manual(START)).await
    }

    async fn within(folder: TempDir, site: &str, clock: Clock) -> Self {
        Self::on(Arc::new(RealDisk), folder, site, clock).await
    }

    /// With the log that the site's `[log]` says; the others have every line, as JSON.
    pub(crate) async fn logging(site: &str) -> Self {
        let ops = |config: &Config, clock: Clock, log: LogBuffer| {
            let (dispatch, control) = log_dispatch(&config.log, log).unwrap();
            Ops::new(clock, config.log.addresses, Some(dispatch)).with_log(control)
        };
        Self::watched(Arc::new(RealDisk), tempfile::tempdir().unwrap(), site, Clock::manual(START), ops).await
    }

    /// With the store on this disk.
    pub(crate) async fn on(disk: Arc<dyn Disk>, folder: TempDir, site: &str, clock: Clock) -> Self {
        let ops = |config: &Config, clock: Clock, log: LogBuffer| {
            Ops::new(clock, config.log.addresses, Some(json_dispatch(log)))
        };
        Self::watched(disk, folder, site, clock, ops).await
    }

    async fn watched(
        disk: Arc<dyn Disk>,
        folder: TempDir,
        site: &str,
        clock: Clock,
        ops: impl FnOnce(&Config, Clock, LogBuffer) -> Ops,
    ) -> Self {
        let config = load(folder.path(), site);
        let log = LogBuffer::default();
        let ops = ops(&config, clock.clone(), log.clone());
        let app = App::start_on(config, ops, disk).await.unwrap();
        let (addresses, store) = (app.addresses().clone(), app.store());
        let (reload, shutdown) = (app.reload_handle(), app.shutdown());
        let told = Arc::<Mutex<Vec<String>>>::default();
        let hears = Arc::clone(&told);
        let supervisor = app.supervisor(Arc::new(move |states| {
            hears.lock().unwrap().extend(states.iter().map(ToString::to_string));
            Ok(())
        }));
        let running = tokio::spawn(app.run());
        Self { addresses, store, log, clock, folder, reload, shutdown, supervisor, told, running }
    }

    /// Speaks to a service manager that takes it for dead after `limit`.
    pub(crate) fn supervise(&self, limit: Duration) -> JoinHandle<()> {
        tokio::spawn(self.supervisor.clone().watch(self.shutdown.clone(), Some(limit)))
    }

    /// What the service manager was told since the last call.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    pub(crate) fn reload(&self, site: &str) {
        self.reload.apply(load(self.folder.path(), site));
    }

    /// Moves the clock and wakes whoever waits for it.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        for queue in [Queue::Outbox, Queue::Release, Queue::Expiry] {
            self.store.wakes(queue).notify_one();
        }
    }

    /// Stops, and checks what must always hold of the store.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.begin();
        assert_eq!(self.running.await.unwrap(), Ended::Stopped { drained: true });
        drop((self.store, self.supervisor));
        audit(&self.folder.path().join("data")).await;
        self.folder
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> (Ended, TempDir, LogBuffer) {
        let ended = self.running.await.unwrap();
        drop((self.store, self.supervisor));
        (ended, self.folder, self.log)
    }

    /// Waits until it ends by itself; what it holds may still be held.
    pub(crate) async fn running(self) -> Ended {
        self.running.await.unwrap()
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn begin_to_stop(&self) {
        self.shutdown.begin();
    }

    /// Stops and starts over the same folder.
    pub(crate) async fn restart(self, site: &str) -> Self {
        let clock = self.clock.clone();
        let folder = self.stop().await;
        Self::within(folder, site, clock).await
    }

    /// Relays one mail; answers the reply to its data.
    pub(crate) async fn mail(&self, from: &str, rcpts: &[&str], subject: &str) -> String {
        self.raw_mail(from, rcpts, &message(from, rcpts, subject)).await
    }

    pub(crate) async fn raw_mail(&self, from: &str, rcpts: &[&str], raw: &str) -> String {
        let mut smtp = Smtp::connect(self.addresses.smtp[0]).await;
        smtp.mail(from, rcpts, raw).await
    }

    /// Status and JSON of a call with the token of the configuration.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Option<&str>) -> (u16, serde_json::Value) {
        self.api_as(TOKEN, method, path, body).await
    }

    /// The same with another token.
    pub(crate) async fn api_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> (u16, serde_json::Value) {
        let kind = if body.is_some() { "application/json" } else { "" };
        let auth = format!("Authorization: Bearer {token}\r\n");
        let answer = http(self.addresses.admin, method, path, &auth, (kind, body.unwrap_or_default())).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or(serde_json::Value::Null))
    }

    /// What the API answers with 200, byte for byte.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let auth = format!("Authorization: Bearer {TOKEN}\r\n");
        let answer = exchange(self.addresses.admin, "GET", path, &auth, ("", "")).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{path}: {}", String::from_utf8_lossy(&answer));
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        answer[end + 4..].to_vec()
    }

    pub(crate) async fn page(&self, method: &str, path: &str, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        http(self.addresses.http, method, path, "", (kind, form)).await
    }

    /// The texts of all mails that the daemon has sent, oldest first.
    pub(crate) fn outbound(&self) -> Vec<String> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path().join("outbound"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "eml"));
        files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Waits until so many mails have gone out; answers the path of the last one's link.
    pub(crate) async fn link(&self, mails: usize) -> String {
        eventually("the mail goes out", || self.outbound().len() >= mails).await;
        link_in(&self.outbound()[mails - 1])
    }

    /// Waits until a mail has gone out to the address; answers the path of its link.
    pub(crate) async fn outbound_link_to(&self, address: &str) -> String {
        let to = format!("To: {address}\r\n");
        let find = || self.outbound().into_iter().find(|mail| mail.contains(&to));
        eventually("the mail goes out", || find().is_some()).await;
        link_in(&find().unwrap())
    }

    /// Waits until so many `mail.decided` lines carry a basis.
    pub(crate) async fn holds_ended(&self, count: usize) -> Vec<serde_json::Value> {
        let ended = || {
            let mut lines = self.log.events("mail.decided");
            lines.retain(|line| line["basis"].is_string());
            lines
        };
        eventually("the holds end", || ended().len() >= count).await;
        ended()
    }
}

/// Opens the store of a daemon that has ended, and checks what must always hold of it.
pub(crate) async fn audit(data: &Path) {
    let mut opened = None;
    // Tasks that were told to end may hold the lock for a moment yet.
    for _ in 0..500 {
        match embedded::open(embedded::Options::new(data), START) {
            Ok((store, _)) => {
                opened = Some(store);
                break;
            }
            Err(embedded::OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    let store = opened.expect("the daemon lets go of its store");
    let broken = store.audit().await.unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
    store.close().await;
}

/// The path of the one link in a mail.
pub(crate) fn link_in(mail: &str) -> String {
    let text = mail.replace("=\r\n", "");
    let start = text.find("/verify/").expect("a link");
    text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_".contains(*c)).collect()
}

pub(crate) fn load(folder: &Path, site: &str) -> Config {
    let path = folder.join("vestibule.toml");
    std::fs::write(&path, site).unwrap();
    config::load(&path).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A plain mail, with a Message-ID of its subject.
pub(crate) fn message(from: &str, rcpts: &[&str], subject: &str) -> String {
    let id = subject.replace(|c: char| !c.is_ascii_alphanumeric(), ".");
    format!(
        "From: Somebody <{from}>\r\nTo: {}\r\nSubject: {subject}\r\nMessage-ID: <{id}@sender.example>\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nHello,\r\n{subject}.\r\n",
        rcpts.join(", "),
    )
}

/// Looks until it is so, for at most 20 s.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

pub(crate) struct Smtp(BufReader<TcpStream>);

/// What a new connection is told first.
pub(crate) async fn greeting(address: SocketAddr) -> String {
    Smtp(BufReader::new(TcpStream::connect(address).await.unwrap())).reply().await
}

impl Smtp {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut smtp = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert!(smtp.reply().await.starts_with("220 "));
        assert!(smtp.command("EHLO relay.example").await.starts_with("250"));
        smtp
    }

    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            assert!(self.0.read_line(&mut reply).await.unwrap() > 0, "closed after {reply:?}");
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    pub(crate) async fn command(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    pub(crate) async fn mail(&mut self, from: &str, rcpts: &[&str], raw: &str) -> String {
        let sender = self.command(&format!("MAIL FROM:<{from}>")).await;
        if !sender.starts_with("250") {
            return sender;
        }
        for rcpt in rcpts {
            let reply = self.command(&format!("RCPT TO:<{rcpt}>")).await;
            if !reply.starts_with("250") {
                return reply;
            }
        }
        assert!(self.command("DATA").await.starts_with("354"));
        self.data(raw).await
    }

    /// The mail after DATA, dots stuffed, and the reply to it.
    pub(crate) async fn data(&mut self, raw: &str) -> String {
        let stuffed = raw.replace("\r\n.", "\r\n..");
        self.0.write_all(format!("{stuffed}.\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }
}

impl Smtp {
    /// One mail whose bytes arrive as they are (RFC 3030); answers the reply to its last chunk.
    pub(crate) async fn bdat(&mut self, from: &str, rcpt: &str, raw: &[u8]) -> String {
        assert!(self.command(&format!("MAIL FROM:<{from}>")).await.starts_with("250"));
        assert!(self.command(&format!("RCPT TO:<{rcpt}>")).await.starts_with("250"));
        self.send(&[format!("BDAT {} LAST\r\n", raw.len()).as_bytes(), raw].concat()).await;
        self.reply().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One HTTP exchange on a connection of its own.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    content: (&str, &str),
) -> Answer {
    let answer = exchange(address, method, path, headers, content).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The same; answers the bytes as they came.
async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    (kind, body): (&str, &str),
) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}
