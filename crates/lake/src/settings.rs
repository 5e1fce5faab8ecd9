//! Where the lake is, and how to get in.

use std::path::PathBuf;

use iceberg::spec::FormatVersion;
use pulselake_commit::catalog::sql::sqlite_path;
use pulselake_commit::catalog::{CatalogSettings, RestSettings};
use pulselake_model::tables::CATALOG_NAME;
use pulselake_store::{S3Settings, StoreSettings, Warehouse, local_path};

use crate::LakeError;

/// The warehouse's own place where the catalog says where each table lies: it is never used.
const NOWHERE: &str = "file:///nowhere";

/// Catalog and warehouse.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    /// `sqlite:///absolute/path/catalog.db`, `postgres://…`, or `http(s)://…` of an Iceberg REST catalog.
    pub catalog_uri: String,
    /// `file:///absolute/path/warehouse` or `s3://bucket/prefix`; with a REST catalog also the name it gives the
    /// warehouse, or nothing: then the catalog decides where tables lie.
    pub warehouse: String,
    /// Whether files, directories and the catalog are synced to disk before they count as written. Off: faster, and a
    /// power cut may lose or tear the last commits (a killed process does not).
    pub fsync: bool,
    /// How long to wait for an answer of a catalog that is a service, milliseconds.
    pub answer_timeout_ms: u64,
    /// Iceberg format version of new tables: 2, or 3.
    pub format_version: FormatVersion,
    /// A REST catalog's.
    pub rest: RestSettings,
    /// An S3 warehouse's.
    pub s3: S3Settings,
}

impl LakeSettings {
    /// Settings with nothing special.
    pub fn new(catalog_uri: impl Into<String>, warehouse: impl Into<String>) -> Self {
        Self {
            catalog_uri: catalog_uri.into(),
            warehouse: warehouse.into(),
            fsync: true,
            answer_timeout_ms: 20_000,
            format_version: FormatVersion::V2,
            rest: RestSettings::default(),
            s3: S3Settings::default(),
        }
    }

    /// Whether this version can speak to the catalog and write to the warehouse: what the settings say, asking nobody.
    pub fn check(&self) -> Result<Place, LakeError> {
        let uri = &self.catalog_uri;
        let is_rest = uri.starts_with("http://") || uri.starts_with("https://");
        if !is_rest && !uri.starts_with("postgres://") && !uri.starts_with("postgresql://") {
            sqlite_path(uri)?;
        }
        let store = StoreSettings { fsync: self.fsync, s3: self.s3.clone() };
        let is_location = self.warehouse.contains(":/") || self.warehouse.starts_with('/');
        if is_rest && !is_location {
            return Ok(Place { warehouse: Warehouse::parse(NOWHERE, store)?, tables_location: None });
        }
        let warehouse = Warehouse::parse(&self.warehouse, store)?;
        let tables_location = Some(warehouse.location().to_string());
        Ok(Place { warehouse, tables_location })
    }

    pub(crate) fn catalog_settings(&self) -> CatalogSettings {
        let mut settings = CatalogSettings::new(&self.catalog_uri, &self.warehouse);
        settings.name = CATALOG_NAME.to_string();
        settings.fsync = self.fsync;
        settings.answer_timeout_ms = self.answer_timeout_ms;
        settings.rest = self.rest.clone();
        if settings.rest.warehouse.is_none() && !self.warehouse.is_empty() {
            settings.rest.warehouse = Some(self.warehouse.clone());
        }
        settings
    }
}

/// The warehouse that settings name.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its files.
    pub warehouse: Warehouse,
    /// Where new tables lie; `None` where the catalog decides.
    pub tables_location: Option<String>,
}

impl Place {
    /// The directory, where it is a local one.
    pub fn local_directory(&self) -> Option<PathBuf> {
        self.tables_location.as_ref().and_then(|location| local_path(location).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_rest_catalog_a_warehouse_may_be_a_name_or_missing() {
        for warehouse in ["", "my warehouse"] {
            let place = LakeSettings::new("http://catalog:8181", warehouse).check().unwrap();
            assert_eq!((place.tables_location, place.warehouse.location()), (None, NOWHERE));
        }
        let named = LakeSettings::new("https://catalog", "s3://bucket/lake/").check().unwrap();
        assert_eq!(named.tables_location.as_deref(), Some("s3://bucket/lake"));
        assert!(LakeSettings::new("postgres://db/lake", "my warehouse").check().is_err());
    }
}
