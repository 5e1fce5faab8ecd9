//! Opens the catalog that a URI names.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use iceberg::Runtime;

use super::rest::RestCatalog;
use super::secret::without_secrets;
use super::sql::{SqlCatalog, sqlite_path};
use super::{Catalog, FileIoSource, Secret, Timeouts};
use crate::CatalogError;

/// Which catalog, and how to speak to it.
#[derive(Clone)]
pub struct CatalogSettings {
    /// `sqlite:///absolute/path`, `postgres://…` or `postgresql://…`, or `http(s)://…` of an Iceberg REST catalog. May
    /// hold a password.
    pub uri: String,
    /// Where the tables' files are: a location of the store.
    pub warehouse: String,
    /// The name under which a SQL catalog keeps its rows; several catalogs may share a database.
    pub name: String,
    /// Whether a commit to a SQLite catalog is on disk before it is answered.
    pub fsync: bool,
    /// How long to wait for a connection to a service.
    pub connect_timeout_ms: u64,
    /// How long to wait for an answer of a service.
    pub answer_timeout_ms: u64,
    /// For REST catalogs alone.
    pub rest: RestSettings,
}

impl fmt::Debug for CatalogSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CatalogSettings")
            .field("uri", &without_secrets(&self.uri))
            .field("warehouse", &self.warehouse)
            .field("name", &self.name)
            .field("fsync", &self.fsync)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("answer_timeout_ms", &self.answer_timeout_ms)
            .field("rest", &self.rest)
            .finish()
    }
}

/// What a REST catalog asks of its clients. All may be missing.
#[derive(Clone, Default)]
pub struct RestSettings {
    /// OAuth2 client credentials, `id:secret` or a secret alone; exchanged for tokens. Wins over `token`.
    pub credential: Option<Secret>,
    /// A bearer token that is sent as it is.
    pub token: Option<Secret>,
    /// What tokens are asked for; `catalog` where it is missing.
    pub scope: Option<String>,
    /// Where tokens are asked for; `v1/oauth/tokens` of the catalog where it is missing.
    pub oauth2_server_uri: Option<String>,
    /// The path between `v1/` and `namespaces/`. What the catalog itself says wins.
    pub prefix: Option<String>,
    /// Which of its warehouses: the catalog's own name for it, not a location as a rule.
    pub warehouse: Option<String>,
    /// Any other properties in the words of Iceberg: `header.NAME` is sent with each request, `audience` and `resource`
    /// with the request for a token. May hold secrets.
    pub properties: HashMap<String, String>,
}

impl fmt::Debug for RestSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.properties.keys().collect();
        names.sort();
        formatter
            .debug_struct("RestSettings")
            .field("credential", &self.credential)
            .field("token", &self.token)
            .field("scope", &self.scope)
            .field("oauth2_server_uri", &self.oauth2_server_uri.as_deref().map(without_secrets))
            .field("prefix", &self.prefix)
            .field("warehouse", &self.warehouse)
            .field("properties", &names)
            .finish()
    }
}

impl CatalogSettings {
    /// Settings for the catalog at `uri` with tables at `warehouse`, the rest as usual.
    pub fn new(uri: impl Into<String>, warehouse: impl Into<String>) -> Self {
        let timeouts = Timeouts::default();
        Self {
            uri: uri.into(),
            warehouse: warehouse.into(),
            name: "pulselake".to_string(),
            fsync: true,
            connect_timeout_ms: timeouts.connect.as_millis() as u64,
            answer_timeout_ms: timeouts.answer.as_millis() as u64,
            rest: RestSettings::default(),
        }
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: Duration::from_millis(self.connect_timeout_ms),
            answer: Duration::from_millis(self.answer_timeout_ms),
        }
    }
}

/// Opens the catalog and asks it for a first answer. `create`: whether a SQL catalog is made where there is none.
pub async fn open(
    settings: &CatalogSettings,
    create: bool,
    files: Arc<dyn FileIoSource>,
    runtime: Runtime,
) -> Result<Arc<dyn Catalog>, CatalogError> {
    let (uri, name, timeouts) = (settings.uri.as_str(), settings.name.as_str(), settings.timeouts());
    let (scheme, _) = uri.split_once(':').unwrap_or_default();
    let of_warehouse = || files.file_io(&settings.warehouse, &HashMap::new());
    Ok(match scheme {
        "sqlite" => {
            let path = sqlite_path(uri)?;
            let file_io = of_warehouse();
            Arc::new(SqlCatalog::open_sqlite(path, create, settings.fsync, name, file_io, runtime).await?)
        }
        "postgres" | "postgresql" => {
            let file_io = of_warehouse();
            Arc::new(SqlCatalog::open_postgres(uri, create, name, timeouts, file_io, runtime).await?)
        }
        "http" | "https" => Arc::new(RestCatalog::open(uri, &settings.rest, timeouts, files, runtime).await?),
        _ => return Err(CatalogError::UnsupportedCatalog { uri: without_secrets(uri) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Local;

    impl FileIoSource for Local {
        fn file_io(&self, _location: &str, _vended: &HashMap<String, String>) -> iceberg::io::FileIO {
            iceberg::io::FileIO::new_with_fs()
        }
    }

    #[tokio::test]
    async fn an_unknown_kind_is_told_with_what_would_be_right() {
        for uri in ["mysql://me:hush@db/lake", "hush", "thrift://hive:9083"] {
            let settings = CatalogSettings::new(uri, "file:///lake");
            let error = open(&settings, true, Arc::new(Local), Runtime::current()).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("postgres://user@host/database") && !text.contains("hush"), "{text}");
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn settings_show_no_secrets() {
        let mut settings = CatalogSettings::new("postgres://me:hush@db/lake?password=hush", "s3://lake");
        settings.rest = RestSettings {
            credential: Some(Secret::new("id:hush")),
            token: Some(Secret::new("hush")),
            oauth2_server_uri: Some("https://me:hush@login/token".to_string()),
            properties: HashMap::from([("header.X-Key".to_string(), "hush".to_string())]),
            ..RestSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(
            !shown.contains("hush") && shown.contains("header.X-Key") && shown.contains("db/lake"),
            "{shown}"
        );
    }
}
