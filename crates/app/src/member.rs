//! Members: invited, given other roles and removed by those who administer where they are members.

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Result};
use crate::mail::MAIL_WITHIN;
use crate::principal::{Principal, Right, Scope};
use crate::user::{Newcomer, taken_email};
use courier::Mail;
use domain::audit::{Action, Difference};
use domain::id::ApplicationKey;
use domain::sign_in::{INVITATION_MS, TicketPurpose};
use domain::user::{Membership, User, normal_email};
use serde_json::{Value, json};
use store::StoreError;

/// What became of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// They have an account, or are invited to one elsewhere: they are a member now.
    Member(User),
    /// A mail with a link is on its way to them: by it they choose a password.
    Mailed(User),
    /// Whoever invites them gives them the link.
    ByHand {
        /// The user.
        user: User,
        /// The page where they choose a password.
        link: String,
        /// Whether a mail was tried and not taken; otherwise there is no mail server.
        was_tried: bool,
    },
}

impl App {
    /// The members of an application, or of the whole instance.
    ///
    /// # Errors
    /// `Forbidden` below the role of an administrator there.
    pub async fn members(&self, principal: &Principal, of: Option<ApplicationKey>) -> Result<Vec<User>> {
        administers(principal, of)?;
        Ok(self.store().user_list(of).await?)
    }

    /// Gives somebody a role; who is no user yet becomes one. Who has no password gets a link by which they choose one.
    ///
    /// # Errors
    /// `Forbidden`, `Invalid`; `Refused` when no administrator would be left.
    pub async fn member_add(
        &self,
        principal: &Principal,
        newcomer: Newcomer,
        membership: Membership,
    ) -> Result<Invited> {
        administers(principal, membership.application)?;
        let email = normal_email(&newcomer.email);
        let mut before = None;
        let user = match self.store().user_proofs(&email).await {
            Ok(proofs) => {
                before = role_of(&proofs.user, membership.application);
                self.store().membership_put(proofs.user.key, membership).await?;
                self.store().user_get(&proofs.user.id).await?
            }
            Err(StoreError::NotFound) => {
                let new = self.user_new(Newcomer { password: None, ..newcomer }, membership).await?;
                taken_email(self.store().user_create(new).await)?
            }
            Err(error) => return Err(error.into()),
        };
        let roles = (before.unwrap_or_default(), role_of(&user, membership.application).unwrap_or_default());
        self.note_member(principal, (Action::MemberAdded, membership.application), (&user, roles)).await;
        if user.has_password {
            return Ok(Invited::Member(user));
        }
        let may_see_link = may_see_link(principal, &user, membership.application);
        match self.invite(user, membership.application).await? {
            Invited::ByHand { user, .. } if !may_see_link => Ok(Invited::Member(user)),
            invited => Ok(invited),
        }
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`; `Refused` when no administrator would be left.
    pub async fn member_change(
        &self,
        principal: &Principal,
        user: &str,
        membership: Membership,
    ) -> Result<()> {
        administers(principal, membership.application)?;
        let user = self.member(user, membership.application).await?;
        self.store().membership_put(user.key, membership).await?;
        let roles = (
            role_of(&user, membership.application).unwrap_or_default(),
            json!({"role": membership.role.word()}),
        );
        self.note_member(principal, (Action::MemberChanged, membership.application), (&user, roles)).await;
        Ok(())
    }

    /// Takes a member's role away. Who is a member of nothing else is deleted.
    ///
    /// # Errors
    /// As [`App::member_change`].
    pub async fn member_remove(
        &self,
        principal: &Principal,
        user: &str,
        of: Option<ApplicationKey>,
    ) -> Result<()> {
        administers(principal, of)?;
        let user = self.member(user, of).await?;
        if user.memberships.len() == 1 {
            self.store().user_delete(user.key).await?;
        } else {
            self.store().membership_delete(user.key, of).await?;
        }
        let roles = (role_of(&user, of).unwrap_or_default(), Value::Null);
        self.note_member(principal, (Action::MemberRemoved, of), (&user, roles)).await;
        Ok(())
    }

    /// Notes what became of a member. Members of the whole instance are no matter of one environment.
    async fn note_member(
        &self,
        principal: &Principal,
        (action, of): (Action, Option<ApplicationKey>),
        (user, (before, after)): (&User, (Value, Value)),
    ) {
        let given = |value: Value| Some(value).filter(|value| !value.is_null());
        let deed = match (given(before), given(after)) {
            // Who has no password is given another link.
            (before, after) if before == after && action == Action::MemberAdded && !user.has_password => {
                Deed::to_user(Action::LinkMade, user)
            }
            (before, after) if before == after => return,
            (before, after) => Deed::to_user(action, user).with(Difference { before, after }),
        };
        let application = of.and_then(|key| self.store().routing().application_by_key(key));
        match &application {
            Some(application) => self.note_deed(principal, Some(application), deed).await,
            None => self.note_of_instance(&principal.acting, deed).await,
        }
    }

    async fn member(&self, id: &str, of: Option<ApplicationKey>) -> Result<User> {
        let user = self.store().user_get(id).await?;
        let is_member = user.memberships.iter().any(|membership| membership.application == of);
        if is_member { Ok(user) } else { Err(AppError::NotFound) }
    }

    async fn invite(&self, user: User, of: Option<ApplicationKey>) -> Result<Invited> {
        let token = self.link(&user, TicketPurpose::Password, INVITATION_MS).await?;
        let link = self.password_url(&token);
        if !self.has_mail_server() {
            return Ok(Invited::ByHand { user, link, was_tried: false });
        }
        let application = of.and_then(|key| self.store().routing().application_by_key(key));
        let what = match application.as_ref().map(|application| application.called()) {
            Some(name) => format!("the webhooks of {name}"),
            None => "the webhooks of all applications".to_owned(),
        };
        let mail = Mail {
            subject: format!("You are invited to look after {what}"),
            text: format!("You are invited to look after {what} at {}.", self.settings().public_url),
            call: "Choose a password and begin".into(),
            link: link.clone(),
            more: "The link holds for 7 days, and once. If you do not know what this is about, leave it: nothing happens \
                   then."
                .into(),
            id: self.mail_id(),
        };
        if self.mail(&user.email, &mail, MAIL_WITHIN).await {
            return Ok(Invited::Mailed(user));
        }
        Ok(Invited::ByHand { user, link, was_tried: true })
    }
}

/// Their role in a place, as the audit log has it.
fn role_of(user: &User, of: Option<ApplicationKey>) -> Option<Value> {
    let here = user.memberships.iter().find(|membership| membership.application == of);
    here.map(|membership| json!({"role": membership.role.word()}))
}

/// Whoever has the link has the account. It is shown to whoever administers all that the account reaches, and to nobody else.
fn may_see_link(principal: &Principal, user: &User, of: Option<ApplicationKey>) -> bool {
    let reaches_further = user.memberships.iter().any(|membership| membership.application != of);
    !reaches_further || principal.may_in_environment(Right::Administer).is_ok()
}

/// Members of a place are the matter of those who administer it. Who administers an application alone has no say over others.
fn administers(principal: &Principal, of: Option<ApplicationKey>) -> Result<()> {
    match (&principal.scope, of) {
        (Scope::Application { key, .. }, Some(of)) if *key == of => principal.may(Right::Administer),
        _ => principal.may_in_environment(Right::Administer),
    }
}
