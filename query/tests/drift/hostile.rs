//! Bodies that nobody would write on purpose, or somebody just so.

use pulselake_model::tables::LakeTable;
use pulselake_query::batch::drift::{FieldStatus, MAX_KEY_BYTES};
use pulselake_query::batch::payload_column::PayloadType;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::accounts::{assert_nothing_is_lost, events, field, registry};
use super::lake::{ColdLake, Event};

async fn columns_of_silver(lake: &ColdLake) -> usize {
    lake.lake().table_schema(LakeTable::EngagementFacts).await.unwrap().fields().len()
}

fn refs(bodies: &[String]) -> Vec<&str> {
    bodies.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_keys_the_hundred_most_frequent_get_columns() {
    let lake = ColdLake::new(false).await;
    let fixed = columns_of_silver_when_new(&lake).await;
    // Key n is in the bodies 0 to 2 + n / 10: later keys are more frequent.
    let bodies: Vec<String> = (0..103)
        .map(|body| {
            let keys = (0..1_000).filter(|key| body < 3 + key / 10);
            let fields: Vec<String> =
                keys.map(|key| format!(r#""key {key}":{}"#, key * 1_000 + body)).collect();
            format!("{{{}}}", fields.join(","))
        })
        .collect();
    let events = events("2026-02-07", &refs(&bodies));
    lake.add(&events).await;
    let report = lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = registry(&lake).await;
    assert_eq!(found.fields.len(), 1_000);
    let with_columns: Vec<&String> = found
        .fields
        .iter()
        .filter(|(_, field)| field.status == FieldStatus::Column)
        .map(|(key, _)| key)
        .collect();
    let mut expected: Vec<String> = (900..1_000).map(|key| format!("key {key}")).collect();
    expected.sort();
    assert_eq!(with_columns, expected.iter().collect::<Vec<_>>());
    let over_cap = found.fields.values().filter(|field| field.status == FieldStatus::OverCap);
    let counted: u64 = over_cap.map(|field| field.events).sum();
    assert_eq!(columns_of_silver(&lake).await, fixed + 100);
    assert_eq!(assert_nothing_is_lost(&lake, &events).await, counted);
    let remark = report.steps[0].ran.as_ref().unwrap().remark.clone().unwrap();
    assert_eq!(remark, format!("1000 new fields, 100 new columns, {counted} values without a column"));
    // Again: the 900 do not move up.
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(registry(&lake).await, found);
}

async fn columns_of_silver_when_new(lake: &ColdLake) -> usize {
    lake.lake().ensure_tables(&LakeTable::OF_BATCH).await.unwrap();
    columns_of_silver(lake).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_meet_are_told_apart() {
    let lake = ColdLake::new(false).await;
    let long = "x".repeat(MAX_KEY_BYTES + 1);
    let body = format!(
        r#"{{"watchTimeMs":1,"Watch Time Ms":2,"watch_time_ms":3,"category":"c","eventId":"e","x_category":"d","event_timestamp_day":"f",
            "mood":1,"mood_text":"m","":"nothing","😀":"smile","a.b":1,"a b":2,"a\"b":3,"a'b":4,"größe":5,"ſ":6,"S":7,"{long}":8,
            "device_os_text":"g","_file":"h","select":"i","*":"star"}}"#
    );
    let events = events("2026-02-07", &[body.as_str(); 3]);
    lake.add(&events).await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = registry(&lake).await;
    let name = |key: &str| field(&found, key).column_name.clone().unwrap();
    for (key, column) in [
        ("watch_time_ms", "watch_time_ms"),
        ("Watch Time Ms", "x_watch_time_ms"),
        ("watchTimeMs", "x_watch_time_ms_2"),
        ("category", "x_category"),
        ("x_category", "x_category_2"),
        ("eventId", "x_event_id"),
        ("event_timestamp_day", "x_event_timestamp_day"),
        ("device_os_text", "x_device_os_text"),
        ("mood", "mood"),
        ("mood_text", "mood_text_2"),
        ("", "field"),
        ("😀", "field_3"),
        ("a b", "a_b"),
        ("a\"b", "a_b_2"),
        ("a'b", "a_b_3"),
        ("a.b", "a_b_4"),
        ("größe", "größe"),
        ("S", "s"),
        ("ſ", "ſ_2"),
        ("_file", "file"),
        ("select", "select"),
        ("*", "field_2"),
    ] {
        assert_eq!(name(key), column, "{key}");
    }
    assert_eq!(assert_nothing_is_lost(&lake, &events).await, 3, "the key that is too long");
    let quoted = r#"SELECT DISTINCT "größe", "ſ_2", s, "select", field_2 FROM silver.fact_user_engagement"#;
    assert_eq!(lake.rows(quoted).await, ["5 6 7 i star"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_values_nulls_and_bodies_that_are_no_object() {
    let lake = ColdLake::new(false).await;
    let deep = format!(r#"{{"tags":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let events = events(
        "2026-02-07",
        &[
            r#"{"tags":["a" , "b"],"nothing":null,"huge":1e400,"id":18446744073709551615,"lone":"\ud800"}"#,
            r#"{"tags":"plain","nothing":null,"huge":1,"id":9007199254740993,"lone":"x","lone":"y"}"#,
            &deep,
            "[1,2]",
            "not json",
            r#"{"tags":"breaks off""#,
            r#"{"watch_time_ms":"soon","video_duration_ms":0,"device_os":{"name":"iOS"},"app_version":15.0}"#,
        ],
    );
    lake.add(&events).await;
    let report = lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = registry(&lake).await;
    assert_eq!(field(&found, "tags").column_type, Some(PayloadType::String));
    assert_eq!((field(&found, "tags").events, field(&found, "nothing").events), (3, 0));
    assert_eq!(
        (field(&found, "nothing").status, field(&found, "nothing").column_type),
        (FieldStatus::Pending, None)
    );
    for key in ["huge", "id", "lone"] {
        assert_eq!(field(&found, key).column_type, Some(PayloadType::String), "{key}: no digit may go");
    }
    assert_eq!(found.no_object.as_ref().unwrap().events, 3);
    for (key, misfits) in
        [("watch_time_ms", 1), ("video_duration_ms", 1), ("device_os", 1), ("app_version", 0)]
    {
        assert_eq!(field(&found, key).conflicts, misfits, "{key}");
    }
    let remark = report.steps[0].ran.as_ref().unwrap().remark.clone().unwrap();
    assert!(
        remark.ends_with("3 values that did not fit their column, 3 bodies that are no object"),
        "{remark}"
    );
    // Without the lone surrogate, which serde_json makes no text of.
    let lone = lake
        .rows("SELECT lone FROM silver.fact_user_engagement WHERE lone IS NOT NULL ORDER BY event_timestamp")
        .await;
    assert_eq!(lone, [r"\ud800", "y"]);
    let readable: Vec<Event> = events
        .iter()
        .map(|event| Event { body: event.body.replace(r"\ud800", r"\\ud800"), ..event.clone() })
        .collect();
    assert_eq!(assert_nothing_is_lost(&lake, &readable).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_keys_than_there_is_room_for_do_not_hide_the_real_ones() {
    let lake = ColdLake::new(false).await;
    let bodies: Vec<String> = (0..6_000)
        .map(|number| format!(r#"{{"junk {number}":1,"real":{number},"watch_time_ms":{number}}}"#))
        .collect();
    let events = events("2026-02-07", &refs(&bodies));
    lake.add(&events).await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = registry(&lake).await;
    assert_eq!((field(&found, "real").events, field(&found, "real").status), (6_000, FieldStatus::Column));
    let pending = found.fields.values().filter(|field| field.status == FieldStatus::Pending).count() as u64;
    assert_eq!(pending, 4_095, "one place is the real one's");
    assert_eq!(found.overflow.as_ref().unwrap().events, 6_000 - pending);
    assert_eq!(assert_nothing_is_lost(&lake, &events).await, 6_000);
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(registry(&lake).await, found);
}

fn any_body() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("watch_time_ms".to_owned()),
        Just("app_version".to_owned()),
        "[aA_b.]{0,2}(_text)?",
        "\\PC{0,3}",
    ];
    let value = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,3})?(e[0-9]{1,2})?",
        Just("true".to_owned()),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#"{"a" : [1,null]}"#.to_owned()),
    ];
    let object = prop::collection::vec((key, value), 0..6).prop_map(|fields| {
        let text =
            |(key, value): &(String, String)| format!("{}:{value}", serde_json::to_string(key).unwrap());
        format!("{{{}}}", fields.iter().map(text).collect::<Vec<_>>().join(","))
    });
    prop_oneof![20 => object, 1 => Just("[]".to_owned()), 1 => Just(r#"{"a":1"#.to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_bodies_hold_nothing_is_lost_silently() {
    let mut runner = TestRunner::deterministic();
    let is_soak = std::env::var_os("PULSELAKE_SOAK").is_some_and(|value| !value.is_empty());
    for _ in 0..if is_soak { 60 } else { 4 } {
        let lake = ColdLake::new(false).await;
        let mut all = Vec::new();
        for date in ["2026-02-07", "2026-02-08", "2026-02-09"] {
            let bodies = prop::collection::vec(any_body(), 60).new_tree(&mut runner).unwrap().current();
            all.extend(events(date, &refs(&bodies)));
        }
        lake.add(&all).await;
        // The first day is made last: its values have to do with columns that it did not choose.
        lake.run_silver("2026-02-08", "2026-02-09").await;
        lake.run_silver("2026-02-07", "2026-02-07").await;
        // It may have given a column to what the others have once: they are due again.
        lake.run_silver("2026-02-07", "2026-02-09").await;
        assert_nothing_is_lost(&lake, &all).await;
    }
}
