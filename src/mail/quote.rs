//! Which part of a reply is new.

use std::ops::Range;

/// The bytes of `body` that are new: up to quoted lines that nothing follows.
pub(super) fn new_part(body: &str) -> Range<usize> {
    let mut end = 0;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        at += line.len();
        if !line.trim().is_empty() && !line.trim_start().starts_with('>') {
            end = at;
        }
    }
    0..end
}
