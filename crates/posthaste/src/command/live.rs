//! The live server beside a command.

use super::{Config, Failure};
use crate::client::ApiClient;
use crate::data_folder::DataFolder;
use store::sqlite::is_open;

/// Speaks with the server that has this store open; none when no process has, or any number may (on PostgreSQL, where this
/// process is one more node).
///
/// Whether a server lives is told by its lock: at an address that a killed one left, anybody may listen by now.
///
/// # Errors
/// A sentence, when a process has the store and does not answer.
pub(super) async fn live(
    config: &Config,
    folder: &DataFolder,
    token: &str,
) -> Result<Option<ApiClient>, Failure> {
    let Some(file) = config.store.file().filter(|file| is_open(file)) else { return Ok(None) };
    match folder.address().map(|address| ApiClient::new(address, token.to_owned())) {
        Some(live) if live.is_there().await => Ok(Some(live)),
        _ => Err(Failure::Refused(format!(
            "a posthaste process has {} open and does not answer: it is starting or stopping, or another command \
             is at work. Try again in a few seconds",
            file.display()
        ))),
    }
}
