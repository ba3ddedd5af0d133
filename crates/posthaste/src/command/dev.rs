//! `posthaste dev`: a server to try out, with a receiver of its own and one event shown step by step.
//!
//! Everything that it shows goes through the public API over real HTTP, as a back end's requests would. A second run
//! with the same data folder goes on with its data: the demo's endpoint is pointed at the new receiver.

mod demo;
mod receiver;
mod story;

use super::{Config, DataFolder, Failure, Report, needs_own_token, open_keys, own_token};
use crate::client::ApiClient;
use crate::clock::{Present, SystemClock};
use crate::lifecycle::{Signals, end_at_once, raise_file_limit};
use crate::serve::Server;
use crate::telemetry;
use crate::token::{ENVIRONMENT_DEFAULT, Keys, environment_grant};
use app::AppError;
use app::user::Newcomer;
use demo::Demo;
use domain::clock::Clock;
use domain::role::Role;
use ipnet::IpNet;
use receiver::DevReceiver;
use story::Story;

/// The user of the console.
const YOU: &str = "you@localhost";
/// How long the token and the link hold that are printed.
const TOKEN_SECONDS: i64 = 30 * 86_400;

/// Runs the demo, then serves until it is told to stop.
pub(super) async fn run(mut config: Config, report: &Report) -> Result<(), Failure> {
    needs_own_token(
        &config,
        "To try it out, leave the algorithm and the public key out; or use `posthaste serve`",
    )?;
    open_this_machine(&mut config);
    // The story is what the person wants to read; the log joins it only for what goes wrong, or when asked for.
    let filter = if report.is_set("LOG") { config.log.as_str() } else { "warn" };
    telemetry::start(filter, config.log_format);
    raise_file_limit();
    let mut signals = Signals::listen().map_err(|error| Failure::Refused(error.to_string()))?;
    let (folder, keys) = open_keys(&config)?;
    let server = Server::start(&config, &keys, folder.clone(), Present::OfStore).await?;
    let shown = tokio::select! {
        shown = show(&config, &keys, &folder, &server) => shown.map(|()| None),
        _ = signals.next() => Ok(None),
        reason = server.failed() => Ok(Some(reason)),
    };
    println!("\nStopping.");
    tokio::select! {
        () = server.stop() => {}
        _ = signals.next() => end_at_once(),
    }
    shown?.map_or(Ok(()), |reason| Err(Failure::Refused(format!("the store has failed: {reason}"))))
}

/// The story, then each request that the receiver gets; never ends by itself.
async fn show(config: &Config, keys: &Keys, folder: &DataFolder, server: &Server) -> Result<(), Failure> {
    let receiver = DevReceiver::start(server, folder).await?;
    let api = ApiClient::new(server.address(), own_token(config, keys, ENVIRONMENT_DEFAULT)?);
    let mut demo = Demo { api: &api, receiver, clock: &SystemClock };
    let story = Story::new();
    story.opening(&config.data_dir);
    let setup = demo.set_up().await?;
    story.set_up(&setup);
    let sent = demo.send().await?;
    story.sent(api.base(), &sent);
    match demo.arrival(&setup, &sent).await? {
        Some(arrived) => {
            story.arrived(&arrived);
            story.recorded(demo.record(&setup, &sent).await?.as_ref());
        }
        None => story.lost(&sent),
    }
    let grant = environment_grant(ENVIRONMENT_DEFAULT, TOKEN_SECONDS);
    let token = keys.mint(config, grant, SystemClock.now())?;
    let console = console_link(server).await?;
    story.console(&format!("{}/sign-in/{console}", api.base()));
    story.your_turn(api.base(), &token, &setup);
    loop {
        story.later(&demo.receiver.next().await?);
    }
}

/// What signs the newcomer in to the console, as somebody who may do everything.
async fn console_link(server: &Server) -> Result<String, Failure> {
    let you = Newcomer { email: YOU.to_owned(), name: "You".to_owned(), password: None };
    match server.app().user_create(you, Role::Administrator).await {
        Ok(_) | Err(AppError::Conflict { .. }) => {}
        Err(error) => return Err(Failure::Refused(format!("the console has no user: {error}"))),
    }
    let link = server.app().sign_in_link(YOU, TOKEN_SECONDS * 1_000).await;
    link.map_err(|error| Failure::Refused(format!("there is no link to the console: {error}")))
}

/// The receiver listens on this machine, so delivery to it is opened; nothing else is.
fn open_this_machine(config: &mut Config) {
    let loopback = ["127.0.0.0/8", "::1/128"].into_iter().filter_map(|net| net.parse::<IpNet>().ok());
    config.egress_allow.extend(loopback);
}
