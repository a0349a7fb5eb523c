//! `vestibule completions`: what a shell needs to complete our commands and flags.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, CommandResult};

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule completions bash")]
pub(super) struct Args {
    /// The shell that is to complete
    shell: Shell,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    // Into memory first: the generator panics where it can't write, as when `head` has seen enough.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vestibule", &mut script);
    Ok(out.write_all(&script)?)
}
