//! What the store's care is asked for, and what it has come to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much trouble a compaction takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Segments are written anew where that gives back a fifth of them or more; gently, beside the daemon's work. While the
    /// journal may have something of somebody who was forgotten, wherever it gives back anything.
    Gentle,
    /// All that is past its time goes now.
    Full,
}

/// What a compaction has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compacted {
    /// Decisions whose records were retired.
    pub decisions: u64,
    /// Segments that were written anew.
    pub segments: u64,
    /// Files of big mails that were removed.
    pub files: u64,
    /// Bytes that were given back.
    pub freed: u64,
    /// Records that had something of a person who was forgotten.
    #[serde(default)]
    pub forgotten: u64,
    /// How often somebody was forgotten of whom the journal may still have something.
    #[serde(default)]
    pub pending: u64,
}

impl Compacted {
    /// Decisions, segments, files, bytes: for the log.
    pub fn parts(&self) -> [u64; 4] {
        [self.decisions, self.segments, self.files, self.freed]
    }

    /// Whether anything was done.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Files of a store as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The directory that they lie in.
    pub path: PathBuf,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}
