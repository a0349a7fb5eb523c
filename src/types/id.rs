//! Identifiers. Those that the outside sees are stable; those made here are time-ordered UUIDs (RFC 9562, version 7).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id from the given UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| IdError { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

uuid_id!(
    /// One mail as it was taken in; the id in the 250 reply and in every log line about it.
    MailId,
    "a mail id"
);
uuid_id!(
    /// One mail that waits for one project; what `held release ID` takes.
    HeldId,
    "a held mail's id"
);
uuid_id!(
    /// One verification of one address, with all the links that were mailed for it.
    VerificationId,
    "a verification id"
);
uuid_id!(
    /// One mail that the daemon sends, from the outbox until the relay has taken it.
    DeliveryId,
    "a delivery id"
);
uuid_id!(
    /// One SMTP session.
    SessionId,
    "a session id"
);

/// The short name of a service project, such as `IT`: 1 to 10 capital letters and digits, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectKey(Arc<str>);

impl ProjectKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letters = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if letters && (1..=10).contains(&text.len()) && text.as_bytes()[0].is_ascii_uppercase() {
            Ok(Self(text.into()))
        } else {
            let expected = "a project key (1 to 10 capital letters and digits, a letter first)";
            Err(IdError { text: text.to_owned(), expected })
        }
    }
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request's id: the project's key and a number counted from 1 in each project, `IT-12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The project that the request belongs to.
    pub project: ProjectKey,
    /// Counted from 1 in each project, none twice.
    pub number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.project, self.number)
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (project, digits) = text.rsplit_once('-')?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
            let number = digits.parse().ok().filter(|_| plain)?;
            Some(Self { project: project.parse().ok()?, number })
        };
        parse().ok_or(IdError { text: text.to_owned(), expected: "a request id such as IT-12" })
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(ProjectKey, RequestId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_read_back_and_refuse_near_misses() {
        let id: RequestId = "IT-12".parse().unwrap();
        assert_eq!(id.to_string(), "IT-12");
        for wrong in ["", "IT", "IT-", "IT-0", "IT-01", "it-1", "IT--1", "IT-1x", "-1", "IT-+1"] {
            assert!(wrong.parse::<RequestId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn project_keys_are_short_capitals() {
        assert!("HR2".parse::<ProjectKey>().is_ok());
        for wrong in ["", "2HR", "hr", "H R", "ABCDEFGHIJK", "É"] {
            assert!(wrong.parse::<ProjectKey>().is_err(), "{wrong}");
        }
    }
}
