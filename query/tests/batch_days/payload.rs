//! The payload in columns: the usual ones, and those of new fields.

use super::lake::{ColdLake, Event, event};

#[tokio::test(flavor = "multi_thread")]
async fn odd_values_are_null_and_new_fields_are_columns() {
    let lake = ColdLake::new(false).await;
    let with = |id: &str, body: &str| Event { body: body.to_owned(), ..event(id, "u_1", "10:00:00") };
    lake.add(&[
        with("a", r#"{"watch_time_ms":5400,"video_duration_ms":10800,"device_os":"iOS","duration_ms":7,"order":"x"}"#),
        with("b", r#"{"watch_time_ms":5400.0,"app_version":15.0,"duration_ms":8,"order":{"a" : 1}}"#),
        with("c", r#"{"watch_time_ms":"5400","device_os":["a"],"duration_ms":"long","order":null}"#),
        with("d", "no json"),
    ])
    .await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = lake
        .rows(
            "SELECT event_id, watch_time_ms, watch_time_ms_text, completion_rate, device_os, device_os_text, app_version, duration_ms, \"order\" \
             FROM silver.fact_user_engagement ORDER BY event_id",
        )
        .await;
    let expected = [
        "a 5400 - 0.5 iOS - - 7 x",
        r#"b 5400 - - - - 15.0 8 {"a" : 1}"#,
        r#"c - 5400 - - ["a"] - long -"#,
        "d - - - - - - - -",
    ];
    assert_eq!(found, expected);
}
