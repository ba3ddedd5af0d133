//! The audit log: an entry is written beside every change that somebody makes, and read by those who administer.
//!
//! What changes an endpoint carries its entry into the same transaction; everything else writes it right after, before the answer
//! (decision 15). What was asked for is done to its end also when whoever asked hangs up ([`App::to_its_end`]), so that nobody acts
//! without an entry by hanging up early.

use crate::App;
use crate::error::Result;
use crate::principal::{Principal, Right};
use domain::application::Application;
use domain::audit::{Action, Actor, ActorKind, Difference, Entry, NewEntry, Subject};
use domain::endpoint::Endpoint;
use domain::page::{Page, Slice};
use domain::user::User;
use std::collections::HashMap;
use std::net::IpAddr;
use store::StoreError;
pub use store::audit::AuditFilter;
use store::audit::AuditOf;

/// Requests that go on by themselves after whoever asked has hung up; beyond it they end with them.
const ASIDE_MAX: usize = 8_192;

/// Who acts, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acting {
    /// Who.
    pub actor: Actor,
    /// The client's address; empty when it is not known.
    pub address: String,
}

impl Acting {
    /// Somebody of whom nothing is known but what they are.
    #[must_use]
    pub(crate) const fn of(kind: ActorKind) -> Self {
        Self { actor: Actor::of(kind), address: String::new() }
    }

    /// This user, from this address.
    #[must_use]
    pub(crate) fn user(user: &User, address: &str) -> Self {
        Self { actor: Actor::user(user), address: address.to_owned() }
    }
}

/// What somebody did.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) action: Action,
    pub(crate) subject: Subject,
    pub(crate) difference: Difference,
}

impl Deed {
    /// Something that changes no field.
    pub(crate) fn new(action: Action, id: impl Into<String>, name: impl Into<String>) -> Self {
        let subject = Subject { id: id.into(), name: name.into() };
        Self { action, subject, difference: Difference::default() }
    }

    /// Something done to a user.
    pub(crate) fn to_user(action: Action, user: &User) -> Self {
        Self::new(action, &*user.id, &*user.email)
    }

    /// The same with what changed.
    pub(crate) fn with(self, difference: Difference) -> Self {
        Self { difference, ..self }
    }
}

impl App {
    /// The entry of something that was done in an application, or (without one) in the principal's environment.
    pub(crate) fn entry(
        &self,
        principal: &Principal,
        application: Option<&Application>,
        deed: Deed,
    ) -> NewEntry {
        let environment = Some(principal.environment.key);
        let entry = self.entry_of_instance(&principal.acting, deed);
        NewEntry {
            environment,
            application: application.map(|application| application.key),
            place: application.map_or_else(String::new, |application| application.called().to_owned()),
            ..entry
        }
    }

    /// The entry of something that was done to an endpoint.
    pub(crate) fn entry_of_endpoint(
        &self,
        principal: &Principal,
        endpoint: &Endpoint,
        (action, difference): (Action, Difference),
    ) -> NewEntry {
        let application = self.store().routing().application_by_key(endpoint.application);
        let deed = Deed::new(action, &*endpoint.id, endpoint.name()).with(difference);
        self.entry(principal, application.as_deref(), deed)
    }

    /// The entry of something that concerns no single environment: accounts, and who is signed in.
    pub(crate) fn entry_of_instance(&self, acting: &Acting, deed: Deed) -> NewEntry {
        NewEntry {
            at: self.now(),
            environment: None,
            application: None,
            place: String::new(),
            actor: acting.actor.clone(),
            address: acting.address.clone(),
            action: deed.action,
            subject: deed.subject,
            difference: deed.difference,
        }
    }

    /// Writes an entry. What it tells of is done and stays so: an entry that cannot be written stands in the log.
    pub(crate) async fn note(&self, entry: NewEntry) {
        if let Err(error) = self.store().audit_add(entry.clone()).await {
            let NewEntry { actor, address, action, subject, .. } = entry;
            let (who, what, to) = (actor.called(), domain::word::Worded::word(action), subject.id);
            tracing::error!(%error, who, address, what, to, "an entry of the audit log was not written");
        }
    }

    /// Notes what a principal did.
    pub(crate) async fn note_deed(
        &self,
        principal: &Principal,
        application: Option<&Application>,
        deed: Deed,
    ) {
        self.note(self.entry(principal, application, deed)).await;
    }

    /// Notes what somebody did with an account.
    pub(crate) async fn note_of_instance(&self, acting: &Acting, deed: Deed) {
        self.note(self.entry_of_instance(acting, deed)).await;
    }

    /// What the users among those who did these things are called now; without those who are gone.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn audit_names(&self, entries: &[Entry]) -> Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        for Entry { new: NewEntry { actor, .. }, .. } in entries {
            if actor.kind != ActorKind::User || names.contains_key(&actor.id) {
                continue;
            }
            match self.store().user_get(&actor.id).await {
                Ok(user) => names.insert(actor.id.clone(), user.called().to_owned()),
                Err(StoreError::NotFound) => names.insert(actor.id.clone(), actor.name.clone()),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(names)
    }

    /// A page of what was done in an application.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` below the role of an administrator.
    pub async fn audit_of_application(
        &self,
        principal: &Principal,
        application: &str,
        (filter, page): (AuditFilter, Page<i64>),
    ) -> Result<Slice<Entry>> {
        let application = self.workspace(principal, application, Right::Administer)?;
        Ok(self.store().audit_list(AuditOf::Application(application.key), filter, page).await?)
    }

    /// A page of what was done in an environment, and with accounts.
    ///
    /// # Errors
    /// `Forbidden` below the role of an administrator.
    pub async fn audit_of_environment(
        &self,
        principal: &Principal,
        (filter, page): (AuditFilter, Page<i64>),
    ) -> Result<Slice<Entry>> {
        principal.may_in_environment(Right::Administer)?;
        Ok(self.store().audit_list(AuditOf::Environment(principal.environment.key), filter, page).await?)
    }

    /// Does what was asked for to its end, also when whoever asked hangs up.
    pub async fn to_its_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let aside = &self.inner.aside;
        if aside.len() >= ASIDE_MAX {
            return work.await;
        }
        match aside.spawn(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Where a client is: the last address that no trusted proxy has. What stands before it in `X-Forwarded-For` (`said`, in the
    /// order in which it stands there), anybody can have written.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, said: &[&str]) -> IpAddr {
        let proxies = &self.settings().trusted_proxies;
        let is_trusted = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
        client(peer, said, is_trusted)
    }
}

fn client(peer: IpAddr, said: &[&str], is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let said: Vec<_> = said.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    let mut address = peer.to_canonical();
    for next in said.into_iter().rev() {
        if !is_trusted(address) {
            break;
        }
        let Ok(next) = next.parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let of = |peer: &str, said: &str| {
            let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
            client(peer.parse().unwrap(), &[said], is_trusted).to_string()
        };
        assert_eq!(of("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(of("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        // What the client itself wrote stands first, and is not believed.
        assert_eq!(of("10.0.0.1", "127.0.0.1, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(of("10.0.0.1", "junk"), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1", "198.51.100.1"), "198.51.100.1");
    }
}
