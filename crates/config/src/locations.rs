//! Where catalog and warehouse are, as absolute URIs.

use std::path::PathBuf;

use crate::error::ConfigError;
use crate::secret::ConnectionUri;
use crate::settings::Settings;

/// Absolute locations of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The catalog, such as `sqlite:///data/catalog.db`.
    pub catalog_uri: ConnectionUri,
    /// The warehouse, such as `file:///data/warehouse`.
    pub warehouse_uri: String,
}

impl Settings {
    /// Absolute locations of data directory, catalog and warehouse.
    ///
    /// # Errors
    /// When a relative path has no absolute form in UTF-8.
    pub fn locations(&self) -> Result<Locations, ConfigError> {
        let data_dir = absolute(&self.lake.data_dir)?;
        let catalog_uri = if self.lake.catalog_uri.is_empty() {
            ConnectionUri::new(format!("sqlite://{}", encoded(text(&data_dir.join("catalog.db"))?)))
        } else {
            self.lake.catalog_uri.clone()
        };
        Ok(Locations { warehouse_uri: self.warehouse_in(&data_dir)?, data_dir, catalog_uri })
    }

    fn warehouse_in(&self, data_dir: &std::path::Path) -> Result<String, ConfigError> {
        let warehouse = &self.lake.warehouse;
        // A REST catalog gives warehouses names of its own, and knows where tables go without one.
        if warehouse.contains("://") || self.lake.catalog_uri.expose().starts_with("http") {
            return Ok(warehouse.clone());
        }
        let path = if warehouse.is_empty() { data_dir.join("warehouse") } else { absolute(warehouse)? };
        Ok(format!("file://{}", text(&path)?))
    }
}

fn absolute(path: &str) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::NoAbsolutePath { path: path.to_owned(), source })
}

fn text(path: &std::path::Path) -> Result<&str, ConfigError> {
    path.to_str().ok_or_else(|| ConfigError::PathNotUtf8 { path: path.to_owned() })
}

/// Encodes what would end or change the path part of a URI; SQLite clients decode it again.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_in_the_data_directory() {
        let mut settings = Settings::default();
        settings.lake.data_dir = "/data/what?".to_owned();
        let locations = settings.locations().unwrap();
        assert_eq!(locations.catalog_uri.expose(), "sqlite:///data/what%3F/catalog.db");
        assert_eq!(locations.warehouse_uri, "file:///data/what?/warehouse");
    }

    #[test]
    fn a_relative_directory_becomes_absolute() {
        let locations = Settings::default().locations().unwrap();
        assert!(locations.data_dir.is_absolute());
        assert!(locations.warehouse_uri.starts_with("file:///"));
        assert!(!locations.warehouse_uri.contains("/./"));
    }

    #[test]
    fn given_locations_stay() {
        let mut settings = Settings::default();
        settings.lake.catalog_uri = ConnectionUri::new("https://catalog.example/rest");
        settings.lake.warehouse = "analytics".to_owned();
        let locations = settings.locations().unwrap();
        assert_eq!(locations.catalog_uri.expose(), "https://catalog.example/rest");
        assert_eq!(locations.warehouse_uri, "analytics");
        settings.lake.catalog_uri = ConnectionUri::default();
        settings.lake.warehouse = "s3://bucket/lake".to_owned();
        assert_eq!(settings.locations().unwrap().warehouse_uri, "s3://bucket/lake");
    }
}
