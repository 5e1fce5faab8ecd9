//! The stores that the tests run on.

#![allow(dead_code, missing_docs)]

pub mod proxy;

use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use pulselake_store::{S3Credentials, S3Settings, Secret, StoreSettings, StoredFile, Warehouse};

use futures::TryStreamExt;

/// Parts of the smallest size that S3 takes, so that tests need not be large.
pub const PART_BYTES: usize = 5 << 20;

/// A warehouse of one test's own.
pub struct Bed {
    pub warehouse: Warehouse,
    /// Removed with the test.
    pub directory: Option<tempfile::TempDir>,
}

impl Bed {
    pub fn local() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = format!("file://{}/lake", directory.path().to_str().unwrap());
        let warehouse = Warehouse::parse(&location, StoreSettings::default()).unwrap();
        Self { warehouse, directory: Some(directory) }
    }

    /// In the bucket of the S3 server that the test command runs.
    pub fn s3() -> Self {
        Self::s3_by(s3_settings(&s3_endpoint()))
    }

    pub fn s3_by(s3: S3Settings) -> Self {
        let location = format!("s3://lake/{}", unique());
        let warehouse = Warehouse::parse(&location, StoreSettings { fsync: true, s3 }).unwrap();
        Self { warehouse, directory: None }
    }

    /// The location of a file.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.warehouse.location())
    }

    pub async fn write(&self, name: &str, bytes: impl Into<Bytes>) -> iceberg::Result<()> {
        self.warehouse.files().file_io().new_output(self.at(name)).unwrap().write(bytes.into()).await
    }

    pub async fn read(&self, name: &str) -> iceberg::Result<Bytes> {
        self.warehouse.files().file_io().new_input(self.at(name)).unwrap().read().await
    }

    pub async fn exists(&self, name: &str) -> bool {
        self.warehouse.files().file_io().exists(self.at(name)).await.unwrap()
    }

    /// What lies below a location, by location.
    pub async fn list(&self, name: &str) -> Vec<StoredFile> {
        let mut files: Vec<_> = self.warehouse.list(&self.at(name)).try_collect().await.unwrap();
        files.sort_by(|left: &StoredFile, right| left.location.cmp(&right.location));
        files
    }

    /// Writes a file in pieces that fit neither parts nor pages.
    pub async fn write_in_pieces(&self, name: &str, bytes: &Bytes, piece: usize) -> iceberg::Result<()> {
        let output = self.warehouse.files().file_io().new_output(self.at(name)).unwrap();
        let mut writer = output.writer().await?;
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            writer.write(rest.split_to(piece.min(rest.len()))).await?;
        }
        writer.close().await
    }
}

/// The server's URL.
pub fn s3_endpoint() -> String {
    std::env::var("PULSELAKE_TEST_S3").expect("PULSELAKE_TEST_S3 is not set: run through make test")
}

pub fn s3_settings(endpoint: &str) -> S3Settings {
    let credentials = S3Credentials {
        access_key_id: "test".to_string(),
        secret_access_key: Secret::new("testtest"),
        session_token: None,
    };
    let mut settings = S3Settings {
        endpoint: Some(endpoint.to_string()),
        region: Some("us-east-1".to_string()),
        credentials: Some(credentials),
        path_style: Some(true),
        ..S3Settings::default()
    };
    settings.limits.part_size_bytes = PART_BYTES;
    settings
}

/// A name that no other test has.
pub fn unique() -> String {
    let nanoseconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{}-{nanoseconds}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "")
}

/// Bytes that repeat nowhere near a part's size.
pub fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The uploads that the server has begun and neither finished nor aborted, for keys that contain `part_of_key`.
async fn unfinished_uploads(part_of_key: &str) -> usize {
    let credential = AwsCredential { key_id: "test".into(), secret_key: "testtest".into(), token: None };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.uri_mut() = format!("{}/lake?uploads=", s3_endpoint()).parse().unwrap();
    AwsAuthorizer::new(&credential, "s3", "us-east-1").authorize(&mut request, None);
    let answer = HttpClient::new(reqwest::Client::new()).execute(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().bytes().await.unwrap();
    let text = String::from_utf8_lossy(&body);
    assert!(status.is_success() && text.contains("ListMultipartUploadsResult"), "{status} {text}");
    text.split("<Upload>").skip(1).filter(|upload| upload.contains(part_of_key)).count()
}

/// Waits until the server has as many unfinished uploads for keys that contain `part_of_key`.
pub async fn await_unfinished_uploads(part_of_key: &str, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = unfinished_uploads(part_of_key).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found} unfinished uploads, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
