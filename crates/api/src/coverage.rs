//! What the live board covers, as answers say it: an incomplete board must not pass for a quiet catalogue.

use pulselake_board::Coverage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Moment;

/// Minutes that rolling figures are made of.
const ROLLING_MINUTES: u32 = 30;

/// What an answer from the board covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoardCoverage {
    /// Whether every partition of this process, and of its peers, is covered for 30 minutes.
    pub complete: bool,
    /// Minutes up to the newest one that all these partitions cover, 30 at most.
    pub covered_minutes: u32,
    /// The partitions that the answer is made from.
    pub partitions: Vec<CoveredPartition>,
    /// Peers of `http.peers` that did not answer in time: their videos are missing.
    pub missing_peers: Vec<String>,
}

/// One partition on a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoveredPartition {
    /// Its number.
    pub partition: i32,
    /// The first minute of which the board has everything; null while it is not known.
    pub covered_from: Option<Moment>,
    /// Whole minutes up to the board's newest one, 30 at most.
    pub covered_minutes: u32,
    /// Where its event time stands.
    pub watermark: Option<Moment>,
    /// Every minute that ended until then is closed.
    pub closed_through: Option<Moment>,
    /// Its newest minute with events.
    pub newest_minute: Option<Moment>,
    /// Videos on the board.
    pub videos: u64,
}

impl BoardCoverage {
    /// Of this process's board.
    pub fn of(coverage: &Coverage) -> Self {
        let moment = |us: Option<i64>| us.map(Moment::from_us);
        let minutes_of = |one: &pulselake_board::PartitionCoverage| {
            let minutes = coverage.now_minute_us.map_or(0, |now_us| one.covered_minutes(now_us));
            u32::try_from(minutes).unwrap_or(ROLLING_MINUTES)
        };
        let partitions = coverage.partitions.iter().map(|one| CoveredPartition {
            partition: one.partition,
            covered_from: moment(one.covered_from_us),
            covered_minutes: minutes_of(one),
            watermark: moment(one.watermark_us),
            closed_through: moment(one.closed_through_us),
            newest_minute: moment(one.newest_minute_us),
            videos: one.videos as u64,
        });
        Self::of_partitions(partitions.collect(), Vec::new())
    }

    /// Together with the boards of peers; `missing` are those that did not answer.
    pub fn merged(own: Self, peers: Vec<Self>, missing: Vec<String>) -> Self {
        let (mut partitions, mut missing_peers) = (own.partitions, missing);
        for peer in peers {
            partitions.extend(peer.partitions);
            missing_peers.extend(peer.missing_peers);
        }
        partitions.sort_by_key(|one| one.partition);
        Self::of_partitions(partitions, missing_peers)
    }

    fn of_partitions(partitions: Vec<CoveredPartition>, missing_peers: Vec<String>) -> Self {
        let covered_minutes = partitions.iter().map(|one| one.covered_minutes).min().unwrap_or(0);
        let complete = missing_peers.is_empty() && covered_minutes == ROLLING_MINUTES;
        Self { complete, covered_minutes, partitions, missing_peers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32, covered_minutes: u32) -> CoveredPartition {
        CoveredPartition {
            partition: number,
            covered_from: None,
            covered_minutes,
            watermark: None,
            closed_through: None,
            newest_minute: None,
            videos: 1,
        }
    }

    #[test]
    fn the_least_covered_partition_counts() {
        for (minutes, covered) in [(&[30, 30][..], 30), (&[30, 29], 29), (&[0, 30], 0), (&[], 0)] {
            let partitions = (0..).zip(minutes).map(|(number, minutes)| partition(number, *minutes));
            let answer = BoardCoverage::of_partitions(partitions.collect(), Vec::new());
            assert_eq!((answer.covered_minutes, answer.complete), (covered, covered == 30), "{minutes:?}");
        }
    }

    #[test]
    fn a_missing_peer_makes_it_incomplete() {
        let own = BoardCoverage::of_partitions(vec![partition(1, 30)], Vec::new());
        let peer = BoardCoverage::of_partitions(vec![partition(0, 30)], Vec::new());
        let all = BoardCoverage::merged(own.clone(), vec![peer], Vec::new());
        assert!(all.complete);
        assert_eq!(all.partitions.iter().map(|one| one.partition).collect::<Vec<_>>(), [0, 1]);
        let alone = BoardCoverage::merged(own, Vec::new(), vec!["http://other:9464".to_owned()]);
        assert!(!alone.complete);
        assert_eq!((alone.covered_minutes, alone.missing_peers.len()), (30, 1));
    }
}
