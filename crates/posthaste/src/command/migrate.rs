//! `posthaste migrate`

use super::{Config, Failure};
use crate::config::StoreAddress;

/// Brings the schema up to date, so that an upgrade of many nodes can do it before the first of them starts.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    match &config.store {
        StoreAddress::Sqlite(_) => {
            println!("a SQLite store brings its schema up to date when it is opened: there is nothing to do");
        }
        StoreAddress::Postgres(url) => {
            let version = store::postgres::migrate(url.reveal())
                .map_err(|error| format!("the schema cannot be brought up to date: {error}"))?;
            println!("the schema is at version {version}");
        }
    }
    Ok(())
}
