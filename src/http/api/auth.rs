//! The bearer token (RFC 6750).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    config::AdminToken,
    http::{Context, problem::Problem},
};

/// Lets through only who shows the token of the settings in force.
pub(super) async fn require_token(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = check(context.state.config.load().http.admin_token.as_ref(), request.headers());
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(token: Option<&AdminToken>, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(AdminToken(token)) = token else {
        let detail = "The API is off: set http.admin_token_file (or http.admin_token) in the configuration.";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    };
    match bearer(headers) {
        Some(shown) if same(shown.as_bytes(), token.as_bytes()) => Ok(()),
        Some(_) => Err(unauthorized(
            "This is not the API's token.",
            r#"Bearer realm="vestibule", error="invalid_token""#,
        )),
        None => Err(unauthorized("Send Authorization: Bearer TOKEN.", r#"Bearer realm="vestibule""#)),
    }
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    let challenge = HeaderValue::from_static(challenge);
    Problem::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, challenge)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares digests, in constant time: neither content nor length can be found by timing.
fn same(shown: &[u8], token: &[u8]) -> bool {
    Sha256::digest(shown).ct_eq(&Sha256::digest(token)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = AdminToken("s3cret-token".into());
        for (field, status) in [
            (Some("Bearer s3cret-token"), 200),
            (Some("bearer  s3cret-token "), 200),
            (Some("Bearer s3cret-toke"), 401),
            (Some("Bearer s3cret-tokens"), 401),
            (Some("Bearer "), 401),
            (Some("Basic s3cret-token"), 401),
            (Some("s3cret-token"), 401),
            (None, 401),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                headers.insert(AUTHORIZATION, field.parse().unwrap());
            }
            let answer =
                check(Some(&token), &headers).map_or_else(|problem| problem.status.as_u16(), |()| 200);
            assert_eq!(answer, status, "{field:?}");
            let off = check(None, &headers).unwrap_err();
            assert!(off.status == 403 && off.detail.contains("http.admin_token_file"));
        }
    }
}
