//! Where a run's tables lie: catalog and store, with a proxy before each that is a service, so that faults can act on the
//! way between the engine and it. What watches and audits goes straight to the services.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use pulselake_lake::LakeSettings;
use pulselake_model::tables::LakeTable;
use pulselake_store::{S3Credentials, S3Settings, Secret};

use crate::lake_watch::LakeWatch;
use crate::load::faults::proxy::Proxy;
use crate::load::scenario::{CatalogKind, ServicePlan, StoreKind};
use crate::load::services::{S3_ACCESS_KEY, S3_REGION, S3_SECRET_KEY, Service, Services};

const BUCKET: &str = "lake";
const WAREHOUSE: &str = "s3://lake/tables";

/// A place that is ready for tables.
pub(crate) struct Place {
    /// The engine's data directory. With SQLite and local files it holds everything.
    pub(crate) data_dir: PathBuf,
    /// Straight to the services.
    pub(crate) lake: LakeSettings,
    /// Settings of commands that go straight to the services, `section.name=value`.
    pub(crate) direct_settings: Vec<String>,
    /// Those of the engine, which goes by way of the proxies.
    pub(crate) engine_settings: Vec<String>,
    /// Before the catalog, where that is a service.
    pub(crate) catalog_proxy: Option<Arc<Proxy>>,
    /// Before the store, where that is a service.
    pub(crate) store_proxy: Option<Arc<Proxy>>,
    is_plain: bool,
    /// They end with the place.
    services: Vec<Service>,
}

impl Place {
    /// Starts what the plan asks for. `services` starts it; a plan of SQLite and local files needs none.
    pub(crate) fn ready(
        plan: &ServicePlan,
        services: impl FnOnce() -> anyhow::Result<Services>,
        data_dir: &Path,
        seed: u64,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        // The engine's tables name files by absolute paths.
        let data_dir = data_dir.canonicalize()?;
        let sqlite = format!("sqlite://{}", data_dir.join("catalog.db").display());
        let local = format!("file://{}", data_dir.join("warehouse").display());
        let mut place = Self {
            lake: LakeSettings::new(sqlite, local.clone()),
            data_dir,
            direct_settings: Vec::new(),
            engine_settings: Vec::new(),
            catalog_proxy: None,
            store_proxy: None,
            is_plain: plan == &ServicePlan::default(),
            services: Vec::new(),
        };
        if place.is_plain {
            return Ok(place);
        }
        let services = services()?;
        let catalog = match plan.catalog {
            CatalogKind::Sqlite => None,
            CatalogKind::Postgres => Some(services.postgres().context("can't start PostgreSQL")?),
            CatalogKind::Rest => Some(services.rest(&[]).context("can't start the REST catalog")?),
        };
        if let Some(catalog) = catalog {
            place.put_catalog(catalog, seed)?;
        }
        match plan.store {
            StoreKind::Local => place.set_both("lake.warehouse", &local),
            StoreKind::S3 => {
                let store = services.s3(&[BUCKET]).context("can't start the S3 server")?;
                place.put_store(store, seed)?;
            }
        }
        Ok(place)
    }

    fn put_catalog(&mut self, catalog: Service, seed: u64) -> anyhow::Result<()> {
        let proxy = Proxy::before(catalog.address(), seed)?;
        self.engine_settings.push(format!("lake.catalog_uri={}", proxy.url_of(catalog.url())?));
        self.direct_settings.push(format!("lake.catalog_uri={}", catalog.url()));
        catalog.url().clone_into(&mut self.lake.catalog_uri);
        self.catalog_proxy = Some(Arc::new(proxy));
        self.services.push(catalog);
        Ok(())
    }

    fn put_store(&mut self, store: Service, seed: u64) -> anyhow::Result<()> {
        let proxy = Proxy::before(store.address(), seed)?;
        for (name, value) in [
            ("lake.warehouse", WAREHOUSE),
            ("s3.region", S3_REGION),
            ("s3.path_style", "true"),
            ("s3.access_key_id", S3_ACCESS_KEY),
            ("s3.secret_access_key", S3_SECRET_KEY),
        ] {
            self.set_both(name, value);
        }
        self.engine_settings.push(format!("s3.endpoint={}", proxy.url_of(store.url())?));
        self.direct_settings.push(format!("s3.endpoint={}", store.url()));
        WAREHOUSE.clone_into(&mut self.lake.warehouse);
        self.lake.s3 = S3Settings {
            endpoint: Some(store.url().to_owned()),
            region: Some(S3_REGION.to_owned()),
            credentials: Some(S3Credentials {
                access_key_id: S3_ACCESS_KEY.to_owned(),
                secret_access_key: Secret::new(S3_SECRET_KEY),
                session_token: None,
            }),
            path_style: Some(true),
            ..S3Settings::default()
        };
        self.store_proxy = Some(Arc::new(proxy));
        self.services.push(store);
        Ok(())
    }

    fn set_both(&mut self, name: &str, value: &str) {
        for settings in [&mut self.engine_settings, &mut self.direct_settings] {
            settings.push(format!("{name}={value}"));
        }
    }

    /// Begins to look at these tables, which need not be there yet.
    pub(crate) fn watch(&self, tables: &[LakeTable]) -> anyhow::Result<LakeWatch> {
        if self.is_plain {
            return LakeWatch::of_tables(&self.data_dir, tables);
        }
        LakeWatch::of_lake(&self.lake, tables)
    }

    /// The directory of the tables' files, where the store is local.
    pub(crate) fn warehouse_directory(&self) -> Option<PathBuf> {
        self.store_proxy.is_none().then(|| self.data_dir.join("warehouse"))
    }

    /// Flags for a command of the engine's program that goes straight to the services.
    pub(crate) fn direct_arguments(&self) -> Vec<String> {
        let settings = self.direct_settings.iter();
        let settings = settings.flat_map(|setting| ["--set".to_owned(), setting.clone()]);
        ["--data-dir".to_owned(), self.data_dir.display().to_string()].into_iter().chain(settings).collect()
    }
}
