//! The bearer token (RFC 6750): who calls, and what that one may do.

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
    config::{ApiRole, ApiToken},
    http::{Caller, Context, problem::Problem},
};

/// Lets through only who shows a token of the settings in force. Handlers find the [`Caller`] with the request, the log
/// with the answer.
pub(super) async fn require_token(
    State(context): State<Arc<Context>>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = check(&context.state.config.load().http.tokens, request.headers());
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets through only callers of this role or one above it.
pub(super) async fn require_role(least: ApiRole, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.role >= least => next.run(request).await,
        Some(caller) => too_low(caller, "This call", least).into_response(),
        None => nobody().into_response(),
    }
}

fn check(tokens: &[ApiToken], headers: &HeaderMap) -> Result<Caller, Problem> {
    if tokens.is_empty() {
        let detail = "The API is off: set http.admin_token_file (or http.admin_token), or add an [[http.tokens]] table, in the \
                      configuration.";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let shown = bearer(headers).ok_or_else(nobody)?;
    let known = find(tokens, shown).ok_or_else(|| {
        unauthorized("This is no token of the API.", r#"Bearer realm="vestibule", error="invalid_token""#)
    })?;
    Ok(Caller { name: known.name.clone(), role: known.role })
}

fn nobody() -> Problem {
    unauthorized("Send Authorization: Bearer TOKEN.", r#"Bearer realm="vestibule""#)
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    let challenge = HeaderValue::from_static(challenge);
    Problem::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, challenge)
}

/// 403: `what` needs a role that the caller does not have.
pub(super) fn too_low(caller: &Caller, what: &str, least: ApiRole) -> Problem {
    let (needed, role) = (least.as_str(), caller.role.as_str());
    let detail =
        format!("{what} needs the role {needed}; the token \"{}\" has the role {role}.", caller.name);
    Problem::new(StatusCode::FORBIDDEN, detail)
        .with("needed_role", needed)
        .with("token", caller.name.as_str())
        .with("role", role)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares digests with all tokens, each in constant time: neither content nor length can be found by timing, nor whose
/// token came near.
fn find<'t>(tokens: &'t [ApiToken], shown: &str) -> Option<&'t ApiToken> {
    let shown = Sha256::digest(shown);
    let is_it = |token: &ApiToken| bool::from(token.digest.as_slice().ct_eq(shown.as_slice()));
    tokens.iter().fold(None, |found, token| if is_it(token) { Some(token) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, role: ApiRole, token: &str) -> ApiToken {
        ApiToken::new(name.parse().unwrap(), role, token)
    }

    #[test]
    fn only_a_whole_token_opens_and_tells_whose_it_is() {
        let tokens = [
            token("admin", ApiRole::Admin, "s3cret-token"),
            token("anna", ApiRole::HelpDesk, "s3cret-tokens"),
            token("grafana", ApiRole::Read, "other"),
        ];
        for (field, answer) in [
            (Some("Bearer s3cret-token"), Ok("admin")),
            (Some("bearer  s3cret-token "), Ok("admin")),
            (Some("Bearer s3cret-tokens"), Ok("anna")),
            (Some("Bearer other"), Ok("grafana")),
            (Some("Bearer s3cret-toke"), Err(401)),
            (Some("Bearer s3cret-tokenss"), Err(401)),
            (Some("Bearer "), Err(401)),
            (Some("Basic s3cret-token"), Err(401)),
            (Some("s3cret-token"), Err(401)),
            (None, Err(401)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                headers.insert(AUTHORIZATION, field.parse().unwrap());
            }
            let caller = check(&tokens, &headers);
            let told = caller.as_ref().map(|caller| caller.name.as_str());
            assert_eq!(told.map_err(|problem| problem.status.as_u16()), answer, "{field:?}");
            let off = check(&[], &headers).unwrap_err();
            assert!(off.status == 403 && off.detail.contains("http.admin_token_file"));
        }
    }

    #[test]
    fn who_may_too_little_is_told_what_it_takes() {
        let caller = Caller { name: "anna".parse().unwrap(), role: ApiRole::HelpDesk };
        let problem = too_low(&caller, "This call", ApiRole::Admin);
        assert_eq!(problem.status, 403);
        assert_eq!(
            problem.detail,
            "This call needs the role admin; the token \"anna\" has the role help-desk."
        );
        for (member, value) in [("needed_role", "admin"), ("token", "anna"), ("role", "help-desk")] {
            assert_eq!(problem.member(member), value);
        }
    }
}
