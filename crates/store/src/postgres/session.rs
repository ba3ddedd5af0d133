//! The writer's connection with its prepared statements.

use super::connection::{Purpose, connect, is_unknown, spoils_session};
use super::lease;
use super::node::Node;
use crate::error::StoreError;
use domain::id::LeaseId;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

/// After so long nobody waits for an answer any more: the server's own limit is shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a statement of the writer has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may have been committed or not (PROTOCOL rule 8).
    Unknown(StoreError),
    /// Another node took a key at the same moment: the same statement again tells who.
    Raced,
    /// Nothing was committed.
    Refused(StoreError),
}

/// The writer's connection.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    named: Vec<LeaseId>,
    spoiled: bool,
}

impl Session {
    pub(super) async fn open(node: &Node) -> Result<Self, StoreError> {
        let client = connect(&node.server, Purpose::Writer, &node.tasks, None).await?;
        Ok(Self { client, statements: HashMap::new(), named: Vec::new(), spoiled: false })
    }

    /// Whether it can be gone on with.
    pub(super) fn is_good(&self) -> bool {
        !self.spoiled && !self.client.is_closed()
    }

    /// It is not gone on with.
    pub(super) const fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Whether the session carries the names of exactly these leases (rule 4).
    pub(super) async fn name(&mut self, leases: &[LeaseId]) -> Result<(), StoreError> {
        if self.named != leases {
            lease::name_session(&self.client, leases).await?;
            leases.clone_into(&mut self.named);
        }
        Ok(())
    }

    /// Runs one statement, which is one transaction.
    pub(super) async fn run(
        &mut self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let statement = match self.statements.get(text) {
            Some(statement) => statement.clone(),
            None => {
                // Nothing was sent yet that could commit.
                let made = timeout(ANSWER_TIMEOUT, self.client.prepare(text)).await;
                let made = made.map_err(|_| {
                    self.spoil();
                    Trouble::Refused(away())
                })?;
                let made = made.map_err(|error| Trouble::Refused(self.judge(error)))?;
                self.statements.insert(text.to_owned(), made.clone());
                made
            }
        };
        match timeout(ANSWER_TIMEOUT, self.client.query(&statement, parameters)).await {
            Err(_) => Err(Trouble::Unknown(away())),
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) if is_unknown(&error) => Err(Trouble::Unknown(error.into())),
            Ok(Err(error)) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => Err(Trouble::Raced),
            Ok(Err(error)) => Err(Trouble::Refused(self.judge(error))),
        }
    }
}

impl Session {
    fn judge(&mut self, error: tokio_postgres::Error) -> StoreError {
        self.spoiled |= spoils_session(&error);
        error.into()
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("PostgreSQL does not answer".into())
}
