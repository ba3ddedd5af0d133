//! The message that is sent again and again: built once, stamped in place for each request.
//!
//! The payload begins with when it was sent and which number it has, as digits of fixed width, so that stamping is two
//! small copies and the receiver finds both without parsing JSON.

use bytes::Bytes;

const SENT: &[u8] = b"\"sent_ns\":\"";
const NUMBER: &[u8] = b"\"number\":\"";
/// Wide enough for any `u64`.
const DIGITS: usize = 20;
/// The stamps stand within this many bytes, also when the payload is wrapped in a message.
const SEARCHED_BYTES_MAX: usize = 160;

/// What a body says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When the POST was due, in nanoseconds of the shared clock.
    pub(crate) sent_ns: u64,
    /// Counts the messages of one run.
    pub(crate) number: u64,
}

/// A message body with room for a stamp.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    body: Vec<u8>,
    sent_at: usize,
    number_at: usize,
}

impl Template {
    /// The body of a "create message" request whose payload has `payload_bytes` bytes (at least about 150).
    pub(crate) fn new(payload_bytes: usize) -> Self {
        let zeros = "0".repeat(DIGITS);
        let stamps = format!(r#"{{"sent_ns":"{zeros}","number":"{zeros}","object":"invoice","note":""#);
        let padding: String = "The quick brown fox jumps over the lazy dog. "
            .chars()
            .cycle()
            .take(payload_bytes.saturating_sub(stamps.len() + 2))
            .collect();
        let body = format!(r#"{{"eventType":"bench.event","payload":{stamps}{padding}"}}}}"#).into_bytes();
        let sent_at = find(&body, SENT).map_or(0, |at| at + SENT.len());
        let number_at = find(&body, NUMBER).map_or(0, |at| at + NUMBER.len());
        Self { body, sent_at, number_at }
    }

    pub(crate) fn stamped(&mut self, stamp: Stamp) -> Bytes {
        write_digits(&mut self.body[self.sent_at..][..DIGITS], stamp.sent_ns);
        write_digits(&mut self.body[self.number_at..][..DIGITS], stamp.number);
        Bytes::copy_from_slice(&self.body)
    }
}

/// The stamp of a payload, or of a message that holds one.
pub(crate) fn read_stamp(body: &[u8]) -> Option<Stamp> {
    let head = &body[..body.len().min(SEARCHED_BYTES_MAX)];
    let sent_at = find(head, SENT)? + SENT.len();
    let number_at = sent_at + find(&head[sent_at..], NUMBER)? + NUMBER.len();
    Some(Stamp { sent_ns: read_digits(head.get(sent_at..)?)?, number: read_digits(head.get(number_at..)?)? })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn write_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
    }
}

fn read_digits(bytes: &[u8]) -> Option<u64> {
    bytes.get(..DIGITS)?.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_the_message_and_from_its_payload() {
        let mut template = Template::new(500);
        let stamp = Stamp { sent_ns: 123_456_789_012, number: 42 };
        let body = template.stamped(stamp);
        assert_eq!(read_stamp(&body), Some(stamp));

        let message: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(message["eventType"], "bench.event");
        let payload = body.slice(find(&body, b"{\"sent").expect("the payload")..body.len() - 1);
        assert_eq!((payload.len(), read_stamp(&payload)), (500, Some(stamp)));
    }

    #[test]
    fn what_has_no_stamp_is_told_apart() {
        for body in [
            &b""[..],
            b"{}",
            b"{\"sent_ns\":\"12",
            b"{\"sent_ns\":\"x0000000000000000000\",\"number\":\"1\"}",
        ] {
            assert_eq!(read_stamp(body), None);
        }
    }
}
