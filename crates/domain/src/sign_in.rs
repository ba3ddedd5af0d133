//! How long people stay signed in, and how long the links hold that are sent to them.

use crate::word::worded;

/// How long a session holds without being used, in milliseconds (7 days).
pub const SESSION_IDLE_MS: i64 = 7 * 86_400_000;
/// How long a session holds at most, in milliseconds (30 days).
pub const SESSION_MS: i64 = 30 * 86_400_000;
/// Between two notes of a session's use, in milliseconds (10 minutes): a page that is looked at costs no write.
pub const SESSION_SEEN_MS: i64 = 600_000;
/// How long an invitation holds, in milliseconds (7 days).
pub const INVITATION_MS: i64 = 7 * 86_400_000;
/// How long a link holds by which a forgotten password is replaced, in milliseconds (1 hour).
pub const RESET_MS: i64 = 3_600_000;

/// How long whoever gave the right password may take to give the code of their second factor, in milliseconds (5 minutes).
pub const SECOND_FACTOR_MS: i64 = 300_000;

worded!(
    /// What a link that was given to a person is for; or what stands in a form between two steps.
    TicketPurpose {
        /// To choose a password, once: an invitation, or a forgotten one.
        Password = "password",
        /// To sign in, for as long as it holds: what `dev` prints.
        SignIn = "sign_in",
        /// To show the second factor: the first one was right. It stands in a form, not in a link.
        SecondFactor = "second_factor",
    }
);
