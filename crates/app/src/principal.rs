//! Who is asking, and what they may do.

use crate::App;
use crate::audit::Acting;
use crate::error::{AppError, Result};
use domain::application::Application;
use domain::environment::Environment;
use domain::id::ApplicationKey;
use domain::portal::Capability;
use domain::role::Role;
use domain::word::Worded;
use std::sync::Arc;

/// Who a credential speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The environment that it opens.
    pub environment: Arc<Environment>,
    /// How much of it.
    pub scope: Scope,
    /// What it may do there.
    pub role: Role,
    /// A hash of who it is, the same for every token of the same subject.
    pub subject: [u8; 16],
    /// Which flagged event types it sees; none sees all.
    pub feature_flags: Option<Vec<String>>,
    /// What a portal link gives, one by one; none is all that the role may.
    pub capabilities: Option<Vec<Capability>>,
    /// Who acts, and from where: for the audit log.
    pub acting: Acting,
}

/// How much of an environment a principal opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Environment,
    /// One application. The wire id is compared too where it is known, so that a key that a later application got
    /// could never open it.
    Application {
        /// Its small key.
        key: ApplicationKey,
        /// Its wire id, as a token names it.
        id: Option<String>,
    },
    /// The environment's operational webhooks. No credential has this scope: it is taken for one operation.
    Operational,
}

/// An endpoint or message of an application, as a path names it, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The application's id or uid.
    pub application: &'a str,
    /// The endpoint's id or uid, or the message's id or event id.
    pub id: &'a str,
}

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To look.
    Read,
    /// To send, resend and test.
    Send,
    /// To change endpoints.
    Manage,
    /// To see secrets.
    Reveal,
    /// To replace secrets.
    Rotate,
    /// To set transformations.
    Transform,
    /// To change applications, event types and keys.
    Administer,
}

impl Right {
    /// The least role that has it.
    #[must_use]
    pub const fn least_role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Send => Role::Member,
            Self::Manage | Self::Reveal | Self::Rotate | Self::Transform => Role::Manager,
            Self::Administer => Role::Administrator,
        }
    }
}

impl Right {
    /// What gives it to whoever comes by a portal link; nothing gives it where there is none.
    const fn capability(self) -> Option<Capability> {
        match self {
            Self::Read => Some(Capability::ViewBase),
            Self::Send => Some(Capability::CreateAttempts),
            Self::Manage => Some(Capability::ManageEndpoint),
            Self::Reveal => Some(Capability::ViewEndpointSecret),
            Self::Rotate => Some(Capability::ManageEndpointSecret),
            Self::Transform => Some(Capability::ManageTransformations),
            Self::Administer => None,
        }
    }
}

impl Principal {
    /// The same, from this address.
    #[must_use]
    pub fn at(&self, address: &str) -> Self {
        let acting = Acting { actor: self.acting.actor.clone(), address: address.to_owned() };
        Self { acting, ..self.clone() }
    }

    /// Whether this principal may do what needs `right`.
    ///
    /// # Errors
    /// `Forbidden`, with the role that is needed.
    pub fn may(&self, right: Right) -> Result<()> {
        if let Some(capabilities) = &self.capabilities {
            let has = |wanted: Capability| wanted == Capability::ViewBase || capabilities.contains(&wanted);
            return match right.capability() {
                Some(wanted) if has(wanted) => Ok(()),
                Some(wanted) => {
                    let word = wanted.word();
                    Err(AppError::Forbidden(format!("This link does not give the capability {word}.")))
                }
                None => Err(AppError::Forbidden("This is not for whoever comes by a link.".to_owned())),
            };
        }
        let least = right.least_role();
        if self.role >= least {
            return Ok(());
        }
        Err(AppError::Forbidden(format!("The role here is {}; this needs {least} or more.", self.role)))
    }

    /// Whether this principal may do what concerns the whole environment and needs `right`.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_in_environment(&self, right: Right) -> Result<()> {
        if self.scope != Scope::Environment {
            return Err(AppError::Forbidden(
                "This token is for one application; this needs a token for the environment.".into(),
            ));
        }
        self.may(right)
    }

    fn opens(&self, application: &Application) -> bool {
        match &self.scope {
            Scope::Environment | Scope::Operational => true,
            Scope::Application { key, id } => {
                *key == application.key && id.as_ref().is_none_or(|id| *id == application.id)
            }
        }
    }
}

impl App {
    /// The application that a path names, for an operation that needs `right`.
    pub(crate) fn workspace(
        &self,
        principal: &Principal,
        id: &str,
        right: Right,
    ) -> Result<Arc<Application>> {
        let (routing, environment) = (self.store().routing(), principal.environment.key);
        let found = match principal.scope {
            Scope::Operational => routing.operational(environment),
            _ => routing.application(environment, id),
        };
        let application = found.filter(|a| principal.opens(a)).ok_or(AppError::NotFound)?;
        principal.may(right)?;
        Ok(application)
    }
}
