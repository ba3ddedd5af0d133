//! One at a time for each idempotency key: who runs, who waits, and what a caller left behind.
//!
//! The first caller with a key gets its [`Turn`]; later ones wait until the turn ends and then look for the answer.
//! A caller may vanish (its connection closed) while its work is on the way to the disk. The work is then kept, not
//! dropped: the next caller with the key takes it over and hears how it ended, so that an impatient client that
//! tries again never makes a second message.

use domain::clock::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// What identifies a keyed request.
pub(crate) type Hash = [u8; 16];
/// Work under a key.
pub(crate) type Work<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Abandoned work kept at most.
const ABANDONED_MAX: usize = 1_000;

/// The keys that are being worked on.
pub(crate) struct Flights<R> {
    keys: Mutex<HashMap<Hash, State<R>>>,
}

enum State<R> {
    Running(Option<Arc<Notify>>),
    Abandoned { work: Work<R>, since: Timestamp },
}

/// The right to work under a key; given back when dropped.
pub(crate) struct Turn<'a, R> {
    flights: &'a Flights<R>,
    hash: Hash,
    since: Timestamp,
    work: Option<Work<R>>,
}

impl<R> Default for Flights<R> {
    fn default() -> Self {
        Self { keys: Mutex::new(HashMap::new()) }
    }
}

impl<R> Flights<R> {
    /// Waits for the key's turn. What a caller before left behind is in the turn.
    pub(crate) async fn board(&self, hash: Hash, now: Timestamp) -> Turn<'_, R> {
        loop {
            let ended = match self.join(hash, now) {
                Ok(turn) => return turn,
                // Made under the lock, so that an end right after it is not missed.
                Err(ended) => ended,
            };
            ended.await;
        }
    }

    /// Drops abandoned work from before `horizon`.
    pub(crate) fn sweep(&self, horizon: Timestamp) {
        self.keys
            .lock()
            .retain(|_, state| !matches!(state, State::Abandoned { since, .. } if *since < horizon));
    }

    fn join(&self, hash: Hash, now: Timestamp) -> Result<Turn<'_, R>, tokio::sync::futures::OwnedNotified> {
        let mut keys = self.keys.lock();
        let work = match keys.insert(hash, State::Running(None)) {
            Some(State::Running(waiting)) => {
                let notify = waiting.unwrap_or_default();
                keys.insert(hash, State::Running(Some(Arc::clone(&notify))));
                return Err(notify.notified_owned());
            }
            Some(State::Abandoned { work, .. }) => Some(work),
            None => None,
        };
        Ok(Turn { flights: self, hash, since: now, work })
    }

    fn end(&self, hash: Hash, left: Option<State<R>>) {
        let mut keys = self.keys.lock();
        let before = match left {
            Some(state) if keys.len() < ABANDONED_MAX || self.abandoned(&keys) < ABANDONED_MAX => {
                keys.insert(hash, state)
            }
            _ => keys.remove(&hash),
        };
        drop(keys);
        if let Some(State::Running(Some(waiting))) = before {
            waiting.notify_waiters();
        }
    }

    fn abandoned(&self, keys: &HashMap<Hash, State<R>>) -> usize {
        keys.values().filter(|state| matches!(state, State::Abandoned { .. })).count()
    }
}

impl<R> Turn<'_, R> {
    /// Whether a caller before left work behind; [`Turn::finish`] ends it.
    pub(crate) const fn has_work(&self) -> bool {
        self.work.is_some()
    }

    /// Does this work in the turn.
    pub(crate) async fn run(&mut self, work: Work<R>) -> Option<R> {
        self.work = Some(work);
        self.finish().await
    }

    /// Ends the work that the turn holds; none when it holds none.
    pub(crate) async fn finish(&mut self) -> Option<R> {
        let result = self.work.as_mut()?.await;
        self.work = None;
        Some(result)
    }
}

impl<R> Drop for Turn<'_, R> {
    fn drop(&mut self) {
        // Work that panicked must not be polled again.
        let left = self.work.take().filter(|_| !std::thread::panicking());
        let since = self.since;
        self.flights.end(self.hash, left.map(|work| State::Abandoned { work, since }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    const KEY: Hash = [7; 16];
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[tokio::test]
    async fn a_second_caller_waits_until_the_first_has_ended() {
        let flights = Arc::new(Flights::<u32>::default());
        let first = flights.board(KEY, NOW).await;
        let other = Arc::clone(&flights);
        let mut second = tokio::task::JoinSet::new();
        second.spawn(async move { other.board(KEY, NOW).await.has_work() });
        tokio::task::yield_now().await;
        assert!(second.try_join_next().is_none());
        drop(first);
        assert!(!second.join_next().await.unwrap().unwrap());
        assert!(flights.keys.lock().is_empty());
    }

    #[tokio::test]
    async fn work_whose_caller_vanished_is_ended_by_the_next_one() {
        let flights = Flights::<u32>::default();
        let (answer, answered) = oneshot::channel();
        {
            let mut turn = flights.board(KEY, NOW).await;
            let work = turn.run(Box::pin(async { answered.await.unwrap() }));
            assert!(tokio::time::timeout(std::time::Duration::ZERO, work).await.is_err());
        }
        answer.send(42).unwrap();
        let mut turn = flights.board(KEY, NOW).await;
        assert!(turn.has_work());
        assert_eq!(turn.finish().await, Some(42));
        drop(turn);
        assert!(flights.keys.lock().is_empty());
    }

    #[tokio::test]
    async fn abandoned_work_is_swept_after_its_time() {
        let flights = Flights::<u32>::default();
        {
            let mut turn = flights.board(KEY, NOW).await;
            let work = turn.run(Box::pin(std::future::pending()));
            assert!(tokio::time::timeout(std::time::Duration::ZERO, work).await.is_err());
        }
        flights.sweep(NOW);
        assert_eq!(flights.keys.lock().len(), 1);
        flights.sweep(NOW.plus_ms(1));
        assert!(flights.keys.lock().is_empty());
    }
}
