//! REST catalogs that want to know who asks: tokens, a prefix, a warehouse's name, keys of the store that come with a
//! table. The files of these tables are in memory, because the store is not this crate's business.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::io::FileIO;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent};
use parking_lot::Mutex;
use pulselake_commit::catalog::{CatalogSettings, FileIoSource, RestSettings, Secret, open};
use pulselake_commit::{Catalog, CatalogError, ChangeKind, CommitLimits, Unguarded, commit};
use support::proxy::{Fault, Proxy};
use support::{change, schema, service};
use uuid::Uuid;

/// Memory, and what it was told of the store.
struct Memory {
    file_io: FileIO,
    told: Mutex<Vec<(String, HashMap<String, String>)>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Memory")
    }
}

impl FileIoSource for Memory {
    fn file_io(&self, location: &str, vended: &HashMap<String, String>) -> FileIO {
        self.told.lock().push((location.to_string(), vended.clone()));
        self.file_io.clone()
    }
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory { file_io: FileIO::new_with_memory(), told: Mutex::default() })
}

fn settings(uri: String) -> CatalogSettings {
    let mut settings = CatalogSettings::new(uri, "s3://vended/warehouse");
    settings.rest = RestSettings {
        credential: Some(Secret::new(service("PULSELAKE_TEST_REST_CREDENTIAL"))),
        warehouse: Some(service("PULSELAKE_TEST_REST_WAREHOUSE")),
        ..RestSettings::default()
    };
    settings
}

async fn refused(settings: &CatalogSettings) -> CatalogError {
    open(settings, true, memory(), Runtime::current()).await.err().unwrap()
}

/// A table whose place the catalog chooses.
async fn new_table(catalog: &dyn Catalog) -> TableIdent {
    let namespace = NamespaceIdent::new(format!("n{}", Uuid::now_v7().simple()));
    catalog.create_namespace(&namespace).await.unwrap();
    let creation = TableCreation::builder().name("views".to_string()).schema(schema()).build();
    assert!(catalog.create_table(&namespace, creation).await.unwrap());
    TableIdent::new(namespace, "views".to_string())
}

async fn set_property(catalog: &dyn Catalog, table: &TableIdent, key: &str) {
    let set = HashMap::from([(key.to_string(), "yes".to_string())]);
    let work = change(ChangeKind::Properties { set, remove: Vec::new() });
    let landing = commit(catalog, table, &work, &Unguarded, &CommitLimits::default()).await.unwrap();
    assert_eq!((landing.attempts, landing.table.metadata().properties()[key].as_str()), (1, "yes"));
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn tokens_prefix_warehouse_and_vended_keys() {
    let files = memory();
    let settings = settings(service("PULSELAKE_TEST_REST_OAUTH"));
    let catalog = open(&settings, true, files.clone(), Runtime::current()).await.unwrap();
    let table = new_table(&*catalog).await;
    assert!(catalog.list_tables().await.unwrap().contains(&table));
    set_property(&*catalog, &table, "first").await;
    let told = files.told.lock().clone();
    assert_eq!(told.len(), 1, "once for a table whose keys have not changed");
    let (location, vended) = &told[0];
    assert!(location.starts_with("s3://vended/warehouse/"), "{location}");
    assert_eq!(
        (vended["s3.access-key-id"].as_str(), vended["s3.secret-access-key"].as_str()),
        ("test", "testtest")
    );
    assert_eq!(vended["s3.endpoint"], service("PULSELAKE_TEST_S3"));
    let shown = format!("{catalog:?}");
    for secret in ["testtest", "secret-of-the-tests"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_token_that_was_got_elsewhere_is_good_too() {
    let uri = service("PULSELAKE_TEST_REST_OAUTH");
    let mut settings = settings(uri.clone());
    let credential = settings.rest.credential.take().unwrap();
    let (id, secret) = credential.expose().split_once(':').unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let asked =
        reqwest::Client::new().post(format!("{uri}/v1/oauth/tokens")).form(&form).send().await.unwrap();
    let answer: serde_json::Value = asked.json().await.unwrap();
    settings.rest.token = Some(Secret::new(answer["access_token"].as_str().unwrap()));
    let catalog = open(&settings, true, memory(), Runtime::current()).await.unwrap();
    let table = new_table(&*catalog).await;
    assert!(catalog.load(&table).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn who_is_not_let_in_is_told_what_to_do() {
    let uri = service("PULSELAKE_TEST_REST_OAUTH");
    let mut nobody = settings(uri.clone());
    nobody.rest.credential = None;
    let mut impostor = settings(uri.clone());
    impostor.rest.credential = Some(Secret::new("pulselake:hush"));
    let mut stale = nobody.clone();
    stale.rest.token = Some(Secret::new("hush"));
    let mut lost = settings(uri.clone());
    lost.rest.warehouse = Some("nowhere".to_string());
    for (settings, words) in [
        (nobody, "give the catalog's credential or token"),
        (impostor, "check the credential"),
        (stale, "give the catalog's credential or token"),
        (lost, "the warehouse's name"),
    ] {
        let error = refused(&settings).await;
        let text = format!("{error} {error:?}");
        assert!(text.contains(words) && text.contains(&uri) && !text.contains("hush"), "{text}");
        assert!(!error.is_transient(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_token_that_is_not_accepted_any_more_is_renewed_once() {
    for status in [401, 419] {
        let proxy = Proxy::before(&service("PULSELAKE_TEST_REST_OAUTH")).await;
        let catalog = open(&settings(proxy.uri.clone()), true, memory(), Runtime::current()).await.unwrap();
        let table = new_table(&*catalog).await;
        assert_eq!(proxy.tokens(), 1);
        proxy.expect([Fault::Refuse(status)]);
        set_property(&*catalog, &table, "renewed").await;
        assert_eq!((proxy.tokens(), proxy.commits()), (2, 2));
        // Refused again it is an error: no endless asking.
        proxy.expect([Fault::Refuse(status), Fault::Refuse(status)]);
        let work = change(ChangeKind::Append { files: Vec::new() });
        let outcome = commit(&*catalog, &table, &work, &Unguarded, &CommitLimits::default()).await;
        assert!(outcome.is_err());
        assert_eq!((proxy.tokens(), proxy.commits()), (3, 4));
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_token_is_renewed_before_its_end() {
    let proxy = Proxy::before(&service("PULSELAKE_TEST_REST_OAUTH")).await;
    proxy.limit_tokens_to_s(1);
    let catalog = open(&settings(proxy.uri.clone()), true, memory(), Runtime::current()).await.unwrap();
    let table = new_table(&*catalog).await;
    let before = proxy.tokens();
    for _ in 0..1_000 {
        assert!(catalog.load(&table).await.unwrap().is_some());
        if proxy.tokens() >= before + 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no new token was asked for in 10 s, though each is good for 1 s");
}
