//! Readers of single values: from what is written to what it means, or what is wrong with it and how to write it.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use toml::de::DeValue;

use super::{reader::kind, retention::Keep};

/// Longest duration that is taken: ten years. Longer ones are slips, and times far ahead can't be written down.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) fix: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }
}

/// What a reader answers.
pub(super) type Read<T> = Result<T, Wrong>;

/// Any text.
pub(super) fn text(value: &DeValue<'_>) -> Read<String> {
    str(value, "\"…\"").map(str::to_owned)
}

/// A text that is shown to people: not empty, one line.
pub(super) fn line(value: &DeValue<'_>) -> Read<String> {
    let text = str(value, "\"…\"")?.trim();
    if text.is_empty() {
        return Err(Wrong::new("an empty text", "write what people are to read"));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(
            "a text with a line break or another control character",
            "write it on one line",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn str<'v>(value: &'v DeValue<'_>, example: &str) -> Read<&'v str> {
    value.as_str().ok_or_else(|| {
        let fix = format!("write a text in quotes, such as {example}");
        Wrong::new(format!("{} where a text is wanted", kind(value)), fix)
    })
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| {
        let fix = "write true or false, without quotes";
        Wrong::new(format!("{} where true or false is wanted", kind(value)), fix)
    })
}

/// A whole number between the two, both included.
pub(super) fn number(min: u32, max: u32) -> impl Fn(&DeValue<'_>) -> Read<u32> {
    move |value| {
        let fix = || format!("write a whole number from {min} to {max}, without quotes");
        let DeValue::Integer(_) = value else {
            return Err(Wrong::new(format!("{} where a whole number is wanted", kind(value)), fix()));
        };
        let number = integer(value).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| {
            let Some(written) = value.as_integer() else { return Wrong::new("no number", fix()) };
            Wrong::new(format!("{written} is out of range"), fix())
        })
    }
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    let written = value.as_integer()?;
    i128::from_str_radix(written.as_str(), written.radix()).ok()
}

/// A size in bytes, between the two: a plain number of bytes or a number and a unit.
pub(super) fn size(min: u64, max: u64) -> impl Fn(&DeValue<'_>) -> Read<u64> {
    move |value| {
        let fix = || "write a whole number and a unit, such as \"36 MiB\", \"1 GiB\" or \"500 KB\"";
        let bytes = match value {
            DeValue::Integer(number) => integer(value).ok_or_else(|| (number.to_string(), "is too large")),
            DeValue::String(text) => size_of(text).map_err(|problem| (format!("\"{text}\""), problem)),
            other => return Err(Wrong::new(format!("{} where a size is wanted", kind(other)), fix())),
        };
        let bytes = bytes.map_err(|(text, problem)| Wrong::new(format!("{text} {problem}"), fix()))?;
        match u64::try_from(bytes) {
            Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
            Ok(bytes) if bytes < min => Err(Wrong::new(
                format!("{bytes} bytes are too few"),
                format!("write at least \"{}\"", in_units(min)),
            )),
            Ok(_) => Err(Wrong::new("the size is too large", format!("write at most \"{}\"", in_units(max)))),
            Err(_) if bytes < 0 => Err(Wrong::new("a size is never negative", fix())),
            Err(_) => {
                Err(Wrong::new("the size is too large", format!("write at most \"{}\"", in_units(max))))
            }
        }
    }
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

fn size_of(text: &str) -> Result<i128, &'static str> {
    let text = text.trim();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let number: i128 = number.parse().map_err(|_| "is no size")?;
    if unit.is_empty() {
        return Ok(number);
    }
    let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (_, factor) = known.ok_or("has an unknown unit (known: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)")?;
    number.checked_mul(i128::from(*factor)).ok_or("is too large")
}

/// Bytes in the largest binary unit that leaves a whole number.
pub(super) fn in_units(bytes: u64) -> String {
    let binary = UNITS[5..].iter().rev();
    let fitting = binary.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    fitting.map_or_else(|| format!("{bytes} B"), |(name, factor)| format!("{} {name}", bytes / factor))
}

/// Shortest [`duration`].
const MIN_DURATION: Duration = Duration::from_secs(1);

/// A duration from one second to ten years; a day has 24 hours.
pub(super) fn duration(value: &DeValue<'_>) -> Read<Duration> {
    let length = duration_or_zero(value)?;
    if length.is_zero() {
        return Err(Wrong::new("a duration of zero", "write a duration above zero, such as \"1h\""));
    }
    if length < MIN_DURATION {
        return Err(Wrong::new("a duration of less than a second", "write at least \"1s\""));
    }
    Ok(length)
}

/// A duration of at most ten years, or none at all: `"0s"`, or 0 without a unit.
pub(super) fn duration_or_zero(value: &DeValue<'_>) -> Read<Duration> {
    let fix = "write a number and a unit, such as \"7d\", \"1h\" or \"30 min\"";
    if integer(value) == Some(0) || value.as_str().is_some_and(|text| text.trim() == "0") {
        return Ok(Duration::ZERO);
    }
    let DeValue::String(text) = value else {
        return Err(Wrong::new(format!("{} where a duration is wanted", kind(value)), fix));
    };
    let span: Span = text.parse().map_err(|_| Wrong::new(format!("\"{text}\" is no duration"), fix))?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| {
        Wrong::new(format!("\"{text}\" has no fixed length"), "write it in days or weeks, such as \"30d\"")
    })?;
    let length = Duration::try_from(signed).map_err(|_| {
        Wrong::new(format!("\"{text}\" is negative"), "write a duration above zero, such as \"1h\"")
    })?;
    if length > MAX_DURATION {
        return Err(Wrong::new(format!("\"{text}\" is longer than ten years"), "write at most \"3650d\""));
    }
    Ok(length)
}

/// How long something is kept: a duration, 0, or `"forever"`.
pub(super) fn keep(value: &DeValue<'_>) -> Read<Keep> {
    if value.as_str().is_some_and(|text| text.trim() == "forever") {
        return Ok(Keep::Forever);
    }
    duration_or_zero(value).map(Keep::For).map_err(|wrong| {
        let fix = format!("{}, or \"forever\"", wrong.fix);
        Wrong::new(wrong.problem, fix)
    })
}

/// The same, for at least a day.
pub(super) fn keep_a_day(value: &DeValue<'_>) -> Read<Keep> {
    match keep(value)? {
        Keep::For(length) if length < Duration::from_hours(24) => {
            Err(Wrong::new("less than a day", "write at least \"1d\", or \"forever\""))
        }
        kept => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(written: &str, read: impl Fn(&DeValue<'_>) -> Read<T>) -> Option<T> {
        read(DeValue::parse(written).unwrap().get_ref()).ok()
    }

    #[test]
    fn sizes_have_units() {
        for (written, bytes) in [
            ("0", Some(0)),
            ("1_000", Some(1000)),
            ("0x400", Some(1024)),
            ("\"36 MiB\"", Some(36 << 20)),
            ("\"1GiB\"", Some(1 << 30)),
            ("\"500 kb\"", Some(500_000)),
            ("\"7\"", Some(7)),
            ("\"7 B\"", Some(7)),
            ("\"1.5 GiB\"", None),
            ("\"GiB\"", None),
            ("\"\"", None),
            ("\"1 GiB 2\"", None),
            ("\"2 PB\"", None),
            ("\"1025 TiB\"", None),
            ("-1", None),
            ("1.0", None),
            ("true", None),
        ] {
            assert_eq!(read(written, size(0, 1 << 50)), bytes, "{written}");
        }
        assert_eq!(in_units(36 << 20), "36 MiB");
        assert_eq!(in_units(1000), "1000 B");
    }

    #[test]
    fn durations_are_at_least_a_second_and_bounded() {
        for (written, seconds) in [
            ("\"7d\"", Some(7 * 86_400)),
            ("\"1h\"", Some(3600)),
            ("\"30 min\"", Some(1800)),
            ("\"1 week\"", Some(7 * 86_400)),
            ("\"1d 12h\"", Some(129_600)),
            ("\"3650d\"", Some(3650 * 86_400)),
            ("\"2s\"", Some(2)),
            ("\"1s\"", Some(1)),
            ("\"999ms\"", None),
            ("\"3651d\"", None),
            ("\"0s\"", None),
            ("\"0\"", None),
            ("0", None),
            ("\"-1h\"", None),
            ("\"1h ago\"", None),
            ("\"1 month\"", None),
            ("\"1 year\"", None),
            ("\"7\"", None),
            ("\"\"", None),
            ("7", None),
        ] {
            assert_eq!(read(written, duration), seconds.map(Duration::from_secs), "{written}");
        }
    }

    #[test]
    fn some_durations_may_be_zero() {
        for (written, millis) in [
            ("\"0s\"", Some(0)),
            ("\"0d\"", Some(0)),
            ("\"0\"", Some(0)),
            ("0", Some(0)),
            ("\"1ms\"", Some(1)),
            ("\"1h\"", Some(3_600_000)),
            ("\"-1s\"", None),
            ("\"3651d\"", None),
            ("\"1\"", None),
            ("1", None),
            ("0.0", None),
            ("\"\"", None),
        ] {
            assert_eq!(read(written, duration_or_zero), millis.map(Duration::from_millis), "{written}");
        }
    }

    #[test]
    fn numbers_keep_their_range() {
        for (written, number) in
            [("1", Some(1)), ("128", Some(128)), ("0", None), ("129", None), ("-1", None), ("1.0", None)]
        {
            assert_eq!(read(written, super::number(1, 128)), number, "{written}");
        }
    }
}
