//! A filter that the reader takes over, wholly or in part, keeps the rows that DataFusion's own filter keeps of everything.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use pulselake_query::QueryEngine;
use support::tables::texts;
use support::{DAY_US, DAYS, FIRST_DAY, OLD_ROWS, engine, everything, lake, rows};

/// Rows of both sides for this many filters; `PROPTEST_CASES` says otherwise.
const FILTERS: u32 = 96;

fn moment() -> impl Strategy<Value = String> {
    let first = FIRST_DAY * DAY_US;
    (first - DAY_US..first + (DAYS + 1) * DAY_US, any::<bool>()).prop_map(|(us, is_whole_day)| {
        let rounded = if is_whole_day { us - us.rem_euclid(DAY_US) } else { us - us.rem_euclid(1_000) };
        let at = chrono::DateTime::from_timestamp_micros(rounded).unwrap();
        format!("TIMESTAMP '{}'", at.format("%Y-%m-%d %H:%M:%S%.6f"))
    })
}

fn day() -> impl Strategy<Value = String> {
    (FIRST_DAY - 1..FIRST_DAY + DAYS + 1).prop_map(|days| {
        let date = chrono::DateTime::from_timestamp(days * 86_400, 0).unwrap();
        format!("DATE '{}'", date.format("%Y-%m-%d"))
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![(0..45_i64).prop_map(|n| format!("'v{n}'")), Just("''".to_string()), Just("'w'".to_string())]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-700..7_000_i64).prop_map(|n| n.to_string()),
        Just(i64::MAX.to_string()),
        Just(i64::from(i32::MAX).to_string()),
        Just("2.5".to_string()),
        Just("NULL".to_string()),
    ]
}

fn comparison(
    column: &'static str,
    literal: impl Strategy<Value = String> + Clone + 'static,
) -> BoxedStrategy<String> {
    let operator = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let compare = (operator, literal.clone(), any::<bool>()).prop_map(move |(operator, value, is_turned)| {
        if is_turned {
            format!("{value} {operator} {column}")
        } else {
            format!("{column} {operator} {value}")
        }
    });
    let list = (any::<bool>(), prop::collection::vec(literal.clone(), 1..6)).prop_map(
        move |(is_negated, values)| {
            format!("{column} {}IN ({})", if is_negated { "NOT " } else { "" }, values.join(", "))
        },
    );
    let between =
        (literal.clone(), literal).prop_map(move |(low, high)| format!("{column} BETWEEN {low} AND {high}"));
    let null =
        prop::sample::select(vec!["IS NULL", "IS NOT NULL"]).prop_map(move |is| format!("{column} {is}"));
    prop_oneof![4 => compare, 2 => list, 2 => between, 1 => null].boxed()
}

fn any_of(columns: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let leaf = prop::strategy::Union::new(columns);
    let filter = leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} AND {other})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} OR {other})")),
            1 => inner.prop_map(|one| format!("NOT ({one})")),
        ]
    });
    filter.boxed()
}

fn on_days() -> BoxedStrategy<String> {
    any_of(vec![
        comparison("at", moment().boxed()),
        comparison("video_id", text().boxed()),
        comparison("day", day().boxed()),
        comparison("part", (0..6_i64).prop_map(|n| n.to_string()).boxed()),
        comparison("likes", number().boxed()),
        Just("video_id LIKE 'v1%'".to_string()).boxed(),
    ])
}

fn on_evolved() -> BoxedStrategy<String> {
    any_of(vec![
        comparison("id", (0..2 * OLD_ROWS).prop_map(|n| n.to_string()).boxed()),
        comparison("name", text().boxed()),
        comparison("n", number().boxed()),
        comparison("extra", (OLD_ROWS..2 * OLD_ROWS).prop_map(|n| format!("'x{n}'")).boxed()),
    ])
}

async fn check(
    engine: &QueryEngine,
    plain: &SessionContext,
    name: &str,
    filter: &str,
) -> Result<(), TestCaseError> {
    let of = |table: &str| format!("SELECT * FROM {table} WHERE {filter}");
    let expected = match plain.sql(&of(name)).await {
        Ok(frame) => texts(&frame.collect().await.unwrap()),
        // Not every filter has types that fit; then both refuse it.
        Err(_) => {
            prop_assert!(engine.collect(&of(&format!("t.{name}"))).await.is_err(), "{filter}");
            return Ok(());
        }
    };
    let found = rows(engine, &of(&format!("t.{name}"))).await;
    prop_assert_eq!(found.len(), expected.len(), "{}", filter);
    prop_assert_eq!(found, expected, "{}", filter);
    Ok(())
}

#[test]
fn filtered_is_the_filter_of_everything() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (lake, engine, plain) = runtime.block_on(async {
        let lake = lake().await;
        let engine = engine(&lake).await;
        let plain = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        for name in ["days", "evolved"] {
            let batches = everything(&lake, name).await;
            let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
            plain.register_table(name, Arc::new(table)).unwrap();
        }
        (lake, engine, plain)
    });
    let mut runner =
        TestRunner::new(Config { cases: FILTERS, failure_persistence: None, ..Config::default() });
    let filters = prop_oneof![on_days().prop_map(|f| ("days", f)), on_evolved().prop_map(|f| ("evolved", f))];
    runner
        .run(&filters, |(name, filter)| runtime.block_on(check(&engine, &plain, name, &filter)))
        .unwrap_or_else(|failure| panic!("{failure}"));
    drop(lake);
}
