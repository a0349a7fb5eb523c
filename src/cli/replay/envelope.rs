//! The envelope of a mail that is only a file: from its header fields, unless the command line names another.
//!
//! Tolerant on purpose: a mail that our own strict reading refuses must still be sendable, so that it can be seen refused.

use crate::types::EmailAddress;

/// Who a mail is sent as, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEnvelope {
    /// The reverse-path; `None` is the null one, `<>`.
    pub from: Option<EmailAddress>,
    /// The recipients; never empty.
    pub to: Vec<EmailAddress>,
}

/// What the command line says about the envelope.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--mail-from`; the inner `None` is the null reverse-path.
    pub from: Option<Option<EmailAddress>>,
    /// `--rcpt`.
    pub to: Vec<EmailAddress>,
}

impl ReplayEnvelope {
    /// The envelope for `mail`. The text of an error says which flag helps.
    pub fn of(mail: &[u8], overrides: &Overrides) -> Result<Self, String> {
        let fields = Fields::of(mail);
        let from = match &overrides.from {
            Some(from) => from.clone(),
            None => sender(&fields)?,
        };
        let to = if overrides.to.is_empty() { recipients(&fields)? } else { overrides.to.clone() };
        Ok(Self { from, to })
    }
}

/// Return-Path, where `<>` is the null reverse-path; else the first From address.
fn sender(fields: &Fields) -> Result<Option<EmailAddress>, String> {
    if let Some(path) = fields.first("return-path") {
        return Ok(addresses(path).into_iter().next());
    }
    let from = fields.first("from").and_then(|from| addresses(from).into_iter().next());
    from.map(Some)
        .ok_or_else(|| "neither Return-Path nor From has an address; name one with --mail-from".to_owned())
}

/// What a relay noted as the recipient it delivered to, else the To addresses.
fn recipients(fields: &Fields) -> Result<Vec<EmailAddress>, String> {
    for name in ["x-original-to", "delivered-to", "to"] {
        let found = fields.first(name).map(addresses).unwrap_or_default();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err("neither X-Original-To, Delivered-To nor To has an address; name recipients with --rcpt".to_owned())
}

/// The header fields: names in lower case, values unfolded (RFC 5322 §2.2.3).
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(mail: &[u8]) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in mail.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                break;
            }
            if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), fields.last_mut()) {
                value.push_str(line);
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim_end().to_ascii_lowercase(), value.to_owned()));
            }
        }
        Self(fields)
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// All addresses of an address list: of each comma-separated part what stands in angle brackets, else the part itself.
/// Quoted strings and comments hide commas and brackets; parts without an address are passed over.
fn addresses(list: &str) -> Vec<EmailAddress> {
    let mut found = Vec::new();
    let mut part = Part::default();
    let (mut quoted, mut escaped, mut comment) = (false, false, 0_usize);
    for c in list.chars() {
        let plain = !quoted && comment == 0;
        match c {
            _ if escaped => escaped = false,
            '\\' if !plain => escaped = true,
            '"' if comment == 0 => quoted = !quoted,
            '(' if !quoted => {
                comment += 1;
                continue;
            }
            ')' if !quoted && comment > 0 => {
                comment -= 1;
                continue;
            }
            ',' | ';' if plain => {
                found.extend(part.take());
                continue;
            }
            // A group's name (`undisclosed: a@b.example;`) ends in a colon.
            ':' if plain && part.bracketed.is_none() => {
                part = Part::default();
                continue;
            }
            _ => {}
        }
        if comment == 0 {
            part.push(c, quoted);
        }
    }
    found.extend(part.take());
    found
}

/// One mailbox as it is read: all of it, and what stood in angle brackets.
#[derive(Default)]
struct Part {
    all: String,
    bracketed: Option<String>,
    open: bool,
}

impl Part {
    fn push(&mut self, c: char, quoted: bool) {
        match c {
            '<' if !quoted => {
                self.bracketed = Some(String::new());
                self.open = true;
            }
            '>' if !quoted => self.open = false,
            _ => match &mut self.bracketed {
                Some(inside) if self.open => inside.push(c),
                _ => self.all.push(c),
            },
        }
    }

    fn take(&mut self) -> Option<EmailAddress> {
        let part = std::mem::take(self);
        part.bracketed.unwrap_or(part.all).trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &str) -> Vec<String> {
        addresses(list).iter().map(|address| address.spelling().to_owned()).collect()
    }

    #[test]
    fn addresses_are_found_among_names_quotes_and_comments() {
        for (list, expected) in [
            ("a@x.example", vec!["a@x.example"]),
            (" Ada <a@x.example>, b@y.example ", vec!["a@x.example", "b@y.example"]),
            ("\"Lovelace, Ada <z@z.example>\" <a@x.example>", vec!["a@x.example"]),
            ("a@x.example (Ada, at home <b@y.example>)", vec!["a@x.example"]),
            ("Team: a@x.example, B <b@y.example>;", vec!["a@x.example", "b@y.example"]),
            ("undisclosed-recipients:;", vec![]),
            ("<>", vec![]),
            ("no address", vec![]),
        ] {
            assert_eq!(listed(list), expected, "{list}");
        }
    }

    fn envelope(mail: &str) -> Result<(Option<String>, Vec<String>), String> {
        ReplayEnvelope::of(mail.as_bytes(), &Overrides::default()).map(|envelope| {
            let text = |address: &EmailAddress| address.spelling().to_owned();
            (envelope.from.as_ref().map(text), envelope.to.iter().map(text).collect())
        })
    }

    #[test]
    fn the_envelope_is_read_from_the_fields_that_relays_write_first() {
        let own = |from: Option<&str>, to: &[&str]| {
            Ok((from.map(str::to_owned), to.iter().map(|to| (*to).to_owned()).collect()))
        };
        for (mail, expected) in [
            ("From: a@x.example\r\nTo: it@h.example,\r\n hr@h.example\r\n\r\n", {
                own(Some("a@x.example"), &["it@h.example", "hr@h.example"])
            }),
            ("Return-Path: <>\nFrom: a@x.example\nTo: it@h.example\n\n", own(None, &["it@h.example"])),
            (
                "Return-Path: <r@x.example>\nDelivered-To: d@h.example\nTo: it@h.example\n\n",
                own(Some("r@x.example"), &["d@h.example"]),
            ),
            (
                "FROM: a@x.example\nX-Original-To: o@h.example\nDelivered-To: d@h.example\n\nTo: z@z.example\n",
                own(Some("a@x.example"), &["o@h.example"]),
            ),
        ] {
            assert_eq!(envelope(mail), expected, "{mail}");
        }
        assert!(envelope("To: it@h.example\n\n").unwrap_err().contains("--mail-from"));
        assert!(envelope("From: a@x.example\n\nTo: it@h.example").unwrap_err().contains("--rcpt"));
    }

    #[test]
    fn the_command_line_has_the_last_word() {
        let overrides = Overrides { from: Some(None), to: vec!["hr@h.example".parse().unwrap()] };
        let envelope = ReplayEnvelope::of(b"From: a@x.example\nTo: it@h.example\n\n", &overrides).unwrap();
        assert_eq!(envelope.from, None);
        assert_eq!(envelope.to[0].spelling(), "hr@h.example");
    }
}
