//! The HTTP client of the collector: ureq, on the exporter's own thread.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// For one try, from the connection to the whole answer.
const TRY: Duration = Duration::from_secs(5);
/// Most bytes of an answer; one says how many spans were rejected, and why.
const MAX_ANSWER: u64 = 64 * 1024;

/// What the last answer was, beside its status: the exporter keeps neither.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<(usize, String)>);

impl Said {
    fn put(&self, rejected: usize, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (rejected, words);
    }

    /// Spans that were rejected of a request that was taken, and the collector's words; or what went wrong.
    pub(super) fn take(&self) -> (usize, String) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends requests to the collector.
#[derive(Debug)]
pub(super) struct Collector {
    agent: ureq::Agent,
    said: Arc<Said>,
}

impl Collector {
    /// Fails where the collector is to be reached by TLS, and the system trusts no certificates.
    pub(super) fn new(endpoint: &str, said: Arc<Said>) -> Result<Self, String> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TRY))
            .http_status_as_error(false)
            .max_redirects(0);
        let agent = if endpoint.starts_with("https://") { agent.tls_config(tls()?) } else { agent };
        Ok(Self { agent: agent.build().into(), said })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let mut answer = self.agent.run(Request::from_parts(head, &*body))?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(answer.map(|_| Bytes::from(body)))
    }
}

/// The system's authorities, as for the relay of our mail.
fn tls() -> Result<TlsConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
        return Err(format!("the certificates that the system trusts can't be read: {why}"));
    }
    let roots: Vec<_> = found.certs.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots));
    Ok(tls.unversioned_rustls_crypto_provider(Arc::new(ring::default_provider())).build())
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks: it is called on the thread of the exporter, which has nothing else to do.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).inspect_err(|error| self.said.put(0, error.to_string()))?;
        if answer.status().is_success() {
            // What can't be read says nothing of rejected spans.
            let read = ExportTraceServiceResponse::decode(&**answer.body()).unwrap_or_default();
            let partial = read.partial_success.unwrap_or_default();
            let rejected = usize::try_from(partial.rejected_spans).unwrap_or(0);
            self.said.put(rejected, format!("rejected by the collector: {}", partial.error_message));
        } else {
            self.said.put(0, format!("the collector answers {}", answer.status()));
        }
        Ok(answer)
    }
}
