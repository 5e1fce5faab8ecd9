//! `pulselake generate`: the embedded generator's events, written to Kafka or as NDJSON; on request with the changes of
//! its videos and users.

mod changes;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use flate2::write::GzEncoder;
use indicatif::{ProgressBar, ProgressStyle};
use pulselake_config::Settings;
use pulselake_generator::{PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use self::changes::ChangeWriter;
use crate::cli::GenerateArgs;
use crate::engine::generator_settings;

/// Event time that is generated at once, over all partitions: records come out in the order of their times.
const STEP_MS: i64 = 1_000;
/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// Writes events until there are enough, or for ever.
///
/// # Errors
/// When the destination can't be reached or written.
pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    let mut destination = Destination::open(&settings, args.output.as_deref())?;
    let now_ms = Utc::now().timestamp_millis();
    let start_ms =
        if settings.generator.start_ms == 0 { now_ms - now_ms % 1_000 } else { settings.generator.start_ms };
    let mut config = generator_settings(&settings, start_ms);
    if let Destination::Kafka(sink) = &destination {
        config.partitions = sink.partitions();
    }
    let world = World::new(Arc::new(config.clone()))?;
    let logs = (0..config.partitions)
        .map(|partition| Ok((PartitionLog::in_world(world.clone(), partition)?, RawBatch::at(partition, 0))));
    let mut logs: Vec<(PartitionLog, RawBatch)> = logs.collect::<anyhow::Result<_>>()?;
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
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut up_to_ms = start_ms;
    while left > 0 {
        up_to_ms += STEP_MS;
        if args.paced {
            wait_until(up_to_ms);
        }
        for writer in &mut changes {
            writer.write_up_to(up_to_ms - 1)?;
        }
        let written = write_step(&mut logs, up_to_ms - 1, left, &mut destination)?;
        left -= written;
        bar.inc(written);
    }
    bar.finish_and_clear();
    destination.finish()?;
    let written = args.count.unwrap_or(0);
    eprintln!("{written} events written; the same again with {}", config.identity());
    for writer in changes {
        writer.finish()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what all partitions have up to `up_to_ms`, in the order of record times, at most `limit` records.
fn write_step(
    logs: &mut [(PartitionLog, RawBatch)],
    up_to_ms: i64,
    limit: u64,
    destination: &mut Destination,
) -> anyhow::Result<u64> {
    for (log, batch) in logs.iter_mut() {
        *batch = RawBatch::at(log.partition(), batch.next_offset);
        while log.read_into(batch, up_to_ms, usize::MAX, usize::MAX)? == ReadOutcome::More {}
    }
    let mut order: Vec<(i64, i32, usize)> = Vec::new();
    for (index, (_, batch)) in logs.iter().enumerate() {
        let partition = i32::try_from(index).context("too many partitions")?;
        order.extend(
            batch
                .records
                .iter()
                .enumerate()
                .map(|(at, record)| (record.timestamp_ms.unwrap_or(0), partition, at)),
        );
    }
    order.sort_unstable();
    let mut written = 0;
    for (time_ms, partition, at) in order.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let batch = &logs[partition.unsigned_abs() as usize].1;
        destination.write(partition, time_ms, batch.value(&batch.records[at]))?;
        written += 1;
    }
    Ok(written)
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
