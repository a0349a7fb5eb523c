//! How a command ends when it is not done.

use std::{fmt, io, process::ExitCode};

/// Why a command was not done; decides the exit code (contract: 0 done, 1 failed, 2 wrong usage or configuration).
#[derive(Debug)]
pub enum Failure {
    /// It was tried and did not work: exit code 1. An empty text: everything was said already.
    Failed(String),
    /// What was asked for makes no sense, or the configuration is wrong: exit code 2.
    Invalid(String),
    /// Whoever reads our output has seen enough (`vestibule … | head`): no failure, nothing to say.
    OutputClosed,
}

/// What every command returns.
pub type CommandResult = Result<(), Failure>;

impl Failure {
    /// Exit code 1 with `text`.
    pub fn failed(text: impl fmt::Display) -> Self {
        Self::Failed(text.to_string())
    }

    /// Exit code 2 with `text`.
    pub fn invalid(text: impl fmt::Display) -> Self {
        Self::Invalid(text.to_string())
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Invalid(_) => ExitCode::from(2),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Invalid(text) => f.write_str(text),
            Self::OutputClosed => Ok(()),
        }
    }
}

/// Only output is written with `?`; other I/O names its file in a text of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(format!("can't write the output: {error}"))
        }
    }
}
