//! Contract: notices, and the letters that follow from them.
//!
//! A notice is written in the transaction that makes what it tells of, and only once for its episode. Telling it is a second
//! transaction, which marks it told and adds a letter for each recipient: cut short between the two, it is told later, and of
//! two nodes one tells it. Letters are claimed in groups by recipient; a recipient counts those that wait, and its time keeps others
//! away for a minute.

use crate::Store;
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{Channel, NewNotice, Notice, NoticeKind};
use domain::page::{Page, Slice};
use domain::word::Worded;
use std::time::Duration;

/// A letter that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLetter {
    /// By which way.
    pub channel: Channel,
    /// To whom, as a fingerprint: letters to the same one go together.
    pub recipient: String,
    /// To whom, in full. Stored sealed.
    pub to: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// Not before, if the recipient has no others that wait.
    pub due_at: Timestamp,
}

/// Letters to one recipient that go out as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// By which way.
    pub channel: Channel,
    /// To whom, as a fingerprint.
    pub recipient: String,
    /// To whom, in full.
    pub to: String,
    /// The first notices, oldest first.
    pub notices: Vec<Notice>,
    /// All of its letters.
    pub keys: Vec<i64>,
    /// Which try this is since the last one that succeeded, from 1.
    pub tries: u32,
}

/// What became of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It was taken.
    Sent,
    /// It was not, for this reason: it is tried again then. Letters that were written before `give_up` are given up.
    Later {
        /// When it is tried again.
        at: Timestamp,
        /// Why it was not taken.
        why: String,
        /// Letters that were written before are given up.
        give_up: Timestamp,
    },
    /// It never will be, for this reason.
    GivenUp(String),
}

/// How a letter stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// By which way.
    pub channel: Channel,
    /// To whom, in full.
    pub to: String,
    /// `waiting`, `sent` or `failed`.
    pub state: &'static str,
    /// Why it was not sent yet, or will never be.
    pub error: Option<String>,
}

/// What the store does with notices.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Keeps those that are not there yet.
    async fn notices_add(&self, notices: Vec<NewNotice>) -> Result<()>;
    /// Up to so many notices after this key that nobody was told of, for people or for operational webhooks alone, oldest first.
    async fn notices_untold(&self, is_for_people: bool, after: i64, limit: u32) -> Result<Vec<Notice>>;
    /// Takes a notice back that nobody was told of: what it told of did not come to be.
    async fn notice_drop(&self, notice: i64) -> Result<()>;
    /// Marks a notice told and adds its letters. `false` when somebody else did so before.
    async fn notice_told(&self, notice: i64, letters: Vec<NewLetter>) -> Result<bool>;
    /// A page of an application's notices for people, or of one endpoint's, by key.
    async fn notice_list(
        &self,
        application: ApplicationKey,
        endpoint: Option<EndpointKey>,
        page: Page<i64>,
    ) -> Result<Slice<Notice>>;
    /// The letters of these notices, as (notice, letter).
    async fn letters(&self, notices: Vec<i64>) -> Result<Vec<(i64, Letter)>>;
    /// Claims up to `limit` parcels of a channel that are due at `now`, those first that have waited longest. Nobody claims for
    /// the same recipient within [`domain::notice::LETTER_EVERY_MS`].
    async fn parcels_claim(&self, channel: Channel, now: Timestamp, limit: u32) -> Result<Vec<Parcel>>;
    /// Notes what became of a parcel. Of one with very many letters in several steps.
    async fn parcel_end(&self, parcel: &Parcel, sending: Sending) -> Result<()>;
}

/// How many events wait for a notice's endpoint, where that matters: those that were accepted since it fails, of the last 28 days.
pub async fn waiting(store: &dyn Store, new: &NewNotice, now: Timestamp) -> Option<u64> {
    const COUNTED_MS: i64 = 28 * 86_400_000;
    if !matches!(new.kind, NoticeKind::Failing | NoticeKind::Disabled | NoticeKind::Exhausted) {
        return None;
    }
    let since = Timestamp(new.facts.since.unwrap_or(new.at.0)).max(now.plus_ms(-COUNTED_MS));
    let counts = store.delivery_counts(new.endpoint, since, now.plus_ms(1)).await;
    counts.ok().map(|counts| counts.pending + counts.canceled)
}

/// What a letter's recipient is bound to.
pub(crate) const LETTER_PLACE: &str = "letter.to";

/// Letters that are written in one step, and the pause between two: the path of messages must not notice.
pub(crate) const STEP: usize = 50;
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
/// Letters of one parcel.
pub(crate) const LETTERS_MAX: i64 = 10_000;

/// How a letter stands, as it is stored.
pub(crate) const WAITING: i64 = 0;
pub(crate) const SENT: i64 = 1;
pub(crate) const FAILED: i64 = 2;

/// The word of a stored state.
pub(crate) const fn state_of(state: i64) -> &'static str {
    match state {
        WAITING => "waiting",
        SENT => "sent",
        _ => "failed",
    }
}

/// The columns of a notice.
pub(crate) const COLUMNS: &str =
    "notice.key, notice.application, notice.endpoint, notice.kind, notice.episode, notice.subject,
                                  notice.at, notice.is_for_people, notice.facts";

/// A notice as it is stored.
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) application: i64,
    pub(crate) endpoint: i64,
    pub(crate) kind: String,
    pub(crate) episode: i64,
    pub(crate) subject: String,
    pub(crate) at: i64,
    pub(crate) is_for_people: bool,
    pub(crate) facts: String,
}

impl Stored {
    pub(crate) fn read(self) -> Result<Notice> {
        let broken = |what: String| StoreError::Broken(format!("a stored notice does not read back: {what}"));
        let new = NewNotice {
            application: ApplicationKey(self.application),
            endpoint: EndpointKey(self.endpoint),
            kind: NoticeKind::from_word(&self.kind).ok_or_else(|| broken(self.kind.clone()))?,
            episode: self.episode,
            subject: self.subject,
            at: Timestamp(self.at),
            is_for_people: self.is_for_people,
            facts: serde_json::from_str(&self.facts).map_err(|error| broken(error.to_string()))?,
        };
        Ok(Notice { key: self.key, new })
    }
}

/// The facts of a notice as they are stored.
pub(crate) fn facts_column(notice: &NewNotice) -> String {
    // PostgreSQL's texts cannot hold it.
    serde_json::to_string(&notice.facts).unwrap_or_default().replace("\\u0000", "\\ufffd")
}

/// A channel as it is stored.
pub(crate) fn channel_of(word: &str) -> Result<Channel> {
    Channel::from_word(word)
        .ok_or_else(|| StoreError::Broken(format!("a stored letter has the channel `{word}`")))
}
