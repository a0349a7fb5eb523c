//! Requests, their comments, and the mails they came from.

use axum::{Json, extract::Path, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{content, params::Params};
use crate::{
    http::{App, problem::Problem},
    store::{BodyRef, Comment, RequestFilter, RequestRow},
    types::{EmailAddress, RequestId},
};

/// Rows read at once for a list.
const STEP: usize = 16;
/// Bytes of mail read for one page of a list. A page that would take more ends before its limit, with a cursor.
const PAGE_BYTES: usize = 32 << 20;

/// `GET /requests?project=&customer=`.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let mut page = params.page()?;
    let filter =
        RequestFilter { project: params.optional("project")?, customer: params.optional("customer")? };
    params.done()?;
    let (mut items, mut bytes, mut left) = (Vec::new(), 0, page.limit);
    loop {
        page.limit = left.min(STEP);
        let found = app.state.store.requests(&filter, page.clone()).await?;
        left -= found.items.len();
        let short = found.items.len() < page.limit;
        for row in &found.items {
            // One mail that can't be read must not hide the others; its own page says what is wrong.
            let (value, size) = whole(&app, row).await.unwrap_or_else(|_| (head(row), 0));
            items.push(value);
            bytes += size;
        }
        page.cursor.clone_from(&found.next);
        if short || left == 0 || bytes > PAGE_BYTES || found.next.is_none() {
            return Ok(Json(json!({ "items": items, "next": found.next })));
        }
    }
}

/// `GET /requests/ID`.
pub(super) async fn one(app: App, Path(id): Path<String>, params: Params) -> Result<Json<Value>, Problem> {
    params.done()?;
    let row = row(&app, &id).await?;
    whole(&app, &row).await.map(|(value, _)| Json(value))
}

/// What the row holds of a request; all that is read out of its mails is empty.
fn head(row: &RequestRow) -> Value {
    json!({
        "id": row.id,
        "project": row.id.project,
        "subject": row.subject,
        "body": null,
        "reporter": {
            "address": row.reporter,
            "name": row.reporter_name,
            "account": row.reporter_kind,
        },
        "participants": [],
        "message_id": row.message_id,
        "created_at": row.created_at,
        "basis": row.basis,
        "attachments": [],
        "comments": [],
    })
}

/// A request as the API shows it, and how many bytes of mail were read for it. Of a mail past `retention.requests` the row
/// is there yet.
async fn whole(app: &App, row: &RequestRow) -> Result<(Value, usize), Problem> {
    let (mut value, mut size) = (head(row), 0);
    if let Some((content, bytes)) = unless_gone(content::read(app, &row.body).await)? {
        size += bytes;
        value["body"] = content.body.as_str().into();
        value["participants"] = participants(app, &row.reporter, &content.participants).into();
        value["attachments"] = content::attachments(&content);
    }
    let mut comments = Vec::new();
    for comment in app.state.store.comments(&row.id).await? {
        let (value, bytes) = comment_value(app, &comment).await?;
        comments.push(value);
        size += bytes;
    }
    value["comments"] = comments.into();
    Ok((value, size))
}

fn unless_gone<T>(read: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match read {
        Err(problem) if problem.status == StatusCode::GONE => Ok(None),
        read => read.map(Some),
    }
}

/// `GET /requests/ID/raw`: the mail as it was received.
pub(super) async fn raw(app: App, Path(id): Path<String>) -> Result<Response, Problem> {
    let row = row(&app, &id).await?;
    content::raw(&app, &row.body, &row.id.to_string()).await
}

/// `GET /requests/ID/attachments/N`.
pub(super) async fn attachment(app: App, Path((id, n)): Path<(String, String)>) -> Result<Response, Problem> {
    let row = row(&app, &id).await?;
    content::attachment(&app, &row.body, number(&n)?).await
}

/// `GET /requests/ID/comments/N/raw`.
pub(super) async fn comment_raw(
    app: App,
    Path((id, c)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (row, body) = comment(&app, &id, &c).await?;
    content::raw(&app, &body, &format!("{}-comment-{c}", row.id)).await
}

/// `GET /requests/ID/comments/N/attachments/N`.
pub(super) async fn comment_attachment(
    app: App,
    Path((id, c, n)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let (_, body) = comment(&app, &id, &c).await?;
    content::attachment(&app, &body, number(&n)?).await
}

async fn row(app: &App, id: &str) -> Result<RequestRow, Problem> {
    let id: RequestId = id.parse().map_err(|error| Problem::not_found(format!("{error}.")))?;
    let missing = || Problem::not_found(format!("There is no request {id}."));
    app.state.store.request(&id).await?.ok_or_else(missing)
}

async fn comment(app: &App, id: &str, c: &str) -> Result<(RequestRow, BodyRef), Problem> {
    let row = row(app, id).await?;
    let index = number(c)?;
    let comments = app.state.store.comments(&row.id).await?;
    let missing =
        || Problem::not_found(format!("{} has no comment {index}; they are counted from 0.", row.id));
    let body = comments.get(index).ok_or_else(missing)?.body;
    Ok((row, body))
}

fn number(text: &str) -> Result<usize, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("{text:?} is no number; they are counted from 0.")))
}

async fn comment_value(app: &App, comment: &Comment) -> Result<(Value, usize), Problem> {
    let read = unless_gone(content::read(app, &comment.body).await)?;
    let value = json!({
        "author": comment.author,
        "body": read.as_ref().map(|(content, _)| &content.body),
        "message_id": comment.message_id,
        "created_at": comment.created_at,
        "attachments": read.as_ref().map_or_else(|| json!([]), |(content, _)| content::attachments(content)),
    });
    Ok((value, read.map_or(0, |(_, bytes)| bytes)))
}

/// Those in To and Cc beside the reporter and our own inboxes.
fn participants(app: &App, reporter: &EmailAddress, named: &[EmailAddress]) -> Vec<String> {
    let config = app.state.config.load();
    let others = named.iter().filter(|address| *address != reporter && !config.is_own_address(address));
    others.map(|address| address.spelling().to_owned()).collect()
}
