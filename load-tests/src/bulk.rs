//! Fills a topic, or files, with a fixed number of events as fast as it goes. The same parameters give the same records.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use pulselake_generator::partition_of_key;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use crate::events::{EventShape, EventStream};
use crate::topic::{PREFIX, Topics};

/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Time of the first event: 2025-10-09T08:54:00Z, a full minute.
const START_MS: i64 = 1_760_000_040_000;

/// What is filled in.
#[derive(Clone, Debug)]
pub(crate) struct BulkPlan {
    pub(crate) shape: EventShape,
    pub(crate) events: u64,
    /// Events in one minute of event time, all partitions together.
    pub(crate) events_per_minute: u64,
    /// Events come at most this much behind the newest before them.
    pub(crate) jitter_ms: u32,
    pub(crate) partitions: i32,
    /// Compression of the record batches, as librdkafka names it.
    pub(crate) compression: String,
}

impl BulkPlan {
    /// The topic that these parameters lie in, and no others.
    pub(crate) fn name(&self) -> String {
        let EventShape { seed, videos, users, zipf_exponent } = self.shape;
        let Self { events, events_per_minute, jitter_ms, partitions, compression, .. } = self;
        format!(
            "{PREFIX}{events}-{events_per_minute}pm-j{jitter_ms}-p{partitions}-v{videos}-u{users}-z{zipf_exponent}-s{seed}-{compression}"
        )
    }

    /// Calls `take` with each event's time, video, partition, key and value, in order.
    fn write_all(
        &self,
        mut take: impl FnMut(i64, i32, &[u8], &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut stream = EventStream::new(&self.shape);
        let partition_of: Vec<i32> =
            (0..stream.videos()).map(|video| partition_of_key(stream.key(video), self.partitions)).collect();
        let mut value = Vec::with_capacity(512);
        for index in 0..self.events {
            let passed_ms = (u128::from(index) * 60_000 / u128::from(self.events_per_minute)) as i64;
            let behind_ms = i64::from(stream.below(self.jitter_ms));
            let time_ms = START_MS + (passed_ms - behind_ms).max(0);
            let video = stream.write_next(time_ms, &mut value);
            take(time_ms, partition_of[video], stream.key(video), &value)?;
        }
        Ok(())
    }
}

/// A topic that holds the plan's events, and how it came to that.
pub(crate) struct FilledTopic {
    pub(crate) name: String,
    /// `None` when the topic was there already.
    pub(crate) filled_in: Option<Duration>,
}

/// Makes and fills the plan's topic, or finds it filled.
pub(crate) fn fill_topic(brokers: &str, plan: &BulkPlan) -> anyhow::Result<FilledTopic> {
    let (name, topics) = (plan.name(), Topics::of(brokers)?);
    if let Some(partitions) = topics.partitions(&name)? {
        if partitions == plan.partitions && topics.records(&name, partitions)? == plan.events {
            return Ok(FilledTopic { name, filled_in: None });
        }
        eprintln!("{name} was left half filled: filling it anew");
        topics.delete(&name)?;
    }
    topics.create(&name, plan.partitions)?;
    let started = Instant::now();
    let sink = KafkaSink::connect(&KafkaSinkSettings {
        brokers: brokers.to_owned(),
        topic: name.clone(),
        buffer_max_bytes: 256 << 20,
        properties: [
            ("compression.type", plan.compression.as_str()),
            ("linger.ms", "50"),
            ("batch.size", "1000000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..KafkaSinkSettings::default()
    })?;
    plan.write_all(|time_ms, partition, key, value| Ok(sink.send(Some(partition), key, value, time_ms)?))?;
    sink.flush(FLUSH_TIMEOUT)?;
    let found = topics.records(&name, plan.partitions)?;
    anyhow::ensure!(found == plan.events, "{name} holds {found} records instead of {}", plan.events);
    Ok(FilledTopic { name, filled_in: Some(started.elapsed()) })
}

/// Writes the plan's events as NDJSON into `directory`, a file for each partition, or finds them there.
pub(crate) fn fill_files(directory: &Path, plan: &BulkPlan) -> anyhow::Result<Vec<PathBuf>> {
    let target = directory.join(plan.name());
    let file = |partition: i32| target.join(format!("{partition:03}.ndjson"));
    let files: Vec<PathBuf> = (0..plan.partitions).map(file).collect();
    if target.is_dir() {
        return Ok(files);
    }
    // Renamed when it is whole: what was left half written is never taken for finished.
    let unfinished = tempfile::Builder::new().prefix("unfinished").tempdir_in(directory)?;
    let mut writers = Vec::new();
    for path in &files {
        let name = path.file_name().context("a file without a name")?;
        writers.push(BufWriter::with_capacity(1 << 20, File::create(unfinished.path().join(name))?));
    }
    plan.write_all(|_, partition, _, value| {
        let writer = &mut writers[partition.unsigned_abs() as usize];
        writer.write_all(value).and_then(|()| writer.write_all(b"\n")).context("can't write the events")
    })?;
    for writer in &mut writers {
        writer.flush()?;
    }
    fs::rename(unfinished.keep(), &target)?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> BulkPlan {
        BulkPlan {
            shape: EventShape::default(),
            events: 5_000,
            events_per_minute: 1_000,
            jitter_ms: 3_000,
            partitions: 12,
            compression: "none".to_owned(),
        }
    }

    #[test]
    fn times_advance_by_the_density_with_jitter_behind() {
        let mut newest_ms = i64::MIN;
        let mut count = 0;
        plan()
            .write_all(|time_ms, partition, _, _| {
                newest_ms = newest_ms.max(time_ms);
                assert!(time_ms > newest_ms - 3_000 && (0..12).contains(&partition));
                count += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(count, 5_000);
        assert!((newest_ms - START_MS - 300_000).abs() < 3_100, "{}", newest_ms - START_MS);
    }

    #[test]
    fn files_are_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = fill_files(directory.path(), &plan()).unwrap();
        let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
        assert_eq!(files.iter().map(lines).sum::<usize>(), 5_000);
        let changed_at = fs::metadata(&files[0]).unwrap().modified().unwrap();
        assert_eq!(fill_files(directory.path(), &plan()).unwrap(), files);
        assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), changed_at);
    }
}
