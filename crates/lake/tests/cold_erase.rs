//! A person leaves the tables of batch jobs.
#![allow(clippy::unwrap_used)]

mod cold_parts;
mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use cold_parts::*;
use common::Place;
use futures::TryStreamExt;
use pulselake_lake::{Lake, ReplacedPart};
use pulselake_maintain::erase::{EraseSettings, Subject, TextSearch, erase};
use pulselake_maintain::janitor::Tools;
use pulselake_model::{ColumnChange, cold};

/// The user of row 1 of [`rows_of`].
const USER: &str = "user_id-1";

async fn erased(lake: &Lake, texts: TextSearch) {
    let tools = Tools { catalog: lake.catalog().as_ref(), store: lake.warehouse(), limits: lake.limits() };
    let settings = EraseSettings { texts, expire_now: true, ..EraseSettings::default() };
    let subject = Subject::User(USER.to_string());
    let report = erase(tools, &subject, &settings, "test", false, &|_| {}).await.unwrap();
    assert!(report.failed.is_empty() && report.tables.iter().all(|table| table.complete), "{report:?}");
}

/// Rows of a day with a further column, whose value in row 3 is the user, and in row 4 mentions it.
async fn filled(place: &Place) -> Lake {
    let lake = open(place).await;
    let change = ColumnChange::Add { name: "friend".to_string(), data_type: DataType::Utf8 };
    lake.evolve(FACTS, &[change]).await.unwrap();
    let plain = rows_of(&cold::engagement_facts(), day(6), 0..6);
    let mut fields: Vec<Field> = plain.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("friend", DataType::Utf8, true));
    let list = format!(r#"["x","{USER}"]"#);
    let friends = [None, None, Some("somebody"), Some(USER), Some(list.as_str()), None];
    let friends: ArrayRef = Arc::new(StringArray::from(friends.to_vec()));
    let columns = plain.columns().iter().cloned().chain([friends]).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    lake.replace_partition(FACTS, part(6), stream_of(vec![rows])).await.unwrap();

    let fields = rows_of(&cold::payload_fields(), day(6), 0..2);
    let schema = fields.schema();
    let columns = schema.fields().iter().map(|field| {
        let column = fields.column_by_name(field.name()).unwrap().clone();
        let samples: ArrayRef = Arc::new(StringArray::from(vec![USER, "somebody"]));
        (field.name().clone(), if field.name() == "sample" { samples } else { column })
    });
    let fields = RecordBatch::try_from_iter(columns).unwrap();
    lake.replace_partition(FIELDS, ReplacedPart::Whole, stream_of(vec![fields])).await.unwrap();
    lake
}

async fn samples(lake: &Lake) -> Vec<Option<String>> {
    let batches: Vec<RecordBatch> =
        lake.read(FIELDS, &["sample"]).await.unwrap().try_collect().await.unwrap();
    let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter());
    texts.map(|text| text.map(str::to_string)).collect()
}

#[tokio::test]
async fn a_user_leaves_silver_and_what_is_known_of_its_fields_stays() {
    let place = Place::new();
    let lake = filled(&place).await;
    erased(&lake, TextSearch::Quarantine).await;
    assert_eq!(numbers(&lake, FACTS, "source_offset").await, [0, 2, 3, 4, 5]);
    assert_eq!(samples(&lake).await, [Some(USER.to_string()), Some("somebody".to_string())]);

    // Searched everywhere: events whose body names the user as well, as in bronze.
    erased(&lake, TextSearch::Everywhere).await;
    assert_eq!(numbers(&lake, FACTS, "source_offset").await, [0, 2, 5]);
    assert_eq!(samples(&lake).await, [None, Some("somebody".to_string())]);
    assert_eq!(numbers(&lake, FIELDS, "events").await, [0, 1], "both fields are known still");
    // A job may make the day again.
    let again = rows_of(&cold::engagement_facts(), day(6), 2..3);
    lake.replace_partition(FACTS, part(6), stream_of(vec![again])).await.unwrap();
    assert_eq!(numbers(&lake, FACTS, "source_offset").await, [2]);
}
