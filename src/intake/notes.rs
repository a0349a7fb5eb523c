//! What a trail says ahead of its checks.

use super::incoming::Incoming;
use crate::access::Check;

/// What the standing rests on, and what was noticed about the From field but decides nothing, ahead of the checks; for the first project only, as it is
/// the same for all.
pub(super) fn of(incoming: &Incoming<'_>, place: usize) -> Vec<Check> {
    if place > 0 {
        return Vec::new();
    }
    let message = incoming.message;
    let found = incoming.findings.iter().map(|finding| Check {
        check: "authentication".into(),
        input: finding.clone().into(),
        result: "noted".into(),
    });
    let mut notes: Vec<Check> = found.collect();
    if let Some(differential) = &message.differential {
        notes.push(Check {
            check: "from-differential".into(),
            input: differential.clone().into(),
            result: "noted".into(),
        });
    }
    if let Some(rewritten) = &message.rewritten {
        notes.push(Check {
            check: "from-rewritten".into(),
            input: rewritten.clone().into(),
            result: "noted".into(),
        });
    }
    if message.name_mismatch {
        notes.push(Check {
            check: "name-mismatch".into(),
            input: "the display name holds another address".into(),
            result: "noted".into(),
        });
    }
    notes
}
