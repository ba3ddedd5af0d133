//! What the tests of every crate share: the far ends of Posthaste's sockets.
//!
//! - [`Receiver`]: a customer's server, whose answers are scripted with [`Answer`], polite or hostile.
//! - [`Cluster`]: a throw-away PostgreSQL.
//! - [`MailServer`]: a real mail server.
//! - [`IdentityProvider`]: a provider of OpenID Connect, true to the standard until a test wants it otherwise.
//! - [`Process`]: a real binary, its output lines, its signals, its end.
//! - [`Chromium`]: a real browser, told what a person does; [`Element`], [`key`].
//! - [`HttpClient`]: a small JSON client with keep-alive.
//! - [`Proxy`]: a network that can be cut.
//! - [`cpu_time`], [`rss_peak`], [`reset_rss_peak`]: what a process used, from `/proc` (Linux).
//! - [`free_port`]: a port where nothing listens; [`gzip_bomb`]: a small body that unpacks to a large one.
//!
//! It depends on no crate of ours, so that what a test expects never comes from the code under test.
//! Helpers panic with a readable text where a test would only unwrap; whatever they start ends when they are dropped.

mod answer;
mod chromium;
mod client;
mod cluster;
mod connection;
mod gzip;
mod identity_provider;
mod mail_server;
mod port;
mod process;
mod proxy;
mod receiver;
mod script;
mod shared_stream;
mod usage;

pub use answer::{Answer, Then};
pub use chromium::{Chromium, Element, key};
pub use client::{ClientError, HttpClient, Reply};
pub use cluster::{Cluster, Durability};
pub use gzip::gzip_bomb;
pub use identity_provider::{Account, ClientKind, IdentityProvider, Odd, Signing};
pub use mail_server::{LogIn, MailServer};
pub use port::free_port;
pub use process::Process;
pub use proxy::Proxy;
pub use receiver::{Received, Receiver};
pub use usage::{cpu_time, cpu_time_of_tree, reset_rss_peak, rss_peak};
