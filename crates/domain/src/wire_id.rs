//! Ids on the wire: a prefix and 27 base62 characters that sort by time.
//!
//! Messages and attempts: 11 characters of the integer id, 16 of a keyed check, so that ids cannot be guessed and a
//! wrong one is refused without a look-up. Applications, endpoints and the like: 11 characters of time, 16 random.

use crate::clock::Timestamp;
use crate::id::{AttemptId, MessageId};
use aws_lc_rs::hmac;

/// Characters after the prefix.
pub const BODY_CHARS: usize = 27;
const TIME_CHARS: usize = 11;
const HALF_CHARS: usize = (BODY_CHARS - TIME_CHARS) / 2;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Kinds of ids with the prefix that each has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `org_`
    Environment,
    /// `app_`
    Application,
    /// `ep_`
    Endpoint,
    /// `msg_`
    Message,
    /// `atmpt_`
    Attempt,
    /// `evtype_`
    EventType,
    /// `qtask_`
    BackgroundTask,
    /// `key_`
    ApiKey,
    /// `user_`
    User,
}

impl Kind {
    /// The prefix, underscore included.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Environment => "org_",
            Self::Application => "app_",
            Self::Endpoint => "ep_",
            Self::Message => "msg_",
            Self::Attempt => "atmpt_",
            Self::EventType => "evtype_",
            Self::BackgroundTask => "qtask_",
            Self::ApiKey => "key_",
            Self::User => "user_",
        }
    }

    /// Whether `text` has the shape of this kind's ids: prefix and 27 base62 characters.
    #[must_use]
    pub fn shaped(self, text: &str) -> bool {
        text.strip_prefix(self.prefix())
            .is_some_and(|body| body.len() == BODY_CHARS && body.bytes().all(|b| b.is_ascii_alphanumeric()))
    }

    /// A new text id: 11 characters of time, 16 of `random`.
    #[must_use]
    pub fn make(self, now: Timestamp, random: [u8; 16]) -> String {
        let mut text = String::with_capacity(self.prefix().len() + BODY_CHARS);
        text.push_str(self.prefix());
        push_base62(&mut text, now.0.max(0).unsigned_abs(), TIME_CHARS);
        for half in halves(&random) {
            push_base62(&mut text, half, HALF_CHARS);
        }
        text
    }
}

/// Writes and reads the ids of messages and attempts; the key is derived from the instance's encryption key.
#[derive(Clone)]
pub struct IdCodec(hmac::Key);

impl std::fmt::Debug for IdCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdCodec(…)")
    }
}

impl IdCodec {
    /// A codec under `key`. Another key makes other ids: it must be the same for all nodes and for ever.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// `msg_…`
    #[must_use]
    pub fn message(&self, id: MessageId) -> String {
        self.write(Kind::Message, id.0)
    }

    /// `atmpt_…`
    #[must_use]
    pub fn attempt(&self, id: AttemptId) -> String {
        self.write(Kind::Attempt, id.0)
    }

    /// The message that `text` names; none when the text is not an id that this instance wrote.
    #[must_use]
    pub fn read_message(&self, text: &str) -> Option<MessageId> {
        self.read(Kind::Message, text).map(MessageId)
    }

    /// The attempt that `text` names; none when the text is not an id that this instance wrote.
    #[must_use]
    pub fn read_attempt(&self, text: &str) -> Option<AttemptId> {
        self.read(Kind::Attempt, text).map(AttemptId)
    }

    fn write(&self, kind: Kind, id: i64) -> String {
        let mut text = String::with_capacity(kind.prefix().len() + BODY_CHARS);
        text.push_str(kind.prefix());
        push_base62(&mut text, id.max(0).unsigned_abs(), TIME_CHARS);
        for half in self.check(kind, id) {
            push_base62(&mut text, half, HALF_CHARS);
        }
        text
    }

    fn read(&self, kind: Kind, text: &str) -> Option<i64> {
        let body = text.strip_prefix(kind.prefix())?;
        if body.len() != BODY_CHARS || !body.is_ascii() {
            return None;
        }
        let id = i64::try_from(read_base62(&body[..TIME_CHARS])?).ok()?;
        (self.write(kind, id) == text).then_some(id)
    }

    /// 16 characters' worth of a keyed hash, in two halves: 64-bit arithmetic is several times as fast as 128-bit.
    fn check(&self, kind: Kind, id: i64) -> [u64; 2] {
        let mut input = [0; 9];
        input[0] = kind.prefix().as_bytes()[0];
        input[1..].copy_from_slice(&id.to_be_bytes());
        halves(hmac::sign(&self.0, &input).as_ref())
    }
}

/// The first 16 bytes, as two integers.
fn halves(bytes: &[u8]) -> [u64; 2] {
    let half = |at: usize| bytes[at..at + 8].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    [half(0), half(8)]
}

/// Appends the lowest `chars` base62 digits of `value`, most significant first.
fn push_base62(out: &mut String, value: u64, chars: usize) {
    let mut digits = [b'0'; TIME_CHARS];
    let mut rest = value;
    for digit in digits[..chars].iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    out.extend(digits[..chars].iter().map(|b| char::from(*b)));
}

fn read_base62(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.binary_search(&byte).ok()?;
        Some(value * 62 + digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_reads_back_and_no_other_kind_key_or_change_does() {
        let codec = IdCodec::new(b"one");
        let text = codec.message(MessageId(0x0123_4567_89ab_cdef));
        assert_eq!(text.len(), 31);
        assert_eq!(codec.read_message(&text), Some(MessageId(0x0123_4567_89ab_cdef)));
        assert_eq!(codec.read_attempt(&text), None);
        assert_eq!(codec.read_attempt(&text.replace("msg_", "atmpt_")), None);
        assert_eq!(IdCodec::new(b"two").read_message(&text), None);
        let mut forged = text.clone();
        forged.replace_range(14..15, if &text[14..15] == "a" { "b" } else { "a" });
        assert_eq!(codec.read_message(&forged), None);
        assert_eq!(codec.read_message("msg_ü"), None);
    }

    #[test]
    fn wire_ids_sort_as_their_integers_do() {
        let codec = IdCodec::new(b"one");
        let texts: Vec<_> =
            [1, 61, 62, 4000, i64::MAX / 2, i64::MAX].map(|id| codec.message(MessageId(id))).into();
        assert!(texts.is_sorted(), "{texts:?}");
    }

    #[test]
    fn text_ids_have_their_shape_and_sort_by_time() {
        let first = Kind::Application.make(Timestamp(1_800_000_000_000), [255; 16]);
        let second = Kind::Application.make(Timestamp(1_800_000_000_001), [0; 16]);
        assert!(Kind::Application.shaped(&first));
        assert!(!Kind::Endpoint.shaped(&first));
        assert!(first < second);
    }
}
