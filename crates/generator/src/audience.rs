//! Who watches: a hall of seats, each taken by one user's session after another.
//!
//! A seat's session lasts 2 to 20 minutes; who sits there at a moment is a function of (seed, seat, moment) alone, so
//! all partitions, planned apart, see the same users at the same time. A user has one client; a session one network.

use crate::GeneratorConfig;
use crate::mix::{Role, mix64, trait_hash};

/// Mean seconds between two impressions of one seat: with it, a session is a handful to some dozens of videos.
const SECONDS_BETWEEN_IMPRESSIONS: f64 = 20.0;
const SHORTEST_SESSION_S: u64 = 120;
const SESSION_RANGE_S: u64 = 1_081;

/// (device_os, app_version, share in percent).
const CLIENTS: [(&str, &str, u64); 7] = [
    ("iOS", "14.2.0", 26),
    ("iOS", "14.1.0", 10),
    ("iOS", "13.9.2", 4),
    ("Android", "14.2.0", 30),
    ("Android", "14.1.0", 18),
    ("Android", "13.9.2", 8),
    ("Android", "13.8.0", 4),
];
/// (network_type, share in percent).
const NETWORKS: [(&str, u64); 3] = [("WiFi", 52), ("5G", 30), ("4G", 18)];
/// (referral_source, share in percent).
const REFERRALS: [(&str, u64); 5] =
    [("foryou_page", 72), ("following", 14), ("search", 7), ("profile", 4), ("share_link", 3)];

/// The audience of one log.
pub(crate) struct Audience {
    seed: u64,
    users: u32,
    seats: u32,
}

/// Who takes a seat at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The number in `u_<number>`, from 1.
    pub(crate) user: u32,
    client: u8,
    network: u8,
}

impl Audience {
    pub(crate) fn new(config: &GeneratorConfig, impressions_per_s: f64) -> Self {
        let seats =
            (impressions_per_s * SECONDS_BETWEEN_IMPRESSIONS).clamp(1.0, f64::from(config.users)) as u32;
        Self { seed: config.seed, users: config.users, seats }
    }

    pub(crate) fn seats(&self) -> u32 {
        self.seats
    }

    /// Who sits on `seat` in this second since the log's start.
    pub(crate) fn viewer(&self, seat: u32, second: i64) -> Viewer {
        let seat_hash = trait_hash(self.seed, Role::Seat, seat.into());
        let session_s = SHORTEST_SESSION_S + seat_hash % SESSION_RANGE_S;
        // Sessions of different seats begin at different moments.
        let phase_s = (seat_hash >> 32) % session_s;
        let session = (second.unsigned_abs() + phase_s) / session_s;
        let session_hash = mix64(seat_hash ^ mix64(session));
        let user = 1 + ((u128::from(session_hash) * u128::from(self.users)) >> 64) as u32;
        Viewer {
            user,
            client: client_of(self.seed, user.into()),
            network: pick(NETWORKS.iter().map(|network| network.1), mix64(session_hash)),
        }
    }
}

/// The operating system of the one client that the user `u_<number>` has.
pub(crate) fn device_os(seed: u64, user: u64) -> &'static str {
    CLIENTS[usize::from(client_of(seed, user))].0
}

fn client_of(seed: u64, user: u64) -> u8 {
    pick(CLIENTS.iter().map(|client| client.2), trait_hash(seed, Role::User, user))
}

/// The index that `hash` falls on among these percentages.
fn pick(percentages: impl Iterator<Item = u64>, hash: u64) -> u8 {
    let mut rest = hash % 100;
    let mut index = 0;
    for percentage in percentages {
        if rest < percentage {
            break;
        }
        rest -= percentage;
        index += 1;
    }
    index
}

/// The end of every event's text, from `device_os` on, for each combination that occurs.
pub(crate) struct BodyTails {
    tails: Vec<Vec<u8>>,
}

impl BodyTails {
    pub(crate) fn new() -> Self {
        let mut tails = Vec::new();
        for (device_os, app_version, _) in CLIENTS {
            for (network_type, _) in NETWORKS {
                for (referral_source, _) in REFERRALS {
                    let tail = format!(
                        r#","device_os":"{device_os}","app_version":"{app_version}","network_type":"{network_type}","referral_source":"{referral_source}"}}}}"#
                    );
                    tails.push(tail.into_bytes());
                }
            }
        }
        Self { tails }
    }

    /// Which tail an impression of this viewer has; `referral_bits` are uniform.
    pub(crate) fn index(viewer: Viewer, referral_bits: u32) -> u8 {
        let referral = pick(REFERRALS.iter().map(|referral| referral.1), referral_bits.into());
        (viewer.client * NETWORKS.len() as u8 + viewer.network) * REFERRALS.len() as u8 + referral
    }

    pub(crate) fn tail(&self, index: u8) -> &[u8] {
        &self.tails[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn shares_are_percentages_and_tails_fit_their_index() {
        assert_eq!(CLIENTS.iter().map(|client| client.2).sum::<u64>(), 100);
        assert_eq!(NETWORKS.iter().map(|network| network.1).sum::<u64>(), 100);
        assert_eq!(REFERRALS.iter().map(|referral| referral.1).sum::<u64>(), 100);
        let last = Viewer { user: 1, client: CLIENTS.len() as u8 - 1, network: NETWORKS.len() as u8 - 1 };
        assert_eq!(usize::from(BodyTails::index(last, 99)), BodyTails::new().tails.len() - 1);
    }

    #[test]
    fn a_seat_keeps_its_user_for_a_session_and_a_user_keeps_the_client() {
        let audience = Audience::new(&GeneratorConfig::default(), 360.0);
        assert_eq!(audience.seats(), 7_200);
        for seat in 0..50 {
            let viewers: Vec<Viewer> = (0..7_200).map(|second| audience.viewer(seat, second)).collect();
            let changes = viewers.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!((5..=60).contains(&changes), "seat {seat}: {changes} sessions in two hours");
            assert!(viewers.iter().map(|viewer| viewer.user).collect::<HashSet<_>>().len() > 4);
        }
        let small = Audience::new(&GeneratorConfig { users: 10, ..GeneratorConfig::default() }, 360.0);
        let clients: HashSet<(u32, u8)> = (0..20_000)
            .map(|second| small.viewer(3, second))
            .map(|viewer| (viewer.user, viewer.client))
            .collect();
        assert!(clients.len() <= 10 && clients.iter().all(|(user, _)| (1..=10).contains(user)));
    }
}
