//! The command line: one file a command. Commands that ask a running daemon are clients of its HTTP API; none but
//! `serve`, `demo`, `restore` and `store` opens a store, and those through `app`.

mod accounts;
mod addresses;
mod api;
mod check;
mod completions;
mod config_file;
mod decisions;
mod demo;
mod explain;
mod failure;
mod forget;
mod healthcheck;
mod held;
mod import;
pub mod replay;
mod requests;
mod serve;
mod show;
mod store;
mod verification;
mod what_if;
mod who;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use serde_json::Value;

use self::{api::ApiArgs, show::Column};

pub use failure::{CommandResult, Failure};

/// Takes in support mail over SMTP and creates, holds or drops each request by customer-access rules.
#[derive(Debug, Parser)]
#[command(
    name = "vestibule",
    version,
    propagate_version = true,
    after_help = "Example:\n  vestibule demo --once"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Check(check::Args),
    Explain(explain::Args),
    Replay(replay::Args),
    Requests(requests::Args),
    Held(held::Args),
    Accounts(accounts::Args),
    Decisions(Box<decisions::Args>),
    WhatIf(what_if::Args),
    Who(who::Args),
    Forget(forget::Args),
    Verification(verification::Args),
    Addresses(addresses::Args),
    Healthcheck(healthcheck::Args),
    Completions(completions::Args),
    Backup(store::BackupArgs),
    Restore(store::RestoreArgs),
    Store(store::Args),
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> CommandResult {
    let mut out = io::stdout().lock();
    match cli.command {
        // The daemon's log lines go to standard output from other threads: they must not wait for our lock.
        Command::Demo(args) => {
            drop(out);
            return demo::run(&args);
        }
        Command::Serve(args) => {
            drop(out);
            return serve::run(&args);
        }
        Command::Check(args) => check::run(&args, &mut out)?,
        Command::Explain(args) => explain::run(&args, &mut out)?,
        Command::Replay(args) => replay::run(&args, &mut out)?,
        Command::Requests(args) => requests::run(&args, &mut out)?,
        Command::Held(args) => held::run(&args, &mut out)?,
        Command::Accounts(args) => accounts::run(&args, &mut out)?,
        Command::Decisions(args) => decisions::run(&args, &mut out)?,
        Command::WhatIf(args) => what_if::run(&args, &mut out)?,
        Command::Who(args) => who::run(&args, &mut out)?,
        Command::Forget(args) => forget::run(&args, &mut out)?,
        Command::Verification(args) => verification::run(&args, &mut out)?,
        Command::Addresses(args) => addresses::run(&args, &mut out)?,
        Command::Healthcheck(args) => healthcheck::run(&args, &mut out)?,
        Command::Completions(args) => completions::run(&args, &mut out)?,
        Command::Backup(args) => store::backup(&args, &mut out)?,
        Command::Restore(args) => store::restore(&args, &mut out)?,
        Command::Store(args) => store::run(&args, &mut out)?,
    }
    Ok(out.flush()?)
}

/// How much of a list.
#[derive(Debug, clap::Args)]
struct PageArgs {
    /// At most so many items (of each page, with --all)
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// The whole list
    #[arg(long)]
    all: bool,
}

impl PageArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        vec![("limit", self.limit.to_string())]
    }
}

/// Gets a list and writes it as a table, or as the API's JSON.
fn list(
    api: &ApiArgs,
    path: &str,
    query: &[(&str, String)],
    (page, columns): (&PageArgs, &[Column]),
    out: &mut dyn Write,
) -> CommandResult {
    let answer = api.client()?.list(path, query, page.all)?;
    if api.json {
        return Ok(writeln!(out, "{answer}")?);
    }
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    show::table(out, columns, items)?;
    if answer["next"].is_string() && !page.all {
        writeln!(out, "There are more: --all, or a larger --limit.")?;
    }
    Ok(())
}

/// Writes one thing for people, or as the API's JSON.
fn show_one(value: &Value, json: bool, out: &mut dyn Write) -> CommandResult {
    if json {
        writeln!(out, "{value}")?;
    } else {
        show::record(out, value)?;
    }
    Ok(())
}

/// A runtime for the commands that speak SMTP or run the daemon.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("can't start the runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        let help = command.clone().render_long_help().to_string();
        found.push((path.clone(), help));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            leaves(sub, &path, found);
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_an_example_that_parses() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert!(found.len() > 20, "only {} commands were found", found.len());
        for (path, help) in found {
            let (_, example) = help.rsplit_once("Example:\n").unwrap_or_else(|| panic!("{path}: no example"));
            let lines: Vec<&str> = example.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            assert!(!lines.is_empty(), "{path}: an empty example");
            for line in lines {
                let words = line.split_whitespace().map(|word| word.trim_matches('\''));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
            }
        }
    }
}
