//! `deploy/vestibule.example.toml`: the table of keys as a file.

use std::fmt::Write as _;

use super::keys::{Key, PROJECTS, SECTIONS, Section, Shown, TOKENS};

/// What stands at the head of the file.
const HEAD: &str = "\
# vestibule: every key with its default and meaning. Generated from the daemon's table of keys.
#
# Keys that must be written, and a project's name, have an example value. A line `#key = value` shows a default, or an
# example where it says \"unset\"; remove the # to change it. `vestibule check --config FILE` tells every mistake and what is
# probably not meant. SIGHUP reads the file again: what has changed takes effect for the next mail, but for the keys that say \"at
# the next start\".
# Sizes: bytes, or a number with B, KB, MB, GB, TB, KiB, MiB, GiB, TiB. Durations: such as \"7d\", \"1h\", \"30 min\".
";

/// The example file.
pub fn example() -> String {
    let mut out = String::from(HEAD);
    for section in SECTIONS {
        out.push('\n');
        header(&mut out, section);
        for key in section.keys {
            line(&mut out, key);
        }
    }
    out
}

fn header(out: &mut String, section: &Section) {
    for line in section.meaning {
        let _ = writeln!(out, "# {line}");
    }
    let _ = match section.name {
        "" => Ok(()),
        PROJECTS => writeln!(out, "[[{PROJECTS}]]"),
        TOKENS => writeln!(out, "#[[{TOKENS}]]"),
        name => writeln!(out, "[{name}]"),
    };
}

fn line(out: &mut String, key: &Key) {
    for line in key.meaning {
        let _ = writeln!(out, "# {line}");
    }
    if key.at_start.is_some() {
        let _ = writeln!(out, "# A change takes effect at the next start.");
    }
    let _ = match key.shown {
        Shown::Required(value) | Shown::Suggested(value) => writeln!(out, "{} = {value}", key.name),
        Shown::Default(value) => writeln!(out, "#{} = {value}", key.name),
        Shown::Unset(value) => writeln!(out, "#{} = {value}   # unset by default", key.name),
    };
}
