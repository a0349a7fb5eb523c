//! Accounts as a CSV file: header `address,name,kind,role,projects`, projects separated by blanks or semicolons. All
//! mistakes are found at once, each with its line.

use std::{collections::HashMap, fs::File, io::Read, path::Path, str::FromStr};

use serde::Deserialize;

use crate::types::{Account, AccountKind, AccountStatus, EmailAddress, ProjectKey, Role, Time};

/// The fields, in the order in which they are named in messages.
const FIELDS: [&str; 5] = ["address", "name", "kind", "role", "projects"];

/// One line of the file, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    address: String,
    #[serde(default)]
    name: String,
    kind: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    projects: String,
}

/// Reads a file of accounts, each with its line; all of them are active and created `now`.
pub(super) fn read(path: &Path, now: Time) -> Result<Vec<(u64, Account)>, Vec<String>> {
    let file = File::open(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
    parse(file, now).map_err(|mistakes| {
        mistakes.into_iter().map(|mistake| format!("{}:{mistake}", path.display())).collect()
    })
}

fn parse(text: impl Read, now: Time) -> Result<Vec<(u64, Account)>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let header = reader.headers().map_err(|error| vec![format!("1: {}", describe(&error))])?.clone();
    check_header(&header)?;
    let (mut accounts, mut mistakes) = (Vec::new(), Vec::new());
    let mut seen: HashMap<EmailAddress, u64> = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                mistakes.push(format!("{line}: {}", describe(&error)));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        match record
            .deserialize(Some(&header))
            .map_err(|error| vec![describe(&error)])
            .and_then(|row| account(row, now))
        {
            Err(wrong) => mistakes.extend(wrong.into_iter().map(|wrong| format!("{line}: {wrong}"))),
            Ok(account) => match seen.insert(account.address.clone(), line) {
                Some(first) => {
                    mistakes.push(format!("{line}: {} stands in line {first} already", account.address));
                }
                None => accounts.push((line, account)),
            },
        }
    }
    if mistakes.is_empty() { Ok(accounts) } else { Err(mistakes) }
}

fn check_header(header: &csv::StringRecord) -> Result<(), Vec<String>> {
    let mut mistakes: Vec<String> = header
        .iter()
        .filter(|name| !FIELDS.contains(name))
        .map(|name| format!("1: no such field: {name:?}; the fields are {}", FIELDS.join(",")))
        .collect();
    for needed in ["address", "kind"] {
        if !header.iter().any(|name| name == needed) {
            mistakes.push(format!("1: the field {needed} is missing; the header is {}", FIELDS.join(",")));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn account(line: Line, now: Time) -> Result<Account, Vec<String>> {
    let mut mistakes = Vec::new();
    let address = keep(
        line.address.parse().map_err(|error| format!("address {:?}: {error}", line.address)),
        &mut mistakes,
    );
    let kind = keep(kind(&line.kind), &mut mistakes);
    let role = keep(role(&line.role), &mut mistakes);
    let projects = keep(projects(&line.projects), &mut mistakes);
    let name = Some(line.name).filter(|name| !name.is_empty());
    match (address, kind, role, projects) {
        (Some(address), Some(kind), Some(role), Some(projects)) => Ok(Account {
            address,
            name,
            kind,
            status: AccountStatus::Active,
            role,
            projects,
            created_at: now,
            confirmed_at: None,
        }),
        _ => Err(mistakes),
    }
}

fn keep<T>(result: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

/// The kinds of accounts by their names.
pub(super) fn kind(text: &str) -> Result<AccountKind, String> {
    match text {
        "internal" => Ok(AccountKind::Internal),
        "portal-only" => Ok(AccountKind::PortalOnly),
        other => Err(format!("kind {other:?}: it is internal or portal-only")),
    }
}

/// The roles by their names; none is customer.
pub(super) fn role(text: &str) -> Result<Role, String> {
    match text {
        "" | "customer" => Ok(Role::Customer),
        "agent" => Ok(Role::Agent),
        other => Err(format!("role {other:?}: it is customer or agent")),
    }
}

fn projects(text: &str) -> Result<Vec<ProjectKey>, String> {
    let keys = text.split([' ', ';']).filter(|key| !key.is_empty());
    keys.map(|key| ProjectKey::from_str(key).map_err(|error| format!("projects: {error}"))).collect()
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Account>, Vec<String>> {
        let lines = parse(text.as_bytes(), Time::from_millis(0))?;
        Ok(lines.into_iter().map(|(_, account)| account).collect())
    }

    #[test]
    fn accounts_are_read_in_any_order_of_fields() {
        let accounts = read(
            "address,name,kind,role,projects\nada@example.com,\"Lovelace, Ada\",internal,agent,IT;HR\n\
             b@partner.example, ,portal-only,,IT HR\n",
        )
        .unwrap();
        assert_eq!(accounts.len(), 2);
        assert_eq!(accounts[0].name.as_deref(), Some("Lovelace, Ada"));
        assert_eq!(accounts[0].role, Role::Agent);
        assert_eq!(accounts[1].name, None);
        assert_eq!(accounts[1].kind, AccountKind::PortalOnly);
        assert_eq!(accounts[1].projects.len(), 2);
        assert_eq!(read("kind,address\ninternal,a@x.example\n").unwrap().len(), 1);
        assert!(read("address,name,kind,role,projects\n").unwrap().is_empty());
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let mistakes = read(
            "address,name,kind,role,projects\nnobody,,staff,boss,it\nada@example.com,,internal,,\n\
             a@x.example,too,few\nADA@example.com,,internal,,\n",
        )
        .unwrap_err();
        for (line, part) in [
            ("2: ", "address \"nobody\""),
            ("2: ", "internal or portal-only"),
            ("2: ", "customer or agent"),
            ("2: ", "project key"),
            ("4: ", "3 fields where the header has 5"),
            ("5: ", "stands in line 3 already"),
        ] {
            assert!(mistakes.iter().any(|m| m.starts_with(line) && m.contains(part)), "{part}: {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 6);
    }

    #[test]
    fn a_wrong_header_is_told_with_the_right_one() {
        let mistakes = read("mail,kind\na@x.example,internal\n").unwrap_err();
        assert!(mistakes.iter().any(|m| m.contains("\"mail\"")), "{mistakes:?}");
        assert!(mistakes.iter().any(|m| m.contains("address is missing")), "{mistakes:?}");
    }
}
