//! What a [`Receiver`](crate::Receiver) does with one request: a proper HTTP answer, silence, a reset, or bytes of
//! the test's choice.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// One scripted reaction to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) delay: Duration,
    pub(crate) kind: Kind,
}

/// What happens to the connection after the bytes of [`Answer::raw`] have been written.
#[derive(Clone, Debug)]
pub enum Then {
    /// An orderly end of the stream.
    Close,
    /// The connection is torn down with a TCP reset.
    Reset,
    /// Nothing more is ever sent; the connection stays open until the client leaves.
    Hang,
    /// The bytes themselves go out one at a time with this pause between them; then as [`Then::Hang`].
    Drip {
        /// The pause before each byte.
        every: Duration,
    },
    /// The chunk is sent again and again (endless headers, bodies, 1xx) until the client leaves or 64 MiB went out.
    Repeat {
        /// What is repeated.
        chunk: Bytes,
        /// The pause before each chunk; zero means as fast as the socket takes it.
        every: Duration,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Http { status: StatusCode, headers: HeaderMap, body: Bytes },
    Hang,
    Reset,
    Raw { bytes: Bytes, then: Then },
}

impl Answer {
    /// A proper answer with this status and an empty body. Panics when the number is not an HTTP status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        Self::of(Kind::Http { status, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// The request is read and never answered; the connection stays open until the client leaves.
    #[must_use]
    pub fn hang() -> Self {
        Self::of(Kind::Hang)
    }

    /// The request is read, then the connection is torn down with a TCP reset.
    #[must_use]
    pub fn reset() -> Self {
        Self::of(Kind::Reset)
    }

    /// These bytes, status line and all, are written as they are, then `then` happens. The connection reads no further
    /// request, so a complete answer that stays open should say `connection: close`, or a pooling client reuses it.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>, then: Then) -> Self {
        Self::of(Kind::Raw { bytes: bytes.into(), then })
    }

    /// The same answer with this body. Panics on an answer that is not [`Answer::status`].
    #[must_use]
    pub fn body(mut self, content: impl Into<Bytes>) -> Self {
        match &mut self.kind {
            Kind::Http { body, .. } => *body = content.into(),
            other => panic!("only Answer::status takes a body, not {other:?}"),
        }
        self
    }

    /// The same answer with one more header. Panics on an answer that is not [`Answer::status`].
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value: HeaderValue = value.parse().expect("a header value");
        match &mut self.kind {
            Kind::Http { headers, .. } => headers.append(name, value),
            other => panic!("only Answer::status takes headers, not {other:?}"),
        };
        self
    }

    /// The same reaction, this much later (the request is recorded at once).
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn of(kind: Kind) -> Self {
        Self { delay: Duration::ZERO, kind }
    }
}
