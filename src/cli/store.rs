//! `vestibule store`, `backup` and `restore`: care of the store's files.

use std::{io::Write, path::PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{CommandResult, Failure, api::ApiArgs, config_file::ConfigFile, runtime};
use crate::{
    app::upkeep::{self, CareError},
    config::Config,
};

/// Care of a stopped daemon's store
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule store check --config /etc/vestibule/vestibule.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything: records, index, what must hold between them. Exit code 1 with each finding
    #[command(after_help = "Example:\n  vestibule store check --config /etc/vestibule/vestibule.toml")]
    Check(StoppedArgs),
    /// Take out all that is past its retention, and make the index anew
    #[command(after_help = "Example:\n  vestibule store compact --config /etc/vestibule/vestibule.toml")]
    Compact(StoppedArgs),
}

#[derive(Debug, clap::Args)]
struct StoppedArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Copy the store of the running daemon into a new folder, on the same machine
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule backup /var/backups/vestibule-2026-11-22 --config /etc/vestibule/vestibule.toml"
)]
pub(super) struct BackupArgs {
    /// The folder; it must be new or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Copy the key of the data directory too: whoever has it can make links and addresses of the daemon
    #[arg(long)]
    with_secret: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Bring a backup into a new or empty store; the daemon must not run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule restore /var/backups/vestibule-2026-11-22 --config /etc/vestibule/vestibule.toml"
)]
pub(super) struct RestoreArgs {
    /// The folder that `vestibule backup` has made
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

impl From<CareError> for Failure {
    fn from(error: CareError) -> Self {
        Self::failed(error)
    }
}

/// Runs `vestibule store`.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    match &args.command {
        Command::Check(args) => check(args, out),
        Command::Compact(args) => compact(args, out),
    }
}

fn check(args: &StoppedArgs, out: &mut dyn Write) -> CommandResult {
    let config = args.config.load()?;
    let findings = runtime()?.block_on(upkeep::check(&config))?;
    if args.json {
        writeln!(out, "{}", json!({ "findings": findings }))?;
    } else {
        tell(&config, &findings, out)?;
    }
    ended(&findings)
}

fn compact(args: &StoppedArgs, out: &mut dyn Write) -> CommandResult {
    let config = args.config.load()?;
    let compacted = runtime()?.block_on(upkeep::compact(&config))?;
    if args.json {
        return Ok(writeln!(out, "{}", json!(compacted))?);
    }
    Ok(writeln!(
        out,
        "{}: {} bytes given back; {} decisions retired, {} segments written anew, {} files removed; the index is made anew",
        config.store.path.display(),
        compacted.freed,
        compacted.decisions,
        compacted.segments,
        compacted.files,
    )?)
}

/// Runs `vestibule backup`. The daemon links its files as they are at one moment; they are copied from there.
pub(super) fn backup(args: &BackupArgs, out: &mut dyn Write) -> CommandResult {
    let config = args.api.config()?;
    let api = args.api.client()?;
    api.post("/api/v1/store/snapshot", None)?;
    let snapshot = config.store.path.join("snapshot");
    let secret = args.with_secret.then_some(config.store.path.as_path());
    let copied = if snapshot.is_dir() {
        upkeep::copy_away(&snapshot, &args.dir, secret).map_err(Failure::from)
    } else {
        Err(Failure::failed(format!(
            "{} is not here: run the backup on the daemon's machine, with its configuration, as a user who may read the store",
            snapshot.display()
        )))
    };
    api.delete("/api/v1/store/snapshot")?;
    let manifest = copied?;
    if args.api.json {
        return Ok(writeln!(out, "{}", json!(manifest))?);
    }
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    Ok(writeln!(out, "{}: {} files, {bytes} bytes", args.dir.display(), manifest.files.len())?)
}

/// Runs `vestibule restore`.
pub(super) fn restore(args: &RestoreArgs, out: &mut dyn Write) -> CommandResult {
    let config = args.config.load()?;
    let findings = runtime()?.block_on(upkeep::restore(&args.dir, &config))?;
    tell(&config, &findings, out)?;
    ended(&findings)
}

fn tell(config: &Config, findings: &[String], out: &mut dyn Write) -> CommandResult {
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    if findings.is_empty() {
        writeln!(out, "{}: nothing is wrong", config.store.path.display())?;
    }
    Ok(())
}

fn ended(findings: &[String]) -> CommandResult {
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 finding")),
        count => Err(Failure::failed(format!("{count} findings"))),
    }
}
