//! Statistics: what an application, or a whole environment, has accepted and delivered, and which of its endpoints need somebody.

use crate::App;
use crate::error::Result;
use crate::principal::{Principal, Right};
use domain::application::Application;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::health::Failures;
use domain::id::EndpointKey;
pub use domain::statistics::Period;
use domain::statistics::{HOUR_MS, Tally};
use foldhash::HashMap;
use std::sync::Arc;
use store::routing::Route;
use store::statistics::{Hour, Whose};

/// Endpoints that a list of those that need somebody shows.
pub const ATTENTION_MAX: usize = 20;
/// Episodes that are looked at: some of them may have ended a moment ago.
const EPISODES_MAX: u32 = 2 * ATTENTION_MAX as u32;
/// Paused endpoints that are asked whether events wait, those first that have been as they are for longest.
const PAUSED_MAX: usize = 500;
/// An event that has waited for so long at a paused endpoint needs somebody, in milliseconds.
const WAITS_LONG_MS: i64 = HOUR_MS;
/// An endpoint that was disabled within so long is more urgent than one that fails, in milliseconds.
const DISABLED_LATELY_MS: i64 = 7 * 24 * HOUR_MS;

/// What a stretch of time brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it began.
    pub from: Timestamp,
    /// What it brought.
    pub tally: Tally,
}

/// What a period brought, from its first point to the one that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The points.
    pub points: Vec<Point>,
    /// All of them together.
    pub total: Tally,
}

impl Series {
    fn of(period: Period, (first, hours): (i64, Vec<Hour>)) -> Self {
        let begin = |nth: i64| Timestamp((first + nth * period.hours()) * HOUR_MS);
        let point = |nth| Point { from: begin(nth), tally: Tally::default() };
        let mut series = Self { points: (0..period.points()).map(point).collect(), total: Tally::default() };
        for (hour, tally) in hours {
            let nth = usize::try_from((hour - first).div_euclid(period.hours()));
            if let Some(point) = nth.ok().and_then(|nth| series.points.get_mut(nth)) {
                point.tally.join(&tally);
                series.total.join(&tally);
            }
        }
        series
    }
}

/// Why an endpoint needs somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server itself has disabled it.
    Disabled {
        /// When.
        at: Timestamp,
        /// Why, in a sentence.
        reason: String,
    },
    /// It fails.
    Failing {
        /// Since when.
        since: Timestamp,
        /// How often, and how the last time.
        failures: Failures,
    },
    /// It is paused, and events wait.
    Paused {
        /// For how long the oldest.
        since: Timestamp,
    },
}

/// An endpoint that needs somebody.
#[derive(Clone, Debug)]
pub struct Needy {
    /// Its application.
    pub application: Arc<Application>,
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Why.
    pub trouble: Trouble,
}

impl Needy {
    fn new(route: &Route, trouble: Trouble) -> Self {
        Self { application: Arc::clone(&route.application), endpoint: Arc::clone(&route.endpoint), trouble }
    }

    /// The least is the most urgent: what was disabled lately, what has failed for longest, what waits, what was disabled long ago.
    fn urgency(&self, now: Timestamp) -> (u8, i64) {
        match self.trouble {
            Trouble::Disabled { at, .. } if now.since(at) <= DISABLED_LATELY_MS => (0, -at.0),
            Trouble::Failing { since, .. } => (1, since.0),
            Trouble::Paused { since } => (2, since.0),
            Trouble::Disabled { at, .. } => (3, -at.0),
        }
    }
}

impl App {
    /// What a period brought to an application, or to a whole environment. It is some seconds behind.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn statistics(
        &self,
        principal: &Principal,
        application: Option<&str>,
        period: Period,
    ) -> Result<Series> {
        let application = self.place_of(principal, application)?;
        let whose = Whose {
            environment: principal.environment.key,
            application: application.map(|application| application.key),
        };
        let hours = period.range(self.now());
        let found = self.store().statistics(whose, hours).await?;
        Ok(Series::of(period, (hours.0, found)))
    }

    /// The endpoints of an application, or of a whole environment, that need somebody: the most urgent first, twenty at most.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn attention(&self, principal: &Principal, application: Option<&str>) -> Result<Vec<Needy>> {
        let application = self.place_of(principal, application)?;
        let (routing, now) = (self.store().routing(), self.now());
        let every = match application {
            Some(application) => vec![routing.routes(application.key)],
            None => routing.every(),
        };
        let ours = |route: &&Route| {
            route.environment.key == principal.environment.key && !route.application.is_operational()
        };
        let mut needy = Vec::new();
        let (mut sent_to, mut paused) = (HashMap::default(), Vec::new());
        for route in every.iter().flat_map(|routes| routes.iter()).filter(ours) {
            let endpoint = &route.endpoint;
            match (endpoint.fields.disabled, &endpoint.disabling) {
                (true, Some(why)) => {
                    needy.push(Needy::new(
                        route,
                        Trouble::Disabled { at: why.at, reason: why.reason.clone() },
                    ));
                }
                (true, None) => {}
                (false, _) if endpoint.fields.paused => paused.push(route),
                (false, _) => drop(sent_to.insert(endpoint.key, route)),
            }
        }
        needy.extend(self.failing(&sent_to).await?);
        needy.extend(self.waiting(paused).await?);
        needy.sort_by_key(|one| one.urgency(now));
        needy.truncate(ATTENTION_MAX);
        Ok(needy)
    }

    /// Those that fail, the first of them that have failed for longest.
    async fn failing(&self, sent_to: &HashMap<EndpointKey, &Route>) -> Result<Vec<Needy>> {
        let keys = sent_to.keys().copied().collect();
        let episodes = self.store().episodes(keys, EPISODES_MAX).await?;
        let needy = episodes.into_iter().filter_map(|episode| {
            let trouble = Trouble::Failing { since: episode.since, failures: episode.failures };
            sent_to.get(&episode.endpoint).map(|route| Needy::new(route, trouble))
        });
        Ok(needy.collect())
    }

    /// Those at which events have waited for long.
    async fn waiting(&self, mut paused: Vec<&Route>) -> Result<Vec<Needy>> {
        paused.sort_by_key(|route| route.endpoint.updated_at);
        paused.truncate(PAUSED_MAX);
        let keys = paused.iter().map(|route| route.endpoint.key).collect();
        let long_ago = self.now().plus_ms(-WAITS_LONG_MS);
        let waiting: HashMap<_, _> = self.store().waiting_since(keys).await?.into_iter().collect();
        let needy = paused.into_iter().filter_map(|route| {
            let since = *waiting.get(&route.endpoint.key)?;
            (since <= long_ago).then(|| Needy::new(route, Trouble::Paused { since }))
        });
        Ok(needy.collect())
    }

    /// The application that is looked at; none when it is the whole environment.
    fn place_of(&self, principal: &Principal, application: Option<&str>) -> Result<Option<Arc<Application>>> {
        match application {
            Some(id) => self.workspace(principal, id, Right::Read).map(Some),
            None => principal.may_in_environment(Right::Read).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_fall_into_the_points_of_a_series() {
        let tally = |accepted| Tally { accepted, ..Tally::default() };
        let hours = vec![(95, tally(9)), (100, tally(1)), (105, tally(2)), (106, tally(3)), (267, tally(4))];
        let series = Series::of(Period::Week, (100, hours));
        let counts: Vec<_> = series.points.iter().map(|point| point.tally.accepted).collect();
        assert_eq!((counts[0], counts[1], counts[27], series.total.accepted), (3, 3, 4, 10));
        assert_eq!(series.points[1].from, Timestamp(106 * HOUR_MS));
    }
}
