//! The client against real sockets: receivers that behave, and every way we know in which they do not.

mod blocked;
mod client;
mod exchange;
mod keep_alive;
mod nasty;
mod peer;
mod probe;
mod tls;
