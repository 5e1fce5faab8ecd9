//! Where the tables are: a catalog, a store, how the engine gets in, and how PyIceberg and DuckDB do.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::common::environment;
use crate::common::kafka::brokers;
use crate::common::repository;
use crate::common::scene::{Elsewhere, Scene};
use crate::common::verify::fact;
use crate::services::{S3_KEY, S3_SECRET, told};

/// The catalog's name in a database.
const CATALOG_NAME: &str = "pulselake";
/// The tables.
pub const TABLES: [&str; 3] =
    ["bronze.raw_events", "bronze.invalid_events_content", "gold.rt_video_stats_1min"];

/// One place.
#[derive(Clone, Default)]
pub struct Place {
    /// How the engine gets in.
    pub elsewhere: Elsewhere,
    /// What must be in no output.
    pub secrets: Vec<String>,
    /// How PyIceberg gets in.
    foreign: Map<String, Value>,
}

impl Place {
    fn with_catalog(uri: &str, kind: &str, foreign_uri: &str) -> Self {
        let mut place = Self::default();
        place.arguments(&["--catalog", uri]);
        place.foreign.insert("type".into(), kind.into());
        place.foreign.insert("uri".into(), foreign_uri.into());
        place
    }

    /// The catalog is a file.
    pub fn sqlite(file: &Path) -> Self {
        let file = file.display();
        let place = Self::with_catalog(&format!("sqlite://{file}"), "sql", &format!("sqlite:///{file}"));
        place.told("init_catalog_tables", "false")
    }

    /// The catalog is in a database, `postgres://…`.
    pub fn postgres(url: &str) -> Self {
        let foreign = url.replacen("postgres://", "postgresql+psycopg2://", 1);
        Self::with_catalog(url, "sql", &foreign).told("init_catalog_tables", "false")
    }

    /// The same, with the URL in a file: it holds a password.
    pub fn postgres_by_file(url: &str, password: &str, directory: &Path) -> Self {
        let mut place = Self::postgres(url);
        let file = directory.join("catalog-uri");
        std::fs::write(&file, url.replacen("postgres@", &format!("postgres:{password}@"), 1)).unwrap();
        place.elsewhere.arguments.clear();
        place.set(&format!("lake.catalog_uri_file={}", file.display()));
        place.secrets.push(password.to_owned());
        place
    }

    /// The catalog is a REST catalog that everybody may use.
    pub fn rest(url: &str) -> Self {
        Self::with_catalog(url, "rest", url)
    }

    /// The catalog is a REST catalog that wants credentials, and says where tables lie and how to get there.
    pub fn rest_that_vends(url: &str, warehouse: &str, credential: &str, directory: &Path) -> Self {
        let mut place = Self::rest(url);
        let file = directory.join("rest-credential");
        std::fs::write(&file, credential).unwrap();
        place.arguments(&["--warehouse", warehouse]);
        place.set(&format!("rest.credential_file={}", file.display()));
        let (_, secret) = credential.split_once(':').unwrap();
        place.secrets.extend([secret.to_owned(), S3_SECRET.to_owned()]);
        let place = place.told("warehouse", warehouse).told("credential", credential);
        place.told("header.X-Iceberg-Access-Delegation", "vended-credentials")
    }

    /// Tables lie in a directory.
    pub fn on_files(mut self, directory: &Path) -> Self {
        let warehouse = format!("file://{}", directory.display());
        self.arguments(&["--warehouse", &warehouse]);
        self.told("warehouse", &warehouse)
    }

    /// Tables lie in a bucket; the keys are in the environment, where every program for S3 looks.
    pub fn on_s3(self, endpoint: &str, bucket: &str) -> Self {
        let mut place = self.on_s3_without_keys(endpoint, bucket);
        let variables = [("AWS_ACCESS_KEY_ID", S3_KEY), ("AWS_SECRET_ACCESS_KEY", S3_SECRET)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        place.elsewhere.environment.extend(variables);
        place.secrets.push(S3_SECRET.to_owned());
        place.told("s3.access-key-id", S3_KEY).told("s3.secret-access-key", S3_SECRET)
    }

    /// Tables lie in a bucket; the secret key is in a file.
    pub fn on_s3_by_file(self, endpoint: &str, bucket: &str, secret: &str, directory: &Path) -> Self {
        let mut place = self.on_s3_without_keys(endpoint, bucket);
        let file = directory.join("s3-secret");
        std::fs::write(&file, secret).unwrap();
        place.set(&format!("s3.access_key_id={S3_KEY}"));
        place.set(&format!("s3.secret_access_key_file={}", file.display()));
        place.secrets.push(secret.to_owned());
        place.told("s3.access-key-id", S3_KEY).told("s3.secret-access-key", secret)
    }

    fn on_s3_without_keys(mut self, endpoint: &str, bucket: &str) -> Self {
        let warehouse = format!("s3://{bucket}/lake");
        self.arguments(&["--warehouse", &warehouse]);
        self.set(&format!("s3.endpoint={endpoint}"));
        self.set("s3.region=us-east-1");
        self.set("s3.path_style=true");
        let place = self.told("warehouse", &warehouse).told("s3.endpoint", endpoint);
        place.told("s3.region", "us-east-1").told("s3.force-virtual-addressing", "false")
    }

    fn told(mut self, name: &str, value: &str) -> Self {
        self.foreign.insert(name.into(), value.into());
        self
    }

    fn arguments(&mut self, arguments: &[&str]) {
        self.elsewhere.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }

    /// One more setting, `section.name=value`.
    pub fn set(&mut self, setting: &str) {
        self.arguments(&["--set", setting]);
    }

    /// Puts a scene's tables there.
    pub fn furnish(&self, scene: &mut Scene) {
        scene.elsewhere = self.elsewhere.clone();
    }

    /// Every record of the topic is in the tables once and gold is what a naive recount gives, as PyIceberg reads them
    /// through the catalog; DuckDB reads the same; the audit agrees. Gives the number of records.
    pub fn verify(&self, scene: &Scene) -> u64 {
        scene.audit();
        let catalog = json!({ "name": CATALOG_NAME, "properties": self.foreign });
        let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
            .arg(repository("tests/places/recount_elsewhere.py"))
            .args(["--brokers", &brokers(), "--topic", &scene.topic, "--json"])
            .arg("--data-dir")
            .arg(scene.data_dir())
            .env("PULSELAKE_TEST_PLACE", catalog.to_string())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(output.status.success() && report["ok"] == true, "the recount:\n{}", told(&output));
        assert!(fact(&report["facts"], "rows that DuckDB read") > 0, "{report}");
        fact(&report["facts"], "topic records")
    }

    /// No secret is in anything that was said, nor in any log of the scene.
    pub fn assert_no_secret(&self, scene: &Scene, said: &[String]) {
        let files = std::fs::read_dir(scene.directory()).unwrap().map(|entry| entry.unwrap().path());
        let logs: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
        assert!(!logs.is_empty());
        let logged =
            logs.iter().map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        for text in logged.chain(said.iter().cloned()) {
            for secret in &self.secrets {
                assert!(!text.contains(secret), "{secret:?} is in:\n{text}");
            }
        }
    }
}
