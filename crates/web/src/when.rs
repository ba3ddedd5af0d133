//! Times for people: how long ago, with the exact time beside it.

use domain::clock::Timestamp;

/// A moment as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// RFC 3339, for machines.
    pub(crate) exact: String,
    /// For people, beside a list: "3 minutes ago".
    pub(crate) ago: String,
}

impl When {
    /// This moment as it is seen now.
    pub(crate) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self { exact: at.to_string(), ago: ago(now.0 - at.0) }
    }

    /// For people, with the date: "2026-11-27 10:15:03 UTC".
    pub(crate) fn date(&self) -> String {
        let text = self.exact.replacen('T', " ", 1);
        let end = text.find(['.', 'Z']).unwrap_or(text.len());
        format!("{} UTC", &text[..end])
    }
}

/// A moment as a day and a time, for scales: "15 Jan" and "08:00".
pub(crate) fn moment(at: Timestamp) -> (String, String) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let day = format!("{} {}", part(8, 10).trim_start_matches('0'), month.unwrap_or(&""));
    (day, part(11, 16).to_owned())
}

fn ago(ms: i64) -> String {
    let (amount, is_past) = (ms.abs() / 1_000, ms >= 0);
    let (count, unit) = match amount {
        0..5 if is_past => return "just now".to_owned(),
        0..60 => (amount, "second"),
        60..3_600 => (amount / 60, "minute"),
        3_600..86_400 => (amount / 3_600, "hour"),
        _ => (amount / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if is_past { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}

/// How long something took: "12 ms", "1.4 s".
pub(crate) fn took(ms: u32) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", f64::from(ms) / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        assert_eq!(ago(1_000), "just now");
        assert_eq!(ago(59_000), "59 seconds ago");
        assert_eq!(ago(60_000), "1 minute ago");
        assert_eq!(ago(2 * 86_400_000), "2 days ago");
        assert_eq!(ago(-300_000), "in 5 minutes");
        let when = When::of(Timestamp(1_800_000_000_123), Timestamp(1_800_000_000_123));
        assert_eq!(when.date(), "2027-01-15 08:00:00 UTC");
        assert_eq!(moment(Timestamp(1_800_000_000_123)), ("15 Jan".to_owned(), "08:00".to_owned()));
        assert_eq!([took(999), took(1_400)], ["999 ms", "1.4 s"]);
    }
}
