//! Readers of single values: from what is written to what it means, or what is wrong with it and how to write it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo};
use toml::de::DeValue;

use super::{
    model::{BareNewlines, LogAddresses, LogFormat, Mailbox, OnDrop},
    reader::kind,
};
use crate::{
    access::{AccountCreation, DomainEntry, ProjectAccess},
    authn::AuthenticationMode,
    types::{Domain, EmailAddress, ProjectKey},
};

/// Longest duration that is taken: ten years. Longer ones are slips, and times far ahead can't be written down.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) fix: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }
}

type Read<T> = Result<T, Wrong>;

/// Any text.
pub(super) fn text(value: &DeValue<'_>) -> Read<String> {
    str(value, "\"…\"").map(str::to_owned)
}

/// A text that is shown to people: not empty, one line.
pub(super) fn line(value: &DeValue<'_>) -> Read<String> {
    let text = str(value, "\"…\"")?.trim();
    if text.is_empty() {
        return Err(Wrong::new("an empty text", "write what people are to read"));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "a text with a line break or another control character",
            "write it on one line",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn str<'v>(value: &'v DeValue<'_>, example: &str) -> Read<&'v str> {
    value.as_str().ok_or_else(|| {
        let written = match value {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            _ => None,
        };
        let fix = match written {
            Some(written) => format!("put it in quotes: \"{written}\""),
            None => format!("write one text in quotes, such as {example}"),
        };
        Wrong::new(format!("{} where a text is wanted", kind(value)), fix)
    })
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| {
        let fix = "write true or false, without quotes";
        Wrong::new(format!("{} where true or false is wanted", kind(value)), fix)
    })
}

/// A whole number between the two, both included.
pub(super) fn number(min: u32, max: u32) -> impl Fn(&DeValue<'_>) -> Read<u32> {
    move |value| {
        let fix = || format!("write a whole number from {min} to {max}, without quotes");
        let DeValue::Integer(_) = value else {
            return Err(Wrong::new(format!("{} where a whole number is wanted", kind(value)), fix()));
        };
        let number = integer(value).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| {
            let Some(written) = value.as_integer() else { return Wrong::new("no number", fix()) };
            Wrong::new(format!("{written} is out of range"), fix())
        })
    }
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    let written = value.as_integer()?;
    i128::from_str_radix(written.as_str(), written.radix()).ok()
}

/// A size in bytes, between the two: a plain number of bytes or a number and a unit.
pub(super) fn size(min: u64, max: u64) -> impl Fn(&DeValue<'_>) -> Read<u64> {
    move |value| {
        let fix = || "write a whole number and a unit, such as \"36 MiB\", \"1 GiB\" or \"500 KB\"";
        let bytes = match value {
            DeValue::Integer(number) => integer(value).ok_or_else(|| (number.to_string(), "is too large")),
            DeValue::String(text) => size_of(text).map_err(|problem| (format!("\"{text}\""), problem)),
            other => return Err(Wrong::new(format!("{} where a size is wanted", kind(other)), fix())),
        };
        let bytes = bytes.map_err(|(text, problem)| Wrong::new(format!("{text} {problem}"), fix()))?;
        match u64::try_from(bytes) {
            Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
            Ok(bytes) if bytes < min => Err(Wrong::new(
                format!("{bytes} bytes are too few"),
                format!("write at least \"{}\"", in_units(min)),
            )),
            Ok(_) => Err(Wrong::new("the size is too large", format!("write at most \"{}\"", in_units(max)))),
            Err(_) if bytes < 0 => Err(Wrong::new("a size is never negative", fix())),
            Err(_) => {
                Err(Wrong::new("the size is too large", format!("write at most \"{}\"", in_units(max))))
            }
        }
    }
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

fn size_of(text: &str) -> Result<i128, &'static str> {
    let text = text.trim();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let number: i128 = number.parse().map_err(|_| "is no size")?;
    if unit.is_empty() {
        return Ok(number);
    }
    let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (_, factor) = known.ok_or("has an unknown unit (known: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)")?;
    number.checked_mul(i128::from(*factor)).ok_or("is too large")
}

/// Bytes in the largest binary unit that leaves a whole number.
pub(super) fn in_units(bytes: u64) -> String {
    let binary = UNITS[5..].iter().rev();
    let fitting = binary.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    fitting.map_or_else(|| format!("{bytes} B"), |(name, factor)| format!("{} {name}", bytes / factor))
}

/// A duration above zero, at most ten years; a day has 24 hours.
pub(super) fn duration(value: &DeValue<'_>) -> Read<Duration> {
    let fix = "write a number and a unit, such as \"7d\", \"1h\" or \"30 min\"";
    let DeValue::String(text) = value else {
        return Err(Wrong::new(format!("{} where a duration is wanted", kind(value)), fix));
    };
    let span: Span = text.parse().map_err(|_| Wrong::new(format!("\"{text}\" is no duration"), fix))?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| {
        Wrong::new(format!("\"{text}\" has no fixed length"), "write it in days or weeks, such as \"30d\"")
    })?;
    if signed.is_zero() {
        return Err(Wrong::new("a duration of zero", "write a duration above zero, such as \"1h\""));
    }
    let length = Duration::try_from(signed).map_err(|_| {
        Wrong::new(format!("\"{text}\" is negative"), "write a duration above zero, such as \"1h\"")
    })?;
    if length > MAX_DURATION {
        return Err(Wrong::new(format!("\"{text}\" is longer than ten years"), "write at most \"3650d\""));
    }
    Ok(length)
}

/// One of the words.
fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Read<T> {
    let choices: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let choices = choices.join(" or ");
    let text = value.as_str().ok_or_else(|| {
        Wrong::new(format!("{} where a word is wanted", kind(value)), format!("write {choices}, in quotes"))
    })?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word);
        let fix = match nearest(text, known) {
            Some(near) => format!("did you mean \"{near}\"? Possible values: {choices}"),
            None => format!("write {choices}"),
        };
        Wrong::new(format!("\"{text}\" is no value of this key"), fix)
    })
}

/// The known word that was probably meant.
pub(super) fn nearest<'k>(text: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let folded = text.to_lowercase().replace('-', "_");
    let scored = known.map(|word| (strsim::jaro_winkler(&folded, &word.replace('-', "_")), word));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.8).then_some(best.1)
}

pub(super) fn on_drop(value: &DeValue<'_>) -> Read<OnDrop> {
    word(value, &[("accept", OnDrop::Accept), ("reject", OnDrop::Reject)])
}

pub(super) fn bare_newlines(value: &DeValue<'_>) -> Read<BareNewlines> {
    word(value, &[("refuse", BareNewlines::Refuse), ("normalize", BareNewlines::Normalize)])
}

pub(super) fn account_creation(value: &DeValue<'_>) -> Read<AccountCreation> {
    word(value, &[("deny", AccountCreation::Deny), ("allow", AccountCreation::Allow)])
}

pub(super) fn project_access(value: &DeValue<'_>) -> Read<ProjectAccess> {
    let all = [ProjectAccess::Added, ProjectAccess::Existing, ProjectAccess::Anyone];
    word(value, &all.map(|access| (access.as_str(), access)))
}

pub(super) fn log_format(value: &DeValue<'_>) -> Read<LogFormat> {
    word(value, &[("json", LogFormat::Json), ("text", LogFormat::Text)])
}

pub(super) fn log_addresses(value: &DeValue<'_>) -> Read<LogAddresses> {
    let words =
        [("full", LogAddresses::Full), ("hashed", LogAddresses::Hashed), ("domain", LogAddresses::Domain)];
    word(value, &words)
}

/// `results_format`: whether it is other than the default.
pub(super) fn results_format(value: &DeValue<'_>) -> Read<bool> {
    word(value, &[("rfc8601", false), ("exchange-online", true)])
}

pub(super) fn authentication_mode(value: &DeValue<'_>) -> Read<AuthenticationMode> {
    let off = Some(AuthenticationMode::Off);
    word(value, &[("off", off), ("relay", None), ("verify", None)])?.ok_or_else(|| {
        let mode = value.as_str().unwrap_or_default();
        Wrong::new(
            format!("mode = \"{mode}\" is not yet built"),
            "write mode = \"off\", and let only relays connect (smtp.allow_from) that check the From address themselves",
        )
    })
}

/// `log.level`: a level, or a list of levels and `target=level`.
pub(super) fn log_level(value: &DeValue<'_>) -> Read<String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let text = str(value, "\"info\"")?.trim();
    for part in text.split(',') {
        let (target, level) =
            part.split_once('=').map_or(("vestibule", part), |(target, level)| (target, level));
        let valid = target.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if !valid || target.is_empty() {
            let fix = "write a level, or target=level with a module's path as target: \"info,vestibule::smtp=debug\"";
            return Err(Wrong::new(format!("\"{part}\" is no log filter"), fix));
        }
        if !LEVELS.contains(&level.trim().to_ascii_lowercase().as_str()) {
            let near = nearest(level, LEVELS.into_iter()).map(|near| format!("did you mean \"{near}\"? "));
            let fix = format!("{}Levels: {}", near.unwrap_or_default(), LEVELS.join(", "));
            return Err(Wrong::new(format!("\"{level}\" is no log level"), fix));
        }
    }
    Ok(text.to_owned())
}

pub(super) fn domain(value: &DeValue<'_>) -> Read<Domain> {
    let text = str(value, "\"help.example.com\"")?;
    text.parse().map_err(|error| {
        Wrong::new(format!("\"{text}\" is no domain: {error}"), "write a domain such as \"help.example.com\"")
    })
}

pub(super) fn domain_entry(value: &DeValue<'_>) -> Read<DomainEntry> {
    let text = str(value, "\"example.com\"")?;
    text.parse().map_err(|error| {
        let after_at =
            text.rsplit_once('@').map(|(_, domain)| domain).filter(|d| d.parse::<Domain>().is_ok());
        let fix = match after_at {
            Some(domain) => format!("write the domain alone: \"{domain}\""),
            None => {
                "write a domain such as \"example.com\", or \"*.example.com\" for all below it".to_owned()
            }
        };
        Wrong::new(format!("\"{text}\" is no entry of a domain list: {error}"), fix)
    })
}

pub(super) fn address(value: &DeValue<'_>) -> Read<EmailAddress> {
    let text = str(value, "\"ops@example.com\"")?;
    text.parse().map_err(|error| {
        Wrong::new(
            format!("\"{text}\" is no mail address: {error}"),
            "write an address such as \"ops@example.com\"",
        )
    })
}

/// One entry of `never_mail`.
#[derive(Debug, Clone)]
pub(super) enum NeverMail {
    Address(EmailAddress),
    Domain(DomainEntry),
}

pub(super) fn never_mail(value: &DeValue<'_>) -> Read<NeverMail> {
    let text = str(value, "\"ceo@example.com\"")?;
    if text.contains('@') {
        return address(value).map(NeverMail::Address);
    }
    domain_entry(value).map(NeverMail::Domain)
}

/// One entry of a project's `addresses`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Inbox {
    Exactly(EmailAddress),
    AllOf(Domain),
}

impl Inbox {
    /// The entry as it is compared with others.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Exactly(address) => address.key().to_owned(),
            Self::AllOf(domain) => format!("*@{domain}"),
        }
    }
}

pub(super) fn inbox(value: &DeValue<'_>) -> Read<(String, Inbox)> {
    let fix = "write an address such as \"it@help.example.com\", or \"*@it.example.com\" for every address of a domain";
    let text = str(value, "\"it@help.example.com\"")?;
    let read = match text.strip_prefix("*@") {
        Some(domain) => domain.parse().map(Inbox::AllOf).map_err(|error| error.to_string()),
        None if text.contains('*') => Err("a * may only stand alone before the @".to_owned()),
        None => {
            text.parse().map(Inbox::Exactly).map_err(|error: crate::types::AddressError| error.to_string())
        }
    };
    read.map(|inbox| (text.to_owned(), inbox))
        .map_err(|error| Wrong::new(format!("\"{text}\" is no inbox address: {error}"), fix))
}

pub(super) fn project_key(value: &DeValue<'_>) -> Read<ProjectKey> {
    let text = str(value, "\"IT\"")?;
    text.parse().map_err(|_| {
        let upper = text.to_ascii_uppercase();
        let fix = match upper.parse::<ProjectKey>() {
            Ok(_) => format!("write it in capitals: \"{upper}\""),
            Err(_) => "write 1 to 10 capital letters and digits, a letter first, such as \"IT\"".to_owned(),
        };
        Wrong::new(format!("\"{text}\" is no project key"), fix)
    })
}

/// A List-Id (RFC 2919), with or without angle brackets; lower case, without them.
pub(super) fn list_id(value: &DeValue<'_>) -> Read<String> {
    let text = str(value, "\"it-group.example.com\"")?.trim();
    let bare = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '@');
    if bare.is_empty() || bare.contains(unfit) {
        let fix =
            "write what stands in the angle brackets of its List-Id field, such as \"it-group.example.com\"";
        return Err(Wrong::new(format!("\"{text}\" is no List-Id"), fix));
    }
    Ok(bare.to_lowercase())
}

pub(super) fn socket(value: &DeValue<'_>) -> Read<SocketAddr> {
    let text = str(value, "\"127.0.0.1:2525\"")?;
    text.parse().map_err(|_| {
        let ip = text.trim_matches(['[', ']']).parse::<IpAddr>();
        let fix = match (ip, text.rsplit_once(':')) {
            (Ok(ip), _) => format!("add a port: \"{}\"", SocketAddr::new(ip, 2525)),
            (_, Some(("localhost", port))) => format!("write \"127.0.0.1:{port}\""),
            (_, Some(("" | "*", port))) => format!("write \"0.0.0.0:{port}\" for all addresses"),
            _ => "write an IP address and a port, such as \"127.0.0.1:2525\" or \"[::1]:2525\"".to_owned(),
        };
        Wrong::new(format!("\"{text}\" is no IP address with a port"), fix)
    })
}

pub(super) fn network(value: &DeValue<'_>) -> Read<IpNet> {
    let text = str(value, "\"10.0.0.0/8\"")?;
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| {
        let fix = "write an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"";
        Wrong::new(format!("\"{text}\" is no network"), fix)
    })
}

/// `detail_separator`: one character that may stand in a local part, or none.
pub(super) fn detail_separator(value: &DeValue<'_>) -> Read<Option<char>> {
    let text = str(value, "\"+\"")?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        (Some(c), None) if "+-=_#!$%&'*/?^`{|}~".contains(c) => Ok(Some(c)),
        _ => {
            let fix = "write one such character, as in \"+\" or \"-\", or \"\" for none";
            Err(Wrong::new(format!("\"{text}\" is no single character that separates a detail"), fix))
        }
    }
}

/// `Name <address>` or a bare address.
pub(super) fn mailbox(value: &DeValue<'_>) -> Read<Mailbox> {
    let text = str(value, "\"Example Help <help@example.com>\"")?.trim();
    let wrong = |problem: String| {
        Wrong::new(
            problem,
            "write \"Name <address>\" or an address, such as \"Example Help <help@example.com>\"",
        )
    };
    if text.chars().any(char::is_control) {
        return Err(wrong("a line break or another control character".to_owned()));
    }
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let address = address.parse().map_err(|error: crate::types::AddressError| {
        wrong(format!("\"{address}\" is no mail address: {error}"))
    })?;
    let quoted = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = quoted.unwrap_or(name);
    if name.contains(['<', '>', '"']) {
        return Err(wrong(format!("\"{}\" is no single mailbox", text.replace('"', "'"))));
    }
    Ok(Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), address })
}

/// A token that fits into `Authorization: Bearer TOKEN` and is not guessed.
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    const SHORTEST: usize = 16;
    let make = "make one with `openssl rand -hex 32`";
    if text.len() < SHORTEST {
        return Err(Wrong::new(
            format!("the token has {} characters; it needs at least {SHORTEST}", text.len()),
            make,
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::new("the token has a space or a character that no HTTP header carries", make));
    }
    Ok(text.to_owned())
}
