//! The actions that a run's scenarios must lead to: the rules over the exact counts, minute by minute.
//!
//! Only of the videos that scenarios are about. Decisions begin with the first minute whose 30 minutes lie whole in the
//! log, as they do in an engine that starts with it. What arrives late counts as if it had come in time: an engine that
//! decides before the last late event may be a minute beside.

use anyhow::Context;
use pulselake_decision::{
    Action, DecisionType, MINUTE_US, Metrics30m, Rules, Thresholds, VideoFacts, VideoMinutes,
    actions_of_video, decide_minute, first_covered_minute, rolling_30m,
};
use pulselake_generator::cdc::CdcRow;
use pulselake_generator::{CdcConfig, CdcWorld, GeneratorConfig, ScenarioKind, TruthCounts, focus_video};
use pulselake_model::Entity;

/// One action that must come, or a video about which nothing is to be decided. Moments are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExpectedAction {
    /// The scenario's canonical text.
    pub(super) scenario: String,
    /// Its video.
    pub(super) video_id: String,
    /// What the domain says that the scenario leads to; `None` where it says nothing.
    pub(super) intended: Option<DecisionType>,
    /// What the rules come to; `None`: no action in the whole run.
    pub(super) action: Option<Action>,
    /// The ends of the first and the last minute of the stretch in which the rules call for this. `None` where no minute
    /// was decided about.
    pub(super) stretch_us: Option<(i64, i64)>,
    /// The metrics at the action's minute; without one, at the last minute decided about.
    pub(super) metrics: Option<Metrics30m>,
}

impl ExpectedAction {
    /// What the rules come to.
    pub(super) fn decision(&self) -> DecisionType {
        self.action.as_ref().map_or(DecisionType::NoAction, |action| action.decision)
    }
}

/// The expectations of a run, in the order of its scenarios, then of time.
///
/// # Errors
/// When the log of changes that belongs to the events is not possible.
pub(super) fn expected_actions(
    config: &GeneratorConfig,
    counts: &TruthCounts,
    rules: &Rules,
    thresholds: &Thresholds,
) -> anyhow::Result<Vec<ExpectedAction>> {
    let videos = CdcWorld::new(CdcConfig::beside(config, Entity::Videos))?;
    let first_minute_us = first_covered_minute(config.start_ms * 1_000);
    let mut expected = Vec::new();
    for (index, scenario) in config.scenarios.iter().enumerate() {
        if !scenario.has_focus() {
            continue;
        }
        let number = focus_video(index);
        let row = videos.row(number.into(), 0);
        let row = row.with_context(|| format!("the video of scenario {scenario} has no row"))?;
        let watched = Watched {
            rules,
            thresholds,
            video_id: videos.key_text(number.into()),
            facts: facts_of(&row),
            minutes: minutes_of(counts, number),
            first_minute_us,
        };
        let (name, intended) = (scenario.to_string(), intended_decision(scenario.kind));
        expected.extend(watched.expectations(&name, intended));
    }
    Ok(expected)
}

/// What the domain says that a scenario must lead to.
fn intended_decision(kind: ScenarioKind) -> Option<DecisionType> {
    match kind {
        ScenarioKind::NormalBaseline => Some(DecisionType::NoAction),
        ScenarioKind::ViralHighQuality => Some(DecisionType::Boost),
        ScenarioKind::ViralLowQuality => Some(DecisionType::Review),
        ScenarioKind::ColdStartUnderExposed => Some(DecisionType::Rescue),
        ScenarioKind::BrokenClient
        | ScenarioKind::InventoryDrought
        | ScenarioKind::InvalidPayloadBurst
        | ScenarioKind::SchemaDrift
        | ScenarioKind::LateEvents
        | ScenarioKind::ClockSkew
        | ScenarioKind::Duplicates
        | ScenarioKind::HotPartition => None,
    }
}

fn facts_of(row: &CdcRow) -> VideoFacts<'_> {
    match row {
        CdcRow::Video(video) => VideoFacts {
            category: Some(video.category),
            region: Some(video.region),
            upload_time_us: Some(video.upload_time_ms * 1_000),
            status: Some(video.status),
            duration_ms: Some(video.duration_ms.into()),
        },
        CdcRow::User(_) => VideoFacts::default(),
    }
}

fn minutes_of(counts: &TruthCounts, video: u32) -> VideoMinutes {
    let of_video = counts.by_video_minute.range((video, i64::MIN)..=(video, i64::MAX));
    of_video.map(|((_, minute_ms), counters)| (minute_ms * 1_000, *counters)).collect()
}

/// One video and what is known of it.
struct Watched<'a> {
    rules: &'a Rules,
    thresholds: &'a Thresholds,
    video_id: String,
    facts: VideoFacts<'a>,
    minutes: VideoMinutes,
    first_minute_us: i64,
}

impl Watched<'_> {
    fn expectations(&self, scenario: &str, intended: Option<DecisionType>) -> Vec<ExpectedAction> {
        let expected = |action, stretch_us, metrics| ExpectedAction {
            scenario: scenario.to_owned(),
            video_id: self.video_id.clone(),
            intended,
            action,
            stretch_us,
            metrics,
        };
        let facts = Some(&self.facts);
        let (first_us, minutes) = (self.first_minute_us, &self.minutes);
        let actions = actions_of_video(self.rules, self.thresholds, &self.video_id, facts, minutes, first_us);
        if actions.is_empty() {
            let decided = || minutes.range(first_us..).map(|(minute_us, _)| *minute_us);
            let last_us = decided().next_back();
            let stretch_us =
                decided().next().zip(last_us).map(|(from, until)| (from + MINUTE_US, until + MINUTE_US));
            return vec![expected(None, stretch_us, last_us.map(|minute_us| self.metrics_at(minute_us)))];
        }
        actions
            .into_iter()
            .map(|action| {
                let stretch_us = (action.window_end_us(), self.end_of_stretch_us(&action));
                let metrics = action.metrics;
                expected(Some(action), Some(stretch_us), Some(metrics))
            })
            .collect()
    }

    fn metrics_at(&self, minute_us: i64) -> Metrics30m {
        Metrics30m::of(&rolling_30m(&self.minutes, minute_us))
    }

    /// The end of the last minute from the action's on at which the rules call for the same, without a break.
    fn end_of_stretch_us(&self, action: &Action) -> i64 {
        let facts = Some(&self.facts);
        let is_same = |minute_us: &i64| {
            let (_, verdict) = decide_minute(self.rules, self.thresholds, facts, &self.minutes, *minute_us);
            verdict.decision == action.decision
        };
        let later = self.minutes.range(action.window_start_us..).map(|(minute_us, _)| *minute_us);
        let last_us = later.take_while(is_same).last();
        last_us.map_or(action.window_end_us(), |minute_us| minute_us + MINUTE_US)
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::Scenario;
    use pulselake_model::{EventType, WindowCounters};

    use super::*;

    const START_MS: i64 = 1_767_225_600_000;

    fn config(scenarios: &[&str]) -> GeneratorConfig {
        let scenarios = scenarios.iter().map(|text| text.parse::<Scenario>().unwrap()).collect();
        GeneratorConfig { scenarios, start_ms: START_MS, ..GeneratorConfig::default() }
    }

    /// So many minutes of a video, from the log's minute `from` on, each with the same counts in [`EventType`]'s order.
    fn count(counts: &mut TruthCounts, video: u32, from: i64, minutes: i64, each: [i64; EventType::COUNT]) {
        for minute in from..from + minutes {
            let counters = WindowCounters { by_type: each, watch_time_sum_ms: 0 };
            counts.by_video_minute.insert((video, START_MS + minute * 60_000), counters);
        }
    }

    fn expected(config: &GeneratorConfig, counts: &TruthCounts) -> Vec<ExpectedAction> {
        expected_actions(config, counts, &Rules::default(), &Thresholds::SEED).unwrap()
    }

    /// The minute of the log that ends at this moment.
    fn minute(end_us: i64) -> i64 {
        (end_us - START_MS * 1_000) / MINUTE_US - 1
    }

    #[test]
    fn each_focus_video_has_what_the_domain_says_of_its_scenario() {
        let config = config(&[
            "normal_baseline",
            "late_events",
            "viral_high_quality",
            "viral_low_quality",
            "cold_start_under_exposed",
            "hot_partition",
        ]);
        let mut counts = TruthCounts::default();
        // Impressions, plays, finished, likes, shares, skips.
        count(&mut counts, focus_video(0), 0, 40, [30, 26, 14, 2, 0, 9]);
        count(&mut counts, focus_video(2), 0, 40, [200, 170, 130, 30, 12, 40]);
        count(&mut counts, focus_video(3), 0, 40, [200, 170, 30, 30, 12, 140]);
        count(&mut counts, focus_video(4), 0, 40, [4, 3, 3, 0, 0, 0]);
        count(&mut counts, focus_video(5), 0, 40, [9_000, 7_600, 4_000, 600, 120, 3_000]);
        let found = expected(&config, &counts);
        let decisions: Vec<_> =
            found.iter().map(|row| (row.video_id.as_str(), row.intended, row.decision())).collect();
        use DecisionType::{Boost, NoAction, Rescue, Review};
        assert_eq!(
            decisions,
            [
                ("v_1000000000", Some(NoAction), NoAction),
                ("v_1000000002", Some(Boost), Boost),
                ("v_1000000003", Some(Review), Review),
                ("v_1000000004", Some(Rescue), Rescue),
                ("v_1000000005", None, NoAction),
            ]
        );
        for row in &found {
            let (from_us, until_us) = row.stretch_us.unwrap();
            assert_eq!((minute(from_us), minute(until_us)), (29, 39), "{row:?}");
        }
        assert_eq!(found[0].metrics.unwrap().impressions, 900);
        assert_eq!(found[1].scenario, "viral_high_quality:start_s=0,length_s=0,strength=1");
    }

    #[test]
    fn a_stretch_ends_where_the_rules_call_for_something_else_and_begins_again_after_the_cooldown() {
        let config = config(&["viral_high_quality:start_s=3600"]);
        let video = focus_video(0);
        let mut counts = TruthCounts::default();
        count(&mut counts, video, 60, 5, [200, 170, 130, 30, 12, 40]);
        // From here on the rate sinks below the threshold after some minutes.
        count(&mut counts, video, 65, 40, [200, 170, 130, 0, 0, 40]);
        count(&mut counts, video, 105, 40, [200, 170, 130, 30, 12, 40]);
        let found = expected(&config, &counts);
        let stretches: Vec<(i64, i64)> = found
            .iter()
            .map(|row| row.stretch_us.map(|(from, until)| (minute(from), minute(until))).unwrap())
            .collect();
        // 90 likes' worth a minute: above 0.2 while more than 4/9 of the minutes are good ones.
        assert_eq!(stretches, [(60, 70), (120, 144)]);
        assert!(found.iter().all(|row| row.decision() == DecisionType::Boost));
    }

    #[test]
    fn without_30_covered_minutes_nothing_is_decided() {
        let config = config(&["viral_high_quality"]);
        let mut counts = TruthCounts::default();
        count(&mut counts, focus_video(0), 0, 29, [200, 170, 130, 30, 12, 40]);
        let found = expected(&config, &counts);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].decision(), found[0].stretch_us), (DecisionType::NoAction, None));
        assert_eq!(found[0].metrics, None);
    }
}
