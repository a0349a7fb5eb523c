//! `vestibule verification preview`: what customers will see, before the first of them does.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{CommandResult, Failure, config_file::ConfigFile};
use crate::{
    config::{Config, Project},
    ops::Clock,
    outbound,
    types::ProjectKey,
};

/// The verification mail and its pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule verification preview --out preview")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Preview(PreviewArgs),
}

/// Write the verification mail and an announcement for staff as files; the links in them lead nowhere
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule verification preview --project IT --out preview")]
struct PreviewArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this project's [default: all]
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    /// The folder; made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let Command::Preview(args) = &args.command;
    let config = args.config.load()?;
    let files = files(&config, &chosen(&config, args.project.as_ref())?)?;
    fs::create_dir_all(&args.out).map_err(|error| unwritable(&args.out, &error))?;
    for (name, bytes) in files {
        let path = args.out.join(name);
        fs::write(&path, bytes).map_err(|error| unwritable(&path, &error))?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

fn chosen<'a>(config: &'a Config, key: Option<&ProjectKey>) -> Result<Vec<&'a Project>, Failure> {
    let Some(key) = key else { return Ok(config.projects.iter().collect()) };
    let project = config.project(key).ok_or_else(|| {
        let known: Vec<_> = config.projects.iter().map(|project| project.key.as_str()).collect();
        Failure::invalid(format!("--project {key}: there is no such project; there are {}", known.join(", ")))
    })?;
    Ok(vec![project])
}

fn files(config: &Config, projects: &[&Project]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let now = Clock::system().now();
    let mut files = Vec::new();
    for project in projects {
        let preview = outbound::preview(config, project, now).map_err(Failure::failed)?;
        let key = &project.key;
        files.push((format!("{key}-mail.eml"), preview.eml));
        files.push((format!("{key}-mail.txt"), preview.content.text.into_bytes()));
        files.push((format!("{key}-mail.html"), preview.content.html.into_bytes()));
    }
    let announcement = outbound::announcement(config).map_err(Failure::failed)?;
    files.push(("announcement.txt".to_owned(), announcement.into_bytes()));
    Ok(files)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
