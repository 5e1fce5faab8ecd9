//! The streams of changes: from settings to their parts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pulselake_actors::{
    DimensionCache, DimensionSettings, DimensionStream, EngineStatus, Pipeline, SchemaBook,
};
use pulselake_cdc::CdcSettings;
use pulselake_config::{Settings, SourceKind};
use pulselake_generator::GeneratorConfig;
use pulselake_generator::cdc::CdcConfig;
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use pulselake_source::{
    GeneratorCdcSettings, GeneratorCdcSource, GeneratorPace, KafkaSource, SchemaRegistry,
    SchemaRegistrySettings, Source,
};

use super::decisions::wants_decisions;
use super::source::{end_ms, kafka_settings};

/// The part of the prefetch that a topic of changes takes: its records are few beside the events.
const PREFETCH_DIVISOR: u64 = 8;
/// The least that librdkafka is given.
const MIN_PREFETCH_BYTES: u64 = 1 << 20;

/// The topic of an entity's changes, where they are consumed.
pub(crate) fn topic_of(settings: &Settings, entity: Entity) -> Option<&str> {
    let topic = match entity {
        Entity::Videos => &settings.cdc.videos_topic,
        Entity::Users => &settings.cdc.users_topic,
    };
    (!topic.is_empty()).then_some(topic.as_str())
}

/// The tables that the settings' streams commit to, and those of decisions where any are taken.
pub(crate) fn wanted_tables(settings: &Settings) -> Vec<LakeTable> {
    let followed = Entity::ALL.into_iter().filter(|&entity| topic_of(settings, entity).is_some());
    let decisions = wants_decisions(settings).then_some(LakeTable::OF_DECISIONS).into_iter().flatten();
    LakeTable::OF_EVENTS
        .into_iter()
        .chain(followed.flat_map(LakeTable::of_changes))
        .chain(decisions)
        .collect()
}

/// The streams of the entities that have a topic, beside the events of `pipeline`. `generator` is the one that makes the
/// events, where there is one.
pub(crate) async fn change_streams(
    settings: &Settings,
    pipeline: &Pipeline,
    generator: Option<&GeneratorConfig>,
) -> anyhow::Result<Vec<DimensionStream>> {
    let schemas = schema_book(settings)?;
    let mut streams = Vec::new();
    for entity in Entity::ALL {
        let Some(topic) = topic_of(settings, entity) else { continue };
        let source = open(settings, entity, topic, generator);
        let source =
            source.await.with_context(|| format!("cannot open the changes of {}", entity.as_str()))?;
        let schemas = schemas.clone();
        streams.push(DimensionStream { schemas, ..stream(settings, pipeline, entity, topic, source) });
    }
    Ok(streams)
}

/// One for all streams: their schemas have one numbering.
fn schema_book(settings: &Settings) -> anyhow::Result<Option<SchemaBook>> {
    let cdc = &settings.cdc;
    if cdc.schema_registry_url.is_empty() {
        return Ok(None);
    }
    let credentials = (!cdc.schema_registry_user.is_empty())
        .then(|| (cdc.schema_registry_user.clone(), cdc.schema_registry_password.expose().to_owned()));
    let registry =
        SchemaRegistry::new(SchemaRegistrySettings { url: cdc.schema_registry_url.clone(), credentials })?;
    Ok(Some(SchemaBook::new(registry)))
}

fn stream(
    settings: &Settings,
    pipeline: &Pipeline,
    entity: Entity,
    topic: &str,
    source: Arc<dyn Source>,
) -> DimensionStream {
    let cdc = &settings.cdc;
    DimensionStream {
        entity,
        settings: pipeline.settings.clone(),
        dimension: DimensionSettings {
            commit_interval: Duration::from_millis(cdc.commit_interval_ms),
            max_pending_rows: cdc.max_pending_rows,
            max_pending_bytes: usize::try_from(cdc.max_pending_bytes).unwrap_or(usize::MAX),
        },
        cdc: cdc_settings(settings, topic),
        schemas: None,
        source,
        lake: pipeline.lake.clone(),
        writer_options: pipeline.writer_options,
        status: EngineStatus::of_changes(),
        cache: (entity == Entity::Videos).then(|| DimensionCache::new(cdc.max_cached_videos)),
    }
}

fn cdc_settings(settings: &Settings, topic: &str) -> CdcSettings {
    CdcSettings {
        max_record_bytes: settings.decode.max_record_bytes,
        max_nesting_depth: settings.decode.max_nesting_depth,
        max_columns: settings.cdc.max_columns,
        max_index_keys: settings.cdc.max_index_keys,
        has_schema_registry: !settings.cdc.schema_registry_url.is_empty(),
        source_topic: topic.to_owned(),
    }
}

async fn open(
    settings: &Settings,
    entity: Entity,
    topic: &str,
    generator: Option<&GeneratorConfig>,
) -> anyhow::Result<Arc<dyn Source>> {
    if let (SourceKind::Generator, Some(events)) = (settings.source.kind, generator) {
        let changes = GeneratorCdcSettings {
            config: CdcConfig::beside(events, entity),
            topic: topic.to_owned(),
            pace: GeneratorPace::Live,
            until_ms: end_ms(settings, events.start_ms),
        };
        return Ok(Arc::new(GeneratorCdcSource::new(changes)?));
    }
    let mut kafka = kafka_settings(settings);
    kafka.topic = topic.to_owned();
    // A group of its own: a rebalance of one topic must not stop the others.
    kafka.group_id = format!("{}-{}", kafka.group_id, entity.as_str());
    kafka.prefetch_max_bytes = (kafka.prefetch_max_bytes / PREFETCH_DIVISOR).max(MIN_PREFETCH_BYTES);
    let source = tokio::task::spawn_blocking(move || KafkaSource::connect(kafka)).await??;
    Ok(Arc::new(source))
}
