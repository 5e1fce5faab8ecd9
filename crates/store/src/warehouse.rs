//! The place of a lake's files: where new tables go, and how the files of every table are reached.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use iceberg::io::FileIO;
use parking_lot::Mutex;
use pulselake_commit::catalog::FileIoSource;

use crate::s3::{is_s3, require_place};
use crate::{Deleted, Files, StoreError, StoreSettings, StoredFile, files, local};

/// A lake's place, and its settings. Cheap to clone; clones share what they know of tables elsewhere.
#[derive(Clone, Debug)]
pub struct Warehouse {
    location: String,
    settings: Arc<StoreSettings>,
    files: Files,
    /// Files as the catalog opened them for a table, by the table's location: listing needs the same keys later.
    opened: Arc<Mutex<HashMap<String, Files>>>,
}

impl Warehouse {
    /// A warehouse at `file:///absolute/path`, a bare absolute path, or `s3://bucket/prefix`. Nothing is asked or made yet.
    pub fn parse(uri: &str, settings: StoreSettings) -> Result<Self, StoreError> {
        let location = normalised(uri)?;
        let files = Files::new(&settings, &HashMap::new())?;
        Ok(Self { location, settings: Arc::new(settings), files, opened: Arc::default() })
    }

    /// Its location, `scheme://…`, without a slash at the end.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The location and where it is, for messages; without secrets.
    pub fn describe(&self) -> String {
        if !is_s3(&self.location) {
            return self.location.clone();
        }
        let complete: StoreSettings = self.files.clone().into();
        format!("{} at {}", self.location, complete.s3.describe_endpoint())
    }

    /// The files that the warehouse's own settings open.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Reads and writes the files of a table wherever each lies, with what the catalog handed out for it (`vended`,
    /// Iceberg's properties), which is remembered for listing and deleting below `table_location`. Called again with
    /// other keys, what was returned before takes them too.
    pub fn open_table(
        &self,
        table_location: &str,
        vended: &HashMap<String, String>,
    ) -> Result<FileIO, StoreError> {
        let table = table_location.trim_end_matches('/');
        let newest = if vended.is_empty() { self.files.clone() } else { Files::new(&self.settings, vended)? };
        let mut opened = self.opened.lock();
        if let Some(earlier) = opened.get(table) {
            earlier.renew(&newest);
            return Ok(earlier.file_io());
        }
        if !vended.is_empty() {
            opened.insert(table.to_string(), newest.clone());
        }
        Ok(newest.file_io())
    }

    /// All files below a location of the warehouse or of a table that was opened; see [`Files::list`].
    pub fn list(&self, location: &str) -> BoxStream<'static, Result<StoredFile, StoreError>> {
        self.files_for(location).list(location)
    }

    /// Deletes files of the warehouse or of tables that were opened; see [`Files::delete`].
    pub async fn delete(&self, locations: Vec<String>) -> Deleted {
        let mut together: Vec<(Files, Vec<String>)> = Vec::new();
        let mut groups: HashMap<Option<String>, usize> = HashMap::new();
        for location in locations {
            let table = self.opened_table_of(&location);
            let group = *groups.entry(table).or_insert_with(|| {
                together.push((self.files_for(&location), Vec::new()));
                together.len() - 1
            });
            together[group].1.push(location);
        }
        let mut outcome = Deleted::default();
        for (files, of_one_table) in together {
            let deleted = files.delete(of_one_table).await;
            outcome.deleted += deleted.deleted;
            outcome.failed.extend(deleted.failed);
        }
        outcome
    }

    fn files_for(&self, location: &str) -> Files {
        let table = self.opened_table_of(location);
        let opened = self.opened.lock();
        table.and_then(|table| opened.get(&table).cloned()).unwrap_or_else(|| self.files.clone())
    }

    /// The opened table that a location lies in; of several the innermost.
    fn opened_table_of(&self, location: &str) -> Option<String> {
        let lies_in = |table: &str| {
            location.strip_prefix(table).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let opened = self.opened.lock();
        opened.keys().filter(|table| lies_in(table)).max_by_key(|table| table.len()).cloned()
    }
}

impl FileIoSource for Warehouse {
    fn file_io(&self, location: &str, vended: &HashMap<String, String>) -> FileIO {
        self.open_table(location, vended).unwrap_or_else(|error| files::unusable(&error))
    }
}

fn normalised(uri: &str) -> Result<String, StoreError> {
    let bad = |reason| StoreError::BadLocation { location: uri.to_string(), reason };
    let trimmed = uri.trim_end_matches('/');
    if is_s3(uri) {
        require_place(uri)?;
        return Ok(trimmed.to_string());
    }
    if uri.contains("://") && !uri.starts_with("file://") {
        return Err(StoreError::UnknownStore { location: uri.to_string() });
    }
    let path =
        local::local_path(trimmed).map_err(|_| bad("use file:///absolute/path or s3://bucket/prefix"))?;
    let text = path.to_str().ok_or_else(|| bad("the path is not UTF-8"))?;
    if path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
        return Err(bad("'..' in the path; write it without"));
    }
    Ok(format!("file://{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<Warehouse, StoreError> {
        Warehouse::parse(uri, StoreSettings::default())
    }

    #[test]
    fn warehouses_are_spelled_as_metadata_spells_them() {
        for (uri, location) in [
            ("file:///data/lake", "file:///data/lake"),
            ("file:///data/lake//", "file:///data/lake"),
            ("file:/data/lake", "file:///data/lake"),
            ("/data/my lake", "file:///data/my lake"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            assert_eq!(parse(uri).unwrap().location(), location);
        }
    }

    #[test]
    fn what_is_no_warehouse_is_refused_with_what_would_be() {
        for uri in [
            "",
            "lake",
            "./lake",
            "file://host/lake",
            "file:///a/../b",
            "s3://",
            "s3://b/",
            "s3://bucket/../a",
        ] {
            let message = parse(uri).unwrap_err().to_string();
            assert!(message.starts_with(uri), "{message}");
        }
        for uri in ["gs://bucket/lake", "hdfs://host/lake"] {
            let message = parse(uri).unwrap_err().to_string();
            assert!(message.contains("s3://bucket/prefix"), "{message}");
        }
    }

    #[test]
    fn a_location_belongs_to_the_innermost_table_that_was_opened() {
        let warehouse = parse("s3://lake/w").unwrap();
        let keys = |key: &str| {
            let pairs = [("s3.access-key-id", key), ("s3.secret-access-key", "secret")];
            pairs.map(|(name, value)| (name.to_string(), value.to_string())).into()
        };
        warehouse.open_table("s3://lake/w/t/", &keys("outer")).unwrap();
        warehouse.open_table("s3://lake/w/t/nested", &keys("inner")).unwrap();
        let key_for = |location: &str| {
            let settings: StoreSettings = warehouse.files_for(location).into();
            settings.s3.credentials.map(|credentials| credentials.access_key_id)
        };
        assert_eq!(key_for("s3://lake/w/t").as_deref(), Some("outer"));
        assert_eq!(key_for("s3://lake/w/t/data/a.parquet").as_deref(), Some("outer"));
        assert_eq!(key_for("s3://lake/w/t/nested/a").as_deref(), Some("inner"));
        assert_ne!(key_for("s3://lake/w/t2/a").as_deref(), Some("outer"));
        warehouse.open_table("s3://lake/w/t", &keys("newer")).unwrap();
        assert_eq!(key_for("s3://lake/w/t/data/a.parquet").as_deref(), Some("newer"));
        assert!(!format!("{warehouse:?}").contains("secret\""));
        assert!(
            !format!("{:?}", warehouse.open_table("s3://lake/t", &keys("k")).unwrap()).contains("\"secret")
        );
    }
}
