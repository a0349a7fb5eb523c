//! The field for a link that can't be clicked.

use axum::{
    extract::Query,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};

use super::view::{self, Site};
use crate::{http::App, types::VerificationToken};

/// `GET /verify`: the field; and, once something was pasted, the way to the page.
pub(super) async fn field(app: App, Query(fields): Query<Vec<(String, String)>>) -> Response {
    let pasted = fields.iter().find(|(name, _)| name == "token").map(|(_, value)| value.as_str());
    let site = Site::of(&app.state.config.load());
    match pasted.map(token_in) {
        None => view::paste(&site, false).into_response(),
        Some(None) => view::paste(&site, true).into_response(),
        // Relative, so that it holds behind any prefix of `http.public_url`.
        Some(Some(token)) => see_other(&format!("verify/{}", token.reveal())),
    }
}

/// `GET /verify/`: a link that was cut off before its token.
pub(super) async fn without_token() -> Response {
    see_other("../verify")
}

fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// The token in what was pasted: the token itself, or a whole link, even one that a mail program has broken into lines or
/// put into angle brackets.
fn token_in(pasted: &str) -> Option<VerificationToken> {
    let joined: String = pasted.chars().filter(|c| !c.is_whitespace()).collect();
    let rest = joined.rsplit_once("/verify/").map_or(joined.as_str(), |(_, rest)| rest);
    let begin = rest.trim_start_matches(['<', '"', '(', '[']);
    let end =
        begin.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(begin.len());
    begin[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_whatever_is_pasted() {
        let token = VerificationToken::new([7; 32]);
        let text = token.reveal();
        for pasted in [
            text.clone(),
            format!("  {text}\r\n"),
            format!("https://help.example.com/verify/{text}"),
            format!("<https://help.example.com/desk/verify/{text}>."),
            format!("https://help.example.com/verify/\r\n {}\r\n {}", &text[..20], &text[20..]),
            format!("https://help.example.com/verify/{text}?utm=1#top"),
            format!("\"{text}\""),
        ] {
            assert_eq!(token_in(&pasted), Some(token.clone()), "{pasted}");
        }
        for pasted in ["", "hello", "https://help.example.com/verify/", &text[1..], &format!("{text}A")] {
            assert_eq!(token_in(pasted), None, "{pasted}");
        }
    }
}
