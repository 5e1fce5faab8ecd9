//! What is much and what is little: percentiles over what was observed.

use std::collections::{BTreeMap, HashMap};

use crate::{Metrics30m, VideoFacts, percentile_cont};

/// Rows with fewer impressions are no part of a sample. Most of a catalogue is hardly seen: with it, the 40th percentile
/// would call nobody under-exposed, and the velocity's divisor of at least 100 would damp the 90th.
pub const MIN_SAMPLE_IMPRESSIONS: i64 = 100;
/// Rows of the sample that a baseline needs at least.
pub const MIN_GLOBAL_SAMPLE: usize = 1_000;
/// Rows that a cohort needs at least to have thresholds of its own.
pub const MIN_COHORT_SAMPLE: usize = 200;
/// The percentile of `velocity_30m` that makes a candidate.
pub const VELOCITY_PERCENTILE: u8 = 90;
/// The percentile of `impressions_30m` that is under-exposed.
pub const IMPRESSIONS_PERCENTILE: u8 = 40;

/// Where thresholds come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdOrigin {
    /// Constants, until something was observed: of the program or of a file.
    Seed,
    /// All observed rows.
    Global,
    /// The observed rows of the video's cohort.
    Cohort,
}

impl ThresholdOrigin {
    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Global => "global",
            Self::Cohort => "cohort",
        }
    }
}

/// The two values that decisions compare with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// 90th percentile of `velocity_30m`.
    pub velocity_p90: f64,
    /// 40th percentile of `impressions_30m`.
    pub impressions_p40: f64,
    /// Rows that they are made from; 0 for the seed.
    pub sample_size: usize,
    /// Where they come from.
    pub origin: ThresholdOrigin,
}

impl Thresholds {
    /// What counts until a baseline was computed. A simulated normal day of the generator (docs/truth.md has the commands)
    /// has a 90th percentile of velocity of 0.203, here rounded; its 40th percentile of impressions is 166, its median
    /// 198: taken is the round number above, so that a cold start with the most impressions that the domain gives it (180)
    /// is under-exposed.
    pub const SEED: Thresholds = Thresholds {
        velocity_p90: 0.2,
        impressions_p40: 200.0,
        sample_size: 0,
        origin: ThresholdOrigin::Seed,
    };
}

/// Videos of one category in one region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cohort {
    /// The category.
    pub category: String,
    /// The region.
    pub region: String,
}

/// One row of the rolling metrics: a video in a minute in which something happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRow {
    /// The video's cohort; `None` where the dimension doesn't know it. Such a row counts for the global thresholds alone.
    pub cohort: Option<Cohort>,
    /// Its last 30 minutes then.
    pub metrics: Metrics30m,
}

/// Thresholds for every video.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    global: Thresholds,
    cohorts: BTreeMap<Cohort, Thresholds>,
}

/// Why there is no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// Too little was observed for percentiles to mean anything.
    #[error(
        "{rows} rows of rolling metrics with at least {MIN_SAMPLE_IMPRESSIONS} impressions are too few for a baseline: it needs {needed}; keep the last one"
    )]
    SampleTooSmall {
        /// Rows of the sample that there are.
        rows: usize,
        /// Rows that it takes.
        needed: usize,
    },
}

impl Baseline {
    /// [`Thresholds::SEED`] for every video.
    pub fn seed() -> Self {
        Self { global: Thresholds::SEED, cohorts: BTreeMap::new() }
    }

    /// Of thresholds that are there already: a file's, or a table's.
    pub fn new(global: Thresholds, cohorts: BTreeMap<Cohort, Thresholds>) -> Self {
        Self { global, cohorts }
    }

    /// From observed rows: those with at least [`MIN_SAMPLE_IMPRESSIONS`] are the sample. In whatever order they come, it
    /// is the same.
    ///
    /// # Errors
    /// [`BaselineError::SampleTooSmall`] for a sample below [`MIN_GLOBAL_SAMPLE`] rows.
    pub fn observed(rows: &[ObservedRow]) -> Result<Self, BaselineError> {
        let is_seen = |row: &&ObservedRow| row.metrics.impressions >= MIN_SAMPLE_IMPRESSIONS;
        let sample: Vec<&ObservedRow> = rows.iter().filter(is_seen).collect();
        if sample.len() < MIN_GLOBAL_SAMPLE {
            return Err(BaselineError::SampleTooSmall { rows: sample.len(), needed: MIN_GLOBAL_SAMPLE });
        }
        let mut by_cohort: HashMap<&Cohort, Vec<&Metrics30m>> = HashMap::new();
        for row in &sample {
            if let Some(cohort) = &row.cohort {
                by_cohort.entry(cohort).or_default().push(&row.metrics);
            }
        }
        let cohorts = by_cohort
            .into_iter()
            .filter(|(_, members)| members.len() >= MIN_COHORT_SAMPLE)
            .map(|(cohort, members)| (cohort.clone(), thresholds(&members, ThresholdOrigin::Cohort)))
            .collect();
        let all: Vec<&Metrics30m> = sample.iter().map(|row| &row.metrics).collect();
        Ok(Self { global: thresholds(&all, ThresholdOrigin::Global), cohorts })
    }

    /// The thresholds for every video without ones of its cohort.
    pub fn global(&self) -> &Thresholds {
        &self.global
    }

    /// The cohorts with thresholds of their own.
    pub fn cohorts(&self) -> &BTreeMap<Cohort, Thresholds> {
        &self.cohorts
    }

    /// The thresholds for a video: its cohort's where there are any, else the global ones.
    pub fn thresholds_for(&self, video: &VideoFacts<'_>) -> &Thresholds {
        let (Some(category), Some(region)) = (video.category, video.region) else { return &self.global };
        let cohort = Cohort { category: category.to_owned(), region: region.to_owned() };
        self.cohorts.get(&cohort).unwrap_or(&self.global)
    }
}

fn thresholds(rows: &[&Metrics30m], origin: ThresholdOrigin) -> Thresholds {
    let percentile = |value_of: fn(&Metrics30m) -> f64, percent: u8| {
        let values: Vec<f64> = rows.iter().map(|metrics| value_of(metrics)).collect();
        // There are rows: both callers have counted them.
        percentile_cont(&values, f64::from(percent) / 100.0).unwrap_or_default()
    };
    Thresholds {
        velocity_p90: percentile(|metrics| metrics.velocity, VELOCITY_PERCENTILE),
        impressions_p40: percentile(|metrics| metrics.impressions as f64, IMPRESSIONS_PERCENTILE),
        sample_size: rows.len(),
        origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, cohort: Option<(&str, &str)>, first_impressions: i64) -> Vec<ObservedRow> {
        let cohort = cohort
            .map(|(category, region)| Cohort { category: category.to_owned(), region: region.to_owned() });
        (0..count as i64)
            .map(|index| ObservedRow {
                cohort: cohort.clone(),
                metrics: Metrics30m {
                    impressions: first_impressions + index,
                    velocity: index as f64 / 1_000.0,
                    ..Metrics30m::default()
                },
            })
            .collect()
    }

    fn facts<'a>(category: &'a str, region: &'a str) -> VideoFacts<'a> {
        VideoFacts { category: Some(category), region: Some(region), ..VideoFacts::default() }
    }

    #[test]
    fn the_global_sample_needs_1000_rows() {
        // Those with fewer than 100 impressions don't count.
        let error = Baseline::observed(&rows(1_099, None, 0)).unwrap_err();
        assert_eq!(error, BaselineError::SampleTooSmall { rows: 999, needed: 1_000 });
        let mut observed = rows(1_000, None, 100);
        observed.extend(rows(100, None, 0));
        let global = *Baseline::observed(&observed).unwrap().global();
        assert_eq!((global.sample_size, global.origin), (1_000, ThresholdOrigin::Global));
        assert!((global.velocity_p90 - 0.8991).abs() < 1e-12, "{global:?}");
        assert!((global.impressions_p40 - 499.6).abs() < 1e-12, "{global:?}");
    }

    #[test]
    fn a_cohort_needs_200_rows_and_both_its_names() {
        let mut observed = rows(1_000, None, 100);
        observed.extend(rows(200, Some(("music", "de")), 5_000));
        observed.extend(rows(199, Some(("music", "fr")), 9_000));
        let baseline = Baseline::observed(&observed).unwrap();
        assert_eq!(baseline.cohorts().len(), 1);
        assert_eq!(baseline.global().sample_size, 1_399);
        let own = baseline.thresholds_for(&facts("music", "de"));
        assert_eq!((own.sample_size, own.origin), (200, ThresholdOrigin::Cohort));
        assert!((own.impressions_p40 - 5_079.6).abs() < 1e-9, "{own:?}");
        for other in [facts("music", "fr"), facts("dance", "de"), VideoFacts::default()] {
            assert_eq!(baseline.thresholds_for(&other), baseline.global());
        }
        let half_known = VideoFacts { category: Some("music"), ..VideoFacts::default() };
        assert_eq!(baseline.thresholds_for(&half_known), baseline.global());
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let mut observed = rows(1_200, Some(("a", "b")), 103);
        let baseline = Baseline::observed(&observed).unwrap();
        observed.reverse();
        assert_eq!(Baseline::observed(&observed).unwrap(), baseline);
    }

    #[test]
    fn the_seed_counts_for_everybody() {
        assert_eq!(Baseline::seed().thresholds_for(&facts("a", "b")), &Thresholds::SEED);
    }
}
