//! `vestibule who`: all that is known of one sender. Answers "she says she clicked and nothing came".

use std::io::{self, Write};

use serde_json::Value;

use super::{
    CommandResult,
    api::{ApiArgs, segment},
    show::{Column, column, cut_column, inline, table},
};
use crate::types::EmailAddress;

/// All that is known of one sender: account, verification, what is held, the last decisions
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vestibule who ada@example.com")]
pub(super) struct Args {
    /// The From address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    #[command(flatten)]
    api: ApiArgs,
}

const HELD: [Column; 6] = [
    column("RECEIVED", &["/received_at"]),
    column("EXPIRES", &["/expires_at"]),
    column("PROJECT", &["/project"]),
    column("REASON", &["/reason"]),
    column("ID", &["/id"]),
    cut_column("SUBJECT", &["/subject"], 50),
];

const OUTBOX: [Column; 4] = [
    column("DUE", &["/due_at"]),
    column("KIND", &["/kind"]),
    column("TRIES", &["/attempts"]),
    cut_column("LAST ERROR", &["/last_error"], 200),
];

const DECISIONS: [Column; 8] = [
    column("AT", &["/at"]),
    column("PROJECT", &["/project"]),
    column("OUTCOME", &["/outcome"]),
    column("REASON", &["/reason"]),
    column("BASIS", &["/basis"]),
    column("BECAME", &["/request", "/held"]),
    column("MAIL-ID", &["/mail_id"]),
    column("BY", &["/actor"]),
];

/// Why a verification has no mail; the trail of the waiting mail names the sign.
const UNANSWERED: &str = "nothing that waits may be answered (`vestibule decisions show MAIL-ID` says why); \
                          `vestibule held release ID` hands it on";

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    let path = format!("/api/v1/senders/{}", segment(args.address.key()));
    let sender = args.api.client()?.get(&path, &[])?;
    if args.api.json {
        return Ok(writeln!(out, "{sender}")?);
    }
    Ok(report(out, &sender)?)
}

fn report(out: &mut dyn Write, sender: &Value) -> io::Result<()> {
    writeln!(out, "{}", inline(&sender["address"]))?;
    writeln!(out, "account: {}", account(&sender["account"]))?;
    if sender["never_mailed"] == true {
        writeln!(out, "verification.never_mail names it: what it sends waits for `vestibule held release`")?;
    }
    if sender["quiet_until"].is_string() {
        writeln!(out, "no verification mail before {}", inline(&sender["quiet_until"]))?;
    }
    section(out, "waiting mails, the oldest first", &HELD, &sender["held"])?;
    let told = sender["never_mailed"] == true || sender["quiet_until"].is_string();
    verifications(out, items(&sender["verifications"]), told)?;
    section(out, "our mails to it that are not sent yet", &OUTBOX, &sender["deliveries"])?;
    section(out, "last decisions, the newest first", &DECISIONS, &sender["decisions"])
}

fn account(account: &Value) -> String {
    if account.is_null() {
        return "none".to_owned();
    }
    let mut words = ["kind", "role", "status"].map(|field| inline(&account[field])).join(", ");
    for (before, field) in
        [("customer of", "projects"), ("since", "created_at"), ("confirmed", "confirmed_at")]
    {
        let value = inline(&account[field]);
        if !value.is_empty() {
            words = format!("{words}, {before} {value}");
        }
    }
    words
}

/// A heading and a table; nothing at all when there are no items.
fn section(out: &mut dyn Write, heading: &str, columns: &[Column], items_of: &Value) -> io::Result<()> {
    let items = items(items_of);
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}:")?;
    table(out, columns, items)
}

/// What was asked, what the relay said, whether the page was opened, and how it ended.
fn verifications(out: &mut dyn Write, verifications: &[Value], silence_told: bool) -> io::Result<()> {
    if verifications.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nverifications, the newest first:")?;
    for verification in verifications {
        writeln!(out, "{}  asked", inline(&verification["asked_at"]))?;
        if items(&verification["mails"]).is_empty() && verification["state"] == "pending" && !silence_told {
            writeln!(out, "{:24}  no mail: {UNANSWERED}", "")?;
        }
        for mail in items(&verification["mails"]) {
            writeln!(out, "{}", mailed(mail))?;
        }
        if verification["opened_at"].is_string() {
            writeln!(out, "{}  page opened for the first time", inline(&verification["opened_at"]))?;
        }
        writeln!(out, "{}", ended(verification))?;
    }
    Ok(())
}

fn mailed(mail: &Value) -> String {
    let (at, expires) = (inline(&mail["at"]), inline(&mail["expires_at"]));
    match mail["state"].as_str() {
        Some("sent") => format!("{at}  mail sent, link until {expires}: {}", inline(&mail["reply"])),
        Some("failed") => format!("{at}  mail given up: {}", inline(&mail["error"])),
        Some("undeliverable") => format!("{at}  mail came back: {}", inline(&mail["error"])),
        _ => format!("{}  mail due, link until {expires}", inline(&mail["due_at"])),
    }
}

fn ended(verification: &Value) -> String {
    let field = |name: &str| inline(&verification[name]);
    match verification["state"].as_str() {
        Some("pending") => format!("{:24}  not answered yet", ""),
        Some("verified") => {
            format!(
                "{}  verified: {} handed on, {} not theirs",
                field("at"),
                field("handed_on"),
                field("not_mine")
            )
        }
        Some("disowned") => format!("{}  disowned: {} not theirs", field("at"), field("not_mine")),
        Some("moot") => format!("{}  over: nothing waited for it any more", field("at")),
        _ => format!("{}  {}", field("at"), field("state")),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(sender: &Value) -> String {
        let mut out = Vec::new();
        report(&mut out, sender).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_known_is_short() {
        let nobody = json!({"address": "a@b.example", "account": null, "verifications": [], "held": [],
            "deliveries": [], "decisions": [], "quiet_until": null, "never_mailed": false});
        assert_eq!(shown(&nobody), "a@b.example\naccount: none\n");
    }

    #[test]
    fn a_verification_without_a_mail_says_why() {
        let mut nils = json!({"address": "nils@example.com", "verifications": [
            {"asked_at": "A3", "opened_at": null, "state": "pending", "mails": []}]});
        let why = "A3  asked\n                          no mail: nothing that waits may be answered";
        assert!(shown(&nils).contains(why), "{}", shown(&nils));
        nils["never_mailed"] = true.into();
        assert!(!shown(&nils).contains("no mail: "), "{}", shown(&nils));
    }

    #[test]
    fn a_verification_reads_as_what_happened() {
        let ada = json!({
            "address": "ada@example.com",
            "account": {"kind": "internal", "role": "agent", "status": "active", "projects": ["IT"], "created_at": "C"},
            "quiet_until": "Q",
            "never_mailed": true,
            "verifications": [
                {"asked_at": "A2", "opened_at": null, "state": "pending", "mails": [
                    {"state": "waiting", "due_at": "D2", "expires_at": "E2"}]},
                {"asked_at": "A1", "opened_at": "O1", "state": "verified", "at": "V1", "handed_on": 2, "not_mine": 1,
                 "mails": [{"state": "failed", "at": "F1", "error": "550 no"},
                           {"state": "undeliverable", "at": "U1", "error": "5.1.1 no such user"},
                           {"state": "sent", "at": "S1", "expires_at": "E1", "reply": "250 ok"}]}],
            "deliveries": [{"due_at": "D2", "kind": "verification", "attempts": 3, "last_error": "451 later"}],
        });
        let text = shown(&ada);
        for part in [
            "account: internal, agent, active, customer of IT, since C\n",
            "verification.never_mail names it",
            "no verification mail before Q\n",
            "A2  asked\nD2  mail due, link until E2\n",
            "  not answered yet\nA1  asked\nF1  mail given up: 550 no\nU1  mail came back: 5.1.1 no such user\nS1  mail sent, link until E1: 250 ok\n\
             O1  page opened for the first time\nV1  verified: 2 handed on, 1 not theirs\n",
            "D2   verification  3      451 later\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
