//! Why a command ends without having done its work: a sentence for the person at the terminal, and an exit code.

use crate::config::Problems;
use std::process::ExitCode;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings are wrong; exit code 2, as for wrong arguments.
    #[error("{0}")]
    Settings(#[from] Problems),
    /// The doctor could not look, told in a sentence; exit code 3, for 1 is that of a problem that was found.
    #[error("{0}")]
    NotLooked(String),
    /// Anything else, told in a sentence that says what to do; exit code 1.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// The code that the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::NotLooked(_) => ExitCode::from(3),
            Self::Refused(_) => ExitCode::FAILURE,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Refused(text)
    }
}
