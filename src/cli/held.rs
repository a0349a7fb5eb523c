//! `vestibule held`: mails that wait for their senders to prove their addresses.

use std::io::Write;

use clap::Subcommand;

use super::{
    CommandResult,
    api::{ApiArgs, segment},
    show::{self, Column, column, cut_column},
};
use crate::types::{EmailAddress, HeldId, ProjectKey};

/// Mails that wait: list, show, release or discard them; send a new verification mail
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule held list --sender ada@example.com")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    /// One mail that waits
    #[command(after_help = "Example:\n  vestibule held show 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a")]
    Show(OneArgs),
    /// Decide one mail again with its sender taken as proven; the address's other mails stay
    #[command(after_help = "Example:\n  vestibule held release 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a")]
    Release(OneArgs),
    /// Drop one mail for good
    #[command(after_help = "Example:\n  vestibule held discard 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a")]
    Discard(OneArgs),
    Resend(ResendArgs),
}

/// The newest mails that wait
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule held list --project IT --all")]
struct ListArgs {
    /// Only this From address
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<EmailAddress>,
    /// Only for this project
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    #[command(flatten)]
    page: super::PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The held mail's id, as `held list` and the log's `held` show it
    #[arg(value_name = "ID")]
    id: HeldId,
    #[command(flatten)]
    api: ApiArgs,
}

/// Send the address a new verification mail, within the caps
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule held resend ada@example.com")]
struct ResendArgs {
    /// The address whose mails wait
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    #[command(flatten)]
    api: ApiArgs,
}

const COLUMNS: [Column; 7] = [
    column("ID", &["/id"]),
    column("RECEIVED", &["/received_at"]),
    column("PROJECT", &["/project"]),
    cut_column("SENDER", &["/sender"], 40),
    column("REASON", &["/reason"]),
    column("EXPIRES", &["/expires_at"]),
    cut_column("SUBJECT", &["/subject"], 50),
];

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    match &args.command {
        Command::List(args) => {
            let mut query = args.page.query();
            query.extend(args.sender.iter().map(|address| ("sender", address.key().to_owned())));
            query.extend(args.project.iter().map(|key| ("project", key.to_string())));
            super::list(&args.api, "/api/v1/held", &query, (&args.page, &COLUMNS), out)
        }
        Command::Show(args) => {
            let held = args.api.client()?.get(&path(args.id), &[])?;
            super::show_one(&held, args.api.json, out)
        }
        Command::Release(args) => {
            let decision = args.api.client()?.post(&(path(args.id) + "/release"), None)?;
            if args.api.json {
                return Ok(writeln!(out, "{decision}")?);
            }
            let said = |field: &str| show::inline(&decision[field]);
            Ok(writeln!(out, "released {} ({})", said("request"), said("reason"))?)
        }
        Command::Discard(args) => {
            args.api.client()?.delete(&path(args.id))?;
            if args.api.json {
                Ok(writeln!(out, "null")?)
            } else {
                Ok(writeln!(out, "discarded {}", args.id)?)
            }
        }
        Command::Resend(args) => resend(args, out),
    }
}

fn resend(args: &ResendArgs, out: &mut dyn Write) -> CommandResult {
    let path = format!("/api/v1/senders/{}/resend", segment(args.address.key()));
    let answer = args.api.client()?.post(&path, None)?;
    if args.api.json {
        return Ok(writeln!(out, "{answer}")?);
    }
    match answer["at"].as_str() {
        None => Ok(writeln!(out, "a new verification mail for {} is on its way", args.address)?),
        Some(at) => {
            Ok(writeln!(out, "a new verification mail for {} goes out at {at}: the caps", args.address)?)
        }
    }
}

fn path(id: HeldId) -> String {
    format!("/api/v1/held/{id}")
}
