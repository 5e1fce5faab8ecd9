//! Scenarios: what goes wrong (or well) on purpose, from when, for how long and how strongly.
//!
//! A scenario is written as one short text, `viral_high_quality:start_s=60,length_s=600,strength=2`: in settings files,
//! on command lines and in the identity of a log. Parts may be left out when it is read; [`Scenario`]'s display always
//! writes all of them, so that a scenario has one canonical text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::GeneratorError;

/// Number of the first focus video: far above those of all other videos, which stay below it for as long as a log of
/// changes can create new ones.
pub const FIRST_FOCUS_VIDEO: u32 = 1_000_000_000;

/// Strongest effect that can be asked for.
const MAX_STRENGTH: f64 = 100.0;

/// What happens. The names are those of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScenarioKind {
    /// A video of its own with 300 to 1,200 impressions in 30 minutes and rates near the quality gate: nothing is to
    /// be decided about it.
    NormalBaseline,
    /// A video of its own with 500 times the impressions of the mean video, liked, shared and watched to the end.
    ViralHighQuality,
    /// A video of its own with as many impressions, likes and shares, that hardly anybody watches to the end.
    ViralLowQuality,
    /// A new upload with 40 to 180 impressions in 30 minutes and high quality.
    ColdStartUnderExposed,
    /// Some users have app version 15.0, which never likes.
    BrokenClient,
    /// No new videos: acts on the log of changes alone.
    InventoryDrought,
    /// A large share of the records is malformed, in every way there is.
    InvalidPayloadBurst,
    /// Some users' clients write events in other forms that must be accepted all the same.
    SchemaDrift,
    /// Events arrive minutes late: single ones, and those of clients that are offline for a phase.
    LateEvents,
    /// Some users' clocks are wrong, by minutes up to two days.
    ClockSkew,
    /// A large share of the events is sent twice.
    Duplicates,
    /// One key takes most of the traffic.
    HotPartition,
}

impl ScenarioKind {
    /// Every kind.
    pub const ALL: [ScenarioKind; 12] = [
        Self::NormalBaseline,
        Self::ViralHighQuality,
        Self::ViralLowQuality,
        Self::ColdStartUnderExposed,
        Self::BrokenClient,
        Self::InventoryDrought,
        Self::InvalidPayloadBurst,
        Self::SchemaDrift,
        Self::LateEvents,
        Self::ClockSkew,
        Self::Duplicates,
        Self::HotPartition,
    ];

    /// The domain's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NormalBaseline => "normal_baseline",
            Self::ViralHighQuality => "viral_high_quality",
            Self::ViralLowQuality => "viral_low_quality",
            Self::ColdStartUnderExposed => "cold_start_under_exposed",
            Self::BrokenClient => "broken_client",
            Self::InventoryDrought => "inventory_drought",
            Self::InvalidPayloadBurst => "invalid_payload_burst",
            Self::SchemaDrift => "schema_drift",
            Self::LateEvents => "late_events",
            Self::ClockSkew => "clock_skew",
            Self::Duplicates => "duplicates",
            Self::HotPartition => "hot_partition",
        }
    }

    /// Whether the scenario is about one video of its own, its focus video.
    pub fn has_focus(self) -> bool {
        matches!(
            self,
            Self::NormalBaseline
                | Self::ViralHighQuality
                | Self::ViralLowQuality
                | Self::ColdStartUnderExposed
                | Self::HotPartition
        )
    }
}

impl fmt::Display for ScenarioKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One scenario of a log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scenario {
    /// What happens.
    pub kind: ScenarioKind,
    /// When it begins, in seconds since the log's start.
    pub start_s: u32,
    /// How long it lasts, in seconds; 0: to the log's end.
    pub length_s: u32,
    /// How strongly it acts, above 0 and at most 100; 1 is what the domain's table says.
    pub strength: f64,
}

impl Scenario {
    /// The scenario over the whole log, as strong as the domain's table says.
    pub fn of(kind: ScenarioKind) -> Self {
        Self { kind, start_s: 0, length_s: 0, strength: 1.0 }
    }

    /// Whether it acts on what happens at this time, in milliseconds since the log's start.
    pub fn is_active(&self, at_ms_since_start: i64) -> bool {
        let start_ms = i64::from(self.start_s) * 1_000;
        let end_ms = start_ms + i64::from(self.length_s) * 1_000;
        at_ms_since_start >= start_ms && (self.length_s == 0 || at_ms_since_start < end_ms)
    }

    /// Whether it is about one video of its own: [`focus_video`].
    pub fn has_focus(&self) -> bool {
        self.kind.has_focus()
    }

    /// Whether its strength is possible; the other parts always are.
    ///
    /// # Errors
    /// [`GeneratorError::Scenario`].
    pub fn validate(&self) -> Result<(), GeneratorError> {
        if self.strength > 0.0 && self.strength <= MAX_STRENGTH {
            return Ok(());
        }
        Err(GeneratorError::Scenario {
            text: self.to_string(),
            problem: format!("strength = {} must be above 0 and at most {MAX_STRENGTH}", self.strength),
        })
    }
}

/// The number of the video that the scenario at this index of a log's scenarios is about, where its kind has one.
pub fn focus_video(index_in_scenarios: usize) -> u32 {
    FIRST_FOCUS_VIDEO.saturating_add(u32::try_from(index_in_scenarios).unwrap_or(u32::MAX))
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, start_s, length_s, strength } = self;
        // `{}` writes the shortest text that parses back to the same f64.
        write!(formatter, "{kind}:start_s={start_s},length_s={length_s},strength={strength}")
    }
}

impl FromStr for Scenario {
    type Err = GeneratorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem: String| GeneratorError::Scenario { text: text.to_owned(), problem };
        let (name, parts) = text.split_once(':').unwrap_or((text, ""));
        let Some(kind) = ScenarioKind::ALL.into_iter().find(|kind| kind.as_str() == name.trim()) else {
            let names = ScenarioKind::ALL.map(ScenarioKind::as_str).join(", ");
            return Err(refuse(format!("there is no {:?}; allowed are {names}", name.trim())));
        };
        let mut scenario = Self::of(kind);
        let mut seen: Vec<&str> = Vec::new();
        for part in parts.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let is_number = match key {
                "start_s" => assign(value, &mut scenario.start_s),
                "length_s" => assign(value, &mut scenario.length_s),
                "strength" => assign(value, &mut scenario.strength),
                _ => {
                    let allowed = "allowed after the name are start_s=, length_s= and strength=";
                    return Err(refuse(format!("{part:?} is not known; {allowed}")));
                }
            };
            if !is_number {
                let allowed = if key == "strength" { "a number" } else { "a whole number of seconds" };
                return Err(refuse(format!("{key} = {value:?} must be {allowed}")));
            }
            if seen.contains(&key) {
                return Err(refuse(format!("{key} is given twice; allowed is once")));
            }
            seen.push(key);
        }
        scenario.validate()?;
        Ok(scenario)
    }
}

fn assign<Number: FromStr>(text: &str, place: &mut Number) -> bool {
    match text.parse() {
        Ok(number) => {
            *place = number;
            true
        }
        Err(_) => false,
    }
}

impl TryFrom<String> for Scenario {
    type Error = GeneratorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Scenario> for String {
    fn from(scenario: Scenario) -> Self {
        scenario.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_that_are_left_out_have_defaults() {
        for (text, expected) in [
            ("late_events", "late_events:start_s=0,length_s=0,strength=1"),
            ("late_events:", "late_events:start_s=0,length_s=0,strength=1"),
            ("hot_partition:strength=0.5", "hot_partition:start_s=0,length_s=0,strength=0.5"),
            (" clock_skew : length_s=9, start_s=7 ", "clock_skew:start_s=7,length_s=9,strength=1"),
        ] {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn refusals_name_the_text_and_what_is_allowed() {
        for (text, part) in [
            ("late", "allowed are normal_baseline, viral_high_quality,"),
            ("", "there is no \"\""),
            ("late_events:begin=3", "\"begin=3\" is not known; allowed after the name are start_s="),
            ("late_events:start_s=-1", "start_s = \"-1\" must be a whole number of seconds"),
            ("late_events:start_s", "start_s = \"\" must be a whole number of seconds"),
            ("late_events:strength=much", "strength = \"much\" must be a number"),
            ("late_events:strength=0", "must be above 0 and at most 100"),
            ("late_events:strength=NaN", "must be above 0 and at most 100"),
            ("late_events:start_s=1,start_s=2", "start_s is given twice"),
        ] {
            let refusal = text.parse::<Scenario>().unwrap_err().to_string();
            let name = text.split(':').next().unwrap();
            assert!(refusal.contains(part) && refusal.contains(&format!("scenario \"{name}")), "{refusal}");
        }
    }

    #[test]
    fn a_scenario_acts_from_its_start_for_its_length_or_for_ever() {
        let limited = Scenario { start_s: 10, length_s: 5, ..Scenario::of(ScenarioKind::LateEvents) };
        let active: Vec<i64> =
            [0, 9_999, 10_000, 14_999, 15_000].into_iter().filter(|&at| limited.is_active(at)).collect();
        assert_eq!(active, [10_000, 14_999]);
        let endless = Scenario { length_s: 0, ..limited };
        assert!(!endless.is_active(9_999) && endless.is_active(i64::MAX));
    }

    #[test]
    fn settings_files_hold_the_text() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Holder {
            scenarios: Vec<Scenario>,
        }
        let holder: Holder = toml::from_str(r#"scenarios = ["duplicates:strength=2"]"#).unwrap();
        assert_eq!(holder.scenarios, [Scenario { strength: 2.0, ..Scenario::of(ScenarioKind::Duplicates) }]);
        assert_eq!(toml::from_str::<Holder>(&toml::to_string(&holder).unwrap()).unwrap(), holder);
        let refusal = toml::from_str::<Holder>(r#"scenarios = ["dups"]"#).unwrap_err().to_string();
        assert!(refusal.contains("there is no \"dups\""), "{refusal}");
    }

    proptest! {
        #[test]
        fn a_scenarios_text_gives_it_back(
            kind in prop::sample::select(ScenarioKind::ALL.to_vec()),
            start_s in any::<u32>(),
            length_s in any::<u32>(),
            strength in 0.001..100.0f64,
        ) {
            let scenario = Scenario { kind, start_s, length_s, strength };
            prop_assert_eq!(scenario.to_string().parse::<Scenario>(), Ok(scenario));
        }
    }
}
