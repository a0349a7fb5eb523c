//! `vestibule requests`: what came of the mails that were taken in.

use std::io::Write;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    CommandResult,
    api::{ApiArgs, segment},
    show::{Column, column, cut_column},
};
use crate::types::{EmailAddress, ProjectKey, RequestId};

/// Requests: list them, show one, get its mail as it was received, close and reopen
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule requests list --project IT")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Show(ShowArgs),
    Raw(RawArgs),
    /// Close a request; `on_closed` of its project says what becomes of replies
    #[command(after_help = "Example:\n  vestibule requests close IT-12")]
    Close(WhichArgs),
    /// Open a closed request again
    #[command(after_help = "Example:\n  vestibule requests reopen IT-12")]
    Reopen(WhichArgs),
}

/// The newest requests
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule requests list --customer ada@example.com --limit 10")]
struct ListArgs {
    /// Only this project's
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    /// Only this customer's
    #[arg(long, value_name = "ADDRESS")]
    customer: Option<EmailAddress>,
    #[command(flatten)]
    page: super::PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// One request with its comments
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule requests show IT-12")]
struct ShowArgs {
    /// Whole texts, with the mails that they quote and with signatures
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, clap::Args)]
struct WhichArgs {
    /// The request, such as IT-12
    #[arg(value_name = "ID")]
    id: RequestId,
    #[command(flatten)]
    api: ApiArgs,
}

/// The mail that opened a request, byte for byte
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule requests raw IT-12")]
struct RawArgs {
    #[command(flatten)]
    which: WhichArgs,
}

const COLUMNS: [Column; 7] = [
    column("ID", &["/id"]),
    column("CREATED", &["/created_at"]),
    cut_column("REPORTER", &["/reporter/address"], 40),
    column("ACCOUNT", &["/reporter/account"]),
    column("STATUS", &["/status"]),
    column("BASIS", &["/basis"]),
    cut_column("SUBJECT", &["/subject"], 60),
];

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    match &args.command {
        Command::List(args) => {
            let mut query = args.page.query();
            query.extend(args.project.iter().map(|key| ("project", key.to_string())));
            query.extend(args.customer.iter().map(|address| ("customer", address.key().to_owned())));
            super::list(&args.api, "/api/v1/requests", &query, (&args.page, &COLUMNS), out)
        }
        Command::Show(args) => {
            let WhichArgs { id, api } = &args.which;
            let mut request = api.client()?.get(&path(id), &[])?;
            if !api.json {
                one_text(&mut request, args.full);
            }
            super::show_one(&request, api.json, out)
        }
        Command::Raw(args) => {
            let args = &args.which;
            let mail = args.api.client()?.get_bytes(&(path(&args.id) + "/raw"))?;
            Ok(out.write_all(&mail)?)
        }
        Command::Close(args) => set_status(args, "closed", out),
        Command::Reopen(args) => set_status(args, "open", out),
    }
}

fn set_status(args: &WhichArgs, status: &str, out: &mut dyn Write) -> CommandResult {
    let request = args.api.client()?.patch(&path(&args.id), &json!({ "status": status }))?;
    if args.api.json {
        writeln!(out, "{request}")?;
    } else {
        writeln!(out, "{} is {status}", args.id)?;
    }
    Ok(())
}

/// Leaves of each mail one text: what is new in it, or all.
fn one_text(request: &mut Value, full: bool) {
    let Some(fields) = request.as_object_mut() else { return };
    if let Some(Value::Array(comments)) = fields.get_mut("comments") {
        for comment in comments {
            one_text(comment, full);
        }
    }
    let new = fields.remove("new_part");
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let Some(new) = new.filter(|new| !full && is_text(new)) else { return };
    let lines =
        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().trim_end().lines().count();
    let hidden = lines(fields.get("body")).saturating_sub(lines(Some(&new)));
    if hidden > 0 {
        fields.insert(
            "not_shown".to_owned(),
            format!("{hidden} lines of quotation or signature; --full shows them").into(),
        );
    }
    fields.insert("body".to_owned(), new);
}

fn path(id: &RequestId) -> String {
    format!("/api/v1/requests/{}", segment(&id.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_text_of_each_mail_is_shown() {
        let comment = json!({ "body": "b\n\n> q\n> r\n", "new_part": "b" });
        let request = json!({ "body": "a\n", "new_part": "a\n", "comments": [comment] });
        let shown = |full| {
            let mut value = request.clone();
            one_text(&mut value, full);
            value
        };
        let hidden = "3 lines of quotation or signature; --full shows them";
        let comments = json!([{ "body": "b", "not_shown": hidden }]);
        assert_eq!(shown(false), json!({ "body": "a\n", "comments": comments }));
        let comments = json!([{ "body": "b\n\n> q\n> r\n" }]);
        assert_eq!(shown(true), json!({ "body": "a\n", "comments": comments }));
        // A mail that is nothing but quotation is shown all the same.
        let mut quoted = json!({ "body": "> q\n", "new_part": "" });
        one_text(&mut quoted, false);
        assert_eq!(quoted, json!({ "body": "> q\n" }));
    }
}
