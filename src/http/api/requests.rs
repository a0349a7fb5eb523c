//! Requests, their comments, and the mails they came from.

use axum::{Json, extract::Path, response::Response};
use serde_json::{Value, json};

use super::{
    content,
    params::{self, Params},
};
use crate::{
    http::{App, problem::Problem},
    store::{BodyRef, Comment, Page, RequestFilter, RequestRow},
    types::{EmailAddress, RequestId},
};

/// `GET /requests?project=&customer=`: each item is the whole request.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = params.page()?;
    let filter =
        RequestFilter { project: params.optional("project")?, customer: params.optional("customer")? };
    params.done()?;
    let found = app.state.store.requests(&filter, page).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for row in &found.items {
        // One mail that can't be read must not hide all the others; its own page says what is wrong.
        items.push(whole(&app, row).await.unwrap_or_else(|_| head(row)));
    }
    Ok(Json(params::list(&Page { items, next: found.next }, Value::clone)))
}

/// `GET /requests/ID`: the whole of it.
pub(super) async fn one(app: App, Path(id): Path<String>, params: Params) -> Result<Json<Value>, Problem> {
    params.done()?;
    let row = row(&app, &id).await?;
    whole(&app, &row).await.map(Json)
}

/// What the row holds, and what has to be read out of the mails: text, people, attachments, comments.
async fn whole(app: &App, row: &RequestRow) -> Result<Value, Problem> {
    let content = content::read(app, &row.body).await?;
    let mut comments = Vec::new();
    for comment in app.state.store.comments(&row.id).await? {
        comments.push(comment_value(app, &comment).await?);
    }
    let mut value = head(row);
    value["body"] = content.body.as_str().into();
    value["participants"] = participants(app, &row.reporter, &content.participants).into();
    value["attachments"] = content::attachments(&content);
    value["comments"] = comments.into();
    Ok(value)
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

fn head(row: &RequestRow) -> Value {
    json!({
        "id": row.id,
        "project": row.id.project,
        "subject": row.subject,
        "reporter": {
            "address": row.reporter,
            "name": row.reporter_name,
            "account": row.reporter_kind,
        },
        "message_id": row.message_id,
        "created_at": row.created_at,
        "basis": row.basis,
    })
}

async fn comment_value(app: &App, comment: &Comment) -> Result<Value, Problem> {
    let content = content::read(app, &comment.body).await?;
    Ok(json!({
        "author": comment.author,
        "body": content.body,
        "message_id": comment.message_id,
        "created_at": comment.created_at,
        "attachments": content::attachments(&content),
    }))
}

/// Those in To and Cc beside the reporter and our own inboxes.
fn participants(app: &App, reporter: &EmailAddress, named: &[EmailAddress]) -> Vec<String> {
    let config = app.state.config.load();
    let others = named.iter().filter(|address| *address != reporter && !config.is_own_address(address));
    others.map(|address| address.spelling().to_owned()).collect()
}
