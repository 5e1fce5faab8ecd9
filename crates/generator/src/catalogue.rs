//! The videos: how popular, how long, how good, and in which partition.

use crate::funnel::Taste;
use crate::mix::{Role, trait_hash};
use crate::partitioner::partition_of_key;
use crate::popularity::{AliasSlot, alias_slots, zipf_exponent, zipf_weight};
use crate::quantiles::QuantileTable;
use crate::random::Random;
use crate::{FIRST_FOCUS_VIDEO, GeneratorConfig, focus_video};

/// The longest video. It bounds how far a funnel spills.
pub(crate) const LONGEST_MS: u32 = 60_000;

/// Focus videos last from the shortest duration to this much more.
const SHORTEST_MS: u32 = 3_000;
const FOCUS_DURATION_RANGE_MS: u32 = 2_001;

/// Durations of the real sample's videos of at most a minute, in ms, at every twentieth of the probability
/// (docs/generator.md).
const SAMPLE_DURATIONS_MS: [f64; 21] = [
    3_000.0, 6_666.0, 7_233.0, 7_766.0, 8_366.0, 9_016.0, 9_800.0, 10_500.0, 11_240.0, 12_100.0, 13_300.0,
    14_600.0, 15_866.0, 17_958.0, 20_633.0, 24_400.0, 29_433.0, 34_434.0, 40_333.0, 50_083.0, 60_000.0,
];

/// One video.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Video {
    /// The number in `v_<number>`, from 1.
    pub(crate) number: u32,
    pub(crate) duration_ms: u32,
    pub(crate) partition: u16,
    /// How good it is, in 1/1024, below 1.
    quality: u16,
    /// How much more than the mean video it is liked and shared, in 1/1024. Its popularity-weighted mean is 1.
    affection: u16,
}

impl Video {
    /// What viewers think of it.
    pub(crate) fn taste(&self) -> Taste {
        Taste::of_quality(self.quality.into(), self.affection.into())
    }
}

/// The videos of a log, most popular first, and behind them the focus videos, which nobody comes across by chance.
pub(crate) struct Catalogue {
    videos: Vec<Video>,
    slots: Vec<AliasSlot>,
    focus_from: usize,
    /// By partition: the share of all impressions that its videos get.
    masses: Vec<f64>,
    exponent: f64,
}

impl Catalogue {
    /// Makes all videos of a configuration that is possible.
    pub(crate) fn new(config: &GeneratorConfig) -> Self {
        let seed = config.seed;
        let exponent = zipf_exponent(config.videos);
        let durations = VideoDurations::of(seed);
        let mut keys = KeyPartitions::new(config.partitions);

        // A shuffle: the most popular video is any number, the same one for the same seed.
        let mut by_rank: Vec<u32> = (1..=config.videos).collect();
        by_rank.sort_by_cached_key(|&number| (trait_hash(seed, Role::VideoRank, number.into()), number));

        let weights: Vec<f64> = (1..=config.videos).map(|rank| zipf_weight(rank, exponent)).collect();
        let total_weight: f64 = weights.iter().sum();
        let quality_of = |number: u32| (trait_hash(seed, Role::VideoQuality, number.into()) >> 54) as u16;
        let weighed = weights.iter().zip(&by_rank);
        let total_affection: f64 =
            weighed.map(|(weight, &number)| weight * raw_affection(quality_of(number))).sum();
        let mean_affection = total_affection / total_weight;

        let mut masses = vec![0.0; config.partitions.max(1) as usize];
        let mut videos = Vec::with_capacity(by_rank.len() + config.scenarios.len());
        for (weight, number) in weights.iter().zip(by_rank) {
            let partition = keys.partition_of(number);
            masses[usize::from(partition)] += weight / total_weight;
            let quality = quality_of(number);
            videos.push(Video {
                number,
                duration_ms: durations.duration_ms(number.into()),
                partition,
                quality,
                affection: (raw_affection(quality) / mean_affection * 1024.0).round() as u16,
            });
        }
        let focus_from = videos.len();
        for number in (0..config.scenarios.len()).map(focus_video) {
            let duration_ms = durations.duration_ms(number.into());
            let partition = keys.partition_of(number);
            videos.push(Video { number, duration_ms, partition, quality: 512, affection: 1024 });
        }
        Self { slots: alias_slots(&weights), videos, focus_from, masses, exponent }
    }

    /// Draws the place of the next video to be shown, by popularity.
    pub(crate) fn draw(&self, random: &mut impl Random) -> u32 {
        let place = random.below(self.slots.len() as u32);
        let slot = self.slots[place as usize];
        if random.bits() < slot.keep_below { place } else { slot.alias }
    }

    pub(crate) fn video(&self, place: u32) -> &Video {
        &self.videos[place as usize]
    }

    /// The place of the focus video of the scenario at this index of the configuration's.
    pub(crate) fn focus_place(&self, index_in_scenarios: usize) -> u32 {
        (self.focus_from + index_in_scenarios) as u32
    }

    /// Share of all impressions that a partition's videos get; 0 for one that doesn't exist.
    pub(crate) fn mass(&self, partition: i32) -> f64 {
        usize::try_from(partition).ok().and_then(|index| self.masses.get(index)).copied().unwrap_or(0.0)
    }

    /// Every video that is come across by chance, with its weight.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = (f64, &Video)> {
        let ranked = (1..).zip(&self.videos[..self.focus_from]);
        ranked.map(|(rank, video)| (zipf_weight(rank, self.exponent), video))
    }
}

fn raw_affection(quality: u16) -> f64 {
    512.0 + f64::from(quality)
}

/// How long each video of a seed is.
pub(crate) struct VideoDurations {
    seed: u64,
    law: QuantileTable,
}

impl VideoDurations {
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, law: QuantileTable::measured(&SAMPLE_DURATIONS_MS) }
    }

    /// The duration of the video `v_<number>`.
    ///
    /// Focus videos are short: most plays have ended by the end of the first window, so its completion rate is the
    /// video's own and not that of plays that still go on.
    pub(crate) fn duration_ms(&self, number: u64) -> u32 {
        let bits = (trait_hash(self.seed, Role::VideoDuration, number) >> 32) as u32;
        if number >= u64::from(FIRST_FOCUS_VIDEO) {
            return SHORTEST_MS + bits % FOCUS_DURATION_RANGE_MS;
        }
        self.law.at(bits)
    }
}

/// Partitions of videos' ids.
struct KeyPartitions {
    partitions: i32,
    id: String,
    digits: itoa::Buffer,
}

impl KeyPartitions {
    fn new(partitions: i32) -> Self {
        Self { partitions, id: String::new(), digits: itoa::Buffer::new() }
    }

    fn partition_of(&mut self, number: u32) -> u16 {
        self.id.clear();
        self.id.push_str("v_");
        self.id.push_str(self.digits.format(number));
        // A configuration has at most 10,000 partitions.
        partition_of_key(self.id.as_bytes(), self.partitions) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scenario, ScenarioKind};

    #[test]
    fn every_video_is_in_the_partition_of_its_id_once() {
        let config = GeneratorConfig { videos: 2_000, ..GeneratorConfig::default() };
        let catalogue = Catalogue::new(&config);
        let mut numbers = Vec::new();
        for video in &catalogue.videos {
            let id = format!("v_{}", video.number);
            assert_eq!(partition_of_key(id.as_bytes(), 12), i32::from(video.partition));
            assert!((3_000..=LONGEST_MS).contains(&video.duration_ms));
            numbers.push(video.number);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=2_000).collect::<Vec<_>>());
        let mass: f64 = (0..12).map(|partition| catalogue.mass(partition)).sum();
        assert!((mass - 1.0).abs() < 1e-9 && catalogue.mass(12) == 0.0 && catalogue.mass(-1) == 0.0);
    }

    #[test]
    fn partitions_without_videos_have_no_mass() {
        let catalogue = Catalogue::new(&GeneratorConfig { videos: 1, ..GeneratorConfig::default() });
        assert_eq!((0..12).filter(|&partition| catalogue.mass(partition) > 0.0).count(), 1);
    }

    #[test]
    fn focus_videos_stand_behind_and_change_nothing_before_them() {
        let plain = GeneratorConfig { videos: 300, ..GeneratorConfig::default() };
        let scenarios =
            vec![Scenario::of(ScenarioKind::LateEvents), Scenario::of(ScenarioKind::HotPartition)];
        let focused = Catalogue::new(&GeneratorConfig { scenarios, ..plain.clone() });
        assert_eq!(focused.video(focused.focus_place(1)).number, FIRST_FOCUS_VIDEO + 1);
        let describe = |catalogue: &Catalogue| format!("{:?}", &catalogue.videos[..300]);
        assert_eq!(describe(&Catalogue::new(&plain)), describe(&focused));
        assert_eq!(focused.slots.len(), 300);
    }
}
