//! How long what is kept stays.

use std::time::Duration;

use crate::types::Time;

/// `[retention]`: how long what is kept stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of dropped mails, since the drop.
    pub dropped_mail: Keep,
    /// Bytes of holds that ended in a drop, since that end.
    pub ended_holds: Keep,
    /// Bytes of requests and comments, since they came to be.
    pub requests: Keep,
    /// Records of drops and of ended holds, since the decision.
    pub decisions: Keep,
}

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Not at all for zero.
    For(Duration),
    /// For good.
    Forever,
}

impl Keep {
    /// Until when that is kept which began at `at`; `None` = for good.
    pub fn until(self, at: Time) -> Option<Time> {
        match self {
            Self::For(length) => Some(at.plus(length)),
            Self::Forever => None,
        }
    }

    /// Whether this is longer than the other.
    pub fn outlasts(self, other: Self) -> bool {
        match (self, other) {
            (Self::For(this), Self::For(other)) => this > other,
            (Self::Forever, Self::For(_)) => true,
            (_, Self::Forever) => false,
        }
    }

    /// Whether nothing is kept.
    pub fn is_never(self) -> bool {
        self == Self::For(Duration::ZERO)
    }
}
