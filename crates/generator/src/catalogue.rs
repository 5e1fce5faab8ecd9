//! The videos: how popular, how long, how good, and in which partition.

use crate::GeneratorConfig;
use crate::mix::{Role, trait_hash};
use crate::partitioner::partition_of_key;
use crate::popularity::{alias_slots, zipf_exponent, zipf_weight};
use crate::quantiles::QuantileTable;
use crate::random::BlockRandom;

/// Shortest and longest video. The longest bounds how far a funnel spills.
const SHORTEST_MS: u32 = 3_000;
pub(crate) const LONGEST_MS: u32 = 60_000;

/// Quality as a factor on the viewer's patience, in 1/1024: what the worst video has, and what the best has more.
const APPEAL_LEAST: u32 = 410;
const APPEAL_RANGE: u32 = 1_638;

/// One video, with its slot in its partition's alias table.
#[derive(Clone, Debug)]
pub(crate) struct Video {
    /// The number in `v_<number>`, from 1.
    pub(crate) number: u32,
    pub(crate) duration_ms: u32,
    /// Factor on the viewer's patience, in 1/1024.
    pub(crate) appeal: u32,
    /// How much more than the mean video it is liked and shared, in 1/1024. Its popularity-weighted mean is 1.
    pub(crate) affection: u32,
    keep_below: u32,
    alias: u32,
}

/// The videos of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionVideos {
    videos: Vec<Video>,
    /// Share of all impressions that this partition's videos get.
    pub(crate) mass: f64,
}

impl PartitionVideos {
    /// Draws the slot of the next video to be shown. The partition must have mass.
    pub(crate) fn draw(&self, random: &mut BlockRandom) -> u32 {
        let slot = random.below(self.videos.len() as u32);
        let video = &self.videos[slot as usize];
        if random.bits() < video.keep_below { slot } else { video.alias }
    }

    pub(crate) fn video(&self, slot: u32) -> &Video {
        &self.videos[slot as usize]
    }
}

/// How long each video of a seed is.
pub(crate) struct VideoDurations {
    seed: u64,
    law: QuantileTable,
}

impl VideoDurations {
    pub(crate) fn of(seed: u64) -> Self {
        let law = QuantileTable::log_normal(15_000.0, 0.6, f64::from(SHORTEST_MS), f64::from(LONGEST_MS));
        Self { seed, law }
    }

    /// The duration of the video `v_<number>`.
    pub(crate) fn duration_ms(&self, number: u64) -> u32 {
        self.law.at((trait_hash(self.seed, Role::VideoDuration, number) >> 32) as u32)
    }
}

/// Makes all videos and hands them out to the partitions that their ids belong to.
pub(crate) fn allot(config: &GeneratorConfig) -> Vec<PartitionVideos> {
    let seed = config.seed;
    let exponent = zipf_exponent(config.videos);
    let durations = VideoDurations::of(seed);

    // A shuffle: the most popular video is any number, the same one for the same seed.
    let mut by_rank: Vec<u32> = (1..=config.videos).collect();
    by_rank.sort_by_cached_key(|&number| (trait_hash(seed, Role::VideoRank, number.into()), number));

    let partitions = config.partitions.max(1) as usize;
    let mut allotted: Vec<PartitionVideos> = vec![PartitionVideos::default(); partitions];
    let mut weights: Vec<Vec<f64>> = vec![Vec::new(); partitions];
    let (mut total_weight, mut total_affection) = (0.0, 0.0);
    let mut id = String::new();
    let mut digits = itoa::Buffer::new();
    for (rank, number) in (1..).zip(by_rank) {
        id.clear();
        id.push_str("v_");
        id.push_str(digits.format(number));
        let partition = partition_of_key(id.as_bytes(), config.partitions) as usize;
        // Uniform in 0..1024.
        let quality = (trait_hash(seed, Role::VideoQuality, number.into()) >> 54) as u32;
        let affection = 512 + quality;
        let weight = zipf_weight(rank, exponent);
        total_weight += weight;
        total_affection += weight * f64::from(affection);
        weights[partition].push(weight);
        allotted[partition].videos.push(Video {
            number,
            duration_ms: durations.duration_ms(number.into()),
            appeal: APPEAL_LEAST + APPEAL_RANGE * quality / 1024,
            affection,
            keep_below: u32::MAX,
            alias: 0,
        });
    }

    let mean_affection = total_affection / total_weight;
    for (partition, partition_weights) in allotted.iter_mut().zip(&weights) {
        if partition_weights.is_empty() {
            continue;
        }
        partition.mass = partition_weights.iter().sum::<f64>() / total_weight;
        for (video, slot) in partition.videos.iter_mut().zip(alias_slots(partition_weights)) {
            video.affection = (f64::from(video.affection) / mean_affection * 1024.0).round() as u32;
            (video.keep_below, video.alias) = (slot.keep_below, slot.alias);
        }
    }
    allotted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_video_is_in_the_partition_of_its_id_once() {
        let config = GeneratorConfig { videos: 2_000, ..GeneratorConfig::default() };
        let allotted = allot(&config);
        assert_eq!(allotted.len(), 12);
        let mut numbers = Vec::new();
        for (partition, videos) in (0..).zip(&allotted) {
            for video in &videos.videos {
                assert_eq!(partition_of_key(format!("v_{}", video.number).as_bytes(), 12), partition);
                assert!((SHORTEST_MS..=LONGEST_MS).contains(&video.duration_ms));
                numbers.push(video.number);
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=2_000).collect::<Vec<_>>());
        let mass: f64 = allotted.iter().map(|videos| videos.mass).sum();
        assert!((mass - 1.0).abs() < 1e-9);
    }

    #[test]
    fn partitions_without_videos_have_no_mass() {
        let allotted = allot(&GeneratorConfig { videos: 1, ..GeneratorConfig::default() });
        assert_eq!(allotted.iter().filter(|videos| videos.mass > 0.0).count(), 1);
    }
}
