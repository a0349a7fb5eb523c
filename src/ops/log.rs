//! Log lines: one JSON object each for machines, or text for a terminal.

use std::{
    fmt::{self, Write as _},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{
    Dispatch, Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

use crate::config::{LogConfig, LogFormat};

/// Longest value of a field that comes from outside, in characters; longer ones are cut and end in `…`.
const MAX_VALUE: usize = 256;
/// Longest value of a field that we make ourselves (effective settings, lists of mistakes).
const MAX_OWN_VALUE: usize = 64 * 1024;

/// Quiets crates whose debug lines would show passwords (async-smtp logs AUTH lines) or message text.
const QUIET: &str = "async_smtp=warn,lettre=warn,sled=warn,hyper=warn,hyper_util=warn,rustls=warn,h2=warn,\
                     hickory_resolver=error,hickory_net=error,hickory_proto=error";

/// A hand on a running log: level and format change without a restart. Cheap to clone.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    text: Arc<AtomicBool>,
}

impl LogControl {
    /// Puts level and format in force for every line after it. Fails when the filter is not valid; both stay then. Where the log
    /// is not the process-wide one it must be the current one: tracing asks the current one what it wants from now on.
    pub fn set(&self, config: &LogConfig) -> Result<(), String> {
        self.filter.reload(filter(&config.level)?).map_err(|error| error.to_string())?;
        self.text.store(config.format == LogFormat::Text, Ordering::Relaxed);
        Ok(())
    }
}

/// Sets the process-wide subscriber. Fails when there is one already or the filter is not valid.
pub fn init(config: &LogConfig) -> Result<LogControl, String> {
    let (subscriber, control) = subscriber(config, io::stdout)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
    Ok(control)
}

/// The same log as a subscriber of its own that writes to `buffer`.
pub fn log_dispatch(config: &LogConfig, buffer: LogBuffer) -> Result<(Dispatch, LogControl), String> {
    let (subscriber, control) = subscriber(config, buffer)?;
    Ok((Dispatch::new(subscriber), control))
}

fn subscriber<W>(
    config: &LogConfig,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogControl), String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let control =
        LogControl { filter: handle, text: Arc::new(AtomicBool::new(config.format == LogFormat::Text)) };
    let lines = Lines { text: Arc::clone(&control.text), as_text: Format::default().with_target(false) };
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).event_format(lines).with_writer(writer);
    Ok((Registry::default().with(filter).with(layer), control))
}

/// Lines in the format that is in force: JSON, or text for a terminal. As text the values of fields are written as Rust writes
/// strings, so they stay inside their line too.
struct Lines {
    text: Arc<AtomicBool>,
    as_text: Format,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.text.load(Ordering::Relaxed) {
            self.as_text.format_event(context, writer, event)
        } else {
            JsonLines.format_event(context, writer, event)
        }
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{level},{QUIET}"))
        .map_err(|error| format!("log.level is no level or filter: {error}"))
}

/// A subscriber of its own that writes JSON lines of every level to `buffer`.
pub fn json_dispatch(buffer: LogBuffer) -> Dispatch {
    let layer = tracing_subscriber::fmt::layer().event_format(JsonLines).with_writer(buffer);
    Dispatch::new(Registry::default().with(layer))
}

/// Collects log lines in memory.
#[derive(Debug, Clone, Default)]
pub struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl LogBuffer {
    /// All lines so far.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines with this `event`.
    pub fn events(&self, name: &str) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|value: &serde_json::Value| value["event"] == name)
            .collect()
    }
}

impl io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One JSON object a line: `timestamp`, `level`, `event`, then the event's own fields at the top level (contract: *Logs*).
#[derive(Debug, Clone, Copy)]
pub struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let mut line = JsonFields(String::with_capacity(512));
        let now = jiff::Timestamp::now();
        let _ = write!(line.0, "{{\"timestamp\":\"{now:.6}\",\"level\":\"{level}\"");
        let own = event.metadata().target().starts_with("vestibule");
        if !own {
            line.text("event", "log", MAX_VALUE);
            line.text("target", event.metadata().target(), MAX_VALUE);
        }
        event.record(&mut line);
        line.0.push_str("}\n");
        writer.write_str(&line.0)
    }
}

struct JsonFields(String);

impl JsonFields {
    fn name(&mut self, name: &str) {
        self.0.push(',');
        escape(&mut self.0, name, MAX_VALUE);
        self.0.push(':');
    }

    fn text(&mut self, name: &str, value: &str, limit: usize) {
        self.name(name);
        escape(&mut self.0, value, limit);
    }
}

impl Visit for JsonFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let own = matches!(field.name(), "settings" | "errors");
        self.text(field.name(), value, if own { MAX_OWN_VALUE } else { MAX_VALUE });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field.name());
        let _ = write!(self.0, "{value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"), MAX_VALUE);
    }
}

/// Appends `value` as a JSON string: controls, line separators and bidi marks escaped, cut to `limit` characters.
fn escape(out: &mut String, value: &str, limit: usize) {
    out.push('"');
    // Almost every value is plain and short. All bytes are looked at, so that several can be at once.
    let plain = |b: u8| matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if value.len() <= limit && value.bytes().fold(true, |all, b| all & plain(b)) {
        out.push_str(value);
        out.push('"');
        return;
    }
    for (count, c) in value.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogAddresses;

    fn config(format: LogFormat, level: &str) -> LogConfig {
        LogConfig { format, level: level.to_owned(), addresses: LogAddresses::Full }
    }

    #[test]
    fn level_and_format_change_while_it_runs() {
        let buffer = LogBuffer::default();
        let (dispatch, control) = log_dispatch(&config(LogFormat::Json, "info"), buffer.clone()).unwrap();
        let steps: [(LogFormat, &str, &[&str]); 5] = [
            (LogFormat::Json, "info", &["{info}"]),
            (LogFormat::Json, "debug", &["{debug}", "{info}"]),
            (LogFormat::Text, "vestibule=debug", &["debug", "info"]),
            (LogFormat::Text, "error", &[]),
            (LogFormat::Json, "error,vestibule=info", &["{info}"]),
        ];
        for (format, level, lines) in steps {
            let before = buffer.text().len();
            tracing::dispatcher::with_default(&dispatch, || {
                control.set(&config(format, level)).unwrap();
                tracing::debug!(target: "vestibule", event = "debug");
                tracing::info!(target: "vestibule", event = "info");
                // A library whose debug lines show passwords stays quiet at every level.
                tracing::debug!(target: "async_smtp", event = "AUTH");
            });
            let text = buffer.text();
            let names: Vec<_> = text[before..].lines().map(named).collect();
            assert_eq!(names, lines, "{format:?} {level}");
        }
    }

    /// The event of a line: in braces where the line is JSON.
    fn named(line: &str) -> String {
        match serde_json::from_str::<serde_json::Value>(line) {
            Ok(value) => format!("{{{}}}", value["event"].as_str().unwrap()),
            Err(_) => line.split('"').nth(1).unwrap().to_owned(),
        }
    }

    #[test]
    fn a_filter_that_is_none_changes_nothing() {
        let buffer = LogBuffer::default();
        let (dispatch, control) = log_dispatch(&config(LogFormat::Json, "info"), buffer.clone()).unwrap();
        let wrong = control.set(&config(LogFormat::Text, "vestibule=loud"));
        assert!(wrong.unwrap_err().contains("log.level"));
        tracing::dispatcher::with_default(&dispatch, || tracing::info!(target: "vestibule", event = "x.y"));
        assert_eq!(buffer.events("x.y").len(), 1, "still JSON: {}", buffer.text());
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_values() {
        let buffer = LogBuffer::default();
        let hostile = format!("a\u{1b}[31m\r\n{{\"level\":\"FAKE\"}}\u{202e}{}", "x".repeat(400));
        tracing::dispatcher::with_default(&json_dispatch(buffer.clone()), || {
            tracing::info!(target: "vestibule", event = "test.event", detail = %hostile, count = 3u64, none = None::<&str>);
        });
        let text = buffer.text();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        let line = &buffer.events("test.event")[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["count"], 3);
        assert_eq!(line.get("none"), None);
        assert_eq!(line["detail"].as_str().unwrap().chars().count(), MAX_VALUE + 1);
        assert!(text.starts_with("{\"timestamp\":\""));
        assert!(text.contains("\"level\":\"INFO\",\"event\":\"test.event\""));
    }

    /// G01 in the format for terminals: no value ends its line, moves the cursor or turns the reading direction.
    #[test]
    fn a_line_of_text_is_one_line_whatever_the_values() {
        let buffer = LogBuffer::default();
        let hostile = "a\u{1b}[31m\r\n2026-01-01 INFO event=\"mail.decided\"\u{202e}\u{9b}\u{2028}";
        let config = config(LogFormat::Text, "info");
        let (dispatch, _control) = log_dispatch(&config, buffer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(target: "vestibule", event = "test.event", detail = hostile, name = Some(hostile));
        });
        let text = buffer.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.contains("event=\"test.event\"") && text.contains("\\r\\n2026"), "{text:?}");
        let hidden = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2028}".contains(c));
        assert!(!text.contains(hidden), "{text:?}");
    }
}
