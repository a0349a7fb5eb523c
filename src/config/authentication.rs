//! `[authentication]`: whom to believe, and what each mode needs for it.

use super::{
    checks::at_key,
    model::{AuthenticationConfig, Config, VerifyConfig},
    names,
    reader::Reader,
    sections::{plain, scope},
    values::{self, Wrong},
    words,
};
use crate::authn::{AuthenticationMode, RelayTrust, ResultsFormat};

const TABLE: &str = "authentication";

/// What the organisation's own mail needs where no relay is named for it.
const OWN_PEOPLE: &str = "authentication.internal_relays is empty: mail of an approved domain is proven only by dmarc=pass, an \
     aligned dkim=pass, or auth=pass with the sender's address. Mail that your people submit often has none of these and is then \
     held each time: let the submission server write auth=pass, or deliver its mail from an address of its own and name that in \
     internal_relays";
/// The same behind Exchange Online.
const OWN_PEOPLE_ONLINE: &str = "authentication.internal_relays is empty: Exchange Online writes no auth=pass, and dmarc=none for \
     mail within your own organisation, which is then held each time: send it over a connector and a relay address of its own, and \
     name that in internal_relays";
/// The same where we judge ourselves, and no login counts.
const OWN_PEOPLE_VERIFIED: &str = "authentication.internal_relays is empty: mail of an approved domain is proven only by DMARC or \
     an aligned DKIM signature. What your people submit needs one, or it is held each time: let the submission server sign \
     (DKIM), or deliver its mail from an address of its own and name that in internal_relays";

pub(super) fn authentication(r: &mut Reader<'_>) -> Option<AuthenticationConfig> {
    let at = scope(r, TABLE)?;
    let mode = r.value(&at, "mode", words::authentication_mode);
    let results_from = r.list(&at, "results_from", names::network);
    let authserv_ids = r.list(&at, "authserv_ids", authserv_id);
    let format = r.value(&at, "results_format", words::results_format);
    let below_received = r.value(&at, "results_below_received", values::truth);
    let internal_relays = r.list(&at, "internal_relays", names::network);
    let sealers = r.list(&at, "trusted_arc_sealers", names::domain);
    let strict = r.list(&at, "strict_alignment", names::domain);
    let resolver = r.optional(&at, "resolver", names::resolver);
    let retry_window = r.value(&at, "retry_window", values::duration_or_zero);
    let relay = RelayTrust {
        results_from: plain(results_from?),
        authserv_ids: plain(authserv_ids?),
        format: format?,
        below_received: below_received?,
        internal_relays: plain(internal_relays?),
        arc_sealers: plain(sealers?),
        strict_alignment: plain(strict?),
    };
    let verify = VerifyConfig { resolver, retry_window: retry_window? };
    let settings = AuthenticationConfig { mode: mode?, relay, verify };
    if settings.mode == AuthenticationMode::Relay {
        needed(r, &settings.relay);
    }
    let word = settings.mode.as_str();
    for name in idle(&settings) {
        let path = at.path(name);
        r.warnings.push(format!("{path} has no effect with authentication.mode = \"{word}\""));
    }
    Some(settings)
}

/// The keys that say something, and to no effect in this mode.
fn idle(settings: &AuthenticationConfig) -> Vec<&'static str> {
    use AuthenticationMode::{Off, Relay, Verify};
    let (relay, verify) = (&settings.relay, &settings.verify);
    let keys: [(&str, &[AuthenticationMode], bool); 8] = [
        ("results_from", &[Off, Verify], !relay.results_from.is_empty()),
        ("authserv_ids", &[Off, Verify], !relay.authserv_ids.is_empty()),
        ("results_format", &[Off, Verify], relay.format != ResultsFormat::Rfc8601),
        ("results_below_received", &[Off, Verify], relay.below_received),
        ("internal_relays", &[Off], !relay.internal_relays.is_empty()),
        ("trusted_arc_sealers", &[Off], !relay.arc_sealers.is_empty()),
        ("strict_alignment", &[Off], !relay.strict_alignment.is_empty()),
        ("resolver", &[Off, Relay], verify.resolver.is_some()),
    ];
    let idle = keys.into_iter().filter(|(_, modes, set)| *set && modes.contains(&settings.mode));
    idle.map(|(name, ..)| name).collect()
}

/// Without white space and the signs that end an id; quotes are the field's, not the id's.
fn authserv_id(value: &toml::de::DeValue<'_>) -> values::Read<String> {
    let id = values::line(value)?;
    if id.contains(|c: char| c.is_whitespace() || ";=()\"".contains(c)) {
        let fix = "write what stands before the first semicolon of the relay's Authentication-Results, such as \"mx.example.com\"";
        return Err(Wrong::new(format!("\"{id}\" is no authserv-id"), fix));
    }
    Ok(id)
}

/// What mode = "relay" can't do without.
fn needed(r: &mut Reader<'_>, relay: &RelayTrust) {
    let mut miss = |name: &'static str, problem: &str, fix: &str| {
        at_key(r, (TABLE, name), Some((TABLE, "mode")), Wrong::new(problem, fix));
    };
    if relay.results_from.is_empty() && relay.internal_relays.is_empty() {
        miss(
            "results_from",
            "mode = \"relay\" believes nobody: results_from and internal_relays are both empty",
            "name the addresses of the relays that check DMARC, such as results_from = [\"192.0.2.25\"]",
        );
    }
    if relay.format == ResultsFormat::Rfc8601
        && !relay.results_from.is_empty()
        && relay.authserv_ids.is_empty()
    {
        miss(
            "authserv_ids",
            "no name to tell the relay's Authentication-Results from others by",
            "write what stands before the first semicolon of that field, such as authserv_ids = [\"mx.example.com\"]",
        );
    }
    if relay.format == ResultsFormat::ExchangeOnline && relay.below_received {
        miss(
            "results_below_received",
            "with results_format = \"exchange-online\" the topmost field counts, wherever the Received fields stand",
            "remove the key `results_below_received`",
        );
    }
    if relay.format == ResultsFormat::ExchangeOnline && !relay.arc_sealers.is_empty() {
        miss(
            "trusted_arc_sealers",
            "Exchange Online seals each mail itself, so no forwarder's seal is the newest here",
            "remove the key `trusted_arc_sealers`, and name the sealers to Exchange Online (Set-ArcConfig)",
        );
    }
}

/// What the mode trusts, for `check` and the log.
pub(super) fn warnings(config: &Config, out: &mut Vec<String>) {
    match config.authentication.mode {
        AuthenticationMode::Off => out.push(
            "authentication.mode = \"off\": every sender counts as proven, so whoever can reach smtp.listen can write in \
             anybody's name; for closed networks and tests"
                .to_owned(),
        ),
        AuthenticationMode::Relay => relay(config, out),
        AuthenticationMode::Verify => verify(config, out),
    }
}

fn relay(config: &Config, out: &mut Vec<String>) {
    let trust = &config.authentication.relay;
    out.push(format!("authentication.mode = \"relay\": {}", believed(trust)));
    everybody("results_from", &trust.results_from, out);
    everybody("internal_relays", &trust.internal_relays, out);
    if trust.below_received {
        out.push(
            "authentication.results_below_received is on: a sender who writes the relay's id into a field of their own is \
             believed unless the relay removes such fields (RFC 8601 §5); send one through it and look"
                .to_owned(),
        );
    }
    if trust.format == ResultsFormat::ExchangeOnline {
        out.push(
            "authentication.results_format = \"exchange-online\": the field has no name, so whoever else can send to the peers \
             of results_from is believed; the addresses of Exchange Online are shared by all its customers. Put a relay \
             between that takes nothing but what your organisation's connector sends"
                .to_owned(),
        );
    }
    if !trust.arc_sealers.is_empty() {
        out.push(
            "authentication.trusted_arc_sealers: where a relay of yours says arc=pass, these forwarders may say that DMARC or \
             DKIM passed for any From; a relay that seals mail itself is the newest sealer, and then none of these counts"
                .to_owned(),
        );
    }
    for domain in &trust.strict_alignment {
        if !config.access.internal.approved_domains.contains(domain) {
            out.push(format!(
                "authentication.strict_alignment names {domain}, which is not in access.internal.approved_domains"
            ));
        }
    }
    own_people(config, out);
}

/// A network that holds every address names nobody.
fn everybody(name: &str, networks: &[ipnet::IpNet], out: &mut Vec<String>) {
    out.extend(networks.iter().filter(|network| network.prefix_len() == 0).map(|network| {
        format!(
            "authentication.{name} holds {network}: every host that may connect is believed; name your relays"
        )
    }));
}

/// What an installation needs so that its own employees' mail is not held each time.
fn own_people(config: &Config, out: &mut Vec<String>) {
    let (settings, internal) = (&config.authentication, &config.access.internal);
    let wanted = internal.use_approved_domains && !internal.approved_domains.is_empty();
    if wanted && settings.relay.internal_relays.is_empty() {
        let needed = match (settings.mode, settings.relay.format) {
            (AuthenticationMode::Verify, _) => OWN_PEOPLE_VERIFIED,
            (_, ResultsFormat::Rfc8601) => OWN_PEOPLE,
            (_, ResultsFormat::ExchangeOnline) => OWN_PEOPLE_ONLINE,
        };
        out.push(needed.to_owned());
    }
}

fn verify(config: &Config, out: &mut Vec<String>) {
    let settings = &config.authentication;
    let server = settings.verify.resolver.map_or_else(
        || "the system's name servers (/etc/resolv.conf)".to_owned(),
        |address| format!("the name server at {address}"),
    );
    let mut believed = vec![format!(
        "a DMARC pass, or without a DMARC record an aligned DKIM signature (for domains that are not approved an aligned SPF \
         pass too), by the word of {server}"
    )];
    if !settings.relay.arc_sealers.is_empty() {
        let sealers = texts(&settings.relay.arc_sealers);
        believed.push(format!("what {sealers} found, where their ARC seal is the newest and holds"));
    }
    let internal = &settings.relay.internal_relays;
    if !internal.is_empty() {
        believed.push(format!("every From of an approved domain from peers in {}", texts(internal)));
    }
    let believed = believed.join("; and ");
    out.push(format!(
        "authentication.mode = \"verify\": believed is {believed}; all other senders are unproven"
    ));
    everybody("internal_relays", internal, out);
    let open = config.smtp.allow_from.iter().any(|network| network.prefix_len() == 0);
    out.push(if open {
        "authentication.mode = \"verify\" asks SPF with the address that connects: smtp.allow_from holds every host. Name each \
         relay of your own there too, such as a border server, or its address passes for every domain whose SPF record holds it"
            .to_owned()
    } else {
        "authentication.mode = \"verify\" asks SPF only for clients that a relay of smtp.allow_from tells of with XCLIENT or \
         XFORWARD: the relay's own address says nothing of the sender. Without those DKIM alone can prove one"
            .to_owned()
    });
    own_people(config, out);
}

fn believed(trust: &RelayTrust) -> String {
    let mut parts = Vec::new();
    if !trust.results_from.is_empty() {
        let peers = texts(&trust.results_from);
        parts.push(match trust.format {
            ResultsFormat::Rfc8601 => {
                let ids = trust.authserv_ids.join(", ");
                let place = if trust.below_received { "down to the next server's" } else { "above their own" };
                format!("the Authentication-Results that peers in {peers} write as {ids}, {place} Received field")
            }
            ResultsFormat::ExchangeOnline => {
                format!("the topmost Authentication-Results of Exchange Online in what comes from peers in {peers}")
            }
        });
    }
    if !trust.arc_sealers.is_empty() {
        parts.push(format!("what {} sealed where those say arc=pass", texts(&trust.arc_sealers)));
    }
    if !trust.internal_relays.is_empty() {
        let peers = texts(&trust.internal_relays);
        parts.push(format!("every From of an approved domain from peers in {peers}"));
    }
    format!("believed is {}; all other senders are unproven", parts.join(", and "))
}

fn texts(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
