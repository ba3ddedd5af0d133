//! The limits of one client, each with a name.

use std::time::Duration;

/// How much of our memory, sockets and time a receiver may take, beside the deadline that each request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one address may take to accept a TCP connection before the next one is tried.
    pub connect_timeout: Duration,
    /// How many addresses of one name are tried. All of them are checked.
    pub addresses_max: usize,
    /// How much of a response's body is read. What is longer is cut and the connection closed.
    pub response_bytes_max: usize,
    /// How long a response's status line and headers may be together. Never under 8 KiB, the least hyper can work with.
    pub header_bytes_max: usize,
    /// How many header lines a response may have.
    pub header_count_max: usize,
    /// How many idle connections are kept for one scheme, host and port.
    pub idle_per_host_max: usize,
    /// How many idle connections are kept in all: each is an open file.
    pub idle_total_max: usize,
    /// How long a connection may lie idle. Under a minute, since common load balancers close theirs after 60 s.
    pub idle_timeout: Duration,
    /// How long a connection is used at most, so that a busy one follows its name to a new address.
    pub connection_age_max: Duration,
}

impl Limits {
    /// How many bytes a receiver may send in answer to one request, interim responses and framing included.
    ///
    /// The dearest honest framing is a chunk for every byte, which is six bytes on the wire. More than that is
    /// somebody feeding us interim responses or chunk extensions.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        2 * self.header_bytes_max + 8 * self.response_bytes_max
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect_timeout: Duration::from_secs(5),
            addresses_max: 6,
            response_bytes_max: 65_536,
            header_bytes_max: 32_768,
            header_count_max: 100,
            idle_per_host_max: 128,
            idle_total_max: 2_048,
            idle_timeout: Duration::from_secs(50),
            connection_age_max: Duration::from_secs(300),
        }
    }
}
