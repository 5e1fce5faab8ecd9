//! Queries that would take too long, too much memory or too many rows, that would write, or make no sense.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use pulselake_query::output::{OutputFormat, SharedBuffer};
use pulselake_query::{EngineSettings, ErrorCode, Position, QueryEngine, QueryError, QueryLimits, Summary};
use support::{engine, lake, settings, value};

async fn run(engine: &QueryEngine, sql: &str, limits: QueryLimits) -> Result<(Summary, String), QueryError> {
    let buffer = SharedBuffer::new(1 << 20);
    let summary = engine.run(sql, limits, &mut *OutputFormat::Csv.writer(buffer.clone())).await?;
    Ok((summary, String::from_utf8(buffer.take()).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_query_ends_with_its_time() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let limits = QueryLimits { max_rows: None, timeout: Some(Duration::from_millis(300)) };
    for sql in [
        "SELECT count(*) FROM generate_series(1, 1000000000000000)",
        "SELECT sum(a.likes * b.likes + c.likes) FROM t.days AS a CROSS JOIN t.days AS b CROSS JOIN t.days AS c",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        "SELECT a.value FROM generate_series(1, 100000000) AS a JOIN generate_series(1, 100000000) AS b ON a.value < b.value ORDER BY 1",
    ] {
        let started = Instant::now();
        let refusal = run(&engine, sql, limits).await.unwrap_err();
        assert!(matches!(refusal.code(), ErrorCode::Timeout | ErrorCode::Memory), "{sql}: {refusal}");
        assert!(started.elapsed() < Duration::from_secs(10), "{sql}: {:?}", started.elapsed());
    }
    // What was left behind does not stand in the way.
    assert_eq!(value(&engine, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_its_memory_is_refused_and_the_next_one_works() {
    let lake = lake().await;
    let small = EngineSettings { memory_bytes: 8 << 20, spill_bytes: 0, ..settings(&lake) };
    let engine = QueryEngine::open(&small).await.unwrap();
    for sql in [
        "SELECT count(DISTINCT value) FROM generate_series(1, 20000000)",
        "SELECT * FROM generate_series(1, 20000000) AS t(value) ORDER BY value % 1000, value DESC",
        "SELECT count(*) FROM generate_series(1, 5000000) AS a JOIN generate_series(1, 5000000) AS b ON a.value = b.value",
    ] {
        let refusal = engine.collect(sql).await.unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::Memory, "{sql}: {refusal}");
    }
    let positive = value(&engine, "SELECT count(*) FROM t.evolved WHERE n > 0").await;
    assert!(positive.parse::<u64>().is_ok(), "{positive}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sorting_more_than_fits_goes_to_disk() {
    let lake = lake().await;
    let small = EngineSettings { memory_bytes: 12 << 20, ..settings(&lake) };
    let engine = QueryEngine::open(&small).await.unwrap();
    let numbered =
        "SELECT row_number() OVER (ORDER BY value % 977, value) AS place FROM generate_series(1, 800000)";
    let sql = format!("SELECT max(place) FROM ({numbered}) AS t");
    assert_eq!(value(&engine, &sql).await, "800000");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_are_cut_off_and_said() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let most = |rows| QueryLimits { max_rows: Some(rows), timeout: None };
    for (limit, count, is_cut) in [(2, 2, true), (3, 3, false), (4, 3, false), (0, 0, true)] {
        let (summary, text) =
            run(&engine, "SELECT * FROM (VALUES (1), (2), (3)) AS t(n)", most(limit)).await.unwrap();
        assert_eq!((summary.row_count, summary.truncated), (count, is_cut), "{limit}");
        assert_eq!(text.lines().count() as u64, count + 1, "{text}");
    }
    let (summary, _) = run(&engine, "EXPLAIN SELECT * FROM t.days", most(1)).await.unwrap();
    assert!(summary.truncated);
    let (summary, _) = run(&engine, "SELECT id FROM t.evolved ORDER BY id DESC", most(5)).await.unwrap();
    assert_eq!((summary.row_count, summary.truncated), (5, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_written_or_set() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let outside = lake.directory.path().join("stolen.csv");
    let copy = format!("COPY (SELECT * FROM t.days) TO '{}' STORED AS CSV", outside.display());
    let external = format!("CREATE EXTERNAL TABLE x (a INT) STORED AS CSV LOCATION '{}'", outside.display());
    for sql in [
        "INSERT INTO t.days SELECT * FROM t.days",
        "INSERT INTO t.days (video_id, at, part) VALUES ('a', now(), 1)",
        "DELETE FROM t.days WHERE part = 1",
        "UPDATE t.days SET part = 1",
        "TRUNCATE TABLE t.days",
        &copy,
        &external,
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE SCHEMA x",
        "CREATE DATABASE x",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        "DROP TABLE t.days",
        "DROP VIEW v_dim_videos",
        "DROP SCHEMA t",
        "SET datafusion.execution.target_partitions = 100",
        "RESET datafusion.execution.target_partitions",
        "SET TIME ZONE 'Europe/Berlin'",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "BEGIN",
        "EXPLAIN INSERT INTO t.days SELECT * FROM t.days",
        "EXPLAIN ANALYZE INSERT INTO t.days SELECT * FROM t.days",
        "ALTER TABLE t.days ADD COLUMN x INT",
        "ANALYZE TABLE t.days",
        "SELECT 1; DROP TABLE t.days",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * INTO x FROM t.days",
    ] {
        let refusal = engine.collect(sql).await.unwrap_err();
        assert!(matches!(refusal.code(), ErrorCode::ReadOnly | ErrorCode::BadSql), "{sql}: {refusal:?}");
    }
    for sql in ["DELETE FROM t.days", &copy, "DROP TABLE t.days", "SET datafusion.execution.batch_size = 1"] {
        let refusal = engine.collect(sql).await.unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::ReadOnly, "{sql}: {refusal}");
        assert!(refusal.to_string().contains("only SELECT"), "{refusal}");
    }
    assert!(!outside.exists());
    assert_eq!(value(&engine, "SELECT count(*) FROM t.days").await, "7200");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_statements_say_where_they_are_bad() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    for (sql, position, words) in [
        ("SELECT\n  FORM t.days", None, ""),
        ("SELECT 1 FROM t.days WHERE (", None, ""),
        ("SELECT video_id,\n  nope\nFROM t.days", Some(Position { line: 2, column: 3 }), "nope"),
        ("SELECT other.id FROM t.evolved", Some(Position { line: 1, column: 8 }), "other"),
        ("SELEC 1", Some(Position { line: 1, column: 1 }), "SELEC"),
        ("SELECT nope(1)", None, "nope"),
        ("SELECT video_id + 1 AS n FROM t.days WHERE at = 'never'", None, ""),
        ("", None, "No SQL statements"),
    ] {
        let refusal = engine.collect(sql).await.unwrap_err();
        assert!(matches!(refusal.code(), ErrorCode::BadSql | ErrorCode::Execution), "{sql}: {refusal:?}");
        assert!(refusal.to_string().contains(words), "{sql}: {refusal}");
        if position.is_some() {
            assert_eq!(refusal.position(), position, "{sql}: {refusal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_rows_are_no_defects() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    for sql in ["SELECT 1 / (part - part) FROM t.days", "SELECT CAST(video_id AS INT) FROM t.days"] {
        let refusal = engine.collect(sql).await.unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::Execution, "{sql}: {refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_parentheses_are_an_error_and_not_the_end() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let nested = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(engine.collect(&nested).await.unwrap_err().code(), ErrorCode::BadSql);
    let sum = |terms: usize| format!("SELECT {}1", "1 + ".repeat(terms));
    assert_eq!(engine.collect(&sum(100_000)).await.unwrap_err().code(), ErrorCode::BadSql);
    assert_eq!(value(&engine, &sum(490)).await, "491");
    assert_eq!(value(&engine, "SELECT 1").await, "1");
}
