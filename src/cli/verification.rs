//! `vestibule verification preview`: what customers will see, before the first of them does.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;

use super::{CommandResult, Failure, config_file::ConfigFile};
use crate::{
    config::{Config, Project},
    http,
    ops::Clock,
    outbound,
    templates::{Kind, Templates},
    types::{HeldId, ProjectKey, Time},
    verify::{PageMail, PageView},
};

/// What customers see of us: mails and pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule verification preview --out preview")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Preview(PreviewArgs),
    Templates(TemplatesArgs),
}

/// Write the built-in texts of our mails as files, to begin with one's own: change them, remove those that stay as they
/// are, and name the folder in mail.templates
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule verification templates --out templates")]
struct TemplatesArgs {
    /// The folder; made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Write our mails as each project's customers get them, the pages behind the link and an announcement for staff as
/// files; the links lead nowhere
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
    let (folder, files) = match &args.command {
        Command::Preview(args) => {
            let config = args.config.load()?;
            (&args.out, files(&config, &chosen(&config, args.project.as_ref())?)?)
        }
        Command::Templates(args) => (&args.out, templates(&args.out)?),
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| unwritable(&path, &error))?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

/// The built-in templates. What lies there already may be somebody's work: it is not written over.
fn templates(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let built_in = Templates::built_in();
    let files: Vec<_> = built_in.files().map(|(name, text)| (name, text.as_bytes().to_vec())).collect();
    match files.iter().map(|(name, _)| folder.join(name)).find(|path| path.exists()) {
        Some(path) => {
            let text =
                format!("{} is there already, and is not written over; name another folder", path.display());
            Err(Failure::failed(text))
        }
        None => Ok(files),
    }
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
    for &project in projects {
        let key = &project.key;
        for kind in Kind::ALL {
            let preview = outbound::preview(config, project, kind, now).map_err(Failure::failed)?;
            // The mail that this command is named after came first, under this name.
            let name = if kind == Kind::Verification { "mail" } else { kind.name() };
            files.push((format!("{key}-{name}.eml"), preview.eml));
            files.push((format!("{key}-{name}.txt"), preview.content.text.into_bytes()));
            files.push((format!("{key}-{name}.html"), preview.content.html.into_bytes()));
        }
        let pages = http::preview_pages(config, &waiting(config, project, now)?);
        files.extend(pages.into_iter().map(|(name, html)| (format!("{key}-{name}"), html.into_bytes())));
    }
    let announcement = outbound::announcement(config, now).map_err(Failure::failed)?;
    files.push(("announcement.txt".to_owned(), announcement.into_bytes()));
    Ok(files)
}

/// Subjects of the mails on the sample page.
const SAMPLES: [&str; 3] =
    ["The printer on the second floor", "Re: The printer on the second floor", "Access to the shared drive"];

/// What a sender of three mails would find: the same address as in the mail's preview.
fn waiting(config: &Config, project: &Project, now: Time) -> Result<PageView, Failure> {
    let mail = |(minute, subject): (u32, &&str)| PageMail {
        id: HeldId::new(uuid::Uuid::from_u128(minute.into())),
        received_at: now.minus(Duration::from_mins(3)).plus(Duration::from_mins(minute.into())),
        project: project.name.clone(),
        subject: (*subject).to_owned(),
        sent_by: None,
    };
    Ok(PageView {
        address: outbound::PREVIEW_ADDRESS.parse().map_err(Failure::failed)?,
        mails: (0..).zip(&SAMPLES).map(mail).collect(),
        expires_at: now.plus(config.verification.link_lifetime),
    })
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
