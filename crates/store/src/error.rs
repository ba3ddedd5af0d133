//! What a store method refuses or fails with, by what the caller can do about it.

use domain::id::MessageId;

/// A store method's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The thing is not there (any more).
    #[error("not found")]
    NotFound,
    /// A uid, name or event id is taken.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// An idempotency key was used for this message before; `same_body` tells whether for the same request.
    #[error("the idempotency key was used before")]
    Repeated {
        /// The message that it made then.
        message: MessageId,
        /// Whether the request was the same.
        same_body: bool,
    },
    /// A named limit is reached; the text says which and what to do.
    #[error("{0}")]
    Limit(String),
    /// Nothing was stored and nothing is half done: the disk is full, or the store is closing. Trying again can help.
    #[error("the store cannot write now: {0}")]
    Unavailable(String),
    /// The disk failed during a commit: nobody knows what it has. The process must end, and start again.
    #[error("the disk failed during a commit: {0}")]
    DiskFailed(String),
    /// A row does not read back as what it must be, or SQL failed: ours to mend.
    #[error("store: {0}")]
    Broken(String),
}

/// What store methods answer.
pub type Result<T> = std::result::Result<T, StoreError>;
