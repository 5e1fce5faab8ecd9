//! Who watches when: a hall of seats, each taken by one user's session after another.
//!
//! A seat's time is cut into epochs of an hour, each epoch into six slots of log-normal proportions, and each slot is a
//! break and then a session. So where a session begins and ends, and whose it is, is a function of (seed, seat, epoch)
//! alone, found without playing out what was before: that makes the log seekable. A seat has users of its own, some of
//! them regulars, so nobody sits on two seats at once; a break is longer than any funnel, so nobody looks at two videos
//! at once. Only when there are fewer users than seats, seats share users.

use crate::GeneratorConfig;
use crate::audience::Device;
use crate::day_curve::DayCurve;
use crate::funnel::{LONGEST_FUNNEL_MS, Spacing};
use crate::mix::{Role, mix64, trait_hash};
use crate::quantiles::QuantileTable;
use crate::random::{Chance, KeyedRandom, Random};

const EPOCH_MS: u64 = 3_600_000;
const SLOTS: usize = 6;
/// Every slot has this time; the rest of the epoch is divided by the slots' proportions.
const SHORTEST_SLOT_MS: u64 = 100_000;
const SHARED_MS: u64 = EPOCH_MS - SLOTS as u64 * SHORTEST_SLOT_MS;
/// Every break has this time, and one part in `BREAK_PART` of the slot's rest.
const SHORTEST_BREAK_MS: u64 = 63_000;
const BREAK_PART: u64 = 10;
const _: () = assert!(SHORTEST_BREAK_MS > LONGEST_FUNNEL_MS as u64, "two funnels of a user would overlap");
/// Sigma of the logarithm of a slot's proportion.
const SLOT_SIGMA: f64 = 0.9;
/// Opening the app takes up to this long, evenly spread, until the first impression.
const LONGEST_OPENING_MS: u32 = 2_000;
/// After a break, the same user comes back with this chance.
const REOPEN_PROBABILITY: f64 = 0.35;
/// The higher, the more of a seat's sessions are its regulars': the user at the quantile q of activity has sessions in
/// proportion to q^(1/REGULARS − 1).
const REGULARS: f64 = 2.5;
const PLACES: u32 = 1 << 20;

/// Purposes of a session's hash.
const OF_USER: u64 = 1;
const OF_OPENING: u64 = 2;
const OF_NETWORK: u64 = 3;
const OF_ATTENDANCE: u64 = 4;
const OF_REOPENING: u64 = 5;

/// One slot of a seat and the session in it. Times are ms since the log's start; a session can begin before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// A hash that no other session has.
    pub(crate) key: u64,
    /// The number in `u_<number>`, from 1.
    pub(crate) user: u32,
    pub(crate) device: Device,
    /// The first impression; at or after `until_ms` when nobody comes.
    pub(crate) first_ms: i64,
    /// The slot ends, and the next one begins: no impression comes from here on.
    pub(crate) until_ms: i64,
}

/// The sessions of one log.
pub(crate) struct Sessions {
    seed: u64,
    users: u32,
    seats: u32,
    /// How often the last seat is taken, in proportion to the others: with it, the mean rate is exact.
    last_seat_share: f64,
    day_curve: DayCurve,
    proportions: QuantileTable,
    regulars: QuantileTable,
    reopens: Chance,
}

impl Sessions {
    /// So many seats that impressions come at this mean rate.
    pub(crate) fn new(config: &GeneratorConfig, impressions_per_s: f64, spacing: Spacing) -> Self {
        let day_curve = DayCurve::new(config.day_curve, config.start_ms);
        let per_seat_and_s = impressions_per_epoch(spacing) / (EPOCH_MS as f64 / 1_000.0);
        // Seats for the busiest hour; at other hours some of their sessions are left out.
        let needed = impressions_per_s * day_curve.most() / per_seat_and_s;
        let seats = needed.ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
        Self {
            seed: config.seed,
            users: config.users,
            seats,
            last_seat_share: 1.0 - (f64::from(seats) - needed),
            day_curve,
            proportions: QuantileTable::log_normal(10_000.0, SLOT_SIGMA, 100.0, 1_000_000.0),
            regulars: QuantileTable::from_quantiles(|probability| {
                f64::from(PLACES) * libm::pow(probability, REGULARS)
            }),
            reopens: Chance::of(REOPEN_PROBABILITY),
        }
    }

    pub(crate) fn seats(&self) -> u32 {
        self.seats
    }

    /// The day curve's factor on the mean rate.
    pub(crate) fn rate_factor(&self, at_ms: i64) -> f64 {
        self.day_curve.factor(at_ms)
    }

    /// The largest factor of a day.
    pub(crate) fn most_rate_factor(&self) -> f64 {
        self.day_curve.most()
    }

    /// The slot of `seat` that this time (ms since the log's start, not negative) lies in.
    pub(crate) fn session_at(&self, seat: u32, at_ms: i64) -> Session {
        let seat_hash = trait_hash(self.seed, Role::Seat, seat.into());
        // Epochs of different seats begin at different moments.
        let phase_ms = (seat_hash >> 32) % EPOCH_MS;
        let seat_ms = at_ms.unsigned_abs() + phase_ms;
        let epoch = seat_ms / EPOCH_MS;
        let epoch_key = mix64(seat_hash ^ mix64(epoch));
        let (slot, begin_ms, end_ms) = self.slot_at(epoch_key, seat_ms % EPOCH_MS);

        let since_start = |ms: u64| (epoch * EPOCH_MS + ms) as i64 - phase_ms as i64;
        let key = slot_key(epoch_key, slot);
        let break_ms = SHORTEST_BREAK_MS + (end_ms - begin_ms - SHORTEST_SLOT_MS) / BREAK_PART;
        let opened_ms = since_start(begin_ms + break_ms);
        let until_ms = since_start(end_ms);
        let opening_ms = i64::from(KeyedRandom::aside(key, OF_OPENING).below(LONGEST_OPENING_MS));
        let user = self.user_of(seat, epoch_key, slot);
        let attends = KeyedRandom::aside(key, OF_ATTENDANCE).happens(self.attendance(seat, opened_ms));
        Session {
            key,
            user,
            device: Device::of(self.seed, user, mix64(key ^ OF_NETWORK)),
            first_ms: if attends { opened_ms + opening_ms } else { until_ms },
            until_ms,
        }
    }

    /// The index, the begin and the end of the slot of an epoch at this time in it (ms).
    fn slot_at(&self, epoch_key: u64, at_ms: u64) -> (usize, u64, u64) {
        let mut random = KeyedRandom::of(epoch_key);
        let parts: [u64; SLOTS] = std::array::from_fn(|_| self.proportions.at(random.bits()).into());
        let total: u64 = parts.iter().sum();
        let (mut taken, mut begin_ms) = (0, 0);
        for (slot, part) in (0..).zip(parts) {
            taken += part;
            let end_ms = (slot as u64 + 1) * SHORTEST_SLOT_MS + SHARED_MS * taken / total;
            if at_ms < end_ms {
                return (slot, begin_ms, end_ms);
            }
            begin_ms = end_ms;
        }
        // The last slot ends with the epoch: the loop has returned.
        (SLOTS - 1, begin_ms, EPOCH_MS)
    }

    /// Whose session a slot is: the user of the slot before, or another one of the seat's.
    fn user_of(&self, seat: u32, epoch_key: u64, slot: usize) -> u32 {
        let mut drawn = slot;
        while drawn > 0 && KeyedRandom::aside(slot_key(epoch_key, drawn), OF_REOPENING).happens(self.reopens)
        {
            drawn -= 1;
        }
        let seats_own = self.users / self.seats + u32::from(seat < self.users % self.seats);
        if seats_own == 0 {
            return 1 + seat % self.users;
        }
        let bits = KeyedRandom::aside(slot_key(epoch_key, drawn), OF_USER).bits();
        let place = u64::from(self.regulars.at(bits).min(PLACES - 1));
        let index = (place * u64::from(seats_own) / u64::from(PLACES)) as u32;
        1 + seat + index * self.seats
    }

    /// The chance that a session which opens at this time takes place.
    fn attendance(&self, seat: u32, opened_ms: i64) -> Chance {
        let of_seat = if seat + 1 == self.seats { self.last_seat_share } else { 1.0 };
        Chance::of(of_seat * self.day_curve.factor(opened_ms) / self.day_curve.most())
    }
}

fn slot_key(epoch_key: u64, slot: usize) -> u64 {
    mix64(epoch_key ^ mix64(0x5E55_0000 + slot as u64))
}

/// Mean impressions of a seat that is always taken, per epoch. From its opening `o` on, a session of length `s` is an
/// ordinary renewal process: (s − o)/m + q/(2 m²) impressions (m: mean spacing, q: its mean square), up to a term that
/// vanishes within a few spacings. The lengths of an epoch's sessions always add up to the same.
fn impressions_per_epoch(spacing: Spacing) -> f64 {
    let sessions_ms =
        SLOTS as u64 * (SHORTEST_SLOT_MS - SHORTEST_BREAK_MS) + SHARED_MS - SHARED_MS / BREAK_PART;
    let Spacing { mean_ms, mean_square } = spacing;
    let opening_ms = f64::from(LONGEST_OPENING_MS - 1) / 2.0;
    let per_session = mean_square / (2.0 * mean_ms * mean_ms) - opening_ms / mean_ms;
    sessions_ms as f64 / mean_ms + SLOTS as f64 * per_session
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const SPACING: Spacing = Spacing { mean_ms: 14_000.0, mean_square: 450e6 };

    fn sessions(config: &GeneratorConfig) -> Sessions {
        Sessions::new(config, 360.0, SPACING)
    }

    fn walk(sessions: &Sessions, seat: u32, until_ms: i64) -> Vec<Session> {
        let mut walked = vec![sessions.session_at(seat, 0)];
        while let Some(last) = walked.last().filter(|last| last.until_ms < until_ms) {
            walked.push(sessions.session_at(seat, last.until_ms));
        }
        walked
    }

    #[test]
    fn sessions_of_a_seat_follow_one_another_with_breaks_longer_than_a_funnel() {
        let sessions = sessions(&GeneratorConfig::default());
        for seat in 0..40 {
            let walked = walk(&sessions, seat, 4 * 3_600_000);
            assert!((20..=32).contains(&walked.len()), "{}", walked.len());
            for pair in walked.windows(2) {
                assert!(pair[1].first_ms - pair[0].until_ms > i64::from(LONGEST_FUNNEL_MS));
                assert_ne!(pair[0].key, pair[1].key);
            }
            for session in walked {
                let inside = (session.until_ms - 1).max(0);
                assert_eq!(sessions.session_at(seat, inside), session, "any moment of the slot finds it");
            }
        }
    }

    #[test]
    fn a_user_has_one_seat_and_often_comes_back_to_it() {
        let sessions = sessions(&GeneratorConfig::default());
        let mut seats_of: HashMap<u32, u32> = HashMap::new();
        let (mut returns, mut changes) = (0, 0);
        for seat in 0..400 {
            let walked = walk(&sessions, seat, 8 * 3_600_000);
            for session in &walked {
                assert!((1..=100_000).contains(&session.user));
                assert_eq!(*seats_of.entry(session.user).or_insert(seat), seat);
            }
            returns += walked.windows(2).filter(|pair| pair[0].user == pair[1].user).count();
            changes += walked.len() - 1;
        }
        let share = f64::from(returns as u32) / f64::from(changes as u32);
        assert!((0.3..0.5).contains(&share), "{share}");
    }

    #[test]
    fn few_users_share_their_seats() {
        let sessions = sessions(&GeneratorConfig { users: 10, ..GeneratorConfig::default() });
        assert!(sessions.seats() > 1_000);
        for seat in 0..100 {
            assert!((1..=10).contains(&sessions.session_at(seat, 0).user));
        }
    }

    #[test]
    fn the_last_seat_makes_the_number_of_seats_a_fraction() {
        let config = GeneratorConfig::default();
        let per_seat = impressions_per_epoch(SPACING) / 3_600.0;
        let sessions = Sessions::new(&config, per_seat * 2.25, SPACING);
        assert_eq!(sessions.seats(), 3);
        let attended = |seat| {
            let walked = walk(&sessions, seat, 400 * 3_600_000);
            let taken = walked.iter().filter(|session| session.first_ms < session.until_ms).count();
            taken as f64 / walked.len() as f64
        };
        assert_eq!((attended(0), attended(1)), (1.0, 1.0));
        assert!((attended(2) - 0.25).abs() < 0.03, "{}", attended(2));
    }
}
