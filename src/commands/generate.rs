//! `pulselake generate`: the embedded generator's events, written to Kafka or as NDJSON; on request with the changes of
//! its videos and users, and with what the records must come to.

mod changes;
mod expected;
mod qa_tables;
mod run_truth;
mod truth_batches;
mod truth_files;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::Utc;
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressStyle};
use pulselake_config::Settings;
use pulselake_generator::{LogRecord, PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use self::changes::ChangeWriter;
use self::run_truth::{RunTruth, plan_of_batch};
use crate::cli::GenerateArgs;
use crate::engine::generator_settings;

/// Event time that is generated at once, over all partitions: records come out in the order of their times. One of the
/// generator's blocks.
const STEP_MS: i64 = 1_000;
/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// Writes events until there are enough or the log ends, or for ever.
///
/// # Errors
/// When the destination can't be reached or written.
pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    let blocks = match settings.generator.length_s {
        0 => i64::MAX,
        length_s => i64::try_from(length_s).unwrap_or(i64::MAX),
    };
    let wants_truth = args.truth.is_some() || args.qa;
    if wants_truth && args.count.is_none() && blocks == i64::MAX {
        bail!(
            "the truth of a log without an end can't be told: give --events N or --set generator.length_s=S"
        );
    }
    let mut destination = Destination::open(&settings, args.output.as_deref())?;
    let now_ms = Utc::now().timestamp_millis();
    let start_ms =
        if settings.generator.start_ms == 0 { now_ms - now_ms % 1_000 } else { settings.generator.start_ms };
    let mut config = generator_settings(&settings, start_ms);
    if let Destination::Kafka(sink) = &destination {
        config.partitions = sink.partitions();
    }
    let config = Arc::new(config);
    let mut step =
        Step::new(&World::new(config.clone())?, wants_truth.then(|| RunTruth::new(config.clone())))?;
    let mut changes = ChangeWriter::open_all(args, &settings, &config)?;
    for writer in &mut changes {
        // What exists at the start is there before the first event is.
        writer.write_up_to(start_ms - 1)?;
        writer.flush()?;
    }

    let bar = ProgressBar::new(args.count.unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}") {
        bar.set_style(style);
    }
    let limit = args.count.unwrap_or(u64::MAX);
    let mut written = 0;
    for block in 0..blocks {
        if written == limit {
            break;
        }
        let end_ms = start_ms + (block + 1) * STEP_MS;
        if args.paced {
            wait_until(end_ms);
        }
        for writer in &mut changes {
            writer.write_up_to(end_ms - 1)?;
        }
        let count = step.write(block, end_ms - 1, limit - written, &mut destination)?;
        written += count;
        bar.inc(count);
    }
    bar.finish_and_clear();
    destination.finish()?;
    eprintln!("{written} events written; the same again with {}", config.identity());
    for writer in changes {
        writer.finish()?;
    }
    step.truth.map_or(Ok(()), |truth| tell_truth(truth, args, &settings))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes down what the records must come to, where the arguments say.
fn tell_truth(truth: RunTruth, args: &GenerateArgs, settings: &Settings) -> anyhow::Result<()> {
    let run = truth.finish()?;
    let run_id = run.run_id;
    if let Some(directory) = &args.truth {
        truth_files::write_truth(&run, directory)?;
        eprintln!("what they must come to is in {}, run {run_id}", directory.display());
    }
    if args.qa {
        let tables = qa_tables::append_run(settings, &run)?;
        let names: Vec<&str> = tables.iter().map(|table| table.full_name()).collect();
        match names.is_empty() {
            true => eprintln!("run {run_id} was in the qa tables already: nothing was appended"),
            false => eprintln!("run {run_id} appended to {}", names.join(" and ")),
        }
    }
    Ok(())
}

/// One partition's reader, with what it has read of the present block.
struct Reading {
    log: PartitionLog,
    batch: RawBatch,
    /// What the batch's records say; empty where nobody counts.
    plan: Vec<LogRecord>,
}

/// Writes the log, a block of all partitions at a time.
struct Step {
    readings: Vec<Reading>,
    truth: Option<RunTruth>,
}

impl Step {
    fn new(world: &Arc<World>, truth: Option<RunTruth>) -> anyhow::Result<Self> {
        let readings = (0..world.config().partitions).map(|partition| {
            let log = PartitionLog::in_world(world.clone(), partition)?;
            Ok(Reading { log, batch: RawBatch::at(partition, 0), plan: Vec::new() })
        });
        Ok(Self { readings: readings.collect::<anyhow::Result<_>>()?, truth })
    }

    /// Writes what all partitions have in `block`, which lasts up to and including `up_to_ms`, in the order of record
    /// times, at most `limit` records. Returns how many there were.
    fn write(
        &mut self,
        block: i64,
        up_to_ms: i64,
        limit: u64,
        destination: &mut Destination,
    ) -> anyhow::Result<u64> {
        let mut order: Vec<(i64, i32, usize)> = Vec::new();
        for (partition, Reading { log, batch, plan }) in (0..).zip(&mut self.readings) {
            *batch = RawBatch::at(partition, batch.next_offset);
            while log.read_into(batch, up_to_ms, usize::MAX, usize::MAX)? == ReadOutcome::More {}
            if self.truth.is_some() {
                *plan = plan_of_batch(log, block, batch)?;
            }
            let times = batch.records.iter().map(|record| record.timestamp_ms.unwrap_or(0));
            order.extend(times.enumerate().map(|(at, time_ms)| (time_ms, partition, at)));
        }
        order.sort_unstable();
        order.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for &(time_ms, partition, at) in &order {
            let Reading { batch, plan, .. } = &self.readings[partition.unsigned_abs() as usize];
            destination.write(partition, time_ms, batch.value(&batch.records[at]))?;
            if let Some(truth) = &mut self.truth {
                truth.add(&plan[at]);
            }
        }
        Ok(order.len() as u64)
    }
}

fn wait_until(time_ms: i64) {
    let wait_ms = time_ms - Utc::now().timestamp_millis();
    std::thread::sleep(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)));
}

/// How a topic is produced to.
fn sink_settings(settings: &Settings, topic: &str) -> KafkaSinkSettings {
    let kafka = &settings.kafka;
    let properties = kafka.librdkafka.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    KafkaSinkSettings {
        brokers: kafka.brokers.clone(),
        topic: topic.to_owned(),
        connect_timeout: Duration::from_millis(kafka.connect_timeout_ms),
        properties: properties.collect(),
        ..KafkaSinkSettings::default()
    }
}

enum Destination {
    Kafka(Box<KafkaSink>),
    Plain(BufWriter<Box<dyn Write>>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Destination {
    fn open(settings: &Settings, output: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = output else {
            let sink = sink_settings(settings, &settings.source.topic);
            return Ok(Self::Kafka(Box::new(KafkaSink::connect(&sink)?)));
        };
        if path == Path::new("-") {
            return Ok(Self::Plain(BufWriter::new(Box::new(io::stdout()))));
        }
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip(GzEncoder::new(BufWriter::new(file), flate2::Compression::default())),
            Some("zst") => Self::Zstd(zstd::Encoder::new(BufWriter::new(file), 0)?),
            _ => Self::Plain(BufWriter::new(Box::new(file))),
        })
    }

    fn write(&mut self, partition: i32, time_ms: i64, value: &[u8]) -> anyhow::Result<()> {
        let lines: &mut dyn Write = match self {
            Self::Kafka(sink) => return Ok(sink.send(Some(partition), video_id(value), value, time_ms)?),
            Self::Plain(writer) => writer,
            Self::Gzip(writer) => writer,
            Self::Zstd(writer) => writer,
        };
        lines.write_all(value).and_then(|()| lines.write_all(b"\n")).context("cannot write the events")
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Kafka(sink) => drop(sink.flush(FLUSH_TIMEOUT)?),
            Self::Plain(mut writer) => writer.flush()?,
            Self::Gzip(writer) => writer.finish()?.flush()?,
            Self::Zstd(writer) => writer.finish()?.flush()?,
        }
        Ok(())
    }
}

/// The record's key: its video. Malformed records may have none.
fn video_id(value: &[u8]) -> &[u8] {
    const FIELD: &[u8] = b"\"video_id\":\"";
    let Some(start) = memchr::memmem::find(value, FIELD).map(|at| at + FIELD.len()) else { return b"" };
    let len = memchr::memchr(b'"', &value[start..]).unwrap_or(0);
    &value[start..start + len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_video() {
        assert_eq!(video_id(br#"{"event_id":"e","video_id":"v_7","user_id":"u"}"#), b"v_7");
        assert_eq!(video_id(br#"{"event_id":"e"}"#), b"");
        assert_eq!(video_id(br#"{"video_id":"v_7"#), b"");
    }
}
