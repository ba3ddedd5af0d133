//! Attempts, and deliveries as lists show them.

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Result};
use crate::list::Listing;
use crate::principal::{Place, Right};
use crate::window::Window;
use domain::attempt::{Attempt, Disposition};
use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::id::{AttemptId, EndpointKey, MessageId};
use domain::limit::PAGE_BYTES_MAX;
use domain::message::Message;
use domain::page::{From, Order, Page, Slice};
use std::collections::HashMap;
use std::sync::Arc;
use store::attempt::MessageEndpoint;
pub use store::attempt::{AttemptFilter, EndpointMessage};
use store::routing::Route;

/// Messages that are loaded at once for a list of attempts: a few, since each may have 2 MiB.
const MESSAGES_AT_ONCE: usize = 2;

/// An attempt with the wire id of its endpoint.
#[derive(Clone, Debug)]
pub struct ShownAttempt {
    /// The attempt.
    pub attempt: Attempt,
    /// `ep_…`
    pub endpoint: String,
    /// Its message, where it was asked for.
    pub message: Option<Arc<Message>>,
}

/// An endpoint with what became of a message there.
#[derive(Clone, Debug)]
pub struct ShownDestination {
    /// The endpoint, as it is configured now.
    pub endpoint: Arc<domain::endpoint::Endpoint>,
    /// The message's latest state there, and when it is tried next.
    pub delivery: MessageEndpoint,
}

/// Which attempts a list shows by what came of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Delivered.
    Succeeded,
    /// Not delivered, whether or not it was tried again.
    Failed,
    /// States that a delivery has and an attempt never: the list is empty.
    None,
}

/// Which attempts a list shows.
#[derive(Clone, Debug)]
pub struct AttemptQuery {
    /// By what came of them.
    pub state: Option<AttemptState>,
    /// Only to this endpoint (id or uid), in a message's list.
    pub endpoint: Option<String>,
    /// Whether each attempt's message is shown, in an endpoint's list.
    pub with_messages: bool,
    /// By everything else.
    pub filter: AttemptFilter,
    /// Which page.
    pub page: Page<AttemptId>,
}

impl App {
    /// A page of an endpoint's attempts, newest first. With messages it ends early (not `done`) at `page_bytes_max` of
    /// payloads.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window over 90 days.
    pub async fn attempt_list_by_endpoint(
        &self,
        at: Place<'_>,
        query: AttemptQuery,
    ) -> Result<Slice<ShownAttempt>> {
        let endpoint = self.endpoint_of(at, Right::Read).await?;
        let filter = bounded(query.filter)?;
        let list = |filter, page| self.store().attempt_list_by_endpoint(endpoint.key, filter, page);
        let backwards = matches!(query.page.from, From::Before(_));
        let found = by_state(query.state, filter, query.page, list).await?;
        let shown = self.shown(found).await?;
        if query.with_messages { self.with_messages(shown, backwards).await } else { Ok(shown) }
    }

    /// A page of a message's attempts, newest first; only those to `endpoint` (id or uid) when it is given.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window over 90 days.
    pub async fn attempt_list_by_message(
        &self,
        at: Place<'_>,
        query: AttemptQuery,
    ) -> Result<Slice<ShownAttempt>> {
        let (application, message) = self.message_of(at, Right::Read).await?;
        let mut filter = bounded(query.filter)?;
        if let Some(id) = query.endpoint {
            filter.endpoint = Some(self.store().endpoint_key(application.key, &id).await?);
        }
        let list = |filter, page| self.store().attempt_list_by_message(&message, filter, page);
        let found = by_state(query.state, filter, query.page, list).await?;
        self.shown(found).await
    }

    /// One attempt of a message.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn attempt_get(&self, at: Place<'_>, id: &str) -> Result<ShownAttempt> {
        let (_, message) = self.message_of(at, Right::Read).await?;
        let id = self.ids().read_attempt(id).ok_or(AppError::NotFound)?;
        let one = Slice { items: vec![self.store().attempt_get(message.id, id).await?], done: true };
        self.shown(one).await?.items.pop().ok_or(AppError::NotFound)
    }

    /// Removes an attempt's stored answer.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn attempt_expunge(&self, at: Place<'_>, id: &str) -> Result<()> {
        at.principal.may_in_environment(Right::Administer)?;
        let (application, message) = self.message_of(at, Right::Administer).await?;
        let attempt = self.ids().read_attempt(id).ok_or(AppError::NotFound)?;
        self.store().attempt_expunge(message.id, attempt).await?;
        let deed = Deed::new(Action::AttemptExpunged, id, id);
        self.note_deed(at.principal, Some(&application), deed).await;
        Ok(())
    }

    /// A page of an endpoint's messages, each once with its latest state. Unless `expanded`, canceled ones count as
    /// failed, and none is in the state of its own.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window over 90 days.
    pub async fn messages_of_endpoint(
        &self,
        at: Place<'_>,
        (state, expanded): (Option<DeliveryState>, bool),
        Listing { filter, page }: Listing<AttemptFilter, MessageId>,
    ) -> Result<Slice<EndpointMessage>> {
        let endpoint = self.endpoint_of(at, Right::Read).await?;
        let filter = AttemptFilter { canceled_too: !expanded, ..bounded(filter)? };
        if state == Some(DeliveryState::Canceled) && !expanded {
            return Ok(Slice { items: Vec::new(), done: true });
        }
        Ok(self.store().messages_of_endpoint(endpoint.key, state, filter, page).await?)
    }

    /// A page of a message's endpoints with its latest state at each; deleted ones are left out. `from` is an
    /// endpoint's wire id.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoints_of_message(
        &self,
        at: Place<'_>,
        page: Page<String>,
    ) -> Result<Slice<ShownDestination>> {
        let (application, message) = self.message_of(at, Right::Read).await?;
        let mut from = match page.from {
            From::Start => From::Start,
            From::After(id) => From::After(self.store().endpoint_key(application.key, &id).await?),
            From::Before(id) => From::Before(self.store().endpoint_key(application.key, &id).await?),
        };
        loop {
            let keys = Page { items: page.items, order: Order::Ascending, from: from.clone() };
            let found = self.store().endpoints_of_message(&message, keys).await?;
            let edge = if matches!(from, From::Before(_)) { found.items.first() } else { found.items.last() };
            let edge = edge.map(|item| item.endpoint);
            let done = found.done;
            let items: Vec<_> = found.items.into_iter().filter_map(|item| self.destination(item)).collect();
            match edge {
                // All of this page are deleted: the next one may hold some.
                Some(edge) if items.is_empty() && !done => from = beyond(&from, edge),
                _ => return Ok(Slice { items, done }),
            }
        }
    }

    /// The same attempts with their messages, where they still are: as many, from the page's bound on, as are enough
    /// for a page.
    async fn with_messages(
        &self,
        slice: Slice<ShownAttempt>,
        backwards: bool,
    ) -> Result<Slice<ShownAttempt>> {
        let Slice { mut items, done } = slice;
        if backwards {
            items.reverse();
        }
        let (mut known, mut bytes, mut shown) = (HashMap::<_, Arc<Message>>::new(), 0, 0);
        while shown < items.len() && bytes < PAGE_BYTES_MAX {
            let few = items.iter().skip(shown).take(MESSAGES_AT_ONCE);
            let mut ids: Vec<_> = few.map(|item| item.attempt.record.message).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| !known.contains_key(id));
            let loaded = self.store().messages_load(ids).await?;
            known.extend(loaded.into_iter().map(|message| (message.id, message)));
            for item in items.iter_mut().skip(shown).take(MESSAGES_AT_ONCE) {
                item.message = known.get(&item.attempt.record.message).cloned();
                bytes += item.message.as_ref().map_or(0, |message| message.payload_bytes());
                shown += 1;
            }
        }
        let cut = shown < items.len();
        items.truncate(shown);
        if backwards {
            items.reverse();
        }
        Ok(Slice { items, done: done && !cut })
    }

    fn destination(&self, delivery: MessageEndpoint) -> Option<ShownDestination> {
        let Route { endpoint, .. } = self.store().routing().route(delivery.endpoint)?;
        Some(ShownDestination { endpoint, delivery })
    }

    /// Attempts with the wire ids of their endpoints; deleted ones are looked up.
    async fn shown(&self, slice: Slice<Attempt>) -> Result<Slice<ShownAttempt>> {
        let routing = self.store().routing();
        let mut ids: HashMap<EndpointKey, String> = HashMap::new();
        let mut deleted = Vec::new();
        for key in slice.items.iter().map(|attempt| attempt.record.endpoint) {
            match routing.route(key) {
                Some(route) => {
                    ids.entry(key).or_insert_with(|| route.endpoint.id.clone());
                }
                None if deleted.contains(&key) => {}
                None => deleted.push(key),
            }
        }
        if !deleted.is_empty() {
            ids.extend(self.store().endpoint_ids(deleted).await?);
        }
        Ok(slice.map(|attempt| {
            let endpoint = ids.get(&attempt.record.endpoint).cloned().unwrap_or_default();
            ShownAttempt { attempt, endpoint, message: None }
        }))
    }
}

const fn beyond(from: &From<EndpointKey>, edge: EndpointKey) -> From<EndpointKey> {
    match from {
        From::Before(_) => From::Before(edge),
        From::Start | From::After(_) => From::After(edge),
    }
}

fn bounded(filter: AttemptFilter) -> Result<AttemptFilter> {
    let Window { after, before } = Window { after: filter.after, before: filter.before }.of_list()?;
    Ok(AttemptFilter { after, before, ..filter })
}

/// An attempt that failed did so whether or not another follows; the store keeps the two apart, in two indexes'
/// orders that are merged here.
async fn by_state<L>(
    state: Option<AttemptState>,
    filter: AttemptFilter,
    page: Page<AttemptId>,
    list: impl Fn(AttemptFilter, Page<AttemptId>) -> L,
) -> Result<Slice<Attempt>>
where
    L: Future<Output = store::error::Result<Slice<Attempt>>>,
{
    let of = |disposition| AttemptFilter { disposition: Some(disposition), ..filter.clone() };
    match state {
        None => Ok(list(filter, page).await?),
        Some(AttemptState::Succeeded) => Ok(list(of(Disposition::Succeeded), page).await?),
        Some(AttemptState::None) => Ok(Slice { items: Vec::new(), done: true }),
        Some(AttemptState::Failed) => {
            let failed = list(of(Disposition::Failed), page.clone()).await?;
            let retrying = list(of(Disposition::Retrying), page.clone()).await?;
            Ok(merge(failed, retrying, &page))
        }
    }
}

fn merge(one: Slice<Attempt>, other: Slice<Attempt>, page: &Page<AttemptId>) -> Slice<Attempt> {
    let done = one.done && other.done;
    let mut items = [one.items, other.items].concat();
    // The walk's direction, not the list's: a page backwards keeps the items nearest to its bound.
    items.sort_unstable_by_key(|attempt| attempt.id);
    if !page.walks_up() {
        items.reverse();
    }
    let mut slice = page.slice(items);
    slice.done = slice.done && done;
    slice
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
