//! Tables in a catalog.

use std::collections::HashMap;

use iceberg::spec::FormatVersion;
use iceberg::{NamespaceIdent, TableIdent};
use pulselake_commit::{CatalogError, ChangeKind};

use crate::support::{Kind, Place, Stage, files};

pub async fn a_table_is_created_once(kind: Kind) {
    let place = Place::new(kind);
    let (mine, other) = (place.catalog().await, place.catalog().await);
    mine.create_namespace(&place.namespace).await.unwrap();
    other.create_namespace(&place.namespace).await.unwrap();
    let creations = ["views", "views", "views", "views"].map(|name| place.creation(name));
    let mut made = 0;
    for (number, creation) in creations.into_iter().enumerate() {
        let catalog = if number % 2 == 0 { &other } else { &mine };
        made += usize::from(catalog.create_table(&place.namespace, creation).await.unwrap());
    }
    assert_eq!(made, 1);
    let table =
        mine.load_existing(&TableIdent::new(place.namespace.clone(), "views".to_string())).await.unwrap();
    let metadata = table.metadata();
    assert_eq!(metadata.location(), place.location("views"));
    assert_eq!(metadata.format_version(), FormatVersion::V2);
    assert_eq!(metadata.properties()["purpose"], "test");
    assert_eq!(metadata.default_partition_spec().fields()[0].name, "category");
    assert_eq!(metadata.current_schema().as_struct(), crate::support::schema().as_struct());
}

pub async fn what_is_not_there_is_none(kind: Kind) {
    let place = Place::new(kind);
    let catalog = place.catalog().await;
    let nowhere = TableIdent::new(NamespaceIdent::new("nowhere".to_string()), "views".to_string());
    assert!(catalog.load(&nowhere).await.unwrap().is_none());
    catalog.create_namespace(&place.namespace).await.unwrap();
    let missing = TableIdent::new(place.namespace.clone(), "views".to_string());
    assert!(catalog.load(&missing).await.unwrap().is_none());
    assert!(catalog.last_known(&missing).is_none());
    let error = catalog.load_existing(&missing).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableMissing { .. }) && !error.is_transient(), "{error}");
}

pub async fn tables_are_listed(kind: Kind) {
    let mut place = Place::new(kind);
    let catalog = place.catalog().await;
    // Names in a SQL catalog are joined by dots and can't hold any; these are two levels of their own in each kind.
    let upper = place.namespace.parent().unwrap();
    for name in ["views", "a b+c%d"] {
        place.table(&*catalog, name).await;
    }
    let deep = [place.namespace.as_ref().clone(), vec!["deep".to_string()]].concat();
    place.namespace = NamespaceIdent::from_vec(deep).unwrap();
    place.table(&*catalog, "below").await;
    place.namespace = upper.clone();
    place.table(&*catalog, "above").await;
    let listed = place.catalog().await.list_tables().await.unwrap();
    let mut mine: Vec<String> = listed
        .iter()
        .filter(|table| table.namespace()[0] == upper[0])
        .map(|table| format!("{} {}", table.namespace().len(), table.name()))
        .collect();
    mine.sort();
    assert_eq!(mine, ["1 above", "2 a b+c%d", "2 views", "3 below"]);
    for table in listed.iter().filter(|table| table.namespace()[0] == upper[0]) {
        assert!(catalog.load(table).await.unwrap().is_some(), "{table}");
    }
}

pub async fn handles_see_each_others_commits(kind: Kind) {
    let stage = Stage::new(kind).await;
    let other = stage.place.catalog().await;
    assert!(other.last_known(&stage.table).is_none());
    let before = other.load_existing(&stage.table).await.unwrap();
    assert!(before.metadata().current_snapshot().is_none());
    // Asked twice, so that the second answer may come from memory.
    assert_eq!(other.load_existing(&stage.table).await.unwrap().metadata(), before.metadata());
    stage.append("a", &[1, 2]).await;
    let known = other.last_known(&stage.table).unwrap();
    assert_eq!(known.metadata_location(), before.metadata_location());
    let after = other.load_existing(&stage.table).await.unwrap();
    assert_eq!(after.metadata(), stage.load().await.metadata());
    assert!(after.metadata().current_snapshot().is_some());
    assert_eq!(other.last_known(&stage.table).unwrap().metadata(), after.metadata());
    assert!(!other.describe().is_empty());
}

pub async fn properties_are_set_and_removed(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1]).await;
    let set = HashMap::from([("lease".to_string(), "me".to_string())]);
    let table = stage.commit(ChangeKind::Properties { set, remove: vec!["purpose".to_string()] }).await;
    let loaded = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    for metadata in [table.metadata(), loaded.metadata()] {
        assert_eq!(metadata.properties()["lease"], "me");
        assert!(!metadata.properties().contains_key("purpose"));
        assert_eq!(metadata.snapshots().count(), 2);
    }
    assert_eq!(stage.ids().await, [1]);
    // One that is on its way meanwhile does not get lost.
    let file = files::data(&stage.load().await, "a", &[2]).await;
    stage.commit(ChangeKind::Append { files: vec![file] }).await;
    assert_eq!(stage.load().await.metadata().properties()["lease"], "me");
}
