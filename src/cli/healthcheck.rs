//! `vestibule healthcheck`: whether the daemon takes mail now, for containers and load balancers.

use std::io::Write;

use super::{
    CommandResult,
    api::{Api, checked_url, listen_url},
    config_file::ConfigFile,
};

/// Ask the running daemon whether it takes mail now (`/readyz`): exit code 0, or 1 with the reason
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule healthcheck --config /etc/vestibule/vestibule.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Address of the API [default: `http.admin_listen` or `http.listen` of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let base = match &args.url {
        Some(url) => checked_url(url)?,
        None => listen_url(&args.config.load()?),
    };
    Api::new(base, None).get("/readyz", &[])?;
    Ok(writeln!(out, "ready")?)
}
