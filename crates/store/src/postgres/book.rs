//! The leases of this process, as it knows them: ids, checkpoints, validity (PROTOCOL rules 1, 2, 6, 7 and 8).
//!
//! There is one current lease for new work. A lease under which a commit's fate stayed unknown is drained: it is renewed
//! until everything that is in memory under it has ended, and is then settled like a dead one. Message ids and claim
//! tokens come from one clock, so each lease owns a range of them and an id tells its lease.

use crate::delivery::Held;
use domain::checkpoint::Outstanding;
use domain::clock::Timestamp;
use domain::delivery::DeliveryKey;
use domain::id::{IdClock, LeaseId, MessageId, floor_of};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Leases that may be drained beside the current one; one more unknown outcome ends the process.
const DRAINED_MAX: usize = 8;

/// What stands of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// New work goes under it.
    Current,
    /// Only what is in memory under it ends.
    Draining,
    /// Not ours any more: what is in memory under it is dropped.
    Lost,
}

/// One lease of this process.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: LeaseId,
    pub(super) standing: Standing,
    /// The lowest id that could be assigned under it.
    first_id: i64,
    /// The highest id that may be assigned: what the last answered heartbeat wrote (rule 7).
    pub(super) ceiling: i64,
    outstanding: Outstanding,
    /// The lowest id of a transaction that is on its way.
    in_flight: Option<i64>,
    /// The lowest id whose fate nobody knows (rule 8).
    unknown: Option<i64>,
    /// Deliveries that dispatch holds under it.
    held: usize,
    /// Boot time from which it was held without a gap.
    since: i64,
    /// Boot time until which it is ours for certain (rule 2).
    valid_until: i64,
}

impl Own {
    fn checkpoint(&self, next_id: i64) -> i64 {
        let next_id =
            if self.standing == Standing::Current { next_id } else { self.unknown.unwrap_or(next_id) };
        let bound = [self.in_flight, self.unknown].into_iter().flatten().fold(next_id, i64::min);
        self.outstanding.checkpoint(bound).min(bound - 1)
    }
}

/// What a heartbeat writes for one lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) lease: LeaseId,
    pub(super) checkpoint: i64,
    pub(super) ceiling: i64,
}

/// Up to where ids may be assigned from `next_id` on: what two TTLs bring (rule 7).
pub(super) fn ceiling_above(next_id: i64, ttl_ms: i64) -> i64 {
    floor_of(MessageId(next_id).timestamp().plus_ms(2 * ttl_ms))
}

/// All leases of this process.
#[derive(Debug)]
pub(super) struct Book {
    ids: IdClock,
    own: Vec<Own>,
    ttl_ms: i64,
    margin_ms: i64,
}

/// Boot time until which some lease of this process is valid: dispatch rests while none is.
#[derive(Debug)]
pub(super) struct Validity(AtomicI64);

impl Default for Validity {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Validity {
    pub(super) fn holds(&self, boot_ms: i64) -> bool {
        boot_ms < self.0.load(Ordering::Acquire)
    }
}

impl Book {
    pub(super) fn new(ttl: Duration) -> Self {
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        // Clocks of two machines run apart by far less than a tenth.
        Self { ids: IdClock::new(0, 0), own: Vec::new(), ttl_ms, margin_ms: ttl_ms / 10 }
    }

    /// Begins a lease that was just taken; its first id is above `above`, and above all that this process assigned.
    pub(super) fn begin(&mut self, (id, node): (LeaseId, u16), above: i64, ceiling: i64, sent: i64) {
        self.ids = IdClock::new(node, above.max(self.ids.floor() - 1));
        self.own.push(Own {
            id,
            standing: Standing::Current,
            first_id: self.ids.floor(),
            ceiling,
            outstanding: Outstanding::default(),
            in_flight: None,
            unknown: None,
            held: 0,
            since: sent,
            valid_until: sent + self.ttl_ms - self.margin_ms,
        });
    }

    /// The lease for new work.
    pub(super) fn current(&self) -> Option<&Own> {
        self.own.iter().find(|own| own.standing == Standing::Current)
    }

    /// Whether the current lease has been held for a full TTL (rule 5).
    pub(super) fn is_seasoned(&self, boot_ms: i64) -> bool {
        self.current().is_some_and(|own| boot_ms - own.since > self.ttl_ms)
    }

    fn current_mut(&mut self) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.standing == Standing::Current)
    }

    pub(super) fn get(&mut self, id: LeaseId) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.id == id)
    }

    /// Every lease that is not settled.
    pub(super) fn leases(&self) -> impl Iterator<Item = &Own> {
        self.own.iter()
    }

    /// The lease under which a delivery is in memory; none when that is no longer ours.
    pub(super) fn lease_of(&self, key: DeliveryKey, held: Held) -> Option<LeaseId> {
        let own = self.own.iter().rev().find(|own| own.first_id <= id_of(key, held))?;
        (own.standing != Standing::Lost).then_some(own.id)
    }

    /// Whether the lease under which a delivery is in memory is valid for certain at this boot time (rule 2).
    pub(super) fn may_send(&self, (key, held): (DeliveryKey, Held), boot_ms: i64) -> bool {
        let own = self.own.iter().rev().find(|own| own.first_id <= id_of(key, held));
        own.is_some_and(|own| own.standing != Standing::Lost && boot_ms < own.valid_until)
    }

    /// The next id of the current lease; none when the ceiling is reached or there is no lease.
    pub(super) fn next_id(&mut self, now: Timestamp) -> Option<i64> {
        // The id that is made next, and not the time: after the clock went back the two are far apart.
        if self.ids.advance(now) > self.current()?.ceiling {
            return None;
        }
        let id = self.ids.next(now);
        let own = self.current_mut()?;
        own.in_flight.get_or_insert(id);
        Some(id)
    }

    /// An id for an attempt: not bounded, since attempts are found by their message.
    pub(super) fn next_attempt_id(&mut self, now: Timestamp) -> i64 {
        self.ids.next(now)
    }

    /// Everything that was on its way is answered.
    ///
    /// `unsent` is the lowest id that was assigned with it and is still to be sent.
    pub(super) fn answered(&mut self, unsent: Option<i64>) {
        self.own.iter_mut().for_each(|own| own.in_flight = own.in_flight.and(unsent));
    }

    /// Nobody knows what became of what was on its way under the current lease: it is drained (rule 8).
    ///
    /// False when too many are being drained already: then the process must end.
    pub(super) fn rotate(&mut self) -> bool {
        if let Some(own) = self.current_mut() {
            own.unknown = own.unknown.into_iter().chain(own.in_flight).min();
            own.standing = Standing::Draining;
        }
        self.answered(None);
        self.own.iter().filter(|own| own.standing == Standing::Draining).count() <= DRAINED_MAX
    }

    /// A message was committed whose first attempts to so many endpoints are handed to dispatch.
    pub(super) fn accepted(&mut self, message: domain::id::MessageId, endpoints: usize) {
        if let Some(own) = self.own.iter_mut().rev().find(|own| own.first_id <= message.0) {
            own.outstanding.accepted(message, u32::try_from(endpoints).unwrap_or(u32::MAX));
            own.held += endpoints;
        }
    }

    /// So many rows were claimed under the current lease.
    pub(super) fn claimed(&mut self, rows: usize) {
        if let Some(own) = self.current_mut() {
            own.held += rows;
        }
    }

    /// A delivery left memory. `confirmed`: the commit that took it over was answered.
    pub(super) fn left(&mut self, key: DeliveryKey, held: Held, confirmed: bool) {
        let own = self.own.iter_mut().rev().find(|own| own.first_id <= id_of(key, held));
        let Some(own) = own else { return };
        own.held = own.held.saturating_sub(1);
        if confirmed && held == Held::Fresh {
            own.outstanding.confirmed(key.message);
        }
    }

    /// What the next heartbeat is to write.
    pub(super) fn beats(&mut self, now: Timestamp) -> Vec<Beat> {
        let next_id = self.ids.advance(now);
        let ceiling = ceiling_above(next_id, self.ttl_ms);
        let living = self.own.iter().filter(|own| own.standing != Standing::Lost);
        let beat = |own: &Own| Beat { lease: own.id, checkpoint: own.checkpoint(next_id), ceiling };
        living.map(beat).collect()
    }

    /// A heartbeat renewed these leases; the others of `beats` are lost (rule 1). Boot times at which it was sent, from which
    /// their validity counts (rule 2), and at which it was answered.
    pub(super) fn renewed(&mut self, beats: &[Beat], renewed: &[LeaseId], (sent, answered): (i64, i64)) {
        for beat in beats {
            let valid_until = sent + self.ttl_ms - self.margin_ms;
            let Some(own) = self.get(beat.lease) else { continue };
            if renewed.contains(&beat.lease) {
                // What kept this one from renewing in time may have kept everybody from it.
                if answered > own.valid_until {
                    own.since = answered;
                }
                own.valid_until = own.valid_until.max(valid_until);
                own.ceiling = own.ceiling.max(beat.ceiling);
            } else {
                own.standing = Standing::Lost;
            }
        }
    }

    /// The lease was found dead: whatever is in memory under it is dropped.
    pub(super) fn lose(&mut self, lease: LeaseId) {
        if let Some(own) = self.get(lease) {
            own.standing = Standing::Lost;
        }
    }

    /// Forgets lost leases of which nothing is in memory any more, and answers drained ones that can be settled.
    pub(super) fn drained(&mut self) -> Vec<LeaseId> {
        // A lost one stays while an older one is here: ids of the lost one must not be taken for the older one's.
        let mut older = false;
        self.own.retain(|own| {
            let stays = own.standing != Standing::Lost || own.held > 0 || older;
            older |= stays;
            stays
        });
        let done =
            |own: &&Own| own.standing == Standing::Draining && own.held == 0 && own.in_flight.is_none();
        self.own.iter().filter(done).map(|own| own.id).collect()
    }

    /// A lease was settled.
    pub(super) fn settled(&mut self, lease: LeaseId) {
        self.own.retain(|own| own.id != lease);
    }

    /// Writes down until when any request may be sent.
    pub(super) fn show(&self, validity: &Validity) {
        let living = self.own.iter().filter(|own| own.standing != Standing::Lost);
        let until = living.map(|own| own.valid_until).max();
        validity.0.store(until.unwrap_or(i64::MIN), Ordering::Release);
    }
}

/// The id that tells a delivery's lease.
const fn id_of(key: DeliveryKey, held: Held) -> i64 {
    match held {
        Held::Fresh => key.message.0,
        Held::Claimed(claim) => claim.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_sent_under_its_own_lease_whatever_became_of_others() {
        let mut book = Book::new(Duration::from_secs(5));
        let (first, second) = (1_000 << 23, 2_000 << 23);
        book.begin((LeaseId(1), 3), first, i64::MAX, 0);
        book.begin((LeaseId(2), 4), second, i64::MAX, 3_000);
        let fresh = |id| DeliveryKey { message: MessageId(id), endpoint: domain::id::EndpointKey(1), run: 0 };
        let may = |book: &Book, id, boot_ms| book.may_send((fresh(id), Held::Fresh), boot_ms);
        assert!(may(&book, first + (1 << 23), 4_499));
        assert!(!may(&book, first + (1 << 23), 4_500), "its own lease has ended");
        assert!(may(&book, second + (1 << 23), 4_500));
        let claimed = Held::Claimed(domain::id::ClaimId(second + (1 << 23)));
        assert!(book.may_send((fresh(first + (1 << 23)), claimed), 4_500), "a claim tells its lease");
        book.lose(LeaseId(1));
        assert!(!may(&book, first + (1 << 23), 0));
        let validity = Validity::default();
        book.show(&validity);
        assert!(validity.holds(7_499) && !validity.holds(7_500), "what is lost does not hold up the other");
    }

    #[test]
    fn who_could_not_renew_in_time_rescues_nobody_for_a_full_ttl() {
        let mut book = Book::new(Duration::from_secs(5));
        book.begin((LeaseId(1), 3), 0, i64::MAX, 0);
        let mut beat = |sent, answered| {
            let beats = book.beats(Timestamp(1_800_000_000_000));
            book.renewed(&beats, &[LeaseId(1)], (sent, answered));
            (book.is_seasoned(answered), book.is_seasoned(answered + 5_001))
        };
        assert_eq!(beat(3_000, 3_010), (false, true));
        assert_eq!(beat(6_000, 6_010), (true, true));
        // PostgreSQL stood still: everybody's lease ran out, and whoever is answered first must wait for the others.
        assert_eq!(beat(7_000, 20_000), (false, true));
        assert_eq!(beat(20_500, 20_510), (false, true));
        assert_eq!(beat(24_900, 24_910), (false, true));
        assert_eq!(beat(25_600, 25_610), (true, true));
    }

    #[test]
    fn after_the_clock_went_back_ids_stay_below_the_ceiling_and_there_is_room_for_them() {
        let now = Timestamp(1_800_000_000_000);
        let mut book = Book::new(Duration::from_secs(5));
        let far_ahead = floor_of(now.plus_ms(3_600_000));
        book.begin((LeaseId(1), 3), far_ahead, ceiling_above(far_ahead, 5_000), 0);
        for _ in 0..100_000 {
            let id = book.next_id(now).expect("there is room");
            assert!(id <= book.current().unwrap().ceiling);
        }
        // The clock goes past the ceiling: a heartbeat has to move it first.
        let later = now.plus_ms(3_600_000 + 10_001);
        assert_eq!(book.next_id(later), None);
        let beats = book.beats(later);
        book.renewed(&beats, &[LeaseId(1)], (0, 0));
        assert!(book.next_id(later).is_some());
        // It goes back once more, and the next heartbeat leaves as much room as any.
        let beats = book.beats(now);
        book.renewed(&beats, &[LeaseId(1)], (0, 0));
        assert!((0..100_000).all(|_| book.next_id(now).is_some()));
    }
}
