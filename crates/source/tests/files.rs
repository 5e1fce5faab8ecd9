//! The file source from its public side: every packing, exact offsets, bounds, damage.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::array::{RecordBatch, StructArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use pulselake_source::{
    AssignmentEvent, ErrorAction, FileSource, FileSourceSettings, PartitionReader, ReaderState, Source,
    SourceError, UNKNOWN_END,
};

fn source_with(directory: &Path, change: impl FnOnce(&mut FileSourceSettings)) -> FileSource {
    let mut settings =
        FileSourceSettings { paths: vec![directory.display().to_string()], ..Default::default() };
    change(&mut settings);
    FileSource::open_paths(settings).unwrap()
}

fn source(directory: &Path) -> FileSource {
    source_with(directory, |_| ())
}

type Records = Vec<(i64, Vec<u8>)>;

/// Reads to the end; gives the records and the last position.
fn read(reader: &mut dyn PartitionReader, max_records: usize) -> Result<(Records, i64), SourceError> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut records = Vec::new();
    loop {
        let polled = reader.poll(max_records, 1 << 16)?;
        assert!(polled.batch.records.len() <= max_records);
        for record in &polled.batch.records {
            assert_eq!(record.timestamp_ms, None);
            records.push((record.offset, polled.batch.value(record).to_vec()));
        }
        if polled.state == ReaderState::Finished {
            return Ok((records, polled.batch.next_offset));
        }
        assert!(Instant::now() < deadline, "not finished after {} records", records.len());
        if polled.batch.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn read_all(source: &FileSource, from: i64, stop: Option<i64>) -> (Records, i64) {
    read(&mut *source.open(0, from, stop).unwrap(), 1_000).unwrap()
}

fn text(lines: &[&str]) -> Vec<u8> {
    lines.concat().into_bytes()
}

fn packed(name: &str, content: &[u8]) -> Vec<u8> {
    if name.ends_with(".gz") {
        // Two members: as `cat a.gz b.gz` makes them.
        let half = content.len() / 2;
        let mut bytes = Vec::new();
        for part in [&content[..half], &content[half..]] {
            let mut encoder = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        bytes
    } else if name.ends_with(".zst") {
        let half = content.len() / 2;
        let mut bytes = zstd::encode_all(&content[..half], 1).unwrap();
        bytes.extend(zstd::encode_all(&content[half..], 1).unwrap());
        bytes
    } else {
        content.to_vec()
    }
}

const NAMES: [&str; 3] = ["a.ndjson", "a.ndjson.gz", "a.jsonl.zst"];

#[test]
fn every_packing_gives_the_lines_with_their_numbers() {
    let content = text(&[
        "\u{feff}{\"n\":0}\n",
        "\n",
        "{\"n\":2}\r\n",
        "\r\n",
        "{\"n\":\"ä\u{1F600}\"}\n",
        "{\"n\":5}",
    ]);
    let expected: Records = vec![
        (0, b"{\"n\":0}".to_vec()),
        (2, b"{\"n\":2}".to_vec()),
        (4, "{\"n\":\"ä\u{1F600}\"}".as_bytes().to_vec()),
        (5, b"{\"n\":5}".to_vec()),
    ];
    for name in NAMES {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(name), packed(name, &content)).unwrap();
        let source = source(root.path());
        assert!(source.is_bounded() && !source.has_broker_time());
        assert_eq!(source.bounds(0).unwrap().high, UNKNOWN_END);
        assert_eq!(read_all(&source, 0, None), (expected.clone(), 6), "{name}");
        assert_eq!(source.bounds(0).unwrap().high, 6, "{name}");
        let progress = source.progress().unwrap();
        assert_eq!(progress.done_bytes, progress.total_bytes, "{name}");
        for from in 0..=6 {
            let rest: Records = expected.iter().filter(|(offset, _)| *offset >= from).cloned().collect();
            assert_eq!(read_all(&source, from, None), (rest.clone(), 6), "{name} from {from}");
            for stop in from..=6 {
                let part: Records = rest.iter().filter(|(offset, _)| *offset < stop).cloned().collect();
                assert_eq!(read_all(&source, from, Some(stop)), (part, stop), "{name} {from}..{stop}");
            }
        }
        let beyond = read(&mut *source.open(0, 7, None).unwrap(), 10).unwrap_err();
        assert!(matches!(beyond, SourceError::OffsetOutOfRange { offset: 7, .. }), "{beyond:?}");
    }
}

#[test]
fn many_lines_come_whole_whatever_the_limits_of_a_poll() {
    let root = tempfile::tempdir().unwrap();
    let lines: Vec<String> =
        (0..30_000).map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "y".repeat(n % 150))).collect();
    let content = lines.concat();
    std::fs::write(root.path().join("a.ndjson.zst"), packed("a.zst", content.as_bytes())).unwrap();
    let source = source_with(root.path(), |settings| settings.prefetch_max_bytes = 1 << 17);
    for max_records in [1, 7, 5_000, usize::MAX] {
        let (records, end) = read(&mut *source.open(0, 0, None).unwrap(), max_records).unwrap();
        assert_eq!(end, 30_000);
        assert!(
            records.iter().enumerate().all(|(n, (offset, value))| {
                *offset == n as i64 && value == lines[n].trim_end().as_bytes()
            })
        );
        assert_eq!(records.len(), 30_000);
    }
}

#[test]
fn an_over_long_line_is_cut_and_disturbs_no_other() {
    let root = tempfile::tempdir().unwrap();
    let long = "z".repeat(3_000_000);
    std::fs::write(root.path().join("a.ndjson"), format!("first\n{long}\nlast")).unwrap();
    let whole = source(root.path());
    assert_eq!(read_all(&whole, 0, None).0[1].1.len(), 3_000_000);
    let cut = source_with(root.path(), |settings| settings.max_line_bytes = 1_000_000);
    let (records, _) = read_all(&cut, 0, None);
    let lengths: Vec<usize> = records.iter().map(|(_, value)| value.len()).collect();
    assert_eq!(lengths, [5, 1_000_000, 4]);
}

#[test]
fn damage_is_an_error_after_the_whole_records_before_it() {
    let content: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for name in &NAMES[1..] {
        let root = tempfile::tempdir().unwrap();
        let mut bytes = packed(name, content.as_bytes());
        bytes.truncate(bytes.len() - 40);
        std::fs::write(root.path().join(name), bytes).unwrap();
        let source = source(root.path());
        let mut reader = source.open(0, 0, None).unwrap();
        let mut next = 0;
        let error = loop {
            match reader.poll(100, 1 << 20) {
                Ok(polled) => {
                    assert_ne!(polled.state, ReaderState::Finished, "{name}: a truncated file is not over");
                    for record in &polled.batch.records {
                        assert_eq!(polled.batch.value(record), format!("{{\"n\":{next}}}").as_bytes());
                        next += 1;
                    }
                }
                Err(error) => break error,
            }
        };
        assert!(next > 1_000, "{name}: {next}");
        assert!(matches!(error, SourceError::DamagedFile { position, .. } if position == next), "{error:?}");
        assert!(error.to_string().contains(name));
        assert_eq!(error.action(), ErrorAction::Stop);
    }
}

#[test]
fn a_file_that_grows_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.ndjson");
    std::fs::write(&path, "{}\n").unwrap();
    let source = source(root.path());
    std::fs::write(&path, "{}\n{}\n").unwrap();
    let error = read(&mut *source.open(0, 0, None).unwrap(), 10).unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[test]
fn a_new_reader_takes_over_even_when_the_old_one_is_kept_and_full() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a.ndjson", "b.ndjson"] {
        std::fs::write(root.path().join(name), "x".repeat(99).as_str().to_owned() + "\n").unwrap();
    }
    let content: String = (0..50_000).map(|n| format!("{n:0100}\n")).collect();
    std::fs::write(root.path().join("c.ndjson"), content).unwrap();
    let source = source_with(root.path(), |settings| {
        settings.max_open_files = 1;
        settings.prefetch_max_bytes = 0;
    });
    match source.next_event(Duration::ZERO) {
        Some(AssignmentEvent::Assigned(partitions)) => assert_eq!(partitions, [0, 1, 2]),
        other => panic!("{other:?}"),
    }
    assert!(source.next_event(Duration::ZERO).is_none());
    let mut old = source.open(2, 0, None).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while old.poll(1, 1).unwrap().batch.is_empty() {
        assert!(Instant::now() < deadline);
    }
    // Its thread now waits inside the gate with a full channel; the others wait outside.
    let mut new = source.open(2, 49_990, None).unwrap();
    assert!(matches!(old.poll(1, 1), Err(SourceError::NotAssigned { partition: 2, .. })));
    let mut first = source.open(0, 0, None).unwrap();
    assert_eq!(read(&mut *first, 10).unwrap().0.len(), 1);
    assert_eq!(read(&mut *new, 10).unwrap().0.len(), 10);
    source.close();
    assert!(matches!(source.open(0, 0, None), Err(SourceError::Closed)));
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_values_are_taken_as_they_stand() {
    let root = tempfile::tempdir().unwrap();
    let values: Vec<Option<Vec<u8>>> =
        (0..5_000).map(|n| if n == 3 { None } else { Some(vec![0xff, (n % 251) as u8]) }).collect();
    let array = BinaryArray::from_iter(values.iter().map(Option::as_ref));
    let keys = StringArray::from_iter_values((0..5_000).map(|n| n.to_string()));
    write_parquet(&root.path().join("a.parquet"), vec![("key", Arc::new(keys)), ("value", Arc::new(array))]);
    let source = source(root.path());
    assert_eq!(source.bounds(0).unwrap().high, 5_000);
    for (from, stop) in [(0, 5_000), (1_023, 5_000), (4_999, 5_000), (5_000, 5_000), (7, 2_500)] {
        let (records, end) = read_all(&source, from, (stop != 5_000).then_some(stop));
        assert_eq!(end, stop);
        let expected: Records =
            (from..stop).map(|n| (n, values[n as usize].clone().unwrap_or_default())).collect();
        assert_eq!(records, expected, "{from}..{stop}");
    }
    let beyond = read(&mut *source.open(0, 5_001, None).unwrap(), 10).unwrap_err();
    assert!(matches!(beyond, SourceError::OffsetOutOfRange { .. }), "{beyond:?}");
}

#[test]
fn rows_of_bronze_become_the_events_they_were() {
    let root = tempfile::tempdir().unwrap();
    let payload = "{ \"watch_time_ms\":5400, \"note\":\"a\\n\\\"b\\\"\" }";
    let strings = |values: [Option<&str>; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    write_parquet(
        &root.path().join("a.parquet"),
        vec![
            ("event_id", strings([Some("e1"), Some("e2")])),
            (
                "event_timestamp",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![1_770_458_400_123_000, 1_770_458_400_123_456])
                        .with_timezone("+00:00"),
                ),
            ),
            ("video_id", strings([Some("v1"), None])),
            ("payload_json", strings([Some(payload), Some("{}")])),
            ("header_extra_json", strings([Some("{\"trace\":{\"id\":[1,2]}}"), None])),
            ("source_topic", strings([Some("t"), Some("t")])),
            ("source_partition", Arc::new(Int32Array::from(vec![0, 0]))),
            ("source_offset", Arc::new(Int64Array::from(vec![7, 8]))),
            ("ingested_at", Arc::new(TimestampMicrosecondArray::from(vec![1, 1]))),
        ],
    );
    let (records, _) = read_all(&source(root.path()), 0, None);
    let events: Vec<serde_json::Value> =
        records.iter().map(|(_, value)| serde_json::from_slice(value).unwrap()).collect();
    assert_eq!(
        events[0],
        serde_json::json!({"event_id":"e1","event_timestamp":"2026-02-07T10:00:00.123Z","video_id":"v1",
            "payload_json":payload,"trace":{"id":[1,2]}})
    );
    assert_eq!(
        events[1],
        serde_json::json!({"event_id":"e2","event_timestamp":"2026-02-07T10:00:00.123456Z","payload_json":"{}"})
    );
}

#[test]
fn typed_exports_of_others_are_understood() {
    let root = tempfile::tempdir().unwrap();
    let watch: ArrayRef = Arc::new(Int64Array::from(vec![5_400]));
    let body = StructArray::from(vec![(Arc::new(Field::new("watch_time_ms", DataType::Int64, true)), watch)]);
    write_parquet(
        &root.path().join("struct.parquet"),
        vec![
            ("event_id", Arc::new(StringArray::from(vec!["e"]))),
            ("event_timestamp", Arc::new(TimestampMillisecondArray::from(vec![1_770_458_400_123]))),
            ("payload", Arc::new(body)),
            ("region", Arc::new(StringArray::from(vec!["eu"]))),
        ],
    );
    write_parquet(
        &root.path().join("text.parquet"),
        vec![
            ("event_id", Arc::new(StringArray::from(vec!["e"]))),
            ("event_timestamp", Arc::new(Int64Array::from(vec![1_770_458_400_123]))),
            ("payload", Arc::new(StringArray::from(vec!["{}"]))),
        ],
    );
    let source = source(root.path());
    let event = |partition| -> serde_json::Value {
        let (records, _) = read(&mut *source.open(partition, 0, None).unwrap(), 9).unwrap();
        serde_json::from_slice(&records[0].1).unwrap()
    };
    assert_eq!(
        event(0),
        serde_json::json!({"event_id":"e","event_timestamp":"2026-02-07T10:00:00.123Z",
            "payload":{"watch_time_ms":5400},"region":"eu"})
    );
    assert_eq!(
        event(1),
        serde_json::json!({"event_id":"e","event_timestamp":1_770_458_400_123_i64,"payload_json":"{}"})
    );
}

#[test]
fn other_parquet_files_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    write_parquet(
        &root.path().join("odd.parquet"),
        vec![("a", Arc::new(Int64Array::from(vec![1]))), ("b", Arc::new(Int64Array::from(vec![1])))],
    );
    std::fs::write(root.path().join("torn.parquet"), b"PAR1").unwrap();
    let source = source(root.path());
    let error = |partition| read(&mut *source.open(partition, 0, None).unwrap(), 9).unwrap_err().to_string();
    assert!(error(0).contains("odd.parquet") && error(0).contains("event_id"), "{}", error(0));
    assert!(error(1).contains("torn.parquet"), "{}", error(1));
    assert!(source.bounds(1).is_err());
}
