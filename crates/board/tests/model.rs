//! The board against a naive one: lists of everything that was added.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{START, at, delta, time};
use proptest::collection::vec;
use proptest::prelude::*;
use pulselake_board::scores::{shrunken_velocity, surprise_z, weighted_reactions};
use pulselake_board::{BoardSettings, LiveBoard, TopOrder, TopQuery};
use pulselake_decision::{MINUTE_US, Metrics30m, VideoMinutes, rolling_30m};
use pulselake_model::{EventType, WindowCounters};

const VIDEOS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "a video with a name that is long"];
const PARTITIONS: i32 = 3;
const KEPT: i64 = 35;

#[derive(Clone, Debug)]
enum Step {
    Begin(i32),
    /// Partition, whether it comes from the run before, and video, minute beside the partition's own, counts.
    Add(i32, bool, Vec<(usize, i64, [i64; 6])>),
    /// The partition's time goes on by so many minutes.
    Advance(i32, i64),
    Remove(i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let count = prop_oneof![3 => Just(0_i64), 2 => 1_i64..4, 1 => 100_i64..400];
    let added = (0..VIDEOS.len(), prop_oneof![4 => -3_i64..2, 1 => -40_i64..5], prop::array::uniform6(count));
    let partition = 0..PARTITIONS;
    let step = prop_oneof![
        1 => partition.clone().prop_map(Step::Begin),
        8 => (partition.clone(), prop::bool::weighted(0.1), vec(added, 0..12)).prop_map(|(p, old, list)| Step::Add(p, old, list)),
        6 => (partition.clone(), prop_oneof![5 => 0_i64..3, 1 => 3_i64..50]).prop_map(|(p, by)| Step::Advance(p, by)),
        1 => partition.prop_map(Step::Remove),
    ];
    vec(step, 0..60)
}

#[derive(Clone, Debug)]
struct NaivePartition {
    generation: u64,
    now: Option<i64>,
    videos: BTreeMap<&'static str, VideoMinutes>,
    totals: VideoMinutes,
}

impl NaivePartition {
    fn now(&self) -> Option<i64> {
        self.now.or(self.totals.keys().next_back().map(|start_us| start_us / MINUTE_US))
    }

    fn newest(&self) -> Option<i64> {
        let now = self.now()?;
        self.totals.range(..=now * MINUTE_US).next_back().map(|(start_us, _)| start_us / MINUTE_US)
    }

    fn oldest(&self) -> i64 {
        self.now().map_or(i64::MIN, |now| now - KEPT + 1)
    }
}

#[derive(Default)]
struct Naive {
    generations: u64,
    partitions: BTreeMap<i32, NaivePartition>,
}

impl Naive {
    fn step(&mut self, board: &LiveBoard, step: &Step) {
        match step {
            Step::Begin(partition) => {
                self.generations += 1;
                board.begin(*partition, self.generations, None);
                let fresh = NaivePartition {
                    generation: self.generations,
                    now: None,
                    videos: BTreeMap::new(),
                    totals: VideoMinutes::new(),
                };
                self.partitions.insert(*partition, fresh);
            }
            Step::Add(partition, from_older, list) => self.add(board, *partition, *from_older, list),
            Step::Advance(partition, by) => {
                let Some(held) = self.partitions.get_mut(partition) else {
                    return board.advance(*partition, 1, time(*by));
                };
                let moved_to = held.now().unwrap_or(START) + by;
                board.advance(*partition, held.generation, time(moved_to - START));
                if held.now != Some(moved_to) {
                    held.now = Some(moved_to);
                    let oldest_us = held.oldest() * MINUTE_US;
                    held.totals = held.totals.split_off(&oldest_us);
                    held.videos.retain(|_, minutes| minutes.keys().next_back() >= Some(&oldest_us));
                }
            }
            Step::Remove(partition) => {
                board.remove(*partition);
                self.partitions.remove(partition);
            }
        }
    }

    fn add(&mut self, board: &LiveBoard, partition: i32, from_older: bool, list: &[(usize, i64, [i64; 6])]) {
        let Some(held) = self.partitions.get_mut(&partition) else {
            board.add(partition, 1, &[delta("a", 0, common::impressions(1))]);
            return;
        };
        let (around, oldest) = (held.now().unwrap_or(START), held.oldest());
        let generation = held.generation - u64::from(from_older);
        let counted: Vec<_> = list
            .iter()
            .map(|&(video, beside, by_type)| (VIDEOS[video], around + beside, common::counts(by_type)))
            .collect();
        let deltas: Vec<_> =
            counted.iter().map(|(video, minute, counters)| delta(video, minute - START, *counters)).collect();
        board.add(partition, generation, &deltas);
        if from_older {
            return;
        }
        for (video, minute, counters) in counted {
            if minute < oldest || counters == WindowCounters::default() {
                continue;
            }
            held.videos.entry(video).or_default().entry(minute * MINUTE_US).or_default().merge(&counters);
            held.totals.entry(minute * MINUTE_US).or_default().merge(&counters);
        }
    }

    fn now(&self) -> Option<i64> {
        self.partitions.values().filter_map(NaivePartition::newest).max()
    }

    /// Whether every partition still keeps the 30 minutes up to `minute`.
    fn keeps_30_until(&self, minute: i64) -> bool {
        self.partitions.values().all(|partition| partition.oldest() <= minute - 29)
    }

    fn minutes_of(&self, video: &str) -> VideoMinutes {
        let mut minutes = VideoMinutes::new();
        for partition in self.partitions.values() {
            let Some(held) = partition.videos.get(video) else { continue };
            let oldest_us = partition.oldest().saturating_mul(MINUTE_US);
            for (start_us, counters) in held.range(oldest_us..) {
                minutes.entry(*start_us).or_default().merge(counters);
            }
        }
        minutes
    }

    fn active(&self, now: i64) -> Vec<(&'static str, WindowCounters)> {
        let sums = |video| (video, rolling_30m(&self.minutes_of(video), now * MINUTE_US));
        VIDEOS.into_iter().map(sums).filter(|(_, sums)| sums.events() > 0).collect()
    }

    fn surprise(&self, video: &str, now: i64) -> f64 {
        let minutes = self.minutes_of(video);
        let of_30 = minutes.range((now - 29) * MINUTE_US..=now * MINUTE_US);
        // Newest first: sums of fractions depend on their order in the last bit.
        let ages: Vec<_> = of_30
            .rev()
            .map(|(start_us, counters)| {
                let age = usize::try_from(now - start_us / MINUTE_US).unwrap();
                (age, counters.by_type[EventType::PlayStart as usize])
            })
            .collect();
        let known_minutes = ages.iter().map(|(age, _)| *age).max().unwrap();
        surprise_z(ages, known_minutes)
    }
}

fn check(naive: &Naive, board: &LiveBoard) {
    assert_eq!(board.now_minute_us(), naive.now().map(|now| now * MINUTE_US));
    let coverage = board.coverage();
    for (partition, held) in &coverage.partitions.iter().map(|p| (p.partition, p)).collect::<BTreeMap<_, _>>()
    {
        assert_eq!(held.videos, naive.partitions[partition].videos.len(), "videos of partition {partition}");
    }
    assert_eq!(coverage.partitions.len(), naive.partitions.len());
    for video in VIDEOS {
        assert_eq!(board.minutes_of(video), naive.minutes_of(video), "minutes of {video}");
    }
    let Some(now) = naive.now() else { return };
    if naive.keeps_30_until(now) {
        check_now(naive, board, now);
    }
    for (&partition, held) in &naive.partitions {
        for minute in now - 6..=now + 1 {
            if naive.keeps_30_until(minute) {
                check_minute(naive, board, partition, held, minute);
            }
        }
    }
}

fn check_now(naive: &Naive, board: &LiveBoard, now: i64) {
    let active = naive.active(now);
    let mut visited = BTreeMap::new();
    board.visit_all(&mut |id, sums| assert_eq!(visited.insert(id.to_owned(), *sums), None));
    let expected: BTreeMap<_, _> = active.iter().map(|(id, sums)| ((*id).to_owned(), *sums)).collect();
    assert_eq!(visited, expected);

    let mut all = WindowCounters::default();
    for partition in naive.partitions.values() {
        for (_, counters) in partition.totals.range((now - 29) * MINUTE_US..=now * MINUTE_US) {
            all.merge(counters);
        }
    }
    let rate = weighted_reactions(&all) as f64 / all.by_type[0].max(1) as f64;
    for order in [TopOrder::Velocity, TopOrder::Surprise, TopOrder::Shrunken, TopOrder::Impressions] {
        let score = |id: &str, sums: &WindowCounters| match order {
            TopOrder::Velocity => Metrics30m::of(sums).velocity,
            TopOrder::Surprise => naive.surprise(id, now),
            TopOrder::Shrunken => {
                shrunken_velocity(weighted_reactions(sums) as f64, sums.by_type[0] as f64, rate)
            }
            TopOrder::Impressions => sums.by_type[0] as f64,
        };
        for (limit, kept) in [(3, true), (100, true), (2, false)] {
            let keep = |id: &str| kept || id > "b";
            let mut best: Vec<_> = active
                .iter()
                .filter(|(id, _)| keep(id))
                .map(|(id, sums)| (score(id, sums), (*id).to_owned()))
                .collect();
            best.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
            best.truncate(limit);
            let query = TopQuery { limit, order, keep: (!kept).then_some(&keep) };
            let top: Vec<_> =
                board.top(&query).iter().map(|v| (order.score(v), v.video_id.clone())).collect();
            assert_eq!(top, best, "{order:?}, {limit}");
        }
    }
}

fn check_minute(naive: &Naive, board: &LiveBoard, partition: i32, held: &NaivePartition, minute: i64) {
    let mut found = BTreeMap::new();
    let visit = board.rolling_at(partition, minute * MINUTE_US, &mut |id, sums| {
        assert_eq!(found.insert(id.to_owned(), *sums), None);
    });
    assert_eq!((visit.visited, visit.left_out), (found.len(), 0));
    let expected: BTreeMap<_, _> = held
        .videos
        .iter()
        .filter(|(_, video)| video.contains_key(&(minute * MINUTE_US)))
        .map(|(id, _)| ((*id).to_owned(), rolling_30m(&naive.minutes_of(id), minute * MINUTE_US)))
        .collect();
    assert_eq!(found, expected, "partition {partition}, minute {}", minute - START);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn it_answers_as_a_naive_board_does(steps in steps()) {
        // Few shards: there are few videos.
        let board = LiveBoard::new(BoardSettings { max_videos: 4_096, ..BoardSettings::default() });
        let mut naive = Naive::default();
        for step in &steps {
            naive.step(&board, step);
            check(&naive, &board);
        }
    }
}

/// Whatever the threads do to one another, what each has added is there in the end.
#[test]
fn threads_add_ask_and_take_over_without_losing_a_count() {
    let board = LiveBoard::default();
    let rounds = 400_i64;
    std::thread::scope(|scope| {
        for partition in 0..4_i32 {
            let board = &board;
            scope.spawn(move || {
                board.begin(partition, 1, None);
                for round in 0..rounds {
                    if round == rounds / 2 {
                        board.begin(partition, 2, None);
                    }
                    let generation = if round < rounds / 2 { 1 } else { 2 };
                    let ids: BTreeSet<String> = (0..50)
                        .map(|number| format!("v{}", (number * round + i64::from(partition)) % 97))
                        .collect();
                    let deltas: Vec<_> =
                        ids.iter().map(|id| delta(id, round % 20, common::impressions(1))).collect();
                    board.add(partition, generation, &deltas);
                    board.add(partition, generation - 1, &deltas);
                    board.advance(partition, generation, time(20));
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..rounds {
                let order = TopOrder::Impressions;
                board.top(&TopQuery { limit: 10, order, keep: Some(&|id| board.video(id).is_some()) });
                board.rolling_at(1, at(3), &mut |id, _| {
                    board.minutes_of(id);
                });
                board.visit_all(&mut |_, _| {});
                board.coverage();
            }
        });
    });
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for partition in 0..4_i64 {
        for round in rounds / 2..rounds {
            let ids: BTreeSet<String> =
                (0..50).map(|number| format!("v{}", (number * round + partition) % 97)).collect();
            ids.into_iter().for_each(|id| *expected.entry(id).or_default() += 1);
        }
    }
    let mut found = BTreeMap::new();
    board.visit_all(&mut |id, sums| {
        found.insert(id.to_owned(), sums.events());
    });
    assert_eq!(found, expected);
}
