//! Catalogs of each kind with tables of local files or on S3, and how to look at what became of them.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod files;
pub mod look;
pub mod proxy;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableCreation, TableIdent};
use parking_lot::Mutex;
use pulselake_commit::catalog::{CatalogSettings, FileIoSource, open};
use pulselake_commit::{
    Catalog, ChangeKind, CommitFailure, CommitLimits, Landing, RowDelta, TableChange, Unguarded, commit,
};
use pulselake_store::{S3Credentials, S3Settings, Secret, StoreSettings, Warehouse};
use tempfile::TempDir;
use uuid::Uuid;

pub type Outcome = Result<Landing, CommitFailure<std::convert::Infallible>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
    Rest,
    /// PostgreSQL, and the tables on a real S3 server.
    PostgresOnS3,
}

/// A service's address, which `make test` tells.
pub fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run through make test"))
}

/// Local files, for every table; notes what it was told of the store.
#[derive(Debug, Default)]
pub struct LocalFiles {
    pub told: Mutex<Vec<(String, HashMap<String, String>)>>,
}

impl FileIoSource for LocalFiles {
    fn file_io(&self, location: &str, vended: &HashMap<String, String>) -> FileIO {
        self.told.lock().push((location.to_string(), vended.clone()));
        FileIO::new_with_fs()
    }
}

/// The S3 server's place at `location`.
pub fn s3_warehouse(location: &str) -> Warehouse {
    let credentials = S3Credentials {
        access_key_id: "test".into(),
        secret_access_key: Secret::new("testtest"),
        session_token: None,
    };
    let s3 = S3Settings {
        endpoint: Some(service("PULSELAKE_TEST_S3")),
        credentials: Some(credentials),
        ..S3Settings::default()
    };
    Warehouse::parse(location, StoreSettings { s3, ..StoreSettings::default() }).unwrap()
}

/// A catalog, a warehouse, and a namespace that no other test has.
pub struct Place {
    pub kind: Kind,
    pub directory: TempDir,
    pub settings: CatalogSettings,
    pub namespace: NamespaceIdent,
    pub format_version: FormatVersion,
}

impl Place {
    pub fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = match kind {
            Kind::Sqlite => format!("sqlite://{}/catalog.db", directory.path().display()),
            Kind::Postgres | Kind::PostgresOnS3 => service("PULSELAKE_TEST_POSTGRES"),
            Kind::Rest => service("PULSELAKE_TEST_REST"),
        };
        let unique = Uuid::now_v7().simple().to_string();
        let warehouse = match kind {
            Kind::PostgresOnS3 => format!("s3://lake/conformance-{unique}"),
            _ => format!("file://{}/warehouse", directory.path().display()),
        };
        let mut settings = CatalogSettings::new(uri, warehouse);
        settings.name = format!("catalog_{unique}");
        settings.fsync = false;
        let namespace = NamespaceIdent::from_strs([format!("n{unique}"), "gold +%/é".to_string()]).unwrap();
        Self { kind, directory, settings, namespace, format_version: FormatVersion::V2 }
    }

    /// Another handle to the catalog, with connections and a memory of its own.
    pub async fn catalog(&self) -> Arc<dyn Catalog> {
        self.catalog_at(&self.settings.uri).await
    }

    pub async fn catalog_at(&self, uri: &str) -> Arc<dyn Catalog> {
        let settings = CatalogSettings { uri: uri.to_string(), ..self.settings.clone() };
        let files: Arc<dyn FileIoSource> = match self.kind {
            Kind::PostgresOnS3 => Arc::new(s3_warehouse(&settings.warehouse)),
            _ => Arc::new(LocalFiles::default()),
        };
        open(&settings, true, files, Runtime::current()).await.unwrap()
    }

    /// A new table of [`schema`], partitioned by category.
    pub async fn table(&self, catalog: &dyn Catalog, name: &str) -> TableIdent {
        catalog.create_namespace(&self.namespace).await.unwrap();
        assert!(catalog.create_table(&self.namespace, self.creation(name)).await.unwrap());
        TableIdent::new(self.namespace.clone(), name.to_string())
    }

    /// Names may hold what a location may not.
    pub fn location(&self, name: &str) -> String {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{}/{plain}", self.settings.warehouse)
    }

    pub fn creation(&self, name: &str) -> TableCreation {
        TableCreation::builder()
            .name(name.to_string())
            .location(self.location(name))
            .schema(schema())
            .partition_spec(
                UnboundPartitionSpec::builder()
                    .add_partition_field(2, "category", Transform::Identity)
                    .unwrap()
                    .build(),
            )
            .format_version(self.format_version)
            .properties([("purpose".to_string(), "test".to_string())])
            .build()
    }
}

/// An id, and a category by which the table is partitioned.
pub fn schema() -> Schema {
    Schema::builder()
        .with_fields(vec![
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::required(2, "category", Type::Primitive(PrimitiveType::String)).into(),
        ])
        .build()
        .unwrap()
}

pub fn change(kind: ChangeKind) -> TableChange {
    TableChange { commit_id: Uuid::now_v7().to_string(), kind }
}

/// A place with one table of the same name as the others, and a handle to it.
pub struct Stage {
    pub place: Place,
    pub catalog: Arc<dyn Catalog>,
    pub table: TableIdent,
    pub limits: CommitLimits,
}

impl Stage {
    pub async fn new(kind: Kind) -> Self {
        Self::of(Place::new(kind)).await
    }

    pub async fn of(place: Place) -> Self {
        let catalog = place.catalog().await;
        let table = place.table(&*catalog, "views").await;
        Self { place, catalog, table, limits: CommitLimits::default() }
    }

    pub async fn load(&self) -> Table {
        self.catalog.load_existing(&self.table).await.unwrap()
    }

    pub async fn try_commit(&self, kind: ChangeKind) -> Outcome {
        commit(&*self.catalog, &self.table, &change(kind), &Unguarded, &self.limits).await
    }

    pub async fn commit(&self, kind: ChangeKind) -> Table {
        self.try_commit(kind).await.unwrap().table
    }

    /// Appends one file with these ids and returns its path.
    pub async fn append(&self, category: &str, ids: &[i64]) -> String {
        let file = files::data(&self.load().await, category, ids).await;
        let path = file.file_path().to_string();
        self.commit(ChangeKind::Append { files: vec![file] }).await;
        path
    }

    /// Deletes all rows with these ids.
    pub async fn delete_equal(&self, category: &str, ids: &[i64]) -> Table {
        let deletes = vec![files::equality_delete(&self.load().await, category, ids).await];
        self.commit(ChangeKind::RowDelta(RowDelta { deletes, ..RowDelta::default() })).await
    }

    /// The ids in the table as another process sees it, in order.
    pub async fn ids(&self) -> Vec<i64> {
        let fresh = self.place.catalog().await;
        look::ids(&fresh.load_existing(&self.table).await.unwrap()).await
    }
}
