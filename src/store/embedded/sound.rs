//! Whether the journal is whole enough to start with. A lost segment is as many as 64 MiB of mail: nobody but the operator
//! may decide to go on without it.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::{OpenError, files::Layout};
use crate::store::journal::{self, SEGMENT_HEADER, Segment};

/// In this file the operator names the segments that he goes on without.
const ACCEPTED: &str = "ACCEPTED_LOSS";

/// Refuses a journal with segments missing, unless their loss is accepted; mends headers. `seen` is the segment up to which
/// the index has the journal, 0 without one. Answers what is damaged.
pub(super) fn check(layout: &Layout, seen: u64) -> Result<Vec<String>, OpenError> {
    let dir = layout.journal();
    let failed = |error| OpenError::io(&dir, error);
    let numbers = journal::list(&dir).map_err(failed)?;
    let last = numbers.last().copied().unwrap_or(0);
    let (mut present, mut damaged) = (Vec::new(), Vec::new());
    for number in numbers {
        match Segment::open(&dir, number).map_err(failed)? {
            Ok((segment, _)) => present.push(segment),
            Err(_) if number == last && is_just_begun(&dir, number).map_err(failed)? => {}
            Err(what) => match Segment::of_its_records(&dir, number).map_err(failed)? {
                Some(segment) => {
                    present.push(segment);
                    damaged.push((segment, what));
                }
                None => damaged.push((Segment { number, salt: 0, first: 0, compacted: false }, what)),
            },
        }
    }
    in_order(&dir, &present)?;
    let mut told: Vec<_> = accepted_gaps(layout, &present, last.max(seen))?
        .iter()
        .map(|number| format!("segment {number} is missing; its loss was accepted in {ACCEPTED}"))
        .collect();
    for (segment, what) in damaged.into_iter().filter(|(segment, _)| segment.first > 0) {
        segment.write_header(&dir).map_err(failed)?;
        told.push(format!("segment {}: {what}; it was written anew from the records", segment.number));
    }
    Ok(told)
}

/// The process ended while it made the segment: nothing was ever in it.
fn is_just_begun(dir: &Path, number: u64) -> io::Result<bool> {
    Ok(fs::metadata(journal::segment_path(dir, number))?.len() <= SEGMENT_HEADER)
}

/// The numbers of records grow from segment to segment.
fn in_order(dir: &Path, present: &[Segment]) -> Result<(), OpenError> {
    let wrong = present.windows(2).find(|pair| pair[1].first < pair[0].first);
    wrong.map_or(Ok(()), |pair| {
        Err(OpenError::Unbounded(format!(
            "{} begins with record {}, and the segment before it with record {}: it is not of this place. \
             Put the right file there, from a backup, or move this one away",
            journal::segment_path(dir, pair[1].number).display(),
            pair[1].first,
            pair[0].first,
        )))
    })
}

/// The segments that are missing by the operator's leave.
fn accepted_gaps(layout: &Layout, present: &[Segment], last: u64) -> Result<BTreeSet<u64>, OpenError> {
    let have: BTreeSet<u64> = present.iter().map(|segment| segment.number).collect();
    let until = if have.contains(&last) { last } else { last_needed(layout, &have, last)? };
    let accepted = accepted(layout)?;
    let is_accepted = |number| accepted.iter().any(|(from, to)| (*from..=*to).contains(&number));
    let (mut gaps, mut next) = (Vec::new(), 1);
    for number in have.iter().copied().chain([until + 1]) {
        if number > next && !(is_accepted(next) && is_accepted(number - 1)) {
            gaps.push((next, number - 1));
        }
        next = next.max(number + 1);
    }
    if gaps.is_empty() {
        let missing = accepted.iter().flat_map(|(from, to)| *from..=(*to).min(until));
        return Ok(missing.filter(|number| !have.contains(number)).collect());
    }
    Err(OpenError::Unbounded(missing(layout, &gaps)))
}

/// A last segment that was just begun is not needed.
fn last_needed(layout: &Layout, have: &BTreeSet<u64>, last: u64) -> Result<u64, OpenError> {
    let dir = layout.journal();
    let begun = journal::segment_path(&dir, last).exists()
        && is_just_begun(&dir, last).map_err(|error| OpenError::io(&dir, error))?;
    Ok(if begun { have.last().copied().unwrap_or(0) } else { last })
}

fn missing(layout: &Layout, gaps: &[(u64, u64)]) -> String {
    let lines: Vec<_> = gaps.iter().map(|gap| line(*gap)).collect();
    let files: Vec<_> = gaps
        .iter()
        .flat_map(|(from, to)| BTreeSet::from([*from, *to]))
        .map(|number| journal::segment_path(&layout.journal(), number).display().to_string())
        .collect();
    let present = journal::list(&layout.journal()).unwrap_or_default();
    let last = present.last().map_or("the index".to_owned(), |number| {
        journal::segment_path(&layout.journal(), *number).display().to_string()
    });
    format!(
        "a part of the journal is missing or unreadable: {} ({}); {last} comes after it. Nothing was changed. Restore it \
         from a backup. To go on without the mails in it, write this into {}:\n{}",
        lines.join(", "),
        files.join(", "),
        layout.root.join(ACCEPTED).display(),
        lines.join("\n"),
    )
}

fn line((from, to): (u64, u64)) -> String {
    if from == to { format!("segment {from}") } else { format!("segments {from} to {to}") }
}

fn accepted(layout: &Layout) -> Result<Vec<(u64, u64)>, OpenError> {
    let path = layout.root.join(ACCEPTED);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OpenError::io(&path, error)),
    };
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|text| {
            parse(text).ok_or_else(|| {
                let wrong = format!("{text:?} is neither \"segment NUMBER\" nor \"segments FIRST to LAST\"");
                OpenError::io(&path, io::Error::new(io::ErrorKind::InvalidData, wrong))
            })
        })
        .collect()
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["segment", number] => number.parse().ok().map(|number| (number, number)),
        ["segments", from, "to", to] => Some((from.parse().ok()?, to.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        for gap in [(2, 2), (4, 76)] {
            assert_eq!(parse(&line(gap)), Some(gap));
        }
        for wrong in ["segment", "segment x", "segments 1", "record 3", "segments 1 2 3"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
