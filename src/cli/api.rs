//! The client of the running daemon's HTTP API.

use std::{net::SocketAddr, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Failure, config_file::ConfigFile};
use crate::config::Config;

/// Longest wait for an answer. A release decides and syncs before it answers, which takes well under a second.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read: a page of 1,000 decisions with their trails has about 4 MB.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// Most pages that `--all` fetches, so that a list that grows while it is read ends.
const MAX_PAGES: usize = 10_000;

/// Where the API is and how to be let in; shared by all its clients.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Address of the API [default: `http.admin_listen` or `http.listen` of the configuration]
    #[arg(long, env = "VESTIBULE_URL", value_name = "URL")]
    url: Option<String>,
    /// A token of the API [default: `http.admin_token` of the configuration]
    #[arg(long, env = "VESTIBULE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl ApiArgs {
    /// A client; reads the configuration only for what the flags leave open.
    pub(crate) fn client(&self) -> Result<Api, Failure> {
        let config = match (&self.url, &self.token) {
            (Some(_), Some(_)) => None,
            (Some(_), None) if !self.config.is_named() => self.config.load().ok(),
            _ => Some(self.config.load()?),
        };
        let base = match (&self.url, &config) {
            (Some(url), _) => checked_url(url)?,
            (None, Some(config)) => listen_url(config),
            (None, None) => return Err(Failure::invalid("no --url and no configuration")),
        };
        let configured = config.and_then(|config| config.http.admin_token).map(|token| token.0);
        Ok(Api::new(base, self.token.clone().or(configured)))
    }
}

impl ApiArgs {
    /// The configuration, for what is done beside the API on the daemon's machine.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        self.config.load()
    }
}

pub(super) fn checked_url(url: &str) -> Result<String, Failure> {
    let url = url.trim_end_matches('/');
    if url.starts_with("http://") {
        return Ok(url.to_owned());
    }
    Err(Failure::invalid(format!(
        "--url {url}: the client speaks plain HTTP to the daemon itself; give an address such as http://127.0.0.1:8026"
    )))
}

/// Where the daemon of this configuration has its API.
pub(super) fn listen_url(config: &Config) -> String {
    format!("http://{}", reachable(config.http.admin_listen.unwrap_or(config.http.listen)))
}

/// A daemon that listens on all addresses is reached on loopback.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

/// Calls the API and turns what goes wrong into one line.
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// What the API answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Api {
    /// A client of the daemon at `base`, such as `http://127.0.0.1:8026`.
    pub(crate) fn new(base: String, token: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        Self { agent, base, token }
    }

    /// GET with a query.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let answer = self.call("GET", &with_query(path, query), None)?;
        self.json(path, answer)
    }

    /// GET for a page of people: the answer as text.
    pub(crate) fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.call("GET", path, None)?;
        self.accept(answer).map(|answer| answer.body)
    }

    /// POST with a JSON body, or none.
    pub(crate) fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let answer = self.call("POST", path, body.map(|body| ("application/json", body.to_string())))?;
        self.json(path, answer)
    }

    /// POST; a refusal's problem document passes `explain` before it is shown.
    pub(crate) fn post_explained(
        &self,
        path: &str,
        body: &Value,
        explain: impl FnOnce(Value) -> Value,
    ) -> Result<Value, Failure> {
        let mut answer = self.call("POST", path, Some(("application/json", body.to_string())))?;
        if let (400.., Ok(problem)) = (answer.status, serde_json::from_slice(&answer.body)) {
            answer.body = explain(problem).to_string().into_bytes();
        }
        self.json(path, answer)
    }

    /// PATCH with a JSON body.
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.call("PATCH", path, Some(("application/json", body.to_string())))?;
        self.json(path, answer)
    }

    /// DELETE.
    pub(crate) fn delete(&self, path: &str) -> Result<(), Failure> {
        let answer = self.call("DELETE", path, None)?;
        self.accept(answer).map(|_| ())
    }

    /// All items of a list: the first page only, or every page. The answer has the API's own shape.
    pub(crate) fn list(&self, path: &str, query: &[(&str, String)], all: bool) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let next = self.pages(path, query, |page| {
            items.extend(page);
            all
        })?;
        Ok(serde_json::json!({ "items": items, "next": next }))
    }

    /// Hands on page after page until `take` has enough or the list ends; answers where it would go on.
    pub(crate) fn pages(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut take: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<Value, Failure> {
        let mut cursor = Value::Null;
        for _ in 0..MAX_PAGES {
            let mut query = query.to_vec();
            query.extend(cursor.as_str().map(|cursor| ("cursor", cursor.to_owned())));
            let mut page = self.get(path, &query)?;
            let items = take_items(&mut page)?;
            let next = page["next"].take();
            // An oldest-first list always names a place to go on; at its end it is the same place. A page may be empty
            // before that, where few of very many fit.
            let ended = next.is_null() || next == cursor;
            cursor = next;
            if !take(items) || ended {
                break;
            }
        }
        Ok(cursor)
    }

    fn call(&self, method: &str, path: &str, body: Option<(&str, String)>) -> Result<Answer, Failure> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some((content_type, _)) = &body {
            request = request.header("Content-Type", *content_type);
        }
        let bytes = body.map(|(_, bytes)| bytes).unwrap_or_default();
        let request = request.body(bytes).map_err(|error| {
            Failure::invalid(format!("{}{path} is no address to ask: {error}", self.base))
        })?;
        let mut response = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status: response.status().as_u16(), body })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::failed(format!(
            "no answer from the daemon at {}: {error}\n\
             Is it running (`systemctl status vestibule`), and is this its http.admin_listen? --url names another.",
            self.base
        ))
    }

    fn accept(&self, answer: Answer) -> Result<Answer, Failure> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(Failure::failed(problem(&self.base, &answer)))
    }

    fn json(&self, path: &str, answer: Answer) -> Result<Value, Failure> {
        let answer = self.accept(answer)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::failed(format!(
                "{}{path} did not answer with JSON ({error}): is it vestibule?",
                self.base
            ))
        })
    }
}

pub(crate) fn take_items(page: &mut Value) -> Result<Vec<Value>, Failure> {
    match page["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Err(Failure::failed("the answer has no list of items: is the daemon of another version?")),
    }
}

/// An RFC 9457 problem document as one line, with a hint where the status has a usual cause.
fn problem(base: &str, answer: &Answer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let title = document["title"].as_str().unwrap_or("the daemon refused");
    // `/readyz` says what keeps it in a word of its own.
    let said = match document["detail"].as_str().or(document["problem"].as_str()) {
        Some(detail) if detail != title => format!("{title}: {detail}"),
        _ => title.to_owned(),
    };
    let mut lines = vec![format!("{said} ({})", answer.status)];
    lines.extend(document["errors"].as_array().into_iter().flatten().map(super::show::inline));
    let hint = match answer.status {
        401 => Some(
            "The daemon's tokens are http.admin_token and [[http.tokens]] of its configuration; give one of them with --token or \
             VESTIBULE_TOKEN."
                .to_owned(),
        ),
        403 if document["needed_role"].is_string() => {
            Some("Give a token that has it with --token or VESTIBULE_TOKEN.".to_owned())
        }
        403 => {
            Some("Set http.admin_token or http.admin_token_file; without a token the API is closed.".to_owned())
        }
        404 if document.is_null() => {
            Some(format!("Is {base} the daemon's http.admin_listen? The API is served there only."))
        }
        _ => None,
    };
    lines.extend(hint);
    lines.join("\n")
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut out = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&segment(value));
    }
    out
}

/// All but the unreserved characters (RFC 3986 §2.3) and `@`.
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Percent-encodes what a path segment or a query would take for its own.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_problem_is_one_line_and_its_usual_cause() {
        let conflict =
            answer(409, r#"{"title":"Conflict","detail":"it would be dropped: domain-not-allowed"}"#);
        assert_eq!(problem("http://x", &conflict), "Conflict: it would be dropped: domain-not-allowed (409)");
        let closed = problem("http://x", &answer(403, r#"{"title":"Forbidden"}"#));
        assert!(closed.starts_with("Forbidden (403)\n") && closed.contains("http.admin_token"), "{closed}");
        let low = r#"{"title":"Forbidden","detail":"This call needs the role admin.","needed_role":"admin"}"#;
        assert_eq!(
            problem("http://x", &answer(403, low)),
            "Forbidden: This call needs the role admin. (403)\nGive a token that has it with --token or VESTIBULE_TOKEN."
        );
        let foreign = problem("http://x", &answer(404, "<html>"));
        assert!(foreign.contains("admin_listen"), "{foreign}");
    }

    #[test]
    fn what_users_type_stays_one_segment() {
        assert_eq!(segment("a b/c?d&e=+ä@x.example"), "a%20b%2Fc%3Fd%26e%3D%2B%C3%A4@x.example");
        assert_eq!(
            with_query("/list", &[("sender", "a+b@x.example".into()), ("limit", "5".into())]),
            "/list?sender=a%2Bb@x.example&limit=5"
        );
    }

    #[test]
    fn only_plain_http_is_spoken() {
        assert_eq!(checked_url("http://127.0.0.1:1/").unwrap(), "http://127.0.0.1:1");
        assert!(matches!(checked_url("https://help.example"), Err(Failure::Invalid(_))));
        assert!(matches!(checked_url("127.0.0.1:1"), Err(Failure::Invalid(_))));
    }

    #[test]
    fn nobody_there_is_said_with_what_to_check() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let Err(Failure::Failed(text)) = Api::new(base.clone(), None).get("/api/v1/requests", &[]) else {
            panic!("somebody answered")
        };
        assert!(text.contains(&base) && text.contains("running"), "{text}");
    }
}
