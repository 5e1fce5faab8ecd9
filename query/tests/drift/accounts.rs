//! Whether every value of every body is where the registry says. It is found out apart from the code under test: bodies are
//! read by serde_json, and rows by the plain reader of tables.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use futures::TryStreamExt;
use pulselake_model::tables::LakeTable;
use pulselake_query::batch::drift::{KnownField, RegisteredField, Registry};
use pulselake_query::batch::payload_column::PayloadType;
use serde_json::value::RawValue;

use super::lake::{ColdLake, Event, event};

/// Events with these bodies, a second apart, on the day that `date` says.
pub fn events(date: &str, bodies: &[&str]) -> Vec<Event> {
    let of_body = |(place, body): (usize, &&str)| Event {
        body: (*body).to_owned(),
        at_us: super::lake::us(&format!("{date}T00:00:00")) + i64::try_from(place).unwrap() * 1_000_000,
        ..event(&format!("{date} {place}"), &format!("u_{}", place % 5), "00:00:00")
    };
    bodies.iter().enumerate().map(of_body).collect()
}

pub async fn registry(lake: &ColdLake) -> Registry {
    Registry::read(&lake.lake().view(LakeTable::PayloadFields).await.unwrap()).await.unwrap()
}

pub fn field<'a>(registry: &'a Registry, key: &str) -> &'a RegisteredField {
    registry.fields.get(key).unwrap_or_else(|| panic!("{key:?} is not registered"))
}

/// A row of silver.
struct Row {
    batch: RecordBatch,
    place: usize,
}

async fn silver(lake: &ColdLake) -> HashMap<String, Row> {
    let batches: Vec<RecordBatch> =
        lake.lake().read(LakeTable::EngagementFacts, &[]).await.unwrap().try_collect().await.unwrap();
    let mut rows = HashMap::new();
    for batch in batches {
        let ids = batch.column_by_name("event_id").unwrap().as_string::<i32>().clone();
        for place in 0..batch.num_rows() {
            rows.insert(ids.value(place).to_owned(), Row { batch: batch.clone(), place });
        }
    }
    rows
}

impl Row {
    /// Whether the cell is there and says what `raw` says.
    fn says(&self, column: &str, raw: &str) -> bool {
        let Some(cells) = self.batch.column_by_name(column).filter(|cells| cells.is_valid(self.place)) else {
            return false;
        };
        match cells.data_type() {
            DataType::Int64 => {
                let found = cells.as_primitive::<Int64Type>().value(self.place);
                raw.parse::<i64>()
                    .map_or_else(|_| raw.parse::<f64>() == Ok(found as f64), |whole| whole == found)
            }
            DataType::Float64 => {
                let found = cells.as_primitive::<Float64Type>().value(self.place);
                raw.parse::<f64>() == Ok(found)
                    && raw.parse::<i128>().is_ok_and(|whole| whole == found as i128)
                        == raw.parse::<i128>().is_ok()
            }
            DataType::Boolean => raw == cells.as_boolean().value(self.place).to_string(),
            DataType::Utf8 => text_of(raw) == cells.as_string::<i32>().value(self.place),
            other => panic!("column {column} is {other}"),
        }
    }

    fn is_null(&self, column: &str) -> bool {
        self.batch.column_by_name(column).is_none_or(|cells| cells.is_null(self.place))
    }
}

fn text_of(raw: &str) -> String {
    serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
}

/// What the bodies hold: by event, the last value of each key that is not null. Bodies that are no object hold nothing.
fn values(events: &[Event]) -> HashMap<&str, BTreeMap<String, String>> {
    let of_body = |body: &str| -> BTreeMap<String, String> {
        let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap_or_default();
        fields
            .into_iter()
            .map(|(key, raw)| (key, raw.get().to_owned()))
            .filter(|(_, raw)| raw != "null")
            .collect()
    };
    events.iter().map(|event| (event.id.as_str(), of_body(&event.body))).collect()
}

/// Every value of `events` is in its field's column or in the one beside it, never in both, or its field has no column. No
/// column has anything else. Returns how many values are without a column. For lakes without dimensions.
pub async fn assert_nothing_is_lost(lake: &ColdLake, events: &[Event]) -> u64 {
    let (registry, silver) = (registry(lake).await, silver(lake).await);
    let bodies = values(events);
    assert_eq!(silver.len(), bodies.len(), "rows of silver");
    let mut without_column = 0;
    for (id, fields) in &bodies {
        let row = &silver[*id];
        for (key, field) in &registry.fields {
            let Some(column) = &field.column_name else { continue };
            // A text column takes everything: the name beside it may be another field's.
            let is_text =
                field.column_type == Some(PayloadType::String) && KnownField::of_name(key).is_none();
            let beside = if is_text { String::new() } else { format!("{column}_text") };
            match fields.get(key) {
                None => assert!(
                    row.is_null(column) && row.is_null(&beside),
                    "{id}: {column} has something that is not in {fields:?}"
                ),
                Some(raw) if row.is_null(column) => {
                    assert!(row.says(&beside, raw), "{id}: {key} = {raw} is lost: {field:?}");
                }
                Some(raw) => {
                    assert!(row.says(column, raw), "{id}: {key} = {raw} is another value in {column}");
                    assert!(row.is_null(&beside), "{id}: {key} = {raw} is in two columns");
                }
            }
        }
        let has_column =
            |key: &str| registry.fields.get(key).is_some_and(|field| field.column_name.is_some());
        without_column += fields.keys().filter(|key| !has_column(key)).count() as u64;
    }
    without_column
}
