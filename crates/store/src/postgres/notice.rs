//! Notices and their letters on PostgreSQL.

use super::Postgres;
use super::query::Conditions;
use super::readers::Parameter;
use crate::error::{Result, StoreError};
use crate::notice::{
    COLUMNS, FAILED, LETTER_PLACE, LETTERS_MAX, Letter, NewLetter, Notices, PAUSE, Parcel, SENT, STEP,
    Sending, Stored, channel_of, facts_column, state_of,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{AHEAD_MS_MAX, Channel, LETTER_EVERY_MS, NewNotice, Notice, TOLD_MAX};
use domain::page::{Page, Slice};
use domain::word::Worded;
use tokio_postgres::Row;

fn read(row: &Row) -> Result<Notice> {
    Stored {
        key: row.get(0),
        application: row.get(1),
        endpoint: row.get(2),
        kind: row.get(3),
        episode: row.get(4),
        subject: row.get(5),
        at: row.get(6),
        is_for_people: row.get(7),
        facts: row.get(8),
    }
    .read()
}

/// Writes notices that come as JSON, beside what they tell of. `$n` is the parameter, `from` a table of the statement that has a
/// row if that was done: its `endpoint` is the notices' where they do not know it themselves.
pub(super) fn told_with(parameter: usize, from: &str) -> String {
    format!(
        ", noticed AS (
             INSERT INTO notice (application, endpoint, kind, episode, subject, at, is_for_people, facts)
             SELECT asked.application, coalesce(nullif(asked.endpoint, 0), {from}.key), asked.kind, asked.episode, asked.subject,
                    asked.at, asked.is_for_people, asked.facts
             FROM {from}, json_to_recordset(${parameter}::text::json) AS asked (
                 application bigint, endpoint bigint, kind text, episode bigint, subject text, at bigint, is_for_people boolean,
                 facts text)
             ON CONFLICT DO NOTHING)"
    )
}

/// Notices as JSON, for [`told_with`].
pub(super) fn as_json(notices: &[NewNotice]) -> String {
    let one = |notice: &NewNotice| {
        serde_json::json!({
            "application": notice.application.0,
            "endpoint": notice.endpoint.0,
            "kind": notice.kind.word(),
            "episode": notice.episode,
            "subject": notice.subject,
            "at": notice.at.0,
            "is_for_people": notice.is_for_people,
            "facts": facts_column(notice),
        })
    };
    serde_json::Value::Array(notices.iter().map(one).collect()).to_string()
}

#[async_trait]
impl Notices for Postgres {
    async fn notices_add(&self, notices: Vec<NewNotice>) -> Result<()> {
        let sql = format!("WITH one AS (SELECT 0::bigint AS key){} SELECT key FROM one", told_with(1, "one"));
        self.own_readers.execute(&sql, &[&as_json(&notices)]).await.map(|_| ())
    }

    async fn notices_untold(&self, is_for_people: bool, after: i64, limit: u32) -> Result<Vec<Notice>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM notice WHERE NOT told AND is_for_people = $1 AND key > $2 ORDER BY key LIMIT $3"
        );
        let rows = self.own_readers.rows(&sql, &[&is_for_people, &after, &i64::from(limit)]).await?;
        // One that does not read back must not keep others waiting.
        Ok(rows.iter().filter_map(|row| read(row).ok()).collect())
    }

    async fn notice_drop(&self, notice: i64) -> Result<()> {
        let sql = "DELETE FROM notice WHERE key = $1 AND NOT told";
        self.own_readers.execute(sql, &[&notice]).await.map(|_| ())
    }

    async fn notice_told(&self, notice: i64, letters: Vec<NewLetter>) -> Result<bool> {
        // In the order in which recipients are locked everywhere.
        let mut letters = letters;
        letters.sort_unstable_by(|one, other| {
            (one.channel.word(), &one.recipient).cmp(&(other.channel.word(), &other.recipient))
        });
        letters.dedup_by(|one, other| one.channel == other.channel && one.recipient == other.recipient);
        let seal = |letter: &NewLetter| self.node.sealer.seal(LETTER_PLACE, letter.to.as_bytes());
        let sealed = letters.iter().map(seal).collect::<Result<Vec<_>>>()?;
        let channels: Vec<_> = letters.iter().map(|letter| letter.channel.word()).collect();
        let recipients: Vec<_> = letters.iter().map(|letter| &*letter.recipient).collect();
        let written: Vec<_> = letters.iter().map(|letter| letter.written_at.0).collect();
        let due: Vec<_> = letters.iter().map(|letter| letter.due_at.0).collect();
        let sql = "WITH marked AS (UPDATE notice SET told = true WHERE key = $1 AND NOT told RETURNING key),
                   asked AS MATERIALIZED (
                       SELECT marked.key AS notice, asked.* FROM marked,
                           unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[])
                               AS asked (channel, recipient, sealed_to, written_at, due_at)),
                   written AS (
                       INSERT INTO letter (notice, channel, recipient, sealed_to, state, written_at)
                       SELECT notice, channel, recipient, sealed_to, 0, written_at FROM asked
                       ON CONFLICT DO NOTHING RETURNING channel, recipient),
                   counted AS (
                       INSERT INTO recipient (channel, recipient, next_at, waiting, tries)
                       SELECT channel, recipient, asked.due_at, 1, 0 FROM written JOIN asked USING (channel, recipient)
                       ORDER BY channel, recipient
                       ON CONFLICT (channel, recipient) DO UPDATE SET waiting = recipient.waiting + 1,
                           next_at = CASE WHEN recipient.waiting > 0 THEN recipient.next_at
                                          ELSE greatest(recipient.next_at, excluded.next_at) END)
                   SELECT key FROM marked";
        let values: &[Parameter<'_>] = &[&notice, &channels, &recipients, &sealed, &written, &due];
        Ok(self.own_readers.row(sql, values).await?.is_some())
    }

    async fn notice_list(
        &self,
        application: ApplicationKey,
        endpoint: Option<EndpointKey>,
        page: Page<i64>,
    ) -> Result<Slice<Notice>> {
        let mut conditions = Conditions::default();
        conditions.with("application = ?", application.0).bare("is_for_people").page("key", &page);
        if let Some(endpoint) = endpoint {
            conditions.with("endpoint = ?", endpoint.0);
        }
        let sql = format!("SELECT {COLUMNS} FROM notice {}", conditions.tail("key", &page));
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let found: Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(page.slice(found?))
    }

    async fn letters(&self, notices: Vec<i64>) -> Result<Vec<(i64, Letter)>> {
        let sql = "SELECT letter.notice, letter.channel, letter.sealed_to, letter.state,
                          coalesce(letter.error, CASE WHEN letter.state = 0 THEN recipient.error END)
                   FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (notice, place)
                   JOIN letter USING (notice) LEFT JOIN recipient USING (channel, recipient)
                   ORDER BY wanted.place, letter.channel, letter.key";
        let letter = |row: &Row| {
            let to = self.node.sealer.open(LETTER_PLACE, row.get(2))?;
            let (channel, to) = (channel_of(row.get(1))?, String::from_utf8_lossy(&to).into_owned());
            Ok((row.get(0), Letter { channel, to, state: state_of(row.get(3)), error: row.get(4) }))
        };
        self.readers.rows(sql, &[&notices]).await?.iter().map(letter).collect()
    }

    async fn parcels_claim(&self, channel: Channel, now: Timestamp, limit: u32) -> Result<Vec<Parcel>> {
        let (ahead, next) = (now.plus_ms(AHEAD_MS_MAX).0, now.plus_ms(LETTER_EVERY_MS).0);
        let sql = "WITH due AS MATERIALIZED (
                       SELECT recipient FROM recipient
                       WHERE channel = $1 AND waiting > 0 AND (next_at <= $2 OR next_at > $3)
                       ORDER BY next_at LIMIT $5 FOR UPDATE SKIP LOCKED)
                   UPDATE recipient SET next_at = $4 FROM due
                   WHERE recipient.channel = $1 AND recipient.recipient = due.recipient
                   RETURNING recipient.recipient, recipient.tries, recipient.waiting";
        let values: &[Parameter<'_>] = &[&channel.word(), &now.0, &ahead, &next, &i64::from(limit)];
        let claimed = self.own_readers.rows(sql, values).await?;
        let mut parcels = Vec::new();
        for row in &claimed {
            let tries = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX).saturating_add(1);
            match self.parcel((channel, row.get(0)), (tries, row.get(2))).await {
                Ok(parcel) => parcels.extend(parcel),
                // One that does not open must not keep others waiting.
                Err(StoreError::Broken(why)) => tracing::error!(why, "a letter cannot be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(parcels)
    }

    async fn parcel_end(&self, parcel: &Parcel, sending: Sending) -> Result<()> {
        let (channel, recipient) = (parcel.channel.word(), &*parcel.recipient);
        let (state, give_up, next, error) = match sending {
            Sending::Sent => (SENT, i64::MAX, None, None),
            Sending::GivenUp(why) => (FAILED, i64::MAX, None, Some(why)),
            Sending::Later { at, why, give_up } => (FAILED, give_up.0, Some(at.0), Some(why)),
        };
        let is_later = next.is_some();
        let tries = if is_later { i64::from(parcel.tries) } else { 0 };
        let sql = "UPDATE recipient SET next_at = coalesce($3, next_at), tries = $4, error = $5
                   WHERE channel = $1 AND recipient = $2";
        let told = error.as_ref().filter(|_| is_later);
        self.own_readers.execute(sql, &[&channel, &recipient, &next, &tries, &told]).await?;
        let sql = "WITH ended AS (
                       UPDATE letter SET state = $4, error = $5
                       WHERE key = ANY($3) AND state = 0 AND written_at < $6 RETURNING key)
                   UPDATE recipient SET waiting = waiting - (SELECT count(*) FROM ended)
                   WHERE channel = $1 AND recipient = $2";
        for step in parcel.keys.chunks(STEP) {
            let values: &[Parameter<'_>] = &[&channel, &recipient, &step, &state, &error, &give_up];
            self.own_readers.execute(sql, values).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Postgres {
    /// The parcel that was claimed; `said` is how many letters are said to wait.
    async fn parcel(
        &self,
        (channel, recipient): (Channel, &str),
        (tries, said): (u32, i64),
    ) -> Result<Option<Parcel>> {
        let sql = "SELECT key FROM letter WHERE channel = $1 AND recipient = $2 AND state = 0 ORDER BY key LIMIT $3";
        let rows = self.own_readers.rows(sql, &[&channel.word(), &recipient, &LETTERS_MAX]).await?;
        let keys: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        if keys.is_empty() {
            // They went with their notices. One that was written meanwhile is counted, and this changes nothing.
            let sql =
                "UPDATE recipient SET waiting = 0 WHERE channel = $1 AND recipient = $2 AND waiting = $3";
            self.own_readers.execute(sql, &[&channel.word(), &recipient, &said]).await?;
            return Ok(None);
        }
        let told = &keys[..keys.len().min(TOLD_MAX)];
        let sql = format!(
            "SELECT {COLUMNS}, letter.sealed_to FROM letter JOIN notice ON notice.key = letter.notice
             WHERE letter.key = ANY($1) ORDER BY letter.key"
        );
        let rows = self.own_readers.rows(&sql, &[&told]).await?;
        let to = match rows.last() {
            Some(row) => self.node.sealer.open(LETTER_PLACE, row.get(9))?,
            None => Vec::new(),
        };
        let notices = rows.iter().map(read).collect::<Result<_>>()?;
        let (recipient, to) = (recipient.to_owned(), String::from_utf8_lossy(&to).into_owned());
        Ok(Some(Parcel { channel, recipient, to, notices, keys, tries }))
    }
}
