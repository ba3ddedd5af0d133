//! Notices and their letters on SQLite.

use super::Sqlite;
use super::query::Conditions;
use super::row::collect;
use crate::error::Result;
use crate::notice::{
    AHEAD_MS_MAX, COLUMNS, FAILED, LETTER_PLACE, Letter, NewLetter, Notices, Parcel, SENT, STEP, Sending,
    Stored, channel_of, facts_column, state_of,
};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{LETTER_EVERY_MS, NewNotice, Notice, TOLD_MAX};
use domain::page::{Page, Slice};
use domain::word::Worded;
use rusqlite::{Connection, Row, params, params_from_iter};

fn read(row: &Row<'_>) -> Result<Notice> {
    Stored {
        key: row.get(0)?,
        application: row.get(1)?,
        endpoint: row.get(2)?,
        kind: row.get(3)?,
        episode: row.get(4)?,
        subject: row.get(5)?,
        at: row.get(6)?,
        is_for_people: row.get(7)?,
        facts: row.get(8)?,
    }
    .read()
}

/// Keeps a notice, unless it is there.
pub(super) fn add(c: &Connection, notice: &NewNotice) -> Result<()> {
    c.prepare_cached(
        "INSERT INTO notice (application, endpoint, kind, episode, subject, at, is_for_people, facts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        notice.application.0,
        notice.endpoint.0,
        notice.kind.word(),
        notice.episode,
        notice.subject,
        notice.at.0,
        notice.is_for_people,
        facts_column(notice)
    ])?;
    Ok(())
}

/// Who has letters that are due, and is not to be left alone.
const DUE: &str = "SELECT letter.channel, letter.recipient FROM letter
                   LEFT JOIN recipient ON recipient.channel = letter.channel AND recipient.recipient = letter.recipient
                   WHERE letter.state = 0 AND (letter.due_at <= ?1 OR letter.due_at > ?2)
                     AND (recipient.next_at IS NULL OR recipient.next_at <= ?1 OR recipient.next_at > ?2)
                   GROUP BY letter.channel, letter.recipient LIMIT ?3";

/// Whether nobody else has claimed for the recipient; then nobody does for a while. Answers the tries that it had.
fn claim(c: &Connection, (channel, recipient): (&str, &str), now: Timestamp) -> Result<Option<u32>> {
    let mut statement = c.prepare_cached(
        "INSERT INTO recipient (channel, recipient, next_at, tries) VALUES (?1, ?2, ?3, 0)
         ON CONFLICT (channel, recipient) DO UPDATE SET next_at = excluded.next_at
             WHERE recipient.next_at <= ?4 OR recipient.next_at > ?5
         RETURNING tries",
    )?;
    let next = now.plus_ms(LETTER_EVERY_MS).0;
    let ahead = now.plus_ms(AHEAD_MS_MAX).0;
    let mut rows = statement.query(params![channel, recipient, next, now.0, ahead])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Where the waiting letters to somebody end, and how many there are.
fn waiting(c: &Connection, (channel, recipient): (&str, &str), now: Timestamp) -> Result<Option<(i64, i64)>> {
    let mut statement = c.prepare_cached(
        "SELECT max(key), count(*) FROM letter
         WHERE channel = ?1 AND recipient = ?2 AND state = 0 AND (due_at <= ?3 OR due_at > ?4)",
    )?;
    let ahead = now.plus_ms(AHEAD_MS_MAX).0;
    let found = statement.query_row(params![channel, recipient, now.0, ahead], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get(1)?))
    })?;
    Ok(found.0.map(|last| (last, found.1)))
}

fn parcel(
    c: &Connection,
    (channel, recipient): (&str, &str),
    now: Timestamp,
    sealer: &Sealer,
) -> Result<Option<Parcel>> {
    let Some(tries) = claim(c, (channel, recipient), now)? else { return Ok(None) };
    let Some((last, count)) = waiting(c, (channel, recipient), now)? else { return Ok(None) };
    let sql = format!(
        "SELECT {COLUMNS}, letter.sealed_to FROM letter JOIN notice ON notice.key = letter.notice
         WHERE letter.channel = ?1 AND letter.recipient = ?2 AND letter.state = 0 AND letter.key <= ?3
         ORDER BY letter.key LIMIT ?4"
    );
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query(params![channel, recipient, last, TOLD_MAX as i64])?;
    let found = collect(rows, |row| Ok((read(row)?, row.get::<_, Vec<u8>>(9)?)))?;
    let Some((_, sealed)) = found.last() else { return Ok(None) };
    let to = sealer.open(LETTER_PLACE, sealed)?;
    Ok(Some(Parcel {
        channel: channel_of(channel)?,
        recipient: recipient.to_owned(),
        to: String::from_utf8_lossy(&to).into_owned(),
        notices: found.into_iter().map(|(notice, _)| notice).collect(),
        count: count.unsigned_abs(),
        last,
        tries: tries.saturating_add(1),
    }))
}

#[async_trait]
impl Notices for Sqlite {
    async fn notices_add(&self, notices: Vec<NewNotice>) -> Result<()> {
        let add_all = move |c: &Connection| notices.iter().try_for_each(|notice| add(c, notice));
        self.writer.write(move |c, _| add_all(c), |_, ()| {}).await
    }

    async fn notices_untold(&self, limit: u32) -> Result<Vec<Notice>> {
        let find = move |c: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM notice WHERE told = 0 ORDER BY key LIMIT ?1");
            collect(c.prepare_cached(&sql)?.query([limit])?, read)
        };
        self.own_readers.read(find).await
    }

    async fn notice_told(&self, notice: i64, letters: Vec<NewLetter>) -> Result<bool> {
        let seal = |letter: &NewLetter| self.sealer.seal(LETTER_PLACE, letter.to.as_bytes());
        let sealed = letters.iter().map(seal).collect::<Result<Vec<_>>>()?;
        let tell = move |c: &Connection| {
            let mut mark = c.prepare_cached("UPDATE notice SET told = 1 WHERE key = ?1 AND told = 0")?;
            if mark.execute([notice])? == 0 {
                return Ok(false);
            }
            for (letter, sealed) in letters.iter().zip(&sealed) {
                c.prepare_cached(
                    "INSERT INTO letter (notice, channel, recipient, sealed_to, state, due_at) VALUES (?1, ?2, ?3, ?4, 0, ?5)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![notice, letter.channel.word(), letter.recipient, sealed, letter.due_at.0])?;
            }
            Ok(true)
        };
        self.writer.write(move |c, _| tell(c), |_, _| {}).await
    }

    async fn notice_list(
        &self,
        application: ApplicationKey,
        endpoint: Option<EndpointKey>,
        page: Page<i64>,
    ) -> Result<Slice<Notice>> {
        let list = move |c: &Connection| {
            let mut conditions = Conditions::default();
            conditions.with("application = ?", application.0).bare("is_for_people = 1").page("key", &page);
            if let Some(endpoint) = endpoint {
                conditions.with("endpoint = ?", endpoint.0);
            }
            let sql = format!("SELECT {COLUMNS} FROM notice {}", conditions.tail("key", &page));
            let mut statement = c.prepare_cached(&sql)?;
            Ok(page.slice(collect(statement.query(params_from_iter(&conditions.values))?, read)?))
        };
        self.readers.read(list).await
    }

    async fn letters(&self, notices: Vec<i64>) -> Result<Vec<(i64, Letter)>> {
        let find = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT notice, channel, sealed_to, state, coalesce(letter.error, (
                     SELECT error FROM recipient
                     WHERE recipient.channel = letter.channel AND recipient.recipient = letter.recipient AND letter.state = 0))
                 FROM letter WHERE notice = ?1 ORDER BY channel, key",
            )?;
            let mut found = Vec::new();
            for notice in notices {
                let read = |row: &Row<'_>| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        channel_of(&row.get::<_, String>(1)?)?,
                        row.get::<_, Vec<u8>>(2)?,
                        row.get::<_, i64>(3)?,
                        row.get::<_, Option<String>>(4)?,
                    ))
                };
                found.extend(collect(statement.query([notice])?, read)?);
            }
            Ok(found)
        };
        let open = |(notice, channel, sealed, state, error): (i64, _, Vec<u8>, i64, _)| {
            let to = String::from_utf8_lossy(&self.sealer.open(LETTER_PLACE, &sealed)?).into_owned();
            Ok((notice, Letter { channel, to, state: state_of(state), error }))
        };
        self.readers.read(find).await?.into_iter().map(open).collect()
    }

    async fn parcels_claim(&self, now: Timestamp, limit: u32) -> Result<Vec<Parcel>> {
        let ahead = now.plus_ms(AHEAD_MS_MAX).0;
        let look = move |c: &Connection| {
            let mut statement = c.prepare_cached(DUE)?;
            collect(statement.query(params![now.0, ahead, limit])?, |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
        };
        // Beside the path of messages: walking through what waits takes its time.
        let due = self.own_readers.read(look).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let claim_all = move |c: &Connection, sealer: &Sealer| {
            let mut parcels = Vec::new();
            for (channel, recipient) in &due {
                parcels.extend(parcel(c, (channel, recipient), now, sealer)?);
            }
            Ok(parcels)
        };
        self.writer.write(move |c, memory| claim_all(c, &memory.sealer), |_, _| {}).await
    }

    async fn parcel_end(&self, parcel: &Parcel, sending: Sending) -> Result<()> {
        let (next, error) = match &sending {
            Sending::Sent => (None, None),
            Sending::Later(at, why) => (Some(*at), Some(why.clone())),
            Sending::GivenUp(why) => (None, Some(why.clone())),
        };
        let (channel, recipient, last) = (parcel.channel.word(), parcel.recipient.clone(), parcel.last);
        if let Some(next) = next {
            let later = move |c: &Connection| {
                c.prepare_cached(
                    "UPDATE recipient SET next_at = ?3, tries = tries + 1, error = ?4 WHERE channel = ?1 AND recipient = ?2",
                )?
                .execute(params![channel, recipient, next.0, error])?;
                Ok(())
            };
            return self.writer.write(move |c, _| later(c), |_, ()| {}).await;
        }
        let state = if sending == Sending::Sent { SENT } else { FAILED };
        loop {
            let (recipient, error) = (recipient.clone(), error.clone());
            let end = move |c: &Connection| {
                c.prepare_cached(
                    "UPDATE recipient SET tries = 0, error = NULL WHERE channel = ?1 AND recipient = ?2",
                )?
                .execute(params![channel, recipient])?;
                let ended = c
                    .prepare_cached(
                        "UPDATE letter SET state = ?4, error = ?5 WHERE key IN (
                             SELECT key FROM letter WHERE channel = ?1 AND recipient = ?2 AND state = 0 AND key <= ?3 LIMIT ?6)",
                    )?
                    .execute(params![channel, recipient, last, state, error, STEP])?;
                Ok(ended as i64)
            };
            if self.writer.write(move |c, _| end(c), |_, _| {}).await? < STEP {
                return Ok(());
            }
        }
    }
}
