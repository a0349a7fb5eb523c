//! `vestibule explain`: what would happen to a mail, and why.

use std::{
    fs,
    io::{self, Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CommandResult, Failure, config_file::ConfigFile, import, runtime, show};
use crate::{
    app,
    authn::Verifier,
    config::Config,
    intake::{self, Question},
    ops::Clock,
    types::Account,
};

/// What would happen to each mail and why, as a trail of checks. Touches no store
///
/// Accounts come from a CSV file (header `address,name,kind,role,projects`); without one every sender is unknown. Exit code
/// 1 when a mail would be refused or can't be read. With authentication.mode = "relay" each mail is taken to come from the
/// first network of `results_from`: give it as the relay handed it on. With "verify" it asks DNS as the daemon would, and
/// SPF for the client of --client-ip; without it SPF is not asked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule explain --accounts staff.csv --rcpt it@help.example.com mail.eml"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The accounts that are known
    #[arg(long, value_name = "FILE.csv")]
    accounts: Option<PathBuf>,
    /// A recipient, instead of the mail's To and Cc; may be repeated
    #[arg(long, value_name = "ADDR")]
    rcpt: Vec<String>,
    /// The address that handed the mail to you, for SPF with authentication.mode = "verify"
    #[arg(long, value_name = "ADDR")]
    client_ip: Option<IpAddr>,
    /// Print one JSON object a mail
    #[arg(long)]
    json: bool,
    /// The mails; `-` is standard input
    #[arg(required = true, value_name = "MAIL")]
    mails: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let config = args.config.load()?;
    let accounts = match &args.accounts {
        Some(path) => import::read(path, Clock::system().now())
            .map_err(|mistakes| Failure::invalid(mistakes.join("\n")))?,
        None => Vec::new(),
    };
    let accounts: Vec<Account> = accounts.into_iter().map(|(_, account)| account).collect();
    let runtime = runtime()?;
    let known = Known {
        verifier: app::verifier(&config).map_err(|error| Failure::failed(error.to_string()))?,
        config,
        accounts,
    };
    let mut failed = false;
    for path in &args.mails {
        let explained = runtime.block_on(explain(path, args, &known));
        failed |= explained.is_err();
        write(path, &explained, args.json, out)?;
    }
    if failed { Err(Failure::Failed(String::new())) } else { Ok(()) }
}

/// What is the same for all mails.
struct Known {
    config: Config,
    verifier: Option<Verifier>,
    accounts: Vec<Account>,
}

async fn explain(path: &Path, args: &Args, known: &Known) -> Result<Value, String> {
    let raw = read(path).map_err(|error| error.to_string())?;
    let question = Question { raw, rcpts: args.rcpt.clone(), client: args.client_ip };
    let explained = intake::explain(&known.config, known.verifier.as_ref(), &known.accounts, &question).await;
    let explained = explained.map_err(|error| error.to_string())?;
    serde_json::to_value(explained).map_err(|error| error.to_string())
}

fn read(path: &Path) -> io::Result<Bytes> {
    if path != Path::new("-") {
        return fs::read(path).map(Bytes::from);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn write(path: &Path, explained: &Result<Value, String>, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let mail = path.display().to_string();
    match explained {
        _ if json => {
            let line = match explained {
                Ok(decisions) => json!({ "mail": mail, "decisions": decisions }),
                Err(error) => json!({ "mail": mail, "error": error }),
            };
            writeln!(out, "{line}")
        }
        Err(error) => writeln!(out, "{}: {}", show::plain(&mail), show::plain(error)),
        Ok(decisions) => {
            for decision in decisions.as_array().into_iter().flatten() {
                writeln!(out, "{}", show::plain(&mail))?;
                show::record(out, decision)?;
                writeln!(out)?;
            }
            Ok(())
        }
    }
}
