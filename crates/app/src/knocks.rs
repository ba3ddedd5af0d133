//! How often somebody may knock at the door: wrong passwords are counted, for each address and for each account.
//!
//! It is all in memory, and each node counts for itself: it slows guessing down by so much that a password of ten characters
//! holds, and is no lock. Who is told to wait is told so whether or not the account exists.

use crate::error::{AppError, Result};
use domain::clock::Timestamp;
use foldhash::HashMap;
use parking_lot::Mutex;

/// Over how long it is counted, in milliseconds (15 minutes).
const WINDOW_MS: i64 = 900_000;
/// Wrong tries for one account from one place.
const BOTH_MAX: u32 = 10;
/// Wrong tries from one place.
const PLACE_MAX: u32 = 60;
/// Wrong tries for one account, wherever they come from.
const ACCOUNT_MAX: u32 = 100;
/// Wrong codes of one account's second factor in an hour, wherever they come from: of a million codes three are right at a time. Who
/// tries them has the password, so nobody else can keep a person out by trying.
const CODES_MAX: u32 = 10;
const CODES_WINDOW_MS: i64 = 3_600_000;
/// Failures of one account that the audit log has, in an hour.
const NOTED_MAX: u32 = 20;
const NOTED_WINDOW_MS: i64 = 3_600_000;
/// Mails to one address that anybody can ask for, in an hour.
const MAILS_MAX: u32 = 3;
const MAILS_WINDOW_MS: i64 = 3_600_000;
/// What is counted at the same time; beyond it everything begins anew.
const COUNTED_MAX: usize = 50_000;

/// What one knock counts under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Both(String, String),
    Place(String),
    Account(String),
    Mail(String),
    Code(String),
    Failure(String),
}

/// The tries that were wrong.
#[derive(Default)]
pub(crate) struct Knocks {
    counted: Mutex<Counted>,
}

fn all(place: &str, account: &str) -> [(Of, u32); 3] {
    [
        (Of::Both(place.to_owned(), account.to_owned()), BOTH_MAX),
        (Of::Place(place.to_owned()), PLACE_MAX),
        (Of::Account(account.to_owned()), ACCOUNT_MAX),
    ]
}

type Counted = HashMap<Of, (u32, Timestamp)>;

fn make_room(counted: &mut Counted, now: Timestamp) {
    if counted.len() >= COUNTED_MAX {
        counted.retain(|_, (_, until)| *until > now);
    }
    if counted.len() >= COUNTED_MAX {
        counted.clear();
    }
}

/// One more, from now on in a window of this length if the last one has ended; how many there are in it.
fn count(counted: &mut Counted, of: Of, (now, window_ms): (Timestamp, i64)) -> u32 {
    let entry = counted.entry(of).or_insert((0, now.plus_ms(window_ms)));
    if entry.1 <= now {
        *entry = (0, now.plus_ms(window_ms));
    }
    entry.0 = entry.0.saturating_add(1);
    entry.0
}

fn check(counted: &Counted, of: &Of, (most, now): (u32, Timestamp)) -> Result<()> {
    let Some((_, until)) = counted.get(of).filter(|(count, until)| *until > now && *count >= most) else {
        return Ok(());
    };
    let minutes = (until.0 - now.0 + 59_999) / 60_000;
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    Err(AppError::TooMany(format!("There were too many tries. Wait {minutes} {unit}, then try again.")))
}

impl Knocks {
    /// Counts a try before it is looked at, so that many at once count too.
    ///
    /// # Errors
    /// `TooMany`, with how long to wait.
    pub(crate) fn knock(&self, place: &str, account: &str, now: Timestamp) -> Result<()> {
        let mut counted = self.counted.lock();
        make_room(&mut counted, now);
        for (of, most) in all(place, account) {
            check(&counted, &of, (most, now))?;
        }
        for (of, _) in all(place, account) {
            count(&mut counted, of, (now, WINDOW_MS));
        }
        Ok(())
    }

    /// Counts a try that is for no account that is known yet, before it is looked at.
    ///
    /// # Errors
    /// `TooMany`, with how long to wait.
    pub(crate) fn knock_from(&self, place: &str, now: Timestamp) -> Result<()> {
        let mut counted = self.counted.lock();
        make_room(&mut counted, now);
        let of = Of::Place(place.to_owned());
        check(&counted, &of, (PLACE_MAX, now))?;
        count(&mut counted, of, (now, WINDOW_MS));
        Ok(())
    }

    /// That try was right: it counts no more.
    pub(crate) fn welcome_from(&self, place: &str) {
        if let Some((count, _)) = self.counted.lock().get_mut(&Of::Place(place.to_owned())) {
            *count = count.saturating_sub(1);
        }
    }

    /// Counts a code of a second factor before it is looked at.
    ///
    /// # Errors
    /// `TooMany`, with how long to wait.
    pub(crate) fn knock_with_code(&self, account: &str, now: Timestamp) -> Result<()> {
        let mut counted = self.counted.lock();
        make_room(&mut counted, now);
        let of = Of::Code(account.to_owned());
        check(&counted, &of, (CODES_MAX, now))?;
        count(&mut counted, of, (now, CODES_WINDOW_MS));
        Ok(())
    }

    /// The code was right: the wrong ones before it count no more.
    pub(crate) fn welcome_with_code(&self, account: &str) {
        self.counted.lock().remove(&Of::Code(account.to_owned()));
    }

    /// Counts a failure; whether it is one of the first, which are noted.
    pub(crate) fn may_note(&self, account: &str, now: Timestamp) -> bool {
        let mut counted = self.counted.lock();
        make_room(&mut counted, now);
        count(&mut counted, Of::Failure(account.to_owned()), (now, NOTED_WINDOW_MS)) <= NOTED_MAX
    }

    /// Counts a mail that somebody asked for; whether this address gets it. Nobody is flooded by others who know their address.
    pub(crate) fn may_write(&self, email: &str, now: Timestamp) -> bool {
        let mut counted = self.counted.lock();
        make_room(&mut counted, now);
        count(&mut counted, Of::Mail(email.to_owned()), (now, MAILS_WINDOW_MS)) <= MAILS_MAX
    }

    /// The try was right: it counts no more, and nothing from this place for this account does.
    pub(crate) fn welcome(&self, place: &str, account: &str) {
        let mut counted = self.counted.lock();
        counted.remove(&Of::Both(place.to_owned(), account.to_owned()));
        for of in [Of::Place(place.to_owned()), Of::Account(account.to_owned())] {
            if let Some((count, _)) = counted.get_mut(&of) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn ten_wrong_tries_are_enough_until_a_quarter_of_an_hour_has_passed() {
        let knocks = Knocks::default();
        for _ in 0..BOTH_MAX {
            knocks.knock("here", "ada", NOW).unwrap();
        }
        let refused = knocks.knock("here", "ada", NOW.plus_ms(60_001)).unwrap_err();
        assert_eq!(refused.to_string(), "There were too many tries. Wait 14 minutes, then try again.");
        // Ada herself, from elsewhere, is let in; and others from here.
        knocks.knock("there", "ada", NOW).unwrap();
        knocks.knock("here", "bob", NOW).unwrap();
        knocks.knock("here", "ada", NOW.plus_ms(WINDOW_MS)).unwrap();
    }

    #[test]
    fn one_place_or_one_account_is_slowed_down_whatever_the_other_is() {
        let knocks = Knocks::default();
        for n in 0..PLACE_MAX {
            knocks.knock("here", &n.to_string(), NOW).unwrap();
        }
        assert!(knocks.knock("here", "new", NOW).is_err());
        for n in 0..ACCOUNT_MAX {
            knocks.knock(&n.to_string(), "ada", NOW).unwrap();
        }
        assert!(knocks.knock("new", "ada", NOW).is_err());
    }

    #[test]
    fn ten_wrong_codes_are_enough_for_an_hour_wherever_they_come_from() {
        let knocks = Knocks::default();
        for _ in 0..CODES_MAX {
            knocks.knock_with_code("ada", NOW).unwrap();
        }
        assert!(knocks.knock_with_code("ada", NOW.plus_ms(CODES_WINDOW_MS - 1)).is_err());
        knocks.knock_with_code("bob", NOW).unwrap();
        knocks.knock_with_code("ada", NOW.plus_ms(CODES_WINDOW_MS)).unwrap();
        knocks.welcome_with_code("ada");
        for _ in 0..CODES_MAX {
            knocks.knock_with_code("ada", NOW).unwrap();
        }
    }

    #[test]
    fn sixty_tries_for_no_account_that_is_known_are_enough_and_right_ones_do_not_count() {
        let knocks = Knocks::default();
        for _ in 0..PLACE_MAX {
            knocks.knock_from("here", NOW).unwrap();
            knocks.welcome_from("here");
            knocks.knock_from("here", NOW).unwrap();
        }
        assert!(knocks.knock_from("here", NOW).is_err() && knocks.knock("here", "ada", NOW).is_err());
        knocks.knock_from("there", NOW).unwrap();
        knocks.knock_from("here", NOW.plus_ms(WINDOW_MS)).unwrap();
    }

    #[test]
    fn an_address_gets_three_mails_in_an_hour_whoever_asks() {
        let knocks = Knocks::default();
        let asked = [0, 1, 2, 3, 3_599_999, 3_600_000];
        let got = asked.map(|ms| knocks.may_write("ada", NOW.plus_ms(ms)));
        assert_eq!(got, [true, true, true, false, false, true]);
        assert!(knocks.may_write("bob", NOW));
    }

    #[test]
    fn who_signs_in_again_and_again_is_never_slowed_down() {
        let knocks = Knocks::default();
        for _ in 0..1_000 {
            knocks.knock("here", "ada", NOW).unwrap();
            knocks.welcome("here", "ada");
        }
    }
}
