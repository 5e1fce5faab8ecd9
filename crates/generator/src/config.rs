//! What a user can set, what is possible, and the canonical text that identifies a log.

use serde::{Deserialize, Serialize};

use crate::{GeneratorError, Scenario, ScenarioKind};

/// First part of every identity. The number rises when the same settings give other bytes than before, so that a
/// table filled by an older generator is never continued with a log that only looks the same.
const IDENTITY_PREFIX: &str = "pulselake-generator/2";

const THREE_DAYS_MS: i64 = 259_200_000;

/// So many scenarios one log can have: what is planned for each is told apart in six bits.
pub const MAX_SCENARIOS: usize = 64;

/// Settings of a generated log. Two equal configurations are the same log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Seed of all randomness.
    pub seed: u64,
    /// Mean records per second over all partitions, once funnels have filled up (about a minute after the start).
    pub rate_per_s: f64,
    /// Partitions of the log.
    pub partitions: i32,
    /// Videos that exist.
    pub videos: u32,
    /// Users that exist.
    pub users: u32,
    /// Where block 0 begins: milliseconds since the epoch. No event is earlier, but
    /// for those that slow clocks write.
    pub start_ms: i64,
    /// Share of all records that are malformed.
    pub invalid_ratio: f64,
    /// Share of events that the producer sends a second time, up to 30 s later, with the same bytes.
    pub duplicate_ratio: f64,
    /// Share of events that are held back for 121 to 210 s.
    pub late_ratio: f64,
    /// How much the rate follows the hours of the day, 0 to 1: 0 is flat, 1 is the day curve of the real sample (in
    /// UTC). The mean over a day is `rate_per_s` with any curve.
    pub day_curve: f64,
    /// What happens on purpose, and when. The index in this list is the scenario's name in focus videos and event ids.
    pub scenarios: Vec<Scenario>,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            seed: 42,
            rate_per_s: 1000.0,
            partitions: 12,
            videos: 10_000,
            users: 100_000,
            // 2026-01-01T00:00:00Z. A demo sets the moment of its first start.
            start_ms: 1_767_225_600_000,
            invalid_ratio: 0.0,
            duplicate_ratio: 0.0,
            late_ratio: 0.0,
            day_curve: 0.0,
            scenarios: Vec::new(),
        }
    }
}

impl GeneratorConfig {
    /// The log's identity: every setting, in a fixed order and form. Equal exactly for equal logs.
    pub fn identity(&self) -> String {
        // `{}` writes the shortest text that parses back to the same f64.
        format!(
            "{IDENTITY_PREFIX};seed={};rate_per_s={};partitions={};videos={};users={};start_ms={};invalid_ratio={};\
             duplicate_ratio={};late_ratio={};day_curve={};scenarios={}",
            self.seed,
            self.rate_per_s,
            self.partitions,
            self.videos,
            self.users,
            self.start_ms,
            self.invalid_ratio,
            self.duplicate_ratio,
            self.late_ratio,
            self.day_curve,
            scenario_list(&self.scenarios),
        )
    }

    /// The configuration that wrote this identity; `None` for any other text, including the identity of a generator
    /// that made other bytes out of the same settings.
    pub fn from_identity(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some(IDENTITY_PREFIX) {
            return None;
        }
        let mut value_of = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let config = Self {
            seed: value_of("seed")?.parse().ok()?,
            rate_per_s: value_of("rate_per_s")?.parse().ok()?,
            partitions: value_of("partitions")?.parse().ok()?,
            videos: value_of("videos")?.parse().ok()?,
            users: value_of("users")?.parse().ok()?,
            start_ms: value_of("start_ms")?.parse().ok()?,
            invalid_ratio: value_of("invalid_ratio")?.parse().ok()?,
            duplicate_ratio: value_of("duplicate_ratio")?.parse().ok()?,
            late_ratio: value_of("late_ratio")?.parse().ok()?,
            day_curve: value_of("day_curve")?.parse().ok()?,
            scenarios: parse_scenario_list(value_of("scenarios")?)?,
        };
        // Only the canonical form counts: "+5", "1e3" or a tail would give one log two names.
        (config.identity() == text).then_some(config)
    }

    /// Whether each setting by itself is possible.
    ///
    /// # Errors
    /// [`GeneratorError::Setting`] names the first that is not.
    pub fn validate(&self) -> Result<(), GeneratorError> {
        require(
            &self.rate_per_s,
            (0.001..=1e9).contains(&self.rate_per_s),
            "rate_per_s",
            "between 0.001 and 1e9",
        )?;
        require(
            &self.partitions,
            (1..=10_000).contains(&self.partitions),
            "partitions",
            "between 1 and 10000",
        )?;
        require(&self.videos, (1..=10_000_000).contains(&self.videos), "videos", "between 1 and 10000000")?;
        require(&self.users, self.users >= 1, "users", "at least 1")?;
        let years_1970_to_2100 = 0..=4_102_444_800_000;
        require(
            &self.start_ms,
            years_1970_to_2100.contains(&self.start_ms),
            "start_ms",
            "between 1970 and 2100",
        )?;
        let shares = [
            ("duplicate_ratio", self.duplicate_ratio),
            ("late_ratio", self.late_ratio),
            ("day_curve", self.day_curve),
        ];
        for (name, ratio) in shares {
            require(&ratio, (0.0..=1.0).contains(&ratio), name, "between 0 and 1")?;
        }
        require(
            &self.invalid_ratio,
            (0.0..=0.9).contains(&self.invalid_ratio),
            "invalid_ratio",
            "between 0 and 0.9",
        )?;
        validate_scenarios(&self.scenarios)?;
        let has_slow_clocks = self.scenarios.iter().any(|scenario| scenario.kind == ScenarioKind::ClockSkew);
        require(
            &self.start_ms,
            !has_slow_clocks || self.start_ms >= THREE_DAYS_MS,
            "start_ms",
            "at least 259200000 with clock_skew: its clocks are up to two days slow, and no event is before 1970",
        )
    }
}

/// Whether a log can have these scenarios.
pub(crate) fn validate_scenarios(scenarios: &[Scenario]) -> Result<(), GeneratorError> {
    let expected = "a list of at most 64 scenarios";
    require(&scenarios.len(), scenarios.len() <= MAX_SCENARIOS, "scenarios", expected)?;
    scenarios.iter().try_for_each(Scenario::validate)
}

/// Scenarios as an identity holds them: their canonical texts, separated by a character that none contains.
pub(crate) fn scenario_list(scenarios: &[Scenario]) -> String {
    scenarios.iter().map(Scenario::to_string).collect::<Vec<_>>().join("|")
}

/// What [`scenario_list`] wrote; `None` for anything else.
pub(crate) fn parse_scenario_list(text: &str) -> Option<Vec<Scenario>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split('|').map(|scenario| scenario.parse().ok()).collect()
}

pub(crate) fn require(
    value: &impl ToString,
    is_possible: bool,
    name: &'static str,
    expected: &'static str,
) -> Result<(), GeneratorError> {
    if is_possible {
        return Ok(());
    }
    Err(GeneratorError::Setting { name, value: value.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_names_every_setting() {
        assert_eq!(
            GeneratorConfig::default().identity(),
            "pulselake-generator/2;seed=42;rate_per_s=1000;partitions=12;videos=10000;users=100000;\
             start_ms=1767225600000;invalid_ratio=0;duplicate_ratio=0;late_ratio=0;\
             day_curve=0;scenarios="
        );
    }

    #[test]
    fn only_the_canonical_identity_parses() {
        let identity = GeneratorConfig::default().identity();
        assert_eq!(GeneratorConfig::from_identity(&identity), Some(GeneratorConfig::default()));
        for other in [
            String::new(),
            identity.replace("generator/2", "generator/1"),
            identity.replace("seed=42", "seed=+42"),
            identity.replace("rate_per_s=1000", "rate_per_s=1e3"),
            format!("{identity};more=1"),
            identity.replace(";late_ratio=0", ""),
            "kafka:MkU3OEVBNTcwNTJENDM2Qg".to_owned(),
        ] {
            assert_eq!(GeneratorConfig::from_identity(&other), None, "{other}");
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let possible = GeneratorConfig::default();
        assert_eq!(possible.validate(), Ok(()));
        let skew = Scenario::of(ScenarioKind::ClockSkew);
        let impossible = [
            ("rate_per_s", GeneratorConfig { rate_per_s: 0.0, ..possible.clone() }),
            ("rate_per_s", GeneratorConfig { rate_per_s: f64::NAN, ..possible.clone() }),
            ("partitions", GeneratorConfig { partitions: 0, ..possible.clone() }),
            ("videos", GeneratorConfig { videos: 0, ..possible.clone() }),
            ("users", GeneratorConfig { users: 0, ..possible.clone() }),
            ("start_ms", GeneratorConfig { start_ms: -1, ..possible.clone() }),
            ("invalid_ratio", GeneratorConfig { invalid_ratio: 1.0, ..possible.clone() }),
            ("duplicate_ratio", GeneratorConfig { duplicate_ratio: -0.1, ..possible.clone() }),
            ("late_ratio", GeneratorConfig { late_ratio: 2.0, ..possible.clone() }),
            ("day_curve", GeneratorConfig { day_curve: 1.1, ..possible.clone() }),
            ("scenarios", GeneratorConfig { scenarios: vec![skew; 65], ..possible.clone() }),
            ("start_ms", GeneratorConfig { scenarios: vec![skew], start_ms: 0, ..possible.clone() }),
        ];
        for (setting, config) in impossible {
            let Err(GeneratorError::Setting { name, .. }) = config.validate() else {
                panic!("{setting} was accepted")
            };
            assert_eq!(name, setting);
        }
    }

    #[test]
    fn settings_read_from_a_file_have_defaults_and_no_unknown_names() {
        let config: GeneratorConfig = toml::from_str("seed = 7\nlate_ratio = 0.01").unwrap();
        assert_eq!(config, GeneratorConfig { seed: 7, late_ratio: 0.01, ..GeneratorConfig::default() });
        assert!(toml::from_str::<GeneratorConfig>("sed = 7").is_err());
    }
}
