//! The changes of the generator's videos and users, written beside its events.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use pulselake_config::Settings;
use pulselake_generator::cdc::CdcRecordKind;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcWorld, GeneratorConfig, ReadOutcome};
use pulselake_model::{Entity, RawBatch};
use pulselake_source::KafkaSink;

use super::{FLUSH_TIMEOUT, sink_settings};
use crate::cli::GenerateArgs;
use crate::engine::topic_of;

/// Records and bytes that are held at once.
const BATCH_RECORDS: usize = 10_000;
const BATCH_BYTES: usize = 8 << 20;
/// A tombstone where every line is an object: what Connect's JSON converter makes of it.
const TOMBSTONE_LINE: &[u8] = br#"{"schema":null,"payload":null}"#;

/// Writes one entity's changes.
pub(super) struct ChangeWriter {
    world: Arc<CdcWorld>,
    topic: String,
    logs: Vec<CdcPartitionLog>,
    destination: Destination,
    written: u64,
}

enum Destination {
    Kafka(Box<KafkaSink>),
    /// A file for each partition, in their order.
    Files(Vec<BufWriter<File>>),
}

impl ChangeWriter {
    /// Opens what is asked for: beside events in Kafka, one for each topic that is named; beside a file, one for each
    /// entity when there is a directory for them.
    pub(super) fn open_all(
        args: &GenerateArgs,
        settings: &Settings,
        events: &GeneratorConfig,
    ) -> anyhow::Result<Vec<Self>> {
        if args.output.is_some() && args.cdc_out.is_none() {
            return Ok(Vec::new());
        }
        let mut writers = Vec::new();
        for entity in Entity::ALL {
            let named = topic_of(settings, entity);
            let mut config = CdcConfig::beside(events, entity);
            if let Some(rate_per_s) = args.cdc_rate {
                config = config.at_rate(rate_per_s);
            }
            if let Some(directory) = &args.cdc_out {
                let topic = named.unwrap_or(entity.default_topic());
                writers.push(Self::into_files(config, topic, directory)?);
            } else if let Some(topic) = named {
                let sink = KafkaSink::connect(&sink_settings(settings, topic))?;
                config.partitions = sink.partitions();
                writers.push(Self::new(config, topic, Destination::Kafka(Box::new(sink)))?);
            }
        }
        Ok(writers)
    }

    fn into_files(config: CdcConfig, topic: &str, directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create the directory {}", directory.display()))?;
        let files = (0..config.partitions).map(|partition| create(directory, topic, partition));
        let files = files.collect::<anyhow::Result<_>>()?;
        Self::new(config, topic, Destination::Files(files))
    }

    fn new(config: CdcConfig, topic: &str, destination: Destination) -> anyhow::Result<Self> {
        let world = CdcWorld::new(config)?;
        let logs = (0..world.config().partitions)
            .map(|partition| CdcPartitionLog::in_world(world.clone(), partition))
            .collect::<Result<_, _>>()?;
        Ok(Self { world, topic: topic.to_owned(), logs, destination, written: 0 })
    }

    /// Writes what is not written yet up to this record time (ms since the epoch), the initial creates in any case.
    pub(super) fn write_up_to(&mut self, up_to_ms: i64) -> anyhow::Result<()> {
        for log in &mut self.logs {
            let mut records = Vec::new();
            loop {
                let mut batch = RawBatch::at(log.partition(), log.position());
                records.clear();
                let outcome = log.read_with(&mut batch, up_to_ms, BATCH_RECORDS, BATCH_BYTES, |record| {
                    records.push(record);
                })?;
                for (raw, record) in batch.records.iter().zip(&records) {
                    let is_tombstone = record.kind == CdcRecordKind::Tombstone;
                    let value = (!is_tombstone).then(|| batch.value(raw));
                    let key = self.world.key_text(record.key);
                    self.destination.write(log.partition(), key.as_bytes(), value, record.record_time_ms)?;
                }
                self.written += records.len() as u64;
                if outcome != ReadOutcome::More {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Returns when everything that is written has arrived.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.destination {
            Destination::Kafka(sink) => drop(sink.flush(FLUSH_TIMEOUT)?),
            Destination::Files(files) => {
                for file in files {
                    file.flush().context("cannot write the changes")?;
                }
            }
        }
        Ok(())
    }

    /// Flushes, and says what was written.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        let (topic, written) = (&self.topic, self.written);
        eprintln!(
            "{written} changes written to {topic}; the same again with {}",
            self.world.config().identity()
        );
        Ok(())
    }
}

impl Destination {
    /// Writes one record; no value: a tombstone.
    fn write(
        &mut self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
        time_ms: i64,
    ) -> anyhow::Result<()> {
        match self {
            Self::Kafka(sink) => match value {
                Some(bytes) => sink.send(Some(partition), key, bytes, time_ms)?,
                None => sink.send_tombstone(Some(partition), key, time_ms)?,
            },
            Self::Files(files) => {
                let file = files
                    .get_mut(usize::try_from(partition)?)
                    .with_context(|| format!("no file is open for partition {partition}"))?;
                let line = value.unwrap_or(TOMBSTONE_LINE);
                file.write_all(line)
                    .and_then(|()| file.write_all(b"\n"))
                    .context("cannot write the changes")?;
            }
        }
        Ok(())
    }
}

fn create(directory: &Path, topic: &str, partition: i32) -> anyhow::Result<BufWriter<File>> {
    let path = directory.join(format!("{topic}-{partition}.ndjson"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::new(file))
}

#[cfg(test)]
mod tests {
    use pulselake_generator::CdcTruth;

    use super::*;

    #[test]
    fn files_hold_every_record_on_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let events = GeneratorConfig { videos: 50, users: 80, ..GeneratorConfig::default() };
        let config = CdcConfig {
            rate_per_s: 100.0,
            delete_ratio: 0.2,
            invalid_ratio: 0.0,
            ..CdcConfig::beside(&events, Entity::Users)
        };
        let mut writer = ChangeWriter::into_files(config, "users", directory.path()).unwrap();
        let lines = || -> Vec<Vec<u8>> {
            let files = (0..3).map(|partition| directory.path().join(format!("users-{partition}.ndjson")));
            let read = |path| fs::read(path).unwrap().strip_suffix(b"\n").unwrap().to_vec();
            let contents: Vec<Vec<u8>> = files.map(read).collect();
            contents
                .iter()
                .flat_map(|content| content.split(|byte| *byte == b'\n'))
                .map(<[u8]>::to_vec)
                .collect()
        };
        writer.write_up_to(events.start_ms - 1).unwrap();
        writer.flush().unwrap();
        assert_eq!(lines().len(), 80, "all users are created before the first event");

        let end_ms = events.start_ms + 60_000 - 1;
        writer.write_up_to(events.start_ms + 20_500).unwrap();
        writer.write_up_to(end_ms).unwrap();
        writer.flush().unwrap();
        let end_offset = writer.world.end_offset_at(end_ms);
        let truth = CdcTruth::up_to(&writer.world, &[end_offset; 3]).unwrap();
        let written = lines();
        assert_eq!((written.len() as u64, writer.written), (truth.records, truth.records));
        let tombstones = written.iter().filter(|line| line.as_slice() == TOMBSTONE_LINE).count();
        assert!(tombstones > 10 && tombstones as u64 == truth.tombstones);
    }
}
