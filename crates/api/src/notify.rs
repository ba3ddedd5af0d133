//! Routes of who hears of endpoints that fail: preferences, and browsers that are told by push.

use crate::Api;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::endpoint_options::words;
use crate::error::{Errors, Outcome};
use crate::json::{At as Path, Field, Wire};
use crate::path::{AppPath, At};
use crate::received::Received;
use app::notify::{NotifyInput, ShownNotify, StoredSubscription, shown_slack};
use app::{App, Problems};
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::confidential::Confidential;
use domain::notice::NoticeKind;
use domain::notify::{Notify, Subscription};
use domain::word::Worded;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

words!(NoticeKind);

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get, patch))
        .routes(routes!(push_key))
        .routes(routes!(subscriptions, subscribe))
        .routes(routes!(unsubscribe))
}

/// Who is told, by which ways, of what: absent keeps, null is the default again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotifyIn {
    /// Who gets e-mails.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    emails: Field<Vec<String>>,
    /// A URL that takes what Slack's incoming webhooks take.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    slack_url: Field<String>,
    /// Whether browsers that asked for it are told.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    push: Field<bool>,
    /// Whether the environment's operational webhooks are told.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    operational_webhook: Field<bool>,
    /// Of what: `failing`, `disabled`, `enabled`, `recovered`, `exhausted`, `secretExpiring`, `certificateExpiring`; null is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    kinds: Field<Vec<NoticeKind>>,
}

impl NotifyIn {
    fn read(self, problems: &mut Problems) -> NotifyInput {
        NotifyInput {
            emails: self.emails.change("emails", problems),
            slack_url: self.slack_url.change("slackUrl", problems),
            push: self.push.change("push", problems),
            operational_webhook: self.operational_webhook.change("operationalWebhook", problems),
            kinds: self.kinds.change("kinds", problems),
        }
    }
}

impl Wire for NotifyInput {
    const NAME: &'static str = "an object like {\"emails\": […]}";

    fn read(value: Value, at: &Path, problems: &mut Problems) -> Option<Self> {
        let object = Map::read(value, at, problems)?;
        let given: NotifyIn = serde_json::from_value(Value::Object(object)).unwrap_or_default();
        let inner = &mut Problems::default();
        let read = given.read(inner);
        let good = inner.is_empty();
        problems.add_within(at, std::mem::take(inner));
        good.then_some(read)
    }
}

/// Who is told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotifyOut {
    /// Who gets e-mails.
    emails: Vec<String>,
    /// The beginning of the Slack URL; sent back, it keeps the one that is there.
    slack_url: Option<String>,
    /// Whether browsers are told.
    push: bool,
    /// Whether operational webhooks are told.
    operational_webhook: bool,
    /// Of what; null is all.
    #[schema(value_type = Option<Vec<String>>)]
    kinds: Option<Vec<&'static str>>,
}

impl NotifyOut {
    pub(crate) fn of(notify: &Notify) -> Self {
        let kinds = notify.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.word()).collect());
        Self {
            emails: notify.emails.clone(),
            slack_url: shown_slack(notify),
            push: notify.push,
            operational_webhook: notify.operational_webhook,
            kinds,
        }
    }
}

/// Who is told of an application's endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppNotifyOut {
    /// The preferences.
    #[serde(flatten)]
    notify: NotifyOut,
    /// Those of the addresses that have asked for no more e-mails.
    unsubscribed: Vec<String>,
}

impl AppNotifyOut {
    fn of(shown: &ShownNotify) -> Self {
        Self { notify: NotifyOut::of(&shown.notify), unsubscribed: shown.unsubscribed.clone() }
    }
}

/// Reads who hears of an application's endpoints, where these do not say so themselves.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/notify", operation_id = "v1.notify.get", tag = "Notify",
    params(AppPath), responses((status = 200, body = AppNotifyOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<AppPath>) -> Outcome {
    Ok(Answer::ok(&AppNotifyOut::of(&app.notify_get(&caller, &at.app_id).await?)))
}

/// Changes who hears of an application's endpoints.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/notify", operation_id = "v1.notify.patch", tag = "Notify",
    params(AppPath), request_body = NotifyIn, responses((status = 200, body = AppNotifyOut), Errors))]
async fn patch(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let input = received.json::<NotifyIn>()?.read(&mut problems);
    problems.finish()?;
    let shown = app.notify_patch(&received.principal, &at.app_id, input).await?;
    Ok(Answer::ok(&AppNotifyOut::of(&shown)))
}

/// By which key browsers know this instance's pushes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushKeyOut {
    /// The `applicationServerKey` of `PushManager.subscribe`, in base64url.
    public_key: String,
}

/// Reads the key that a browser is given when it subscribes.
#[utoipa::path(get, path = "/api/v1/push/key", operation_id = "v1.push.get-key", tag = "Notify",
    responses((status = 200, body = PushKeyOut), Errors))]
async fn push_key(State(app): State<App>, _caller: Caller) -> Outcome {
    Ok(Answer::ok(&PushKeyOut { public_key: app.push_key() }))
}

/// A browser's subscription, as `PushSubscription.toJSON` writes it.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SubscriptionIn {
    /// The push service's URL for this browser.
    #[serde(default)]
    #[schema(value_type = String)]
    endpoint: Field<String>,
    /// Its keys, in base64url.
    #[serde(default)]
    #[schema(value_type = SubscriptionKeys)]
    keys: Field<Map<String, Value>>,
}

/// A browser's keys.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SubscriptionKeys {
    /// Its public key.
    #[serde(default)]
    #[schema(value_type = String)]
    p256dh: Field<String>,
    /// Its secret.
    #[serde(default)]
    #[schema(value_type = String)]
    auth: Field<String>,
}

impl SubscriptionIn {
    fn read(self, problems: &mut Problems) -> Subscription {
        let endpoint = Confidential::new(self.endpoint.required("endpoint", problems));
        let keys = self.keys.required("keys", problems);
        let keys: SubscriptionKeys = serde_json::from_value(Value::Object(keys)).unwrap_or_default();
        let mut inner = Problems::default();
        let (p256dh, auth) =
            (keys.p256dh.required("p256dh", &mut inner), keys.auth.required("auth", &mut inner));
        problems.add_within(&["keys".into()], inner);
        // What does not read is no key: that is told with the others that cannot be used.
        let bytes = |text: String| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default();
        Subscription { endpoint, p256dh: bytes(p256dh), auth: bytes(auth) }
    }
}

/// A browser that is told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionOut {
    /// Its id.
    id: String,
    /// Whose push service it uses.
    service: String,
    /// When it was added.
    created_at: String,
}

/// The id of a subscription that was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscribedOut {
    /// The id.
    id: String,
}

impl SubscriptionOut {
    fn of(stored: &StoredSubscription) -> Self {
        let service = Url::parse(stored.subscription.endpoint.reveal());
        let service = service.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        Self { id: stored.id.clone(), service, created_at: stored.created_at.to_string() }
    }
}

/// A subscription of an application.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SubscriptionPath {
    /// The application's id or uid.
    app_id: String,
    /// The subscription's id.
    subscription_id: String,
}

/// Lists the browsers that are told of an application's endpoints.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/push-subscription", operation_id = "v1.push.list", tag = "Notify",
    params(AppPath), responses((status = 200, body = Vec<SubscriptionOut>), Errors))]
async fn subscriptions(State(app): State<App>, caller: Caller, At(at): At<AppPath>) -> Outcome {
    let found = app.subscriptions(&caller, &at.app_id).await?;
    Ok(Answer::ok(&found.iter().map(SubscriptionOut::of).collect::<Vec<_>>()))
}

/// Tells a browser from now on. The same subscription again is still one.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/push-subscription", operation_id = "v1.push.subscribe", tag = "Notify",
    params(AppPath), request_body = SubscriptionIn, responses((status = 200, body = SubscribedOut), Errors))]
async fn subscribe(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let mut problems = Problems::default();
    let subscription = received.json::<SubscriptionIn>()?.read(&mut problems);
    problems.finish()?;
    let id = app.subscription_put(&received.principal, &at.app_id, subscription).await?;
    Ok(Answer::ok(&SubscribedOut { id }))
}

/// Tells a browser no more.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/push-subscription/{subscription_id}",
    operation_id = "v1.push.unsubscribe", tag = "Notify", params(SubscriptionPath),
    responses((status = 204), Errors))]
async fn unsubscribe(State(app): State<App>, caller: Caller, At(at): At<SubscriptionPath>) -> Outcome {
    app.subscription_delete(&caller, &at.app_id, &at.subscription_id).await?;
    Ok(Answer::nothing())
}
