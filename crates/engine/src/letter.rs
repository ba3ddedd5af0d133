//! Letters: who gets one, what stands in it, and how it is sent.

use courier::{Courier, Item, Letter, PushTo, Refusal};
use domain::application::Application;
use domain::clock::Clock;
use domain::id::ApplicationKey;
use domain::notice::{Channel, GATHER_MS, LETTER_TRIED_MS, NewNotice, Notice, Subject, again_at};
use domain::notify::{Notify, Recipients};
use domain::wire_id::IdCodec;
use domain::word::Worded;
use foldhash::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::notice::{NewLetter, Parcel, Sending, waiting};
use store::routing::Route;
use store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Parcels of one channel under way.
const UNDER_WAY: usize = 8;
/// How long a parcel may take: shorter than its claim.
const PARCEL_WITHIN: Duration = Duration::from_secs(55);
/// How long letters under way may take once the server stops: what is not noted by then may be sent twice.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What telling needs.
pub(crate) struct Telling {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) egress: egress::Client,
    pub(crate) recipients: Recipients,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: IdCodec,
    /// Where people see and mend what they are told of.
    pub(crate) public_url: String,
}

/// Sends letters, each channel on its own.
pub(crate) struct Letters {
    telling: Arc<Telling>,
    under_way: HashMap<Channel, Arc<Semaphore>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Letters {
    pub(crate) fn new(telling: Arc<Telling>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let own = |channel: &Channel| (*channel, Arc::new(Semaphore::new(UNDER_WAY)));
        Self { telling, under_way: Channel::ALL.iter().map(own).collect(), tasks, stop }
    }

    /// Sends what is due, each parcel in a task of its own.
    pub(crate) async fn send(&self) -> Result<(), StoreError> {
        for (channel, under_way) in &self.under_way {
            let places = u32::try_from(under_way.available_permits()).unwrap_or_default();
            if places == 0 || self.stop.is_cancelled() {
                continue;
            }
            let now = self.telling.clock.now();
            for parcel in self.telling.store.parcels_claim(*channel, now, places).await? {
                let Ok(permit) = Arc::clone(under_way).acquire_owned().await else { return Ok(()) };
                let (telling, stop) = (Arc::clone(&self.telling), self.stop.clone());
                self.tasks.spawn(async move {
                    let stopped = async {
                        stop.cancelled().await;
                        tokio::time::sleep(STOP_WITHIN).await;
                    };
                    tokio::select! {
                        _ = tokio::time::timeout(PARCEL_WITHIN, telling.deliver(parcel)) => {}
                        () = stopped => {}
                    }
                    drop(permit);
                });
            }
        }
        Ok(())
    }
}

impl Telling {
    /// Who hears of an endpoint, and whether operational webhooks do: that is for its application alone to say.
    pub(crate) async fn notify(
        &self,
        application: ApplicationKey,
        route: Option<&Route>,
    ) -> Result<(Notify, bool), StoreError> {
        let of_application = self.store.notify_get(application).await?;
        let is_event = of_application.operational_webhook;
        let own = route.and_then(|route| route.endpoint.credentials.notify.clone());
        Ok((own.unwrap_or(of_application), is_event))
    }

    /// A letter for each who is to be told.
    pub(crate) async fn letters(
        &self,
        new: &NewNotice,
        notify: &Notify,
    ) -> Result<Vec<NewLetter>, StoreError> {
        let written_at = self.clock.now();
        let mut letters = Vec::new();
        let letter = |channel, print_of: &str, to: String| NewLetter {
            channel,
            recipient: self.recipients.print(channel, print_of),
            to,
            written_at,
            due_at: written_at.plus_ms(GATHER_MS),
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

    async fn deliver(&self, parcel: Parcel) {
        let sending = match self.compose(&parcel).await {
            Ok(Some(letter)) => self.send(&parcel, &letter).await,
            Ok(None) => Sending::GivenUp("it is not wanted any more".into()),
            // Another time.
            Err(error) => return tracing::debug!(%error, "a letter waits; trying again"),
        };
        if let Err(error) = self.store.parcel_end(&parcel, sending).await {
            tracing::warn!(%error, "it could not be noted what became of a letter: it may be sent twice");
        }
    }

    async fn send(&self, parcel: &Parcel, letter: &Letter) -> Sending {
        let channel = parcel.channel.word();
        let sent = self.courier.send(parcel.channel, &parcel.to, letter, self.clock.now()).await;
        match sent {
            Ok(()) => {
                tracing::info!(channel, notices = parcel.keys.len(), "a letter was sent");
                Sending::Sent
            }
            Err(Refusal::Later(why)) => {
                let now = self.clock.now();
                let at = again_at(parcel.tries, now);
                tracing::warn!(channel, why, again_at = %at, "a letter could not be sent");
                Sending::Later { at, why, give_up: now.plus_ms(-LETTER_TRIED_MS) }
            }
            Err(Refusal::Never(why)) => {
                tracing::warn!(channel, why, "a letter is given up");
                Sending::GivenUp(why)
            }
            Err(Refusal::Gone(why)) => {
                tracing::info!(channel, why, "a recipient is gone, and forgotten");
                self.forget(parcel).await;
                Sending::GivenUp(why)
            }
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

    /// What the parcel's first notices say, those that its recipient still wants; none when there are no such.
    async fn compose(&self, parcel: &Parcel) -> Result<Option<Letter>, StoreError> {
        let id = format!("{}-{}", parcel.recipient, parcel.keys.last().copied().unwrap_or_default());
        let mut letter = Letter { id, ..Letter::default() };
        letter.more = parcel.keys.len().saturating_sub(parcel.notices.len()) as u64;
        let mut applications: Vec<Arc<Application>> = Vec::new();
        for notice in &parcel.notices {
            let new = &notice.new;
            let Some(route) = self.store.routing().route(new.endpoint) else { continue };
            let (notify, _) = self.notify(new.application, Some(&route)).await?;
            let wanted = self.letters(new, &notify).await?;
            let is_theirs =
                |one: &NewLetter| one.channel == parcel.channel && one.recipient == parcel.recipient;
            if !wanted.iter().any(is_theirs) {
                continue;
            }
            let application = &route.application;
            letter.all = format!("{}/app/{}", self.public_url, application.id);
            letter.items.push(self.item(notice, &route).await);
            if !applications.iter().any(|known| known.key == application.key) {
                applications.push(Arc::clone(application));
            }
        }
        letter.about = applications.iter().map(|one| one.fields.name.clone()).collect();
        if parcel.channel == Channel::Email {
            let ids: Vec<_> = applications.iter().map(|one| one.id.as_str()).collect();
            let token = self.recipients.token(&ids, &parcel.recipient);
            letter.unsubscribe = Some(format!("{}/unsubscribe/{token}", self.public_url));
        }
        Ok((!letter.items.is_empty()).then_some(letter))
    }

    async fn item(&self, notice: &Notice, route: &Route) -> Item {
        let subject = Subject {
            application: route.application.fields.name.clone(),
            endpoint: route.endpoint.name(),
            waiting: waiting(&*self.store, &notice.new, self.clock.now()).await,
        };
        let link = domain::notice::link(&self.public_url, &route.application.id, &route.endpoint.id);
        Item { title: notice.title(&subject), text: notice.text(&subject), link }
    }
}
