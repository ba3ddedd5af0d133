//! The store: what is durable, behind one contract.
//!
//! Each noun has its trait in a file of its name; [`Store`] is all of them. A method is one whole transaction, named
//! by its meaning. SQL stands only under an engine's folder, written out per engine; the conformance suite under
//! `tests/conformance` is the specification that every engine passes.
//!
//! The store also keeps what must change in the same instant as a commit: the [`routing`] table, the [`handoff`] of
//! accepted messages, the checkpoint of its lease, and the [`wake`] list of endpoints with due rows.

pub mod api_key;
pub mod application;
pub mod attempt;
pub mod audit;
pub mod browser;
pub mod copy;
pub mod delivery;
pub mod endpoint;
pub mod environment;
pub mod error;
pub mod event_type;
pub mod handoff;
pub mod health;
pub mod idempotency;
pub mod identity;
mod list;
pub mod message;
pub mod metrics;
pub mod notice;
pub mod notify;
pub mod portal;
pub mod postgres;
pub mod prune;
pub mod reseal;
pub mod routing;
pub mod seal;
mod shared;
pub mod sqlite;
pub mod statistics;
pub mod task;
pub mod task_look;
pub mod user;
pub mod wake;

pub use error::StoreError;

use async_trait::async_trait;
use delivery::Held;
use domain::delivery::DeliveryKey;
use std::sync::Arc;

/// Everything that an engine of the store does.
#[async_trait]
pub trait Store:
    api_key::ApiKeys
    + application::Applications
    + attempt::Attempts
    + audit::Audits
    + browser::Browsers
    + delivery::Deliveries
    + endpoint::Endpoints
    + environment::Environments
    + event_type::EventTypes
    + health::Healths
    + idempotency::IdempotencyKeys
    + identity::Identities
    + message::Messages
    + notice::Notices
    + notify::Notifies
    + portal::Portals
    + prune::Prune
    + reseal::Reseal
    + statistics::Statistics
    + task::Tasks
    + user::Users
{
    /// Who gets what: kept in step with every commit.
    fn routing(&self) -> &routing::Routing;
    /// What is read as metrics.
    fn metrics(&self) -> &Arc<metrics::StoreMetrics>;
    /// Endpoints that have rows which became due by a commit of this process.
    fn wakes(&self) -> &wake::Wakes;
    /// Whether this process holds a lease under which requests may be sent right now (PROTOCOL rule 2).
    fn lease_is_valid(&self) -> bool;
    /// Whether this delivery is still this process's to send; asked right before each request is written (PROTOCOL rule 2).
    fn may_send(&self, key: DeliveryKey, held: Held) -> bool;
    /// How many processes share the store right now, this one included: limits that concern an endpoint are divided by it.
    fn live_leases(&self) -> u32 {
        1
    }
    /// Whether other processes may use the store at the same time.
    fn is_shared(&self) -> bool {
        false
    }
    /// Whether commits work; a sentence when they do not.
    fn health(&self) -> Result<(), String>;
    /// Waits until the store can never write again; answers why. Then the process must end.
    async fn failed(&self) -> String;
    /// Ends all writing after what is queued, releases the lease (PROTOCOL rule 17) and joins the writer.
    fn close(&self);
}
