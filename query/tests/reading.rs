//! What queries see of tables: deletes, NULL keys, columns that came later; and that they see it as of one moment.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use futures::TryStreamExt;
use iceberg::spec::Struct;
use pulselake_query::{ErrorCode, QueryEngine};
use support::tables::{longs, nullable_longs, strings, texts};
use support::{DAYS, ROWS_OF_A_DAY, engine, evolved_ids, ident, lake, rows, value};

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_gone_and_later_columns_are_null() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let mut expected: Vec<String> = evolved_ids().iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(rows(&engine, "SELECT id FROM t.evolved").await, expected);
    assert_eq!(value(&engine, "SELECT count(*) FROM t.evolved").await, expected.len().to_string());
    assert_eq!(value(&engine, "SELECT count(extra) FROM t.evolved WHERE id < 9000").await, "0");
    // Widened from int: a value beyond it beside one within.
    assert_eq!(
        rows(&engine, "SELECT n FROM t.evolved WHERE id IN (1, 9002)").await,
        ["-499", "77326591197184"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_with_and_without_the_catalog() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    for name in ["t.days", "lake.t.days", "LAKE.T.Days", "\"t\".\"days\""] {
        let rows = (DAYS * ROWS_OF_A_DAY).to_string();
        assert_eq!(value(&engine, &format!("SELECT count(*) FROM {name}")).await, rows, "{name}");
    }
    let listed =
        rows(&engine, "SELECT table_schema, table_name, table_type FROM information_schema.tables").await;
    assert!(listed.contains(&"t|days|BASE TABLE".to_string()), "{listed:?}");
    assert!(listed.iter().any(|line| line.starts_with("serving|") && line.ends_with("|VIEW")), "{listed:?}");
    let shown = rows(&engine, "SHOW TABLES").await;
    assert!(shown.iter().any(|line| line.starts_with("lake|t|evolved|")), "{shown:?}");
    let columns = rows(&engine, "SHOW COLUMNS FROM t.evolved").await;
    assert_eq!(columns.len(), 4, "{columns:?}");
    assert_eq!(rows(&engine, "DESCRIBE t.evolved").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_engine_that_is_not_there_yet_has_no_rows_and_another_is_an_error() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    assert_eq!(value(&engine, "SELECT count(*) FROM gold.rt_video_stats_1min").await, "0");
    let refusal = engine.collect("SELECT * FROM t.day").await.unwrap_err();
    assert_eq!(refusal.code(), ErrorCode::BadSql);
    assert!(refusal.to_string().contains("did you mean t.days?"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_can_be_asked_on_any_lake() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let listing = engine.listing().await.unwrap();
    let all: Vec<&str> = pulselake_query::views::serving_views().iter().map(|view| view.name).collect();
    assert_eq!(listing.views.len(), all.len(), "{listing:?}");
    for name in all {
        engine
            .collect(&format!("SELECT * FROM {name}"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_sees_the_tables_as_they_were_when_it_was_planned() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let before: i64 = value(&engine, "SELECT count(*) FROM t.evolved").await.parse().unwrap();
    let planned =
        engine.plan("SELECT one.id FROM t.evolved AS one JOIN t.evolved AS other ON one.id = other.id");
    let planned = planned.await.unwrap();
    let file = lake
        .write(
            &ident("evolved"),
            Struct::empty(),
            vec![longs([1_000_000]), strings(["v3"]), nullable_longs(&[None]), strings(["late"])],
        )
        .await;
    lake.append(&ident("evolved"), vec![file]).await;
    let seen = texts(&planned.execute(None).await.unwrap().try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(seen.len() as i64, before);
    assert_eq!(value(&engine, "SELECT count(*) FROM t.evolved").await, (before + 1).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_without_deletes_reads_nothing_and_one_with_deletes_does() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let plan = plan_of(&engine, "SELECT count(*) FROM t.days").await;
    assert!(!plan.contains("LakeScan"), "{plan}");
    let plan = plan_of(&engine, "SELECT count(*) FROM t.evolved").await;
    assert!(plan.contains("LakeScan: table=t.evolved, files=2, with_deletes=2"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_leave_out_files_and_a_limit_does() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    for (filter, files) in [
        ("at >= TIMESTAMP '2026-02-09 00:00:00' AND at < TIMESTAMP '2026-02-11 00:00:00'", 2),
        ("at > TIMESTAMPTZ '2026-02-11 23:00:00+00:00'", 2),
        // The files say nothing of other columns: within them, pages are left out.
        ("day = DATE '2026-02-08'", DAYS),
        ("video_id = 'nobody'", DAYS),
    ] {
        let plan = plan_of(&engine, &format!("SELECT video_id FROM t.days WHERE {filter}")).await;
        assert!(plan.contains(&format!("table=t.days, files={files}")), "{filter}: {plan}");
        assert!(!plan.contains("FilterExec"), "{filter}: {plan}");
    }
    let plan = plan_of(&engine, "SELECT video_id FROM t.days LIMIT 10").await;
    assert!(plan.contains("files=1, ") && plan.contains("limit=10"), "{plan}");
    assert_eq!(rows(&engine, "SELECT video_id FROM t.days LIMIT 10").await.len(), 10);
    assert_eq!(rows(&engine, "SELECT video_id FROM t.days WHERE part = 3 LIMIT 700").await.len(), 700);
    assert_eq!(
        value(&engine, "SELECT count(*) FROM t.days WHERE part = 3").await,
        (DAYS * ROWS_OF_A_DAY / 5).to_string()
    );
}

async fn plan_of(engine: &QueryEngine, sql: &str) -> String {
    rows(engine, &format!("EXPLAIN {sql}")).await.join("\n")
}
