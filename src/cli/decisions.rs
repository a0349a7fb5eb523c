//! `vestibule decisions`: the audit log. Answers "why did this mail not arrive?".

use std::{io::Write, time::Duration};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    CommandResult, Failure,
    api::{ApiArgs, segment},
    show::{Column, column, cut_column},
};
use crate::{
    access::Reason,
    ops::Clock,
    types::{Domain, EmailAddress, MailId, ProjectKey, Time},
};

/// The audit log: what was decided about each mail, and why
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  vestibule decisions --follow --outcome drop"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(Box<ListArgs>),
    Show(ShowArgs),
    Reprocess(ReprocessArgs),
}

/// Decide a dropped mail again as if it came in now, after a setting was mended; its bytes must still be kept
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule decisions reprocess 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a --project IT"
)]
struct ReprocessArgs {
    /// The mail's id, as `decisions list` shows it
    #[arg(value_name = "MAIL-ID")]
    id: MailId,
    /// The project, where it was dropped for several
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    #[command(flatten)]
    api: ApiArgs,
}

/// The newest decisions
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule decisions list --outcome drop --since 24h --project IT")]
struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Show each decision as it is made, after the newest; one JSON object a line with --json
    #[arg(long, short, conflicts_with = "all")]
    follow: bool,
    #[command(flatten)]
    page: super::PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only this From address
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<EmailAddress>,
    /// Only From addresses of exactly this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<Domain>,
    /// Only for this project
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    /// Only this outcome
    #[arg(long, value_enum)]
    outcome: Option<OutcomeArg>,
    /// Only this reason code, such as domain-not-allowed
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Option<&'static str>,
    /// At or after this time: RFC 3339, or so long ago (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Time>,
    /// Before this time: RFC 3339, or so long ago
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<Time>,
}

/// All that was decided about one mail, with the trail of checks
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule decisions show 0192f0c1-7a3e-7bbb-8f00-3d4e5f60718a")]
struct ShowArgs {
    /// The mail's id: in the relay's log behind the 250, and in our log's `mail_id`
    #[arg(value_name = "MAIL-ID")]
    id: MailId,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutcomeArg {
    Create,
    Hold,
    Drop,
}

/// Between two looks for new decisions.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// On a narrow terminal the last are left out; what `show` asks for is never among them.
const COLUMNS: [Column; 8] = [
    column("AT", &["/at"]),
    column("MAIL-ID", &["/mail_id"]),
    column("REASON", &["/reason"]),
    cut_column("SENDER", &["/sender"], 40),
    column("OUTCOME", &["/outcome"]),
    column("PROJECT", &["/project"]),
    column("BECAME", &["/request", "/held"]),
    cut_column("MESSAGE-ID", &["/message_id"], 60),
];

const PATH: &str = "/api/v1/decisions";

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    match &args.command {
        None => list(&args.list, out),
        Some(Command::List(args)) => list(args, out),
        Some(Command::Show(args)) => show(args, out),
        Some(Command::Reprocess(args)) => reprocess(args, out),
    }
}

fn list(args: &ListArgs, out: &mut dyn Write) -> CommandResult {
    let mut query = args.filter.query();
    query.extend(args.page.query());
    if args.follow {
        return follow(args, query, out);
    }
    super::list(&args.api, PATH, &query, (&args.page, &COLUMNS), out)
}

/// The newest decisions, the oldest of them first, then each as it is made, until the reader goes away.
fn follow(args: &ListArgs, mut query: Vec<(&str, String)>, out: &mut dyn Write) -> CommandResult {
    let api = args.api.client()?;
    // The place of the newest decision of all, whether or not it fits: what comes behind it is new.
    let newest = api.get(PATH, &[("limit", "1".to_owned())])?;
    let place =
        |item: &Value| item["cursor"].as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0_u64);
    let mut page = api.get(PATH, &query)?;
    let mut items = super::api::take_items(&mut page)?;
    items.reverse();
    let mut cursor = items.last().map_or(0, place).max(place(&newest["items"][0])).to_string();
    query.push(("order", "oldest".to_owned()));
    loop {
        for item in &items {
            write_line(item, args.api.json, out)?;
        }
        out.flush()?;
        let mut next = query.clone();
        next.push(("cursor", cursor.clone()));
        let mut page = api.get(PATH, &next)?;
        items = super::api::take_items(&mut page)?;
        let behind = page["next"].as_str().unwrap_or(&cursor).to_owned();
        if behind == cursor {
            std::thread::sleep(FOLLOW_EVERY);
        }
        cursor = behind;
    }
}

fn write_line(item: &Value, json: bool, out: &mut dyn Write) -> CommandResult {
    if json {
        return Ok(writeln!(out, "{item}")?);
    }
    let text = |name: &str| super::show::inline(&item[name]);
    let became = if item["request"].is_string() { text("request") } else { text("held") };
    let line = format!(
        "{}  {}  {:6}  {:27}  {:10}  {}  {became}",
        text("at"),
        text("mail_id"),
        text("outcome"),
        text("reason"),
        text("project"),
        text("sender")
    );
    Ok(writeln!(out, "{}", line.trim_end())?)
}

fn reprocess(args: &ReprocessArgs, out: &mut dyn Write) -> CommandResult {
    let project = args.project.as_ref().map(|key| format!("?project={}", segment(key.as_str())));
    let path = format!("/api/v1/decisions/{}/reprocess{}", args.id, project.unwrap_or_default());
    let done = args.api.client()?.post(&path, None)?;
    if args.api.json {
        return Ok(writeln!(out, "{done}")?);
    }
    let text = |name: &str| done[name].as_str().unwrap_or_default().to_owned();
    match done["request"].as_str() {
        Some(request) => writeln!(out, "created {request} ({})", text("reason"))?,
        None => writeln!(out, "held {} ({})", text("held"), text("reason"))?,
    }
    Ok(())
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        query.extend(self.sender.iter().map(|address| ("sender", address.key().to_owned())));
        query.extend(self.domain.iter().map(|domain| ("domain", domain.to_string())));
        query.extend(self.project.iter().map(|key| ("project", key.to_string())));
        let outcome = self.outcome.as_ref().and_then(OutcomeArg::to_possible_value);
        query.extend(outcome.map(|value| ("outcome", value.get_name().to_owned())));
        query.extend(self.reason.map(|code| ("reason", code.to_owned())));
        query.extend(self.since.map(|since| ("since", since.to_string())));
        query.extend(self.until.map(|until| ("until", until.to_string())));
        query
    }
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> CommandResult {
    let query = [("mail_id", args.id.to_string()), ("order", "oldest".to_owned())];
    let found = super::api::take_items(&mut args.api.client()?.list(PATH, &query, true)?)?;
    if found.is_empty() {
        return Err(Failure::failed(format!("no decision about a mail with the id {}", args.id)));
    }
    if args.api.json {
        return Ok(writeln!(out, "{}", json!({ "items": found }))?);
    }
    for (index, mut decision) in found.into_iter().enumerate() {
        // For programs that go on from here.
        decision.as_object_mut().map(|fields| fields.remove("cursor"));
        if index > 0 {
            writeln!(out)?;
        }
        super::show::record(out, &decision)?;
    }
    Ok(())
}

fn reason(code: &str) -> Result<&'static str, String> {
    let known = Reason::ALL.iter().map(|reason| reason.as_str());
    known.clone().find(|known| *known == code).ok_or_else(|| {
        let nearest =
            known.max_by(|a, b| strsim::jaro_winkler(a, code).total_cmp(&strsim::jaro_winkler(b, code)));
        format!("no such reason code; did you mean {}?", nearest.unwrap_or_default())
    })
}

pub(super) fn since(text: &str) -> Result<Time, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let span =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).filter(|_| seconds > 0);
    let span = span
        .ok_or_else(|| "give a time such as 2026-11-22T08:00:00Z, or so long ago: 30m, 24h, 7d".to_owned())?;
    Ok(Clock::system().now().minus(std::time::Duration::from_secs(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_so_long_ago() {
        assert_eq!(since("2026-11-22T08:00:00Z").unwrap().to_string(), "2026-11-22T08:00:00.000Z");
        let (before, day) = (Clock::system().now(), std::time::Duration::from_hours(24));
        assert!(since("24h").unwrap() >= before.minus(day));
        assert!(since("1d").unwrap() <= Clock::system().now().minus(day));
        for wrong in ["", "h", "24", "24w", "yesterday", "-1h", "99999999999999999999d"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_reason_is_answered_with_the_nearest() {
        assert_eq!(reason("mail-loop"), Ok("mail-loop"));
        assert!(reason("domain-not-alowed").unwrap_err().contains("domain-not-allowed"));
    }

    #[test]
    fn every_filter_becomes_its_parameter() {
        let filter = Filter {
            sender: Some("Ada@Example.com".parse().unwrap()),
            project: Some("IT".parse().unwrap()),
            outcome: Some(OutcomeArg::Drop),
            reason: Some("mail-loop"),
            since: Some(Time::from_millis(0)),
            domain: Some("example.com".parse().unwrap()),
            until: Some(Time::from_millis(1)),
        };
        let names: Vec<_> =
            filter.query().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            names,
            [
                "sender=ada@example.com",
                "domain=example.com",
                "project=IT",
                "outcome=drop",
                "reason=mail-loop",
                "since=1970-01-01T00:00:00.000Z",
                "until=1970-01-01T00:00:00.001Z"
            ]
        );
    }
}
