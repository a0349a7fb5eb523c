//! Which Authentication-Results fields were written by a relay of ours (RFC 8601 §5).
//!
//! Every server puts its fields on top, so what stands above a Received field was added by the server that wrote that
//! field or by a later one. The topmost Received field is the peer's own: only what stands above it can't come from the
//! sender. A field between it and the next Received field may be the peer's (some milters insert there) or the sender's;
//! no reader can tell the two apart, so it counts only where the site says that the relay removes incoming fields with its
//! own id (`results_below_received`). A mail without a Received field has nothing that counts.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Results;
use crate::{mail::TraceField, types::Domain};

/// Most results that are looked at; more are no mail of a relay that means well.
const MAX_ENTRIES: usize = 256;
/// Under these Exchange Online names its own servers in Received fields.
const MICROSOFT: [&str; 2] = [".outlook.com", ".office365.com"];

/// `[authentication]`, for mode = "relay"; the last three for mode = "verify" too.
#[derive(Debug, Clone, Default)]
pub struct RelayTrust {
    /// Peers whose fields count.
    pub results_from: Vec<IpNet>,
    /// The names that those give themselves; compared without case.
    pub authserv_ids: Vec<String>,
    /// How they write.
    pub format: ResultsFormat,
    /// Whether fields below the relay's own Received field count too, because it removes foreign ones.
    pub below_received: bool,
    /// Peers that carry nothing but authenticated submissions of the approved domains.
    pub internal_relays: Vec<IpNet>,
    /// Forwarders whose sealed results count where the chain of seals holds.
    pub arc_sealers: Vec<Domain>,
    /// From domains that only results for exactly this domain prove.
    pub strict_alignment: Vec<Domain>,
}

/// `results_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResultsFormat {
    /// With an authserv-id.
    #[default]
    Rfc8601,
    /// Without one.
    ExchangeOnline,
}

/// What the relays say.
#[derive(Debug, Default)]
pub(super) struct Believed {
    pub(super) fields: Vec<Results>,
    /// One of ours that can't be read as RFC 8601 has it, or more than anybody writes: nothing is proven by these fields.
    pub(super) malformed: bool,
    /// Fields that look like ours, but stand where a sender can write.
    pub(super) ignored: usize,
}

impl RelayTrust {
    /// Whether the peer's fields count.
    pub(super) fn has_results_from(&self, peer: IpAddr) -> bool {
        holds(&self.results_from, peer)
    }

    /// Whether the peer carries nothing but authenticated submissions.
    pub fn is_internal(&self, peer: IpAddr) -> bool {
        holds(&self.internal_relays, peer)
    }

    /// Whether only exact alignment counts for this From domain.
    pub fn is_strict(&self, from: &Domain) -> bool {
        self.strict_alignment.contains(from)
    }

    /// The fields of a mail that one of ours wrote.
    pub(super) fn believed(&self, trace: &[TraceField]) -> Believed {
        match self.format {
            ResultsFormat::Rfc8601 => self.named(trace),
            ResultsFormat::ExchangeOnline => exchange_online(trace),
        }
    }

    fn named(&self, trace: &[TraceField]) -> Believed {
        let end = self.end(trace);
        let mut believed = Believed::default();
        for (place, field) in trace.iter().enumerate() {
            let TraceField::Results(value) = field else { continue };
            let results = Results::parse(value);
            let ours = results.authserv_id.as_deref().is_some_and(|id| self.is_own(id));
            if !ours || results.version.as_deref().is_some_and(|version| version != "1") {
                continue;
            }
            if place < end { believed.add(results) } else { believed.ignored += 1 }
        }
        believed
    }

    fn is_own(&self, id: &str) -> bool {
        self.authserv_ids.iter().any(|own| own.eq_ignore_ascii_case(id))
    }

    /// The place of the first field that a sender may have written.
    fn end(&self, trace: &[TraceField]) -> usize {
        let mut received = trace.iter().enumerate().filter_map(|(place, field)| match field {
            TraceField::Received { by } => Some((place, by.as_deref())),
            TraceField::Results(_) => None,
        });
        let Some((first, _)) = received.next() else { return 0 };
        if !self.below_received {
            return first;
        }
        let foreign = received.find(|(_, by)| !by.is_some_and(|by| self.is_own(by)));
        foreign.map_or(trace.len(), |(place, _)| place)
    }
}

impl Believed {
    /// One value that is believed for another reason than its place.
    pub(super) fn of(value: &str) -> Self {
        let mut believed = Self::default();
        let results = Results::parse(value);
        if results.version.as_deref().is_none_or(|version| version == "1") {
            believed.add(results);
        }
        believed
    }

    fn add(&mut self, results: Results) {
        let before: usize = self.fields.iter().map(|field| field.entries.len()).sum();
        self.malformed |= results.malformed || before + results.entries.len() > MAX_ENTRIES;
        self.fields.push(results);
    }

    pub(super) fn entries<'s>(&'s self, method: &'s str) -> impl Iterator<Item = &'s super::Entry> {
        let all = self.fields.iter().flat_map(|field| &field.entries);
        all.take(MAX_ENTRIES).filter(move |entry| method.is_empty() || entry.method == method)
    }
}

/// The topmost field, if it has no id and stands among Received fields of Exchange Online: those above it but the topmost,
/// which is the peer's (Exchange Online's own, or that of a relay of the site between), and the next one below, which the
/// same server wrote before it judged the mail.
fn exchange_online(trace: &[TraceField]) -> Believed {
    let mut believed = Believed::default();
    let fields = || trace.iter().filter(|field| matches!(field, TraceField::Results(_)));
    let Some(place) = trace.iter().position(|field| matches!(field, TraceField::Results(_))) else {
        return believed;
    };
    let microsoft = |field: &TraceField| match field {
        TraceField::Received { by } => by.as_deref().is_some_and(of_microsoft),
        TraceField::Results(_) => false,
    };
    let below = trace[place..].iter().find(|field| matches!(field, TraceField::Received { .. }));
    let above_theirs = trace[..place].iter().skip(1).all(microsoft);
    let among_theirs = above_theirs && below.is_some_and(microsoft);
    if let (true, TraceField::Results(value)) = (among_theirs, &trace[place]) {
        let results = Results::parse(value);
        if results.authserv_id.is_none() {
            believed.add(results);
            return believed;
        }
    }
    believed.ignored = fields().count();
    believed
}

fn of_microsoft(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    MICROSOFT.iter().any(|domain| host.ends_with(domain))
}

/// Whether one of the networks holds the address; an IPv4 address in IPv6 form is that IPv4 address.
pub(super) fn holds(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}
