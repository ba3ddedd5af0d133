//! When which endpoint has rows to claim: a heap of times, one live entry an endpoint.

use domain::clock::Timestamp;
use domain::id::EndpointKey;
use foldhash::HashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The times. An endpoint's earliest counts; what a later note replaced is skipped when it comes up.
#[derive(Debug, Default)]
pub(crate) struct Due {
    earliest: HashMap<EndpointKey, Timestamp>,
    heap: BinaryHeap<Reverse<(Timestamp, EndpointKey)>>,
}

impl Due {
    /// Notes that `endpoint` has a row due at `time`.
    pub(crate) fn note(&mut self, endpoint: EndpointKey, time: Timestamp) {
        let known = self.earliest.get(&endpoint);
        if known.is_none_or(|earlier| time < *earlier) {
            self.earliest.insert(endpoint, time);
            self.heap.push(Reverse((time, endpoint)));
            self.forget_replaced();
        }
    }

    /// Replaced entries would stay until their time comes; when they are the most of the heap, it is made anew.
    fn forget_replaced(&mut self) {
        if self.heap.len() > 2 * self.earliest.len() + 64 {
            self.heap = self.earliest.iter().map(|(endpoint, time)| Reverse((*time, *endpoint))).collect();
        }
    }

    /// Takes an endpoint whose time has come.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<EndpointKey> {
        loop {
            let Reverse((time, endpoint)) = *self.heap.peek()?;
            if time > now {
                return None;
            }
            self.heap.pop();
            if self.earliest.get(&endpoint) == Some(&time) {
                self.earliest.remove(&endpoint);
                return Some(endpoint);
            }
        }
    }

    /// The next time that anything is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_comes_up_once_at_its_earliest_time() {
        let mut due = Due::default();
        let (a, b) = (EndpointKey(1), EndpointKey(2));
        due.note(a, Timestamp(30));
        due.note(a, Timestamp(10));
        due.note(a, Timestamp(20));
        due.note(b, Timestamp(15));
        assert_eq!(due.take(Timestamp(9)), None);
        assert_eq!(due.next(), Some(Timestamp(10)));
        assert_eq!(due.take(Timestamp(40)), Some(a));
        assert_eq!(due.take(Timestamp(40)), Some(b));
        assert_eq!(due.take(Timestamp(40)), None);
    }

    #[test]
    fn replaced_times_do_not_pile_up() {
        let mut due = Due::default();
        for step in 0..10_000 {
            due.note(EndpointKey(1), Timestamp(1_000_000));
            due.note(EndpointKey(1), Timestamp(step));
            assert_eq!(due.take(Timestamp(step)), Some(EndpointKey(1)));
        }
        assert!(due.heap.len() < 100, "{}", due.heap.len());
    }
}
