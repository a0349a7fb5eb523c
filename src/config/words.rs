//! Readers of values that are one word of a few.

use toml::de::DeValue;

use super::{
    model::{BareNewlines, LogAddresses, LogFormat, OnDrop},
    reader::kind,
    tokens::ApiRole,
    values::{Read, Wrong, str},
};
use crate::{
    access::{AccountCreation, OnClosed, ProjectAccess},
    authn::{AuthenticationMode, ResultsFormat},
};

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

pub(super) fn api_role(value: &DeValue<'_>) -> Read<ApiRole> {
    word(value, &ApiRole::ALL.map(|role| (role.as_str(), role)))
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

pub(super) fn on_closed(value: &DeValue<'_>) -> Read<OnClosed> {
    let all = [OnClosed::Reopen, OnClosed::NewLinkedRequest, OnClosed::Drop];
    word(value, &all.map(|on_closed| (on_closed.as_str(), on_closed)))
}

pub(super) fn log_format(value: &DeValue<'_>) -> Read<LogFormat> {
    word(value, &[("json", LogFormat::Json), ("text", LogFormat::Text)])
}

pub(super) fn log_addresses(value: &DeValue<'_>) -> Read<LogAddresses> {
    let words =
        [("full", LogAddresses::Full), ("hashed", LogAddresses::Hashed), ("domain", LogAddresses::Domain)];
    word(value, &words)
}

pub(super) fn results_format(value: &DeValue<'_>) -> Read<ResultsFormat> {
    let words = [("rfc8601", ResultsFormat::Rfc8601), ("exchange-online", ResultsFormat::ExchangeOnline)];
    word(value, &words)
}

pub(super) fn authentication_mode(value: &DeValue<'_>) -> Read<AuthenticationMode> {
    let all = [AuthenticationMode::Off, AuthenticationMode::Relay, AuthenticationMode::Verify];
    word(value, &all.map(|mode| (mode.as_str(), mode)))
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
            let fix = "write a level, or target=level, with the name of a crate as target: \"warn,vestibule=debug\"";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["accept", "reject"];
        assert_eq!(nearest("rejct", known.into_iter()), Some("reject"));
        assert_eq!(nearest("ACCEPT", known.into_iter()), Some("accept"));
        assert_eq!(nearest("banana", known.into_iter()), None);
        assert_eq!(nearest("max-recipients", ["max_recipients"].into_iter()), Some("max_recipients"));
    }

    #[test]
    fn log_filters_are_levels_or_targets_with_levels() {
        for (text, valid) in [
            ("info", true),
            ("WARN", true),
            ("off", true),
            ("info,vestibule::smtp=debug", true),
            ("vestibule=trace", true),
            ("", false),
            ("info,", false),
            ("loud", false),
            ("vestibule", false),
            ("=debug", false),
            ("vestibule::smtp=", false),
            ("[span]=debug", false),
            ("a=b=info", false),
        ] {
            assert_eq!(log_level(&DeValue::String(text.into())).is_ok(), valid, "{text:?}");
        }
    }
}
