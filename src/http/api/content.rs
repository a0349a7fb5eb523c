//! What is read out of a request's raw mail, off the async threads: parsing a large mail takes its time.

use axum::{
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::percent;
use crate::{
    http::{App, problem::Problem},
    mail::{self, AttachmentInfo, Content},
    ops::words_of,
    store::BodyRef,
};

/// Types that no browser runs, shown as what they say they are. Everything else is bytes.
const HARMLESS: [&str; 8] = [
    "application/pdf",
    "application/zip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "message/rfc822",
    "text/plain",
];

/// What a browser may do with the HTML of a mail. Styles are those that stand at elements and were cleaned.
const HTML_POLICY: &str = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; \
                           frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The text, attachments and people of a mail, and its size.
pub(super) async fn read(app: &App, body: &BodyRef) -> Result<(Content, usize), Problem> {
    let raw = app.state.store.raw(body).await?;
    let size = raw.len();
    off_thread(move || mail::content(&raw)).await.map(|content| (content, size))
}

/// The mail byte for byte.
pub(super) async fn raw(app: &App, body: &BodyRef, name: &str) -> Result<Response, Problem> {
    let raw = app.state.store.raw(body).await?;
    Ok(download("message/rfc822", &format!("{name}.eml"), raw))
}

/// The HTML of the mail, cleaned, as a page that runs and loads nothing but the mail's own images.
pub(super) async fn html(app: &App, body: &BodyRef) -> Result<Response, Problem> {
    let raw = app.state.store.raw(body).await?;
    let html = off_thread(move || mail::display_html(&raw)).await?;
    let Some(html) = html else {
        return Err(Problem::not_found("The mail has no HTML; its text is the field body of the request."));
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(HTML_POLICY)),
    ];
    let page =
        format!("<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body>{html}</body></html>");
    Ok((headers, page).into_response())
}

/// One attachment, counted from 0 as in the list of attachments.
pub(super) async fn attachment(app: &App, body: &BodyRef, n: usize) -> Result<Response, Problem> {
    let raw = app.state.store.raw(body).await?;
    let found = off_thread(move || mail::attachment(&raw, n)).await?;
    let Some((info, bytes)) = found else {
        return Err(Problem::not_found(format!("The mail has no attachment {n}; they are counted from 0.")));
    };
    Ok(download(&info.content_type, &info.name, bytes.into()))
}

/// How attachments are listed.
pub(super) fn attachments(content: &Content) -> Value {
    let one = |info: &AttachmentInfo| {
        json!({
            "name": info.name,
            "content_type": info.content_type,
            "size": info.size,
            "inline": info.inline,
            "content_id": info.content_id,
            "kind": info.kind,
        })
    };
    content.attachments.iter().map(one).collect()
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let unreadable = |error: tokio::task::JoinError| {
        let mut problem = Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "The mail can't be read; its raw bytes can still be had.",
        );
        problem.log = Some(format!("reading a mail did not end: {}", words_of(&error)));
        problem
    };
    tokio::task::spawn_blocking(work).await.map_err(unreadable)
}

/// Strangers' bytes: to be saved, never to be shown within our site (security: X01). The room of mail has cleaned the
/// name (X02).
fn download(content_type: &str, name: &str, bytes: Bytes) -> Response {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let safe = HARMLESS.iter().find(|harmless| **harmless == essence);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(safe.copied().unwrap_or("application/octet-stream"))),
        (CONTENT_DISPOSITION, disposition(name)),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    (headers, bytes).into_response()
}

/// `attachment` with the name twice: for old readers in ASCII, and as RFC 8187 has it (RFC 6266 §4.3).
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' })
        .collect();
    let encoded = percent::encode(name, b"-._~");
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_sent_so_that_old_and_new_readers_take_it() {
        assert_eq!(
            disposition("Übersicht \"1\".pdf"),
            "attachment; filename=\"_bersicht _1_.pdf\"; filename*=UTF-8''%C3%9Cbersicht%20%221%22.pdf"
        );
    }

    #[test]
    fn nothing_that_a_browser_runs_keeps_its_type() {
        for (given, sent) in [
            ("text/html", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("application/xhtml+xml; charset=utf-8", "application/octet-stream"),
            ("text/javascript", "application/octet-stream"),
            ("Image/PNG; name=x", "image/png"),
            ("nonsense", "application/octet-stream"),
        ] {
            let response = download(given, "x", Bytes::new());
            assert_eq!(response.headers()[CONTENT_TYPE], sent, "{given}");
            assert!(response.headers()[CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment;"));
            assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("sandbox;"));
        }
    }
}
