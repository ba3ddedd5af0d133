//! `posthaste config`: every setting with its value, where that came from, its default and its meaning.

use super::table::{Fallback, Setting};
use std::fmt;
use std::path::PathBuf;

/// Columns of a terminal that the report is written for.
const COLUMNS: usize = 100;
/// How the lines under a setting's name are indented.
const INDENT: &str = "    ";

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was not set.
    Default,
    /// This file.
    File(PathBuf),
    /// The environment.
    Environment,
}

/// All settings as they are, to be printed.
#[derive(Debug)]
pub struct Report(pub(super) Vec<Row>);

/// One line of the report.
pub(super) struct Row {
    pub setting: &'static Setting,
    pub value: Option<String>,
    pub origin: Origin,
}

impl Report {
    /// Whether this setting was set, by the file or the environment; `name` without its prefix.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.iter().any(|row| row.setting.name == name && row.origin != Origin::Default)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.0 {
            writeln!(f, "{} = {}", row.setting.variable(), row.value_shown())?;
            writeln!(f, "{INDENT}{}; default: {}", row.origin, row.setting.fallback)?;
            for line in wrapped(row.setting.meaning, COLUMNS - INDENT.len()) {
                writeln!(f, "{INDENT}{line}")?;
            }
        }
        writeln!(
            f,
            "\nIn the file (posthaste.toml) a setting has its name in lower case, without POSTHASTE_."
        )
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.setting.name, self.value_shown())
    }
}

impl Row {
    fn value_shown(&self) -> String {
        match &self.value {
            None => "(none)".to_owned(),
            Some(_) if self.setting.secret => "(set)".to_owned(),
            Some(text) => format!("\"{}\"", shown(text)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("not set"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Environment => f.write_str("from the environment"),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text("") => f.write_str("(empty)"),
            Self::Text(text) | Self::From(_, text) | Self::Absent(text) => f.write_str(text),
        }
    }
}

/// A value as it may be shown: what follows an address's scheme is left out when it could hold a password, and line
/// breaks stay on the line.
pub(super) fn shown(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if rest.contains('@') || rest.contains("password") => format!("{scheme}://…"),
        _ => text.escape_debug().to_string(),
    }
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}
