//! Requests, their comments, and the mails they came from.

use axum::{Extension, Json, extract::Path, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body::Body, content, params::Params};
use crate::{
    http::{App, Caller, problem::Problem},
    mail::Content,
    ops::{Event, RequestStatusChanged},
    store::{BodyRef, Comment, Effect, Plan, RequestFilter, RequestRow, RequestStatus},
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
        "new_part": null,
        "has_html": false,
        "notices": [],
        "reporter": {
            "address": row.reporter,
            "name": row.reporter_name,
            "account": row.reporter.as_ref().map(|_| row.reporter_kind),
        },
        "forgotten": row.reporter.is_none(),
        "participants": [],
        "message_id": row.message_id,
        "created_at": row.created_at,
        "basis": row.basis,
        "status": row.status(),
        "closed_at": row.closed_at,
        "follows": row.follows,
        "attachments": [],
        "comments": [],
    })
}

/// A request as the API shows it, and how many bytes of mail were read for it. Of a mail past `retention.requests` the row
/// is there yet.
async fn whole(app: &App, row: &RequestRow) -> Result<(Value, usize), Problem> {
    let (mut value, mut size) = (head(row), 0);
    let mut named = Vec::new();
    let own = unless_gone(content::read(app, &row.body).await)?;
    if let Some((content, bytes)) = &own {
        size += bytes;
        value["body"] = content.body.as_str().into();
        value["new_part"] = content.new_text().into();
        value["has_html"] = content.has_html.into();
        value["notices"] = content.notices.clone().into();
        value["attachments"] = content::attachments(content);
        named.clone_from(&content.participants);
    }
    let mut comments = Vec::new();
    for comment in app.state.store.comments(&row.id).await? {
        let read = unless_gone(content::read(app, &comment.body).await)?;
        comments.push(comment_value(&comment, read.as_ref().map(|(content, _)| content)));
        if let Some((content, bytes)) = read {
            named.extend(content.participants);
            size += bytes;
        }
    }
    value["participants"] = participants(app, row.reporter.as_ref(), &named).into();
    value["comments"] = comments.into();
    Ok((value, size))
}

fn unless_gone<T>(read: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match read {
        Err(problem) if problem.status == StatusCode::GONE => Ok(None),
        read => read.map(Some),
    }
}

/// What of a request is to change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    status: RequestStatus,
}

/// `PATCH /requests/ID`: closes it or opens it again.
pub(super) async fn patch(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    params: Params,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Problem> {
    params.done()?;
    let before = row(&app, &id).await?;
    if before.status() != patch.status {
        let effects = vec![Effect::SetStatus(before.id.clone(), patch.status)];
        let (at, actor) = (app.state.ops.clock.now(), Some(caller.name.clone()));
        app.state.store.commit(Plan { actor, ..Plan::new(at, effects) }).await?;
        let closed = patch.status == RequestStatus::Closed;
        let actor = caller.name.as_str();
        RequestStatusChanged { request: &before.id, closed, actor }.emit(&app.state.ops);
    }
    let row = row(&app, &id).await?;
    whole(&app, &row).await.map(|(value, _)| Json(value))
}

/// `GET /requests/ID/raw`: the mail as it was received.
pub(super) async fn raw(app: App, Path(id): Path<String>) -> Result<Response, Problem> {
    let row = row(&app, &id).await?;
    content::raw(&app, &row.body, &row.id.to_string()).await
}

/// `GET /requests/ID/html`.
pub(super) async fn html(app: App, Path(id): Path<String>) -> Result<Response, Problem> {
    let row = row(&app, &id).await?;
    content::html(&app, &row.body).await
}

/// `GET /requests/ID/comments/N/html`.
pub(super) async fn comment_html(
    app: App,
    Path((id, c)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (_, body) = comment(&app, &id, &c).await?;
    content::html(&app, &body).await
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

fn comment_value(comment: &Comment, content: Option<&Content>) -> Value {
    json!({
        "author": comment.author,
        "body": content.map(|content| &content.body),
        "new_part": content.map(Content::new_text),
        "has_html": content.is_some_and(|content| content.has_html),
        "notices": content.map_or(&[][..], |content| &content.notices),
        "message_id": comment.message_id,
        "created_at": comment.created_at,
        "attachments": content.map_or_else(|| json!([]), content::attachments),
    })
}

/// Those in To and Cc of all its mails, beside the reporter and our own addresses.
fn participants(app: &App, reporter: Option<&EmailAddress>, named: &[EmailAddress]) -> Vec<String> {
    let all = app.state.config.load().participants(reporter, named);
    all.iter().map(|address| address.spelling().to_owned()).collect()
}
