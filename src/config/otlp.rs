//! `[otlp]`: where traces go.

use std::fmt;

use toml::de::DeValue;
use url::Url;

use super::{
    reader::{Reader, kind},
    sections::{plain, scope},
    values::{Read, Wrong, str},
};

/// `[otlp]`, with an endpoint.
#[derive(Clone, PartialEq)]
pub struct OtlpConfig {
    /// Where traces are sent: the whole URL, http or https, `/v1/traces` included.
    pub endpoint: String,
    /// The part of the mails that are traced, 0 to 1.
    pub sample_ratio: f64,
    /// Header fields of each request, name and value. The values may be secrets.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("sample_ratio", &self.sample_ratio)
            .field("headers", &names)
            .finish()
    }
}

/// What an OTLP collector serves traces at (OTLP 1.x, *OTLP/HTTP Request*); added to the endpoint.
const TRACES: &str = "/v1/traces";

/// `[otlp]`. `None`: no endpoint, or a mistake was written down.
pub(super) fn otlp(r: &mut Reader<'_>) -> Option<OtlpConfig> {
    let at = scope(r, "otlp")?;
    let endpoint = r.optional(&at, "endpoint", endpoint);
    let sample_ratio = r.value(&at, "sample_ratio", ratio);
    let headers = r.list(&at, "headers", header).map(plain);
    if endpoint.is_some() && !cfg!(feature = "otlp") {
        let fix = "use one that was built with `cargo build --release --features otlp`, or remove the key";
        r.mistake(&at, "endpoint", Wrong::new("this vestibule was built without traces", fix));
    }
    if at.place("endpoint").is_none() && headers.as_ref().is_some_and(|headers| !headers.is_empty()) {
        r.warnings.push("otlp.headers has no effect: otlp.endpoint is not set".to_owned());
    }
    Some(OtlpConfig { endpoint: endpoint?, sample_ratio: sample_ratio?, headers: headers? })
}

/// The collector's URL, with [`TRACES`].
fn endpoint(value: &DeValue<'_>) -> Read<String> {
    // The problem never quotes the text: it may hold a password.
    let example = "write it as in \"http://127.0.0.1:4318\" or \"https://otlp.example.com\"";
    let wrong = |problem: &str| Err(Wrong::new(problem, example));
    let url = match Url::parse(str(value, "\"http://127.0.0.1:4318\"")?) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        _ => return wrong("this is no http:// or https:// URL"),
    };
    if url.port() == Some(4317) {
        let problem = "port 4317 is for OTLP over gRPC, which is not spoken here";
        return Err(Wrong::new(problem, "name the collector's port for OTLP over HTTP, mostly 4318"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let fix = "write the login into otlp.headers, as \"authorization: Basic …\"";
        return Err(Wrong::new("a user or password in the URL", fix));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("a path is added to it, so it can't have a ? or #");
    }
    let base = url.as_str().trim_end_matches('/');
    Ok(if base.ends_with(TRACES) { base.to_owned() } else { format!("{base}{TRACES}") })
}

/// A number from 0 to 1.
fn ratio(value: &DeValue<'_>) -> Read<f64> {
    let fix = "write a number from 0 to 1, such as 0.1 for every tenth mail, without quotes";
    let number = match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => number.as_str().parse().ok(),
        other => return Err(Wrong::new(format!("{} where a number is wanted", kind(other)), fix)),
    };
    number.filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| Wrong::new("out of range", fix))
}

/// `name: value`, as RFC 9110 §5 has header fields.
fn header(value: &DeValue<'_>) -> Read<(String, String)> {
    // Neither is quoted: the value is a secret, and what is no header field may hold it anywhere.
    let fix = "write name and value as in \"authorization: Bearer 0123456789abcdef\"";
    let wrong = |problem: &str| Err(Wrong::new(problem, fix));
    let Some((name, content)) = str(value, "\"authorization: Bearer …\"")?.split_once(':') else {
        return wrong("a header field without a colon");
    };
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return wrong("what stands before the colon is no name of a header field");
    }
    let content = content.trim();
    if content.is_empty() || !content.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return wrong("the value of the header field is empty, or not plain ASCII");
    }
    Ok((name.to_ascii_lowercase(), content.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_of_collectors() {
        for (text, url) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("https://otlp.example.com/", Some("https://otlp.example.com/v1/traces")),
            ("https://otlp.example.com/otlp", Some("https://otlp.example.com/otlp/v1/traces")),
            ("http://collector:4318/v1/traces", Some("http://collector:4318/v1/traces")),
            ("http://127.0.0.1:4317", None),
            ("https://user:secret@otlp.example.com", None),
            ("https://otlp.example.com?key=1", None),
            ("grpc://otlp.example.com", None),
            ("127.0.0.1:4318", None),
            ("", None),
        ] {
            assert_eq!(endpoint(&DeValue::String(text.into())).ok().as_deref(), url, "{text}");
        }
    }

    #[test]
    fn ratios_are_numbers_from_0_to_1() {
        for (written, expected) in [
            ("0", Some(0.0)),
            ("1", Some(1.0)),
            ("1.0", Some(1.0)),
            ("0.25", Some(0.25)),
            ("1e-3", Some(0.001)),
            ("1.01", None),
            ("-0.1", None),
            ("2", None),
            ("nan", None),
            ("inf", None),
            ("\"0.5\"", None),
        ] {
            assert_eq!(ratio(DeValue::parse(written).unwrap().get_ref()).ok(), expected, "{written}");
        }
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        for (text, expected) in [
            ("Authorization: Bearer abc", Some(("authorization", "Bearer abc"))),
            ("x-team:a:b", Some(("x-team", "a:b"))),
            ("no colon", None),
            (": value", None),
            ("two words: x", None),
            ("x-empty:  ", None),
            ("x: a\r\ny: b", None),
            ("x: näh", None),
        ] {
            let read = header(&DeValue::String(text.into())).ok();
            let read = read.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
