//! `vestibule forget`: what is kept of a person is taken out, with a receipt.

use std::io::{self, Write};

use serde_json::Value;

use super::{
    CommandResult,
    api::{ApiArgs, segment},
    show::{inline, rows_aligned},
};
use crate::types::EmailAddress;

/// Take out all that is kept of a person's address, and print what that was and what stays
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Requests stay as numbers. There is no way back: look with --dry-run first. What stays and why: docs/care.md.\n\n\
    Example:\n  vestibule forget ada@example.com --dry-run"
)]
pub(super) struct Args {
    /// The address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    /// Only say what it would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// What a receipt counts: the word for it, and where it is.
const COUNTED: [(&str, &str); 9] = [
    ("requests", "requests"),
    ("comments on requests", "comments"),
    ("mentions in mails of others", "mentions"),
    ("waiting mails, which end", "held"),
    ("dropped mails", "dropped"),
    ("decisions", "decisions"),
    ("verifications, whose links are dead", "verifications"),
    ("unsent mails, which are withdrawn", "outbox"),
    ("bytes of mail", "bytes"),
];

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let query = if args.dry_run { "?dry_run=true" } else { "" };
    let path = format!("/api/v1/senders/{}/forget{query}", segment(args.address.key()));
    let receipt = args.api.client()?.post(&path, None)?;
    if args.api.json {
        return Ok(writeln!(out, "{receipt}")?);
    }
    Ok(write(out, &receipt)?)
}

fn write(out: &mut dyn Write, receipt: &Value) -> io::Result<()> {
    let (address, at) = (inline(&receipt["address"]), inline(&receipt["at"]));
    if receipt["dry_run"] == true {
        writeln!(out, "{address} would be forgotten; nothing was changed")?;
    } else {
        writeln!(out, "{address} was forgotten at {at}")?;
    }
    writeln!(out)?;
    let mut rows = vec![vec![if receipt["account"] == true { "1" } else { "0" }.into(), "account".into()]];
    for (word, name) in COUNTED {
        let (count, ids) = counted(&receipt[name]);
        rows.push(vec![count, word.to_owned(), ids]);
    }
    rows_aligned(out, &rows)?;
    writeln!(out)?;
    match receipt["journal"].as_str() {
        Some("gone") => {
            let freed = inline(&receipt["freed"]);
            writeln!(
                out,
                "The journal and the big mails have nothing of it any more; {freed} bytes were given back."
            )?;
        }
        Some(_) => writeln!(out, "The journal's files have it yet, see below.")?,
        None => {}
    }
    writeln!(out, "What stays:")?;
    for what in receipt["stays"].as_array().into_iter().flatten() {
        writeln!(out, "- {}", inline(what))?;
    }
    Ok(())
}

/// How many, and which.
fn counted(value: &Value) -> (String, String) {
    match value.as_array() {
        None => (inline(value), String::new()),
        Some(ids) => (ids.len().to_string(), ids.iter().map(inline).collect::<Vec<_>>().join(", ")),
    }
}
