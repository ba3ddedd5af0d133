//! Filters at the door: each endpoint's predicate is read once, an event is read at most once for all of them.

use crate::ingest::NewEvent;
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::id::EndpointKey;
use foldhash::HashMap;
use parking_lot::Mutex;
use shape::{Event, Filter, Seen};
use std::cell::OnceCell;
use std::sync::Arc;
use store::routing::Route;

/// Filters that are kept; beyond that all are read again.
const KEPT_MAX: usize = 10_000;

/// A filter, or none that reads, with the configuration that it was read from.
type Read = (Arc<Endpoint>, Option<Arc<Filter>>);

/// The filters that were read.
#[derive(Debug, Default)]
pub(crate) struct Filters(Mutex<HashMap<EndpointKey, Read>>);

/// An event that filters are asked about: read when the first one asks.
pub(crate) struct Asked<'a> {
    event: Event<'a>,
    seen: OnceCell<Option<Seen>>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(event: &'a NewEvent) -> Self {
        let payload: &'a Bytes = &event.payload;
        let event = Event {
            id: "",
            event_type: &event.event_type,
            time: Timestamp(0),
            payload,
            context: event.overrides.context.as_deref(),
            headers: &event.overrides.headers,
        };
        Self { event, seen: OnceCell::new() }
    }

    fn seen(&self) -> Option<&Seen> {
        self.seen.get_or_init(|| Seen::new(&self.event).ok()).as_ref()
    }
}

impl Filters {
    /// Whether an endpoint's filter holds for an event; most have none.
    pub(crate) fn hold(&self, route: &Route, asked: &Asked<'_>) -> bool {
        let Some(text) = &route.endpoint.fields.options.filter else { return true };
        let filter = self.read(&route.endpoint, text);
        match (filter, asked.seen()) {
            (Some(filter), Some(seen)) => filter.holds(seen),
            _ => false,
        }
    }

    fn read(&self, endpoint: &Arc<Endpoint>, text: &str) -> Option<Arc<Filter>> {
        let mut kept = self.0.lock();
        if let Some((of, filter)) = kept.get(&endpoint.key).filter(|(of, _)| Arc::ptr_eq(of, endpoint)) {
            debug_assert_eq!(
                of.fields.options.filter.as_deref(),
                Some(text),
                "a configuration does not change"
            );
            return filter.clone();
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        // It was good when it was saved; what this version cannot read any more does not hold.
        let filter = Filter::parse(text).inspect_err(|error| {
            tracing::error!(
                error,
                endpoint = endpoint.id,
                "a stored filter does not read: nothing matches it"
            );
        });
        let filter = filter.ok().map(Arc::new);
        kept.insert(endpoint.key, (Arc::clone(endpoint), filter.clone()));
        filter
    }
}
