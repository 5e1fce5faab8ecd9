//! Each user's sessions of a day, found in one pass over the events, in whatever order they come.
//!
//! A session is a run of events with less than [`PAUSE_US`] between neighbours. Which events belong together does not hang
//! on the order in which they are seen: an event joins the sessions that it is close to, and two that it is close to become
//! one. So memory grows with sessions, not with events, and nothing is sorted.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use xxhash_rust::xxh3::xxh3_128;

/// An event so much later than the one before begins a session, microseconds.
pub const PAUSE_US: i64 = 30 * 60 * 1_000_000;

/// Events of one user that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    started_us: i64,
    last_us: i64,
}

impl Session {
    fn is_close_to(self, moment_us: i64) -> bool {
        moment_us.saturating_sub(self.last_us) < PAUSE_US
            && self.started_us.saturating_sub(moment_us) < PAUSE_US
    }
}

/// The sessions of one user, in their order. Most have one.
#[derive(Debug)]
enum OfUser {
    One(Session),
    Many(Vec<Session>),
}

impl OfUser {
    fn as_slice(&self) -> &[Session] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(sessions) => sessions,
        }
    }

    /// Adds an event; returns by how many sessions more or less there are then.
    fn add(&mut self, moment_us: i64) -> isize {
        match self {
            Self::One(only) if only.is_close_to(moment_us) => {
                only.started_us = only.started_us.min(moment_us);
                only.last_us = only.last_us.max(moment_us);
                0
            }
            Self::One(only) => {
                let mut both = Vec::with_capacity(4);
                both.push(*only);
                let place = usize::from(only.started_us < moment_us);
                both.insert(place, Session { started_us: moment_us, last_us: moment_us });
                *self = Self::Many(both);
                1
            }
            Self::Many(sessions) => add_to(sessions, moment_us),
        }
    }
}

fn add_to(sessions: &mut Vec<Session>, moment_us: i64) -> isize {
    // The first that begins later; events come nearly in order of time, so that it is mostly the end.
    let after = sessions.partition_point(|session| session.started_us <= moment_us);
    let joins_before = after > 0 && sessions[after - 1].is_close_to(moment_us);
    let joins_after = sessions.get(after).is_some_and(|session| session.is_close_to(moment_us));
    match (joins_before, joins_after) {
        (true, true) => {
            let later = sessions.remove(after);
            sessions[after - 1].last_us = later.last_us;
            -1
        }
        (true, false) => {
            let before = &mut sessions[after - 1];
            before.last_us = before.last_us.max(moment_us);
            0
        }
        (false, true) => {
            sessions[after].started_us = moment_us;
            0
        }
        (false, false) => {
            sessions.insert(after, Session { started_us: moment_us, last_us: moment_us });
            1
        }
    }
}

/// The sessions of the users of a day.
#[derive(Debug, Default)]
pub struct Sessions {
    users: HashMap<u128, OfUser>,
    /// In lists.
    listed: usize,
}

/// What tells users apart: xxh3 of 128 bits, as event ids are told apart in the stream.
pub fn user_key(user_id: &str) -> u128 {
    xxh3_128(user_id.as_bytes())
}

impl Sessions {
    /// Adds a session that was open when the day began. Sessions go in before events.
    pub fn open(&mut self, user: u128, started_us: i64, last_us: i64) {
        self.users.insert(user, OfUser::One(Session { started_us, last_us }));
    }

    /// Adds an event.
    pub fn add(&mut self, user: u128, moment_us: i64) {
        match self.users.entry(user) {
            Entry::Vacant(new) => {
                new.insert(OfUser::One(Session { started_us: moment_us, last_us: moment_us }));
            }
            Entry::Occupied(mut known) => {
                let sessions = known.get_mut();
                let was_one = matches!(sessions, OfUser::One(_));
                let more = sessions.add(moment_us);
                let is_one = matches!(sessions, OfUser::One(_));
                self.listed = match (was_one, is_one) {
                    (true, false) => self.listed + 2,
                    _ => self.listed.saturating_add_signed(more),
                };
            }
        }
    }

    /// When the session began that an event belongs to which was added; `None` for any other.
    pub fn started_us(&self, user: u128, moment_us: i64) -> Option<i64> {
        let sessions = self.users.get(&user)?.as_slice();
        let after = sessions.partition_point(|session| session.started_us <= moment_us);
        let found = sessions[..after].last()?;
        (moment_us <= found.last_us).then_some(found.started_us)
    }

    /// The sessions that an event at `moment_us` or later could still join.
    pub fn open_at(self, moment_us: i64) -> Self {
        let last_of = |sessions: &OfUser| sessions.as_slice().last().copied();
        let users = self.users.into_iter().filter_map(|(user, sessions)| {
            let last = last_of(&sessions).filter(|last| last.is_close_to(moment_us))?;
            Some((user, OfUser::One(last)))
        });
        Self { users: users.collect(), listed: 0 }
    }

    /// Bytes that it holds, about.
    pub fn memory_bytes(&self) -> usize {
        // A table is grown when seven eighths are taken; lists have room for twice what they hold at most.
        let places = self.users.capacity().saturating_mul(8) / 7;
        places * (size_of::<(u128, OfUser)>() + 1) + 2 * self.listed * size_of::<Session>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    /// The rule as it is written: in the order of time, one that comes 30 minutes or more after the one before begins one.
    fn by_the_rule(open: Option<(i64, i64)>, moments: &[i64]) -> Vec<(i64, i64)> {
        let mut sorted = moments.to_vec();
        sorted.sort_unstable();
        let (mut last, mut started) = (None, 0);
        if let Some((open_started, open_last)) = open {
            (started, last) = (open_started, Some(open_last));
        }
        let mut found = Vec::new();
        for moment in sorted {
            if last.is_none_or(|before| moment - before >= PAUSE_US) {
                started = moment;
            }
            last = Some(moment);
            found.push((moment, started));
        }
        found
    }

    fn found(open: Option<(i64, i64)>, moments: &[i64]) -> Vec<(i64, i64)> {
        let (mut sessions, user) = (Sessions::default(), user_key("u_1"));
        if let Some((started, last)) = open {
            sessions.open(user, started, last);
        }
        for &moment in moments {
            sessions.add(user, moment);
        }
        let mut sorted = moments.to_vec();
        sorted.sort_unstable();
        sorted.into_iter().map(|moment| (moment, sessions.started_us(user, moment).unwrap())).collect()
    }

    #[test]
    fn thirty_minutes_less_a_microsecond_is_one_session() {
        assert_eq!(found(None, &[0, PAUSE_US - 1]), [(0, 0), (PAUSE_US - 1, 0)]);
        assert_eq!(found(None, &[0, PAUSE_US]), [(0, 0), (PAUSE_US, PAUSE_US)]);
        assert_eq!(found(None, &[PAUSE_US, 0]), [(0, 0), (PAUSE_US, PAUSE_US)]);
    }

    #[test]
    fn an_event_between_two_sessions_makes_them_one() {
        let late = [0, 40 * MINUTE_US, 80 * MINUTE_US, 20 * MINUTE_US];
        assert_eq!(found(None, &late)[2], (40 * MINUTE_US, 0));
        assert_eq!(found(None, &late)[3], (80 * MINUTE_US, 80 * MINUTE_US));
    }

    #[test]
    fn an_open_session_goes_on() {
        let open = Some((-90 * MINUTE_US, -10 * MINUTE_US));
        assert_eq!(found(open, &[20 * MINUTE_US - 1])[0].1, -90 * MINUTE_US);
        assert_eq!(found(open, &[20 * MINUTE_US])[0].1, 20 * MINUTE_US);
    }

    #[test]
    fn only_what_may_go_on_is_carried_over() {
        let mut sessions = Sessions::default();
        for (name, moment) in
            [("a", 0), ("a", 50 * MINUTE_US), ("b", 30 * MINUTE_US), ("c", 30 * MINUTE_US + 1)]
        {
            sessions.add(user_key(name), moment);
        }
        let open = sessions.open_at(60 * MINUTE_US);
        assert_eq!(open.started_us(user_key("a"), 50 * MINUTE_US), Some(50 * MINUTE_US));
        assert_eq!(open.started_us(user_key("a"), 0), None);
        assert_eq!(open.started_us(user_key("b"), 30 * MINUTE_US), None);
        assert_eq!(open.started_us(user_key("c"), 30 * MINUTE_US + 1), Some(30 * MINUTE_US + 1));
    }

    #[test]
    fn users_are_apart_and_unknown_ones_are_none() {
        let mut sessions = Sessions::default();
        sessions.add(user_key("a"), 5);
        sessions.add(user_key("b"), 7);
        assert_eq!(sessions.started_us(user_key("a"), 5), Some(5));
        assert_eq!(sessions.started_us(user_key("c"), 5), None);
        assert_eq!(sessions.started_us(user_key("a"), 6), None);
        assert!(sessions.memory_bytes() > 0);
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(
            moments in prop::collection::vec(0..1_440_i64, 1..60),
            spread in prop_oneof![Just(1_i64), Just(MINUTE_US), Just(7 * MINUTE_US), Just(PAUSE_US)],
            open in prop::option::of((1..90_i64, 1..40_i64)),
        ) {
            let moments: Vec<i64> = moments.into_iter().map(|moment| moment * spread).collect();
            let open = open.map(|(before, last)| (-(last + before) * MINUTE_US, -last * MINUTE_US));
            prop_assert_eq!(found(open, &moments), by_the_rule(open, &moments));
        }
    }
}
