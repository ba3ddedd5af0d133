//! `posthaste secrets rotate`

use super::{Config, Failure, open_keys};
use crate::clock::Present;
use crate::data_folder::DataFolder;
use crate::serve::{close, open_store};
use crate::token::{ENCRYPTION_KEY, ENCRYPTION_KEY_OLD, Keys};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Replace the key that seals secrets at rest, and seal everything anew.
    ///
    /// Where the key is in the data folder, a new one is made; the server must be stopped. Where it is a setting, set
    /// POSTHASTE_ENCRYPTION_KEY to the new key and POSTHASTE_ENCRYPTION_KEY_OLD to the one before, first for the server, then
    /// for this command. With several nodes on PostgreSQL: (1) restart each with POSTHASTE_ENCRYPTION_KEY_OLD set to the new
    /// key, so that it can open what the others will seal; (2) restart each with the new key and the old one; (3) run this
    /// command, beside them; (4) restart each without POSTHASTE_ENCRYPTION_KEY_OLD. When it is cut short, run it again.
    Rotate,
}

pub(super) async fn run(config: Config, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Rotate => rotate(config).await,
    }
}

async fn rotate(config: Config) -> Result<(), Failure> {
    if config.encryption_key.is_some() {
        if config.encryption_key_old.is_none() {
            return Err(Failure::Refused(
                "POSTHASTE_ENCRYPTION_KEY is a setting here: set it to a new key (`openssl rand -hex 32`), and \
                 POSTHASTE_ENCRYPTION_KEY_OLD to the one that it was"
                    .into(),
            ));
        }
        let (_, keys) = open_keys(&config)?;
        let values = seal_anew(&config, &keys).await?;
        println!(
            "{values} values are sealed with the new key. POSTHASTE_ENCRYPTION_KEY_OLD is not needed any more."
        );
        return Ok(());
    }
    let folder = DataFolder::open(&config.data_dir)?;
    // The store first: while a server has it, nothing is replaced.
    let keys = Keys::read(&config, &folder)?;
    let (store, _) = open_store(&config, &keys, Present::OfStore)?;
    close(store).await;
    folder.replace(ENCRYPTION_KEY, ENCRYPTION_KEY_OLD)?;
    let keys = Keys::read(&config, &folder)?;
    let values = seal_anew(&config, &keys).await?;
    folder.forget(ENCRYPTION_KEY_OLD)?;
    let path = config.data_dir.join(ENCRYPTION_KEY);
    println!(
        "{values} values are sealed with the new key in {}. Keep a copy of it, not beside the store's.",
        path.display()
    );
    Ok(())
}

async fn seal_anew(config: &Config, keys: &Keys) -> Result<u64, Failure> {
    let (store, _) = open_store(config, keys, Present::OfStore)?;
    let sealed = store.reseal().await;
    close(store).await;
    Ok(sealed
        .map_err(|error| format!("not everything is sealed with the new key yet, run this again: {error}"))?)
}
