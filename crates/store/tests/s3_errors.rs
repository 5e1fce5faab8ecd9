//! What goes wrong for good with S3: the words, and whether waiting may help.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Bed, noise, s3_endpoint, s3_settings};
use futures::TryStreamExt;
use iceberg::Error;
use pulselake_commit::catalog::FileIoSource;
use pulselake_store::{S3Settings, Secret, StoreError, StoreSettings, StoredFile, Warehouse};

/// The errors of every kind of request for one file.
async fn every_error(bed: &Bed) -> Vec<Error> {
    let file_io = bed.warehouse.files().file_io();
    let input = file_io.new_input(bed.at("a.parquet")).unwrap();
    let listed: Result<Vec<StoredFile>, StoreError> = bed.warehouse.list(&bed.at("")).try_collect().await;
    let StoreError::List { source, .. } = listed.unwrap_err() else { panic!("another error") };
    vec![
        *source,
        bed.write("a.parquet", Bytes::from_static(b"x")).await.unwrap_err(),
        bed.write("a.parquet", noise(common::PART_BYTES + 1)).await.unwrap_err(),
        input.read().await.unwrap_err(),
        input.metadata().await.err().unwrap(),
        input.exists().await.unwrap_err(),
        input.reader().await.unwrap().read(0..10).await.unwrap_err(),
        file_io.delete(bed.at("a.parquet")).await.unwrap_err(),
    ]
}

/// Whether the server looks at keys. The stand-in for machines that can't have the real one lets everybody do everything.
async fn keys_are_checked() -> bool {
    let stand_in = reqwest::get(format!("{}/moto-api/", s3_endpoint())).await.unwrap().status().is_success();
    if stand_in {
        eprintln!("not shown: this S3 server checks no keys");
    }
    !stand_in
}

fn require(errors: &[Error], advice: &str, may_pass: bool) {
    for error in errors {
        assert!(error.message().contains(advice), "{error}");
        assert_eq!(error.retryable(), may_pass, "{error}");
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains("testtest") && !shown.contains("not the secret"), "{shown}");
        assert!(!shown.contains("StringToSign") && !shown.contains("<Error>"), "{shown}");
    }
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_wrong_secret_says_to_check_the_keys() {
    if !keys_are_checked().await {
        return;
    }
    let mut settings = s3_settings(&s3_endpoint());
    settings.credentials.as_mut().unwrap().secret_access_key = Secret::new("not the secret");
    require(
        &every_error(&Bed::s3_by(settings)).await,
        "check s3.access-key-id and s3.secret-access-key",
        false,
    );
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn an_unknown_key_says_to_check_the_keys() {
    if !keys_are_checked().await {
        return;
    }
    let mut settings = s3_settings(&s3_endpoint());
    settings.credentials.as_mut().unwrap().access_key_id = "nobody".to_string();
    require(
        &every_error(&Bed::s3_by(settings)).await,
        "check s3.access-key-id and s3.secret-access-key",
        false,
    );
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn nobody_in_particular_is_denied() {
    if !keys_are_checked().await {
        return;
    }
    let anonymous = S3Settings { anonymous: true, credentials: None, ..s3_settings(&s3_endpoint()) };
    require(&every_error(&Bed::s3_by(anonymous)).await, "allow this key to get, put, delete and list", false);
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn a_missing_bucket_is_named() {
    let s3 = s3_settings(&s3_endpoint());
    let warehouse = Warehouse::parse("s3://no-such-bucket/lake", StoreSettings { fsync: true, s3 }).unwrap();
    let bed = Bed { warehouse, directory: None };
    require(&every_error(&bed).await, "make the bucket no-such-bucket at http://127.0.0.1", false);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_named_soon_and_may_come_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut settings = s3_settings(&endpoint);
    settings.limits.max_retries = 2;
    let begun = Instant::now();
    let errors = every_error(&Bed::s3_by(settings)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    require(&errors, &format!("{endpoint} can't be reached: check s3.endpoint and the network"), true);
}

#[tokio::test]
async fn nothing_is_sent_for_a_location_that_would_name_another_object() {
    let bed = Bed::s3_by(s3_settings("http://127.0.0.1:9"));
    for name in ["a//b", "../a", "a/./b", "a/"] {
        let error = bed.write(name, Bytes::new()).await.unwrap_err();
        assert!(error.message().contains("rename it") || error.message().contains("slash"), "{error}");
        assert!(!error.retryable());
    }
    let file_io = bed.warehouse.files().file_io();
    let error = file_io.delete_prefix("s3://lake/").await.unwrap_err();
    assert!(error.message().contains("empty the whole bucket"), "{error}");
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn vended_keys_open_a_table_and_renewed_ones_reach_what_is_open() {
    let s3 = S3Settings { credentials: None, anonymous: true, ..s3_settings(&s3_endpoint()) };
    let warehouse = Warehouse::parse("s3://lake/warehouse", StoreSettings { fsync: true, s3 }).unwrap();
    let table = format!("s3://lake/{}", common::unique());
    let vended = |secret: &str| -> HashMap<String, String> {
        let pairs = [
            ("s3.access-key-id", "test"),
            ("s3.secret-access-key", secret),
            ("s3.allow-anonymous", "false"),
            ("s3.endpoint", &s3_endpoint()),
            ("s3.path-style-access", "true"),
            ("client.region", "us-east-1"),
        ];
        pairs.map(|(name, value)| (name.to_string(), value.to_string())).into()
    };
    let opened = warehouse.file_io(&table, &vended("expired"));
    let output = opened.new_output(format!("{table}/a")).unwrap();
    assert!(output.write(Bytes::from_static(b"a")).await.is_err() == keys_are_checked().await);
    warehouse.file_io(&table, &vended("testtest"));
    output.write(Bytes::from_static(b"a")).await.unwrap();

    let listed: Vec<StoredFile> = warehouse.list(&format!("{table}/")).try_collect().await.unwrap();
    assert_eq!(listed[0].location, format!("{table}/a"));
    assert_eq!(warehouse.delete(vec![listed[0].location.clone()]).await.deleted, 1);
    assert!(!opened.exists(format!("{table}/a")).await.unwrap());

    let half = HashMap::from([("s3.access-key-id".to_string(), "test".to_string())]);
    let unusable = warehouse.file_io("s3://lake/other", &half);
    let message = unusable.exists("s3://lake/other/a").await.unwrap_err().to_string();
    assert!(message.contains("s3.secret-access-key"), "{message}");
}
