//! Errors as problem documents (RFC 9457). The pages show the same problems as HTML.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HeaderName, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use crate::{
    store::{CommitError, StoreError},
    types::Time,
    verify::VerifyError,
};

/// What is wrong, for whoever asked; and, apart from it, for the log.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) log: Option<String>,
}

impl Problem {
    /// A problem whose meaning is that of its status code (`about:blank`, RFC 9457 §4.2.1).
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: Map::new(), headers: Vec::new(), log: None }
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 400: this query parameter is wrong.
    pub(super) fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{name}: {detail}")).with("parameter", name)
    }

    /// 410: the bytes of a mail were past their time (`[retention]`).
    pub(super) fn expired(until: Option<Time>) -> Self {
        let detail = until.map_or_else(
            || {
                "The bytes of this mail are not kept any more: see [retention], or its sender was forgotten."
                    .to_owned()
            },
            |until| format!("The bytes of this mail were kept until {until}; see [retention]."),
        );
        let problem = Self::new(StatusCode::GONE, detail);
        match until {
            Some(until) => problem.with("kept_until", until.to_string()),
            None => problem,
        }
    }

    /// 422: the body can be read, but not be done.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: the store can't answer; `error` is for the log only.
    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store can't be used now; nothing was changed. Try again shortly.",
        );
        problem.log = Some(error.into());
        problem.header(RETRY_AFTER, HeaderValue::from_static("10"))
    }

    /// With one more member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With a header field.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With `Retry-After` (RFC 9110 §10.2.3) from `now` until `at`, at least one second.
    pub(super) fn retry_at(self, now: Time, at: Time) -> Self {
        let seconds = at.since(now).as_millis().div_ceil(1000).max(1);
        self.retry_after(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// With `Retry-After` in seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The document.
    fn document(&self) -> Value {
        let mut members = self.more.clone();
        members.insert("type".into(), "about:blank".into());
        members.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        members.insert("status".into(), self.status.as_u16().into());
        members.insert("detail".into(), self.detail.as_str().into());
        Value::Object(members)
    }

    /// The members beyond those of RFC 9457.
    #[cfg(test)]
    pub(super) fn member(&self, name: &str) -> &Value {
        self.more.get(name).unwrap_or(&Value::Null)
    }

    /// Adds the problem's own header fields to `response`, whatever its form.
    pub(super) fn dress(&self, response: &mut Response) {
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self.clone());
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.document().to_string();
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [kind], body).into_response();
        self.dress(&mut response);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadCursor(_) => Self::parameter("cursor", "none of this list; take it from \"next\""),
            StoreError::Expired(until) => Self::expired(until),
            StoreError::Unavailable(_) | StoreError::Damaged(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::NotFound => Self::not_found(
                "No such mail waits. If it did once, the decisions about its sender say how it ended.",
            ),
            VerifyError::Unavailable(error) => Self::unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_the_rfc_and_hides_what_is_for_the_log() {
        let problem = Problem::unavailable("fdatasync: No space left").with("reason", "full");
        let json = problem.document();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["title"], "Service Unavailable");
        assert_eq!(json["status"], 503);
        assert_eq!(json["reason"], "full");
        assert!(!json.to_string().contains("fdatasync"));
        let response = problem.into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "10");
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_none() {
        let at = Time::from_millis;
        for (now, then, seconds) in [(0, 1, "1"), (0, 1000, "1"), (0, 1001, "2"), (5000, 0, "1")] {
            let problem = Problem::not_found("").retry_at(at(now), at(then));
            assert_eq!(problem.into_response().headers()[RETRY_AFTER], seconds, "{now} {then}");
        }
    }
}
