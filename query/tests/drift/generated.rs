//! The generator's five forms of drift: they begin at midnight.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use pulselake_decode::{DecodeSettings, EventDecoder};
use pulselake_generator::{GeneratorConfig, PartitionLog, Scenario};
use pulselake_model::RawBatch;
use pulselake_query::batch::drift::FieldStatus;
use pulselake_query::batch::payload_column::PayloadType;

use super::accounts::{assert_nothing_is_lost, field, registry};
use super::lake::{ColdLake, Event, event, us};

const BEFORE_S: i64 = 120;

/// Two minutes without drift before midnight, and two with it.
fn generated() -> Vec<Event> {
    let scenario: Scenario = format!("schema_drift:start_s={BEFORE_S}").parse().unwrap();
    let start_ms = us("2026-02-08T00:00:00") / 1_000 - BEFORE_S * 1_000;
    let config = GeneratorConfig {
        rate_per_s: 40.0,
        partitions: 1,
        videos: 50,
        users: 2_000,
        start_ms,
        scenarios: vec![scenario],
        ..GeneratorConfig::default()
    };
    let mut log = PartitionLog::new(Arc::new(config), 0).unwrap();
    let mut batch = RawBatch::at(0, 0);
    log.read_into(&mut batch, start_ms + 2 * BEFORE_S * 1_000, usize::MAX, usize::MAX).unwrap();
    let decoded = EventDecoder::new(DecodeSettings::default()).decode(&batch, 0);
    assert_eq!(decoded.invalid.num_rows(), 0);
    let rows = &decoded.events;
    let text = |column: &str, row: usize| {
        rows.column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned()
    };
    let times = rows.column_by_name("event_timestamp").unwrap().as_primitive::<TimestampMicrosecondType>();
    (0..rows.num_rows())
        .map(|row| Event {
            at_us: times.value(row),
            video: text("video_id", row),
            kind: text("event_type", row),
            body: text("payload_json", row),
            ..event(&text("event_id", row), &text("user_id", row), "00:00:00")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_drift_ends_in_columns_and_the_renamed_field_is_suspected() {
    let lake = ColdLake::new(false).await;
    let events = generated();
    lake.add(&events).await;
    lake.run_silver("2026-02-07", "2026-02-08").await;
    let found = registry(&lake).await;
    let keys: Vec<&str> = found.fields.keys().map(String::as_str).collect();
    // Header fields are not the payload's, and the old producer's body in a text is a body like any other.
    assert_eq!(
        keys,
        [
            "app_version",
            "device_os",
            "duration_ms",
            "experiment",
            "network_type",
            "playback_rate",
            "referral_source",
            "video_duration_ms",
            "watch_time_ms",
        ]
    );
    let midnight_us = us("2026-02-08T00:00:00");
    for (key, column_type, renamed_from) in [
        ("duration_ms", PayloadType::Long, Some("video_duration_ms")),
        ("experiment", PayloadType::String, None),
        ("playback_rate", PayloadType::Double, None),
    ] {
        let new = field(&found, key);
        assert_eq!((new.status, new.column_type), (FieldStatus::Column, Some(column_type)), "{key}");
        assert_eq!(new.renamed_from.as_deref(), renamed_from, "{key}");
        assert!(new.first_seen_us >= midnight_us, "{key}");
        assert!((0.05..0.15).contains(&new.share), "{key}: {}", new.share);
    }
    // A tenth writes 5400.0, which is a whole number all the same.
    let watch_time = field(&found, "watch_time_ms");
    assert_eq!((watch_time.status, watch_time.conflicts, watch_time.share), (FieldStatus::Known, 0, 1.0));
    let renamed = field(&found, "video_duration_ms");
    assert!((renamed.share + field(&found, "duration_ms").share - 1.0).abs() < 1e-9);
    assert_eq!(field(&found, "experiment").sample.as_deref(), Some(r#"{"bucket":"b7","is_holdout":false}"#));
    assert_eq!((found.overflow, found.no_object), (None, None));
    assert_eq!(assert_nothing_is_lost(&lake, &events).await, 0);
}
