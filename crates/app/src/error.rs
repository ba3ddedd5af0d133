//! What a use case refuses or fails with, by what the caller can do about it.

use domain::limit::PROBLEMS_MAX;
use domain::name::BadName;
use std::borrow::Cow;
use store::StoreError;

/// What use cases answer.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// A use case's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// No credential, or one that does not hold.
    #[error("Invalid token")]
    Unauthenticated,
    /// The credential is good, but not for this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing in this tenant.
    #[error("Entity not found")]
    NotFound,
    /// It contradicts what is there.
    #[error("{detail}")]
    Conflict {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// Fields with wrong values, all of them at once.
    #[error("{} field(s) cannot be accepted", .0.len())]
    Invalid(Vec<Problem>),
    /// The credential has asked too often.
    #[error("{0}")]
    TooMany(String),
    /// The request is well formed and cannot be done.
    #[error("{detail}")]
    Refused {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// Nothing was stored; trying again later can help. The text is for the log.
    #[error("the store cannot write now: {0}")]
    Unavailable(String),
    /// Ours to mend. The text is for the log, never for the client.
    #[error("{0}")]
    Broken(String),
}

/// One field with a wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `body` or `query`, then names and `[index]`es.
    pub at: Vec<Cow<'static, str>>,
    /// A sentence on what is wrong and what is allowed.
    pub message: String,
}

/// Collects wrong fields, so that a caller hears of all of them at once; of the first `problems_max`.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem with the body's field `field`.
    pub fn add(&mut self, field: &'static str, message: impl ToString) {
        self.add_at([Cow::Borrowed(field)], message);
    }

    /// Adds a problem with one item of the body's list `field`.
    pub fn add_item(&mut self, field: &'static str, index: usize, message: impl ToString) {
        self.add_at([Cow::Borrowed(field), Cow::Owned(format!("[{index}]"))], message);
    }

    /// Adds a problem at a path below the body.
    pub fn add_at(&mut self, path: impl IntoIterator<Item = Cow<'static, str>>, message: impl ToString) {
        let at = std::iter::once(Cow::Borrowed("body")).chain(path).collect();
        self.push(Problem { at, message: message.to_string() });
    }

    /// A body of 2 MiB can hold a million wrong values: their answer would be a hundred times as long.
    fn push(&mut self, problem: Problem) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    /// Adds a problem with the query parameter `name`.
    pub fn add_query(&mut self, name: &'static str, message: impl ToString) {
        self.push(Problem { at: vec!["query".into(), name.into()], message: message.to_string() });
    }

    /// Adds the problems that were found with the object in the body's field `field`.
    pub fn add_below(&mut self, field: &'static str, inner: Self) {
        self.add_within(&[Cow::Borrowed(field)], inner);
    }

    /// Adds the problems that were found with the object at a path below the body.
    pub fn add_within(&mut self, path: &[Cow<'static, str>], inner: Self) {
        for Problem { at, message } in inner.0 {
            self.add_at(path.iter().cloned().chain(at.into_iter().skip(1)), message);
        }
    }

    /// Notes what a check of `field` found.
    pub fn check(&mut self, field: &'static str, checked: Result<(), BadName>) {
        if let Err(bad) = checked {
            self.add(field, bad);
        }
    }

    /// Notes what a check of one item of `field` found.
    pub fn check_item(&mut self, field: &'static str, index: usize, checked: Result<(), BadName>) {
        if let Err(bad) = checked {
            self.add_item(field, index, bad);
        }
    }

    /// Whether nothing was wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the collecting.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with all problems, when there are any.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(AppError::Invalid(self.0)) }
    }
}

impl AppError {
    /// One wrong field of the body.
    pub fn invalid(field: &'static str, message: impl ToString) -> Self {
        let mut problems = Problems::default();
        problems.add(field, message);
        Self::Invalid(problems.0)
    }

    /// One wrong query parameter.
    pub fn invalid_query(name: &'static str, message: impl ToString) -> Self {
        let mut problems = Problems::default();
        problems.add_query(name, message);
        Self::Invalid(problems.0)
    }

    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { code: "conflict", detail: detail.into() }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Taken(what) => Self::conflict(format!("This `{what}` is taken: choose another.")),
            StoreError::Repeated { .. } => {
                Self::conflict("This idempotency key was used for another request: choose a new one.")
            }
            StoreError::Limit(text) => Self::refused("limit_reached", text),
            StoreError::Unavailable(text) | StoreError::DiskFailed(text) => Self::Unavailable(text),
            StoreError::Broken(text) => Self::Broken(text),
        }
    }
}
