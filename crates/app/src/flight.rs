//! One at a time for each idempotency key: who works, who waits, and what goes on when a caller vanishes.
//!
//! The first caller with a key gets its [`Turn`]; later ones wait until the turn ends and then look for the answer.
//! A caller may vanish (its connection closed) while its work is on the way to the disk. The work then goes on by
//! itself, still in its turn, so that an impatient client that tries again never makes a second message.

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio_util::task::TaskTracker;

/// What identifies a keyed request.
pub(crate) type Hash = [u8; 16];
/// Work under a key. It owns what it needs.
pub(crate) type Work<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Works without a caller at most: as many as there can be connections, which may all break at once. Beyond it they end
/// with their callers.
const ALONE_MAX: usize = 8_192;

/// The keys that are being worked on, each with those who wait for it.
#[derive(Default)]
pub(crate) struct Flights {
    keys: Mutex<HashMap<Hash, Option<Arc<Notify>>, RandomState>>,
    alone: TaskTracker,
}

/// The right to work under a key; given back when dropped.
pub(crate) struct Turn {
    flights: Arc<Flights>,
    hash: Hash,
}

/// Work in its turn.
struct Working<R: Send + 'static> {
    parts: Option<(Work<R>, Turn)>,
}

impl Flights {
    /// Waits for the key's turn.
    pub(crate) async fn board(self: &Arc<Self>, hash: Hash) -> Turn {
        loop {
            let ended = match self.join(hash) {
                Ok(turn) => return turn,
                // Made under the lock, so that an end right after it is not missed.
                Err(ended) => ended,
            };
            ended.await;
        }
    }

    /// Waits until what goes on without a caller has ended; nothing more may follow.
    pub(crate) async fn finish(&self) {
        self.alone.close();
        self.alone.wait().await;
    }

    fn join(self: &Arc<Self>, hash: Hash) -> Result<Turn, OwnedNotified> {
        let mut keys = self.keys.lock();
        if let Some(waiting) = keys.get_mut(&hash) {
            return Err(Arc::clone(waiting.get_or_insert_default()).notified_owned());
        }
        keys.insert(hash, None);
        Ok(Turn { flights: Arc::clone(self), hash })
    }
}

impl Turn {
    /// Does this work in the turn, to its end also when the caller goes away.
    pub(crate) async fn run<R: Send + 'static>(self, work: Work<R>) -> R {
        Working { parts: Some((work, self)) }.await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = self.flights.keys.lock().remove(&self.hash);
        if let Some(Some(waiting)) = waiting {
            waiting.notify_waiters();
        }
    }
}

impl<R: Send + 'static> Future for Working<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let Some((work, _)) = &mut self.parts else { return Poll::Pending };
        let ended = work.as_mut().poll(context);
        if ended.is_ready() {
            self.parts = None;
        }
        ended
    }
}

impl<R: Send + 'static> Drop for Working<R> {
    fn drop(&mut self) {
        // Work that panicked must not be polled again; without a runtime the process is ending.
        let Some((work, turn)) = self.parts.take().filter(|_| !std::thread::panicking()) else { return };
        let alone = turn.flights.alone.clone();
        if let (Ok(runtime), true) = (Handle::try_current(), alone.len() < ALONE_MAX) {
            alone.spawn_on(
                async move {
                    work.await;
                    drop(turn);
                },
                &runtime,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    const KEY: Hash = [7; 16];

    #[tokio::test]
    async fn a_second_caller_waits_until_the_first_has_ended() {
        let flights = Arc::<Flights>::default();
        let first = flights.board(KEY).await;
        let other = Arc::clone(&flights);
        let mut second = tokio::task::JoinSet::new();
        second.spawn(async move { drop(other.board(KEY).await) });
        tokio::task::yield_now().await;
        assert!(second.try_join_next().is_none());
        drop(first);
        second.join_next().await.unwrap().unwrap();
        assert!(flights.keys.lock().is_empty());
    }

    #[tokio::test]
    async fn work_whose_caller_vanished_goes_on_in_its_turn() {
        let flights = Arc::<Flights>::default();
        let (answer, answered) = oneshot::channel::<u32>();
        let (tell, mut told) = oneshot::channel();
        let work = Box::pin(async move { tell.send(answered.await.unwrap()).unwrap() });
        let run = flights.board(KEY).await.run(work);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, run).await.is_err());
        let mut next = Box::pin(flights.board(KEY));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut next).await.is_err());
        assert!(told.try_recv().is_err());
        answer.send(42).unwrap();
        drop(next.await);
        assert_eq!(told.await, Ok(42));
        flights.finish().await;
        assert!(flights.keys.lock().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_panics_is_given_back() {
        let flights = Arc::<Flights>::default();
        let turn = flights.board(KEY).await;
        let mut caller = tokio::task::JoinSet::new();
        caller.spawn(turn.run::<()>(Box::pin(async { panic!("on purpose") })));
        assert!(caller.join_next().await.unwrap().is_err());
        drop(flights.board(KEY).await);
        flights.finish().await;
    }
}
