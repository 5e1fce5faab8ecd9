//! Opens the source that the settings name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::Utc;
use pulselake_config::{GroupMode, Settings, SourceKind};
use pulselake_generator::GeneratorConfig;
use pulselake_generator::cdc::CdcConfig;
use pulselake_lake::Lake;
use pulselake_source::{
    FileSource, FileSourceSettings, GeneratorPace, GeneratorSource, GeneratorSourceSettings, KafkaSettings,
    KafkaSource, Source,
};

use super::changes::wanted_tables;

/// How long a single request to a broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the source. Blocking work runs on a thread of its own.
///
/// `generator` is the one of [`generator_config`], where the source is one.
pub(crate) async fn open_source(
    settings: &Settings,
    generator: Option<GeneratorConfig>,
) -> anyhow::Result<Arc<dyn Source>> {
    let topic = settings.source.topic.clone();
    match settings.source.kind {
        SourceKind::Generator => {
            let config = generator.context("the generator has no settings")?;
            let until_ms = end_ms(settings, config.start_ms);
            let events = GeneratorSourceSettings { config, topic, pace: GeneratorPace::Live, until_ms };
            Ok(Arc::new(GeneratorSource::new(events)?))
        }
        SourceKind::Kafka => {
            if settings.kafka.brokers.is_empty() {
                bail!("kafka.brokers is empty: give --brokers HOST:PORT");
            }
            let kafka = kafka_settings(settings);
            let source = tokio::task::spawn_blocking(move || KafkaSource::connect(kafka)).await??;
            Ok(Arc::new(source))
        }
        SourceKind::Files => {
            let files = FileSourceSettings {
                paths: settings.files.paths.clone(),
                topic,
                max_line_bytes: settings.files.max_line_bytes,
                ..FileSourceSettings::default()
            };
            let source = tokio::task::spawn_blocking(move || FileSource::open_paths(files)).await??;
            Ok(Arc::new(source))
        }
    }
}

/// The generator as set, where it is the source; without a set start it begins now, or where the tables say that it
/// began.
pub(crate) async fn generator_config(
    settings: &Settings,
    lake: &Lake,
) -> anyhow::Result<Option<GeneratorConfig>> {
    if settings.source.kind != SourceKind::Generator {
        return Ok(None);
    }
    let mut start_ms = settings.generator.start_ms;
    if start_ms == 0 {
        let now_ms = Utc::now().timestamp_millis();
        start_ms = first_start(settings, lake).await?.unwrap_or(now_ms - now_ms % 1_000);
    }
    Ok(Some(generator_settings(settings, start_ms)))
}

/// The generator as set, starting at `start_ms` (milliseconds since the epoch).
pub(crate) fn generator_settings(settings: &Settings, start_ms: i64) -> GeneratorConfig {
    let generator = &settings.generator;
    GeneratorConfig {
        seed: generator.seed,
        rate_per_s: generator.rate_per_s as f64,
        partitions: generator.partitions,
        videos: generator.videos,
        users: generator.users,
        start_ms,
        invalid_ratio: generator.invalid_ratio,
        duplicate_ratio: generator.duplicate_ratio,
        late_ratio: generator.late_ratio,
        day_curve: generator.day_curve,
        scenarios: generator.scenarios.clone(),
    }
}

/// Where a log that starts at `start_ms` ends as set (both in milliseconds since the epoch); `None`: never.
pub(super) fn end_ms(settings: &Settings, start_ms: i64) -> Option<i64> {
    let length_s = Some(settings.generator.length_s).filter(|&length_s| length_s > 0)?;
    let length_ms = i64::try_from(length_s).unwrap_or(i64::MAX).saturating_mul(1_000);
    Some(start_ms.saturating_add(length_ms))
}

/// When the generator that filled these tables began: its identity stands in their ledgers.
async fn first_start(settings: &Settings, lake: &Lake) -> anyhow::Result<Option<i64>> {
    for table in wanted_tables(settings) {
        let Some(ledger) = lake.ledger(table).await? else { continue };
        if let Some(config) = GeneratorConfig::from_identity(&ledger.cluster_id) {
            if ledger.topics.contains_key(&settings.source.topic) {
                return Ok(Some(config.start_ms));
            }
        } else if let Some(config) = CdcConfig::from_identity(&ledger.cluster_id) {
            return Ok(Some(config.start_ms));
        }
    }
    Ok(None)
}

/// Kafka as set, for the topic of the events.
pub(crate) fn kafka_settings(settings: &Settings) -> KafkaSettings {
    let kafka = &settings.kafka;
    KafkaSettings {
        brokers: kafka.brokers.clone(),
        topic: settings.source.topic.clone(),
        group_id: kafka.group_id.clone(),
        group_mode: match kafka.group_mode {
            GroupMode::Group => pulselake_source::GroupMode::Group,
            GroupMode::Assign => pulselake_source::GroupMode::Assign,
        },
        group_instance_id: Some(kafka.group_instance_id.clone()).filter(|id| !id.is_empty()),
        prefetch_max_bytes: kafka.prefetch_max_bytes,
        connect_timeout: Duration::from_millis(kafka.connect_timeout_ms),
        request_timeout: REQUEST_TIMEOUT,
        revoke_timeout: Duration::from_millis(kafka.revoke_timeout_ms),
        metadata_refresh: Duration::from_millis(kafka.metadata_refresh_ms),
        properties: kafka
            .librdkafka
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}
