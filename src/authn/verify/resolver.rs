//! The resolver: which name servers, how long, how much is kept.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mail_auth::hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    system_conf::read_system_conf,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// For one try of one query.
const QUERY: Duration = Duration::from_secs(2);
/// Tries after the first.
const RETRIES: usize = 1;
/// Most answers that are kept.
const CACHED: u64 = 8192;
/// Longest that an answer is kept, whatever its TTL.
const LONGEST: Duration = Duration::from_hours(1);
/// The same for the answer that there is nothing: new records shall be seen soon.
const LONGEST_NEGATIVE: Duration = Duration::from_mins(5);
/// Queries under way at once.
const QUERIES: usize = 1024;

/// The resolver can't be set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "authentication.mode = \"verify\" can't ask DNS: {0}; name a resolver, such as authentication.resolver = \"127.0.0.1:53\""
)]
pub struct NoResolver(String);

/// `address`, or the system's (resolv.conf) where none is named. The hosts file is never asked: it knows no mail domains.
pub(super) fn resolver(address: Option<SocketAddr>) -> Result<TokioResolver, NoResolver> {
    let config = match address {
        Some(address) => at(address),
        None => read_system_conf().map_err(|error| NoResolver(format!("/etc/resolv.conf: {error}")))?.0,
    };
    // Names are asked for as they are, never below a search domain.
    let config = ResolverConfig::from_parts(None, Vec::new(), config.name_servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options())
        .with_tls_config(no_tls()?)
        .build()
        .map_err(|error| NoResolver(error.to_string()))
}

fn at(address: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = QUERY;
    options.attempts = RETRIES;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(LONGEST);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE);
    options.max_active_requests = QUERIES;
    options
}

/// DNS goes over UDP and TCP; hickory wants a TLS configuration all the same, and would read the system's certificates.
fn no_tls() -> Result<ClientConfig, NoResolver> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| NoResolver(error.to_string()))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
