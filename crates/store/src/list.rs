//! What the lists of every engine share.

use crate::routing::Routing;
use domain::id::EndpointKey;
use domain::message::Message;
use domain::page::Page;

/// The same page of another key.
pub(crate) fn rekey<K, L>(page: &Page<K>, key: impl Fn(&K) -> L) -> Page<L> {
    use domain::page::From::{After, Before, Start};
    let from = match &page.from {
        Start => Start,
        After(bound) => After(key(bound)),
        Before(bound) => Before(key(bound)),
    };
    Page { items: page.items, order: page.order, from }
}

/// Sorts as the page walks.
pub(crate) fn sort_walking<K, T, S: Ord>(found: &mut Vec<T>, page: &Page<K>, key: impl Fn(&T) -> S) {
    found.sort_by_key(|item| key(item));
    if !page.walks_up() {
        found.reverse();
    }
    found.truncate(usize::from(page.items) + 1);
}

/// The endpoints that a message can have attempts at: its matched set, and any other of the application, since a
/// resend may go to one that did not match.
pub(crate) fn candidates(routing: &Routing, message: &Message) -> Vec<EndpointKey> {
    let mut endpoints = message.endpoints.clone();
    endpoints.extend(routing.routes(message.application).iter().map(|route| route.endpoint.key));
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}
