//! What the writer is asked to do.

use crate::delivery::{Claims, Parked, Record};
use crate::error::Result;
use crate::message::NewMessage;
use domain::clock::Timestamp;
use domain::id::{AttemptId, EndpointKey, MessageId};
use domain::message::Message;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where an answer goes. Whoever asked may have gone away; what was done stays done.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Accept(Box<NewMessage>, Answer<Arc<Message>>),
    Record(Arc<Vec<Record>>, Answer<Vec<AttemptId>>),
    Park(Vec<Parked>, Answer<()>),
    Claim(Vec<(EndpointKey, u32)>, Timestamp, Answer<Vec<Claims>>),
    Close,
}

/// A message that was given its id.
pub(super) struct Accepting {
    pub(super) id: MessageId,
    pub(super) new: Box<NewMessage>,
    pub(super) answer: Answer<Arc<Message>>,
}

impl Accepting {
    /// Gives the message's place in dispatch back, and only then tells that it was not accepted.
    pub(super) fn refuse(self, error: crate::error::StoreError) {
        drop(self.new);
        let _ = self.answer.send(Err(error));
    }
}

/// Attempts that were given their ids, which they keep however often the statement has to be sent (PROTOCOL rule 8).
pub(super) struct Recording {
    pub(super) records: Arc<Vec<Record>>,
    pub(super) ids: Vec<AttemptId>,
    pub(super) answer: Answer<Vec<AttemptId>>,
}

/// Deliveries on their way back into rows.
pub(super) struct Parking {
    pub(super) parked: Vec<Parked>,
    pub(super) answer: Answer<()>,
}

/// What one statement carries.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) accepting: Vec<Accepting>,
    pub(super) recording: Vec<Recording>,
    pub(super) parking: Vec<Parking>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.commands() == 0
    }

    pub(super) fn commands(&self) -> usize {
        self.accepting.len() + self.recording.len() + self.parking.len()
    }

    /// Each command by itself: one of them broke the statement for all.
    pub(super) fn apart(self) -> Vec<Self> {
        let accepting =
            self.accepting.into_iter().map(|one| Self { accepting: vec![one], ..Self::default() });
        let recording =
            self.recording.into_iter().map(|one| Self { recording: vec![one], ..Self::default() });
        let parking = self.parking.into_iter().map(|one| Self { parking: vec![one], ..Self::default() });
        accepting.chain(recording).chain(parking).collect()
    }
}
