//! `vestibule accounts`: who is known.

use std::{io::Write, path::PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    CommandResult, Failure,
    api::{ApiArgs, segment},
    import,
    show::{Column, column, cut_column},
};
use crate::{
    ops::Clock,
    types::{Account, AccountKind, EmailAddress, ProjectKey, Role},
};

/// Accounts: list, show, add, deactivate, activate, delete, import
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule accounts add ada@example.com --kind internal --project IT")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    /// One account
    #[command(after_help = "Example:\n  vestibule accounts show ada@example.com")]
    Show(OneArgs),
    Add(AddArgs),
    /// Keep an account out for good: its mail is dropped
    #[command(after_help = "Example:\n  vestibule accounts deactivate ada@example.com")]
    Deactivate(OneArgs),
    /// Let a deactivated account in again
    #[command(after_help = "Example:\n  vestibule accounts activate ada@example.com")]
    Activate(OneArgs),
    /// Forget an account: its address is unknown again
    #[command(after_help = "Example:\n  vestibule accounts delete ada@example.com")]
    Delete(OneArgs),
    Import(ImportArgs),
}

/// Accounts in the order of their addresses
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule accounts list --portal-only-on-approved")]
struct ListArgs {
    /// Only this kind: internal or portal-only
    #[arg(long, value_parser = import::kind)]
    kind: Option<AccountKind>,
    /// Only portal-only accounts whose domain is approved now: they stay portal-only until they are made internal
    #[arg(long, conflicts_with = "kind")]
    portal_only_on_approved: bool,
    #[command(flatten)]
    page: super::PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The account's address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    #[command(flatten)]
    api: ApiArgs,
}

/// Add an account by hand; no verification is asked for
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule accounts add ada@example.com --kind internal --role agent --project IT --project HR"
)]
struct AddArgs {
    /// Its address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    /// internal or portal-only
    #[arg(long, value_parser = import::kind)]
    kind: AccountKind,
    /// customer or agent
    #[arg(long, default_value = "customer", value_parser = import::role)]
    role: Role,
    /// A project whose customer it is; may be repeated
    #[arg(long = "project", value_name = "KEY")]
    projects: Vec<ProjectKey>,
    /// The display name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

/// Add the accounts of a CSV file, all of them or none
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The header is address,name,kind,role,projects (projects separated by blanks or semicolons).\n\n\
    Example:\n  vestibule accounts import staff.csv --dry-run"
)]
struct ImportArgs {
    /// The file
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Only check, also against the accounts that are there
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    api: ApiArgs,
}

const COLUMNS: [Column; 7] = [
    column("ADDRESS", &["/address"]),
    column("KIND", &["/kind"]),
    column("STATUS", &["/status"]),
    column("ROLE", &["/role"]),
    column("PROJECTS", &["/projects"]),
    column("CREATED", &["/created_at"]),
    cut_column("NAME", &["/name"], 40),
];

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    match &args.command {
        Command::List(args) => {
            let mut query = args.page.query();
            query.extend(args.kind.map(|kind| ("kind", kind.as_str().to_owned())));
            query
                .extend(args.portal_only_on_approved.then(|| ("portal_only_on_approved", "true".to_owned())));
            super::list(&args.api, "/api/v1/accounts", &query, (&args.page, &COLUMNS), out)
        }
        Command::Show(args) => {
            let account = args.api.client()?.get(&path(&args.address), &[])?;
            super::show_one(&account, args.api.json, out)
        }
        Command::Add(args) => add(args, out),
        Command::Deactivate(args) => set_status(args, "deactivated", out),
        Command::Activate(args) => set_status(args, "active", out),
        Command::Delete(args) => {
            args.api.client()?.delete(&path(&args.address))?;
            said(args.api.json, &Value::Null, &format!("deleted {}", args.address), out)
        }
        Command::Import(args) => import(args, out),
    }
}

fn path(address: &EmailAddress) -> String {
    format!("/api/v1/accounts/{}", segment(address.key()))
}

fn said(json: bool, answer: &Value, text: &str, out: &mut dyn Write) -> CommandResult {
    if json {
        writeln!(out, "{answer}")?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(())
}

fn add(args: &AddArgs, out: &mut dyn Write) -> CommandResult {
    let mut body = json!({
        "address": args.address.spelling(),
        "kind": args.kind,
        "role": args.role,
        "projects": args.projects,
    });
    if let Some(name) = &args.name {
        body["name"] = name.as_str().into();
    }
    let account = args.api.client()?.post("/api/v1/accounts", Some(&body))?;
    said(args.api.json, &account, &format!("added {} ({})", args.address, args.kind.as_str()), out)
}

fn set_status(args: &OneArgs, status: &str, out: &mut dyn Write) -> CommandResult {
    let account = args.api.client()?.patch(&path(&args.address), &json!({ "status": status }))?;
    said(args.api.json, &account, &format!("{} is {status}", args.address), out)
}

/// The file is checked here first, so that its mistakes come with their lines; the daemon checks again, and knows who is
/// there already.
fn import(args: &ImportArgs, out: &mut dyn Write) -> CommandResult {
    let lines = import::read(&args.file, Clock::system().now())
        .map_err(|mistakes| Failure::invalid(format!("{}\nnothing was imported", mistakes.join("\n"))))?;
    let items: Value = lines.iter().map(|(_, account)| new_account(account)).collect();
    let path = if args.dry_run { "/api/v1/accounts/import?dry_run=true" } else { "/api/v1/accounts/import" };
    let name_lines = |mut problem: Value| {
        for mistake in problem["errors"].as_array_mut().into_iter().flatten() {
            let index = mistake["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            let line = index.and_then(|index| lines.get(index)).map_or(0, |(line, _)| *line);
            let detail = mistake["detail"].as_str().unwrap_or_default();
            *mistake = format!("{}:{line}: {detail}", args.file.display()).into();
        }
        problem
    };
    let answer = args.api.client()?.post_explained(path, &items, name_lines)?;
    let verb = if args.dry_run { "can be imported" } else { "imported" };
    said(args.api.json, &answer, &format!("{} accounts {verb}", lines.len()), out)
}

fn new_account(account: &Account) -> Value {
    json!({
        "address": account.address.spelling(),
        "name": account.name,
        "kind": account.kind,
        "role": account.role,
        "projects": account.projects,
    })
}
