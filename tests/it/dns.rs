//! A name server on loopback: UDP and TCP on one port, zones that tests change, answers late or never, queries counted.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use mail_auth::hickory_resolver::proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, MX, SOA, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

/// Longest answer over UDP; a longer one is cut, to be asked for over TCP.
const UDP_LIMIT: usize = 1_232;

/// What becomes of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// They are answered from the zone.
    Well,
    /// SERVFAIL.
    Failing,
    /// Nothing ever comes.
    Dead,
    /// Answered after so long.
    Slow(Duration),
}

#[derive(Default)]
struct Zone {
    records: HashMap<String, Vec<RData>>,
    moods: HashMap<String, Mood>,
    mood: Option<Mood>,
    ttl: u32,
    asked: Vec<String>,
    over_tcp: usize,
}

pub(crate) struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { ttl: 3600, ..Zone::default() }));
        let tasks = vec![
            tokio::spawn(serve_udp(udp, Arc::clone(&zone))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&zone))),
        ];
        Self { address, zone, tasks }
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().unwrap()
    }

    fn add(&self, name: &str, data: RData) -> &Self {
        self.zone().records.entry(name.to_owned()).or_default().push(data);
        self
    }

    /// One TXT record, in strings of 255 bytes.
    pub(crate) fn txt(&self, name: &str, text: &str) -> &Self {
        let strings = text.as_bytes().chunks(255).map(|part| String::from_utf8(part.to_vec()).unwrap());
        self.add(name, RData::TXT(TXT::new(strings.collect())))
    }

    pub(crate) fn a(&self, name: &str, address: &str) -> &Self {
        self.add(name, RData::A(A(address.parse::<Ipv4Addr>().unwrap())))
    }

    pub(crate) fn mx(&self, name: &str, host: &str) -> &Self {
        self.add(name, RData::MX(MX::new(10, fqdn(host))))
    }

    pub(crate) fn remove(&self, name: &str) {
        self.zone().records.remove(name);
    }

    /// What becomes of queries for this name.
    pub(crate) fn mood_of(&self, name: &str, mood: Mood) -> &Self {
        self.zone().moods.insert(name.to_owned(), mood);
        self
    }

    /// What becomes of all others.
    pub(crate) fn mood(&self, mood: Mood) -> &Self {
        self.zone().mood = Some(mood);
        self
    }

    pub(crate) fn ttl(&self, seconds: u32) {
        self.zone().ttl = seconds;
    }

    /// Name and type of each query, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.zone().asked.clone()
    }

    pub(crate) fn asked_over_tcp(&self) -> usize {
        self.zone().over_tcp
    }
}

/// TCP has to get the port that UDP got.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let (query, zone, socket) = (buffer[..length].to_vec(), Arc::clone(&zone), Arc::clone(&socket));
        tokio::spawn(async move {
            let Some(answer) = answer(&query, &zone).await else { return };
            let bytes = answer.to_vec().unwrap();
            let bytes = if bytes.len() > UDP_LIMIT { answer.truncate().to_vec().unwrap() } else { bytes };
            let _ = socket.send_to(&bytes, peer).await;
        });
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(talk(stream, Arc::clone(&zone)));
    }
}

async fn talk(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; length.into()];
        if stream.read_exact(&mut query).await.is_err() {
            return;
        }
        zone.lock().unwrap().over_tcp += 1;
        let Some(answer) = answer(&query, &zone).await else { return };
        let bytes = answer.to_vec().unwrap();
        let framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

async fn answer(query: &[u8], zone: &Mutex<Zone>) -> Option<Message> {
    let request = Message::from_vec(query).unwrap();
    let question = request.queries[0].clone();
    let name = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mood = {
        let mut zone = zone.lock().unwrap();
        zone.asked.push(format!("{name} {}", question.query_type()));
        zone.moods.get(&name).copied().or(zone.mood).unwrap_or(Mood::Well)
    };
    match mood {
        Mood::Dead => return None,
        Mood::Slow(delay) => tokio::time::sleep(delay).await,
        Mood::Well | Mood::Failing => {}
    }
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.message_type = MessageType::Response;
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.add_query(question.clone());
    if mood == Mood::Failing {
        response.metadata.response_code = ResponseCode::ServFail;
    } else {
        fill(&mut response, &question, &name, &zone.lock().unwrap());
    }
    Some(response)
}

/// The records; else, with an SOA, that there are none of this type, or that there is no such name.
fn fill(response: &mut Message, question: &Query, name: &str, zone: &Zone) {
    let all = zone.records.get(name);
    let wanted = all.into_iter().flatten().filter(|data| data.record_type() == question.query_type());
    for data in wanted {
        response.add_answer(Record::from_rdata(question.name().clone(), zone.ttl, data.clone()));
    }
    if !response.answers.is_empty() {
        return;
    }
    let below = format!(".{name}");
    if !zone.records.keys().any(|known| known == name || known.ends_with(&below)) {
        response.metadata.response_code = ResponseCode::NXDomain;
    }
    let soa = SOA::new(fqdn("ns.example"), fqdn("root.ns.example"), 1, 3600, 600, 86_400, 300);
    response.add_authority(Record::from_rdata(fqdn("example"), 300, RData::SOA(soa)));
}
