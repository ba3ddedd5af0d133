//! The routing table: which endpoints an application has, in memory, so that no message costs a query.
//!
//! The store fills it at start and changes it with every commit, before the change is answered: it holds for the very
//! next message. It is read by ingest (who gets this message?), by dispatch (how is this endpoint reached?) and by the
//! API (which application does this id or uid name?).

use crate::handoff::Gauge;
use domain::application::Application;
use domain::endpoint::Endpoint;
use domain::environment::Environment;
use domain::id::{ApplicationKey, EndpointKey, EnvironmentKey};
use domain::notice::NoticeKind;
use domain::operational::{application_id, is_operational};
use foldhash::HashMap;
use parking_lot::RwLock;
use std::sync::Arc;

/// An endpoint as routing knows it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its configuration of this moment.
    pub endpoint: Arc<Endpoint>,
    /// Its application, for its rate.
    pub application: Arc<Application>,
    /// Its environment, for the names of the headers.
    pub environment: Arc<Environment>,
    /// How full its queue is; the same over all changes of configuration.
    pub gauge: Arc<Gauge>,
}

#[derive(Debug)]
struct Workspace {
    application: Arc<Application>,
    /// Ordered by key.
    routes: Arc<Vec<Route>>,
}

impl Workspace {
    /// Gives all routes what their application and environment are by now.
    fn refresh(&mut self, environment: &Arc<Environment>, endpoints: &mut HashMap<EndpointKey, Route>) {
        let renew = |route: &Route| Route {
            application: Arc::clone(&self.application),
            environment: Arc::clone(environment),
            ..route.clone()
        };
        let routes: Vec<_> = self.routes.iter().map(renew).collect();
        endpoints.extend(routes.iter().map(|route| (route.endpoint.key, route.clone())));
        self.routes = Arc::new(routes);
    }
}

#[derive(Debug, Default)]
struct Tables {
    environments: HashMap<EnvironmentKey, Arc<Environment>>,
    environment_ids: HashMap<String, EnvironmentKey>,
    workspaces: HashMap<ApplicationKey, Workspace>,
    application_ids: HashMap<String, ApplicationKey>,
    application_uids: HashMap<EnvironmentKey, HashMap<String, ApplicationKey>>,
    endpoints: HashMap<EndpointKey, Route>,
}

/// The routing table.
#[derive(Debug, Default)]
pub struct Routing {
    tables: RwLock<Tables>,
}

impl Routing {
    /// The environment of this wire id.
    #[must_use]
    pub fn environment(&self, id: &str) -> Option<Arc<Environment>> {
        let tables = self.tables.read();
        tables.environment_ids.get(id).and_then(|key| tables.environments.get(key)).cloned()
    }

    /// The environment of this key.
    #[must_use]
    pub fn environment_by_key(&self, key: EnvironmentKey) -> Option<Arc<Environment>> {
        self.tables.read().environments.get(&key).cloned()
    }

    /// All environments, in no order.
    #[must_use]
    pub fn environments(&self) -> Vec<Arc<Environment>> {
        self.tables.read().environments.values().cloned().collect()
    }

    /// The application of this wire id or uid in the environment. That of operational webhooks is not found so.
    #[must_use]
    pub fn application(&self, environment: EnvironmentKey, id: &str) -> Option<Arc<Application>> {
        let tables = self.tables.read();
        let by_uid = tables.application_uids.get(&environment).and_then(|uids| uids.get(id));
        let workspace = tables.workspaces.get(by_uid.or_else(|| tables.application_ids.get(id))?)?;
        let is_there = workspace.application.environment == environment && !is_operational(id);
        is_there.then(|| Arc::clone(&workspace.application))
    }

    /// The environment's applications that fulfil a condition, in no order; never that of operational webhooks.
    #[must_use]
    pub fn applications_where(
        &self,
        environment: EnvironmentKey,
        holds: &dyn Fn(&Application) -> bool,
    ) -> Vec<Arc<Application>> {
        let tables = self.tables.read();
        let all = tables.workspaces.values().map(|workspace| &workspace.application);
        let ours = all.filter(|one| one.environment == environment && !one.is_operational());
        ours.filter(|one| holds(one)).cloned().collect()
    }

    /// The application of this key.
    #[must_use]
    pub fn application_by_key(&self, key: ApplicationKey) -> Option<Arc<Application>> {
        self.tables.read().workspaces.get(&key).map(|w| Arc::clone(&w.application))
    }

    /// The application of an environment's operational webhooks, once there were any.
    #[must_use]
    pub fn operational(&self, environment: EnvironmentKey) -> Option<Arc<Application>> {
        let tables = self.tables.read();
        let id = application_id(&tables.environments.get(&environment)?.id);
        tables.workspaces.get(tables.application_ids.get(&id)?).map(|w| Arc::clone(&w.application))
    }

    /// The operational webhooks of an environment that want this event type.
    #[must_use]
    pub fn operational_routes(&self, environment: EnvironmentKey, event_type: &str) -> Vec<Route> {
        let Some(application) = self.operational(environment) else { return Vec::new() };
        let routes = self.routes(application.key);
        routes.iter().filter(|route| route.endpoint.wants(event_type, &[])).cloned().collect()
    }

    /// Whether an operational webhook wants to hear this of an endpoint of the application. Of operational webhooks themselves none
    /// does.
    #[must_use]
    pub fn is_told(&self, application: &Application, kind: NoticeKind) -> bool {
        let event_type = kind.event_type().filter(|_| !application.is_operational());
        event_type.is_some_and(|of| !self.operational_routes(application.environment, of).is_empty())
    }

    /// The endpoints of every application, as they are now.
    #[must_use]
    pub fn every(&self) -> Vec<Arc<Vec<Route>>> {
        self.tables.read().workspaces.values().map(|w| Arc::clone(&w.routes)).collect()
    }

    /// The application of this wire id, in whatever environment; never that of operational webhooks.
    #[must_use]
    pub fn application_by_id(&self, id: &str) -> Option<Arc<Application>> {
        if is_operational(id) {
            return None;
        }
        let tables = self.tables.read();
        tables.workspaces.get(tables.application_ids.get(id)?).map(|w| Arc::clone(&w.application))
    }

    /// Whether there is an application of this key.
    #[must_use]
    pub fn application_exists(&self, key: ApplicationKey) -> bool {
        self.tables.read().workspaces.contains_key(&key)
    }

    /// The endpoints of an application, ordered by key.
    #[must_use]
    pub fn routes(&self, application: ApplicationKey) -> Arc<Vec<Route>> {
        self.tables.read().workspaces.get(&application).map(|w| Arc::clone(&w.routes)).unwrap_or_default()
    }

    /// The endpoint of this key; none when it was deleted.
    #[must_use]
    pub fn route(&self, endpoint: EndpointKey) -> Option<Route> {
        self.tables.read().endpoints.get(&endpoint).cloned()
    }

    /// Whether an endpoint is sent to in strict order.
    #[must_use]
    pub fn is_ordered(&self, endpoint: EndpointKey) -> bool {
        self.tables.read().endpoints.get(&endpoint).is_some_and(|route| route.endpoint.fields.options.ordered)
    }

    /// Puts an environment in, or its new state.
    pub fn put_environment(&self, environment: Environment) {
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let environment = Arc::new(environment);
        tables.environment_ids.insert(environment.id.clone(), environment.key);
        if tables.environments.insert(environment.key, Arc::clone(&environment)).is_none() {
            return;
        }
        let members = tables.workspaces.values_mut().filter(|w| w.application.environment == environment.key);
        members.for_each(|workspace| workspace.refresh(&environment, &mut tables.endpoints));
    }

    /// Puts an application in, or its new state.
    pub fn put_application(&self, application: Application) {
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let key = application.key;
        let old_uid = tables.workspaces.get(&key).and_then(|w| w.application.fields.uid.clone());
        let uids = tables.application_uids.entry(application.environment).or_default();
        if let Some(uid) = old_uid {
            uids.remove(&uid);
        }
        if let Some(uid) = &application.fields.uid {
            uids.insert(uid.clone(), key);
        }
        tables.application_ids.insert(application.id.clone(), key);
        let environment = tables.environments.get(&application.environment).cloned();
        let application = Arc::new(application);
        let workspace = tables
            .workspaces
            .entry(key)
            .and_modify(|w| w.application = Arc::clone(&application))
            .or_insert_with(|| Workspace { application, routes: Arc::default() });
        if let Some(environment) = environment {
            workspace.refresh(&environment, &mut tables.endpoints);
        }
    }

    /// Takes an application out, its endpoints with it.
    pub fn remove_application(&self, key: ApplicationKey) {
        let mut tables = self.tables.write();
        let Some(workspace) = tables.workspaces.remove(&key) else { return };
        tables.application_ids.remove(&workspace.application.id);
        if let (Some(uids), Some(uid)) = (
            tables.application_uids.get_mut(&workspace.application.environment),
            &workspace.application.fields.uid,
        ) {
            uids.remove(uid);
        }
        for route in workspace.routes.iter() {
            tables.endpoints.remove(&route.endpoint.key);
        }
    }

    /// Puts an endpoint in, or its new state.
    pub fn put_endpoint(&self, endpoint: Endpoint) {
        self.put_endpoints(endpoint.application, vec![endpoint]);
    }

    /// Puts many endpoints of one application in, or their new states.
    pub fn put_endpoints(&self, application: ApplicationKey, endpoints: Vec<Endpoint>) {
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let Some(workspace) = tables.workspaces.get_mut(&application) else { return };
        let Some(environment) = tables.environments.get(&workspace.application.environment) else { return };
        let mut routes = Vec::clone(&workspace.routes);
        for endpoint in endpoints {
            let key = endpoint.key;
            let found = routes.binary_search_by_key(&key, |r| r.endpoint.key);
            let gauge = found.map_or_else(|_| Arc::default(), |index| Arc::clone(&routes[index].gauge));
            let (endpoint, application) = (Arc::new(endpoint), Arc::clone(&workspace.application));
            let route = Route { endpoint, application, environment: Arc::clone(environment), gauge };
            tables.endpoints.insert(key, route.clone());
            match found {
                Ok(index) => routes[index] = route,
                Err(index) => routes.insert(index, route),
            }
        }
        workspace.routes = Arc::new(routes);
    }

    /// Takes an endpoint out.
    pub fn remove_endpoint(&self, key: EndpointKey) {
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let Some(route) = tables.endpoints.remove(&key) else { return };
        if let Some(workspace) = tables.workspaces.get_mut(&route.endpoint.application) {
            let mut routes = Vec::clone(&workspace.routes);
            routes.retain(|r| r.endpoint.key != key);
            workspace.routes = Arc::new(routes);
        }
    }
}
