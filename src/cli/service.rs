//! `demo`, `run` and `init`.

use clap::Args;
use pulselake_config::{ConfigError, Settings};
use pulselake_model::Entity;

use super::change_topic::ChangeTopic;
use super::settings::{Flags, SettingsArgs};

/// `pulselake demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// Generated events per second [default: 1000]
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Seed of the generated events [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where pages and API are, port 0 for a free one [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// What happens on purpose: supernova, clickbait, or a scenario of the generator such as
    /// late_events:start_s=60,length_s=600; may be repeated
    #[arg(long, value_name = "SCENARIO", value_parser = scenario_text)]
    scenario: Vec<String>,
    /// Print log lines instead of the summary
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration_s: Option<u64>,
}

impl DemoArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(
            Flags::default()
                .text("source.kind", "demo", Some("generator"))
                .text("cdc.videos_topic", "demo", Some(Entity::Videos.default_topic()))
                .text("cdc.users_topic", "demo", Some(Entity::Users.default_topic()))
                .list("generator.scenarios", "--scenario", &self.scenario)
                .text("http.bind", "--listen", self.listen.as_deref())
                .text("generator.rate_per_s", "--rate", self.rate)
                .text("generator.seed", "--seed", self.seed),
        )
    }
}

/// Names that people know for two of the generator's scenarios.
const KNOWN_AS: [(&str, &str); 2] = [("supernova", "viral_high_quality"), ("clickbait", "viral_low_quality")];

/// A scenario as the generator writes it. What is none is refused with the setting's own words.
fn scenario_text(text: &str) -> Result<String, std::convert::Infallible> {
    let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
    let known = KNOWN_AS.iter().find(|(known_as, _)| *known_as == name);
    Ok(known.map_or_else(|| text.to_owned(), |(_, kind)| format!("{kind}{rest}")))
}

/// `pulselake run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// Kafka brokers, separated by commas; selects the Kafka source
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "files")]
    brokers: Option<String>,
    /// Topic to consume [default: content_events]
    #[arg(long)]
    topic: Option<String>,
    /// Consumer group [default: pulselake]
    #[arg(long)]
    group: Option<String>,
    /// Topics of changes to consume beside the events: videos= and users= before their names, or as their names end
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',', value_parser = ChangeTopic::parse, conflicts_with = "files")]
    cdc_topics: Vec<ChangeTopic>,
    /// NDJSON (plain, .gz, .zst) or Parquet files to read; selects the file source
    #[arg(long, value_name = "PATH", num_args = 1..)]
    files: Vec<String>,
    /// Consume to the end offsets seen at the start, close every window, commit and exit
    #[arg(long)]
    until_caught_up: bool,
    /// Threads that decode and aggregate [default: one per core]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Where pages, API, metrics and health checks are, empty for nowhere [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT", alias = "metrics-bind")]
    listen: Option<String>,
}

impl RunArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let kafka = self.brokers.as_ref().map(|_| "kafka");
        let files = (!self.files.is_empty()).then_some("files");
        let topic_of = |entity: Entity| {
            let given = self.cdc_topics.iter().rfind(|topic| topic.entity == entity);
            given.map(|topic| topic.name.as_str())
        };
        self.from.load(
            Flags::default()
                .text("source.kind", "--brokers", kafka)
                .text("source.kind", "--files", files)
                .text("kafka.brokers", "--brokers", self.brokers.as_deref())
                .text("source.topic", "--topic", self.topic.as_deref())
                .text("cdc.videos_topic", "--cdc-topics", topic_of(Entity::Videos))
                .text("cdc.users_topic", "--cdc-topics", topic_of(Entity::Users))
                .text("kafka.group_id", "--group", self.group.as_deref())
                .list("files.paths", "--files", &self.files)
                .switch("source.until_caught_up", "--until-caught-up", self.until_caught_up)
                .text("engine.shards", "--shards", self.shards)
                .text("http.bind", "--listen", self.listen.as_deref()),
        )
    }
}

/// `pulselake init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    from: SettingsArgs,
}

impl InitArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(Flags::default())
    }
}
