//! Erasures on a real catalog and real files: nothing of the id is left, nothing else is lost.

#![allow(clippy::unwrap_used)]

mod small_lake;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, LargeBinaryArray, StringArray};
use iceberg::spec::{
    Literal, PrimitiveType, Schema, SnapshotReference, SnapshotRetention, Struct, Transform,
    UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{TableIdent, TableUpdate};
use pulselake_commit::{ChangeKind, Guard, Judgement, Riders, commit, nearest_summary_value};
use pulselake_ledger::{Ledger, PROPERTY};
use pulselake_maintain::CarryLedger;
use pulselake_maintain::erase::{
    ERASED_PROPERTY, ERASURE_SUMMARY, EraseSettings, Subject, TextSearch, erase, erased_so_far,
};
use pulselake_read::{PartitionPredicate, plan_table};
use small_lake::cells::files_naming;
use small_lake::people::{USER, at_once, events, events_table, texts, user};
use small_lake::{SmallLake, change, silent};

/// Rejected records.
async fn invalid_table(lake: &SmallLake, values: &[&[u8]]) -> TableIdent {
    let columns = [
        ("raw_value", PrimitiveType::Binary),
        ("source_topic", PrimitiveType::String),
        ("source_partition", PrimitiveType::Int),
    ];
    let table = lake.create("invalid", &columns, &[]).await;
    let rows: Vec<ArrayRef> = vec![
        Arc::new(LargeBinaryArray::from_vec(values.to_vec())),
        Arc::new(StringArray::from(vec!["content_events"; values.len()])),
        Arc::new(Int32Array::from(vec![7; values.len()])),
    ];
    lake.append(&table, Struct::empty(), rows).await;
    table
}

fn users(ids: &[&str], names: &[&str]) -> Vec<ArrayRef> {
    vec![Arc::new(StringArray::from(ids.to_vec())), Arc::new(StringArray::from(names.to_vec()))]
}

/// A merge-on-read dimension: all users are in bucket 0.
async fn users_table(lake: &SmallLake) -> TableIdent {
    let columns = [("user_id", PrimitiveType::String), ("name", PrimitiveType::String)];
    let table = lake.create("users", &columns, &[(1, "user_bucket", Transform::Bucket(1))]).await;
    lake.append(&table, bucket(), users(&["u_3"], &["Cid"])).await;
    lake.append(&table, bucket(), users(&[USER, "u_2"], &["Ann", "Bob"])).await;
    for (id, name) in [(USER, "Anna"), ("u_2", "Bert")] {
        let key: ArrayRef = Arc::new(StringArray::from(vec![id]));
        lake.upsert(&table, bucket(), (1, key), users(&[id], &[name])).await;
    }
    table
}

fn bucket() -> Struct {
    Struct::from_iter([Some(Literal::int(0))])
}

/// Sets a ledger, as a commit of the stream does.
struct Stream(String);

impl Guard for Stream {
    type Refusal = std::convert::Infallible;

    fn judge(&self, _base: &iceberg::spec::TableMetadata) -> Result<Judgement, Self::Refusal> {
        let both = HashMap::from([(PROPERTY.to_string(), self.0.clone())]);
        Ok(Judgement::Commit(Riders { properties: both.clone(), summary: both }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_leaves_every_table_and_every_file() {
    let lake = SmallLake::new().await;
    let events_ident = events_table(&lake).await;
    lake.append(&events_ident, Struct::empty(), events(&["u_1", USER, "u_2", USER], 3, 0, "{}")).await;
    lake.append(&events_ident, Struct::empty(), events(&["u_1", "u_9"], 4, 0, "{}")).await;
    lake.append(&events_ident, Struct::empty(), events(&[USER], 4, 2, "{}")).await;
    let ledger = Ledger::new("cluster", "fingerprint").to_json();
    let append = change(ChangeKind::Append { files: Vec::new() });
    commit(&lake.catalog, &events_ident, &append, &Stream(ledger.clone()), &lake.limits).await.unwrap();
    let users_ident = users_table(&lake).await;
    let invalid_ident = invalid_table(
        &lake,
        &[
            br#"{"user_id":"u_8812","#,
            br#"{"user_id":"u_88123","#,
            br#"{"x":"\u0075_8812"}"#,
            br#"{"payload_json":"{\"user_id\":\"u_8812\"}"}"#,
        ],
    )
    .await;
    let others = lake.create("gold", &[("video_id", PrimitiveType::String)], &[]).await;
    lake.append(&others, Struct::empty(), vec![Arc::new(StringArray::from(vec![USER]))]).await;
    assert_eq!(texts(&lake, &users_ident, "name").await, ["Anna", "Bert", "Cid"]);

    let report = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let of =
        |ident: &TableIdent| report.tables.iter().find(|found| found.table == ident.to_string()).unwrap();
    assert_eq!((of(&events_ident).rows_erased, of(&events_ident).files_rewritten), (3, 2));
    assert_eq!(of(&events_ident).files_written, 1);
    // The visible row; the one that its own delete hid is gone with it, and a delete went with the file it applied to.
    let dims = of(&users_ident);
    assert_eq!(
        (dims.rows_erased, dims.files_found, dims.delete_files_found, dims.files_rewritten),
        (1, 2, 1, 3)
    );
    assert_eq!(of(&invalid_ident).rows_erased, 3);
    assert!(report.tables.iter().all(|found| found.table != others.to_string()));
    assert!(
        report.tables.iter().all(|found| found.snapshots_holding == 0 && !found.named_by_current_manifests)
    );

    assert_eq!(texts(&lake, &events_ident, "user_id").await, ["u_1", "u_1", "u_2", "u_9"]);
    assert_eq!(texts(&lake, &users_ident, "name").await, ["Bert", "Cid"]);
    assert_eq!(texts(&lake, &invalid_ident, "raw_value").await, [r#"{"user_id":"u_88123","#]);
    for table in [&events_ident, &users_ident] {
        assert_eq!(files_naming(&lake.place(table), USER), Vec::<String>::new());
    }
    assert_eq!(files_naming(&lake.place(&others), USER).len(), 2, "the file and the manifest with its bound");

    let loaded = lake.load(&events_ident).await;
    let erased = erased_so_far(loaded.metadata()).unwrap();
    assert_eq!(serde_json::to_string(&erased).unwrap(), r#"{"content_events":{"3":2,"4":1}}"#);
    assert_eq!(loaded.metadata().properties().get(PROPERTY), Some(&ledger));
    assert_eq!(nearest_summary_value(loaded.metadata(), PROPERTY), Some(ledger.as_str()));
    assert!(CarryLedger.judge(loaded.metadata()).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_expiry_the_report_says_who_still_holds_it_and_a_later_run_ends_that() {
    let lake = SmallLake::new().await;
    let table = events_table(&lake).await;
    lake.append(&table, Struct::empty(), events(&["u_1"], 0, 0, "{}")).await;
    lake.append(&table, Struct::empty(), events(&[USER, "u_1"], 0, 1, "{}")).await;
    let holding_ms = lake.load(&table).await.metadata().current_snapshot().unwrap().timestamp_ms();
    let held = lake.load(&table).await.metadata().current_snapshot_id().unwrap();
    lake.append(&table, Struct::empty(), events(&["u_1"], 0, 3, "{}")).await;
    let before = lake.on_disk(&table);

    let dry = erase(lake.tools(), &user(), &at_once(), "test", true, silent()).await.unwrap();
    assert!(!dry.is_complete() && dry.dry_run);
    assert_eq!((dry.tables[0].files_found, dry.tables[0].snapshots_holding), (1, 2));
    assert_eq!(lake.on_disk(&table), before);

    let report =
        erase(lake.tools(), &user(), &EraseSettings::default(), "test", false, silent()).await.unwrap();
    let found = &report.tables[0];
    assert!(found.complete && found.rows_erased == 1, "{found:?}");
    assert_eq!(found.oldest_holding_ms, Some(holding_ms));
    // The two appends, the lease's, and the rewrite's own, whose manifest names the removed file's bound.
    assert_eq!(found.snapshots_holding, 4);
    assert!(found.gone_after_ms > Some(holding_ms));
    let loaded = lake.load(&table).await;
    assert!(lake.rows(&loaded, Some(held)).await == 3 && lake.rows(&loaded, None).await == 3);
    let records: Vec<&String> = loaded
        .metadata()
        .snapshots()
        .filter_map(|snapshot| snapshot.summary().additional_properties.get(ERASURE_SUMMARY))
        .collect();
    assert_eq!(records.len(), 1);
    assert!(records[0].contains(&user().hash()) && !records[0].contains(USER), "{}", records[0]);

    let again = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    let found = &again.tables[0];
    assert_eq!((found.rows_erased, found.files_rewritten, found.snapshots_holding), (0, 0, 0));
    assert!(found.complete && found.expired.snapshots >= 4 && found.expired.deleted.files > 0, "{found:?}");
    assert_eq!(files_naming(&lake.place(&table), USER), Vec::<String>::new());
    let erased = erased_so_far(lake.load(&table).await.metadata()).unwrap();
    assert_eq!(erased["content_events"]["0"], 1, "{ERASED_PROPERTY}");

    let snapshot = lake.load(&table).await.metadata().current_snapshot_id();
    erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert_eq!(
        lake.load(&table).await.metadata().current_snapshot_id(),
        snapshot,
        "nothing to do, no snapshot"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_keeps_what_it_names_and_the_report_says_so() {
    let lake = SmallLake::new().await;
    let table = events_table(&lake).await;
    lake.append(&table, Struct::empty(), events(&[USER, "u_1"], 0, 0, "{}")).await;
    let base = lake.load(&table).await;
    let tagged = base.metadata().current_snapshot_id().unwrap();
    let retention = SnapshotRetention::Tag { max_ref_age_ms: None };
    let update = TableUpdate::SetSnapshotRef {
        ref_name: "audit".to_string(),
        reference: SnapshotReference::new(tagged, retention),
    };
    lake.update(&table, vec![update]).await;

    let report = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    let found = &report.tables[0];
    assert_eq!(
        (found.held_by_references.as_slice(), found.snapshots_holding),
        (&["audit".to_string()][..], 1)
    );
    assert_eq!(lake.rows(&lake.load(&table).await, Some(tagged)).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_positions_delete_do_not_come_back() {
    let lake = SmallLake::new().await;
    let table = events_table(&lake).await;
    let file = lake.append(&table, Struct::empty(), events(&["u_1", USER, "u_2", USER], 0, 0, "{}")).await;
    lake.delete_positions(&table, &file, vec![0, 3]).await;
    let report = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.tables[0].rows_erased, 1, "the other one was deleted already");
    assert_eq!(texts(&lake, &table, "user_id").await, ["u_2"]);
    assert_eq!(files_naming(&lake.place(&table), USER), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_an_earlier_partitioning_are_split_and_a_dropped_column_is_cleaned() {
    let lake = SmallLake::new().await;
    let table = events_table(&lake).await;
    lake.append(&table, Struct::empty(), events(&["u_1", USER], 0, 0, "{}")).await;
    lake.append(&table, Struct::empty(), events(&[USER, "u_2"], 1, 0, "{}")).await;
    let one = {
        let both: Vec<ArrayRef> = events(&["u_3", USER], 0, 5, "{}")
            .iter()
            .zip(events(&["u_4"], 1, 5, "{}"))
            .map(|(left, right)| arrow::compute::concat(&[left.as_ref(), right.as_ref()]).unwrap())
            .collect();
        lake.append(&table, Struct::empty(), both).await
    };
    assert_eq!(one.record_count(), 3);
    let spec = UnboundPartitionSpec::builder()
        .with_spec_id(1)
        .add_partition_fields([UnboundPartitionField {
            source_id: 3,
            field_id: Some(1000),
            name: "source_partition".to_string(),
            transform: Transform::Identity,
        }])
        .unwrap()
        .build();
    let updates = vec![TableUpdate::AddSpec { spec }, TableUpdate::SetDefaultSpec { spec_id: -1 }];
    lake.update(&table, updates).await;

    let report = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.tables[0].files_rewritten, report.tables[0].files_written), (3, 4));
    assert_eq!(texts(&lake, &table, "user_id").await, ["u_1", "u_2", "u_3", "u_4"]);
    assert_eq!(files_naming(&lake.place(&table), USER), Vec::<String>::new());
    let plan = plan_table(&lake.load(&table).await, None, &PartitionPredicate::all()).await.unwrap();
    assert!(plan.files.iter().all(|planned| planned.data.spec_id == 1));

    // The column goes from the schema; what files of before hold is still found.
    let current = lake.load(&table).await.metadata().current_schema().clone();
    let rest = current.as_struct().fields().iter().filter(|field| field.name != "user_id").cloned();
    let schema = Schema::builder().with_schema_id(1).with_fields(rest).build().unwrap();
    lake.update(
        &table,
        vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }],
    )
    .await;
    let other = Subject::User("u_1".to_string());
    let report = erase(lake.tools(), &other, &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(texts(&lake, &table, "source_topic").await.len(), 4);
    assert_eq!(files_naming(&lake.place(&table), "u_1"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_searched_only_where_it_is_asked_for() {
    let lake = SmallLake::new().await;
    let table = events_table(&lake).await;
    let body = r#"{"shared_with":["u_8812"]}"#;
    lake.append(&table, Struct::empty(), events(&["u_1"], 0, 0, body)).await;
    lake.append(&table, Struct::empty(), events(&["u_1"], 0, 1, r#"{"shared_with":["u_88120"]}"#)).await;
    erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert_eq!(texts(&lake, &table, "user_id").await.len(), 2);
    let everywhere = EraseSettings { texts: TextSearch::Everywhere, ..at_once() };
    let report = erase(lake.tools(), &user(), &everywhere, "test", false, silent()).await.unwrap();
    assert!(report.is_complete() && report.tables[0].rows_erased == 1);
    assert_eq!(texts(&lake, &table, "payload_json").await, [r#"{"shared_with":["u_88120"]}"#]);
}
