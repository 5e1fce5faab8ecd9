//! The clients that users have: one per user, on one network per session.

use crate::mix::{Role, trait_hash};

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

/// What a broken client calls itself, on either operating system.
const BROKEN_VERSION: &str = "15.0";
const OPERATING_SYSTEMS: [&str; 2] = ["iOS", "Android"];

/// A client and its network: what the body of every event of a session says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    client: u8,
    network: u8,
}

impl Device {
    /// The one client that the user `u_<number>` has, on the network that these uniform bits pick.
    pub(crate) fn of(seed: u64, user: u32, network_hash: u64) -> Self {
        Self {
            client: client_of(seed, user.into()),
            network: pick(NETWORKS.iter().map(|network| network.1), network_hash),
        }
    }

    /// The same client after its update to the broken version.
    pub(crate) fn broken(self) -> Self {
        let os = CLIENTS.get(usize::from(self.client)).map_or(OPERATING_SYSTEMS[0], |client| client.0);
        let place = OPERATING_SYSTEMS.iter().position(|name| *name == os).unwrap_or_default();
        Self { client: (CLIENTS.len() + place) as u8, ..self }
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
        let good = CLIENTS.iter().map(|(device_os, app_version, _)| (device_os, app_version));
        let broken = OPERATING_SYSTEMS.iter().map(|device_os| (device_os, &BROKEN_VERSION));
        for (device_os, app_version) in good.chain(broken) {
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

    /// Which tail the events of an impression on this device have; `referral_bits` are uniform.
    pub(crate) fn index(device: Device, referral_bits: u32) -> u8 {
        let referral = pick(REFERRALS.iter().map(|referral| referral.1), referral_bits.into());
        (device.client * NETWORKS.len() as u8 + device.network) * REFERRALS.len() as u8 + referral
    }

    pub(crate) fn tail(&self, index: u8) -> &[u8] {
        &self.tails[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_and_tails_fit_their_index() {
        assert_eq!(CLIENTS.iter().map(|client| client.2).sum::<u64>(), 100);
        assert_eq!(NETWORKS.iter().map(|network| network.1).sum::<u64>(), 100);
        assert_eq!(REFERRALS.iter().map(|referral| referral.1).sum::<u64>(), 100);
        let tails = BodyTails::new();
        let last = Device { client: CLIENTS.len() as u8 - 1, network: NETWORKS.len() as u8 - 1 };
        assert_eq!(usize::from(BodyTails::index(last.broken(), 99)), tails.tails.len() - 1);
        let text = String::from_utf8(tails.tail(BodyTails::index(last.broken(), 0)).to_vec()).unwrap();
        assert!(text.contains(r#""device_os":"Android","app_version":"15.0""#), "{text}");
    }

    #[test]
    fn a_user_has_one_client() {
        for user in 1..500 {
            let devices = [0, 99, 1_000_007].map(|hash| Device::of(42, user, hash));
            assert!(devices.iter().all(|device| device.client == devices[0].client));
            let os = CLIENTS[usize::from(devices[0].client)].0;
            assert_eq!(device_os(42, user.into()), os);
            let tail = BodyTails::new().tail(BodyTails::index(devices[0].broken(), 0)).to_vec();
            assert!(String::from_utf8(tail).unwrap().contains(os), "an update changes no operating system");
        }
    }
}
