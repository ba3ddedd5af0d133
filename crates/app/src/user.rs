//! Users: added by those who administer where they are to be members, and by themselves the first time.

use crate::App;
use crate::audit::{Acting, Deed};
use crate::error::{AppError, Problems, Result};
use crate::session::{hex, sha256};
use crate::sign_in::{From, Visitor};
use domain::audit::{Action, ActorKind, Difference};
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::name::check_name;
use domain::notify::is_email;
use domain::role::Role;
use domain::sign_in::{INVITATION_MS, TicketPurpose};
use domain::user::{Membership, User, check_password, normal_email};
use domain::wire_id::Kind;
use serde_json::json;
use store::StoreError;
use store::seal::derive;
use store::user::{NewUser, UserChange};

/// Somebody who is to be a user.
#[derive(Clone, Debug, Default)]
pub struct Newcomer {
    /// The address that they will sign in with.
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    /// Their password; without one they choose it by a link.
    pub password: Option<String>,
}

/// What a user changes of their own.
#[derive(Clone, Debug, Default)]
pub struct OwnPassword {
    /// The one that they have.
    pub current: String,
    /// The one that they want.
    pub new: String,
}

impl App {
    /// What the link holds by which the first administrator is made; none once there is a user. It is the same on every node and
    /// after a restart.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn setup_link(&self) -> Result<Option<String>> {
        let is_set_up = self.store().user_exists().await?;
        Ok((!is_set_up).then(|| self.setup_token()))
    }

    /// Whether this is what the link holds, and there is nobody yet.
    ///
    /// # Errors
    /// `NotFound` when it is not, or somebody is there; `TooMany`.
    pub async fn setup_check(&self, link: &str, from: &From) -> Result<()> {
        self.inner.knocks.knock_from(&from.address, self.now())?;
        let known = self.setup_token();
        let fits = aws_lc_rs::constant_time::verify_slices_are_equal(known.as_bytes(), link.as_bytes());
        if fits.is_err() || self.store().user_exists().await? {
            return Err(AppError::NotFound);
        }
        self.inner.knocks.welcome_from(&from.address);
        Ok(())
    }

    /// Makes the first administrator, and signs them in.
    ///
    /// # Errors
    /// As [`App::setup_check`]; `Invalid`.
    pub async fn setup(&self, link: &str, newcomer: Newcomer, from: From) -> Result<String> {
        self.setup_check(link, &from).await?;
        let new = self.user_new(newcomer, administrator()).await?;
        self.first_environment().await?;
        let user = match self.store().user_create_first(new).await {
            // Somebody was faster: the link holds no more.
            Err(StoreError::Taken(_)) => return Err(AppError::NotFound),
            made => made?,
        };
        let acting = Acting::user(&user, &from.address);
        self.note_of_instance(&acting, Deed::to_user(Action::UserCreated, &user)).await;
        self.welcome(&user, from).await
    }

    /// Adds a user with a role on the whole instance, on the command line: whoever can run it can read everything anyway.
    ///
    /// # Errors
    /// `Invalid`, `Conflict` when the address is taken.
    pub async fn user_create(&self, newcomer: Newcomer, role: Role) -> Result<User> {
        let new = self.user_new(newcomer, Membership { application: None, role }).await?;
        self.first_environment().await?;
        let user = taken_email(self.store().user_create(new).await)?;
        let role = Difference::made(&json!({"role": role.word()}));
        self.note_command(Deed::to_user(Action::UserCreated, &user).with(role)).await;
        Ok(user)
    }

    /// All users, by address, with where they may do what: for whoever runs the server.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn users(&self) -> Result<Vec<User>> {
        Ok(self.store().user_every().await?)
    }

    /// A link by which the user of this address chooses a new password: for whoever runs the server.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn password_link_for(&self, email: &str) -> Result<String> {
        let user = self.store().user_proofs(&normal_email(email)).await?.user;
        self.note_command(Deed::to_user(Action::LinkMade, &user)).await;
        self.link(&user, TicketPurpose::Password, INVITATION_MS).await
    }

    /// A link by which its holder signs in as this user, until then.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn sign_in_link(&self, email: &str, holds_ms: i64) -> Result<String> {
        let user = self.store().user_proofs(&normal_email(email)).await?.user;
        self.note_command(Deed::to_user(Action::LinkMade, &user)).await;
        self.link(&user, TicketPurpose::SignIn, holds_ms).await
    }

    /// Changes a visitor's own password. Every other browser of theirs is signed out.
    ///
    /// # Errors
    /// `Invalid`, also when the current one is wrong; `TooMany`.
    pub async fn password_change(&self, visitor: &Visitor, passwords: OwnPassword) -> Result<()> {
        let email = &visitor.user.email;
        // Who came by a link has none to show.
        if self.store().user_proofs(email).await?.password.is_some() {
            self.own_password(visitor, ("current", &passwords.current)).await?;
        }
        check_password(&passwords.new, email).map_err(|what| AppError::invalid("new", what))?;
        let password = Some(self.hashed(&passwords.new).await?);
        self.store().user_change(visitor.user.key, UserChange { password, ..UserChange::default() }).await?;
        self.note_of_instance(&visitor.acting(), Deed::to_user(Action::PasswordChanged, &visitor.user)).await;
        Ok(self.store().browsers_delete(visitor.user.key, Some(visitor.browser.sha256)).await?)
    }

    /// Changes what a visitor is called.
    ///
    /// # Errors
    /// `Invalid`.
    pub async fn user_rename(&self, visitor: &Visitor, name: &str) -> Result<()> {
        check_name(name.trim()).map_err(|what| AppError::invalid("name", what))?;
        let change = UserChange { name: Some(name.trim().to_owned()), ..UserChange::default() };
        let names = Difference::between(&json!({"name": visitor.user.name}), &json!({"name": name.trim()}));
        self.store().user_change(visitor.user.key, change).await?;
        if let Some(names) = names {
            let deed = Deed::to_user(Action::UserRenamed, &visitor.user).with(names);
            self.note_of_instance(&visitor.acting(), deed).await;
        }
        Ok(())
    }

    /// Checks a visitor's own password.
    ///
    /// # Errors
    /// `Invalid` in this field, also when they have none; `TooMany`.
    pub(crate) async fn own_password(
        &self,
        visitor: &Visitor,
        (field, password): (&'static str, &str),
    ) -> Result<()> {
        let (email, here) = (&visitor.user.email, &visitor.address);
        self.inner.knocks.knock(here, email, self.now())?;
        let hash = self.store().user_proofs(email).await?.password;
        if !self.inner.passwords.fits(password, hash).await? {
            return Err(AppError::invalid(field, "is not your password"));
        }
        self.inner.knocks.welcome(here, email);
        Ok(())
    }

    pub(crate) async fn link(&self, user: &User, purpose: TicketPurpose, holds_ms: i64) -> Result<String> {
        let token = self.new_token();
        let expires_at = self.now().plus_ms(holds_ms);
        self.store().ticket_create(sha256(token.as_bytes()), (user.key, purpose), expires_at).await?;
        Ok(token)
    }

    pub(crate) async fn user_new(&self, newcomer: Newcomer, membership: Membership) -> Result<NewUser> {
        let email = normal_email(&newcomer.email);
        let mut problems = Problems::default();
        if !is_email(&email) {
            problems.add("email", "is not an e-mail address like ada@example.com");
        }
        problems.check("name", check_name(newcomer.name.trim()));
        if let Some(password) = &newcomer.password
            && let Err(what) = check_password(password, &email)
        {
            problems.add("password", what);
        }
        problems.finish()?;
        let password = match newcomer.password {
            Some(password) => Some(self.hashed(&password).await?),
            None => None,
        };
        let name = newcomer.name.trim().to_owned();
        Ok(NewUser { id: self.new_id(Kind::User), email, name, password, memberships: vec![membership] })
    }

    /// Notes what whoever runs the server did by a command.
    pub(crate) async fn note_command(&self, deed: Deed) {
        self.note_of_instance(&Acting::of(ActorKind::Operator), deed).await;
    }

    /// Whoever signs in finds an environment, also before any token was used.
    async fn first_environment(&self) -> Result<()> {
        let headers = self.settings().signature_headers;
        self.store().environment_ensure(ENVIRONMENT_DEFAULT, headers).await?;
        Ok(())
    }

    fn setup_token(&self) -> String {
        hex(&derive(&self.store().wire_id_key(), "setup")[..16])
    }
}

const fn administrator() -> Membership {
    Membership { application: None, role: Role::Administrator }
}

pub(crate) fn taken_email(made: Result<User, StoreError>) -> Result<User> {
    made.map_err(|error| match error {
        StoreError::Taken(_) => AppError::conflict("There is a user with this address already."),
        error => error.into(),
    })
}
