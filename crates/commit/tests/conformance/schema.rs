//! Schemas that grow, and tables whose schema has grown.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use iceberg::spec::{FormatVersion, PrimitiveType, Type};
use iceberg::table::Table;
use parking_lot::Mutex;
use pulselake_commit::{
    ChangeKind, CommitFailure, Conflict, Rewrite, RowDelta, SchemaChange, Unguarded, commit,
};

use crate::races::Stale;
use crate::support::{Kind, Place, Stage, change, files, look};

fn add(name: &str, kind: PrimitiveType) -> SchemaChange {
    SchemaChange::AddColumn { name: name.to_string(), field_type: Type::Primitive(kind) }
}

fn promote(name: &str, to: PrimitiveType) -> SchemaChange {
    SchemaChange::PromoteColumn { name: name.to_string(), to }
}

fn evolve(changes: &[SchemaChange]) -> ChangeKind {
    ChangeKind::EvolveSchema { changes: changes.to_vec() }
}

/// Id, name and type of each column.
fn columns(table: &Table) -> Vec<String> {
    let fields = table.metadata().current_schema().as_struct().fields();
    fields.iter().map(|field| format!("{} {} {}", field.id, field.name, field.field_type)).collect()
}

pub async fn columns_are_added_and_widened(kind: Kind) {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        let mut place = Place::new(kind);
        place.format_version = version;
        let stage = Stage::of(place).await;
        stage.append("a", &[1]).await;
        let before = stage.load().await;
        let changes = [add("size", PrimitiveType::Int), add("ratio", PrimitiveType::Float)];
        let landing = stage.try_commit(evolve(&changes)).await.unwrap();
        assert_eq!((landing.attempts, landing.already_there), (1, false));
        assert_eq!(landing.snapshot_id, before.metadata().current_snapshot_id());
        let widened = stage.commit(evolve(&[promote("size", PrimitiveType::Long)])).await;
        let loaded = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
        for table in [&widened, &loaded] {
            assert_eq!(columns(table), ["1 id long", "2 category string", "3 size long", "4 ratio float"]);
            assert_eq!(table.metadata().last_column_id(), 4);
            assert_eq!(table.metadata().snapshots().count(), 1);
            assert_eq!(table.metadata().schemas_iter().count(), 3);
            assert_eq!(table.metadata().format_version(), version);
        }
        // All of it again is nothing.
        let again = stage.try_commit(evolve(&changes)).await.unwrap();
        assert_eq!(again.table.metadata_location(), loaded.metadata_location());
        assert_eq!(stage.ids().await, [1]);
    }
}

pub async fn a_column_that_contradicts_is_refused(kind: Kind) {
    let stage = Stage::new(kind).await;
    let before = stage.commit(evolve(&[add("size", PrimitiveType::Long)])).await;
    let cases = [
        (
            promote("category", PrimitiveType::Long),
            Conflict::ColumnType { column: "category".into(), found: "string".into(), wanted: "long".into() },
        ),
        (
            add("size", PrimitiveType::Double),
            Conflict::ColumnType { column: "size".into(), found: "long".into(), wanted: "double".into() },
        ),
        (promote("nope", PrimitiveType::Long), Conflict::ColumnMissing { column: "nope".into() }),
        (
            add("SIZE", PrimitiveType::Long),
            Conflict::ColumnNameTaken { column: "SIZE".into(), existing: "size".into() },
        ),
    ];
    for (wrong, expected) in cases {
        match stage.try_commit(evolve(&[add("other", PrimitiveType::String), wrong])).await {
            Err(CommitFailure::Conflict { conflict, .. }) => assert_eq!(conflict, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stage.load().await.metadata_location(), before.metadata_location());
}

/// Files written under each schema that the table had, and every kind of change, after the last of them.
pub async fn an_evolved_table_takes_every_change(kind: Kind) {
    let mut stage = Stage::new(kind).await;
    stage.limits.manifests_to_merge = 3;
    let at_first = stage.load().await;
    stage.append("a", &[1]).await;
    let late = files::data(&at_first, "a", &[2]).await;
    let with_size = stage.commit(evolve(&[add("size", PrimitiveType::Int)])).await;
    let narrow = files::data(&with_size, "a", &[3]).await;
    let narrow_late = files::data(&with_size, "a", &[4]).await;
    let delete = files::equality_delete(&with_size, "a", &[1]).await;
    stage.commit(ChangeKind::Append { files: vec![narrow] }).await;
    stage.commit(evolve(&[promote("size", PrimitiveType::Long), add("note", PrimitiveType::String)])).await;
    stage.commit(ChangeKind::Append { files: vec![late] }).await;
    stage.append("a", &[5]).await;
    let data = vec![narrow_late];
    let landed = stage
        .commit(ChangeKind::RowDelta(RowDelta { data, deletes: vec![delete], ..RowDelta::default() }))
        .await;
    let (metadata, snapshot) = (landed.metadata(), landed.metadata().current_snapshot().unwrap());
    assert_eq!(snapshot.schema_id(), Some(metadata.current_schema_id()));
    assert_eq!(stage.ids().await, [2, 3, 4, 5]);

    let before = look::live(&landed).await;
    let clustered = stage.commit(ChangeKind::RewriteManifests { target_bytes: 1 << 20 }).await;
    assert_eq!(look::live(&clustered).await, before);
    assert_eq!(stage.ids().await, [2, 3, 4, 5]);
    let rewrite = Rewrite {
        planned_sequence_number: clustered.metadata().last_sequence_number(),
        remove: before.into_keys().collect(),
        partitions: HashSet::from([(metadata.default_partition_spec_id(), files::partition("a"))]),
        seen_in: HashSet::new(),
        add: vec![files::data(&clustered, "a", &[2, 3, 4, 5]).await],
    };
    let rewritten = stage.commit(ChangeKind::Rewrite(rewrite)).await;
    assert_eq!(look::live(&rewritten).await.len(), 1);
    assert_eq!(stage.ids().await, [2, 3, 4, 5]);
    assert_eq!(columns(&rewritten)[2..], ["3 size long", "4 note string"]);
}

/// The second one sees the table as it was before the first.
pub async fn evolvers_that_race_both_win(kind: Kind) {
    for (second, expected) in [
        (add("other", PrimitiveType::Long), vec!["3 size int", "4 other long"]),
        (add("size", PrimitiveType::Int), vec!["3 size int"]),
        (add("size", PrimitiveType::Long), vec!["3 size long"]),
    ] {
        let stage = Stage::new(kind).await;
        let old = stage.load().await;
        stage.commit(evolve(&[add("size", PrimitiveType::Int)])).await;
        let stale = Stale { inner: stage.catalog.clone(), old: Mutex::new(Some(old)) };
        let work = change(evolve(std::slice::from_ref(&second)));
        let landing = commit(&stale, &stage.table, &work, &Unguarded, &stage.limits).await.unwrap();
        assert_eq!((landing.attempts, landing.conflicts), (2, 1), "{second:?}");
        let fresh = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
        assert_eq!(columns(&fresh)[2..], expected);
    }
    let stage = Stage::new(kind).await;
    let old = stage.load().await;
    stage.commit(evolve(&[add("size", PrimitiveType::String)])).await;
    let stale = Stale { inner: stage.catalog.clone(), old: Mutex::new(Some(old)) };
    let work = change(evolve(&[add("size", PrimitiveType::Int)]));
    let refused = commit(&stale, &stage.table, &work, &Unguarded, &stage.limits).await;
    assert!(matches!(refused, Err(CommitFailure::Conflict { conflict: Conflict::ColumnType { .. }, .. })));
}

/// Evolvers and appenders at once: every column and every row is there.
pub async fn evolvers_and_appenders_race(kind: Kind) {
    const EACH: usize = 6;
    let stage = Arc::new(Stage::new(kind).await);
    let evolving = ["x", "y"].map(|prefix| {
        let stage = stage.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let own = add(&format!("{prefix}{number}"), PrimitiveType::Int);
                stage.commit(evolve(&[own, add(&format!("both{number}"), PrimitiveType::Long)])).await;
            }
        })
    });
    let appending = {
        let stage = stage.clone();
        tokio::spawn(async move {
            for id in 0..EACH as i64 {
                stage.append("a", &[id]).await;
            }
        })
    };
    for ended in join_all(evolving.into_iter().chain([appending])).await {
        ended.unwrap();
    }
    let fresh = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    let schema = fresh.metadata().current_schema();
    let names: HashSet<&str> = schema.as_struct().fields().iter().map(|field| field.name.as_str()).collect();
    let ids: HashSet<i32> = schema.as_struct().fields().iter().map(|field| field.id).collect();
    for number in 0..EACH {
        for prefix in ["x", "y", "both"] {
            assert!(names.contains(format!("{prefix}{number}").as_str()), "{prefix}{number} of {names:?}");
        }
    }
    assert_eq!((names.len(), ids.len()), (2 + 3 * EACH, 2 + 3 * EACH));
    assert_eq!(stage.ids().await, (0..EACH as i64).collect::<Vec<_>>());
}
