//! A collector on loopback: takes OTLP over HTTP and hands on what it was sent.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What the collector says to every request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// All of it is taken.
    Taken,
    /// Taken, but for this many spans.
    Rejected(i64),
    /// This status.
    Status(u16),
    /// Nothing, ever.
    Silence,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub path: String,
    pub headers: String,
    pub resource: BTreeMap<String, String>,
    pub spans: Vec<Span>,
}

pub(crate) struct Collector {
    pub url: String,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Collector {
    pub(crate) async fn start(answer: Answer) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                tokio::spawn(serve(stream, answer, sender.clone()));
            }
        });
        Self { url, requests }
    }

    /// The next request with traces.
    pub(crate) async fn next(&mut self) -> Request {
        let next = tokio::time::timeout(Duration::from_mins(1), self.requests.recv()).await;
        next.expect("nothing comes").expect("the collector runs")
    }

    /// So many spans, of however many requests: what is sent may wait for more, or not.
    pub(crate) async fn spans(&mut self, count: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < count {
            spans.extend(self.next().await.spans);
        }
        assert_eq!(spans.len(), count, "{spans:?}");
        spans
    }

    /// All that has come and was not yet asked for.
    pub(crate) fn rest(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, sender: mpsc::UnboundedSender<Request>) {
    while let Some(request) = read(&mut stream).await {
        let _ = sender.send(request);
        let (status, rejected) = match answer {
            Answer::Taken => (200, 0),
            Answer::Rejected(spans) => (200, spans),
            Answer::Status(status) => (status, 0),
            Answer::Silence => std::future::pending().await,
        };
        let partial =
            ExportTracePartialSuccess { rejected_spans: rejected, error_message: "too old".to_owned() };
        let partial_success = (rejected > 0).then_some(partial);
        let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    }
}

/// The next request of a connection; `None` at its end.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).await.ok()?;
    let sent = ExportTraceServiceRequest::decode(&*body).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut resource = BTreeMap::new();
    let mut spans = Vec::new();
    for of_resource in sent.resource_spans {
        resource.extend(attributes(&of_resource.resource.unwrap().attributes));
        spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
    }
    Some(Request { path, headers: head, resource, spans })
}

/// Attributes by name, each value as text.
pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|one| (one.key.clone(), text(one.value.as_ref().unwrap().value.as_ref()))).collect()
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|one| text(one.value.as_ref())).collect::<Vec<_>>().join(" ")
        }
        other => panic!("no such value is sent: {other:?}"),
    }
}
