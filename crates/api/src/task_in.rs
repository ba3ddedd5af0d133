//! What background tasks are asked for with.

use crate::error::Outcome;
use crate::json::Field;
use crate::query::{FromQuery, Query};
use app::Problems;
use app::task::Recovery;
use domain::clock::Timestamp;
use domain::task::{Plan, ReplayState};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Whether it is only counted what would be sent.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRunQuery {
    /// Begins nothing, changes nothing and answers 200 with how many messages would be sent; `false` unless told otherwise.
    #[param(required = false)]
    pub(crate) dry_run: bool,
}

impl FromQuery for DryRunQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { dry_run: query.flag("dry_run", false)? })
    }
}

/// A window of messages.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoverIn {
    /// Accepted at this moment or later.
    #[serde(default)]
    #[schema(value_type = String, format = DateTime, required)]
    since: Field<Timestamp>,
    /// Accepted before this moment; by default now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Field<Timestamp>,
}

/// A window of messages that the endpoint may have missed.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ReplayIn {
    #[serde(flatten)]
    window: RecoverIn,
}

/// A window of messages, and which of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkReplayIn {
    #[serde(flatten)]
    window: RecoverIn,
    /// Only these event types.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    event_types: Field<Vec<String>>,
    /// Only those posted to this channel.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Field<String>,
    /// Only those with this tag.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tag: Field<String>,
    /// Only deliveries in this state: 0 delivered, 1 pending, 2 failed or canceled, 3 sending, 4 canceled.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    status: Field<u16>,
    /// Only those whose last answer was of this class: 0 (no answer), 100, 200, 300, 400 or 500.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    status_code_class: Field<u16>,
}

/// What becomes of what an endpoint missed while it was disabled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnableIn {
    /// `none` (unless told otherwise), `all`, or `since`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    recover: Field<String>,
    /// With `since`: messages accepted at this moment or later.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Field<Timestamp>,
}

impl RecoverIn {
    pub(crate) fn read(self, problems: &mut Problems) -> (Plan, Option<Timestamp>) {
        let since = self.since.required("since", problems);
        (Plan::window(since, since), self.until.optional("until", problems))
    }
}

impl ReplayIn {
    pub(crate) fn read(self, problems: &mut Problems) -> (Plan, Option<Timestamp>) {
        self.window.read(problems)
    }
}

impl BulkReplayIn {
    pub(crate) fn read(self, problems: &mut Problems) -> (Plan, Option<Timestamp>) {
        let (mut plan, until) = self.window.read(problems);
        plan.event_types = self.event_types.optional("eventTypes", problems).unwrap_or_default();
        plan.channel = self.channel.optional("channel", problems);
        plan.tag = self.tag.optional("tag", problems);
        plan.state = self.status.optional("status", problems).and_then(|code| {
            let state = match code {
                0 => ReplayState::Succeeded,
                1 => ReplayState::Pending,
                2 => ReplayState::Failed,
                3 => ReplayState::Sending,
                4 => ReplayState::Canceled,
                _ => {
                    problems.add("status", format!("{code} is not known: 0, 1, 2, 3 and 4 are allowed"));
                    return None;
                }
            };
            Some(state)
        });
        plan.status_class = self.status_code_class.optional("statusCodeClass", problems);
        if let Some(class) =
            plan.status_class.filter(|class| !matches!(class, 0 | 100 | 200 | 300 | 400 | 500))
        {
            let allowed = "0, 100, 200, 300, 400 and 500 are allowed";
            problems.add("statusCodeClass", format!("{class} is not known: {allowed}"));
        }
        (plan, until)
    }
}

impl EnableIn {
    pub(crate) fn read(self) -> Outcome<Recovery> {
        let mut problems = Problems::default();
        let word = self.recover.optional("recover", &mut problems).unwrap_or_else(|| "none".to_owned());
        let since = self.since.optional("since", &mut problems);
        let recovery = match (&*word, since) {
            ("since", Some(since)) => Recovery::Since(since),
            ("since", None) => {
                problems.add("since", "is missing: give the moment from which on messages are sent");
                Recovery::None
            }
            ("all", None) => Recovery::All,
            ("none", None) => Recovery::None,
            ("all" | "none", Some(_)) => {
                problems.add("since", "goes with `recover` since: leave it out");
                Recovery::None
            }
            _ => {
                problems.add("recover", format!("`{word}` is not known: `none`, `all`, `since` are allowed"));
                Recovery::None
            }
        };
        problems.finish()?;
        Ok(recovery)
    }
}
