//! Small pieces of SQL that several nouns share: lists in columns, and conditions that are only sometimes there.

use crate::error::{Result, StoreError};
use domain::id::EndpointKey;
use domain::page::Page;
use rusqlite::types::Value;
use std::fmt::Write;

/// A WHERE clause that grows, with its parameters in the order of their marks.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    text: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition with one `?`.
    pub(super) fn with(&mut self, sql: &str, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let mark = format!("?{}", self.values.len());
        self.bare(&sql.replace('?', &mark))
    }

    /// Adds a condition without parameters.
    pub(super) fn bare(&mut self, sql: &str) -> &mut Self {
        let word = if self.text.is_empty() { "WHERE" } else { " AND" };
        let _ = write!(self.text, "{word} {sql}");
        self
    }

    /// Adds the bound of a page over the column `key`.
    pub(super) fn page<K: Clone + Into<Value>>(&mut self, key: &str, page: &Page<K>) -> &mut Self {
        if let Some(bound) = page.bound() {
            let sign = if page.walks_up() { ">" } else { "<" };
            self.with(&format!("{key} {sign} ?"), bound.clone());
        }
        self
    }

    /// The clause, ordered by `key` as the page walks, one row more than the page has.
    pub(super) fn tail<K>(&self, key: &str, page: &Page<K>) -> String {
        let direction = if page.walks_up() { "ASC" } else { "DESC" };
        format!("{} ORDER BY {key} {direction} LIMIT {}", self.text, u32::from(page.items) + 1)
    }

    /// The clause as it stands.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The column text of a list of strings; none for an empty one.
pub(super) fn texts_column(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::to_string(texts).unwrap_or_default())
}

/// Reads a column of strings.
pub(super) fn texts(column: Option<&str>) -> Result<Vec<String>> {
    column.map_or(Ok(Vec::new()), json)
}

/// The column text of endpoint keys.
pub(super) fn keys_column(keys: impl Iterator<Item = EndpointKey>) -> String {
    let mut text = String::from("[");
    for (index, key) in keys.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{}", key.0);
    }
    text.push(']');
    text
}

/// Reads a column of endpoint keys.
pub(super) fn keys(column: &str) -> Result<Vec<EndpointKey>> {
    let keys: Vec<i64> = json(column)?;
    Ok(keys.into_iter().map(EndpointKey).collect())
}

/// Reads a JSON column.
pub(super) fn json<T: serde::de::DeserializeOwned>(column: &str) -> Result<T> {
    serde_json::from_str(column)
        .map_err(|e| StoreError::Broken(format!("a JSON column does not read back: {e}")))
}
