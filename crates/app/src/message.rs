//! Messages: read, listed, their payloads removed. Posting one is in `ingest`.

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Result};
use crate::list::Listing;
use crate::principal::{Place, Principal, Right};
use crate::window::Window;
use domain::application::Application;
use domain::audit::Action;
use domain::id::MessageId;
use domain::message::Message;
use domain::page::{From, Slice};
use std::sync::Arc;
pub use store::message::MessageFilter;

impl App {
    /// The message of this id, or of this event id.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn message_get(&self, at: Place<'_>) -> Result<Message> {
        Ok(self.message_of(at, Right::Read).await?.1)
    }

    /// A page of an application's messages, newest first.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window over 90 days.
    pub async fn message_list(
        &self,
        principal: &Principal,
        application: &str,
        Listing { filter, page }: Listing<MessageFilter, MessageId>,
    ) -> Result<Slice<Message>> {
        let application = self.workspace(principal, application, Right::Read)?;
        let Window { after, before } = Window { after: filter.after, before: filter.before }.of_list()?;
        let filter = MessageFilter { after, before, ..filter };
        Ok(self.store().message_list(application.key, filter, page).await?)
    }

    /// A page of an application's messages that fit, newest first, found among so many at most: what is rare is looked for step by
    /// step. Also answers the last message that was looked at, where there are more behind it and the page is not full.
    ///
    /// # Errors
    /// As [`Self::message_list`].
    pub async fn message_look(
        &self,
        principal: &Principal,
        application: &str,
        Listing { filter, page }: Listing<MessageFilter, MessageId>,
        many: u32,
    ) -> Result<(Slice<Message>, Option<MessageId>)> {
        let key = self.workspace(principal, application, Right::Read)?.key;
        let from = if let From::After(from) = page.from { Some(from) } else { None };
        let has_words = filter.channel.is_some() || filter.tag.is_some() || filter.text.is_some();
        let is_narrow = has_words || !filter.event_types.is_empty();
        let floor = if is_narrow { self.store().message_behind(key, from, many).await? } else { None };
        let listing = Listing { filter: MessageFilter { floor, ..filter }, page };
        let slice = self.message_list(principal, application, listing).await?;
        let looked_to = floor.filter(|_| slice.done);
        Ok((slice, looked_to))
    }

    /// Removes a message's payload for good.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn message_expunge(&self, at: Place<'_>) -> Result<()> {
        at.principal.may_in_environment(Right::Administer)?;
        let (application, message) = self.message_of(at, Right::Administer).await?;
        self.store().message_expunge(application.key, message.id).await?;
        let id = self.ids().message(message.id);
        let deed = Deed::new(Action::MessageExpunged, &*id, &*id);
        self.note_deed(at.principal, Some(&application), deed).await;
        Ok(())
    }

    /// The message that a path names, with its application, for an operation that needs `right`.
    pub(crate) async fn message_of(
        &self,
        at: Place<'_>,
        right: Right,
    ) -> Result<(Arc<Application>, Message)> {
        let application = self.workspace(at.principal, at.application, right)?;
        let message = match self.ids().read_message(at.id) {
            Some(message) => self.store().message_get(application.key, message).await?,
            None if domain::name::check_plain(at.id).is_err() => return Err(AppError::NotFound),
            None => self.store().message_by_event_id(application.key, at.id).await?,
        };
        Ok((application, message))
    }
}
