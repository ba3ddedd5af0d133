//! What has just happened, told on the next page: a word in its address, and the sentence that it stands for.

/// Words and their sentences.
const SENTENCES: &[(&str, &str)] = &[
    ("created", "The webhook is there. Events go to it from now on."),
    ("saved", "Saved."),
    ("deleted", "The webhook is deleted. What was on its way to it is canceled."),
    ("enabled", "The webhook is enabled."),
    ("recovering", "The webhook is enabled, and what it missed is being sent."),
    ("disabled", "The webhook is disabled. Its events are kept, and can be sent later."),
    ("paused", "The webhook is paused. Its events wait until it is resumed."),
    ("resumed", "The webhook is resumed: what waited is being sent, oldest first."),
    (
        "rotated",
        "There is a new secret. The old one goes on signing as well, so that nothing breaks meanwhile.",
    ),
    ("sent", "The test event is on its way: it shows below as soon as it arrives."),
    ("resent", "It is being sent again."),
    ("replaying", "The events are being sent again."),
    ("canceled", "The work was stopped. What was sent already stays sent."),
    ("application", "The application is there."),
    ("password", "Your password is changed. Everywhere else you are signed out."),
    (
        "totp-on",
        "The second factor is on: from now on you are asked for a code. Everywhere else you are signed out.",
    ),
    ("totp-off", "The second factor is off."),
    ("renamed", "Your name is changed."),
    ("member", "They are a member now."),
    (
        "invited",
        "They are invited: the link by which they choose their password is on its way to them by e-mail.",
    ),
    ("role", "The role is changed."),
    ("removed", "They are no member any more."),
    ("revoked", "The key is revoked: it opens nothing any more."),
    ("event-type", "The event type is saved."),
    ("archived", "The event type is archived: webhooks cannot choose it any more."),
    ("application-deleted", "The application is deleted, with its webhooks."),
];

/// The sentence of a word.
pub(crate) fn sentence(word: &str) -> Option<&'static str> {
    SENTENCES.iter().find(|(known, _)| *known == word).map(|(_, sentence)| *sentence)
}
