//! The command line: one file a verb. A verb reads the settings, does its work, and fails with a sentence.

mod config;
mod copy;
mod dev;
mod doctor;
mod key;
mod live;
mod migrate;
mod secrets;
mod serve;
mod token;
mod user;

use crate::clock::SystemClock;
use crate::config::{Config, Report};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::lifecycle::make_files_private;
use crate::token::{Keys, environment_grant};
use clap::{Parser, Subcommand};
use domain::clock::Clock;
use std::path::PathBuf;
use std::process::ExitCode;

/// How long a token of our own commands holds.
const OWN_TOKEN_SECONDS: i64 = 600;

/// Sends webhooks: your back end posts an event, Posthaste delivers it, signed and retried, to every endpoint that
/// wants it, and keeps the record.
///
/// Try it with `posthaste dev`. For real use, `posthaste serve`.
#[derive(Debug, Parser)]
#[command(name = "posthaste", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
    /// The settings file (TOML). Without it ./posthaste.toml is read when it is there; variables of the environment
    /// (POSTHASTE_…) win over the file. `posthaste config` shows every setting.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server: the API, the delivery engine and the store in one process.
    Serve,
    /// Try it out: a server, a demo application, a receiver, and one event sent and shown step by step.
    ///
    /// Listens on 127.0.0.1:8071 and keeps its data in ./posthaste-data unless the settings say otherwise. Delivery to
    /// this machine itself is opened, so do not offer it to others: that is what `serve` is for.
    Dev,
    /// Print every setting: its value, where that came from, its default and its meaning.
    Config,
    /// Bring the store's schema up to date, as `serve` does when it starts.
    Migrate,
    /// Copy everything from a SQLite store to an empty PostgreSQL database. The server must be stopped.
    ///
    /// When it is cut short, the same command goes on where it ended. Rows are counted on both sides at the end.
    Copy(copy::Arguments),
    /// Find out what is wrong with an endpoint, and what to do.
    #[command(subcommand)]
    Doctor(doctor::Verb),
    /// Look after the key that seals secrets at rest.
    #[command(subcommand)]
    Secrets(secrets::Verb),
    /// Run customers' scripts for a server, which starts this by itself.
    #[command(name = shape::WORKER, hide = true)]
    ScriptWorker,
    /// Make API tokens (JWT).
    #[command(subcommand)]
    Token(token::Verb),
    /// Manage API keys: opaque credentials with a role, which can be revoked.
    #[command(subcommand)]
    Key(key::Verb),
    /// Manage the people who sign in to the console.
    #[command(subcommand)]
    User(user::Verb),
}

/// Does what the arguments of this process ask for.
#[must_use]
pub fn run() -> ExitCode {
    let line = CommandLine::parse();
    match dispatch(line) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("posthaste: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(line: CommandLine) -> Result<ExitCode, Failure> {
    make_files_private();
    if let Verb::ScriptWorker = line.verb {
        let served = shape::serve_worker(std::io::stdin().lock(), std::io::stdout().lock());
        served.map_err(|error| Failure::Refused(error.to_string()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (config, report) = Config::load(line.config)?;
    let done = match line.verb {
        // It reads no settings, so it never comes here.
        Verb::ScriptWorker => Ok(()),
        // What was found is in its code.
        Verb::Doctor(verb) => return runtime()?.block_on(doctor::run(config, verb)),
        Verb::Serve => runtime()?.block_on(serve::run(config)),
        Verb::Dev => runtime()?.block_on(dev::run(config, &report)),
        Verb::Config => config::run(&report),
        Verb::Migrate => migrate::run(&config),
        Verb::Copy(arguments) => runtime()?.block_on(copy::run(config, arguments)),
        Verb::Secrets(verb) => runtime()?.block_on(secrets::run(config, verb)),
        Verb::Token(verb) => token::run(&config, verb),
        Verb::Key(verb) => runtime()?.block_on(key::run(config, verb)),
        Verb::User(verb) => runtime()?.block_on(user::run(config, verb)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // The store's writer has a thread of its own. Measured on two cores: one thread fewer here costs a tenth less CPU a
    // delivery than one for each core, because work is not handed back and forth.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores - 1).max(1))
        .enable_all()
        .thread_name("posthaste")
        .build()
        .map_err(|error| Failure::Refused(format!("the threads cannot be started: {error}")))
}

/// Opens the data folder and reads, or makes, the keys in it.
fn open_keys(config: &Config) -> Result<(DataFolder, Keys), Failure> {
    let folder = DataFolder::open(&config.data_dir)?;
    let keys = Keys::read(config, &folder)?;
    Ok((folder, keys))
}

/// Refuses a command that needs a token of its own where this instance cannot make any.
fn needs_own_token(config: &Config, instead: &str) -> Result<(), Failure> {
    if config.jwt_algorithm.is_symmetric() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "this command speaks with the server by a token that it makes itself, and POSTHASTE_JWT_ALGORITHM is {}: \
         POSTHASTE_JWT_PUBLIC_KEY only verifies tokens. {instead}",
        config.jwt_algorithm.word()
    )))
}

/// A short-lived token with which a command of ours speaks with our own server.
fn own_token(config: &Config, keys: &Keys, environment: &str) -> Result<String, Failure> {
    Ok(keys.mint(config, environment_grant(environment, OWN_TOKEN_SECONDS), SystemClock.now())?)
}
