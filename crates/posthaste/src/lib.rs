//! Posthaste, the binary's parts: settings, wiring, lifecycle, commands.
//!
//! [`command`] is what the person at the terminal asks for; [`serve`] puts store, engine, app and API together and
//! takes them apart again in the right order; all else here serves these two. The rules of webhooks stand in the
//! crates below, none of them here.

pub mod client;
pub mod clock;
pub mod command;
pub mod config;
pub mod data_folder;
pub mod failure;
mod identity_provider;
pub mod lifecycle;
pub mod listener;
pub mod metrics;
pub mod serve;
pub mod telemetry;
pub mod token;
