//! `posthaste serve`

use super::{Config, Failure, open_keys};
use crate::clock::Present;
use crate::lifecycle::{Signals, end_at_once, raise_file_limit};
use crate::serve::Server;
use crate::telemetry;

/// Runs the server until it is told to stop.
pub(super) async fn run(config: Config) -> Result<(), Failure> {
    telemetry::start(&config.log, config.log_format);
    raise_file_limit();
    let mut signals = Signals::listen().map_err(|error| Failure::Refused(error.to_string()))?;
    let (folder, keys) = open_keys(&config)?;
    let server = Server::start(&config, &keys, folder, Present::OfStore).await?;
    tracing::info!(
        address = %server.address(),
        data = %config.data_dir.display(),
        version = env!("CARGO_PKG_VERSION"),
        "posthaste serves"
    );
    match server.app().setup_link().await {
        Ok(Some(link)) => println!(
            "Nobody can sign in to the console yet. Make the first account here:\n\n   {}/setup/{link}\n",
            config.public_url
        ),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "it is not known whether the console has a user"),
    }
    let failed = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping: finishing what is in flight");
            None
        }
        reason = server.failed() => Some(reason),
    };
    tokio::select! {
        () = server.stop() => {}
        signal = signals.next() => {
            tracing::warn!(signal, "told twice: ending at once");
            end_at_once()
        }
    }
    match failed {
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(reason) => {
            Err(Failure::Refused(format!("the store has failed, so the server stopped: {reason}")))
        }
    }
}
