//! What a proxy does to its connections, and the arithmetic of it.

use std::time::Duration;

use rand::Rng;

use crate::load::faults::plan::{Brownout, Delay, Manner};

/// What the network is like. The default is a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Away, in a manner.
    pub away: Option<Manner>,
    /// Slow or moody.
    pub brownout: Brownout,
}

impl Conditions {
    /// Away.
    pub fn away(manner: Manner) -> Self {
        Self { away: Some(manner), ..Self::default() }
    }

    /// There, with late answers.
    pub fn slow(delay: Delay) -> Self {
        Self::ill(Brownout { delay, ..Brownout::default() })
    }

    /// There, and ill.
    pub fn ill(brownout: Brownout) -> Self {
        Self { away: None, brownout }
    }

    /// Whether connections that are open when this begins break. Where the fate of a connection is drawn when it begins,
    /// those of before would never have one.
    pub(super) fn breaks_open_connections(&self) -> bool {
        let has_fates = self.brownout.reset_ratio > 0.0 || self.brownout.unavailable_ratio > 0.0;
        has_fates || matches!(self.away, Some(Manner::Refuse | Manner::Reset))
    }

    pub(super) fn is_black_hole(&self) -> bool {
        self.away == Some(Manner::BlackHole)
    }

    /// What becomes of a new connection.
    pub(super) fn draw_fate(&self, random: &mut impl Rng) -> Fate {
        let drawn: f64 = random.random();
        let Brownout { reset_ratio, unavailable_ratio, .. } = self.brownout;
        if drawn < reset_ratio {
            return Fate::ResetAfter(random.random_range(0..=RESET_WITHIN_BYTES));
        }
        if drawn < reset_ratio + unavailable_ratio { Fate::Unavailable } else { Fate::Serve }
    }

    /// How much later the next answer comes.
    pub(super) fn draw_delay(&self, random: &mut impl Rng) -> Duration {
        let Delay { latency_ms, latency_jitter_ms } = self.brownout.delay;
        if latency_jitter_ms == 0 {
            return Duration::from_millis(latency_ms);
        }
        Duration::from_millis(latency_ms + random.random_range(0..=latency_jitter_ms))
    }

    /// How many bytes are written at once: so few that a narrow connection is not a lumpy one.
    pub(super) fn piece_bytes(&self) -> usize {
        let twentieth = self.brownout.bandwidth_bytes_per_s.map_or(u64::MAX, |bandwidth| bandwidth / 20);
        usize::try_from(twentieth).unwrap_or(usize::MAX).clamp(256, 16 << 10)
    }
}

/// A connection that is to break does so within so many bytes: within its first request, also where each request has a
/// connection of its own.
const RESET_WITHIN_BYTES: u64 = 4 << 10;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Serve,
    /// It breaks after so many bytes of both directions.
    ResetAfter(u64),
    /// It is answered by HTTP status 503, by the proxy.
    Unavailable,
}

/// When bytes may go on a way of so many bytes per second that is taken until `free_at`; times are since any moment.
/// Gives when they have gone: the way is taken until then.
pub(super) fn gone_at(free_at: Duration, now: Duration, bytes: usize, bytes_per_s: u64) -> Duration {
    free_at.max(now) + Duration::from_secs_f64(bytes as f64 / bytes_per_s as f64)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn fates_have_the_shares_that_are_asked_for() {
        let brownout = Brownout { reset_ratio: 0.2, unavailable_ratio: 0.3, ..Brownout::default() };
        let conditions = Conditions::ill(brownout);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let fates: Vec<Fate> = (0..10_000).map(|_| conditions.draw_fate(&mut random)).collect();
        let share =
            |is_meant: fn(&Fate) -> bool| fates.iter().filter(|fate| is_meant(fate)).count() as f64 / 1e4;
        assert!((share(|fate| matches!(fate, Fate::ResetAfter(_))) - 0.2).abs() < 0.02);
        assert!((share(|fate| *fate == Fate::Unavailable) - 0.3).abs() < 0.02);
        let good = Conditions::default();
        assert!((0..1_000).all(|_| good.draw_fate(&mut random) == Fate::Serve));
    }

    #[test]
    fn delays_lie_between_latency_and_latency_plus_jitter() {
        let conditions = Conditions::slow(Delay { latency_ms: 100, latency_jitter_ms: 50 });
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let delays: Vec<u128> = (0..1_000).map(|_| conditions.draw_delay(&mut random).as_millis()).collect();
        assert_eq!((delays.iter().min(), delays.iter().max()), (Some(&100), Some(&150)));
    }

    #[test]
    fn a_way_is_taken_for_as_long_as_bytes_need() {
        let ms = Duration::from_millis;
        // Free: from now on. Taken: one after the other.
        assert_eq!(gone_at(ms(0), ms(1_000), 500, 1_000), ms(1_500));
        assert_eq!(gone_at(ms(1_500), ms(1_000), 500, 1_000), ms(2_000));
    }

    #[test]
    fn only_what_is_away_or_draws_fates_breaks_open_connections() {
        let breaking = [Conditions::away(Manner::Refuse), Conditions::away(Manner::Reset)];
        assert!(breaking.iter().all(Conditions::breaks_open_connections));
        let moody = Conditions::ill(Brownout { unavailable_ratio: 0.1, ..Brownout::default() });
        assert!(moody.breaks_open_connections());
        let slow = Conditions::slow(Delay { latency_ms: 1, latency_jitter_ms: 0 });
        let keeping = [Conditions::default(), Conditions::away(Manner::BlackHole), slow];
        assert!(!keeping.iter().any(Conditions::breaks_open_connections));
    }

    #[test]
    fn a_narrow_way_takes_small_pieces() {
        let pieces = |bandwidth| {
            Conditions::ill(Brownout { bandwidth_bytes_per_s: bandwidth, ..Brownout::default() })
                .piece_bytes()
        };
        assert_eq!((pieces(None), pieces(Some(20_000)), pieces(Some(1_000))), (16 << 10, 1_000, 256));
    }
}
