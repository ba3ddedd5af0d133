//! Idempotency keys: a POST that is sent twice has one effect and one answer.
//!
//! A key counts for one subject, method and path (and application, for messages). SDKs put an `auto_` key on every POST, so those of messages live in
//! memory alone ([`crate::memory`]), their hash in the message's row; after a restart the rows of the last two
//! minutes are read back as soon as an SDK says that it tries again. Keys that a client chose, and the answers of all
//! other POSTs, are kept by the store. Only a 2xx is kept; anything else frees the key.

use crate::App;
use crate::error::{AppError, Result};
use crate::flight::{Flights, Hash};
use crate::memory::{KEYS_MAX, Memory};
use crate::principal::Principal;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, MessageId};
use domain::limit::{IDEMPOTENCY_AUTO_MS, IDEMPOTENCY_MS};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::StoreError;
use store::idempotency::Replay;
use store::message::MessageKey;
use tokio::sync::Mutex;
use tokio::time::sleep_until;

/// How the keys begin that SDKs make.
const AUTO_PREFIX: &str = "auto_";
/// A key, in bytes at most.
const KEY_BYTES_MAX: usize = 256;
/// A message of another process may be seen so long after the time that its id tells, in milliseconds: what a commit may
/// take until its writer gives it up.
const SEEN_LATE_MS_MAX: i64 = 20_000;
/// Between two reads of other processes' keys: a storm of retries does not become a storm of reads.
const RECALL_EVERY: Duration = Duration::from_millis(100);
/// Keys that are remembered without letting others have their turn.
const REMEMBERED_AT_ONCE: usize = 2_000;

/// What a POST says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// Who sent it.
    pub principal: &'a Principal,
    /// The path, as the client wrote it.
    pub path: &'a str,
    /// The `idempotency-key` header.
    pub key: Option<&'a [u8]>,
    /// Whether an SDK marked it as a repeated try (`svix-retry-count` of 1 or more).
    pub retried: bool,
    /// The body.
    pub body: &'a Bytes,
}

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON or empty.
    pub body: Bytes,
}

/// What is remembered of keys in memory.
pub(crate) struct Idempotency {
    pub(crate) flights: Arc<Flights>,
    memory: Memory,
    started_at: Timestamp,
    recalled: Mutex<Recalled>,
}

/// What was read of other processes' keys.
#[derive(Default)]
struct Recalled {
    /// Until when everything was read.
    read_at: Option<Timestamp>,
    /// When the last read began, and what came of it.
    last: Option<(Instant, std::result::Result<(), StoreError>)>,
}

impl Idempotency {
    pub(crate) fn new(started_at: Timestamp) -> Self {
        Self {
            flights: Arc::default(),
            memory: Memory::new(KEYS_MAX, started_at),
            started_at,
            recalled: Mutex::default(),
        }
    }

    /// The message that an `auto_` key made.
    pub(crate) fn find(&self, hash: &Hash, now: Timestamp) -> Option<MessageId> {
        self.memory.get(hash, now)
    }

    /// Remembers the message that an `auto_` key made.
    pub(crate) fn remember(&self, hash: Hash, message: MessageId, now: Timestamp) {
        self.memory.put(hash, message, now);
    }
}

impl App {
    /// Runs `work` once for the request's key; later requests get the same answer.
    ///
    /// # Errors
    /// `Conflict` when a key that a client chose was used with another body; `Refused` for a key that is too long.
    pub async fn once<W>(&self, posted: Posted<'_>, work: W) -> Result<Answered>
    where
        W: Future<Output = Answered> + Send + 'static,
    {
        let Some(key) = message_key(posted, None)? else { return Ok(work.await) };
        let turn = self.inner.idempotency.flights.board(key.hash).await;
        if let Some(earlier) = self.store().replay_get(key.hash).await? {
            if key.explicit && earlier.body_hash != key.body_hash {
                return Err(other_body());
            }
            return Ok(Answered { status: earlier.status, body: earlier.body });
        }
        let app = self.clone();
        let kept = async move {
            let answered = work.await;
            app.keep(key, &answered).await;
            answered
        };
        Ok(turn.run(Box::pin(kept)).await)
    }

    /// Reads what keys made elsewhere: before this process started and, where processes share the store, in the others. Only
    /// what is newer than the last read; requests that come meanwhile wait for one read and share what it brought, an error
    /// too: in an outage nobody queues for a failure of its own.
    pub(crate) async fn recall(&self) -> Result<()> {
        let idempotency = &self.inner.idempotency;
        let shared = self.store().is_shared();
        if !shared && self.now().since(idempotency.started_at) > IDEMPOTENCY_AUTO_MS {
            return Ok(());
        }
        // Not the store's time: that steps back when the database's clock is learned anew.
        let asked = Instant::now();
        let mut recalled = idempotency.recalled.lock().await;
        if let Some((began, outcome)) = &recalled.last
            && (*began > asked || (!shared && outcome.is_ok()))
        {
            return outcome.clone().map_err(AppError::from);
        }
        if let Some((began, _)) = &recalled.last {
            sleep_until((*began + RECALL_EVERY).into()).await;
        }
        let began = Instant::now();
        let outcome = self.read_keys(&mut recalled.read_at, shared).await;
        recalled.last = Some((began, outcome.clone()));
        outcome.map_err(AppError::from)
    }

    async fn read_keys(
        &self,
        read_at: &mut Option<Timestamp>,
        shared: bool,
    ) -> std::result::Result<(), StoreError> {
        let idempotency = &self.inner.idempotency;
        let now = self.now();
        let oldest = if shared { now } else { idempotency.started_at }.plus_ms(-IDEMPOTENCY_AUTO_MS);
        let since = read_at.map_or(oldest, |at| at.plus_ms(-SEEN_LATE_MS_MAX).max(oldest));
        for some in self.store().message_keys_since(since).await?.chunks(REMEMBERED_AT_ONCE) {
            some.iter().for_each(|(hash, message)| idempotency.remember(*hash, *message, now));
            tokio::task::yield_now().await;
        }
        *read_at = Some(now);
        Ok(())
    }

    /// A failure to keep the answer does not undo what was done, so it does not fail the request.
    async fn keep(&self, key: MessageKey, answered: &Answered) {
        if !(200..300).contains(&answered.status) {
            return;
        }
        let lifetime = if key.explicit { IDEMPOTENCY_MS } else { IDEMPOTENCY_AUTO_MS };
        let replay = Replay {
            body_hash: key.body_hash,
            status: answered.status,
            body: answered.body.clone(),
            expires_at: self.now().plus_ms(lifetime),
        };
        if let Err(error) = self.store().replay_put(key.hash, replay).await {
            tracing::warn!(%error, "the answer to a request with an idempotency key could not be kept");
        }
    }
}

/// The key of a request, if it has one. That of a message ends with its `application`, whose uid a later one may have,
/// and its body is hashed only where a client chose the key.
pub(crate) fn message_key(
    posted: Posted<'_>,
    application: Option<ApplicationKey>,
) -> Result<Option<MessageKey>> {
    let Some(key) = posted.key.filter(|key| !key.is_empty()) else { return Ok(None) };
    if key.len() > KEY_BYTES_MAX {
        let detail =
            format!("The idempotency key has {} bytes: at most {KEY_BYTES_MAX} are allowed.", key.len());
        return Err(AppError::refused("generic_error", detail));
    }
    let explicit = !key.starts_with(AUTO_PREFIX.as_bytes());
    // Lengths go in, so that no two sets of parts read the same. No application has the key 0.
    let path = posted.path.trim_end_matches('/').as_bytes();
    let of = application.map_or(0, |key| key.0).to_be_bytes();
    let hash = hash(&[&posted.principal.subject, b"POST", &of, &path.len().to_be_bytes(), path, key]);
    let body_hash = if explicit || application.is_none() { self::hash(&[posted.body]) } else { [0; 16] };
    Ok(Some(MessageKey { hash, body_hash, explicit }))
}

pub(crate) fn other_body() -> AppError {
    AppError::conflict(
        "This idempotency key was used for a request with another body: choose a new key for a new request.",
    )
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 16];
    out.copy_from_slice(&context.finish().as_ref()[..16]);
    out
}
