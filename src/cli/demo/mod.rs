//! `vestibule demo`: the quick start. The whole daemon on loopback, real mails over real SMTP, one verification as a
//! person does it.

mod mails;
mod person;
mod site;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::Dispatch;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

use self::site::Site;
use super::{
    CommandResult, Failure,
    api::Api,
    replay::{self, summary::ReplayResult},
    runtime,
    serve::Signals,
    show::{inline, plain, rows_aligned},
};
use crate::{
    app::{Addresses, App, Ended},
    mail,
    ops::{self, Clock, JsonLines, Ops},
};

/// The quick start: a whole site on loopback, some mails, one verification
///
/// Writes a site to DIR, starts the daemon on it, relays ten mails over SMTP and shows what became of each; then follows a
/// verification link as its receiver would. Stays up until Ctrl-C, so that you can look around. Every run starts afresh.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule demo --dir /tmp/vestibule-demo --once")]
pub(super) struct Args {
    /// Where the site is written
    #[arg(long, value_name = "DIR", default_value = "vestibule-demo")]
    dir: PathBuf,
    /// Stop when everything was shown
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> CommandResult {
    let site = Site::new(&args.dir)?;
    let runtime = runtime()?;
    runtime.block_on(demo(Arc::new(site), args.once))
}

/// Keeps the site, and so its lock, until the daemon on it has ended.
async fn demo(site: Arc<Site>, once: bool) -> CommandResult {
    let ops = Ops::new(Clock::system(), site.config.log.addresses, Some(log(&site.path("log.jsonl"))?));
    ops::log_panics(ops.clone());
    let app = App::start(site.config.clone(), ops).await.map_err(Failure::failed)?;
    let (addresses, shutdown) = (app.addresses().clone(), app.shutdown());
    let mut signals = Signals::new()?;
    let running = tokio::spawn(app.run());
    let stopping = shutdown.clone();
    let shown = tokio::select! {
        shown = show(Arc::clone(&site), addresses, once) => shown,
        () = signals.stop() => Err(Failure::failed("stopped")),
    };
    if shown.is_ok() && !once {
        // A daemon whose store fails stops by itself.
        tokio::select! {
            () = signals.stop() => {}
            () = stopping.begun() => {}
        }
    }
    shutdown.begin();
    match running.await {
        Ok(Ended::StoreFailed(why)) => Err(Failure::failed(format!("the store failed: {why}"))),
        Ok(Ended::Stopped { .. }) => shown,
        Err(error) => Err(Failure::failed(format!("the daemon ended: {error}"))),
    }
}

/// The daemon's log goes into a file, so that the table stays readable.
fn log(path: &Path) -> Result<Dispatch, Failure> {
    let file = File::create(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let layer = tracing_subscriber::fmt::layer().event_format(JsonLines).with_writer(Mutex::new(file));
    Ok(Dispatch::new(tracing_subscriber::registry().with(LevelFilter::INFO).with(layer)))
}

/// Everything that is shown, in order.
async fn show(site: Arc<Site>, addresses: Addresses, once: bool) -> CommandResult {
    let smtp = addresses.smtp.first().ok_or_else(|| Failure::failed("no SMTP socket"))?.to_string();
    let items = mails::items().map_err(Failure::failed)?;
    let count = items.len();
    say(&format!("Relaying {count} mails to {smtp} …\n"))?;
    let mut results = Vec::with_capacity(count);
    replay::replay(&smtp, items, 1, |result| results.push(result)).await;
    check_taken(&results)?;
    let blocking = tokio::task::spawn_blocking(move || {
        verify(&site, &addresses)?;
        if once { Ok(()) } else { look_around(&site, &addresses) }
    });
    blocking.await.map_err(|error| Failure::failed(format!("the demo ended: {error}")))?
}

fn check_taken(results: &[ReplayResult]) -> Result<(), Failure> {
    match results.iter().find(|result| result.status() != "accepted") {
        None => Ok(()),
        Some(result) => Err(Failure::failed(format!("{} was not taken: {result:?}", result.mail))),
    }
}

fn verify(site: &Site, addresses: &Addresses) -> CommandResult {
    let api = Api::new(format!("http://{}", addresses.admin), Some(site.token.clone()));
    let decisions = api.list("/api/v1/decisions", &[("order", "oldest".to_owned())], true)?;
    let decisions = decisions["items"].as_array().cloned().unwrap_or_default();
    table(&decisions)?;
    let held: Vec<&Value> = decisions.iter().filter(|decision| decision["held"].is_string()).collect();
    let sender = held.first().map(|decision| inline(&decision["sender"]));
    let sender = sender.ok_or_else(|| Failure::failed("no mail was held: there is nothing to verify"))?;
    confirm(site, &sender).map_err(Failure::failed)?;
    for decision in &held {
        let released =
            person::wait_for("the release", || released(&api, &sender, decision)).map_err(Failure::failed)?;
        say(&format!("released {}", inline(&released["request"])))?;
    }
    Ok(())
}

fn confirm(site: &Site, sender: &str) -> Result<(), String> {
    let outbound = site.path("outbound");
    let public_url = &site.config.http.public_url;
    let link = person::wait_for("the verification mail", || person::mailed_link(&outbound, public_url))?;
    say(&format!(
        "\n{sender} opens the verification mail in {} and follows its link:\n  {link}",
        outbound.display()
    ))
    .map_err(|error| error.to_string())?;
    person::confirm(&link)
}

/// The decision that ended the hold, once there is one.
fn released(api: &Api, sender: &str, held: &Value) -> Result<Option<Value>, String> {
    let query = [("sender", sender.to_owned())];
    let list = api.list("/api/v1/decisions", &query, true).map_err(|failure| failure.to_string())?;
    let ends = |decision: &&Value| decision["held"] == held["held"] && decision["request"].is_string();
    Ok(list["items"].as_array().and_then(|items| items.iter().find(ends)).cloned())
}

fn table(decisions: &[Value]) -> io::Result<()> {
    let head = ["SENDER", "SUBJECT", "OUTCOME", "REASON", "REQUEST"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for decision in decisions {
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        rows.push(vec![
            or_dash(inline(&decision["sender"])),
            subject(decision["message_id"].as_str().unwrap_or_default()),
            inline(&decision["outcome"]),
            inline(&decision["reason"]),
            inline(&decision["request"]),
        ]);
    }
    rows_aligned(&mut io::stdout().lock(), &rows)
}

fn subject(message_id: &str) -> String {
    let read = mails::MAILS.iter().map(|(_, bytes)| mail::read(bytes));
    let found = read.into_iter().find(|mail| mail.message_id.as_deref() == Some(message_id));
    found.map_or_else(String::new, |mail| plain(&mail.subject))
}

fn look_around(site: &Site, addresses: &Addresses) -> CommandResult {
    let smtp = addresses.smtp.first().map(ToString::to_string).unwrap_or_default();
    let config = site.path("vestibule.toml");
    let config = config.display();
    // As it was called: most who run the demo have not installed anything.
    let program = std::env::args().next().unwrap_or_else(|| "vestibule".to_owned());
    Ok(say(&format!(
        "\nSMTP   {smtp}\nHTTP   http://{}\nlog    {}\n\nUp until Ctrl-C. Look around from another terminal:\n\
         \x20 {program} requests list --config {config}\n\
         \x20 {program} decisions list --config {config} --outcome drop\n\
         \x20 {program} who ada@example.com --config {config}\n\
         \x20 {program} replay --to {smtp} --rcpt it@help.example.com YOUR-MAIL.eml",
        addresses.http,
        site.path("log.jsonl").display(),
    ))?)
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
