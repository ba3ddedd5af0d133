//! The writer: group commit on one connection.
//!
//! It takes whatever commands wait, up to [`COMMIT_COMMANDS_MAX`], sends them as one statement, and only when that is
//! answered does anything outside hear of it: handoff, wakes and the checkpoint change together (PROTOCOL rules 6, 8 and
//! 9). While PostgreSQL is away it refuses new work at once, keeps the attempts that it was given, and writes them when
//! it is back.

use super::batch;
use super::claim;
use super::command::{Accepting, Answer, Batch, Command, Parking, Recording};
use super::lease;
use super::node::Node;
use super::partition::day_of_id;
use super::session::{Session, Trouble};
use crate::delivery::{Claims, Held, Record};
use crate::error::{Result, StoreError};
use crate::message::NewMessage;
use domain::clock::Timestamp;
use domain::id::{AttemptId, EndpointKey, LeaseId, MessageId};
use domain::limit::COMMIT_COMMANDS_MAX;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;

/// How long the writer waits for a command before it looks whether its lease is still there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two tries to reach PostgreSQL.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Payload bytes of one statement (16 MiB): the command that passes the limit is the last one.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How often a statement is sent again whose keys other nodes took at the same moment.
const RACES_MAX: u32 = 10;
/// When the store is closed while PostgreSQL is away, attempts are kept for so long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's state.
pub(super) struct Loop {
    pub(super) node: Arc<Node>,
    commands: mpsc::Receiver<Command>,
    pub(super) session: Option<Session>,
    /// Attempts whose statement has to be sent again.
    pub(super) kept: Vec<Recording>,
    /// Commands that have to wait for the next statement.
    later: Vec<Command>,
    /// When a session may be opened after one that could not be had or was spoiled, and why.
    open_at: Option<(Instant, StoreError)>,
    /// When attempts that were refused are sent again.
    pub(super) again_at: Option<Instant>,
    closing: Option<Instant>,
}

type Claiming = (Vec<(EndpointKey, u32)>, Timestamp, Answer<Vec<Claims>>);

impl Loop {
    pub(super) fn new(node: Arc<Node>, commands: mpsc::Receiver<Command>, session: Session) -> Self {
        Self {
            node,
            commands,
            session: Some(session),
            kept: Vec::new(),
            later: Vec::new(),
            open_at: None,
            again_at: None,
            closing: None,
        }
    }

    /// Runs until it is closed; an error ends the process, since too much is unknown.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut commands = Vec::with_capacity(COMMIT_COMMANDS_MAX);
        loop {
            let ready = self.ready().await;
            if let Err(error) = &ready
                && self.node.shared.troubled(&error.to_string())
            {
                tracing::error!(%error, "nothing can be committed; callers are told");
            }
            commands.append(&mut self.later);
            let pause = self.pause();
            let idle = commands.is_empty() && (self.kept.is_empty() || ready.is_err() || pause.is_some());
            if idle && self.closing.is_none() {
                let wait = if ready.is_ok() { pause.unwrap_or(LOOK_EVERY) } else { AGAIN_AFTER };
                // The time being over is as good as a command: both lead to another look.
                let _ = timeout(wait, self.commands.recv_many(&mut commands, COMMIT_COMMANDS_MAX)).await;
            } else if idle && !self.is_over() {
                // Nothing more comes, and what is kept has its time: the heartbeat needs this thread meanwhile.
                tokio::time::sleep(pause.unwrap_or(AGAIN_AFTER)).await;
            }
            while commands.len() < COMMIT_COMMANDS_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                commands.push(command);
            }
            match ready {
                Ok(lease) => self.step(&mut commands, lease).await?,
                Err(error) => self.refuse(&mut commands, &error),
            }
            if self.is_over() {
                return Ok(());
            }
        }
    }

    /// How long refused attempts wait still, so that a full disk is not asked without end.
    fn pause(&self) -> Option<Duration> {
        let left = self.again_at?.saturating_duration_since(Instant::now());
        (!left.is_zero() && !self.kept.is_empty()).then_some(left)
    }

    fn is_over(&self) -> bool {
        let Some(since) = self.closing else { return false };
        self.later.is_empty() && (self.kept.is_empty() || since.elapsed() > CLOSE_TIMEOUT)
    }

    /// A connection and a lease for new work, made when there are none; after a failure not again at once, since a server that
    /// refuses needs quiet.
    async fn ready(&mut self) -> Result<LeaseId> {
        if self.session.as_ref().is_some_and(|session| !session.is_good()) {
            self.session = None;
            let why = StoreError::Unavailable("PostgreSQL refused, or the connection broke".into());
            self.open_at = Some((Instant::now() + AGAIN_AFTER, why));
        }
        if self.session.is_none()
            && let Some((at, why)) = &self.open_at
            && *at > Instant::now()
        {
            return Err(why.clone());
        }
        let ready = self.prepare().await;
        self.open_at = ready.as_ref().err().map(|why| (Instant::now() + AGAIN_AFTER, why.clone()));
        ready
    }

    async fn prepare(&mut self) -> Result<LeaseId> {
        // Put back only when all of this went well: a session that cannot even do this is of no use.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                // It may be another server by now, which does not have all that the last one had.
                self.node.partitions.forget();
                Session::open(&self.node).await?
            }
        };
        let current = self.node.book.lock().current().map(|own| own.id);
        let lease = match current {
            Some(lease) => lease,
            None => lease::acquire(&session.client, &self.node).await?,
        };
        let leases: Vec<LeaseId> = self.node.book.lock().leases().map(|own| own.id).collect();
        session.name(&leases).await?;
        self.session = Some(session);
        Ok(lease)
    }

    /// Nothing can be written: new work is refused, attempts are kept.
    fn refuse(&mut self, commands: &mut Vec<Command>, error: &StoreError) {
        for command in commands.drain(..) {
            match command {
                Command::Accept(new, answer) => {
                    drop(new);
                    let _ = answer.send(Err(error.clone()));
                }
                Command::Park(_, answer) => _ = answer.send(Err(error.clone())),
                Command::Claim(_, _, answer) => _ = answer.send(Err(error.clone())),
                Command::Record(records, answer) => {
                    let recording = self.recording(records, answer);
                    self.kept.push(recording);
                }
                Command::Close => self.closing = Some(Instant::now()),
            }
        }
    }

    /// One statement for the commands, and one for each claim.
    async fn step(&mut self, commands: &mut Vec<Command>, lease: LeaseId) -> Result<()> {
        // By themselves: what refuses them again must not refuse new work.
        if !self.kept.is_empty() && self.pause().is_none() {
            let recording = std::mem::take(&mut self.kept);
            self.commit(Batch { recording, ..Batch::default() }, lease).await?;
        }
        let (batch, claims) = self.gather(commands).await;
        if !batch.is_empty() {
            self.commit(batch, lease).await?;
        }
        for (wanted, now, answer) in claims {
            self.claim(wanted, now, answer).await?;
        }
        Ok(())
    }

    async fn gather(&mut self, commands: &mut Vec<Command>) -> (Batch, Vec<Claiming>) {
        let mut batch = Batch::default();
        let (mut claims, mut bytes, mut keys) = (Vec::new(), 0, HashSet::new());
        for command in commands.drain(..) {
            if bytes > BATCH_BYTES_MAX && !matches!(command, Command::Close) {
                self.later.push(command);
                continue;
            }
            match command {
                // One statement cannot take the same key twice: the second waits for the next, and is refused there.
                Command::Accept(new, answer) if !take_keys(&mut keys, &new) => {
                    self.later.push(Command::Accept(new, answer));
                }
                Command::Accept(new, answer) => {
                    bytes += new.payload.len();
                    match self.next_id().await {
                        Ok(id) => batch.accepting.push(Accepting { id: MessageId(id), new, answer }),
                        Err(error) => {
                            drop(new);
                            let _ = answer.send(Err(error));
                        }
                    }
                }
                Command::Record(records, answer) => {
                    bytes += records.iter().map(|record| record.attempt.response.len()).sum::<usize>();
                    let recording = self.recording(records, answer);
                    batch.recording.push(recording);
                }
                Command::Park(parked, answer) => batch.parking.push(Parking { parked, answer }),
                Command::Claim(wanted, now, answer) => claims.push((wanted, now, answer)),
                Command::Close => self.closing = Some(Instant::now()),
            }
        }
        (batch, claims)
    }

    /// The next id of the lease. When the ceiling is reached (the clock was set, the heartbeat is late) a heartbeat
    /// moves it first (PROTOCOL rule 7).
    async fn next_id(&self) -> Result<i64> {
        let now = self.node.now();
        if let Some(id) = self.node.book.lock().next_id(now) {
            return Ok(id);
        }
        self.node.beat().await?;
        let id = self.node.book.lock().next_id(self.node.now());
        id.ok_or_else(|| StoreError::Unavailable("this node's lease has ended; it takes another".into()))
    }

    fn recording(&self, records: Arc<Vec<Record>>, answer: Answer<Vec<AttemptId>>) -> Recording {
        let now = self.node.now();
        let mut book = self.node.book.lock();
        let ids = records.iter().map(|_| AttemptId(book.next_attempt_id(now))).collect();
        Recording { records, ids, answer }
    }

    async fn commit(&mut self, batch: Batch, lease: LeaseId) -> Result<()> {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            // The checkpoint stays below what is still to be sent (rule 6).
            let unsent = waiting.iter().flat_map(|rest| &rest.accepting).map(|one| one.id.0).min();
            match self.send(&batch, lease).await {
                Ok(row) => self.committed(batch, lease, (&row, unsent)),
                // What broke the statement for all is found by sending each command by itself.
                Err(Trouble::Refused(StoreError::Broken(_))) if batch.commands() > 1 => {
                    // In their order: ids rise as they are announced.
                    waiting.extend(batch.apart().into_iter().rev());
                }
                Err(Trouble::Refused(error)) => self.refused(batch, &error, unsent),
                Err(Trouble::Raced) => {
                    self.refused(batch, &StoreError::Unavailable("the keys are contended".into()), unsent);
                }
                Err(Trouble::Unknown(error)) => {
                    self.unknown(batch, &error)?;
                    let rest: Vec<_> = std::mem::take(&mut waiting);
                    rest.into_iter().for_each(|batch| self.refused(batch, &error, None));
                }
            }
        }
        Ok(())
    }

    /// Sends the statement. A race for keys is run again, since the next snapshot shows who won.
    async fn send(&mut self, batch: &Batch, lease: LeaseId) -> std::result::Result<Row, Trouble> {
        let node = Arc::clone(&self.node);
        let away = || StoreError::Unavailable("PostgreSQL is away".into());
        let session = self.session.as_mut().ok_or_else(|| Trouble::Refused(away()))?;
        let (log, payload) = days(batch, &node);
        let made = node.partitions.ensure(&session.client, &log, &payload).await;
        if let Err(error) = made {
            // Whatever it was, a session that cannot make a partition is not gone on with.
            session.spoil();
            return Err(Trouble::Refused(error));
        }
        let leases: Vec<LeaseId> = node.book.lock().leases().map(|own| own.id).collect();
        let sql = batch::build(batch, &node, lease, &leases).map_err(Trouble::Refused)?;
        let started = Instant::now();
        let mut races = 0;
        let rows = loop {
            match session.run(&sql.text, &sql.parameters()).await {
                Err(Trouble::Raced) if races < RACES_MAX => races += 1,
                other => break other?,
            }
        };
        let metrics = &node.shared.metrics;
        metrics.batch.observe(batch.commands() as u64);
        metrics.commit_us.observe(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        if node.shared.mended() {
            tracing::info!("the store writes again");
        }
        rows.into_iter().next().ok_or_else(|| Trouble::Refused(StoreError::Broken("no answer row".into())))
    }

    async fn claim(
        &mut self,
        wanted: Vec<(EndpointKey, u32)>,
        now: Timestamp,
        answer: Answer<Vec<Claims>>,
    ) -> Result<()> {
        let away = || StoreError::Unavailable("PostgreSQL is away".into());
        let (id, Some(session)) = (self.next_id().await, self.session.as_mut()) else {
            self.node.book.lock().answered(None);
            let _ = answer.send(Err(away()));
            return Ok(());
        };
        let claimed = match id {
            Ok(id) => claim::claim(&self.node, session, id, (&wanted, now)).await,
            Err(error) => Err(Trouble::Refused(error)),
        };
        match claimed {
            Ok(claims) => {
                let rows: usize = claims.iter().map(|claims| claims.rows.len()).sum();
                self.node.change(|book| {
                    book.answered(None);
                    book.claimed(rows);
                });
                if let Err(Ok(unheard)) = answer.send(Ok(claims)) {
                    self.give_back(&unheard, now);
                }
            }
            Err(Trouble::Unknown(error)) => {
                self.failed(&error);
                self.session = None;
                self.rotate(&error)?;
                let _ = answer.send(Err(error));
            }
            Err(Trouble::Refused(error)) => {
                self.node.book.lock().answered(None);
                self.failed(&error);
                let _ = answer.send(Err(error));
            }
            Err(Trouble::Raced) => self.node.book.lock().answered(None),
        }
        Ok(())
    }

    /// Nobody carries these claims: their rows are free at once.
    fn give_back(&mut self, claims: &[Claims], now: Timestamp) {
        let rows = claims.iter().flat_map(|claims| &claims.rows);
        let parked = rows.map(|row| crate::delivery::Parked {
            key: row.key,
            held: Held::Claimed(row.claim),
            due_at: now,
            state: domain::delivery::RowState::Pending,
        });
        let (answer, _nobody) = tokio::sync::oneshot::channel();
        self.later.push(Command::Park(parked.collect(), answer));
    }
}

fn take_keys(taken: &mut HashSet<(i64, Vec<u8>)>, new: &NewMessage) -> bool {
    let event = new.event_id.as_ref().map(|id| (new.application.0, id.as_bytes().to_vec()));
    let explicit = new.key.filter(|key| key.explicit).map(|key| (-1, key.hash.to_vec()));
    let keys: Vec<_> = event.into_iter().chain(explicit).collect();
    if keys.iter().any(|key| taken.contains(key)) {
        return false;
    }
    taken.extend(keys);
    true
}

/// The days whose partitions a batch needs.
fn days(batch: &Batch, node: &Node) -> (Vec<i64>, Vec<i64>) {
    let messages = batch.accepting.iter().map(|one| one.id.0);
    let attempts = batch.recording.iter().flat_map(|one| one.ids.iter().map(|id| id.0));
    let mut log: Vec<i64> = messages.chain(attempts).map(day_of_id).collect();
    log.dedup();
    let retention = node.retention_days;
    let mut payload: Vec<i64> =
        batch.accepting.iter().map(|one| batch::payload_day(one.id, &one.new, retention)).collect();
    payload.dedup();
    (log, payload)
}
