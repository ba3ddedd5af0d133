//! Notices and their letters on SQLite.

use super::Sqlite;
use super::query::Conditions;
use super::row::collect;
use crate::error::{Result, StoreError};
use crate::notice::{
    COLUMNS, FAILED, LETTER_PLACE, LETTERS_MAX, Letter, NewLetter, Notices, PAUSE, Parcel, SENT, STEP,
    Sending, Stored, channel_of, facts_column, state_of,
};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{AHEAD_MS_MAX, Channel, LETTER_EVERY_MS, NewNotice, Notice, TOLD_MAX};
use domain::page::{Page, Slice};
use domain::word::Worded;
use rusqlite::{Connection, Row, params, params_from_iter};
use std::sync::Arc;

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

/// Whether nobody else has claimed for the recipient; then nobody does for a while. Answers the tries that it had, and how many
/// letters are said to wait.
fn claim(c: &Connection, (channel, recipient): (&str, &str), now: Timestamp) -> Result<Option<(u32, i64)>> {
    let mut statement = c.prepare_cached(
        "UPDATE recipient SET next_at = ?3
         WHERE channel = ?1 AND recipient = ?2 AND waiting > 0 AND (next_at <= ?4 OR next_at > ?5) RETURNING tries, waiting",
    )?;
    let (next, ahead) = (now.plus_ms(LETTER_EVERY_MS).0, now.plus_ms(AHEAD_MS_MAX).0);
    let mut rows = statement.query(params![channel, recipient, next, now.0, ahead])?;
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// The letters that wait for somebody.
fn keys(c: &Connection, channel: &str, recipient: &str) -> Result<Vec<i64>> {
    let mut statement = c.prepare_cached(
        "SELECT key FROM letter WHERE channel = ?1 AND recipient = ?2 AND state = 0 ORDER BY key LIMIT ?3",
    )?;
    collect(statement.query(params![channel, recipient, LETTERS_MAX])?, |row| Ok(row.get(0)?))
}

/// What the first of these letters tell, and to whom the last of them goes.
fn first(c: &Connection, keys: &[i64], sealer: &Sealer) -> Result<(Vec<Notice>, String)> {
    let sql = format!(
        "SELECT {COLUMNS}, letter.sealed_to FROM letter JOIN notice ON notice.key = letter.notice WHERE letter.key = ?1"
    );
    let mut statement = c.prepare_cached(&sql)?;
    let (mut notices, mut to) = (Vec::new(), Vec::new());
    for key in keys.iter().take(TOLD_MAX) {
        if let Some(row) = statement.query([key])?.next()? {
            notices.push(read(row)?);
            to = sealer.open(LETTER_PLACE, &row.get::<_, Vec<u8>>(9)?)?;
        }
    }
    Ok((notices, String::from_utf8_lossy(&to).into_owned()))
}

/// Ends those of these letters that wait, and counts them off.
fn end(c: &Connection, of: (&str, &str), keys: &[i64], (state, error): (i64, Option<&str>)) -> Result<()> {
    let mut ended = 0;
    for key in keys {
        let mut statement =
            c.prepare_cached("UPDATE letter SET state = ?2, error = ?3 WHERE key = ?1 AND state = 0")?;
        ended += statement.execute(params![key, state, error])? as i64;
    }
    c.prepare_cached("UPDATE recipient SET waiting = waiting - ?3 WHERE channel = ?1 AND recipient = ?2")?
        .execute(params![of.0, of.1, ended])?;
    Ok(())
}

impl Sqlite {
    async fn parcel(&self, channel: Channel, recipient: &str, now: Timestamp) -> Result<Option<Parcel>> {
        let of = recipient.to_owned();
        let claimed = self.writer.write(move |c, _| claim(c, (channel.word(), &of), now), |_, _| {}).await?;
        let Some((tries, said)) = claimed else { return Ok(None) };
        // Beside the path of messages: there may be very many.
        let (of, sealer) = (recipient.to_owned(), Arc::clone(&self.sealer));
        let look = move |c: &Connection| {
            let keys = keys(c, channel.word(), &of)?;
            let (notices, to) = first(c, &keys, &sealer)?;
            Ok((keys, notices, to))
        };
        let (keys, notices, to) = self.own_readers.read(look).await?;
        let recipient = recipient.to_owned();
        if keys.is_empty() {
            // They went with their notices.
            let none = move |c: &Connection| {
                let sql =
                    "UPDATE recipient SET waiting = 0 WHERE channel = ?1 AND recipient = ?2 AND waiting = ?3";
                c.prepare_cached(sql)?.execute(params![channel.word(), recipient, said])?;
                Ok(None)
            };
            return self.writer.write(move |c, _| none(c), |_, _| {}).await;
        }
        Ok(Some(Parcel { channel, recipient, to, notices, keys, tries: tries.saturating_add(1) }))
    }

    /// Ends these letters, in steps.
    async fn letters_end(
        &self,
        parcel: &Parcel,
        keys: &[i64],
        (state, error): (i64, Option<&str>),
    ) -> Result<()> {
        for step in keys.chunks(STEP) {
            let (channel, recipient) = (parcel.channel.word(), parcel.recipient.clone());
            let (step, error) = (step.to_vec(), error.map(str::to_owned));
            let end = move |c: &Connection| end(c, (channel, &recipient), &step, (state, error.as_deref()));
            self.writer.write(move |c, _| end(c), |_, ()| {}).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Notes how the recipient fares.
    async fn recipient_is(
        &self,
        parcel: &Parcel,
        (next, tries, error): (Option<Timestamp>, u32, Option<String>),
    ) -> Result<()> {
        let (channel, recipient) = (parcel.channel.word(), parcel.recipient.clone());
        let note = move |c: &Connection| {
            c.prepare_cached(
                "UPDATE recipient SET next_at = coalesce(?3, next_at), tries = ?4, error = ?5
                 WHERE channel = ?1 AND recipient = ?2",
            )?
            .execute(params![channel, recipient, next.map(|at| at.0), tries, error])?;
            Ok(())
        };
        self.writer.write(move |c, _| note(c), |_, ()| {}).await
    }
}

#[async_trait]
impl Notices for Sqlite {
    async fn notices_add(&self, notices: Vec<NewNotice>) -> Result<()> {
        let add_all = move |c: &Connection| notices.iter().try_for_each(|notice| add(c, notice));
        self.writer.write(move |c, _| add_all(c), |_, ()| {}).await
    }

    async fn notices_untold(&self, is_for_people: bool, after: i64, limit: u32) -> Result<Vec<Notice>> {
        let find = move |c: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM notice WHERE told = 0 AND is_for_people = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
            );
            // One that does not read back must not keep others waiting.
            let found =
                collect(c.prepare_cached(&sql)?.query(params![is_for_people, after, limit])?, |row| {
                    Ok(read(row).ok())
                })?;
            Ok(found.into_iter().flatten().collect())
        };
        self.own_readers.read(find).await
    }

    async fn notice_drop(&self, notice: i64) -> Result<()> {
        let drop = move |c: &Connection| {
            c.prepare_cached("DELETE FROM notice WHERE key = ?1 AND told = 0")?.execute([notice])?;
            Ok(())
        };
        self.writer.write(move |c, _| drop(c), |_, ()| {}).await
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
                let channel = letter.channel.word();
                let mut write = c.prepare_cached(
                    "INSERT INTO letter (notice, channel, recipient, sealed_to, state, written_at)
                     VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT DO NOTHING",
                )?;
                let values = params![notice, channel, letter.recipient, sealed, letter.written_at.0];
                if write.execute(values)? > 0 {
                    c.prepare_cached(
                        "INSERT INTO recipient (channel, recipient, next_at, waiting, tries) VALUES (?1, ?2, ?3, 1, 0)
                         ON CONFLICT (channel, recipient) DO UPDATE SET waiting = recipient.waiting + 1,
                             next_at = CASE WHEN recipient.waiting > 0 THEN recipient.next_at
                                            ELSE max(recipient.next_at, excluded.next_at) END",
                    )?
                    .execute(params![channel, letter.recipient, letter.due_at.0])?;
                }
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

    async fn parcels_claim(&self, channel: Channel, now: Timestamp, limit: u32) -> Result<Vec<Parcel>> {
        let ahead = now.plus_ms(AHEAD_MS_MAX).0;
        let look = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT recipient FROM recipient WHERE channel = ?1 AND waiting > 0 AND (next_at <= ?2 OR next_at > ?3)
                 ORDER BY next_at LIMIT ?4",
            )?;
            let rows = statement.query(params![channel.word(), now.0, ahead, limit])?;
            collect(rows, |row| Ok(row.get::<_, String>(0)?))
        };
        let mut parcels = Vec::new();
        for recipient in self.own_readers.read(look).await? {
            match self.parcel(channel, &recipient, now).await {
                Ok(parcel) => parcels.extend(parcel),
                // One that does not open must not keep others waiting.
                Err(StoreError::Broken(why)) => tracing::error!(why, "a letter cannot be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(parcels)
    }

    async fn parcel_end(&self, parcel: &Parcel, sending: Sending) -> Result<()> {
        let fares = match &sending {
            Sending::Later { at, why, .. } => (Some(*at), parcel.tries, Some(why.clone())),
            Sending::Sent | Sending::GivenUp(_) => (None, 0, None),
        };
        self.recipient_is(parcel, fares).await?;
        match sending {
            Sending::Sent => self.letters_end(parcel, &parcel.keys, (SENT, None)).await,
            Sending::GivenUp(why) => self.letters_end(parcel, &parcel.keys, (FAILED, Some(&why))).await,
            Sending::Later { why, give_up, .. } => {
                let asked = parcel.keys.clone();
                let old = move |c: &Connection| {
                    let mut is_old =
                        c.prepare_cached("SELECT 1 FROM letter WHERE key = ?1 AND written_at < ?2")?;
                    let mut old = Vec::new();
                    for key in asked {
                        // They come in the order in which they were written.
                        if !is_old.exists(params![key, give_up.0])? {
                            break;
                        }
                        old.push(key);
                    }
                    Ok(old)
                };
                let old = self.own_readers.read(old).await?;
                self.letters_end(parcel, &old, (FAILED, Some(&why))).await
            }
        }
    }
}
