//! Restatements of gold: beside the stream, beside compaction, and never twice.
#![allow(clippy::unwrap_used)]

mod cold_parts;
mod common;
mod restate_parts;

use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use cold_parts::stream_of;
use common::{Place, advance, request};
use futures::stream;
use pulselake_lake::{CommitError, Lake, LakeError, LedgeredAppend, RestateError, Restatement};
use pulselake_ledger::{OffsetRanges, RESTATED_PROPERTY, ReplayLedger, Restated};
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use pulselake_model::tables::LakeTable;
use restate_parts::*;

#[tokio::test]
async fn differences_are_added_and_the_ledger_stays() {
    let place = Place::new();
    let lake = place.lake().await;
    stream_commit(&lake, 0, &[("v_1", 0, 5), ("v_2", 0, 7), ("v_1", 1_439, 1)]).await;
    let before = ledger_texts(&lake).await;
    let base = begin(&lake).await.unwrap();
    assert_eq!(
        (base.revision(), base.date(), base.ledger().partition("content_events", 0).unwrap().next),
        (1, date(), 10)
    );
    let done = restate(&lake, &base, &[("v_1", 0, -2), ("v_3", 9, 4), ("v_1", 1_439, 1)]).await.unwrap();
    assert_eq!((done.rows, done.revision), (3, 1));
    assert_eq!(done.snapshot_id, lake.load(GOLD).await.unwrap().metadata().current_snapshot_id());

    let (sums, rows) = gold(&lake).await;
    assert_eq!(sums, sums_of(&[("v_1", 0, 3), ("v_2", 0, 7), ("v_1", 1_439, 2), ("v_3", 9, 4)]));
    let of = |video: &str, minute, likes| (video.to_string(), minute, 1, likes);
    assert_eq!(rows, [of("v_1", 0, -2), of("v_1", 1_439, 1), of("v_3", 9, 4)]);
    assert_eq!(ledger_texts(&lake).await, before, "the ledger is what it was");
    assert_eq!(restated(&lake).await, Restated { number: 1, sums: all_counts(3) });

    // The stream goes on where it was, and says what was restated.
    let next = stream_commit(&lake, 1, &[("v_2", 0, 1)]).await;
    assert_eq!(next.ledger.partition("content_events", 0).unwrap().seq, 2);
    assert_eq!(restated(&lake).await, Restated { number: 1, sums: all_counts(3) });
    let again = begin(&lake).await.unwrap();
    assert_eq!(again.revision(), 2);
    restate(&lake, &again, &[("v_1", 0, 1)]).await.unwrap();
    assert_eq!(restated(&lake).await, Restated { number: 2, sums: all_counts(4) });
}

#[tokio::test]
async fn what_the_stream_commits_meanwhile_is_no_difference_and_another_restatement_is() {
    let place = Place::new();
    let lake = place.lake().await;
    stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let (base, other) = (begin(&lake).await.unwrap(), begin(&lake).await.unwrap());
    stream_commit(&lake, 1, &[("v_1", 0, 2)]).await;
    restate(&lake, &base, &[("v_1", 0, 10)]).await.unwrap();
    let refused = restate(&lake, &other, &[("v_1", 0, 10)]).await.unwrap_err();
    assert!(matches!(refused, RestateError::Moved { .. }), "{refused}");
    assert_eq!(gold(&lake).await.0, sums_of(&[("v_1", 0, 17)]));
    assert_eq!(place.files(GOLD, ".parquet").len(), 3, "the refused one's file is gone");
    stream_commit(&lake, 2, &[]).await;
}

#[tokio::test]
async fn a_day_that_needs_no_correction_makes_no_commit() {
    let place = Place::new();
    let lake = place.lake().await;
    let receipt = stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let base = begin(&lake).await.unwrap();
    let done = restate(&lake, &base, &[]).await.unwrap();
    assert_eq!(done, Restatement { rows: 0, files: 0, revision: 1, snapshot_id: None });
    assert_eq!(lake.load(GOLD).await.unwrap().metadata().current_snapshot_id(), Some(receipt.snapshot_id));
    assert_eq!(restated(&lake).await, Restated::default());
}

#[tokio::test]
async fn compaction_folds_restatements_by_themselves_and_keeps_their_account() {
    let place = Place::new();
    let lake = place.lake().await;
    stream_commit(&lake, 0, &[("v_1", 0, 5), ("v_2", 3, 1)]).await;
    for difference in [-3, 4, 10] {
        let base = begin(&lake).await.unwrap();
        restate(&lake, &base, &[("v_1", 0, difference)]).await.unwrap();
    }
    let compact = async |lake: &Lake| {
        let policy = TablePolicy { min_input_files: 2, ..TablePolicy::video_stats() };
        let ident = pulselake_lake::table_ident(GOLD);
        compact_table(lake.catalog().as_ref(), &ident, &Compaction::new(policy)).await.unwrap()
    };
    let base = begin(&lake).await.unwrap();
    let report = compact(&lake).await;
    assert!(!report.planned.is_empty());
    let (sums, rows) = gold(&lake).await;
    assert_eq!(sums, sums_of(&[("v_1", 0, 16), ("v_2", 3, 1)]));
    assert_eq!(rows, [("v_1".to_string(), 0, 3, 11)], "folded beside the stream's row of the window");
    assert_eq!(restated(&lake).await, Restated { number: 3, sums: all_counts(11) });
    // Compaction is no reason to compute the differences again.
    assert_eq!(restate(&lake, &base, &[("v_2", 3, 1)]).await.unwrap().revision, 4);
    compact(&lake).await;
    stream_commit(&lake, 1, &[("v_2", 3, 1)]).await;
    assert_eq!(gold(&lake).await.0, sums_of(&[("v_1", 0, 16), ("v_2", 3, 3)]));
    assert_eq!(restated(&lake).await, Restated { number: 4, sums: all_counts(12) });
}

fn bad_rows(refused: RestateError<Infallible>) -> String {
    match refused {
        RestateError::Commit(CommitError::Failed { source: LakeError::BadBatch { reason, .. }, .. }) => {
            reason
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn rows_that_are_no_differences_of_the_day_are_refused() {
    let place = Place::new();
    let lake = place.lake().await;
    stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let base = begin(&lake).await.unwrap();
    for minute in [-1, 1_440] {
        let reason = bad_rows(restate(&lake, &base, &[("v_1", 0, 1), ("v_1", minute, 1)]).await.unwrap_err());
        assert!(reason.contains("no minute of 1970-01-02"), "{reason}");
    }
    let good = differences(&[("v_1", 0, 1)]);
    let names: Vec<String> = good.schema().fields().iter().map(|field| field.name().clone()).collect();
    let column = |name: &String| good.column_by_name(name).unwrap().clone();
    let without = |name: &str| {
        let kept = names.iter().filter(|field| *field != name);
        RecordBatch::try_from_iter(kept.map(|field| (field.clone(), column(field)))).unwrap()
    };
    let with = |name: &str, other: ArrayRef| {
        let shown = |field: &String| if field == name { other.clone() } else { column(field) };
        let columns = names.iter().map(|field| (field.clone(), shown(field), true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    for (batch, words) in [
        (without("skips"), "no column skips"),
        (with("likes", Arc::new(Int64Array::from(vec![None]))), "nulls in column likes"),
        (with("likes", Arc::new(Int32Array::from(vec![1]))), "column likes is Int32"),
        (with("window_start", moments([minute_us(0) + 1].into_iter())), "no minute of"),
    ] {
        let refused = lake.append_restatement(&base, stream_of(vec![good.clone(), batch])).await;
        let reason = bad_rows(refused.unwrap_err());
        assert!(reason.contains(words), "{reason}");
    }
    let broken = stream::iter([Ok(good.clone()), Err(std::io::Error::other("the query ended"))]);
    let failed = lake.append_restatement(&base, broken).await.unwrap_err();
    assert!(matches!(&failed, RestateError::Rows(_)), "{failed}");
    assert_eq!(place.files(GOLD, ".parquet").len(), 1, "nothing of them is left");
    assert_eq!(restate(&lake, &base, &[("v_1", 0, 1)]).await.unwrap().revision, 1);
}

#[tokio::test]
async fn a_day_that_is_not_settled_is_refused() {
    let place = Place::new();
    let lake = place.lake().await;
    let nothing = begin(&lake).await.unwrap_err().to_string();
    assert!(nothing.contains("counted nothing yet"), "{nothing}");

    stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let mut open = advance(0, 1, 20);
    (open.entry.closed_through, open.entry.counts.open) = (Some(minute_us(1_439)), 3);
    lake.append(GOLD, &request(vec![open.clone()])).await.unwrap();
    let refused = begin(&lake).await.unwrap_err().to_string();
    assert!(refused.contains("content_events-0") && refused.contains("not closed"), "{refused}");
    // The day before is over for it.
    lake.begin_restatement::<Infallible>("1970-01-01".parse().unwrap()).await.unwrap();
    let mut closed = advance(0, 2, 20);
    closed.entry.closed_through = Some(minute_us(1_440));
    lake.append(GOLD, &request(vec![closed])).await.unwrap();
    let base = begin(&lake).await.unwrap();

    // A replay of the quarantine is half done: bronze has its records, gold has not.
    let offsets: OffsetRanges = serde_json::from_str("[[3,4]]").unwrap();
    let replay = |seq| {
        let entry = ReplayLedger { seq, offsets: [(0, offsets.clone())].into(), ..ReplayLedger::default() };
        LedgeredAppend { replayed: Some(("content_events".to_string(), entry)), ..request(Vec::new()) }
    };
    lake.append(LakeTable::RawEvents, &replay(1)).await.unwrap();
    let refused = begin(&lake).await.unwrap_err().to_string();
    assert!(refused.contains("quarantine replay"), "{refused}");
    // It is finished between the differences and their commit: they may be in it.
    lake.append(GOLD, &replay(1)).await.unwrap();
    let moved = restate(&lake, &base, &[("v_1", 0, 1)]).await.unwrap_err();
    assert!(matches!(moved, RestateError::Moved { what } if what.contains("replay")), "{moved}");
    let base = begin(&lake).await.unwrap();
    restate(&lake, &base, &[("v_1", 0, 1)]).await.unwrap();
}

#[tokio::test]
async fn a_restatement_that_was_rolled_back_is_in_no_account() {
    let place = Place::new();
    let lake = place.lake().await;
    let first = stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let base = begin(&lake).await.unwrap();
    let kept = restate(&lake, &base, &[("v_1", 0, 1)]).await.unwrap();
    let stale = begin(&lake).await.unwrap();
    restate(&lake, &stale, &[("v_1", 0, 2)]).await.unwrap();
    // By one restatement: the stream's ledger is the same on both, nobody has to do anything.
    roll_back(&lake, kept.snapshot_id.unwrap()).await;
    assert_eq!(restated(&lake).await, Restated { number: 1, sums: all_counts(1) });
    stream_commit(&lake, 1, &[("v_2", 0, 1)]).await;
    assert_eq!(restated(&lake).await, Restated { number: 1, sums: all_counts(1) });

    // By all of it, over a commit of the stream: `ledger rewind` also puts the property right.
    roll_back(&lake, first.snapshot_id).await;
    let refused = begin(&lake).await.unwrap_err();
    assert!(refused.to_string().contains("ledger rewind"), "{refused}");
    let late = restate(&lake, &stale, &[("v_1", 0, 2)]).await.unwrap_err();
    assert!(matches!(&late, RestateError::Commit(CommitError::Stopped { .. })), "{late}");
    lake.rewind(GOLD).await.unwrap();
    assert_eq!(restated(&lake).await, Restated::default());
    let property = lake.view(GOLD).await.unwrap().property(RESTATED_PROPERTY).map(str::to_string);
    assert_eq!(property, Some(Restated::default().to_json()));
    assert_eq!(gold(&lake).await.0, sums_of(&[("v_1", 0, 5)]));
    assert_eq!(begin(&lake).await.unwrap().revision(), 1);
}
