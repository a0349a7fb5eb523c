//! The listener over real sockets; over pipes with the clock stopped where deadlines are tested.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use vestibule::{
    config::{Config, LogAddresses},
    listener::{Gate, Listener, Parts, serve},
    ops::{Clock, LogBuffer, Ops, Shutdown, json_dispatch},
    smtp::{Delivery, Envelope, Protocol, Route},
    types::{MintKey, Time},
};

use crate::support;

mod proxy;
mod starttls;
mod xclient;

/// What the listener is given, and what it has given back.
struct House {
    parts: Parts,
    log: LogBuffer,
    gate: Arc<AtomicU8>,
    mails: Arc<Mutex<Vec<(Envelope, Bytes)>>>,
    /// Each delivery takes a permit; close it to let none wait.
    deliveries: Arc<Semaphore>,
}

const NOW: Time = Time::from_millis(1_764_000_000_000);

impl House {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = support::config();
        change(&mut config);
        let log = LogBuffer::default();
        let addresses = config.log.addresses;
        let (gate, mails) = (Arc::new(AtomicU8::new(0)), Arc::new(Mutex::new(Vec::new())));
        let deliveries = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let parts = Parts {
            config: Arc::new(ArcSwap::from_pointee(config)),
            ops: Ops::new(Clock::manual(NOW), addresses, Some(json_dispatch(log.clone()))),
            gate: gate_of(Arc::clone(&gate)),
            deliver: deliver_to(Arc::clone(&mails), Arc::clone(&deliveries)),
            mint: MintKey::new([7; 32]),
            shutdown: Shutdown::new(),
        };
        Self { parts, log, gate, mails, deliveries }
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.store(gate as u8, Ordering::SeqCst);
    }

    /// Serves a socket of the loopback.
    async fn serve(&self) -> (SocketAddr, JoinHandle<()>) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (address, tokio::spawn(serve(vec![socket], self.parts.clone())))
    }

    /// Serves one end of a pipe; the other is the client's.
    fn pipe(&self, size: usize) -> (Client<DuplexStream>, JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(size);
        let listener = Listener::new(self.parts.clone());
        let attending =
            tokio::spawn(async move { listener.attend(server, Ipv4Addr::LOCALHOST.into()).await });
        (Client(BufReader::new(client)), attending)
    }

    fn mails(&self) -> Vec<(Envelope, Bytes)> {
        self.mails.lock().unwrap().clone()
    }

    fn refused(&self) -> Vec<(u64, String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let events = self.log.events("smtp.refused");
        events.iter().map(|e| (e["code"].as_u64().unwrap(), text(&e["reason"]), text(&e["detail"]))).collect()
    }

    fn in_flight(&self) -> i64 {
        self.parts.ops.metrics.bytes_in_flight.get()
    }
}

fn gate_of(gate: Arc<AtomicU8>) -> Arc<dyn Fn() -> Gate + Send + Sync> {
    Arc::new(move || match gate.load(Ordering::SeqCst) {
        0 => Gate::Open,
        1 => Gate::LowSpace,
        _ => Gate::NotWritable,
    })
}

type Delivering = Pin<Box<dyn Future<Output = Delivery> + Send>>;

/// Keeps the mail; says what its first line asks for.
fn deliver_to(
    mails: Arc<Mutex<Vec<(Envelope, Bytes)>>>,
    permits: Arc<Semaphore>,
) -> vestibule::listener::Deliver {
    Arc::new(move |envelope, bytes| -> Delivering {
        let (mails, permits) = (Arc::clone(&mails), Arc::clone(&permits));
        Box::pin(async move {
            if let Ok(permit) = permits.acquire().await {
                permit.forget();
            }
            let answer = if bytes.starts_with(b"reject") { Delivery::Rejected } else { Delivery::Accepted };
            mails.lock().unwrap().push((envelope, bytes));
            answer
        })
    })
}

/// The client's end.
struct Client<S>(BufReader<S>);

impl<S: AsyncRead + Unpin> Client<S> {
    /// The next reply, all its lines; empty at the end.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let from = reply.len();
            let read = self.0.read_line(&mut reply).await.unwrap_or(0);
            if read == 0 || reply.as_bytes().get(from + 3) == Some(&b' ') {
                return reply;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    #[track_caller]
    fn expect(&mut self, wanted: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            // An hour: on a stopped clock it is longer than any deadline of the listener.
            let reply = timeout(Duration::from_hours(1), self.reply()).await;
            let reply = reply.unwrap_or_else(|_| panic!("{place}: no reply, wanted {wanted:?}"));
            assert!(reply.starts_with(wanted), "{place}: wanted {wanted:?}, got {reply:?}");
        }
    }

    async fn ask(&mut self, line: &str, wanted: &str) {
        self.send(format!("{line}\r\n")).await;
        self.expect(wanted).await;
    }

    async fn greet(&mut self) {
        self.expect("220 mx.example").await;
        self.ask("EHLO client.example", "250-mx.example").await;
    }

    /// Up to the 354.
    async fn begin_mail(&mut self) {
        self.ask("MAIL FROM:<a@client.example>", "250 2.1.0").await;
        self.ask("RCPT TO:<it@help.example>", "250 2.1.5").await;
        self.ask("DATA", "354").await;
    }

    async fn mail(&mut self, content: &str, wanted: &str) {
        self.begin_mail().await;
        self.send(content).await;
        self.ask("\r\n.", wanted).await;
    }

    /// Nothing more comes, and the server has closed.
    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
}

async fn connect(address: SocketAddr) -> Client<TcpStream> {
    Client(BufReader::new(TcpStream::connect(address).await.unwrap()))
}

/// Waits for what other tasks bring about.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn a_pipelined_session_over_a_socket() {
    let house = House::new(|_| {});
    let (address, serving) = house.serve().await;
    let mut client = connect(address).await;
    let mail = "MAIL FROM:<a@client.example>\r\nRCPT TO:<it+x@help.example>\r\nDATA\r\nSubject: x\r\n\r\n..y\r\n.\r\n";
    client.send(format!("EHLO client.example\r\n{mail}{mail}QUIT\r\n")).await;
    for wanted in ["220 ", "250-mx.example", "250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "250 2.1.0"] {
        client.expect(wanted).await;
    }
    for wanted in ["250 2.1.5", "354"] {
        client.expect(wanted).await;
    }
    let (first, second) = match &house.mails()[..] {
        [first, second] => (first.clone(), second.clone()),
        other => panic!("{} mails", other.len()),
    };
    assert_eq!(client.reply().await, format!("250 2.0.0 {} accepted\r\n", second.0.mail_id));
    client.expect("221 2.0.0").await;
    client.expect_end().await;

    let (envelope, bytes) = first;
    assert_eq!(&bytes[..], b"Subject: x\r\n\r\n.y\r\n");
    assert_ne!(envelope.mail_id, second.0.mail_id);
    assert_eq!(envelope.session, second.0.session);
    assert_eq!(envelope.peer, IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!((envelope.helo.as_str(), envelope.protocol), ("client.example", Protocol::Esmtp));
    assert_eq!((envelope.reverse_path.as_str(), envelope.received_at), ("a@client.example", NOW));
    assert_eq!(envelope.recipients.len(), 1);
    assert_eq!(envelope.recipients[0].address, "it+x@help.example");
    assert_eq!(envelope.recipients[0].route, Route::Project("IT".parse().unwrap()));

    house.parts.shutdown.begin();
    serving.await.unwrap();
    let closed = &house.log.events("session.closed")[0];
    assert_eq!((closed["how"].as_str(), closed["mails"].as_u64()), (Some("quit"), Some(2)));
    assert_eq!(closed["session"], house.log.events("session.opened")[0]["session"]);
    assert_eq!(house.parts.ops.metrics.sessions.get(), 0);
    assert_eq!(house.in_flight(), 0);
}

#[tokio::test]
async fn strangers_are_told_to_come_back_and_the_operator_which_key_to_change() {
    let house = House::new(|config| config.smtp.allow_from = vec!["10.0.0.0/8".parse().unwrap()]);
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.expect("421 4.7.1 mx.example").await;
    client.expect_end().await;
    let [(code, reason, detail)] = &house.refused()[..] else { panic!("{:?}", house.refused()) };
    assert_eq!((*code, reason.as_str()), (421, "peer-not-allowed"));
    assert!(detail.contains("smtp.allow_from") && detail.contains("127.0.0.1"), "{detail}");
}

#[tokio::test]
async fn ipv4_peers_of_an_ipv6_socket_are_ipv4_peers() {
    let house = House::new(|_| {});
    let Ok(socket) = TcpListener::bind("[::]:0").await else { return };
    let port = socket.local_addr().unwrap().port();
    let _serving = tokio::spawn(serve(vec![socket], house.parts.clone()));
    let mut client = connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
    client.greet().await;
    client.mail("x", "250 2.0.0").await;
    assert_eq!(house.mails()[0].0.peer, IpAddr::from(Ipv4Addr::LOCALHOST));
}

#[tokio::test]
async fn connections_are_capped_for_each_peer_and_in_all() {
    for (total, of_peer, key) in [(2, 9, "smtp.max_connections "), (9, 2, "smtp.max_connections_per_peer ")] {
        let house = House::new(|config| {
            config.smtp.max_connections = total;
            config.smtp.max_connections_per_peer = of_peer;
        });
        let (address, _serving) = house.serve().await;
        let (mut first, mut second) = (connect(address).await, connect(address).await);
        first.greet().await;
        second.greet().await;
        let mut third = connect(address).await;
        third.expect("421 4.3.2").await;
        third.expect_end().await;
        assert!(house.refused()[0].2.starts_with(key), "{:?}", house.refused());
        first.ask("QUIT", "221").await;
        first.expect_end().await;
        until("a place is free", || house.log.events("session.closed").len() == 1).await;
        let mut fourth = connect(address).await;
        fourth.greet().await;
        second.ask("NOOP", "250").await;
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_told_and_bounded() {
    let house = House::new(|config| config.smtp.max_connections = 0);
    let (address, _serving) = house.serve().await;
    let mut clients = Vec::new();
    for _ in 0..70 {
        clients.push(connect(address).await);
    }
    for client in &mut clients {
        client.expect("421 4.3.2").await;
    }
    assert_eq!(house.refused().len(), 64, "so many are waited for and logged, the others just told");
    let metrics = house.parts.ops.metrics.render();
    assert!(metrics.contains("reason=\"too-many-connections\"} 70"), "all are counted: {metrics}");
}

#[tokio::test]
async fn the_store_closes_the_gate() {
    let house = House::new(|_| {});
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    house.set_gate(Gate::LowSpace);
    client.ask("MAIL FROM:<a@client.example>", "452 4.3.1").await;
    house.set_gate(Gate::NotWritable);
    client.ask("MAIL FROM:<a@client.example>", "451 4.3.0").await;
    connect(address).await.expect("421 4.3.0").await;
    house.set_gate(Gate::Open);
    client.mail("x", "250 2.0.0").await;
}

#[tokio::test]
async fn all_mail_in_flight_shares_one_budget() {
    let house = House::new(|config| config.smtp.memory_budget = 64 << 10);
    let (address, _serving) = house.serve().await;
    let (mut slow, mut other) = (connect(address).await, connect(address).await);
    slow.greet().await;
    other.greet().await;
    slow.begin_mail().await;
    slow.send(vec![b'x'; 40_000]).await;
    until("the bytes are held", || house.in_flight() >= 40_000).await;
    other.ask("MAIL FROM:<b@client.example> SIZE=60000", "452 4.3.1").await;
    other.mail(&"y".repeat(60_000), "452 4.3.1").await;
    assert!(house.in_flight() < 64 << 10);
    other.mail("small", "250 2.0.0").await;
    slow.ask("\r\n.", "250 2.0.0").await;
    other.mail(&"y".repeat(20_000), "250 2.0.0").await;
    assert_eq!(house.in_flight(), 0);
    assert_eq!(house.mails().len(), 3);
    assert!(house.refused().iter().all(|(_, reason, _)| reason == "memory-budget"));
}

#[tokio::test]
async fn a_mail_holds_its_memory_until_it_is_dealt_with() {
    let house = House::new(|_| {});
    house.deliveries.forget_permits(Semaphore::MAX_PERMITS);
    let (mut client, served) = house.pipe(64 << 10);
    client.greet().await;
    client.begin_mail().await;
    client.send([vec![b'x'; 10_000], b"\r\n.\r\nQUIT\r\n".to_vec()].concat()).await;
    until("the mail is held", || house.in_flight() >= 10_000).await;
    house.deliveries.add_permits(1);
    client.expect("250 2.0.0").await;
    client.expect("221").await;
    served.await.unwrap();
    assert_eq!(house.in_flight(), 0);
}

/// What a client does wrong, and when it is told so: by the stopped clock, in seconds after the greeting.
#[tokio::test(start_paused = true)]
async fn silence_has_a_deadline() {
    let house = House::new(|_| {});
    let (mut client, served) = house.pipe(4096);
    client.expect("220").await;
    let greeted = Instant::now();
    client.expect("421 4.4.2").await;
    assert_eq!(greeted.elapsed().as_secs(), 60);
    served.await.unwrap();

    let (mut client, served) = house.pipe(4096);
    client.greet().await;
    let greeted = Instant::now();
    client.expect("421 4.4.2").await;
    assert_eq!(greeted.elapsed().as_secs(), 300);
    served.await.unwrap();
    assert!(house.log.events("session.closed").iter().all(|event| event["how"] == "timeout"));
}

/// D01: sends one byte of `bytes` after each `pause` until it is told to go; returns the seconds that took.
async fn drip(client: &mut Client<DuplexStream>, bytes: &[u8], pause: Duration) -> u64 {
    let began = Instant::now();
    let (reader, mut writer) = tokio::io::split(client.0.get_mut());
    let dripping = async {
        for byte in bytes.iter().cycle() {
            sleep(pause).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let mut reader = Client(BufReader::new(reader));
    let told = async {
        let mut reply = reader.reply().await;
        if reply.starts_with("500 5.5.2") {
            reply = reader.reply().await;
        }
        reply
    };
    tokio::select! {
        line = told => assert!(line.starts_with("421 4.4.2"), "{line:?}"),
        () = dripping => panic!("closed without a word"),
    }
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn dripping_clients_are_ended() {
    let house = House::new(|_| {});
    let second = Duration::from_secs(1);
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    assert_eq!(drip(&mut client, b"N", 10 * second).await, 10 + 30, "from the line's first byte");
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    assert_eq!(drip(&mut client, b"\n", 10 * second).await, 10 + 30, "a bare LF ends no line");
}

#[tokio::test(start_paused = true)]
async fn a_dripping_mail_is_ended_and_a_slow_one_is_taken() {
    let house = House::new(|_| {});
    let second = Duration::from_secs(1);
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    client.begin_mail().await;
    assert_eq!(drip(&mut client, b"x", second).await, 60, "its head start");
    assert!(house.mails().is_empty());

    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    client.begin_mail().await;
    for _ in 0..600 {
        sleep(second).await;
        client.send("x".repeat(1020) + "\r\n..\r\n").await;
    }
    client.ask(".", "250 2.0.0").await;
    assert_eq!(house.mails().len(), 1);
    assert_eq!(house.mails()[0].1.len(), 600 * 1025);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_keeps_the_line_busy_is_ended() {
    let house = House::new(|_| {});
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    let greeted = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_secs(280)).await;
        client.ask("NOOP", "250").await;
    }
    client.expect("421 4.4.2").await;
    assert_eq!(greeted.elapsed().as_secs(), 20 * 60);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_ended() {
    let house = House::new(|_| {});
    let (client, served) = house.pipe(64);
    let (mut _reader, mut writer) = tokio::io::split(client.0.into_inner());
    // Writes fail once the session is gone; when it went is what counts.
    let flooding = tokio::spawn(async move { while writer.write_all(b"NOOP\r\nNOOP\r\n").await.is_ok() {} });
    let began = Instant::now();
    served.await.unwrap();
    flooding.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn an_endless_line_costs_nothing_and_is_told_so() {
    let house = House::new(|_| {});
    let (address, _serving) = house.serve().await;
    let client = connect(address).await;
    let (reader, mut writer) = client.0.into_inner().into_split();
    let flood = tokio::spawn(async move {
        let _ = writer.write_all(&vec![b'x'; 1 << 20]).await;
        writer
    });
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("220"));
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("500 5.5.2"));
    drop(flood.await);
    until("the session ends", || house.log.events("session.closed").len() == 1).await;
    assert_eq!(house.log.events("session.closed")[0]["how"], "errors");
    assert_eq!(house.refused().len(), 1);
}

#[test]
fn an_idle_connection_is_small() {
    let house = House::new(|_| {});
    let listener = Listener::new(house.parts.clone());
    let (_client, server) = tokio::io::duplex(1);
    let session = listener.attend(server, Ipv4Addr::LOCALHOST.into());
    let size = size_of_val(&session);
    assert!(
        size <= 2048,
        "with a buffer of 1 KiB, its task and its socket this is to stay within 6 KiB: {size}"
    );
}

#[tokio::test]
async fn mails_of_one_peer_and_of_one_sender_are_limited() {
    let house = House::new(|config| config.smtp.per_peer_per_minute = NonZeroU32::new(3));
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    for wanted in ["250 2.1.0", "250 2.1.0", "250 2.1.0", "450 4.7.1"] {
        client.ask("MAIL FROM:<a@client.example>", wanted).await;
        client.ask("RSET", "250").await;
    }
    let house = House::new(|config| config.smtp.per_envelope_sender_per_hour = NonZeroU32::new(1));
    let (mut client, _served) = house.pipe(4096);
    client.greet().await;
    for (sender, wanted) in [
        ("a@client.example", "250"),
        ("A@Client.example", "450 4.7.1"),
        ("b@client.example", "250"),
        ("", "250"),
        ("", "250"),
    ] {
        client.ask(&format!("MAIL FROM:<{sender}>"), wanted).await;
        client.ask("RSET", "250").await;
    }
}

#[tokio::test]
async fn stopping_takes_nothing_new_and_finishes_what_is_past_data() {
    let house = House::new(|_| {});
    let (address, serving) = house.serve().await;
    let mut idle = connect(address).await;
    idle.greet().await;
    let mut early = connect(address).await;
    early.greet().await;
    early.ask("MAIL FROM:<a@client.example>", "250").await;
    let mut late = connect(address).await;
    late.greet().await;
    late.begin_mail().await;
    let mut chunked = connect(address).await;
    chunked.greet().await;
    chunked.send("MAIL FROM:<a@client.example>\r\nRCPT TO:<it@help.example>\r\nBDAT 2\r\nab").await;
    for wanted in ["250 2.1.0", "250 2.1.5", "250 2.0.0"] {
        chunked.expect(wanted).await;
    }

    house.parts.shutdown.begin();
    idle.expect("421 4.3.2").await;
    idle.expect_end().await;
    early.ask("RCPT TO:<it@help.example>", "421 4.3.2").await;
    late.ask("x\r\n.", "250 2.0.0").await;
    late.expect("421 4.3.2").await;
    chunked.send("BDAT 1 LAST\r\nc").await;
    chunked.expect("250 2.0.0").await;
    chunked.expect("421 4.3.2").await;
    drop((early, late, chunked));
    timeout(Duration::from_mins(1), serving).await.expect("serve returns once all have left").unwrap();
    assert_eq!(house.mails().len(), 2);
    assert!(TcpStream::connect(address).await.is_err(), "the socket is closed");
}

#[tokio::test]
async fn when_the_time_is_over_sessions_leave_at_once() {
    let house = House::new(|_| {});
    house.deliveries.forget_permits(Semaphore::MAX_PERMITS);
    let (address, serving) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    client.begin_mail().await;
    client.send("x\r\n.\r\n").await;
    until("the mail is being delivered", || house.in_flight() > 0).await;
    assert!(!house.parts.shutdown.drain(Duration::from_millis(50)).await, "it could not be finished");
    timeout(Duration::from_mins(1), serving).await.expect("serve returns").unwrap();
    client.expect_end().await;
    assert!(house.mails().is_empty());
    assert_eq!(house.in_flight(), 0);
}

#[tokio::test]
async fn a_reload_counts_from_the_next_mail_on() {
    let house = House::new(|_| {});
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.greet().await;
    client.begin_mail().await;
    let mut config = support::config();
    config.smtp.max_message_size = 100;
    config.smtp.max_recipients = 1;
    house.parts.config.store(Arc::new(config));
    client.send("x".repeat(1000)).await;
    client.ask("\r\n.", "250 2.0.0").await;
    client.mail(&"x".repeat(1000), "552 5.3.4").await;
    client.ask("MAIL FROM:<a@client.example> SIZE=101", "552 5.3.4").await;
    client.ask("MAIL FROM:<a@client.example>", "250").await;
    client.ask("RCPT TO:<it@help.example>", "250").await;
    client.ask("RCPT TO:<hr@help.example>", "452 4.5.3").await;
}

#[tokio::test]
async fn refusals_are_logged_as_the_site_wants_addresses() {
    let hostile = "RCPT TO:<no\u{202e}body@help.example>";
    for (addresses, shown) in [(LogAddresses::Full, hostile), (LogAddresses::Hashed, "RCPT")] {
        let house = House::new(|config| config.log.addresses = addresses);
        let (mut client, _served) = house.pipe(4096);
        client.greet().await;
        client.ask("MAIL FROM:<a@client.example> SMTPUTF8", "250").await;
        client.ask(hostile, "550 5.1.1").await;
        client.ask("RSET", "250").await;
        client.ask("EXPN all", "502").await;
        client.mail("reject this", "550 5.7.1").await;
        let refused = house.refused();
        assert_eq!(refused[0], (550, "unknown-recipient".to_owned(), shown.to_owned()));
        assert_eq!(refused[2].1, "rejected");
        assert_eq!(refused[2].2, house.mails()[0].0.mail_id.to_string());
        let from: Vec<_> = house.log.events("smtp.refused").iter().map(|e| e["mail_from"].clone()).collect();
        let full = addresses == LogAddresses::Full;
        let is_sender = |from: &serde_json::Value| match from.as_str() {
            Some(from) => from.ends_with("@client.example") && (from == "a@client.example") == full,
            None => false,
        };
        assert!(is_sender(&from[0]) && from[1].is_null() && is_sender(&from[2]), "{from:?}");
        assert!(!house.log.text().contains('\u{202e}'), "escaped in the line itself");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told() {
    let house = House::new(|_| {});
    let (mut client, served) = house.pipe(4096);
    client.greet().await;
    client.begin_mail().await;
    client.send("half a mail\r\n.").await;
    drop(client);
    served.await.unwrap();
    assert_eq!(house.log.events("session.closed")[0]["how"], "peer-closed");
    assert!(house.mails().is_empty());
    assert_eq!((house.in_flight(), house.parts.ops.metrics.sessions.get()), (0, 0));
}
