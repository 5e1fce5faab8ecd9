//! Listing a local directory where others have put things too.

#![allow(clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use common::Bed;
use futures::TryStreamExt;
use pulselake_store::StoredFile;

#[tokio::test]
async fn symbolic_links_lead_nowhere() {
    let bed = Bed::local();
    bed.write("t/a", Bytes::from_static(b"a")).await.unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("precious"), b"x").unwrap();
    let table = pulselake_store::local_path(&bed.at("t")).unwrap();
    symlink(outside.path(), table.join("directory")).unwrap();
    symlink(outside.path().join("precious"), table.join("file")).unwrap();
    symlink(&table, table.join("loop")).unwrap();
    let listed: Vec<_> = bed.list("t").await.into_iter().map(|file| file.location).collect();
    assert_eq!(listed, [bed.at("t/a")]);
}

#[tokio::test]
async fn the_listed_directory_itself_may_be_a_link() {
    let bed = Bed::local();
    bed.write("t/a", Bytes::from_static(b"a")).await.unwrap();
    let table = pulselake_store::local_path(&bed.at("t")).unwrap();
    symlink(&table, table.with_file_name("alias")).unwrap();
    let listed: Vec<_> = bed.list("alias").await.into_iter().map(|file| file.location).collect();
    assert_eq!(listed, [bed.at("alias/a")]);
}

#[tokio::test]
async fn files_still_being_written_are_listed_as_such() {
    let bed = Bed::local();
    let output = bed.warehouse.files().file_io().new_output(bed.at("t/a.parquet")).unwrap();
    let mut writer = output.writer().await.unwrap();
    writer.write(Bytes::from_static(b"12345")).await.unwrap();
    let listed = bed.list("t").await;
    let [temporary] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(
        temporary.is_temporary && temporary.location.starts_with(&bed.at("t/.a.parquet.")),
        "{temporary:?}"
    );
    writer.close().await.unwrap();
    let listed = bed.list("t").await;
    let [whole] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(
        (whole.location.as_str(), whole.size_bytes, whole.is_temporary),
        (&*bed.at("t/a.parquet"), 5, false)
    );
}

#[tokio::test]
async fn locations_are_spelled_like_the_prefix() {
    let bed = Bed::local();
    bed.write("t/a", Bytes::new()).await.unwrap();
    let path = bed.at("t").strip_prefix("file://").unwrap().to_string();
    for prefix in [path.clone(), format!("file:{path}"), format!("file://{path}"), format!("file://{path}/")]
    {
        let listed: Vec<StoredFile> = bed.warehouse.list(&prefix).try_collect().await.unwrap();
        assert_eq!(listed[0].location, format!("{}/a", prefix.trim_end_matches('/')));
    }
}

#[tokio::test]
async fn nothing_lies_below_a_file() {
    let bed = Bed::local();
    bed.write("t", Bytes::new()).await.unwrap();
    assert_eq!(bed.list("t").await, []);
}

#[tokio::test]
async fn a_name_that_no_location_can_spell_is_left_alone() {
    let bed = Bed::local();
    bed.write("t/a", Bytes::new()).await.unwrap();
    let table = pulselake_store::local_path(&bed.at("t")).unwrap();
    std::fs::write(table.join(OsStr::from_bytes(b"b\xff")), b"x").unwrap();
    let listed: Vec<_> = bed.list("t").await.into_iter().map(|file| file.location).collect();
    assert_eq!(listed, [bed.at("t/a")]);
}
