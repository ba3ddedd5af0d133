//! Notices and their letters on PostgreSQL.

use super::Postgres;
use super::query::Conditions;
use super::readers::Parameter;
use crate::error::Result;
use crate::notice::{
    AHEAD_MS_MAX, COLUMNS, FAILED, LETTER_PLACE, Letter, NewLetter, Notices, Parcel, SENT, STEP, Sending,
    Stored, channel_of, facts_column, state_of,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{LETTER_EVERY_MS, NewNotice, Notice, TOLD_MAX};
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

    async fn notices_untold(&self, limit: u32) -> Result<Vec<Notice>> {
        let sql = format!("SELECT {COLUMNS} FROM notice WHERE NOT told ORDER BY key LIMIT $1");
        self.own_readers.rows(&sql, &[&i64::from(limit)]).await?.iter().map(read).collect()
    }

    async fn notice_told(&self, notice: i64, letters: Vec<NewLetter>) -> Result<bool> {
        let seal = |letter: &NewLetter| self.node.sealer.seal(LETTER_PLACE, letter.to.as_bytes());
        let sealed = letters.iter().map(seal).collect::<Result<Vec<_>>>()?;
        let channels: Vec<_> = letters.iter().map(|letter| letter.channel.word()).collect();
        let recipients: Vec<_> = letters.iter().map(|letter| &*letter.recipient).collect();
        let due: Vec<_> = letters.iter().map(|letter| letter.due_at.0).collect();
        let sql = "WITH marked AS (UPDATE notice SET told = true WHERE key = $1 AND NOT told RETURNING key),
                   written AS (
                       INSERT INTO letter (notice, channel, recipient, sealed_to, state, due_at)
                       SELECT marked.key, asked.channel, asked.recipient, asked.sealed_to, 0, asked.due_at
                       FROM marked, unnest($2::text[], $3::text[], $4::bytea[], $5::bigint[])
                                    AS asked (channel, recipient, sealed_to, due_at)
                       ON CONFLICT DO NOTHING)
                   SELECT key FROM marked";
        let values: &[Parameter<'_>] = &[&notice, &channels, &recipients, &sealed, &due];
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

    async fn parcels_claim(&self, now: Timestamp, limit: u32) -> Result<Vec<Parcel>> {
        let (ahead, next) = (now.plus_ms(AHEAD_MS_MAX).0, now.plus_ms(LETTER_EVERY_MS).0);
        // Whoever waits for another's claim of the same recipient sees its time, and leaves it alone.
        let sql = "WITH due AS MATERIALIZED (
                       SELECT letter.channel, letter.recipient FROM letter
                       LEFT JOIN recipient USING (channel, recipient)
                       WHERE letter.state = 0 AND (letter.due_at <= $1 OR letter.due_at > $2)
                         AND (recipient.next_at IS NULL OR recipient.next_at <= $1 OR recipient.next_at > $2)
                       GROUP BY letter.channel, letter.recipient ORDER BY letter.channel, letter.recipient LIMIT $4),
                   claimed AS (
                       INSERT INTO recipient (channel, recipient, next_at, tries)
                       SELECT channel, recipient, $3::bigint, 0 FROM due
                       ON CONFLICT (channel, recipient) DO UPDATE SET next_at = excluded.next_at
                           WHERE recipient.next_at <= $1 OR recipient.next_at > $2
                       RETURNING channel, recipient, tries)
                   SELECT claimed.channel, claimed.recipient, claimed.tries, waiting.last, waiting.count
                   FROM claimed CROSS JOIN LATERAL (
                       SELECT max(key) AS last, count(*) AS count FROM letter
                       WHERE letter.channel = claimed.channel AND letter.recipient = claimed.recipient AND letter.state = 0
                         AND (letter.due_at <= $1 OR letter.due_at > $2)) AS waiting
                   WHERE waiting.count > 0";
        let values: &[Parameter<'_>] = &[&now.0, &ahead, &next, &i64::from(limit)];
        let claimed = self.own_readers.rows(sql, values).await?;
        let mut parcels = Vec::new();
        for row in &claimed {
            let (channel, recipient, last): (&str, &str, i64) = (row.get(0), row.get(1), row.get(3));
            let sql = format!(
                "SELECT {COLUMNS}, letter.sealed_to FROM letter JOIN notice ON notice.key = letter.notice
                 WHERE letter.channel = $1 AND letter.recipient = $2 AND letter.state = 0 AND letter.key <= $3
                 ORDER BY letter.key LIMIT $4"
            );
            let first: &[Parameter<'_>] = &[&channel, &recipient, &last, &(TOLD_MAX as i64)];
            let rows = self.own_readers.rows(&sql, first).await?;
            let Some(sealed) = rows.last().map(|row| row.get::<_, Vec<u8>>(9)) else { continue };
            parcels.push(Parcel {
                channel: channel_of(channel)?,
                recipient: recipient.to_owned(),
                to: String::from_utf8_lossy(&self.node.sealer.open(LETTER_PLACE, &sealed)?).into_owned(),
                notices: rows.iter().map(read).collect::<Result<_>>()?,
                count: row.get::<_, i64>(4).unsigned_abs(),
                last,
                tries: u32::try_from(row.get::<_, i64>(2)).unwrap_or(u32::MAX).saturating_add(1),
            });
        }
        Ok(parcels)
    }

    async fn parcel_end(&self, parcel: &Parcel, sending: Sending) -> Result<()> {
        let (channel, recipient) = (parcel.channel.word(), &*parcel.recipient);
        let (state, error) = match sending {
            Sending::Later(at, why) => {
                let sql = "UPDATE recipient SET next_at = $3, tries = tries + 1, error = $4
                           WHERE channel = $1 AND recipient = $2";
                return self.own_readers.execute(sql, &[&channel, &recipient, &at.0, &why]).await.map(|_| ());
            }
            Sending::Sent => (SENT, None),
            Sending::GivenUp(why) => (FAILED, Some(why)),
        };
        let sql = "WITH heard AS (UPDATE recipient SET tries = 0, error = NULL WHERE channel = $1 AND recipient = $2)
                   UPDATE letter SET state = $4, error = $5 WHERE key IN (
                       SELECT key FROM letter WHERE channel = $1 AND recipient = $2 AND state = 0 AND key <= $3 LIMIT $6)";
        let values: &[Parameter<'_>] = &[&channel, &recipient, &parcel.last, &state, &error, &STEP];
        while self.own_readers.execute(sql, values).await? >= STEP.unsigned_abs() {}
        Ok(())
    }
}
