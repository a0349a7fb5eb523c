//! Languages, and how each writes a moment.

use std::{fmt, str::FromStr, sync::Arc};

use crate::types::Time;

/// A language tag as templates are named by: `de`, `nl`, `pt-br` (RFC 5646: language, and a region where it matters), in
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(Arc<str>);

/// The text is no language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a language tag such as \"de\" or \"pt-br\"")]
pub struct LanguageError;

impl Language {
    /// English.
    pub fn english() -> Self {
        Self("en".into())
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A moment, in words where we know the language's: the month in letters, so that no reader takes it for the day.
    /// Others get the order of ISO 8601, which nobody misreads either.
    pub fn moment(&self, at: Time) -> String {
        let form = match self.as_str() {
            "en" => "%A %-d %B %Y, %H:%M UTC",
            "de" => "DAY, %-d. MONTH %Y, %H:%M Uhr (UTC)",
            "fr" => "DAY %-d MONTH %Y, %H:%M UTC",
            _ => "%Y-%m-%d, %H:%M UTC",
        };
        let at = at.to_jiff();
        let text = at.strftime(form).to_string();
        let number =
            |form: &str| at.strftime(form).to_string().parse::<usize>().unwrap_or(1).saturating_sub(1);
        let word = |words: &[&'static str], place| words.get(place).copied().unwrap_or_default();
        match self.as_str() {
            "de" => text
                .replace("DAY", word(&DAYS_DE, number("%u")))
                .replace("MONTH", word(&MONTHS_DE, number("%m"))),
            "fr" => text
                .replace("DAY", word(&DAYS_FR, number("%u")))
                .replace("MONTH", word(&MONTHS_FR, number("%m"))),
            _ => text,
        }
    }
}

const DAYS_DE: [&str; 7] = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const DAYS_FR: [&str; 7] = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"];
const MONTHS_FR: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tag = text.to_ascii_lowercase();
        let part = |part: &str, most: usize| {
            (2..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let (language, rest) =
            tag.split_once('-').map_or((tag.as_str(), None), |(head, rest)| (head, Some(rest)));
        let letters = language.bytes().all(|b| b.is_ascii_lowercase());
        let good =
            letters && part(language, 3) && rest.is_none_or(|rest| rest.split('-').all(|sub| part(sub, 8)));
        if good { Ok(Self(tag.into())) } else { Err(LanguageError) }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_read_back_and_near_misses_do_not() {
        for (text, tag) in [("de", "de"), ("DE", "de"), ("pt-BR", "pt-br"), ("zh-hans-cn", "zh-hans-cn")] {
            assert_eq!(text.parse::<Language>().unwrap().as_str(), tag);
        }
        for wrong in ["", "d", "german", "de_DE", "de-", "d3", "../x", "de.txt", "-de"] {
            assert!(wrong.parse::<Language>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_read_one_way_in_every_language() {
        let at: Time = "2026-03-01T08:05:00Z".parse().unwrap();
        for (tag, text) in [
            ("en", "Sunday 1 March 2026, 08:05 UTC"),
            ("de", "Sonntag, 1. März 2026, 08:05 Uhr (UTC)"),
            ("fr", "dimanche 1 mars 2026, 08:05 UTC"),
            ("nl", "2026-03-01, 08:05 UTC"),
        ] {
            assert_eq!(tag.parse::<Language>().unwrap().moment(at), text);
        }
        let at: Time = "2026-12-07T23:59:00Z".parse().unwrap();
        let german = Language::from_str("de").unwrap().moment(at);
        assert_eq!(german, "Montag, 7. Dezember 2026, 23:59 Uhr (UTC)");
    }
}
