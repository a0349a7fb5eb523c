//! The templates that come with the program.

use super::{Kind, Language, Part, Place};

macro_rules! texts {
    ($($kind:ident $language:literal $name:literal;)*) => {
        &[$(
            (Kind::$kind, $language, Part::Text, include_str!(concat!("texts/", $name, ".", $language, ".txt"))),
            (Kind::$kind, $language, Part::Html, include_str!(concat!("texts/", $name, ".", $language, ".html"))),
        )*]
    };
}

const TEXTS: &[(Kind, &str, Part, &str)] = texts! {
    Verification "en" "verification";
    Verification "de" "verification";
    Verification "fr" "verification";
    Acknowledgement "en" "acknowledgement";
    Acknowledgement "de" "acknowledgement";
    Acknowledgement "fr" "acknowledgement";
    LastAcknowledgement "en" "acknowledgement-last";
    LastAcknowledgement "de" "acknowledgement-last";
    LastAcknowledgement "fr" "acknowledgement-last";
    Confirmation "en" "confirmation";
    Confirmation "de" "confirmation";
    Confirmation "fr" "confirmation";
};

/// Place and text of each.
pub(super) fn all() -> impl Iterator<Item = (Place, &'static str)> {
    TEXTS.iter().filter_map(|(kind, language, part, text)| {
        let language: Language = language.parse().ok()?;
        Some(((*kind, language, *part), *text))
    })
}
