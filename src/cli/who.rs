//! `vestibule who`: all that is known of one sender. Answers "she says she clicked and nothing came".

use std::io::Write;

use super::{
    CommandResult,
    api::{ApiArgs, segment},
};
use crate::types::EmailAddress;

/// All that is known of one sender: account, verification, what is held, the last decisions
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule who ada@example.com")]
pub(super) struct Args {
    /// The From address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    #[command(flatten)]
    api: ApiArgs,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let path = format!("/api/v1/senders/{}", segment(args.address.key()));
    let sender = args.api.client()?.get(&path, &[])?;
    super::show_one(&sender, args.api.json, out)
}
