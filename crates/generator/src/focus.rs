//! The traffic of focus videos: videos of a scenario's own, whose funnels come on top of the ordinary traffic.

use crate::catalogue::Catalogue;
use crate::funnel::Taste;
use crate::mix::{Role, trait_hash};
use crate::{GeneratorConfig, Scenario, ScenarioKind};

const HALF_HOUR_S: f64 = 1_800.0;
/// A viral video's impressions, in proportion to those of the mean video.
const VIRAL_FACTOR: f64 = 500.0;
/// Where there are fewer videos than that: no more than all of them have together.
const MOST_VIRAL_SHARE: f64 = 1.0;
/// The hot key's share of all traffic.
const HOT_SHARE: f64 = 0.6;
const MOST_HOT_SHARE: f64 = 0.95;
/// The row of a new upload is delivered within a second after the scenario's start; the first view comes after it.
const COLD_START_DELAY_MS: i64 = 5_000;

/// One focus video and its traffic.
pub(crate) struct Focus {
    /// Where the video is in the catalogue.
    pub(crate) place: u32,
    pub(crate) partition: u16,
    pub(crate) taste: Taste,
    /// The scenario's index: the lane of its random stream.
    pub(crate) lane: u32,
    scenario: Scenario,
    funnels_per_s: f64,
}

impl Focus {
    /// The focus videos of a configuration whose ordinary traffic is `base_per_s` funnels a second.
    pub(crate) fn all(config: &GeneratorConfig, catalogue: &Catalogue, base_per_s: f64) -> Vec<Self> {
        let focused = (0..).zip(&config.scenarios).filter(|(_, scenario)| scenario.has_focus());
        focused
            .map(|(index, &scenario)| {
                let place = catalogue.focus_place(index);
                // Uniform in 0..1: where in the domain's ranges this scenario lies.
                let luck = trait_hash(config.seed, Role::Focus, index as u64) as u32;
                let luck = f64::from(luck) / 4_294_967_296.0;
                let (funnels_per_s, taste) = traffic(scenario, config.videos, base_per_s, luck);
                let partition = catalogue.video(place).partition;
                Self { place, partition, taste, lane: index as u32, scenario, funnels_per_s }
            })
            .collect()
    }

    /// Whether a funnel may begin at this time (ms since the log's start).
    pub(crate) fn is_open(&self, at_ms: i64) -> bool {
        let is_cold = self.scenario.kind == ScenarioKind::ColdStartUnderExposed;
        let delay_ms = if is_cold { COLD_START_DELAY_MS } else { 0 };
        self.scenario.is_active(at_ms) && self.scenario.is_active(at_ms - delay_ms)
    }

    /// Mean funnels per second while it is active, at this factor of the day curve.
    pub(crate) fn funnels_per_s(&self, rate_factor: f64) -> f64 {
        // The hot key is hot in proportion to the other traffic; the others have impressions per half hour.
        if self.scenario.kind == ScenarioKind::HotPartition {
            self.funnels_per_s * rate_factor
        } else {
            self.funnels_per_s
        }
    }
}

/// Funnels per second of a scenario's focus video, and their taste.
fn traffic(scenario: Scenario, videos: u32, base_per_s: f64, luck: f64) -> (f64, Taste) {
    let strength = scenario.strength;
    let per_half_hour = |least: f64, more: f64| (least + more * luck) * strength / HALF_HOUR_S;
    let viral_per_s = base_per_s * (VIRAL_FACTOR / f64::from(videos)).min(MOST_VIRAL_SHARE) * strength;
    let (viral_like, viral_share) = (0.12 + 0.08 * luck, 0.04 + 0.05 * luck);
    match scenario.kind {
        ScenarioKind::NormalBaseline => {
            (per_half_hour(450.0, 600.0), Taste::of_shares(0.55, 0.35, 0.06, 0.01))
        }
        ScenarioKind::ViralHighQuality => {
            (viral_per_s, Taste::of_shares(0.74, 0.20, viral_like, viral_share))
        }
        ScenarioKind::ViralLowQuality => (viral_per_s, Taste::of_shares(0.18, 0.72, viral_like, viral_share)),
        ScenarioKind::ColdStartUnderExposed => {
            (per_half_hour(70.0, 80.0), Taste::of_shares(0.74, 0.20, 0.07, 0.01))
        }
        ScenarioKind::HotPartition => {
            let share = (HOT_SHARE * strength).min(MOST_HOT_SHARE);
            (base_per_s * share / (1.0 - share), Taste::of_quality(512, 1_024))
        }
        ScenarioKind::BrokenClient
        | ScenarioKind::InventoryDrought
        | ScenarioKind::InvalidPayloadBurst
        | ScenarioKind::SchemaDrift
        | ScenarioKind::LateEvents
        | ScenarioKind::ClockSkew
        | ScenarioKind::Duplicates => (0.0, Taste::of_quality(512, 1_024)),
    }
}
