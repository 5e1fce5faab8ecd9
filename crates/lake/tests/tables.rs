//! Opening, creating, refusing.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use pulselake_commit::CatalogError;
use pulselake_lake::{Lake, LakeError, LakeSettings, OpenMode, TableWriter, WriterOptions};
use pulselake_model::tables::LakeTable;

#[tokio::test]
async fn tables_are_created_once_and_recognised() {
    let place = Place::new();
    let lake = Lake::open(&place.settings(), OpenMode::CreateIfMissing).await.unwrap();
    let missing = lake.load(BRONZE).await.unwrap_err();
    assert!(missing.to_string().contains("pulselake init"), "{missing}");
    assert_eq!(
        lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap(),
        LakeTable::OF_EVENTS.map(|table| (table, true))
    );
    assert_eq!(
        lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap(),
        LakeTable::OF_EVENTS.map(|table| (table, false))
    );
    let again = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
    assert_eq!(
        again.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap(),
        LakeTable::OF_EVENTS.map(|table| (table, false))
    );
    let spec =
        lake.load(LakeTable::VideoStats1Min).await.unwrap().metadata().default_partition_spec().clone();
    let names: Vec<String> =
        spec.fields().iter().map(|field| format!("{} {}", field.name, field.transform)).collect();
    assert_eq!(names, ["window_start_day day", "video_id_bucket bucket[16]"]);
}

#[tokio::test]
async fn what_this_build_can_t_do_is_said() {
    let place = Place::new();
    let with = |catalog: &str, warehouse: &str| LakeSettings {
        catalog_uri: catalog.into(),
        warehouse: warehouse.into(),
        fsync: false,
        ..LakeSettings::new("", "")
    };
    let good = place.settings();
    for settings in [
        with("mysql://me:secret@db/c", &good.warehouse),
        with("sqlite:relative.db", &good.warehouse),
        with(&good.catalog_uri, "gs://bucket/warehouse"),
        with(&good.catalog_uri, "relative/warehouse"),
    ] {
        let refused = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap_err().to_string();
        assert!(refused.contains("use ") && !refused.contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn a_lake_that_must_exist_is_not_made() {
    let place = Place::new();
    let refused = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap_err();
    assert!(matches!(refused, LakeError::Catalog(CatalogError::NoCatalog { .. })), "{refused}");
    assert!(!place.path().join("catalog.db").exists());
    std::fs::write(place.path().join("catalog.db"), "").unwrap();
    let empty = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap_err();
    assert!(matches!(empty, LakeError::Catalog(CatalogError::NoCatalog { .. })), "{empty}");
}

#[tokio::test]
async fn a_damaged_catalog_is_named() {
    let place = Place::new();
    std::fs::write(place.path().join("catalog.db"), vec![b'x'; 8192]).unwrap();
    for mode in [OpenMode::CreateIfMissing, OpenMode::MustExist] {
        let refused = Lake::open(&place.settings(), mode).await.unwrap_err();
        assert!(matches!(refused, LakeError::Catalog(CatalogError::CatalogDamaged { .. })), "{refused}");
        assert!(refused.to_string().contains("catalog.db is damaged"), "{refused}");
    }
}

/// Rewrites the newest metadata file of bronze.
async fn edit_metadata(place: &Place, from: &str, to: &str) {
    let files = place.files(BRONZE, ".metadata.json");
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&files[0], text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_warehouse_of_another_version_is_refused() {
    let place = Place::new();
    place.lake().await;
    edit_metadata(&place, r#""pulselake.format":"1""#, r#""pulselake.format":"7""#).await;
    let lake = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
    let refused = lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap_err().to_string();
    assert!(refused.contains("pulselake.format 7") && refused.contains("run the pulselake"), "{refused}");
}

#[tokio::test]
async fn a_table_of_another_shape_is_refused() {
    for (from, to, what) in [
        (r#""name":"user_id""#, r#""name":"viewer""#, "schema"),
        (r#""name":"event_timestamp_hour""#, r#""name":"hour""#, "partition spec"),
    ] {
        let place = Place::new();
        place.lake().await;
        edit_metadata(&place, from, to).await;
        let lake = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
        let refused = lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap_err();
        assert!(matches!(&refused, LakeError::OtherShape { what: found, .. } if *found == what), "{refused}");
    }
}

#[tokio::test]
async fn a_path_through_a_file_says_so() {
    let place = Place::new();
    let lake = place.lake().await;
    std::fs::write(place.table_directory(BRONZE).join("data"), "in the way").unwrap();
    let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default()).await.unwrap();
    writer.write(&rows(0, 0..5, 0)).await.unwrap();
    let refused = writer.close().await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("raw_events/data") && text.contains("is a file"), "{text}");
    assert!(!refused.is_transient());

    std::fs::write(place.path().join("plain"), "").unwrap();
    let warehouse = format!("file://{}/plain/warehouse", place.path().display());
    let settings = LakeSettings { warehouse, ..place.settings() };
    let refused = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap_err().to_string();
    assert!(refused.contains("plain/warehouse") && refused.contains("is a file"), "{refused}");
}

#[tokio::test]
async fn a_torn_write_is_invisible() {
    let place = Place::new();
    let lake = place.lake().await;
    commit(&lake, 0, 0, 0, 10).await;
    let data = place.files(BRONZE, ".parquet");
    let directory = data[0].parent().unwrap();
    std::fs::write(directory.join(".torn.parquet.0.tmp"), b"PAR1 half of a fi").unwrap();
    std::fs::write(place.table_directory(BRONZE).join("metadata/.00009-x.metadata.json.0.tmp"), "{").unwrap();
    let reopened = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
    assert_eq!(offsets(&reopened).await, expected(0, 0..10));
    commit(&reopened, 0, 1, 10, 20).await;
    assert_eq!(offsets(&reopened).await, expected(0, 0..20));
}
