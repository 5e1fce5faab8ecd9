//! Everything that a run needs, made ready: services, topics, tables' place, the engine, and the moment at which the first
//! record is due.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::Utc;
use pulselake_generator::GeneratorConfig;
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

use super::changes::{self, EntityChanges};
use super::feed::{Feed, FeedTarget};
use super::fleet::{Fleet, FleetPlan};
use super::place::Place;
use crate::arguments::RunArguments;
use crate::engine::EngineBinary;
use crate::lake_watch::LakeWatch;
use crate::load::scenario::Scenario;
use crate::load::scenario::plan::{Stretch, Timetable, generator_config};
use crate::load::services::{Broker, Guardian, Services, Tools};
use crate::topic::{LOAD_PREFIX, Topics, unique_with};

/// The embedded log begins so long after the engine's start: making tables is no part of what is measured.
const EMBEDDED_LEAD_MS: i64 = 3_000;
/// The first record is due so long after everything is ready.
const KAFKA_LEAD_MS: i64 = 500;
/// The creates of so many keys are sent in a millisecond, at the least.
const KEYS_PER_MS: i64 = 5;
/// Longest wait for the engine to serve its metrics, and then to take its partitions.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A run whose first record was due longer ago than this when all was ready does not begin.
const LATEST_START_MS: i64 = 60_000;
/// So late may everything be ready without a word, where the warm-up is shorter than that: a busy machine's start.
const UNNOTICED_LATE_MS: i64 = 5_000;
/// What stands for the topic of events where there is none.
const EMBEDDED_TOPIC: &str = "content_events";

/// How a run is made, beside the scenario.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The engine's program.
    pub engine: PathBuf,
    /// Kafka brokers; without them the scenario decides whether one is started or the events are embedded.
    pub brokers: Option<String>,
    /// The directory of the scripts that start services.
    pub tools: Option<PathBuf>,
    /// Settings for the engine beyond the scenario's, `section.name=value`.
    pub settings: Vec<String>,
    /// For tables and logs; what a run leaves there is removed.
    pub work_dir: PathBuf,
}

/// A run that is about to begin. What ends first stands first.
pub(crate) struct Setup {
    pub(crate) feed: Feed,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) watch: Arc<LakeWatch>,
    pub(crate) changes: Vec<EntityChanges>,
    pub(crate) place: Arc<Place>,
    /// Topics that are deleted in the end.
    pub(crate) _topics: Option<RunTopics>,
    /// The broker, where it may be stopped.
    pub(crate) broker: Option<Arc<Broker>>,
    pub(crate) brokers: Option<String>,
    /// The topic of events, or what stands for it.
    pub(crate) topic: String,
    pub(crate) binary: EngineBinary,
    pub(crate) timetable: Timetable,
    /// When the first record is due, milliseconds since the epoch.
    pub(crate) start_ms: i64,
    /// What went wrong and is no reason not to begin.
    pub(crate) problems: Vec<String>,
    /// The engine's settings beyond its defaults.
    pub(crate) settings: Vec<String>,
    pub(crate) guardian: Arc<Guardian>,
}

/// Topics of a run on somebody's broker.
pub(crate) struct RunTopics {
    topics: Topics,
    names: Vec<String>,
}

impl Drop for RunTopics {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = self.topics.delete(name) {
                eprintln!("topic {name} stays: {error:#}");
            }
        }
    }
}

impl Setup {
    /// Makes everything ready. The engine runs when this returns, and the first record is due soon.
    pub(crate) fn of(scenario: &Scenario, options: &RunOptions) -> anyhow::Result<Self> {
        let binary = EngineBinary::at(&options.engine)?;
        let guardian = Guardian::below(&options.work_dir)?;
        let services = || Ok(Services::new(Tools::find(options.tools.as_deref())?, guardian.clone()));
        let broker = broker(scenario, options, &guardian, services)?;
        let own = broker.as_ref().filter(|_| options.brokers.is_none()).map(Broker::address);
        let brokers = options.brokers.clone().or(own);
        let data_dir = guardian.directory().join("lake");
        let place = Place::ready(&scenario.services, services, &data_dir, scenario.load.seed)?;
        let timetable = Timetable::of(scenario);
        let topics = brokers.as_deref().map(|brokers| new_topics(scenario, brokers)).transpose()?;
        let start_ms = full_second(Utc::now().timestamp_millis() + EMBEDDED_LEAD_MS);
        let mut settings = place.engine_settings.clone();
        settings.extend(scenario.engine_settings());
        settings.extend(options.settings.iter().cloned());
        let source = match &topics {
            Some(topics) => kafka_arguments(brokers.as_deref().unwrap_or_default(), &topics.names),
            None => {
                settings.extend(embedded_settings(scenario, &timetable, start_ms));
                RunArguments::default()
            }
        };
        let settings_flags = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        let arguments = source
            .with(["--data-dir", &place.data_dir.display().to_string()])
            .with(settings_flags)
            .with_metrics();
        let fleet = Fleet::new(FleetPlan {
            binary: binary.clone(),
            arguments,
            directory: guardian.directory().to_owned(),
            guardian: guardian.clone(),
        });
        let number = fleet.start()?;
        fleet.wait_for_http(number, START_PATIENCE)?;
        if topics.is_some() {
            fleet.wait_for_partitions(number, scenario.load.partitions, START_PATIENCE)?;
        }
        let start_ms = if topics.is_some() { kafka_start_ms(scenario) } else { start_ms };
        let topic = topics.as_ref().map_or(EMBEDDED_TOPIC, |topics| topics.names[0].as_str()).to_owned();
        let partitions = scenario.load.partitions;
        let target = match &brokers {
            Some(brokers) => FeedTarget::Topic { brokers: brokers.clone(), topic: topic.clone(), partitions },
            None => FeedTarget::Embedded { partitions },
        };
        let watch = place.watch(&watched_tables(scenario))?;
        let changes = all_changes(scenario, brokers.as_deref(), topics.as_ref(), start_ms)?;
        let late_ms = Utc::now().timestamp_millis() - start_ms;
        ensure!(
            late_ms < LATEST_START_MS,
            "everything was ready {late_ms} ms after the first record was due; at most {LATEST_START_MS} ms are allowed"
        );
        let problems = late_start(late_ms, timetable.warm_up_s()).into_iter().collect();
        Ok(Self {
            feed: Feed::start(target, start_ms)?,
            fleet: Arc::new(fleet),
            watch: Arc::new(watch),
            changes,
            place: Arc::new(place),
            _topics: topics,
            broker: broker.map(Arc::new),
            brokers,
            topic,
            binary,
            timetable,
            start_ms,
            problems,
            settings,
            guardian,
        })
    }
}

/// The broker that may be stopped: an own one where no other is named and one is needed; a named one where its owner has
/// said where its files are.
fn broker(
    scenario: &Scenario,
    options: &RunOptions,
    guardian: &Arc<Guardian>,
    services: impl FnOnce() -> anyhow::Result<Services>,
) -> anyhow::Result<Option<Broker>> {
    match &options.brokers {
        Some(brokers) => match Tools::find(options.tools.as_deref()) {
            Ok(tools) => Broker::known(brokers, &tools, guardian),
            // Without the scripts nobody can stop it; a fault that has to says so.
            Err(_) => Ok(None),
        },
        None => match scenario.why_kafka() {
            None => Ok(None),
            Some(why) => {
                let broker = services().and_then(|services| services.kafka());
                broker.map(Some).with_context(|| format!("the scenario needs a Kafka broker, as {why}"))
            }
        },
    }
}

/// A start so late that the engine's start was measured as well: what to say of it. What is late within the warm-up changes
/// nothing that is measured.
fn late_start(late_ms: i64, warm_up_s: u32) -> Option<String> {
    let allowed_ms = (i64::from(warm_up_s) * 1_000).max(UNNOTICED_LATE_MS);
    (late_ms > allowed_ms).then(|| {
        format!(
            "everything was ready {late_ms} ms after the first record was due, {allowed_ms} ms are allowed: the engine's \
             start was measured as well"
        )
    })
}

fn full_second(time_ms: i64) -> i64 {
    (time_ms + 999).div_euclid(1_000) * 1_000
}

/// Changes need time for the creates of all keys before the first record is due.
fn kafka_start_ms(scenario: &Scenario) -> i64 {
    let keys =
        if scenario.load.cdc { i64::from(scenario.load.videos) + i64::from(scenario.load.users) } else { 0 };
    full_second(Utc::now().timestamp_millis() + KAFKA_LEAD_MS + keys / KEYS_PER_MS)
}

/// The topic of events, and those of the changes of videos and users where they come along.
fn new_topics(scenario: &Scenario, brokers: &str) -> anyhow::Result<RunTopics> {
    let mut topics = RunTopics { topics: Topics::of(brokers)?, names: Vec::new() };
    let mut wanted = vec![("events", scenario.load.partitions)];
    if scenario.load.cdc {
        wanted.extend(Entity::ALL.map(|entity| (entity.as_str(), changes::PARTITIONS)));
    }
    for (purpose, partitions) in wanted {
        let name = unique_with(LOAD_PREFIX, &format!("{}-{purpose}", scenario.name));
        topics.topics.create(&name, partitions)?;
        topics.names.push(name);
    }
    Ok(topics)
}

fn kafka_arguments(brokers: &str, topics: &[String]) -> RunArguments {
    let group = unique_with(LOAD_PREFIX, "group");
    let arguments = RunArguments::default().kafka(brokers, &topics[0], &group);
    let changes = Entity::ALL.iter().zip(&topics[1..]);
    changes.fold(arguments, |arguments, (entity, topic)| {
        let topic = format!("{}={topic}", entity.as_str());
        arguments.with(["--cdc-topics", topic.as_str()])
    })
}

/// The settings of the engine's own generator for a scenario with one rate.
fn embedded_settings(scenario: &Scenario, timetable: &Timetable, start_ms: i64) -> Vec<String> {
    let config = generator_config(&scenario.load, &only_stretch(timetable), start_ms);
    let scenarios: Vec<String> =
        config.scenarios.iter().map(|scenario| format!("{:?}", scenario.to_string())).collect();
    let mut settings = vec![
        "source.kind=generator".to_owned(),
        format!("generator.seed={}", config.seed),
        format!("generator.rate_per_s={}", config.rate_per_s),
        format!("generator.partitions={}", config.partitions),
        format!("generator.videos={}", config.videos),
        format!("generator.users={}", config.users),
        format!("generator.start_ms={start_ms}"),
        format!("generator.length_s={}", scenario.duration_s()),
        format!("generator.invalid_ratio={}", config.invalid_ratio),
        format!("generator.duplicate_ratio={}", config.duplicate_ratio),
        format!("generator.late_ratio={}", config.late_ratio),
        format!("generator.day_curve={}", config.day_curve),
        format!("generator.scenarios=[{}]", scenarios.join(",")),
    ];
    if scenario.load.cdc {
        for entity in Entity::ALL {
            settings.push(format!("cdc.{}_topic={}", entity.as_str(), entity.default_topic()));
        }
    }
    settings
}

/// A scenario whose events are embedded has one rate, and so one stretch.
fn only_stretch(timetable: &Timetable) -> Stretch {
    timetable.stretches[0].clone()
}

/// The tables whose commits are watched.
fn watched_tables(scenario: &Scenario) -> Vec<LakeTable> {
    let changes = if scenario.load.cdc { Entity::ALL.to_vec() } else { Vec::new() };
    LakeTable::OF_EVENTS.into_iter().chain(changes.into_iter().flat_map(LakeTable::of_changes)).collect()
}

fn all_changes(
    scenario: &Scenario,
    brokers: Option<&str>,
    topics: Option<&RunTopics>,
    start_ms: i64,
) -> anyhow::Result<Vec<EntityChanges>> {
    if !scenario.load.cdc {
        return Ok(Vec::new());
    }
    let duration_s = scenario.duration_s();
    let events: GeneratorConfig = of_changes(scenario, start_ms);
    let of = |(index, entity): (usize, Entity)| {
        let config = changes::config(&events, entity, scenario.load.changes_per_s);
        match (brokers, topics) {
            (Some(brokers), Some(topics)) => {
                EntityChanges::to_topic(config, brokers, &topics.names[index + 1], duration_s)
            }
            _ => EntityChanges::embedded(config, entity.default_topic(), duration_s),
        }
    };
    Entity::ALL.into_iter().enumerate().map(of).collect()
}

/// The log of events that the changes belong to: the first, whatever rates follow.
fn of_changes(scenario: &Scenario, start_ms: i64) -> GeneratorConfig {
    let whole = Stretch {
        number: 0,
        from_s: 0,
        length_s: scenario.duration_s(),
        rate_per_s: scenario.load.rate_per_s,
        lead_s: 0,
    };
    generator_config(&scenario.load, &whole, start_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::file::find;

    #[test]
    fn the_embedded_generator_gets_the_same_settings_as_the_truth() {
        let scenario = find("late-and-skewed", false).unwrap();
        let timetable = Timetable::of(&scenario);
        let settings = embedded_settings(&scenario, &timetable, 1_770_000_000_000);
        for expected in [
            "generator.rate_per_s=2000",
            "generator.start_ms=1770000000000",
            "generator.length_s=540",
            "generator.late_ratio=0.01",
            "generator.scenarios=[\"late_events:start_s=60,length_s=0,strength=1\",\"clock_skew:start_s=60,length_s=0,strength=1\"]",
        ] {
            assert!(settings.iter().any(|setting| setting == expected), "{expected} is not in {settings:?}");
        }
    }

    #[test]
    fn a_late_start_is_a_problem_where_it_is_measured() {
        for (late_ms, warm_up_s, is_problem) in [
            (-3_000, 0, false),
            (UNNOTICED_LATE_MS, 0, false),
            (UNNOTICED_LATE_MS + 1, 0, true),
            (UNNOTICED_LATE_MS + 1, 10, false),
            (10_000, 10, false),
            (10_001, 10, true),
        ] {
            let told = late_start(late_ms, warm_up_s);
            assert_eq!(told.is_some(), is_problem, "{late_ms} ms, {warm_up_s} s: {told:?}");
        }
    }

    #[test]
    fn records_begin_with_full_seconds() {
        assert_eq!((full_second(1_000), full_second(1_001)), (1_000, 2_000));
    }
}
