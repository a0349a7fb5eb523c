//! What Ada does: she opens the mail, follows its link, looks at the page and presses the button.

use std::{fs, io, path::Path, time::Duration};

use crate::mail;

/// Longest wait for anything of the demo to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Largest page that is read.
const MAX_PAGE: u64 = 1024 * 1024;

/// Looks until there is something to see, at most [`PATIENCE`] long. An error of the last look is the reason.
pub(super) fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let begun = std::time::Instant::now();
    loop {
        let seen = look();
        match seen {
            Ok(Some(found)) => return Ok(found),
            Ok(None) | Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK_EVERY),
            Ok(None) => return Err(format!("{what}: nothing within {} s", PATIENCE.as_secs())),
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
}

/// The link in the first mail that has gone out into `outbound`.
pub(super) fn mailed_link(outbound: &Path, public_url: &str) -> Result<Option<String>, String> {
    let mut mails = mails_in(outbound).map_err(|error| format!("{}: {error}", outbound.display()))?;
    mails.sort();
    let Some(first) = mails.first() else { return Ok(None) };
    let raw = fs::read(first).map_err(|error| format!("{}: {error}", first.display()))?;
    let body = mail::content(&raw).body;
    let start = body.find(&format!("{public_url}/verify/")).ok_or("the mail has no link")?;
    let link = body[start..].split_whitespace().next().unwrap_or_default();
    Ok(Some(link.to_owned()))
}

fn mails_in(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let paths = entries.collect::<Result<Vec<_>, _>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "eml")).collect())
}

/// Opens the page behind the link and presses its first button: all that it lists is hers.
pub(super) fn confirm(link: &str) -> Result<(), String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
    let mut page = agent.get(link).call().map_err(|error| format!("GET {link}: {error}"))?;
    let page = page.body_mut().with_config().limit(MAX_PAGE).read_to_string();
    let page = page.map_err(|error| format!("GET {link}: {error}"))?;
    let until = hidden(&page, "until").ok_or_else(|| format!("the page behind {link} lists no mail"))?;
    agent.post(link).send_form([("until", until)]).map_err(|error| format!("POST {link}: {error}"))?;
    Ok(())
}

/// The value of a hidden field of the page's form.
fn hidden<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    behind.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_read_from_the_text_and_only_from_finished_files() {
        let dir = tempfile::tempdir().unwrap();
        let link = format!("http://127.0.0.1:8025/verify/{}", "t".repeat(43));
        assert_eq!(mailed_link(dir.path(), "http://127.0.0.1:8025"), Ok(None));
        let folded = link.replace("/verify/", "=\r\n/verify/");
        let mail = format!(
            "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nHello,\r\n\r\n{folded}\r\n\r\nBye\r\n"
        );
        fs::write(dir.path().join("1.tmp"), &mail).unwrap();
        assert_eq!(mailed_link(dir.path(), "http://127.0.0.1:8025"), Ok(None));
        fs::write(dir.path().join("1.eml"), &mail).unwrap();
        assert_eq!(mailed_link(dir.path(), "http://127.0.0.1:8025"), Ok(Some(link)));
        assert!(mailed_link(dir.path(), "http://127.0.0.1:9999").is_err());
    }

    #[test]
    fn hidden_fields_are_found_by_name() {
        let page = r#"<form><input type="hidden" name="until" value="42"><input name="other" value="1">"#;
        assert_eq!(hidden(page, "until"), Some("42"));
        assert_eq!(hidden(page, "token"), None);
    }
}
