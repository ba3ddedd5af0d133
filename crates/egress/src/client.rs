//! The client: a request in, a response or a reason out, before the deadline.
//!
//! One deadline lies around everything from the name's lookup to the body's last byte. A kept connection that turns
//! out to be dead is replaced once, at once, by a fresh one: receivers close idle connections when they like, and that
//! must not count as a failed attempt. The caller is asked before every try whether the request is still its to make.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, uri::PathAndQuery};
use tokio::time::{Instant, timeout_at};

use crate::{
    Limits, Policy, Probed, Resolve, SendError, Step, TlsDetails, TlsError, TlsOptions,
    connect::{Connector, Target},
    connection::{Connection, ExchangeError},
    error::Progress,
    pool::Pool,
    probe::{Steps, expires_at},
    stream::Transport,
    tls,
};

/// Sends requests under one [`Policy`]. Clones share the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    pool: Pool,
    /// When the certificates expire that servers showed last, by authority.
    certificates: Mutex<HashMap<String, i64>>,
}

/// Servers whose certificates are kept in mind.
const CERTIFICATES_MAX: usize = 10_000;

/// A request to somebody else's server.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to: absolute, `http` or `https`, without credentials.
    pub uri: Uri,
    /// The headers. `Host` and what frames the message (`Content-Length`, `Transfer-Encoding`, `Connection`,
    /// `Upgrade`, `Expect`) are replaced by our own.
    pub headers: HeaderMap,
    /// The body, sent as it is.
    pub body: Bytes,
    /// When to give up, from the lookup of the name to the last byte of the response.
    pub deadline: Instant,
}

/// Where requests go: a URL taken apart once, for many of them.
#[derive(Clone, Debug)]
pub struct Destination {
    pub(crate) target: Target,
    /// The path and query alone, as a server is asked (RFC 9112, section 3.2.1).
    origin_form: Uri,
}

/// A request but for where it goes and when to give up.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The headers, as in [`Request`].
    pub headers: HeaderMap,
    /// The body, sent as it is.
    pub body: Bytes,
}

/// What the server answered, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, 200–999 (interim responses are passed over).
    pub status: u16,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body as it came (never decompressed), at most [`Limits::response_bytes_max`] bytes.
    pub body: Bytes,
    /// Whether there was more body than that.
    pub truncated: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client(…)")
    }
}

impl Client {
    /// A client with its own connections, which believes Mozilla's certificate authorities.
    pub fn new(policy: Policy, limits: Limits, resolver: Arc<dyn Resolve>) -> Client {
        let tls = tls::config(TlsOptions::default()).expect("nothing was added that could be wrong");
        Client::from_connector(Connector { policy, limits, resolver, tls })
    }

    /// The same policy, limits and resolver with other TLS settings, and with connections of its own: one that was
    /// made under another identity is never used again for this one.
    ///
    /// # Errors
    /// [`TlsError`] where a certificate or the key cannot be used.
    pub fn with_tls(&self, options: TlsOptions) -> Result<Client, TlsError> {
        let Connector { policy, limits, resolver, .. } = &self.0.connector;
        let tls = tls::config(options)?;
        let (policy, resolver) = (policy.clone(), Arc::clone(resolver));
        Ok(Client::from_connector(Connector { policy, limits: *limits, resolver, tls }))
    }

    fn from_connector(connector: Connector) -> Client {
        let pool = Pool::new(connector.limits, Instant::now());
        Client(Arc::new(Inner { connector, pool, certificates: Mutex::default() }))
    }

    /// What may be reached.
    pub fn policy(&self) -> &Policy {
        &self.0.connector.policy
    }

    /// When the certificates expire that servers showed last, as (authority, seconds since 1970); of the last ten thousand
    /// servers or so.
    pub fn certificates(&self) -> Vec<(String, i64)> {
        let certificates = self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.iter().map(|(authority, ends)| (authority.clone(), *ends)).collect()
    }

    /// Closes connections that have been idle too long. Sending does this by the way; a process that has stopped
    /// sending should call it now and then.
    pub fn close_idle(&self) {
        self.0.pool.sweep(Instant::now());
    }

    /// Sends one request. `still_allowed` is asked right before anything is written, so also before the retry of a
    /// connection that went stale.
    ///
    /// Dropping the future closes the connection: the receiver may have got the request or not.
    ///
    /// # Errors
    /// [`SendError`]: every status is a response, so this means there was none.
    pub async fn send(
        &self,
        request: Request,
        still_allowed: &(dyn Fn() -> bool + Sync),
    ) -> Result<Response, SendError> {
        let Request { method, uri, headers, body, deadline } = request;
        let outgoing = Outgoing { method, headers, body };
        let make = || still_allowed().then(|| outgoing.clone());
        self.send_to(&Destination::of(&uri)?, deadline, &make).await
    }

    /// Sends one request over a connection of its own, and tells what each step of it found.
    pub async fn probe(&self, request: Request) -> Probed {
        let Request { method, uri, headers, body, deadline } = request;
        let (started, steps, mut tls) = (Instant::now(), Steps::default(), None);
        let look = async {
            let destination = Destination::of(&uri).inspect_err(|_| steps.begin(Step::Policy))?;
            let (connector, target) = (&self.0.connector, &destination.target);
            let transport = connector.connect(target, &steps).await?;
            if let Transport::Tls(stream) = &transport {
                tls = TlsDetails::of(stream);
            }
            steps.begin(Step::Http);
            let mut connection = Connection::new(transport, target, &connector.limits).await?;
            let outgoing = Outgoing { method, headers, body };
            let (form, progress) = (destination.origin_form, &steps.progress);
            let sent = connection.exchange(form, outgoing, &connector.limits, progress).await;
            sent.map_err(|failure| match failure {
                ExchangeError::Silent(failure) | ExchangeError::Broken(failure) => failure,
            })
        };
        let looked = timeout_at(deadline, look).await;
        let outcome = looked.unwrap_or_else(|_| Err(steps.progress.timed_out(started.elapsed())));
        steps.end(outcome, tls)
    }

    /// The same for a destination that is asked often. `make` is asked for the request right before anything is written,
    /// and answers none when it may not be sent any more; it should be quick, for it runs on the hot path.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_to(
        &self,
        destination: &Destination,
        deadline: Instant,
        make: &(dyn Fn() -> Option<Outgoing> + Sync),
    ) -> Result<Response, SendError> {
        let started = Instant::now();
        let progress = Progress::default();
        let call = Call { inner: &self.0, destination, progress: &progress, make };
        let sent = timeout_at(deadline, call.send(started)).await;
        sent.unwrap_or_else(|_| Err(progress.timed_out(started.elapsed())))
    }
}

impl Destination {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// `Blocked`: not `http` or `https`, without a host, or with credentials in it.
    pub fn of(uri: &Uri) -> Result<Destination, SendError> {
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Destination { target: Target::of(uri)?, origin_form: Uri::from(path) })
    }
}

impl Inner {
    /// Keeps in mind when a server's certificate expires.
    fn note(&self, authority: &str, ends: i64) {
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        match certificates.get_mut(authority) {
            Some(known) => *known = ends,
            None => {
                if certificates.len() >= CERTIFICATES_MAX {
                    certificates.clear();
                }
                certificates.insert(authority.to_owned(), ends);
            }
        }
    }
}

/// One request under way.
struct Call<'a> {
    inner: &'a Inner,
    destination: &'a Destination,
    progress: &'a Progress,
    make: &'a (dyn Fn() -> Option<Outgoing> + Sync),
}

impl Call<'_> {
    async fn send(&self, now: Instant) -> Result<Response, SendError> {
        let outgoing = self.outgoing()?;
        if let Some(kept) = self.kept(now).await {
            match self.exchange(kept, outgoing).await {
                Err(ExchangeError::Silent(_)) => drop(self.outgoing()?),
                Err(ExchangeError::Broken(failure)) => return Err(failure),
                Ok(response) => return Ok(response),
            }
        }
        // Boxed: connecting is rare, and every request under way would carry its state along.
        let fresh = Box::pin(self.connect()).await?;
        // Connecting may have taken seconds, in which the request can have become another's.
        let outgoing = self.outgoing()?;
        self.exchange(fresh, outgoing).await.map_err(|failure| match failure {
            ExchangeError::Silent(failure) | ExchangeError::Broken(failure) => failure,
        })
    }

    async fn connect(&self) -> Result<Box<Connection>, SendError> {
        let (connector, target) = (&self.inner.connector, &self.destination.target);
        let transport = connector.connect(target, self.progress).await?;
        if let Transport::Tls(stream) = &transport
            && let Some(ends) = expires_at(stream)
        {
            self.inner.note(target.authority.as_str(), ends);
        }
        Ok(Box::new(Connection::new(transport, target, &connector.limits).await?))
    }

    fn outgoing(&self) -> Result<Outgoing, SendError> {
        (self.make)().ok_or(SendError::NotAllowed)
    }

    /// An idle connection that is still open.
    async fn kept(&self, now: Instant) -> Option<Box<Connection>> {
        while let Some(mut connection) = self.inner.pool.take(&self.destination.target, now) {
            if connection.is_alive().await {
                return Some(connection);
            }
        }
        None
    }

    async fn exchange(
        &self,
        mut connection: Box<Connection>,
        outgoing: Outgoing,
    ) -> Result<Response, ExchangeError> {
        let uri = self.destination.origin_form.clone();
        let limits = &self.inner.connector.limits;
        let response = connection.exchange(uri, outgoing, limits, self.progress).await?;
        // Asked here too, so that a connection that is to be closed takes no place in the pool.
        if !response.truncated && connection.is_alive().await {
            self.inner.pool.put(&self.destination.target, connection, Instant::now());
        }
        Ok(response)
    }
}
