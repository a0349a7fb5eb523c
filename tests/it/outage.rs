//! The relay for outbound mail is away for a day: mail comes in as ever, every verification mail goes out once it is back,
//! and none twice.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::daemon::{Daemon, SITE, eventually, link_in};

const PEOPLE: usize = 20;

/// A relay that hangs up on everybody until it is back.
#[derive(Clone, Default)]
struct Relay {
    back: Arc<AtomicBool>,
    /// What it took: recipient and mail.
    taken: Arc<Mutex<Vec<(String, String)>>>,
}

impl Relay {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (relay, address) = (Self::default(), listener.local_addr().unwrap());
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if serving.back.load(Ordering::SeqCst) {
                    tokio::spawn(serving.clone().serve(stream));
                }
            }
        });
        (relay, address)
    }

    async fn serve(self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut recipient, mut line) = (String::new(), String::new());
        stream.write_all(b"220 relay.example\r\n").await?;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            if verb == "RCPT" {
                recipient = line.trim().to_owned();
            }
            if verb == "DATA" {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail).await? == 0 {
                        return Ok(());
                    }
                }
                self.taken.lock().unwrap().push((recipient.clone(), mail));
            }
            stream.write_all(b"250 2.0.0 taken\r\n").await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_away_for_a_day_costs_nobody_a_mail() {
    let (relay, address) = Relay::start().await;
    let site = SITE.replace("file:outbound", &format!("smtp://{address}"));
    let daemon = Daemon::with(&site).await;
    for n in 0..PEOPLE {
        let sender = format!("person{n}@approved.example");
        assert!(daemon.mail(&sender, &["it@help.example.com"], "Hello").await.starts_with("250"));
    }
    let half_hour = Duration::from_mins(30);
    for step in 1..=48 {
        daemon.advance(half_hour);
        let tries = || daemon.log.events("outbound.retry").len();
        eventually("all are tried again", || tries() >= PEOPLE * step).await;
    }
    // From 10 s to half an hour: a relay that is away is not hammered.
    let tries = daemon.log.events("outbound.retry").len();
    assert!(tries <= PEOPLE * 60, "{tries} tries in a day");
    assert!(
        daemon.mail("bob@partner.example", &["it@help.example.com"], "Meanwhile").await.starts_with("250")
    );

    relay.back.store(true, Ordering::SeqCst);
    // One restart in between: what waits is in the store, not in the process, and is due at once.
    let daemon = daemon.restart(&site).await;
    eventually("all are sent", || daemon.log.events("verification.sent").len() >= PEOPLE).await;
    daemon.advance(half_hour * 48);
    let taken = relay.taken.lock().unwrap().clone();
    let mut each: BTreeMap<&str, usize> = BTreeMap::new();
    for (recipient, _) in &taken {
        *each.entry(recipient).or_default() += 1;
    }
    assert_eq!(each.len(), PEOPLE);
    assert!(each.values().all(|mails| *mails == 1), "{each:?}");
    // The link of a mail that waited for a day works.
    let answer = daemon.page("POST", &link_in(&taken[0].1), "").await;
    assert_eq!(answer.status, 200);
    daemon.holds_ended(1).await;
    daemon.stop().await;
}
