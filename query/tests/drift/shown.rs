//! What people, programs and Prometheus see.

use std::process::{Command, Output};

use super::accounts::events;
use super::lake::ColdLake;

fn drift(lake: &ColdLake, arguments: &[&str]) -> String {
    let place = lake.directory().display().to_string();
    let output: Output = Command::new(env!("CARGO_BIN_EXE_pulselake-query"))
        .args(["drift", "--data-dir", &place])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn a_renamed_field() -> ColdLake {
    let lake = ColdLake::new(false).await;
    lake.add(&events("2026-02-07", &[r#"{"video_duration_ms":9}"#; 4])).await;
    let new = r#"{"duration_ms":7,"mood":"calm"}"#;
    let odd = r#"{"video_duration_ms":"long"}"#;
    lake.add(&events("2026-02-08", &[r#"{"video_duration_ms":9}"#, odd, new, new])).await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_is_shown_as_text_and_as_json() {
    let lake = a_renamed_field().await;
    assert!(drift(&lake, &[]).contains("pulselake batch run"), "no table yet");
    lake.run_silver("2026-02-07", "2026-02-08").await;
    let text = drift(&lake, &[]);
    assert!(text.starts_with("3 payload fields, newest day 2026-02-08, 1 conflict\n"), "{text}");
    let line = |name: &str| {
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert!(line("duration_ms ").contains("new; was video_duration_ms?; such as 7"), "{text}");
    assert!(line("mood ").ends_with("new; such as calm"), "{text}");
    assert!(line("video_duration_ms ").contains("misfits in video_duration_ms_text"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&drift(&lake, &["--format", "json", "--since", "2026-02-01"])).unwrap();
    assert_eq!(json["newest_day"], "2026-02-08");
    let fields = json["fields"].as_array().unwrap();
    let of = |name: &str| fields.iter().find(|field| field["field"] == name).unwrap();
    assert_eq!(of("duration_ms")["renamed_from"], "video_duration_ms");
    assert_eq!((&of("duration_ms")["share"], &of("duration_ms")["type"]), (&0.5.into(), &"long".into()));
    assert_eq!(of("video_duration_ms")["conflict_column"], "video_duration_ms_text");
    assert_eq!((&of("mood")["is_new"], &of("video_duration_ms")["is_new"]), (&true.into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_fields_and_conflicts_are_in_the_runs_report_and_in_its_metrics() {
    let lake = a_renamed_field().await;
    let metrics = lake.directory().join("drift.prom");
    let place = metrics.display().to_string();
    let run =
        ["run", "--from", "2026-02-07", "--to", "2026-02-08", "--job", "payload_fields", "--format", "json"];
    let output = lake.command(&[&run[..], &["--metrics-file", &place]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let drift = &report["steps"][1]["ran"]["drift"];
    let expected = serde_json::json!({"new_fields": 2, "new_columns": 2, "conflicts": 1, "without_column": 0, "no_object": 0});
    assert_eq!(drift, &expected, "{report}");
    let text = std::fs::read_to_string(&metrics).unwrap();
    for line in [
        "pulselake_payload_fields{status=\"column\"} 2",
        "pulselake_payload_fields{status=\"conflict\"} 1",
        "pulselake_payload_new_fields 2",
        "pulselake_payload_conflicting_values 1",
        "pulselake_payload_values_without_column 0",
        "pulselake_payload_bodies_without_object 0",
        "pulselake_payload_newest_day_timestamp_seconds 1770508800",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}
