//! Conditions that are only sometimes there, and pages.

use domain::limit::PAGE_BYTES_MAX;
use domain::page::Page;
use std::fmt::Write;
use tokio_postgres::types::ToSql;

/// A WHERE clause that grows, with its parameters in the order of their marks.
#[derive(Default)]
pub(super) struct Conditions {
    text: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// Adds a condition with one `?`.
    pub(super) fn with(&mut self, sql: &str, value: impl ToSql + Sync + Send + 'static) -> &mut Self {
        self.values.push(Box::new(value));
        let mark = format!("${}", self.values.len());
        self.bare(&sql.replace('?', &mark))
    }

    /// Adds a condition without parameters.
    pub(super) fn bare(&mut self, sql: &str) -> &mut Self {
        let word = if self.text.is_empty() { "WHERE" } else { " AND" };
        let _ = write!(self.text, "{word} {sql}");
        self
    }

    /// Adds the bound of a page over the column `key`.
    pub(super) fn page<K: Clone + ToSql + Sync + Send + 'static>(
        &mut self,
        key: &str,
        page: &Page<K>,
    ) -> &mut Self {
        if let Some(bound) = page.bound() {
            let sign = if page.walks_up() { ">" } else { "<" };
            self.with(&format!("{key} {sign} ?"), bound.clone());
        }
        self
    }

    /// The clause, ordered by `key` as the page walks, one row more than the page has. How many is a parameter: every text
    /// is prepared once on each connection and stays there.
    pub(super) fn tail<K>(&mut self, key: &str, page: &Page<K>) -> String {
        let direction = if page.walks_up() { "ASC" } else { "DESC" };
        self.values.push(Box::new(i64::from(page.items) + 1));
        format!("{} ORDER BY {key} {direction} LIMIT ${}", self.text, self.values.len())
    }

    /// The clause as it stands.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// A page of `table` by `key` as a table expression, ordered as the page walks, which ends once its rows have
/// `page_bytes_max` of `bytes`; `found` in each row tells how many there would be without that.
pub(super) fn bounded<K>(
    (table, key, bytes): (&str, &str, &str),
    conditions: &mut Conditions,
    page: &Page<K>,
) -> String {
    let direction = if page.walks_up() { "ASC" } else { "DESC" };
    format!(
        "(SELECT * FROM (
             SELECT few.*, count(*) OVER () AS found,
                    coalesce(sum({bytes}) OVER (ORDER BY {key} {direction}
                                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes_before
             FROM (SELECT * FROM {table} {}) AS few) AS {table}
          WHERE bytes_before < {PAGE_BYTES_MAX} ORDER BY {key} {direction}) AS {table}",
        conditions.tail(key, page)
    )
}
