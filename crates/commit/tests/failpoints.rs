//! The points at which tests of the whole engine deceive a commit, on catalogs of two kinds: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use fail::FailScenario;
use iceberg::spec::{PrimitiveType, Type};
use pulselake_commit::{ChangeKind, CommitFailure, SchemaChange};
use support::{Kind, Outcome, Stage, files, look};

const SWAP: &str = "lake::catalog_swap";
const READ: &str = "lake::catalog_read";

/// Appends the row 2 to a table with the row 1 while a point is armed.
async fn append_two(stage: &Stage, point: &str, actions: &str) -> Outcome {
    let file = files::data(&stage.load().await, "a", &[2]).await;
    fail::cfg(point, actions).unwrap();
    let outcome = stage.try_commit(ChangeKind::Append { files: vec![file] }).await;
    fail::remove(point);
    outcome
}

async fn every_point(kind: Kind) {
    // Point, what it does, whether it lands (and then with how many attempts, found or made).
    let cases = [
        (SWAP, "1*return(error)", None),
        (SWAP, "1*return(unknown)", Some((2, true))),
        (SWAP, "1*return(late:10)", Some((1, false))),
        (SWAP, "1*return(late:600000)", Some((2, true))),
        (SWAP, "1*return(zombie:600)", Some((2, false))),
        (SWAP, "1*return(twice:10)", Some((1, false))),
        ("lake::before_catalog_swap", "1*return(error)", None),
        ("lake::before_catalog_swap", "1*return(unknown)", Some((2, false))),
        ("lake::after_catalog_swap", "1*return(unknown)", Some((2, true))),
        (READ, "1*return(error)", Some((2, false))),
    ];
    for (point, actions, expected) in cases {
        let mut stage = Stage::new(kind).await;
        stage.append("a", &[1]).await;
        stage.limits.answer_timeout = Duration::from_secs(1);
        let outcome = append_two(&stage, point, actions).await;
        let ids = look::ids(&stage.load().await).await;
        match (outcome, expected) {
            (Ok(landing), Some(wanted)) => {
                assert_eq!((landing.attempts, landing.already_there), wanted, "{kind:?} {point} {actions}");
                assert_eq!(ids, [1, 2], "{kind:?} {point} {actions}");
            }
            (Err(CommitFailure::Failed { source, files_may_be_deleted: true }), None) => {
                assert!(source.is_transient() && source.to_string().contains(point), "{source}");
                assert_eq!(ids, [1], "{kind:?} {point} {actions}");
                look::assert_nothing_left_behind(&stage.load().await, ".avro").await;
            }
            (other, _) => panic!("{kind:?} {point} {actions}: {other:?}"),
        }
        assert_eq!(look::commit_ids(&stage.load().await).len(), ids.len(), "{kind:?} {point} {actions}");
    }
}

/// A schema has no commit id by which it could be found: an attempt without an answer is made again, and finds it done.
async fn an_evolution_of_unknown_outcome(kind: Kind) {
    for actions in
        ["1*return(unknown)", "1*return(late:600000)", "1*return(zombie:600)", "1*return(twice:10)"]
    {
        let mut stage = Stage::new(kind).await;
        stage.append("a", &[1]).await;
        stage.limits.answer_timeout = Duration::from_secs(1);
        fail::cfg(SWAP, actions).unwrap();
        let field_type = Type::Primitive(PrimitiveType::Long);
        let changes = vec![SchemaChange::AddColumn { name: "size".to_string(), field_type }];
        stage.try_commit(ChangeKind::EvolveSchema { changes }).await.unwrap();
        fail::remove(SWAP);
        let table = stage.load().await;
        assert_eq!(table.metadata().current_schema().field_id_by_name("size"), Some(3), "{kind:?} {actions}");
        assert_eq!(table.metadata().last_column_id(), 3, "{kind:?} {actions}");
        assert_eq!(look::ids(&table).await, [1]);
    }
}

#[tokio::test]
async fn sqlite() {
    let scenario = FailScenario::setup();
    every_point(Kind::Sqlite).await;
    an_evolution_of_unknown_outcome(Kind::Sqlite).await;
    scenario.teardown();
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn rest() {
    let scenario = FailScenario::setup();
    every_point(Kind::Rest).await;
    an_evolution_of_unknown_outcome(Kind::Rest).await;
    scenario.teardown();
}
