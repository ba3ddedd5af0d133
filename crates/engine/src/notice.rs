//! Tells people, and operational webhooks, what happened to endpoints.
//!
//! Once a second: notices that nobody was told of become letters, in a transaction that marks them told; letters that are due are
//! claimed by recipient and sent beside each other, so that a slow mail server holds up nothing else. What is about to expire is
//! looked for less often.

use crate::expiring::Expiring;
use crate::operational::{self, Data};
use courier::{Courier, Item, Letter, PushTo, Refusal};
use domain::application::Application;
use domain::clock::{Clock, Timestamp};
use domain::notice::{Channel, GATHER_MS, Notice, NoticeKind, Subject, again_at};
use domain::notify::{Notify, Recipients};
use domain::wire_id::IdCodec;
use foldhash::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::notice::{NewLetter, Parcel, Sending};
use store::routing::Route;
use store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks between two for what expires soon.
const EXPIRING_EVERY: u32 = 5;
/// Notices of one step.
const STEP: u32 = 100;
/// Steps of one look at most.
const STEPS: u32 = 20;
/// Between two notices: the path of messages goes first.
const PAUSE: Duration = Duration::from_millis(2);
/// Parcels under way.
const UNDER_WAY: usize = 16;
/// How long a notice waits for what it tells of to be stored, in milliseconds.
const NOT_YET_MS: i64 = 60_000;
/// How far back deliveries are counted that wait, in milliseconds (28 days).
const COUNTED_MS: i64 = 28 * 86_400_000;

/// What telling needs.
pub(crate) struct Telling {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) courier: Courier,
    pub(crate) egress: egress::Client,
    pub(crate) recipients: Recipients,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: IdCodec,
    /// Where people see and mend what they are told of.
    pub(crate) public_url: String,
}

/// Runs until `stop`.
pub(crate) async fn run(telling: Telling, tasks: TaskTracker, stop: CancellationToken) {
    let telling = Arc::new(telling);
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let (mut expiring, mut looks) = (Expiring::default(), 0_u32);
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
        if let Err(error) = telling.tell(&stop).await {
            tracing::debug!(%error, "notices wait; trying again");
        }
        if let Err(error) = telling.send(&tasks, &under_way, &stop).await {
            tracing::debug!(%error, "letters wait; trying again");
        }
    }
}

impl Telling {
    /// Makes letters of notices.
    async fn tell(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut put_off = HashSet::default();
        for _ in 0..STEPS {
            let mut untold = self.store.notices_untold(STEP).await?;
            let is_last = untold.len() < STEP as usize;
            untold.retain(|notice| !put_off.contains(&notice.key));
            if untold.is_empty() || stop.is_cancelled() {
                return Ok(());
            }
            for notice in untold {
                match self.tell_one(&notice).await {
                    Ok(true) => {}
                    Ok(false) => drop(put_off.insert(notice.key)),
                    Err(error) => {
                        // One that cannot be told must not keep others waiting.
                        tracing::warn!(%error, notice = notice.key, "a notice waits; trying again");
                        put_off.insert(notice.key);
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes letters of a notice; false when it is to be done later.
    async fn tell_one(&self, notice: &Notice) -> Result<bool, StoreError> {
        let (new, now) = (&notice.new, self.clock.now());
        let route = self.store.routing().route(new.endpoint);
        let own = route.as_ref().and_then(|route| route.endpoint.credentials.notify.clone());
        let notify = match own {
            Some(notify) => notify,
            None => self.store.notify_get(new.application).await?,
        };
        if let Some(event_type) = new.kind.event_type().filter(|_| notify.operational_webhook) {
            match operational::data(&self.store, notice, &self.ids).await? {
                Data::NotYet if now.since(new.at) < NOT_YET_MS => return Ok(false),
                Data::Known(data) => {
                    if let Some(application) = self.store.routing().application_by_key(new.application) {
                        let event = (event_type, format!("notice-{}", notice.key));
                        operational::accept(&self.store, application.environment, event, (&data, new.at))
                            .await?;
                    }
                }
                Data::NotYet | Data::Never => {}
            }
        }
        let letters = match &route {
            Some(_) if new.is_for_people && notify.wants(new.kind) => self.letters(new, &notify).await?,
            _ => Vec::new(),
        };
        self.store.notice_told(notice.key, letters).await?;
        Ok(true)
    }

    /// A letter for each who is to be told.
    async fn letters(
        &self,
        new: &domain::notice::NewNotice,
        notify: &Notify,
    ) -> Result<Vec<NewLetter>, StoreError> {
        let due_at = self.clock.now().plus_ms(GATHER_MS);
        let mut letters = Vec::new();
        let letter = |channel, print_of: &str, to: String| NewLetter {
            channel,
            recipient: self.recipients.print(channel, print_of),
            to,
            due_at,
        };
        if !notify.emails.is_empty() {
            let out = self.store.unsubscribed(new.application).await?;
            let mails = notify.emails.iter().map(|email| letter(Channel::Email, email, email.clone()));
            letters.extend(mails.filter(|letter| !out.contains(&letter.recipient)));
        }
        if let Some(url) = &notify.slack_url {
            letters.push(letter(Channel::Slack, url.reveal(), url.reveal().to_owned()));
        }
        if notify.push {
            for stored in self.store.subscriptions(new.application).await? {
                let place = stored.subscription.endpoint.reveal().to_owned();
                let to = PushTo { id: stored.id, subscription: stored.subscription };
                let to = serde_json::to_string(&to).unwrap_or_default();
                letters.push(letter(Channel::Push, &place, to));
            }
        }
        Ok(letters)
    }

    /// Sends what is due, each parcel in a task of its own.
    async fn send(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        under_way: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let places = u32::try_from(under_way.available_permits()).unwrap_or_default();
        if places == 0 || stop.is_cancelled() {
            return Ok(());
        }
        for parcel in self.store.parcels_claim(self.clock.now(), places).await? {
            let Ok(permit) = Arc::clone(under_way).acquire_owned().await else { return Ok(()) };
            let this = Arc::clone(self);
            tasks.spawn(async move {
                this.deliver(parcel).await;
                drop(permit);
            });
        }
        Ok(())
    }

    async fn deliver(&self, parcel: Parcel) {
        let letter = self.compose(&parcel).await;
        let sent = self.courier.send(parcel.channel, &parcel.to, &letter, self.clock.now()).await;
        let channel = parcel.channel;
        let sending = match sent {
            Ok(()) => {
                tracing::info!(?channel, notices = parcel.count, "a letter was sent");
                Sending::Sent
            }
            Err(Refusal::Later(why)) => match again_at(parcel.tries, self.clock.now()) {
                Some(at) => {
                    tracing::warn!(?channel, why, "a letter could not be sent; it is tried again");
                    Sending::Later(at, why)
                }
                None => Sending::GivenUp(format!("given up after {} tries: {why}", parcel.tries)),
            },
            Err(Refusal::Never(why)) => Sending::GivenUp(why),
            Err(Refusal::Gone(why)) => {
                self.forget(&parcel).await;
                Sending::GivenUp(why)
            }
        };
        if let Sending::GivenUp(why) = &sending {
            tracing::warn!(?channel, why, "a letter is given up");
        }
        if let Err(error) = self.store.parcel_end(&parcel, sending).await {
            tracing::warn!(%error, "it could not be noted what became of a letter: it may be sent twice");
        }
    }

    /// A browser has unsubscribed: nothing is sent there any more.
    async fn forget(&self, parcel: &Parcel) {
        let Ok(PushTo { id, .. }) = serde_json::from_str(&parcel.to) else { return };
        for application in parcel.notices.iter().map(|notice| notice.new.application) {
            match self.store.subscription_delete(application, &id).await {
                Ok(()) => return,
                Err(StoreError::NotFound) => {}
                Err(error) => tracing::debug!(%error, "a browser that is gone could not be forgotten"),
            }
        }
    }

    async fn compose(&self, parcel: &Parcel) -> Letter {
        let mut letter = Letter { id: format!("{}-{}", parcel.recipient, parcel.last), ..Letter::default() };
        letter.more = parcel.count - parcel.notices.len() as u64;
        for notice in &parcel.notices {
            let new = &notice.new;
            let Some(application) = self.store.routing().application_by_key(new.application) else {
                letter.more += 1;
                continue;
            };
            let route = self.store.routing().route(new.endpoint);
            let subject = self.subject(notice, &application, route.as_ref()).await;
            let all = format!("{}/app/{}", self.public_url, application.id);
            let link = match &route {
                Some(route) => format!("{all}/endpoint/{}", route.endpoint.id),
                None => all.clone(),
            };
            letter.items.push(Item { title: notice.title(&subject), text: notice.text(&subject), link });
            let name = application.fields.name.clone();
            if parcel.channel == Channel::Email && !letter.unsubscribe.iter().any(|(of, _)| *of == name) {
                let token = self.recipients.token(&application.id, &parcel.recipient);
                letter.unsubscribe.push((name.clone(), format!("{}/unsubscribe/{token}", self.public_url)));
            }
            if !letter.about.contains(&name) {
                letter.about.push(name);
            }
            letter.all = all;
        }
        letter
    }

    async fn subject(&self, notice: &Notice, application: &Application, route: Option<&Route>) -> Subject {
        let new = &notice.new;
        let mut subject = Subject {
            application: application.fields.name.clone(),
            endpoint: route.map_or_else(|| "(deleted)".into(), |route| route.endpoint.name()),
            waiting: None,
        };
        if matches!(new.kind, NoticeKind::Failing | NoticeKind::Disabled | NoticeKind::Exhausted) {
            let now = self.clock.now();
            let since = Timestamp(new.facts.since.unwrap_or(new.at.0)).max(now.plus_ms(-COUNTED_MS));
            let counts = self.store.delivery_counts(new.endpoint, since, now.plus_ms(1)).await;
            subject.waiting = counts.ok().map(|counts| counts.pending + counts.canceled);
        }
        subject
    }
}
