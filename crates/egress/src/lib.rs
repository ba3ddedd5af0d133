//! The only way out of the process.
//!
//! Whatever Posthaste sends to somebody else's server (a customer's webhook, an identity provider, a schema) goes
//! through a [`Client`], and a [`Client`] cannot be had without a [`Policy`].
//!
//! | part | duty |
//! |---|---|
//! | `policy`, `range` | which addresses may be reached: public unicast, and what the operator opened |
//! | `resolve`, `connect`, `tls` | a name becomes a checked socket address, and that address becomes a connection |
//! | `connection`, `pool` | one HTTP/1.1 exchange; connections kept for the next one |
//! | `probe`, `client_credentials` | a look at a server, with what its connection says; a token of an authorization server |
//! | `uri` | URLs as customers write them |
//! | `client` | the deadline around it all, and the one retry of a connection that went stale |
//!
//! Promises: the address that was checked is the address connected to; no redirect is followed, no proxy is taken
//! from the environment, nothing is decompressed; no response, however long or slow, takes more memory or time than
//! [`Limits`] and the request's deadline give it. What the receiver did wrong comes back as a [`SendError`] with a
//! sentence that may be shown to the customer.
//!
//! There are no tasks here: a connection is driven by the call that uses it, and dropping that call closes it. (A
//! name's lookup borrows one of tokio's blocking threads.)

mod client;
mod client_credentials;
mod connect;
mod connection;
mod error;
mod limits;
mod policy;
mod pool;
mod probe;
mod range;
mod resolve;
mod stream;
mod tls;
mod uri;

pub use client::{Client, Destination, Outgoing, Request, Response};
pub use client_credentials::{ClientCredentials, Granted};
pub use error::SendError;
pub use limits::Limits;
pub use policy::{Blocked, Policy};
pub use probe::{Probed, Step, TlsDetails};
pub use resolve::{LOOKUPS_MAX, Resolve, SystemResolver};
pub use tls::{Doubt, Identity, TlsError, TlsOptions, certificate_validity};
pub use uri::uri_of;
