//! Days one after the other: new fields, other types, repeated and older days.

use pulselake_model::tables::LakeTable;
use pulselake_query::batch::drift::FieldStatus;
use pulselake_query::batch::payload_column::PayloadType;

use super::accounts::{assert_nothing_is_lost, events, field, registry};
use super::lake::{ColdLake, day, us};

async fn schema_of_silver(lake: &ColdLake) -> Vec<String> {
    let schema = lake.lake().table_schema(LakeTable::EngagementFacts).await.unwrap();
    schema.fields().iter().skip(27).map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_begins_with_whole_numbers_and_goes_on_with_fractions() {
    let lake = ColdLake::new(false).await;
    let mut all =
        events("2026-02-07", &[r#"{"level":1,"rate":1}"#, r#"{"level":2,"rate":1.5}"#, r#"{"level":3}"#]);
    lake.add(&all).await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = registry(&lake).await;
    assert_eq!(field(&found, "rate").column_type, Some(PayloadType::Double), "a fraction on its first day");
    assert_eq!(field(&found, "level").column_type, Some(PayloadType::Long));
    let second =
        events("2026-02-08", &[r#"{"level":4.5,"rate":2}"#, r#"{"level":"five"}"#, r#"{"level":6.0}"#]);
    lake.add(&second).await;
    lake.run_silver("2026-02-08", "2026-02-08").await;
    let found = registry(&lake).await;
    let level = field(&found, "level");
    assert_eq!(
        (level.column_type, level.status, level.conflicts),
        (Some(PayloadType::Long), FieldStatus::Conflict, 2)
    );
    assert_eq!(schema_of_silver(&lake).await, ["level Int64", "rate Float64", "level_text Utf8"]);
    let shown = lake
        .rows("SELECT level, level_text, rate FROM silver.fact_user_engagement ORDER BY event_timestamp")
        .await;
    assert_eq!(shown, ["1 - 1.0", "2 - 1.5", "3 - -", "- 4.5 2.0", "- five -", "6 - -"]);
    all.extend(second);
    assert_eq!(assert_nothing_is_lost(&lake, &all).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_day_again_changes_nothing_and_late_rows_are_taken_in() {
    let lake = ColdLake::new(false).await;
    let mut all = events("2026-02-07", &[r#"{"mood":"calm"}"#, r#"{"mood":"wild"}"#, r#"{"once":true}"#]);
    lake.add(&all).await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let (before, columns) = (registry(&lake).await, schema_of_silver(&lake).await);
    let snapshot = lake.snapshot_of(LakeTable::PayloadFields).await;
    for max_columns in [100, 0] {
        let again = pulselake_query::batch::drift::update(lake.lake(), day("2026-02-07"), max_columns, 3)
            .await
            .unwrap();
        assert_eq!(again.replaced, None);
    }
    assert_eq!(registry(&lake).await, before);
    assert_eq!(lake.snapshot_of(LakeTable::PayloadFields).await, snapshot, "no commit");
    assert_eq!(schema_of_silver(&lake).await, columns);
    let late = vec![super::lake::Event {
        id: "late".to_owned(),
        at_us: us("2026-02-07T00:00:00") + 500_000,
        ..events("2026-02-07", &[r#"{"once":false}"#]).remove(0)
    }];
    lake.add(&late).await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(field(&registry(&lake).await, "once").column_type, Some(PayloadType::Boolean));
    all.extend(late);
    assert_eq!(assert_nothing_is_lost(&lake, &all).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_day_is_filled_in_with_the_columns_that_there_are() {
    let lake = ColdLake::new(false).await;
    let newer = events("2026-02-09", &[r#"{"n":1,"flag":true}"#, r#"{"n":2,"flag":false}"#]);
    lake.add(&newer).await;
    lake.run_silver("2026-02-09", "2026-02-09").await;
    let older = events("2026-02-05", &[r#"{"n":1.5,"flag":"yes","old":1}"#, r#"{"n":2,"old":2}"#, "{}"]);
    lake.add(&older).await;
    lake.run_silver("2026-02-05", "2026-02-05").await;
    let found = registry(&lake).await;
    let n = field(&found, "n");
    assert_eq!((n.first_seen_us, n.last_seen_us), (us("2026-02-05T00:00:00"), us("2026-02-09T00:00:01")));
    assert_eq!((n.column_type, n.status), (Some(PayloadType::Long), FieldStatus::Conflict));
    assert_eq!((n.events, n.share, n.conflicts), (2, 1.0, 0), "of the newest day");
    let all = [newer, older].concat();
    assert_eq!(assert_nothing_is_lost(&lake, &all).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_agree() {
    let lake = ColdLake::new(false).await;
    let first = events("2026-02-07", &[r#"{"a":1,"A":2}"#; 3]);
    let second = events("2026-02-08", &[r#"{"A":"x","b":1}"#; 3]);
    lake.add(&[first.clone(), second.clone()].concat()).await;
    lake.lake().ensure_tables(&LakeTable::OF_BATCH).await.unwrap();
    let update = |date: &str| pulselake_query::batch::drift::update(lake.lake(), day(date), 100, 2);
    let (one, other, third) = tokio::join!(update("2026-02-07"), update("2026-02-08"), update("2026-02-07"));
    for end in [one, other, third] {
        end.unwrap();
    }
    let found = registry(&lake).await;
    assert_eq!(found.fields.len(), 3);
    let mut names: Vec<&str> =
        found.fields.values().map(|field| field.column_name.as_deref().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "a_2", "b"]);
    lake.run_silver("2026-02-07", "2026-02-08").await;
    assert_eq!(assert_nothing_is_lost(&lake, &[first, second].concat()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_due_again_when_a_field_of_it_gets_its_column_later() {
    let lake = ColdLake::new(false).await;
    let mut all = events("2026-02-07", &[r#"{"early":1}"#, "{}"]);
    all.extend(events("2026-02-08", &[r#"{"early":2,"new":1}"#, r#"{"early":3,"new":2}"#]));
    lake.add(&all).await;
    let made = |report: &pulselake_query::batch::run::Report| -> Vec<String> {
        let ran = report.steps.iter().filter(|step| step.ran.is_some());
        ran.map(|step| format!("{} {}", step.date, step.job)).collect()
    };
    lake.run_silver("2026-02-07", "2026-02-07").await;
    lake.run_silver("2026-02-08", "2026-02-08").await;
    assert_eq!(field(&registry(&lake).await, "early").status, FieldStatus::Column);
    let again = lake.run_silver("2026-02-07", "2026-02-08").await;
    assert_eq!(
        made(&again),
        ["2026-02-07 fact_user_engagement"],
        "for one value, but not for the field that is new"
    );
    assert_eq!(assert_nothing_is_lost(&lake, &all).await, 0);
    assert_eq!(made(&lake.run_silver("2026-02-07", "2026-02-08").await), Vec::<String>::new());
}
