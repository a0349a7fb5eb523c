//! The two URLs of the configuration: `http.public_url` and `mail.relay`.

use std::path::Path;

use percent_encoding::percent_decode_str;
use toml::de::DeValue;
use url::{Host, Url};

use super::{
    model::{Relay, RelaySecurity, SmtpRelay},
    values::{Wrong, str},
};
use crate::types::Domain;

/// `http.public_url`: where people reach the pages. Without a trailing slash; https unless the host is this machine.
pub(super) fn public_url(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = str(value, "\"https://help.example.com\"")?;
    let wrong = |problem: String, fix: &str| Err(Wrong::new(problem, fix));
    let example = "write it as in \"https://help.example.com\"";
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => url,
        _ if !text.contains("://") => {
            let fix = format!("write \"https://{text}\"");
            return wrong(format!("\"{text}\" does not say https://"), &fix);
        }
        Ok(url) => return wrong(format!("{}:// is neither https nor http", url.scheme()), example),
        Err(error) => return wrong(format!("this is no URL: {error}"), example),
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        let problem = "http:// would send verification links in the clear".to_owned();
        return wrong(
            problem,
            "write https://, with a reverse proxy that has the certificate; http:// is for loopback only",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("a link must not hold a user or password".to_owned(), example);
    }
    if url.query().is_some() || url.fragment().is_some() {
        let problem = "a path of our own is added to it, so it can't have a ? or #".to_owned();
        return wrong(problem, "leave out what begins at the ? or #");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// `mail.relay`: an SMTP server, or `file:DIR` with DIR relative to `folder`.
pub(super) fn relay(folder: &Path) -> impl Fn(&DeValue<'_>) -> Result<Relay, Wrong> {
    move |value| {
        let text = str(value, "\"smtp://127.0.0.1:25\"")?;
        match text.strip_prefix("file:") {
            Some("") => Err(Wrong::new("file: without a directory", "name it, as in \"file:outbound\"")),
            Some(directory) => Ok(Relay::Directory(folder.join(directory))),
            None => smtp_relay(text).map(Relay::Smtp),
        }
    }
}

fn smtp_relay(text: &str) -> Result<SmtpRelay, Wrong> {
    // The problem never quotes the text: it may hold a password.
    let example = "write it as in \"smtp://127.0.0.1:25\", \"smtp+starttls://user:password@relay.example.com:587\" or \
                   \"file:outbound\"";
    let wrong = |problem: &str| Wrong::new(problem, example);
    if !text.contains("://") {
        return Err(wrong(
            "this does not say how to reach the relay: smtp://, smtps:// or smtp+starttls:// is missing",
        ));
    }
    let url = Url::parse(text).map_err(|error| wrong(&format!("this is no URL: {error}")))?;
    let (security, default_port) = match url.scheme() {
        "smtp" => (RelaySecurity::None, 25),
        "smtps" => (RelaySecurity::Tls, 465),
        "smtp+starttls" => (RelaySecurity::StartTls, 587),
        other => {
            let problem = format!("{other}: is none of smtp, smtps, smtp+starttls and file");
            return Err(wrong(&problem));
        }
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("nothing may follow the host and port"));
    }
    let host = relay_host(&url).ok_or_else(|| wrong("the host is missing or no host name"))?;
    let port = url.port().unwrap_or(default_port);
    if port == 0 {
        return Err(wrong("port 0 is no port to connect to"));
    }
    Ok(SmtpRelay { host, port, security, credentials: credentials(&url).map_err(wrong)?, authorities: None })
}

fn relay_host(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.to_string()),
        Host::Ipv6(ip) => Some(ip.to_string()),
        Host::Domain(name) => {
            let name = percent_decode_str(name).decode_utf8().ok()?;
            name.parse::<Domain>().ok().map(|domain| domain.to_string())
        }
    }
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, &'static str> {
    let decode = |text: &str| -> Result<String, &'static str> {
        let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "the login is not UTF-8")?;
        Ok(decoded.into_owned())
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err("a password without a user"),
        (_, None) => Err("a user without a password"),
        (user, Some(password)) => Ok(Some((decode(user)?, decode(password)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn public_urls_are_https_or_this_machine() {
        for (text, url) in [
            ("https://help.example.com", Some("https://help.example.com")),
            ("https://help.example.com/", Some("https://help.example.com")),
            ("https://example.com/support/", Some("https://example.com/support")),
            ("https://bücher.example:8443", Some("https://xn--bcher-kva.example:8443")),
            ("http://127.0.0.1:8025", Some("http://127.0.0.1:8025")),
            ("http://[::1]:8025/", Some("http://[::1]:8025")),
            ("http://localhost", Some("http://localhost")),
            ("http://LocalHost:8025/help", Some("http://localhost:8025/help")),
            ("http://127.9.8.7:8080", Some("http://127.9.8.7:8080")),
            ("https://help.example.com/help", Some("https://help.example.com/help")),
            ("http://10.0.0.1", None),
            ("http://localhost.example.com", None),
            ("https://user@help.example.com", None),
            ("https://help.example.com/?", None),
            ("https://help.example.com/#top", None),
            ("ftp://help.example.com", None),
            ("javascript://help.example.com", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(public_url(&value(text)).ok().as_deref(), url, "{text}");
        }
    }

    #[test]
    fn relays_have_a_way_a_host_and_a_port() {
        let read = |text: &str| relay(Path::new("/etc"))(&value(text)).ok();
        let smtp = |host: &str, port, security, login: Option<(&str, &str)>| {
            let credentials = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
            Some(Relay::Smtp(SmtpRelay {
                host: host.to_owned(),
                port,
                security,
                credentials,
                authorities: None,
            }))
        };
        let login = Some(("post@man", "p:ss/ word"));
        for (text, relay) in [
            ("smtp://127.0.0.1", smtp("127.0.0.1", 25, RelaySecurity::None, None)),
            ("smtp://[::1]:2525/", smtp("::1", 2525, RelaySecurity::None, None)),
            ("smtps://Relay.example.com", smtp("relay.example.com", 465, RelaySecurity::Tls, None)),
            ("smtp+starttls://relay", smtp("relay", 587, RelaySecurity::StartTls, None)),
            ("smtps://post%40man:p%3Ass%2F%20word@relay", smtp("relay", 465, RelaySecurity::Tls, login)),
            ("file:out", Some(Relay::Directory("/etc/out".into()))),
            ("file:/var/out", Some(Relay::Directory("/var/out".into()))),
            ("file:", None),
            ("smtp://", None),
            ("smtp://relay:0", None),
            ("smtp://relay:99999", None),
            ("smtp://relay/path", None),
            ("smtp://relay?tls=on", None),
            ("smtp://user@relay", None),
            ("smtp://:password@relay", None),
            ("smtp://user:%FF@relay", None),
            ("smtp://a b", None),
            ("lmtp://relay", None),
            ("relay:25", None),
        ] {
            assert_eq!(read(text), relay, "{text}");
        }
    }
}
