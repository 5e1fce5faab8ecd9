//! A source whose columns change under a running engine.

use pulselake_model::Entity;
use pulselake_source::{KafkaSink, KafkaSinkSettings};
use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::engine::{Engine, free_address, http_get};
use crate::common::kafka::brokers;
use crate::feed::created;
use crate::place::{Place, dimension, query};

/// Of the history, its own 18 included.
const MAX_COLUMNS: &str = "cdc.max_columns=22";

/// One change after the other, each of which is committed before the next one comes.
struct Source<'a> {
    place: &'a Place,
    sink: KafkaSink,
    engine: Engine,
    sent: u64,
}

impl Source<'_> {
    /// A row in the bare form: types are JSON's.
    fn bare(&mut self, fields: &Value) {
        let row = self.row(fields);
        self.send(&created(&row.to_string(), self.sent + 1));
    }

    /// A row in the form with a schema, whose further columns have these types of Kafka Connect.
    fn typed(&mut self, fields: &Value, types: &[(&str, &str)]) {
        let key = json!({"field": "video_id", "type": "string", "optional": false});
        let further = types.iter().map(|(name, kind)| json!({"field": name, "type": kind, "optional": true}));
        let columns: Vec<Value> = std::iter::once(key).chain(further).collect();
        let of_rows = ["before", "after"]
            .map(|name| json!({"type": "struct", "field": name, "fields": columns, "optional": true}));
        let payload: Value =
            serde_json::from_str(&created(&self.row(fields).to_string(), self.sent + 1)).unwrap();
        self.send(&json!({"schema": {"type": "struct", "fields": of_rows}, "payload": payload}).to_string());
    }

    fn row(&self, fields: &Value) -> Value {
        let mut row = fields.clone();
        row["video_id"] = json!(format!("v{}", self.sent + 1));
        row
    }

    fn send(&mut self, value: &str) {
        let key = format!("v{}", self.sent + 1);
        self.sink.send(Some(0), key.as_bytes(), value.as_bytes(), 1_770_458_400_000).unwrap();
        self.sent += 1;
        assert_eq!(self.sink.flush(PATIENCE).unwrap(), self.sent);
        let commits = self.sent as usize;
        self.engine
            .wait_until("the change is committed", |log| log.commits(dimension(Entity::Videos)) >= commits);
    }

    /// Rows that DuckDB gives.
    fn query(&self, sql: &str) -> Value {
        query(self.place, sql)
    }

    fn column_types(&self, table: &str) -> Value {
        self.query(&format!(
            "SELECT column_name, column_type FROM (DESCRIBE {table})
             WHERE column_name IN ('title', 'rating', 'score', 'one', 'two', 'last') ORDER BY column_name"
        ))
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn schema() {
    let place = Place::new("dims-schema");
    let address = free_address();
    let bind = format!("http.bind={address}");
    let engine = place.start(&["kafka.group_mode=assign", MAX_COLUMNS, &bind], "");
    let topic = place.topic(Entity::Videos).to_owned();
    let sink =
        KafkaSink::connect(&KafkaSinkSettings { brokers: brokers(), topic, ..Default::default() }).unwrap();
    let mut source = Source { place: &place, sink, engine, sent: 0 };

    source.bare(&json!({"category": "music"}));
    source.bare(&json!({"category": "music", "title": "a"}));
    source.typed(&json!({"title": "b", "rating": 7}), &[("title", "string"), ("rating", "int32")]);
    source.typed(&json!({"rating": 1, "score": 0.5}), &[("rating", "int32"), ("score", "float")]);
    let narrow = source.column_types("dim_videos");
    assert_eq!(narrow, json!([["rating", "INTEGER"], ["score", "FLOAT"], ["title", "VARCHAR"]]));
    source.typed(
        &json!({"rating": 5_000_000_000_i64, "score": 0.1}),
        &[("rating", "int64"), ("score", "double")],
    );
    // v6: not to be widened to. v7: a string where the column is a number. v8: one column too many. v9: room for one.
    source.typed(&json!({"rating": 2.5}), &[("rating", "double")]);
    source.bare(&json!({"title": "c", "score": "high"}));
    source.bare(&json!({"one": 1, "two": 2}));
    source.bare(&json!({"last": true}));

    let wide = json!([["last", "BOOLEAN"], ["rating", "BIGINT"], ["score", "DOUBLE"], ["title", "VARCHAR"]]);
    for table in ["dim_videos", "dim_videos_history"] {
        assert_eq!(source.column_types(table), wide, "{table}");
        let rows = source
            .query(&format!("SELECT video_id, title, rating, score, last FROM {table} ORDER BY video_id"));
        let expected = json!([
            ["v1", null, null, null, null],
            ["v2", "a", null, null, null],
            ["v3", "b", 7, null, null],
            ["v4", null, 1, 0.5, null],
            ["v5", null, 5_000_000_000_i64, 0.1, null],
            ["v9", null, null, null, true],
        ]);
        assert_eq!(rows, expected, "{table}");
    }

    let rejected = source
        .query("SELECT source_offset, error_code, error_reason FROM invalid_events_cdc_videos ORDER BY 1");
    let rejected = rejected.as_array().unwrap();
    let expected: [(u64, &str, &[&str]); 3] = [
        (5, "TYPE_CHANGED", &["rating", "long", "double"]),
        (6, "TYPE_CHANGED", &["score", "double", "string"]),
        (7, "TOO_MANY_COLUMNS", &["22"]),
    ];
    assert_eq!(rejected.len(), expected.len(), "{rejected:?}");
    for (row, (offset, code, words)) in rejected.iter().zip(expected) {
        assert_eq!((row[0].as_u64(), row[1].as_str()), (Some(offset), Some(code)), "{row}");
        let reason = row[2].as_str().unwrap();
        assert!(words.iter().all(|word| reason.contains(word)), "{reason:?} does not name {words:?}");
    }

    let (_, exposition) = http_get(&address, "/metrics").unwrap();
    for metric in [
        // title, rating, score, last; rating and score once more.
        r#"pulselake_schema_change_columns_total{entity="videos"} 6"#,
        r#"pulselake_rejected_change_records_total{entity="videos"} 3"#,
        r#"pulselake_rejected_records_total{code="TYPE_CHANGED"} 2"#,
        r#"pulselake_rejected_records_total{code="TOO_MANY_COLUMNS"} 1"#,
    ] {
        assert!(exposition.lines().any(|line| line == metric), "no {metric} in\n{exposition}");
    }
    let log = source.engine.log();
    let generations = log.events("generation_started");
    let of_videos = generations.iter().filter(|event| event["shard"] == "videos-0").count();
    assert_eq!(of_videos, 1, "a restart:\n{}", log.tail());
    assert!(!log.has("generation_killed"), "{}", log.tail());
    assert_eq!(log.count("dimension_evolved"), 5, "{}", log.tail());
    source.engine.terminate();

    // Another engine finds the columns as they are, and the widened one again in files of before.
    source.engine = place.start(&["kafka.group_mode=assign", MAX_COLUMNS], "");
    source
        .sink
        .send(Some(0), b"v3", created(r#"{"video_id":"v3","rating":8}"#, 100).as_bytes(), 1_770_458_400_000)
        .unwrap();
    source.engine.wait_until("it commits", |log| log.commits(dimension(Entity::Videos)) >= 1);
    source.engine.terminate();
    let rows = source.query("SELECT count(*), sum(rating), count(title) FROM dim_videos");
    assert_eq!(rows, json!([[6, 5_000_000_009_i64, 1]]));
}
