//! What can be set of a log of changes, what is possible, and the canonical text that identifies it.

use pulselake_model::Entity;

use crate::config::{parse_scenario_list, require, scenario_list, validate_scenarios};
use crate::{GeneratorConfig, GeneratorError, Scenario};

/// First part of every identity. The number rises when the same settings give other bytes than before.
const IDENTITY_PREFIX: &str = "pulselake-generator-cdc/2";

/// Events per second to which one change per second belongs, where nobody says otherwise.
const EVENTS_PER_CHANGE: f64 = 1_000.0;
const MAX_RATE_PER_S: f64 = 100_000.0;

/// Videos per second that come for each one of the catalogue: of its 30 days the last hour brought the square root of
/// its share (`world`'s ages grow with the square of the rank).
const SUPPLY_PER_VIDEO_S: f64 = 0.037_267_8 / 3_600.0;
/// The share of slots that create, where nobody says otherwise.
const LEAST_CREATE_RATIO: f64 = 0.02;
const MOST_CREATE_RATIO: f64 = 0.5;

/// Settings of one entity's log of changes. Two equal configurations are the same log.
#[derive(Clone, Debug, PartialEq)]
pub struct CdcConfig {
    /// Whose changes.
    pub entity: Entity,
    /// Seed of all randomness: that of the event log, whose videos and users these are.
    pub seed: u64,
    /// Videos that exist at the start.
    pub videos: u32,
    /// Users that exist at the start.
    pub users: u32,
    /// When the changes begin, ms since the epoch. Everything that exists at the start was created before.
    pub start_ms: i64,
    /// Partitions of the log.
    pub partitions: i32,
    /// New versions of rows per second over all partitions; 0: nothing changes after the initial creates.
    pub rate_per_s: f64,
    /// Share of the changes that create a key which has not been there before.
    pub create_ratio: f64,
    /// Share of a key's later versions that would delete it, 0 to 0.5; the version after a delete creates it again.
    pub delete_ratio: f64,
    /// Share of changes that are delivered a second time, up to 30 s later, with the same bytes.
    pub duplicate_ratio: f64,
    /// Share of double changes (two versions of a key one after the other, as two thirds of all versions are) whose
    /// second version is delivered first. Half of these first versions come within 2 s, the others after 31 to 90 s.
    pub reorder_ratio: f64,
    /// Share of records in the form with a schema (`{"schema":…,"payload":…}`).
    pub wrapped_ratio: f64,
    /// Records that must end in quarantine, in proportion to the changes, 0 to 0.9.
    pub invalid_ratio: f64,
    /// Seconds between two snapshots of all rows (op `r`), at least 60; 0: none.
    pub snapshot_every_s: u32,
    /// The scenarios of the event log, all and in their order: their focus videos get rows, and in an inventory drought
    /// no videos come (`strength`: the share of creates that is left out, all from 1 on). Users' changes are the same
    /// with any.
    pub scenarios: Vec<Scenario>,
}

impl CdcConfig {
    /// The changes of an event log's videos or users: as many as fit its rate, some of every kind.
    pub fn beside(events: &GeneratorConfig, entity: Entity) -> Self {
        let config = Self {
            entity,
            seed: events.seed,
            videos: events.videos,
            users: events.users,
            start_ms: events.start_ms,
            partitions: 3,
            rate_per_s: 0.0,
            create_ratio: LEAST_CREATE_RATIO,
            delete_ratio: 0.02,
            duplicate_ratio: 0.01,
            reorder_ratio: 0.02,
            wrapped_ratio: 0.05,
            invalid_ratio: 0.002,
            snapshot_every_s: 3_600,
            scenarios: events.scenarios.clone(),
        };
        config.at_rate((events.rate_per_s / EVENTS_PER_CHANGE).min(MAX_RATE_PER_S))
    }

    /// The same with so many changes per second, of which as many create videos as keep the catalogue's supply up: an
    /// hour brings as many as the last hour before the start, where the rate allows it.
    #[must_use]
    pub fn at_rate(self, rate_per_s: f64) -> Self {
        let create_ratio = match self.entity {
            Entity::Users => LEAST_CREATE_RATIO,
            Entity::Videos => {
                let creates_per_s = f64::from(self.videos) * SUPPLY_PER_VIDEO_S;
                // Of the slots that don't create, every second has two versions. Rounded, so that its text is short.
                let share = 1.5 * creates_per_s / (rate_per_s + 0.5 * creates_per_s);
                (share.clamp(LEAST_CREATE_RATIO, MOST_CREATE_RATIO) * 1_000.0).round() / 1_000.0
            }
        };
        Self { rate_per_s, create_ratio, ..self }
    }

    /// Keys that exist at the start.
    pub fn initial_keys(&self) -> u64 {
        match self.entity {
            Entity::Videos => self.videos.into(),
            Entity::Users => self.users.into(),
        }
    }

    /// The log's identity: every setting, in a fixed order and form. Equal exactly for equal logs.
    pub fn identity(&self) -> String {
        // `{}` writes the shortest text that parses back to the same f64.
        format!(
            "{IDENTITY_PREFIX};entity={};seed={};videos={};users={};start_ms={};partitions={};rate_per_s={};\
             create_ratio={};delete_ratio={};duplicate_ratio={};reorder_ratio={};wrapped_ratio={};invalid_ratio={};\
             snapshot_every_s={};scenarios={}",
            self.entity.as_str(),
            self.seed,
            self.videos,
            self.users,
            self.start_ms,
            self.partitions,
            self.rate_per_s,
            self.create_ratio,
            self.delete_ratio,
            self.duplicate_ratio,
            self.reorder_ratio,
            self.wrapped_ratio,
            self.invalid_ratio,
            self.snapshot_every_s,
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
        let entity_name = value_of("entity")?;
        let config = Self {
            entity: Entity::ALL.into_iter().find(|entity| entity.as_str() == entity_name)?,
            seed: value_of("seed")?.parse().ok()?,
            videos: value_of("videos")?.parse().ok()?,
            users: value_of("users")?.parse().ok()?,
            start_ms: value_of("start_ms")?.parse().ok()?,
            partitions: value_of("partitions")?.parse().ok()?,
            rate_per_s: value_of("rate_per_s")?.parse().ok()?,
            create_ratio: value_of("create_ratio")?.parse().ok()?,
            delete_ratio: value_of("delete_ratio")?.parse().ok()?,
            duplicate_ratio: value_of("duplicate_ratio")?.parse().ok()?,
            reorder_ratio: value_of("reorder_ratio")?.parse().ok()?,
            wrapped_ratio: value_of("wrapped_ratio")?.parse().ok()?,
            invalid_ratio: value_of("invalid_ratio")?.parse().ok()?,
            snapshot_every_s: value_of("snapshot_every_s")?.parse().ok()?,
            scenarios: parse_scenario_list(value_of("scenarios")?)?,
        };
        // Only the canonical form counts, so that one log has one name.
        (config.identity() == text).then_some(config)
    }

    /// Whether each setting by itself is possible.
    ///
    /// # Errors
    /// [`GeneratorError::Setting`] names the first that is not.
    pub fn validate(&self) -> Result<(), GeneratorError> {
        let keys_allowed = 1..=10_000_000;
        let keys_expected = "between 1 and 10000000";
        require(&self.videos, keys_allowed.contains(&self.videos), "videos", keys_expected)?;
        require(&self.users, keys_allowed.contains(&self.users), "users", keys_expected)?;
        let years_1970_to_2100 = 0..=4_102_444_800_000;
        require(
            &self.start_ms,
            years_1970_to_2100.contains(&self.start_ms),
            "start_ms",
            "between 1970 and 2100",
        )?;
        require(
            &self.partitions,
            (1..=10_000).contains(&self.partitions),
            "partitions",
            "between 1 and 10000",
        )?;
        let is_rate_possible =
            self.rate_per_s == 0.0 || (0.000_001..=MAX_RATE_PER_S).contains(&self.rate_per_s);
        require(&self.rate_per_s, is_rate_possible, "rate_per_s", "0 or between 0.000001 and 100000")?;
        for (name, ratio) in [
            ("create_ratio", self.create_ratio),
            ("duplicate_ratio", self.duplicate_ratio),
            ("reorder_ratio", self.reorder_ratio),
            ("wrapped_ratio", self.wrapped_ratio),
        ] {
            require(&ratio, (0.0..=1.0).contains(&ratio), name, "between 0 and 1")?;
        }
        require(
            &self.delete_ratio,
            (0.0..=0.5).contains(&self.delete_ratio),
            "delete_ratio",
            "between 0 and 0.5",
        )?;
        require(
            &self.invalid_ratio,
            (0.0..=0.9).contains(&self.invalid_ratio),
            "invalid_ratio",
            "between 0 and 0.9",
        )?;
        let is_pause_possible = self.snapshot_every_s == 0 || self.snapshot_every_s >= 60;
        require(&self.snapshot_every_s, is_pause_possible, "snapshot_every_s", "0 or at least 60")?;
        validate_scenarios(&self.scenarios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScenarioKind;

    #[test]
    fn the_identity_names_every_setting_and_gives_them_back() {
        for entity in Entity::ALL {
            let config = CdcConfig::beside(&GeneratorConfig::default(), entity);
            assert_eq!(CdcConfig::from_identity(&config.identity()), Some(config));
        }
        let scenarios = ["inventory_drought:start_s=60", "viral_low_quality:strength=2"];
        let scenarios = scenarios.map(|text| text.parse().unwrap()).to_vec();
        let eventful = GeneratorConfig { scenarios, ..GeneratorConfig::default() };
        let config = CdcConfig::beside(&eventful, Entity::Videos);
        assert!(config.identity().ends_with(
            ";scenarios=inventory_drought:start_s=60,length_s=0,strength=1|viral_low_quality:start_s=0,length_s=0,\
             strength=2"
        ));
        assert_eq!(CdcConfig::from_identity(&config.identity()), Some(config));
        let identity = CdcConfig::beside(&GeneratorConfig::default(), Entity::Users).identity();
        assert_eq!(
            identity,
            "pulselake-generator-cdc/2;entity=users;seed=42;videos=10000;users=100000;start_ms=1767225600000;\
             partitions=3;rate_per_s=1;create_ratio=0.02;delete_ratio=0.02;duplicate_ratio=0.01;reorder_ratio=0.02;\
             wrapped_ratio=0.05;invalid_ratio=0.002;snapshot_every_s=3600;scenarios="
        );
        for other in [
            identity.replace("seed=42", "seed=+42"),
            identity.replace("cdc/2", "cdc/1"),
            identity.replace("entity=users", "entity=cats"),
            identity.replace("scenarios=", "scenarios=inventory_drought"),
            identity.replace("scenarios=", "scenarios=|"),
            format!("{identity};more=1"),
            GeneratorConfig::default().identity(),
        ] {
            assert_eq!(CdcConfig::from_identity(&other), None, "{other}");
        }
    }

    #[test]
    fn the_supply_of_videos_is_that_of_the_last_hour_where_the_rate_allows_it() {
        for (entity, videos, rate_per_s, expected) in [
            (Entity::Videos, 10_000, 1.0, 0.148),
            (Entity::Videos, 10_000, 0.5, 0.281),
            (Entity::Videos, 10_000, 50.0, 0.02),
            (Entity::Videos, 200, 1.0, 0.02),
            (Entity::Videos, 1_000_000, 1.0, 0.5),
            (Entity::Videos, 10_000, 0.0, 0.5),
            (Entity::Users, 10_000, 1.0, 0.02),
        ] {
            let events = GeneratorConfig { videos, ..GeneratorConfig::default() };
            let config = CdcConfig::beside(&events, entity).at_rate(rate_per_s);
            assert_eq!((config.rate_per_s, config.create_ratio), (rate_per_s, expected), "{videos} videos");
            assert_eq!(config.validate(), Ok(()));
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let possible = CdcConfig::beside(&GeneratorConfig::default(), Entity::Videos);
        assert_eq!(possible.validate(), Ok(()));
        assert_eq!(CdcConfig { rate_per_s: 0.0, ..possible.clone() }.validate(), Ok(()));
        let endless = Scenario::of(ScenarioKind::InventoryDrought);
        let impossible = [
            ("videos", CdcConfig { videos: 0, ..possible.clone() }),
            ("users", CdcConfig { users: 10_000_001, ..possible.clone() }),
            ("start_ms", CdcConfig { start_ms: -1, ..possible.clone() }),
            ("partitions", CdcConfig { partitions: 0, ..possible.clone() }),
            ("rate_per_s", CdcConfig { rate_per_s: f64::NAN, ..possible.clone() }),
            ("rate_per_s", CdcConfig { rate_per_s: -1.0, ..possible.clone() }),
            ("create_ratio", CdcConfig { create_ratio: 1.1, ..possible.clone() }),
            ("duplicate_ratio", CdcConfig { duplicate_ratio: -0.1, ..possible.clone() }),
            ("reorder_ratio", CdcConfig { reorder_ratio: 2.0, ..possible.clone() }),
            ("wrapped_ratio", CdcConfig { wrapped_ratio: 2.0, ..possible.clone() }),
            ("delete_ratio", CdcConfig { delete_ratio: 0.6, ..possible.clone() }),
            ("invalid_ratio", CdcConfig { invalid_ratio: 1.0, ..possible.clone() }),
            ("snapshot_every_s", CdcConfig { snapshot_every_s: 59, ..possible.clone() }),
            ("scenarios", CdcConfig { scenarios: vec![endless; 65], ..possible.clone() }),
        ];
        for (setting, config) in impossible {
            let Err(GeneratorError::Setting { name, .. }) = config.validate() else {
                panic!("{setting} was accepted")
            };
            assert_eq!(name, setting);
        }
        let weak = Scenario { strength: 0.0, ..endless };
        let refusal = CdcConfig { scenarios: vec![weak], ..possible }.validate();
        assert!(matches!(refusal, Err(GeneratorError::Scenario { .. })));
    }
}
