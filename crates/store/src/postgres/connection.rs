//! Connections: how each is made, and what the server's errors mean to a caller.

use super::tls::{Connector, split};
use crate::error::{Result, StoreError};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_util::task::TaskTracker;

/// How long one server of the address may take to answer at all; then the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What making a session takes beyond that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection over which nothing was heard for so long is asked whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Sent bytes that are not acknowledged for so long mean that the connection is cut.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// Settings of every session. Transactions are single statements or sent whole, so that an open one means a stuck client
/// (PROTOCOL rule 4); the server looks as often as we do whether the other side is still there. Compiling statements costs more than any of ours takes.
const SESSION: &str = "-c statement_timeout=15s -c idle_in_transaction_session_timeout=2s -c jit=off \
    -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=5s";
/// The writer's: the same few statements for ever, all of them look-ups by index.
const WRITER_SESSION: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_mergejoin=off -c enable_hashjoin=off";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Accept, record, claim, park.
    Writer,
    /// Anything else.
    Other,
}

/// Where the database is, and how it is reached.
#[derive(Clone, Debug)]
pub(super) struct Server {
    config: Config,
    pub(super) tls: Connector,
}

/// Reads the address of a database.
pub(super) fn parse(url: &str) -> Result<Server> {
    let (address, tls) = split(url);
    let (mode, tls) = tls.connector()?;
    // The address may hold a password: what is wrong is told, not what stands there.
    let mut config: Config =
        address.parse().map_err(|error| StoreError::Broken(format!("the address does not read: {error}")))?;
    config
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3)
        // Of several servers in the address the one that writes is ours: after a failover it is another one.
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX)
        .ssl_mode(mode);
    Ok(Server { config, tls })
}

impl Server {
    /// The same database with a session's settings.
    pub(super) fn for_session(&self, purpose: Purpose) -> Config {
        let mut own = self.config.clone();
        let given = self.config.get_options().unwrap_or_default();
        let writer = if purpose == Purpose::Writer { WRITER_SESSION } else { "" };
        own.options(format!("{SESSION} {writer} {given}")).application_name("posthaste");
        own
    }

    /// How long a connection may take to be made: servers are tried one after the other, and the first may be switched off.
    pub(super) fn connect_within(&self) -> Duration {
        let servers = self.config.get_hosts().len().max(self.config.get_hostaddrs().len()).max(1);
        CONNECT_TIMEOUT * u32::try_from(servers).unwrap_or(u32::MAX) + HANDSHAKE_TIMEOUT
    }
}

/// Connects. The connection's driver is one of `tasks`; it ends with the client. `notified` hears of notifications, and
/// of the connection's end.
pub(super) async fn connect(
    server: &Server,
    purpose: Purpose,
    tasks: &TaskTracker,
    notified: Option<Arc<Notify>>,
) -> Result<Client> {
    let config = server.for_session(purpose);
    let connecting = timeout(server.connect_within(), config.connect(server.tls.clone())).await;
    let connected = connecting.map_err(|_| StoreError::Unavailable("PostgreSQL does not answer".into()))?;
    let (client, mut connection) = connected.map_err(|error| refused(error, config.get_ssl_mode()))?;
    tasks.spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => notified.iter().for_each(|n| n.notify_one()),
                Some(Ok(_)) => {}
                // Whoever uses the client hears of it.
                Some(Err(_)) | None => break,
            }
        }
        notified.iter().for_each(|n| n.notify_one());
    });
    if purpose == Purpose::Writer {
        // A 202 means durable, whatever the server's default is; a stronger one is left as it is.
        client
            .execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
                &[],
            )
            .await?;
    }
    Ok(client)
}

/// Why no session was made. Where nobody asked for encryption, what it fails by need not be in the way.
fn refused(error: tokio_postgres::Error, mode: SslMode) -> StoreError {
    match StoreError::from(error) {
        StoreError::Unavailable(why) if mode == SslMode::Prefer && why.contains("TLS") => {
            StoreError::Unavailable(format!("{why}; `sslmode=disable` in the address does without TLS"))
        }
        other => other,
    }
}

/// Whether nobody can know what became of the statement that failed so: its answer may have been lost (rule 8).
pub(super) fn is_unknown(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none_or(|told| {
        // The server says FATAL when it ends the session; that can be right after a commit.
        !matches!(told.parsed_severity(), Some(Severity::Error))
    })
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            return Self::Unavailable(format!("PostgreSQL is away ({})", with_source(&error)));
        };
        let code = told.code();
        if *code == SqlState::DISK_FULL {
            Self::Unavailable("PostgreSQL's disk is full".into())
        } else if is_about_values(told) {
            let place = told.where_().map(|place| format!(" ({place})")).unwrap_or_default();
            Self::Broken(format!("{} {}{place}", code.code(), told.message()))
        } else {
            Self::Unavailable(format!("PostgreSQL says: {} ({})", told.message(), code.code()))
        }
    }
}

/// Whether the very values that were sent are what PostgreSQL does not take (classes 21 to 23 and 54 of appendix A of its
/// manual: cardinality, data, integrity, limits). All else is about the server as it is now, and may pass: a server that only reads after a
/// failover, a right or a table that somebody took away, a full disk. So is a check without a name: it is that of a partition which is
/// not there, ours to make, and made for the next session.
fn is_about_values(told: &DbError) -> bool {
    let lacks_partition = *told.code() == SqlState::CHECK_VIOLATION && told.constraint().is_none();
    !lacks_partition && ["21", "22", "23", "54"].iter().any(|class| told.code().code().starts_with(class))
}

/// Whether a session is worth keeping after this: what it prepared may be gone (a pooler gave us another one), or its server may only
/// read by now. Conflicts, shortages and what is wrong with values say nothing against it.
pub(super) fn spoils_session(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|told| {
        let code = told.code();
        // A statement that took too long (57014) is one's own affair, too.
        !is_about_values(told)
            && *code != SqlState::QUERY_CANCELED
            && !["40", "53", "55"].iter().any(|class| code.code().starts_with(class))
    })
}

fn with_source(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// A broken uniqueness means that another has this `what`.
pub(super) fn taken(what: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
    move |error| match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => StoreError::Taken(what),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_of_an_address_has_time_to_answer() {
        let one = parse("postgres://a/posthaste").unwrap().connect_within();
        let three = parse("postgres://a,b,c/posthaste").unwrap().connect_within();
        assert_eq!(one, CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT);
        assert_eq!(three, 3 * CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT);
    }
}
