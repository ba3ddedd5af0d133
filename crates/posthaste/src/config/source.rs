//! Where settings come from: a TOML file, then the environment. Both become (name, text) pairs; a list in the file
//! becomes its items separated by commas, which is how the environment writes it.

use super::nearest::nearest;
use super::problem::Problem;
use super::report::Origin;
use super::table::{PREFIX, SETTINGS};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::Value;

/// The file that is read when no other is named.
const FILE_DEFAULT: &str = "posthaste.toml";
/// The variable that names the file; the one name that is not a setting.
const FILE_VARIABLE: &str = "POSTHASTE_CONFIG";

/// A setting as it was given.
pub(super) struct Given {
    /// The setting's name in the table.
    pub setting: &'static str,
    /// Its text.
    pub text: String,
    /// Where it stood.
    pub origin: Origin,
}

/// Reads both sources; what the environment gives comes last, so that the last of a name wins.
pub(super) fn read(
    file: Option<PathBuf>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<Given> {
    let mut named = file;
    let mut from_environment = Vec::new();
    let mut variables: Vec<_> = variables.collect();
    variables.sort();
    for (name, text) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if name == FILE_VARIABLE {
            named = named.or_else(|| Some(text.into()));
            continue;
        }
        match (known(&name[PREFIX.len()..], str::to_owned), text.into_string()) {
            (None, _) => problems.push(unknown_variable(name)),
            (Some(_), Err(_)) => problems.push(Problem::text(format!("{name} is not UTF-8 text"))),
            (Some(setting), Ok(text)) => {
                from_environment.push(Given { setting, text, origin: Origin::Environment });
            }
        }
    }
    let mut given = read_file(named, problems);
    given.append(&mut from_environment);
    given
}

fn read_file(named: Option<PathBuf>, problems: &mut Vec<Problem>) -> Vec<Given> {
    let must_exist = named.is_some();
    let path = named.unwrap_or_else(|| FILE_DEFAULT.into());
    if !must_exist && !path.exists() {
        return Vec::new();
    }
    let shown = path.display();
    let table = match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) => Err(format!("{error}")),
    };
    match table {
        Ok(table) => {
            table.into_iter().filter_map(|(key, value)| entry(&path, &key, &value, problems)).collect()
        }
        Err(reason) => {
            problems.push(Problem::text(format!("the settings file {shown} cannot be read: {reason}")));
            Vec::new()
        }
    }
}

/// The parser's own text would quote the line, and the line may hold a secret: only its number is told.
fn parse(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })
}

fn entry(path: &Path, key: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Given> {
    let file = path.display();
    let Some(setting) = known(key, str::to_ascii_lowercase) else {
        let near = nearest(key, SETTINGS.iter().map(super::table::Setting::key));
        problems.push(Problem::text(format!("{key} in {file} is not a setting{}", hint(near))));
        return None;
    };
    let Some(text) = text_of(value) else {
        problems
            .push(Problem::text(format!("{key} in {file} must be a text, a number, true, false or a list")));
        return None;
    };
    Some(Given { setting, text, origin: Origin::File(path.to_owned()) })
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) if items.iter().all(|item| !item.is_array()) => {
            Some(items.iter().map(text_of).collect::<Option<Vec<_>>>()?.join(","))
        }
        Value::Array(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn known(given: &str, written: fn(&str) -> String) -> Option<&'static str> {
    SETTINGS.iter().map(|setting| setting.name).find(|name| written(name) == given)
}

fn unknown_variable(name: &str) -> Problem {
    let near = nearest(name, SETTINGS.iter().map(super::table::Setting::variable));
    Problem::text(format!("{name} in the environment is not a setting{}", hint(near)))
}

fn hint(near: Option<String>) -> String {
    near.map_or_else(
        || "; `posthaste config` lists them all".to_owned(),
        |name| format!("; did you mean {name}?"),
    )
}
