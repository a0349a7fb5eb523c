//! Who makes a change by the API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name in characters.
const MAX_NAME: usize = 64;

/// Who made a change: the name of the API's token that the call came with. 1 to 64 characters, none of them a control
/// character, no blanks at its ends. What changes by mail, by a link or by time has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(String);

impl Actor {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// Nothing but blanks.
    #[error("an empty name")]
    Empty,
    /// More than 64 characters.
    #[error("a name of more than {MAX_NAME} characters")]
    TooLong,
    /// A line break or the like, which would hide in a log.
    #[error("a name with a line break or another control character")]
    Control,
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(ActorError::Empty);
        }
        if name.chars().any(char::is_control) {
            return Err(ActorError::Control);
        }
        if name.chars().count() > MAX_NAME {
            return Err(ActorError::TooLong);
        }
        Ok(Self(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_short_line() {
        let long = "ä".repeat(MAX_NAME);
        for (text, name) in [
            ("anna", Ok("anna")),
            (" Anna of the desk ", Ok("Anna of the desk")),
            (long.as_str(), Ok(long.as_str())),
            ("", Err(ActorError::Empty)),
            (" \t", Err(ActorError::Empty)),
            ("an\nna", Err(ActorError::Control)),
            ("\u{1b}[2Janna", Err(ActorError::Control)),
            (&format!("{long}x"), Err(ActorError::TooLong)),
        ] {
            let read = text.parse::<Actor>();
            assert_eq!(read.as_ref().map(Actor::as_str).map_err(|error| *error), name, "{text:?}");
        }
    }
}
