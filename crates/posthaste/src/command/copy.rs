//! `posthaste copy`

use super::{Config, Failure};
use crate::clock::SystemClock;
use crate::config::StoreAddress;
use crate::token::ENCRYPTION_KEY;
use clap::Args;
use domain::clock::Clock;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::path::Path;
use store::StoreError;
use store::copy::{Options, Progress, STEP_ROWS, copy};

/// What is copied where to.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file: sqlite:PATH. POSTHASTE_STORE when that is a file and this is not given, or posthaste.db in the data folder.
    #[arg(long, value_name = "sqlite:PATH", value_parser = StoreAddress::parse)]
    from: Option<StoreAddress>,
    /// An empty database: postgres://user:password@host/database. POSTHASTE_STORE when it is not given, so that the password
    /// need not stand on the command line.
    #[arg(long, value_name = "postgres://…", value_parser = StoreAddress::parse)]
    to: Option<StoreAddress>,
}

/// Copies everything, or goes on with a copy that was cut short.
pub(super) async fn run(config: Config, arguments: Arguments) -> Result<(), Failure> {
    let from = match arguments.from {
        // The store of these settings, where it is a file.
        None => config.store.file().map_or_else(|| config.data_dir.join("posthaste.db"), Path::to_owned),
        Some(StoreAddress::Sqlite(path)) => path,
        Some(StoreAddress::Postgres(_)) => {
            return refuse("--from must be sqlite:PATH: copies go from SQLite to PostgreSQL");
        }
    };
    let StoreAddress::Postgres(to) = arguments.to.unwrap_or_else(|| config.store.clone()) else {
        return refuse(
            "--to must be postgres://user:password@host/database: copies go from SQLite to PostgreSQL",
        );
    };
    if !from.exists() {
        return refuse(&format!("{} is not there: --from sqlite:PATH names the file", from.display()));
    }
    let options = Options {
        encryption_key: encryption_key(&config)?,
        old_encryption_keys: config
            .encryption_key_old
            .iter()
            .map(|key| key.reveal().as_bytes().to_vec())
            .collect(),
        now: SystemClock.now(),
        retention_days: config.retention_days,
        step_rows: STEP_ROWS,
    };
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} rows · {msg} · {eta} left")
            .expect("a template of ours"),
    );
    let mut begun = false;
    let mut show = |Progress { table, done, total }: Progress| {
        bar.set_length(total);
        if !std::mem::replace(&mut begun, true) {
            // What an earlier copy did tells nothing about the speed of this one.
            bar.set_position(done);
            bar.reset_eta();
        }
        bar.set_position(done);
        bar.set_message(table);
        ControlFlow::Continue(())
    };
    let copied = copy(&from, to.reveal(), &options, &mut show).await;
    bar.finish_and_clear();
    let counts = copied.map_err(|error| match error {
        StoreError::Unavailable(_) => {
            format!("{error}\nWhat was copied so far stays: the same command goes on from there.")
        }
        other => other.to_string(),
    })?;
    for (table, rows) in counts {
        println!("{rows:>12}  {table}");
    }
    println!(
        "Everything is copied and counted on both sides. Start nodes with POSTHASTE_STORE set to the database, and with\n\
         POSTHASTE_JWT_SECRET and POSTHASTE_ENCRYPTION_KEY as they were{}.\n\
         Do not start a server on {} again: it would deliver once more what is still pending.",
        if config.data_dir.join(ENCRYPTION_KEY).exists() {
            format!(" (the files jwt-secret and encryption-key in {})", config.data_dir.display())
        } else {
            String::new()
        },
        from.display(),
    );
    Ok(())
}

/// The key of the file. None is made: it would not be the one.
fn encryption_key(config: &Config) -> Result<Vec<u8>, Failure> {
    if let Some(key) = &config.encryption_key {
        return Ok(key.reveal().as_bytes().to_vec());
    }
    let kept = config.data_dir.join(ENCRYPTION_KEY);
    let text = std::fs::read_to_string(&kept).map_err(|error| {
        format!(
            "the key with which the file's secrets are sealed is needed: set POSTHASTE_ENCRYPTION_KEY, or POSTHASTE_DATA_DIR to \
             the folder that has it ({}: {error})",
            kept.display()
        )
    })?;
    Ok(text.trim().as_bytes().to_vec())
}

fn refuse<T>(why: &str) -> Result<T, Failure> {
    Err(Failure::Refused(why.into()))
}
