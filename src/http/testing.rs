//! A server over a store that keeps only accounts and can be told to fail, and a client of bare sockets.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use super::{State, serve};
use crate::{
    access::{DomainEntry, Internal, OnClosed, ProjectAccess, SenderList, SiteAccess},
    authn::{AuthenticationMode, RelayTrust},
    config::*,
    ops::{Clock, LogBuffer, Ops, Shutdown, json_dispatch},
    smtp::RouteTable,
    store::*,
    templates::Language,
    types::*,
    verify::Verify,
};

pub(super) const TOKEN: &str = "a-token-for-tests";

/// Accounts and nothing else; `trouble` makes the next commits fail, or all reads.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) known: Mutex<HashMap<String, Account>>,
    pub(super) plans: Mutex<Vec<Plan>>,
    /// Errors of the next commits, the last one first.
    pub(super) refusals: Mutex<Vec<CommitError>>,
    pub(super) broken: Mutex<bool>,
    /// Where commits wait until a permit is added, if they are to wait.
    pub(super) gate: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
    /// One request, and its comments, each with the bytes of its mail.
    pub(super) thread: Mutex<Option<(RequestRow, Vec<Comment>)>>,
    pub(super) mails: Mutex<HashMap<BodyRef, Bytes>>,
}

impl Accounts {
    fn check(&self) -> Result<(), StoreError> {
        if *self.broken.lock().unwrap() {
            Err(StoreError::Unavailable("/dev/sdb on fire".into()))
        } else {
            Ok(())
        }
    }

    fn empty<T>(&self) -> Result<Page<T>, StoreError> {
        self.check().map(|()| Page { items: Vec::new(), next: None })
    }
}

#[async_trait]
impl Store for Accounts {
    async fn sender(&self, address: &EmailAddress, _: &[Once], _: Time) -> Result<SenderView, StoreError> {
        self.check()?;
        let account = self.known.lock().unwrap().get(address.key()).cloned();
        Ok(SenderView { version: 7, account, ..SenderView::default() })
    }
    async fn threads(&self, _: &EmailAddress, _: &Named) -> Result<Vec<Thread>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn token(&self, _: &TokenDigest) -> Result<Option<TokenView>, StoreError> {
        self.check().map(|()| None)
    }
    async fn confirmation(&self, _: &TokenDigest) -> Result<Option<ConfirmationView>, StoreError> {
        self.check().map(|()| None)
    }
    async fn sent(&self, _: DeliveryId) -> Result<Option<SentMail>, StoreError> {
        self.check().map(|()| None)
    }
    async fn verification(&self, _: VerificationId) -> Result<Option<VerificationView>, StoreError> {
        self.check().map(|()| None)
    }
    async fn verifications(&self, _: &EmailAddress, _: usize) -> Result<Vec<VerificationView>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn commit(&self, plan: Plan) -> Result<Committed, CommitError> {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return Err(refusal);
        }
        let mut accounts = self.known.lock().unwrap();
        for effect in &plan.effects {
            match effect {
                Effect::PutAccount(account) => {
                    accounts.insert(account.address.key().to_owned(), account.clone());
                }
                Effect::DeleteAccount(address) => {
                    accounts.remove(address.key());
                }
                other => panic!("not an account's change: {other:?}"),
            }
        }
        self.plans.lock().unwrap().push(plan);
        Ok(Committed::default())
    }
    async fn claim(&self, _: Queue, _: Time, _: usize, _: Duration) -> Result<Vec<Lease>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn settle(&self, _: &Lease, _: Settlement, _: Time) -> Result<Settled, CommitError> {
        Ok(Settled::Lost)
    }
    async fn next_due(&self, _: Queue) -> Result<Option<Time>, StoreError> {
        self.check().map(|()| None)
    }
    fn wakes(&self, _: Queue) -> Arc<Notify> {
        Arc::default()
    }
    async fn raw(&self, body: &BodyRef) -> Result<Bytes, StoreError> {
        self.check()?;
        let found = self.mails.lock().unwrap().get(body).cloned();
        found.ok_or_else(|| StoreError::Damaged("segment 1, offset 2: wrong checksum".into()))
    }
    async fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        self.check()?;
        let thread = self.thread.lock().unwrap().clone();
        Ok(thread.map(|(row, _)| row).filter(|row| row.id == *id))
    }
    async fn comments(&self, _: &RequestId) -> Result<Vec<Comment>, StoreError> {
        self.check()?;
        Ok(self.thread.lock().unwrap().clone().map_or_else(Vec::new, |(_, comments)| comments))
    }
    async fn requests(&self, _: &RequestFilter, _: PageRequest) -> Result<Page<RequestRow>, StoreError> {
        self.empty()
    }
    async fn held(&self, _: HeldId) -> Result<Option<HeldRow>, StoreError> {
        self.check().map(|()| None)
    }
    async fn held_mails(&self, _: &HeldFilter, _: PageRequest) -> Result<Page<HeldRow>, StoreError> {
        self.empty()
    }
    async fn accounts(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        self.check()?;
        let mut items: Vec<Account> = self.known.lock().unwrap().values().cloned().collect();
        items.retain(|account| filter.kind.is_none_or(|kind| kind == account.kind));
        items.retain(|account| {
            filter.domains.as_ref().is_none_or(|list| list.contains(account.address.domain()))
        });
        items.sort_by(|a, b| a.address.cmp(&b.address));
        items.truncate(page.limit);
        Ok(Page { items, next: None })
    }
    async fn decisions(&self, _: &DecisionFilter, _: PageRequest) -> Result<Page<DecisionRow>, StoreError> {
        self.empty()
    }
    async fn deliveries(&self, _: &EmailAddress) -> Result<Vec<DeliveryRow>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn traces(&self, _: &EmailAddress) -> Result<Traces, StoreError> {
        Err(StoreError::Unavailable("there are no rows".into()))
    }
    async fn held_count(&self) -> Result<u64, StoreError> {
        self.check().map(|()| 3)
    }
    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.check().map(|()| Backlog::default())
    }
    async fn sweep(&self, _: Time, _: Time, _: usize) -> Result<usize, CommitError> {
        Ok(0)
    }
    async fn dropped(&self, _: MailId, _: Time) -> Result<Vec<Dropped>, StoreError> {
        Ok(Vec::new())
    }
    async fn snapshot(&self) -> Result<Snapshot, CommitError> {
        Err(CommitError::Unavailable("there is none".into()))
    }
    async fn drop_snapshot(&self) -> Result<(), CommitError> {
        Ok(())
    }
    async fn compact(&self, _: &Retention, _: Time, _: Effort) -> Result<Compacted, CommitError> {
        Ok(Compacted::default())
    }
    fn health(&self) -> Health {
        let broken = *self.broken.lock().unwrap();
        Health {
            writable: !broken,
            problem: broken.then(|| "no space".into()),
            free: 4096,
            ..Health::default()
        }
    }
    async fn audit(&self) -> Result<Vec<String>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn scrub(&self) -> Result<Vec<String>, StoreError> {
        self.check().map(|()| Vec::new())
    }
    async fn close(&self) {}
}

fn config() -> Config {
    let hostname: Domain = "help.example.com".parse().unwrap();
    let it: ProjectKey = "IT".parse().unwrap();
    let mut routes = RouteTable::new(Some('+'), false, hostname.clone());
    routes.add(&"it@help.example.com".parse().unwrap(), &it);
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let approved = ["approved.example".parse::<DomainEntry>().unwrap()].into_iter().collect();
    let day = Duration::from_hours(24);
    Config {
        path: "vestibule.toml".into(),
        hostname,
        smtp: SmtpConfig {
            listen: vec![address],
            max_message_size: 2000,
            max_recipients: 100,
            max_connections: 100,
            max_connections_per_peer: 100,
            memory_budget: 1 << 20,
            allow_from: Vec::new(),
            tls: None,
            xclient_from: Vec::new(),
            proxy_from: Vec::new(),
            require_tls: false,
            on_drop: OnDrop::Accept,
            bare_newlines: BareNewlines::Refuse,
            postmaster: None,
            per_peer_per_minute: None,
            per_envelope_sender_per_hour: None,
        },
        http: HttpConfig {
            listen: address,
            admin_listen: None,
            public_url: "https://help.example.com".into(),
            admin_token: None,
            tokens: vec![ApiToken::new("admin".parse().unwrap(), ApiRole::Admin, TOKEN)],
        },
        store: StoreConfig {
            path: "data".into(),
            min_free: 0,
            duplicate_window: 7 * day,
            one_request_per_mail: false,
        },
        retention: Retention {
            dropped_mail: Keep::For(7 * day),
            ended_holds: Keep::For(7 * day),
            requests: Keep::Forever,
            decisions: Keep::For(400 * day),
        },
        mail: MailConfig {
            relay: Relay::Directory("outbound".into()),
            from: Mailbox {
                name: Some("Example Help".into()),
                address: "help@help.example.com".parse().unwrap(),
            },
            acknowledge: false,
            max_acknowledgements_per_address_per_day: 20.try_into().unwrap(),
            max_acknowledgements_per_minute: 60.try_into().unwrap(),
            confirm_address: false,
            bounce_domain: None,
            language: Language::english(),
            templates_folder: None,
            templates: Arc::default(),
        },
        verification: VerificationConfig {
            link_lifetime: 7 * day,
            hold_for: 30 * day,
            resend_after: Duration::from_hours(1),
            max_mails_per_address_per_day: 2,
            max_mails_per_minute: 60.try_into().unwrap(),
            max_mails_per_minute_external: 20.try_into().unwrap(),
            never_mail: SenderList::default(),
            contact: Some("Service desk, 4711".into()),
        },
        authentication: AuthenticationConfig {
            mode: AuthenticationMode::Off,
            relay: RelayTrust::default(),
            verify: VerifyConfig::default(),
        },
        access: Arc::new(SiteAccess {
            internal: Internal { use_approved_domains: true, approved_domains: approved },
            max_held_per_address: 50,
            ..SiteAccess::default()
        }),
        projects: vec![Project {
            key: it,
            name: "IT support".into(),
            addresses: vec!["it@help.example.com".into()],
            access: ProjectAccess::Anyone,
            on_closed: OnClosed::Reopen,
            via_lists: Vec::new(),
            language: None,
            allow_automatic_from: SenderList::default(),
        }],
        routes: Arc::new(routes),
        log: LogConfig { format: LogFormat::Json, level: "debug".into(), addresses: LogAddresses::Full },
        otlp: None,
        warnings: Vec::new(),
        version: "0".into(),
    }
}

/// A running server.
pub(super) struct Server {
    pub(super) store: Arc<Accounts>,
    pub(super) log: LogBuffer,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) pages: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) shutdown: Shutdown,
    pub(super) running: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(false).await
    }

    /// `apart`: API, health and metrics on a listener of their own.
    pub(super) async fn with(apart: bool) -> Self {
        let (store, log, shutdown) = (Arc::<Accounts>::default(), LogBuffer::default(), Shutdown::new());
        let config = Arc::new(ArcSwap::from_pointee(config()));
        let clock = Clock::manual("2026-11-22T08:00:00Z".parse().unwrap());
        let ops = Ops::new(clock, LogAddresses::Full, Some(json_dispatch(log.clone())));
        let dynamic: Arc<dyn Store> = Arc::<Accounts>::clone(&store);
        let seal = TokenSeal::new([1; 32]);
        let state = State {
            verify: Verify::new(Arc::clone(&dynamic), Arc::clone(&config), ops.clone(), seal),
            store: dynamic,
            config: Arc::clone(&config),
            ops,
            reprocess: Arc::new(|_, _, _| {
                Box::pin(async { Err(super::NotReprocessed::NotFound("There is none.".to_owned())) })
            }),
            explain: Arc::new(|question| {
                Box::pin(async move {
                    if question.raw.is_empty() {
                        return Err("no mail".to_owned());
                    }
                    Ok(json!({ "rcpts": question.rcpts }))
                })
            }),
            ready: Arc::new(|| Ok(())),
            shutdown: shutdown.clone(),
        };
        let bind = || TcpListener::bind("127.0.0.1:0");
        let listener = bind().await.unwrap();
        let pages = listener.local_addr().unwrap();
        let own = if apart { Some(bind().await.unwrap()) } else { None };
        let admin = own.as_ref().map_or(pages, |own| own.local_addr().unwrap());
        let running = tokio::spawn(serve(listener, own, state));
        Self { store, log, config, pages, admin, shutdown, running }
    }

    /// One call of the API with the token; `body` as JSON.
    pub(super) async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map_or_else(String::new, |body| body.to_string());
        let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        exchange(self.admin, method, &format!("/api/v1{path}"), &headers, &body).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        exchange(self.pages, "GET", path, "", "").await
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// A header field; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        let field =
            |line: &'_ str| line.split_once(": ").is_some_and(|(given, _)| given.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .find(|line| field(line))
            .and_then(|line| line.split_once(": "))
            .map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem document, checked to be one; a detail is what tests look into.
    pub(super) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }
}

/// One request on a connection of its own.
pub(super) async fn exchange(to: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    raw(to, &format!(
        "{method} {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
    .await
}

/// Sends these bytes and reads until the server closes.
pub(super) async fn raw(to: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
