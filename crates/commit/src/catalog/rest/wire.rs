//! What goes over the wire to and from a REST catalog (Iceberg's OpenAPI specification), as far as it is used here.

use std::collections::HashMap;

use iceberg::spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableIdent, TableRequirement, TableUpdate};
use serde::{Deserialize, Deserializer, Serialize};

pub(super) type Strings = HashMap<String, String>;

/// A map in which servers may leave values, or the whole, null.
fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Strings, D::Error> {
    let found: Option<HashMap<String, Option<String>>> = Deserialize::deserialize(deserializer)?;
    Ok(found.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

#[derive(Deserialize)]
pub(super) struct Configuration {
    #[serde(default, deserialize_with = "strings")]
    pub defaults: Strings,
    #[serde(default, deserialize_with = "strings")]
    pub overrides: Strings,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NamespacePage {
    #[serde(default)]
    pub namespaces: Vec<Vec<String>>,
    pub next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TablePage {
    #[serde(default)]
    pub identifiers: Vec<TableIdent>,
    pub next_page_token: Option<String>,
}

/// A table, with what its client needs to reach its files. No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TableAnswer {
    pub metadata_location: Option<String>,
    pub metadata: TableMetadata,
    #[serde(default, deserialize_with = "strings")]
    pub config: Strings,
    #[serde(default)]
    pub storage_credentials: Option<Vec<StorageCredential>>,
}

/// Access to all files below a prefix.
#[derive(Deserialize)]
pub(super) struct StorageCredential {
    pub prefix: String,
    #[serde(default, deserialize_with = "strings")]
    pub config: Strings,
}

#[derive(Deserialize)]
pub(super) struct ErrorAnswer {
    pub error: ErrorWords,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorWords {
    /// Of the catalog.
    Catalog {
        #[serde(default)]
        message: Option<String>,
        #[serde(default, rename = "type")]
        kind: Option<String>,
    },
    /// Of an OAuth2 server: its code for the error. The words beside it are for people.
    OAuth(String),
}

#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub access_token: String,
    /// Seconds.
    pub expires_in: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct NewNamespace<'a> {
    pub namespace: &'a [String],
    pub properties: Strings,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NewTable {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_spec: Option<UnboundPartitionSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_order: Option<SortOrder>,
    pub stage_create: bool,
    pub properties: Strings,
}

#[derive(Serialize)]
pub(super) struct Commit<'a> {
    pub identifier: &'a TableIdent,
    pub requirements: &'a [TableRequirement],
    pub updates: &'a [TableUpdate],
}
