//! `vestibule check`: validates the configuration.

use std::io::Write;

use super::{CommandResult, config_file::ConfigFile};

/// Validate the configuration: every mistake with its line and the fix, then the warnings
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule check --config /etc/vestibule/vestibule.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command. Exit code 2 when there is a mistake; warnings are no mistakes.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let config = args.config.load()?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let count = |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (projects, warnings) =
        (count(config.projects.len(), "project"), count(config.warnings.len(), "warning"));
    Ok(writeln!(out, "{}: valid, {projects}, {warnings}", config.path.display())?)
}
