//! What the page's form says.

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{HeaderName, ORIGIN},
    },
};

use crate::{http::problem::Problem, types::HeldId};

/// Set by browsers; no page can forge it (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the reader wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Everything up to `until` is theirs, but what is in `not_mine`.
    PassOn {
        /// The newest mail that the page listed; `None` = all that wait.
        until: Option<HeldId>,
        /// The ticked ones.
        not_mine: Vec<HeldId>,
    },
    /// Nothing up to `until` is theirs.
    Disown {
        /// The newest mail that the page listed.
        until: Option<HeldId>,
    },
    /// The link is too old; they want another.
    NewLink,
}

/// Refuses forms of other sites' pages (security: K08). The token in the path is the secret, so this is a second wall.
///
/// Our pages ask for `no-referrer`, and browsers then send `Origin: null` with their forms; so `null` is let through.
pub(super) fn from_our_page(headers: &HeaderMap, public_url: &str) -> Result<(), Problem> {
    let cross_site = headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site");
    let foreign = match headers.get(ORIGIN).map(|value| value.to_str()) {
        None | Some(Ok("null")) => false,
        Some(Ok(theirs)) => origin(theirs).is_none_or(|theirs| Some(theirs) != origin(public_url)),
        Some(Err(_)) => true,
    };
    if cross_site || foreign {
        let detail = "The form was sent from another site's page, so nothing was done. Open the link in your mail \
                      and use the page behind it.";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

/// Scheme, host and port of a URL (RFC 6454 §4), the default port filled in.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let url: Uri = url.parse().ok()?;
    let scheme = url.scheme_str()?.to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    Some((scheme, url.host()?.to_ascii_lowercase(), url.port_u16().unwrap_or(default)))
}

/// Reads the form; a request without a body is a form without fields.
pub(super) async fn read(request: Request) -> Result<Choice, Problem> {
    let (parts, body) = request.into_parts();
    let kept = parts.clone();
    let bytes = Bytes::from_request(Request::from_parts(parts, body), &())
        .await
        .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if bytes.is_empty() {
        return choice(&[]);
    }
    let Form(fields) =
        Form::<Vec<(String, String)>>::from_request(Request::from_parts(kept, Body::from(bytes)), &())
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    choice(&fields)
}

fn choice(fields: &[(String, String)]) -> Result<Choice, Problem> {
    let values = |name: &'static str| {
        fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    };
    let set = |name| values(name).any(|value| value == "1");
    if set("new_link") {
        return Ok(Choice::NewLink);
    }
    let until = values("until").next().map(|value| held("until", value)).transpose()?;
    if set("disown") {
        return Ok(Choice::Disown { until });
    }
    let not_mine = values("not_mine").map(|value| held("not_mine", value)).collect::<Result<_, _>>()?;
    Ok(Choice::PassOn { until, not_mine })
}

/// A mangled box must not be read as "this one is mine".
fn held(field: &str, value: &str) -> Result<HeldId, Problem> {
    value.parse().map_err(|_| {
        let detail = format!(
            "The form's field {field} is damaged; nothing was done. Open the link in your mail again."
        );
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const B: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn parse(fields: &[(&str, &str)]) -> Result<Choice, u16> {
        let fields: Vec<_> = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        choice(&fields).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_form_is_one_of_three_choices() {
        let (a, b) = (A.parse().unwrap(), B.parse().unwrap());
        assert_eq!(parse(&[]), Ok(Choice::PassOn { until: None, not_mine: vec![] }));
        assert_eq!(
            parse(&[("until", B), ("not_mine", A), ("other", "x"), ("not_mine", B)]),
            Ok(Choice::PassOn { until: Some(b), not_mine: vec![a, b] })
        );
        assert_eq!(
            parse(&[("until", B), ("disown", "1"), ("not_mine", A)]),
            Ok(Choice::Disown { until: Some(b) })
        );
        assert_eq!(parse(&[("new_link", "1")]), Ok(Choice::NewLink));
    }

    #[test]
    fn a_damaged_field_releases_nothing() {
        for fields in [[("not_mine", "x")], [("until", "")], [("not_mine", "01890a5d")]] {
            assert_eq!(parse(&fields), Err(400), "{fields:?}");
        }
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let public = "https://help.example.com/desk";
        for (name, value, allowed) in [
            ("origin", "https://help.example.com", true),
            ("origin", "https://help.example.com:443", true),
            ("origin", "https://HELP.example.com", true),
            ("origin", "null", true),
            ("origin", "http://help.example.com", false),
            ("origin", "https://help.example.com:8443", false),
            ("origin", "https://help.example.com.evil.example", false),
            ("origin", "https://evil.example", false),
            ("origin", "", false),
            ("origin", "rubbish", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "cross-site", false),
            ("x-other", "https://evil.example", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(from_our_page(&headers, public).is_ok(), allowed, "{name}: {value}");
        }
    }
}
