//! `vestibule what-if`: the recorded mails decided again under other settings.

mod again;

use std::{collections::BTreeMap, io::Write};

use serde_json::{Value, json};

use self::again::{Again, Recorded, Rerun};
use super::{
    CommandResult, Failure,
    api::ApiArgs,
    decisions::since,
    show::{self, Column, column, cut_column},
};
use crate::{
    access::Reason,
    config::Config,
    types::{ProjectKey, Time},
};

/// Most decisions that one page of the API has.
const PAGE: &str = "500";

/// Decide the recorded mails again under other settings: which outcomes would change. Nothing is touched
///
/// Each decision of the window is made again from the facts that were recorded with it, in order, with the accounts,
/// requests and holds that the new settings would have made or not made. Not known are: what [authentication] would have
/// found (the standing is as recorded, but for mode = "off"), mail that was or would be refused at RCPT, and what people
/// would have done with a verification mail: what would be held anew is taken to wait. Decisions of versions that recorded
/// no facts are counted as undecidable.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule what-if --config new.toml --since 7d")]
pub(super) struct Args {
    /// How far back: RFC 3339, or so long ago (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = since, default_value = "7d")]
    since: Time,
    /// Count and list only what was for this project
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    /// List at most so many of the mails that change, the newest; all are counted
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    api: ApiArgs,
}

const COUNTS: [Column; 3] =
    [column("MAILS", &["/count"]), column("WAS", &["/was"]), column("BECOMES", &["/becomes"])];

const MAILS: [Column; 7] = [
    column("AT", &["/at"]),
    column("MAIL-ID", &["/mail_id"]),
    column("WAS", &["/was"]),
    column("BECOMES", &["/becomes"]),
    cut_column("SENDER", &["/sender"], 40),
    column("PROJECT", &["/project"]),
    cut_column("BECAUSE", &["/because"], 60),
];

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let config = args.api.config()?;
    let report = Report::of(&recorded(args)?, &config, args.project.as_ref());
    if args.api.json {
        return Ok(writeln!(out, "{}", report.json(args, &config))?);
    }
    report.write(args, &config, out)
}

/// The window, the oldest first. It is asked for newest first: that ends where the window begins.
fn recorded(args: &Args) -> Result<Vec<Recorded>, Failure> {
    let query = [("since", args.since.to_string()), ("limit", PAGE.to_owned()), ("facts", "1".to_owned())];
    let (mut rows, mut wrong) = (Vec::new(), None);
    args.api.client()?.pages("/api/v1/decisions", &query, |page| {
        let read: Result<Vec<Recorded>, _> = page.into_iter().map(serde_json::from_value).collect();
        match read {
            Ok(read) => rows.extend(read),
            Err(error) => wrong = Some(error),
        }
        wrong.is_none()
    })?;
    if let Some(error) = wrong {
        return Err(Failure::failed(format!(
            "a decision can't be read ({error}): is the daemon of another version?"
        )));
    }
    rows.reverse();
    Ok(rows)
}

/// What changes.
struct Report {
    decided: usize,
    undecidable: usize,
    counts: BTreeMap<(Reason, String), usize>,
    mails: Vec<Value>,
}

impl Report {
    fn of(rows: &[Recorded], config: &Config, project: Option<&ProjectKey>) -> Self {
        let mut report = Self { decided: 0, undecidable: 0, counts: BTreeMap::new(), mails: Vec::new() };
        let mut rerun = Rerun::under(config);
        for row in rows {
            let again = rerun.next(row);
            if let Some(again) = again.filter(|_| project.is_none_or(|project| *project == row.project)) {
                report.add(row, &again);
            }
        }
        report.mails.reverse();
        report
    }

    fn add(&mut self, row: &Recorded, again: &Again) {
        let (becomes, because) = match again {
            Again::Unknown => {
                self.undecidable += 1;
                return;
            }
            Again::Decided(reason, check) => (named(*reason), format!("{}: {}", check.check, check.input)),
            Again::Refused => {
                ("refused at RCPT".to_owned(), format!("the settings have no project {}", row.project))
            }
        };
        self.decided += 1;
        let was = named(row.reason);
        if was == becomes {
            return;
        }
        self.mails.push(json!({
            "at": row.at, "mail_id": row.mail_id, "sender": row.sender, "project": row.project,
            "was": was, "becomes": becomes, "because": because,
        }));
        *self.counts.entry((row.reason, becomes)).or_default() += 1;
    }

    /// The most frequent change first.
    fn counts(&self) -> Vec<Value> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let value = |((was, becomes), count): (&(Reason, String), &usize)| json!({ "count": count, "was": named(*was), "becomes": becomes });
        counts.into_iter().map(value).collect()
    }

    fn json(&self, args: &Args, config: &Config) -> Value {
        json!({
            "config": config.path.display().to_string(),
            "settings_version": config.version,
            "since": args.since,
            "decided": self.decided,
            "undecidable": self.undecidable,
            "changed": self.mails.len(),
            "changes": self.counts(),
            "mails": self.mails.iter().take(args.limit).collect::<Vec<_>>(),
        })
    }

    fn write(&self, args: &Args, config: &Config, out: &mut dyn Write) -> CommandResult {
        writeln!(
            out,
            "{} decisions since {} made again under {}: {} change.",
            self.decided,
            args.since,
            config.path.display(),
            self.mails.len()
        )?;
        if self.undecidable > 0 {
            writeln!(out, "{} more can't be: their facts were not recorded.", self.undecidable)?;
        }
        if self.mails.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        show::table(out, &COUNTS, &self.counts())?;
        writeln!(out)?;
        show::table(out, &MAILS, &self.mails[..self.mails.len().min(args.limit)])?;
        if self.mails.len() > args.limit {
            writeln!(out, "There are {} more: a larger --limit.", self.mails.len() - args.limit)?;
        }
        Ok(())
    }
}

/// `drop domain-not-allowed`.
fn named(reason: Reason) -> String {
    format!("{} {}", reason.outcome().as_str(), reason.as_str())
}
