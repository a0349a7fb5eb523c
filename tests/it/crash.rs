//! kill -9 of the built binary, again and again: whatever was answered 250 is there, nothing is there twice or by half.
//!
//! `VESTIBULE_CRASH_ROUNDS` sets the number of rounds (default 4); README.md has the command for the full run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::daemon::{SITE, TOKEN, audit, link_in, message};

/// The built daemon, and where it listens.
struct Server {
    child: Child,
    smtp: SocketAddr,
    http: SocketAddr,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    #[expect(
        clippy::zombie_processes,
        reason = "killed or terminated, then waited for; a test that panics ends anyway"
    )]
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "--config"])
            .arg(folder.join("vestibule.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "the daemon ended before it had started");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "daemon.started" {
                let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
                return Self { child, smtp: address("smtp"), http: address("http"), stdout };
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        // Read what it says, so that a full pipe never keeps it from stopping.
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        assert!(rest.contains("daemon.stopped"), "{rest}");
    }
}

/// One mail over a connection of its own; whether it was answered 250. Any failure is a mail that stays with the relay.
fn relay(smtp: SocketAddr, from: &str, subject: &str) -> std::io::Result<bool> {
    let stream = TcpStream::connect(smtp)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let rcpts = ["it@help.example.com", "hr@help.example.com"];
    let raw = message(from, &rcpts, subject);
    let envelope = format!(
        "EHLO relay.example\r\nMAIL FROM:<{from}>\r\nRCPT TO:<{}>\r\nRCPT TO:<{}>\r\nDATA\r\n",
        rcpts[0], rcpts[1],
    );
    writer.write_all(envelope.as_bytes())?;
    let mut line = String::new();
    while !line.starts_with("354") {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.starts_with('4') || line.starts_with('5') {
            return Ok(false);
        }
    }
    writer.write_all(format!("{raw}.\r\n").as_bytes())?;
    line.clear();
    reader.read_line(&mut line)?;
    Ok(line.starts_with("250 "))
}

fn get(http: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

/// Every item of a list, page by page.
fn all(http: SocketAddr, list: &str) -> Vec<serde_json::Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(http, "GET", &format!("/api/v1/{list}?limit=500{cursor}")).unwrap();
        let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_else(|_| panic!("{page}"));
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// A number below `below` that differs from round to round and from run to run.
fn dice(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

fn rounds() -> u64 {
    std::env::var("VESTIBULE_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4)
}

#[test]
fn kill_9_under_load_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vestibule.toml"), SITE).unwrap();
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let counter = Arc::new(AtomicUsize::new(0));
    for _ in 0..rounds() {
        let server = Server::start(folder.path());
        let workers: Vec<_> = (0..8).map(|worker| load(worker, server.smtp, &answered, &counter)).collect();
        let redeemer = redeem(folder.path(), server.http);
        thread::sleep(Duration::from_millis(20 + dice(400)));
        server.kill();
        for worker in workers {
            worker.join().unwrap();
        }
        redeemer.join().unwrap();
    }
    let server = Server::start(folder.path());
    settle(server.http);
    check(server.http, &answered.lock().unwrap());
    server.terminate();
    // Account with request, hold with verification, used token with release.
    tokio::runtime::Runtime::new().unwrap().block_on(audit(&folder.path().join("data")));
}

/// Sends until the server is gone. A third of the senders is new and allowed, a third approved (held), a third known.
fn load(
    worker: u64,
    smtp: SocketAddr,
    answered: &Arc<Mutex<BTreeSet<String>>>,
    counter: &Arc<AtomicUsize>,
) -> thread::JoinHandle<()> {
    let (answered, counter) = (Arc::clone(answered), Arc::clone(counter));
    thread::spawn(move || {
        loop {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let from = match worker % 3 {
                0 => format!("new{number}@partner.example"),
                1 => format!("staff{}@approved.example", number % 40),
                _ => format!("known{worker}@partner.example"),
            };
            let subject = format!("mail {number}");
            match relay(smtp, &from, &subject) {
                Ok(true) => {
                    answered.lock().unwrap().insert(subject);
                }
                Ok(false) => {}
                Err(_) => return,
            }
        }
    })
}

/// Clicks every link that is mailed, until the server is gone.
fn redeem(folder: &Path, http: SocketAddr) -> thread::JoinHandle<()> {
    let outbound = folder.join("outbound");
    thread::spawn(move || {
        let mut clicked = BTreeSet::new();
        loop {
            for entry in fs::read_dir(&outbound).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_none_or(|end| end != "eml") || !clicked.insert(path.clone()) {
                    continue;
                }
                let Ok(mail) = fs::read_to_string(&path) else { continue };
                if get(http, "POST", &link_in(&mail)).is_err() {
                    return;
                }
            }
            thread::sleep(Duration::from_millis(5));
            if TcpStream::connect(http).is_err() {
                return;
            }
        }
    })
}

/// Waits until the worker has released all that was redeemed.
fn settle(http: SocketAddr) {
    let mut last = usize::MAX;
    for _ in 0..200 {
        thread::sleep(Duration::from_millis(100));
        let held = all(http, "held").len();
        if held == last {
            return;
        }
        last = held;
    }
}

fn check(http: SocketAddr, answered: &BTreeSet<String>) {
    let requests = all(http, "requests");
    let held = all(http, "held");
    let decisions = all(http, "decisions");
    assert!(answered.len() > 20, "the load was real: {}", answered.len());

    // Every mail answered 250 has a decision for both projects.
    let mut decided: BTreeMap<&str, usize> = BTreeMap::new();
    for row in decisions.iter().filter(|row| row["basis"].is_null()) {
        *decided.entry(row["message_id"].as_str().unwrap()).or_default() += 1;
    }
    for subject in answered {
        let id = format!("{}@sender.example", subject.replace(' ', "."));
        assert_eq!(decided.get(id.as_str()), Some(&2), "{subject} was answered 250");
    }

    // No request twice, numbers without a gap, and each mail either waits, is a request, or has ended.
    let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut subjects = BTreeSet::new();
    for request in &requests {
        let (project, number) = request["id"].as_str().unwrap().split_once('-').unwrap();
        assert!(numbers.entry(project.to_owned()).or_default().insert(number.parse().unwrap()), "{request}");
        let once = (project.to_owned(), request["subject"].as_str().unwrap().to_owned());
        assert!(subjects.insert(once), "twice: {request}");
    }
    for (project, numbers) in &numbers {
        assert_eq!(
            numbers.iter().copied().collect::<Vec<_>>(),
            (1..=numbers.len() as u64).collect::<Vec<_>>(),
            "{project}"
        );
    }
    let ended = decisions.iter().filter(|row| !row["basis"].is_null()).count();
    let made = decisions.iter().filter(|row| row["outcome"] == "hold").count();
    assert_eq!(made, held.len() + ended, "holds made = waiting + ended");
}
