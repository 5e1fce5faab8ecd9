//! The best videos by one of the scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::scores::shrunken_velocity;
use crate::slots::{Score, Slots};
use crate::video::BoardVideo;

/// Fewer impressions than these divide as if they were so many, as in `Metrics30m`.
const LEAST_IMPRESSIONS: u32 = 100;

/// What makes a video good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TopOrder {
    /// `velocity_30m` (DOMAIN.md 4).
    #[default]
    Velocity,
    /// [`BoardVideo::surprise_z`].
    Surprise,
    /// [`BoardVideo::velocity_shrunk`].
    Shrunken,
    /// Impressions of the 30 minutes.
    Impressions,
}

impl TopOrder {
    /// The score that this order goes by.
    pub fn score(self, video: &BoardVideo) -> f64 {
        match self {
            Self::Velocity => video.metrics.velocity,
            Self::Surprise => video.surprise_z,
            Self::Shrunken => video.velocity_shrunk,
            Self::Impressions => video.metrics.impressions as f64,
        }
    }

    fn of_columns(self, score: &Score, catalogue_rate: f64) -> f64 {
        let (reactions, impressions) = (f64::from(score.reactions), f64::from(score.impressions));
        match self {
            Self::Velocity => reactions / f64::from(score.impressions.max(LEAST_IMPRESSIONS)),
            Self::Surprise => score.surprise_z,
            Self::Shrunken => shrunken_velocity(reactions, impressions, catalogue_rate),
            Self::Impressions => impressions,
        }
    }
}

/// Which videos are wanted, and how many.
#[derive(Clone, Copy, Default)]
pub struct TopQuery<'a> {
    /// At most so many.
    pub limit: usize,
    /// Best first by this; ties by id.
    pub order: TopOrder,
    /// Says of an id whether the video may be among them; all may without it. Called without any lock held, for every video
    /// that could be among the best: for all of them where it turns most down.
    pub keep: Option<&'a dyn Fn(&str) -> bool>,
}

/// Ids with scores, the texts in one piece.
#[derive(Default)]
pub(crate) struct Candidates {
    ids: String,
    /// Score, and where the id ends.
    found: Vec<(f64, usize)>,
}

impl Candidates {
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.found.clear();
    }

    fn push(&mut self, score: f64, id: &str) {
        self.ids.push_str(id);
        self.found.push((score, self.ids.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (f64, &str)> {
        let mut start = 0;
        self.found.iter().map(move |&(score, end)| {
            let id = &self.ids[start..end];
            start = end;
            (score, id)
        })
    }
}

/// The best seen so far.
pub(crate) struct Best {
    limit: usize,
    order: TopOrder,
    catalogue_rate: f64,
    /// The worst of them on top.
    heap: BinaryHeap<Ranked>,
}

struct Ranked {
    score: f64,
    id: Box<str>,
}

impl Best {
    pub(crate) fn new(query: &TopQuery<'_>, catalogue_rate: f64) -> Self {
        Self { limit: query.limit, order: query.order, catalogue_rate, heap: BinaryHeap::new() }
    }

    /// Copies the videos of a shard that would be among the best. Its scores are up to date.
    pub(crate) fn look_at(&self, slots: &Slots, candidates: &mut Candidates) {
        for (slot, (score, flags)) in slots.score.iter().zip(&slots.flags).enumerate() {
            if !flags.is_ranked {
                continue;
            }
            let value = self.order.of_columns(score, self.catalogue_rate);
            if self.would_take(value, || &slots.id[slot]) {
                candidates.push(value, &slots.id[slot]);
            }
        }
    }

    /// Takes those that `keep` wants and that are still among the best.
    pub(crate) fn take(&mut self, candidates: &Candidates, keep: Option<&dyn Fn(&str) -> bool>) {
        for (score, id) in candidates.iter() {
            if !self.would_take(score, || id) || keep.is_some_and(|wants| !wants(id)) {
                continue;
            }
            if self.heap.len() == self.limit {
                self.heap.pop();
            }
            self.heap.push(Ranked { score, id: id.into() });
        }
    }

    /// The ids, in no order.
    pub(crate) fn into_ids(self) -> impl Iterator<Item = Box<str>> {
        self.heap.into_iter().map(|ranked| ranked.id)
    }

    fn would_take<'b>(&self, score: f64, id: impl FnOnce() -> &'b str) -> bool {
        if self.heap.len() < self.limit {
            return true;
        }
        let Some(worst) = self.heap.peek() else { return false };
        match score.total_cmp(&worst.score) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => *id() < *worst.id,
        }
    }
}

/// The worse one is the greater, so that it stands on top of the heap.
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// Best first by `order`, ties by id.
pub(crate) fn sort_best_first(videos: &mut [BoardVideo], order: TopOrder) {
    videos.sort_unstable_by(|left, right| {
        order.score(right).total_cmp(&order.score(left)).then_with(|| left.video_id.cmp(&right.video_id))
    });
}
