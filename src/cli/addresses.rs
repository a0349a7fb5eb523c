//! `vestibule addresses`: the addresses that the daemon takes, for the relay in front of it.

use std::{collections::BTreeSet, io::Write};

use clap::ValueEnum;

use super::{CommandResult, api::reachable, config_file::ConfigFile};
use crate::{
    config::Config,
    types::{Domain, EmailAddress},
};

/// Print the addresses that are taken, so that the relay refuses all others at its own door
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  vestibule addresses\n  vestibule addresses --format postfix --config /etc/vestibule/vestibule.toml"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
}

/// How addresses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One a line; `*@domain` stands for every address of a domain
    Plain,
    /// A table for `relay_recipient_maps` of Postfix
    Postfix,
    /// A table for `transport_maps` of Postfix: their domains lead to the first of smtp.listen
    PostfixTransport,
    /// A table for `relay_domains` of Postfix
    PostfixDomains,
}

/// Runs the command.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> CommandResult {
    for line in lines(&args.config.load()?, args.format) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn lines(config: &Config, format: Format) -> Vec<String> {
    let taken = taken(config);
    match format {
        Format::Plain => taken.iter().map(|(local, domain)| format!("{}@{domain}", or_star(local))).collect(),
        Format::Postfix => spelled(&taken).map(|(local, domain)| format!("{local}@{domain} OK")).collect(),
        Format::PostfixTransport => {
            let to = next_hop(config);
            domains(&taken).into_iter().map(|domain| format!("{domain} smtp:{to}")).collect()
        }
        Format::PostfixDomains => domains(&taken).into_iter().map(|domain| format!("{domain} OK")).collect(),
    }
}

/// Local part and domain of all that is taken; an empty local part is every address of the domain.
fn taken(config: &Config) -> BTreeSet<(String, Domain)> {
    let inboxes = config.projects.iter().flat_map(|project| &project.addresses);
    let mut taken: BTreeSet<_> = inboxes.filter_map(|inbox| parts(inbox)).collect();
    if config.smtp.postmaster.is_some() {
        let domains: BTreeSet<_> = taken.iter().map(|(_, domain)| domain.clone()).collect();
        let both = domains
            .iter()
            .flat_map(|domain| ["abuse", "postmaster"].map(|name| (name.to_owned(), domain.clone())));
        taken.extend(both);
    }
    taken.extend(config.mail.bounce_domain.iter().map(|domain| (String::new(), domain.clone())));
    taken
}

fn parts(inbox: &str) -> Option<(String, Domain)> {
    if let Some(domain) = inbox.strip_prefix("*@") {
        return Some((String::new(), domain.parse().ok()?));
    }
    let address: EmailAddress = inbox.parse().ok()?;
    Some((address.local_part().to_owned(), address.domain().clone()))
}

fn or_star(local: &str) -> &str {
    if local.is_empty() { "*" } else { local }
}

/// Postfix compares what the peer wrote, and an international domain has two spellings.
fn spellings(domain: &Domain) -> BTreeSet<String> {
    BTreeSet::from([domain.to_string(), domain.to_unicode()])
}

fn spelled(taken: &BTreeSet<(String, Domain)>) -> impl Iterator<Item = (&str, String)> {
    taken
        .iter()
        .flat_map(|(local, domain)| spellings(domain).into_iter().map(move |domain| (local.as_str(), domain)))
}

fn domains(taken: &BTreeSet<(String, Domain)>) -> BTreeSet<String> {
    taken.iter().flat_map(|(_, domain)| spellings(domain)).collect()
}

/// Where Postfix finds the daemon: the first of its sockets, by loopback where it listens on all addresses.
fn next_hop(config: &Config) -> String {
    let Some(listen) = config.smtp.listen.first() else { return String::new() };
    let reached = reachable(*listen);
    format!("[{}]:{}", reached.ip(), reached.port())
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;

    const SITE: &str = r#"
hostname = "vestibule.internal.example"
[smtp]
listen = ["0.0.0.0:2526", "127.0.0.1:2525"]
postmaster = "ops@example.com"
[http]
public_url = "https://help.example.com"
[mail]
relay = "smtp://127.0.0.1:25"
from = "Help <help@help.example.com>"
bounce_domain = "bounce.help.example.com"
[authentication]
mode = "off"
[[projects]]
key = "IT"
addresses = ["IT@Help.example.com", "*@it.example.com"]
[[projects]]
key = "HR"
addresses = ["hr@bücher.example"]
"#;

    fn shown(site: &str, format: Format) -> Vec<String> {
        let config = crate::config::parse(site, Path::new("x.toml"), &|_| Err(io::Error::other("none")));
        lines(&config.unwrap(), format)
    }

    #[test]
    fn all_that_is_taken_and_nothing_of_the_host_name() {
        let plain = shown(SITE, Format::Plain);
        let expected = [
            "*@bounce.help.example.com",
            "*@it.example.com",
            "abuse@help.example.com",
            "abuse@it.example.com",
            "abuse@xn--bcher-kva.example",
            "hr@xn--bcher-kva.example",
            "it@help.example.com",
            "postmaster@help.example.com",
            "postmaster@it.example.com",
            "postmaster@xn--bcher-kva.example",
        ];
        assert_eq!(plain, expected);
        let without = shown(&SITE.replace("postmaster = ", "# "), Format::Plain);
        assert_eq!(without.len(), 4, "{without:?}");
    }

    #[test]
    fn tables_have_both_spellings_of_a_domain() {
        let recipients = shown(SITE, Format::Postfix);
        for line in ["it@help.example.com OK", "@it.example.com OK", "hr@bücher.example OK"] {
            assert!(recipients.iter().any(|row| row == line), "{line}: {recipients:?}");
        }
        let transport = shown(SITE, Format::PostfixTransport);
        let expected = [
            "bounce.help.example.com smtp:[127.0.0.1]:2526",
            "bücher.example smtp:[127.0.0.1]:2526",
            "help.example.com smtp:[127.0.0.1]:2526",
            "it.example.com smtp:[127.0.0.1]:2526",
            "xn--bcher-kva.example smtp:[127.0.0.1]:2526",
        ];
        assert_eq!(transport, expected);
        assert_eq!(shown(SITE, Format::PostfixDomains).len(), expected.len());
    }
}
