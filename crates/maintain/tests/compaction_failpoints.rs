//! Compaction that fails, or does not know whether it did: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

#[path = "../../lake/tests/common/armed.rs"]
mod armed;
#[path = "../../read/tests/support/mod.rs"]
mod support;

use armed::{Armed, turn};
use iceberg::TableIdent;
use iceberg::spec::{FormatVersion, PrimitiveType, Struct};
use pulselake_maintain::compaction::{
    AFTER_COMMIT, BEFORE_COMMIT, BEFORE_OUTPUT_CLOSE, Compaction, CompactionError, CompactionReport,
    TablePolicy, compact_table,
};
use support::{Lake, longs, schema};

async fn table_of_five_files(lake: &Lake) -> TableIdent {
    let ident =
        lake.create("t", FormatVersion::V2, schema(&[("id", PrimitiveType::Long, true)]), &[], &["id"]).await;
    for file in 0..5 {
        lake.append(&ident, vec![lake.write(&ident, Struct::empty(), vec![longs([file, 100 + file])]).await])
            .await;
    }
    ident
}

async fn compact(lake: &Lake, ident: &TableIdent) -> Result<CompactionReport, CompactionError> {
    let mut compaction = Compaction::new(TablePolicy::dimension("id"));
    compaction.budget.commit.patience = std::time::Duration::ZERO;
    let result = compact_table(lake.catalog.as_ref(), ident, &compaction).await;
    assert_eq!(compaction.meter.reserved_bytes(), 0);
    result
}

fn files_on_disk(lake: &Lake) -> usize {
    std::fs::read_dir(lake.directory.path().join("t/data")).unwrap().count()
}

async fn live_files(lake: &Lake, ident: &TableIdent) -> usize {
    let wanted = pulselake_read::PartitionPredicate::all();
    pulselake_read::plan_table(&lake.table(ident).await, None, &wanted).await.unwrap().files.len()
}

/// The next run does the rest, and one more does nothing.
async fn assert_recovers(lake: &Lake, ident: &TableIdent, rows: &[String]) {
    let report = compact(lake, ident).await.unwrap();
    assert!(report.is_finished);
    assert_eq!(lake.rows(ident).await, rows);
    assert_eq!(live_files(lake, ident).await, 1);
    assert_eq!(compact(lake, ident).await.unwrap().groups, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_the_commit_leaves_the_table_and_no_file() {
    let _turn = turn().await;
    for point in [BEFORE_OUTPUT_CLOSE, BEFORE_COMMIT] {
        let lake = Lake::new().await;
        let ident = table_of_five_files(&lake).await;
        let rows = lake.rows(&ident).await;
        let armed = Armed::with(point, "1*return");
        compact(&lake, &ident).await.unwrap_err();
        drop(armed);
        assert_eq!((live_files(&lake, &ident).await, files_on_disk(&lake)), (5, 5), "{point}");
        assert_recovers(&lake, &ident, &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_keeps_the_files() {
    let _turn = turn().await;
    for (point, has_landed) in
        [(BEFORE_COMMIT, false), ("lake::before_catalog_swap", false), ("lake::after_catalog_swap", true)]
    {
        let lake = Lake::new().await;
        let ident = table_of_five_files(&lake).await;
        let rows = lake.rows(&ident).await;
        let armed = Armed::with(point, "return(unknown)");
        let error = compact(&lake, &ident).await.unwrap_err();
        drop(armed);
        assert!(matches!(error, CompactionError::OutcomeUnknown { .. }), "{point}: {error}");
        assert_eq!(files_on_disk(&lake), 6, "{point}");
        assert_eq!(lake.rows(&ident).await, rows);
        assert_eq!(live_files(&lake, &ident).await, if has_landed { 1 } else { 5 });
        assert_recovers(&lake, &ident, &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_after_its_commit_has_done_its_work() {
    let _turn = turn().await;
    let lake = Lake::new().await;
    let ident = table_of_five_files(&lake).await;
    let rows = lake.rows(&ident).await;
    let armed = Armed::with(AFTER_COMMIT, "1*return");
    compact(&lake, &ident).await.unwrap_err();
    drop(armed);
    assert_eq!(live_files(&lake, &ident).await, 1);
    assert_recovers(&lake, &ident, &rows).await;
}
