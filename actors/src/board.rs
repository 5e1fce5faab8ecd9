//! The rolling 30 minutes of every video, in memory, fed by closed windows (DOMAIN.md 4).
//!
//! Kept per partition and generation: when a generation ends, what it put here goes with it, because its successor
//! emits the same open windows again. Minutes older than 30 before the newest one seen are forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashmap::DashMap;
use pulselake_model::{EventType, GoldRow, WindowCounters};
use pulselake_window::WINDOW_US;

const MINUTES: i64 = 30;

/// One video's rolling sums and velocity.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoVelocity {
    /// The video.
    pub video_id: String,
    /// (likes + 5·shares) / max(impressions, 100) over the last 30 minutes.
    pub velocity_30m: f64,
    /// The sums behind it.
    pub counters: WindowCounters,
}

/// Shared by the aggregators (writers) and whoever shows it.
#[derive(Clone, Default)]
pub struct LiveBoard {
    partitions: Arc<DashMap<i32, PartitionBoard>>,
}

#[derive(Default)]
struct PartitionBoard {
    generation: u64,
    minutes: BTreeMap<i64, std::collections::HashMap<String, WindowCounters>>,
}

impl LiveBoard {
    /// Adds rows that a partition has just emitted. Rows of an older generation are ignored.
    pub fn add(&self, partition: i32, generation: u64, rows: &[GoldRow]) {
        let mut board = self.partitions.entry(partition).or_default();
        if generation < board.generation {
            return;
        }
        if generation > board.generation {
            *board = PartitionBoard { generation, ..PartitionBoard::default() };
        }
        let newest =
            rows.iter().map(|row| row.window_start_us).max().max(board.minutes.keys().next_back().copied());
        let Some(oldest_kept) = newest.map(|newest_us| newest_us - (MINUTES - 1) * WINDOW_US) else { return };
        for row in rows.iter().filter(|row| row.window_start_us >= oldest_kept) {
            let minute = board.minutes.entry(row.window_start_us).or_default();
            match minute.get_mut(&row.video_id) {
                Some(counters) => counters.merge(&row.counters),
                None => {
                    minute.insert(row.video_id.clone(), row.counters);
                }
            }
        }
        board.minutes = board.minutes.split_off(&oldest_kept);
    }

    /// The partition is not ours any more.
    pub fn remove(&self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// The `count` videos of highest velocity, best first; ties by id.
    pub fn top(&self, count: usize) -> Vec<VideoVelocity> {
        let newest =
            self.partitions.iter().filter_map(|board| board.minutes.keys().next_back().copied()).max();
        let Some(oldest_kept) = newest.map(|newest_us| newest_us - (MINUTES - 1) * WINDOW_US) else {
            return Vec::new();
        };
        let mut sums: std::collections::HashMap<String, WindowCounters> = std::collections::HashMap::new();
        for board in self.partitions.iter() {
            for minute in board.minutes.range(oldest_kept..).map(|(_, videos)| videos) {
                for (video_id, counters) in minute {
                    match sums.get_mut(video_id) {
                        Some(sum) => sum.merge(counters),
                        None => {
                            sums.insert(video_id.clone(), *counters);
                        }
                    }
                }
            }
        }
        let mut videos: Vec<VideoVelocity> = sums
            .into_iter()
            .map(|(video_id, counters)| VideoVelocity {
                video_id,
                velocity_30m: velocity(&counters),
                counters,
            })
            .collect();
        videos.sort_unstable_by(|left, right| {
            right.velocity_30m.total_cmp(&left.velocity_30m).then_with(|| left.video_id.cmp(&right.video_id))
        });
        videos.truncate(count);
        videos
    }
}

fn velocity(counters: &WindowCounters) -> f64 {
    let count = |event_type: EventType| counters.by_type[event_type as usize];
    let reactions = count(EventType::Like) + 5 * count(EventType::Share);
    reactions as f64 / count(EventType::Impression).max(100) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(video_id: &str, minute: i64, likes: i64) -> GoldRow {
        let mut counters = WindowCounters::default();
        counters.by_type[EventType::Like as usize] = likes;
        GoldRow {
            video_id: video_id.into(),
            window_start_us: minute * WINDOW_US,
            is_correction: false,
            counters,
        }
    }

    #[test]
    fn sums_over_thirty_minutes_and_forgets_older_ones() {
        let board = LiveBoard::default();
        board.add(0, 1, &[row("a", 0, 50), row("a", 1, 10)]);
        board.add(1, 1, &[row("b", 30, 20)]);
        let top = board.top(5);
        assert_eq!(
            top.iter().map(|video| (video.video_id.as_str(), video.velocity_30m)).collect::<Vec<_>>(),
            [("b", 0.2), ("a", 0.1)]
        );
    }

    #[test]
    fn a_new_generation_replaces_the_old_one() {
        let board = LiveBoard::default();
        board.add(0, 1, &[row("a", 0, 50)]);
        board.add(0, 2, &[row("a", 0, 50)]);
        board.add(0, 1, &[row("a", 0, 50)]);
        assert_eq!(board.top(1)[0].counters.by_type[EventType::Like as usize], 50);
    }
}
