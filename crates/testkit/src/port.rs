//! A port to hand to a server that wants to be told where to listen.

use std::net::TcpListener;

/// A port of 127.0.0.1 where nothing listened a moment ago. The system does not hand it out again soon.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
    listener.local_addr().expect("the listener's address").port()
}
