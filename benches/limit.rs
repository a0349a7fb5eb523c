//! The limit: the least that a server can do and still parse each mail and have it on disk before its 250. It speaks just
//! enough SMTP, runs mail-parser, appends to one file, and shares one fdatasync among all that wait. It has no policy, no
//! limits, no log and no index, and never gives space back: a yardstick, not a server.
//!
//! `cargo run --release --example limit -- 127.0.0.1:2600 FILE`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a yardstick ends where it fails"
)]

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    sync::mpsc,
    thread,
};

use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// A mail, and who waits until it is on disk.
type Waiting = (Vec<u8>, oneshot::Sender<()>);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(path)) = (args.next(), args.next()) else {
        println!("usage: limit HOST:PORT FILE");
        std::process::exit(2);
    };
    let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let (mails, waiting) = mpsc::channel();
    thread::spawn(move || write(file, &waiting));
    let listener = TcpListener::bind(address).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mails = mails.clone();
        // A peer that goes away ends its session; there is nobody to tell.
        tokio::spawn(async move { drop(session(stream, mails).await) });
    }
}

/// Takes all that waits, appends it, syncs once, answers all.
fn write(mut file: File, waiting: &mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut answers = Vec::new();
        for (mail, answer) in std::iter::once(first).chain(waiting.try_iter().take(1023)) {
            batch.extend_from_slice(&mail);
            answers.push(answer);
        }
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
        batch.clear();
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

async fn session(stream: TcpStream, mails: mpsc::Sender<Waiting>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 limit\r\n").await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.first().map(u8::to_ascii_uppercase) {
            Some(b'D') => {
                stream.write_all(b"354 go on\r\n").await?;
                let mail = data(&mut stream).await?;
                drop(MessageParser::default().parse(&mail));
                let (answer, durable) = oneshot::channel();
                mails.send((mail, answer)).map_err(std::io::Error::other)?;
                durable.await.map_err(std::io::Error::other)?;
                b"250 on disk\r\n"
            }
            Some(b'Q') => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).await?;
    }
}

/// Up to CRLF.CRLF; dots stay stuffed.
async fn data(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::with_capacity(4096);
    while !mail.ends_with(b"\r\n.\r\n") {
        if stream.read_buf(&mut mail).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    mail.truncate(mail.len() - 3);
    Ok(mail)
}
