//! What is wrong with the settings, as sentences for the person who starts the server.

use super::report::{Origin, shown};
use super::source::Given;
use super::table::Setting;
use std::fmt;

/// Everything that is wrong, at once.
#[derive(Debug)]
pub struct Problems(pub(super) Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Problem(String);

impl Problem {
    pub(super) fn text(text: String) -> Self {
        Self(text)
    }

    /// A value that is not allowed. A secret is named and never shown.
    pub(super) fn wrong(setting: &Setting, given: Option<&Given>, allowed: String) -> Self {
        let name = match given.map(|given| &given.origin) {
            Some(Origin::File(path)) => format!("{} in {}", setting.key(), path.display()),
            Some(Origin::Environment | Origin::Default) | None => setting.variable(),
        };
        match given {
            Some(given) if !setting.secret => {
                Self(format!("{name} is \"{}\": {allowed}", shown(&given.text)))
            }
            _ => Self(format!("{name} {allowed}")),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "a setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {}", problem.0))
    }
}

impl std::error::Error for Problems {}
