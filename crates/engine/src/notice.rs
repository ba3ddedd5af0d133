//! Tells people, and operational webhooks, what happened to endpoints.
//!
//! Once a second: notices that nobody was told of become letters, in a transaction that marks them told; letters that are due are
//! claimed by recipient and sent beside each other, each channel on its own, so that a slow mail server holds up nothing else. What
//! is about to expire is looked for less often. How letters are written and sent stands in [`crate::letter`].

use crate::expiring::Expiring;
use crate::letter::{Letters, Telling};
use crate::operational::{self, Data};
use domain::notice::{Notice, NoticeKind};
use foldhash::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two for what expires soon.
const EXPIRING_EVERY: u32 = 10;
/// Notices of one step.
const STEP: u32 = 100;
/// Steps of one look at most: those for people, and those for operational webhooks alone.
const STEPS_PEOPLE: u32 = 20;
const STEPS_SILENT: u32 = 5;
/// Between two notices: the path of messages goes first.
const PAUSE: Duration = Duration::from_millis(2);
/// Looks in which what a notice tells of may not be stored yet. Counted in looks, for clocks can be set.
const NOT_YET_LOOKS: u32 = 60;
/// Looks in which an endpoint that seems not to be there may be so only here: another node has just made it.
const HEARD_LOOKS: u32 = 5;
/// The same for who wants to hear of it.
const WANTED_LOOKS: u32 = 1;

/// Notices that are kept in mind as put off.
const PUT_OFF_MAX: usize = 10_000;

/// Runs until `stop`.
pub(crate) async fn run(telling: Telling, tasks: TaskTracker, stop: CancellationToken) {
    let telling = Arc::new(telling);
    let letters = Letters::new(Arc::clone(&telling), tasks, stop.clone());
    let (mut expiring, mut looks) = (Expiring::default(), 0_u32);
    let mut put_off = PutOff::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if looks.is_multiple_of(EXPIRING_EVERY)
            && let Err(error) = expiring.look(&telling.store, &telling.egress, telling.clock.now()).await
        {
            tracing::debug!(%error, "what expires soon could not be told; trying again");
        }
        looks = looks.wrapping_add(1);
        // People first: there may be very many of the others.
        for (is_for_people, steps) in [(true, STEPS_PEOPLE), (false, STEPS_SILENT)] {
            if let Err(error) = telling.tell((is_for_people, steps), &mut put_off, &stop).await {
                tracing::debug!(%error, "notices wait; trying again");
            }
            if let Err(error) = letters.send().await {
                tracing::debug!(%error, "letters wait; trying again");
            }
        }
    }
}

/// Notices that were looked at and not told, and how often.
type PutOff = HashMap<i64, u32>;

impl Telling {
    /// Makes letters of notices.
    async fn tell(
        &self,
        (is_for_people, steps): (bool, u32),
        put_off: &mut PutOff,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if put_off.len() > PUT_OFF_MAX {
            // Other nodes have told them.
            put_off.clear();
        }
        let mut after = 0;
        for _ in 0..steps {
            let untold = self.store.notices_untold(is_for_people, after, STEP).await?;
            let Some(last) = untold.last() else { return Ok(()) };
            after = last.key;
            for notice in &untold {
                if stop.is_cancelled() {
                    return Ok(());
                }
                // One that cannot be told must not keep others waiting.
                let before = put_off.get(&notice.key).copied().unwrap_or_default();
                let told = self.tell_one(notice, before).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, notice = notice.key, "a notice waits; trying again");
                    false
                });
                if told {
                    put_off.remove(&notice.key);
                } else {
                    put_off.insert(notice.key, before.saturating_add(1));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Writes a notice's letters and accepts its event; false when it is left for the next round, as it was in `before` ones.
    async fn tell_one(&self, notice: &Notice, before: u32) -> Result<bool, StoreError> {
        let new = &notice.new;
        let route = self.store.routing().route(new.endpoint);
        let application = self.store.routing().application_by_key(new.application);
        let is_known = application.is_some() && (route.is_some() || new.kind == NoticeKind::Deleted);
        let may_hear = |looks: u32| self.store.is_shared() && before < looks;
        if may_hear(WANTED_LOOKS) || (!is_known && may_hear(HEARD_LOOKS)) {
            return Ok(false);
        }
        let Some(application) = application else {
            // It was deleted, and whoever was to be told with it.
            self.store.notice_told(notice.key, Vec::new()).await?;
            return Ok(true);
        };
        let (notify, is_event) = self.notify(new.application, route.as_ref()).await?;
        if let Some(event_type) = new.kind.event_type().filter(|_| is_event) {
            match operational::data(&self.store, notice, &self.ids).await? {
                Data::Known(data) => {
                    let event = (event_type, format!("notice-{}", notice.key));
                    let of = application.environment;
                    operational::accept(&self.store, of, event, (&data, new.at)).await?;
                }
                Data::NotYet if before < NOT_YET_LOOKS => return Ok(false),
                Data::NotYet => {
                    // Should it come to be after all, it is noted anew.
                    self.store.notice_drop(notice.key).await?;
                    return Ok(true);
                }
                Data::Never => {}
            }
        }
        let letters = match &route {
            Some(_) if new.is_for_people && notify.wants(new.kind) => self.letters(new, &notify).await?,
            _ => Vec::new(),
        };
        self.store.notice_told(notice.key, letters).await?;
        Ok(true)
    }
}
