//! What all sessions share.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    budget::Budget,
    limits::{PROXY_HEADERS, REFUSALS},
    peers::{Connections, Place},
    rates::Rates,
};
use crate::{
    config::{BareNewlines, Config},
    ops::{Ops, Shutdown},
    smtp::{self, BounceRoutes, Envelope, MailAnswer, MailRequest, Policy, Reply},
    types::MintKey,
};

/// Decides about one mail and puts it on disk. The answer comes when both are done.
pub type Deliver =
    Arc<dyn Fn(Envelope, Bytes) -> Pin<Box<dyn Future<Output = smtp::Delivery> + Send>> + Send + Sync>;

/// Whether the store wants mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Open,
    /// Less free space than `store.min_free`: 452 4.3.1 at MAIL.
    LowSpace,
    /// It takes no writes: 421 4.3.0 at connect, 451 4.3.0 at MAIL.
    NotWritable,
}

/// What the listener is given.
#[derive(Clone)]
pub struct Parts {
    /// The settings; each mail goes by those in force at its MAIL.
    pub config: Arc<ArcSwap<Config>>,
    /// Clock, counters, log.
    pub ops: Ops,
    /// Asked at every connection and every MAIL: must be quick.
    pub gate: Arc<dyn Fn() -> Gate + Send + Sync>,
    /// Where mails go.
    pub deliver: Deliver,
    /// Tells the bounce addresses that we made.
    pub mint: MintKey,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// The settings in force, as the listener needs them.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) config: Arc<Config>,
    pub(super) policy: Policy,
}

impl InForce {
    fn new(config: Arc<Config>, mint: &MintKey) -> Self {
        let smtp = &config.smtp;
        let policy = Policy {
            hostname: config.hostname.to_string(),
            max_message_size: smtp.max_message_size,
            max_recipients: smtp.max_recipients,
            normalize_newlines: smtp.bare_newlines == BareNewlines::Normalize,
            starttls: smtp.tls.is_some(),
            require_tls: smtp.require_tls,
            routes: Arc::clone(&config.routes),
            bounces: config
                .mail
                .bounce_domain
                .clone()
                .map(|domain| BounceRoutes { domain, mint: mint.clone() }),
        };
        Self { config, policy }
    }
}

/// What all sessions share.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) budget: Arc<Budget>,
    pub(super) rates: Rates,
    pub(super) sessions: TaskTracker,
    /// Permits of connections that are being told 421.
    pub(super) refusals: Arc<Semaphore>,
    /// Permits of connections that have yet to send their PROXY header.
    pub(super) headers: Arc<Semaphore>,
    connections: Arc<Connections>,
    in_force: ArcSwap<InForce>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            budget: Arc::new(Budget::new(parts.ops.metrics.bytes_in_flight.clone())),
            rates: Rates::default(),
            sessions: TaskTracker::new(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            headers: Arc::new(Semaphore::new(PROXY_HEADERS)),
            connections: Arc::default(),
            in_force: ArcSwap::from_pointee(InForce::new(parts.config.load_full(), &parts.mint)),
            parts,
        }
    }

    /// The settings in force now.
    pub(super) fn in_force(&self) -> Arc<InForce> {
        let config = self.parts.config.load();
        let known = self.in_force.load();
        if Arc::ptr_eq(&known.config, &config) {
            return Arc::clone(&known);
        }
        let new = Arc::new(InForce::new(Arc::clone(&config), &self.parts.mint));
        self.in_force.store(Arc::clone(&new));
        new
    }

    /// Whether connections of this peer must begin with a PROXY header.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.parts.config.load().smtp.proxy_from.iter().any(|network| network.contains(&peer))
    }

    /// Whether a connection gets a session; if not, its reply and what to tell the operator.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<Place, (Reply, String)> {
        let config = self.parts.config.load();
        if !config.smtp.allow_from.iter().any(|network| network.contains(&peer)) {
            let hint =
                format!("{peer} is in no network of smtp.allow_from; add it if it is one of your relays");
            return Err((Reply::PeerNotAllowed, hint));
        }
        if (self.parts.gate)() == Gate::NotWritable {
            return Err((Reply::StoreClosed, "the store takes no writes".to_owned()));
        }
        let (most, most_of_peer) = (config.smtp.max_connections, config.smtp.max_connections_per_peer);
        let place = self.connections.enter(peer.into(), most, most_of_peer);
        place.map_err(|key| (Reply::TooManyConnections, format!("{key} is reached")))
    }

    /// Whether a mail may come in.
    pub(super) fn may_mail(&self, config: &Config, peer: IpAddr, request: &MailRequest) -> MailAnswer {
        if self.parts.shutdown.has_begun() {
            return MailAnswer::Stopping;
        }
        match (self.parts.gate)() {
            Gate::NotWritable => return MailAnswer::NotWritable,
            Gate::LowSpace => return MailAnswer::LowSpace,
            Gate::Open => {}
        }
        if !self.budget.has_room(request.size.unwrap_or(0), config.smtp.memory_budget) {
            return MailAnswer::NoMemory;
        }
        if !self.rates.allow(&config.smtp, peer.into(), &request.reverse_path) {
            return MailAnswer::RateLimited;
        }
        MailAnswer::Open
    }
}
