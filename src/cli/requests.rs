//! `vestibule requests`: what came of the mails that were taken in.

use std::io::Write;

use clap::Subcommand;
use serde_json::json;

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
    Close(ShowArgs),
    /// Open a closed request again
    #[command(after_help = "Example:\n  vestibule requests reopen IT-12")]
    Reopen(ShowArgs),
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
    show: ShowArgs,
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
            let request = args.api.client()?.get(&path(&args.id), &[])?;
            super::show_one(&request, args.api.json, out)
        }
        Command::Raw(args) => {
            let args = &args.show;
            let mail = args.api.client()?.get_bytes(&(path(&args.id) + "/raw"))?;
            Ok(out.write_all(&mail)?)
        }
        Command::Close(args) => set_status(args, "closed", out),
        Command::Reopen(args) => set_status(args, "open", out),
    }
}

fn set_status(args: &ShowArgs, status: &str, out: &mut dyn Write) -> CommandResult {
    let request = args.api.client()?.patch(&path(&args.id), &json!({ "status": status }))?;
    if args.api.json {
        writeln!(out, "{request}")?;
    } else {
        writeln!(out, "{} is {status}", args.id)?;
    }
    Ok(())
}

fn path(id: &RequestId) -> String {
    format!("/api/v1/requests/{}", segment(&id.to_string()))
}
