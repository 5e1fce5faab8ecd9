//! Records in Avro and the registry that their schemas come from: away, then there, and never asked twice for one id.
//!
//! Records and schemas are those that a converter wrote and a real registry gave (`crates/cdc/tests/samples`); the registry here
//! is a small one that can be told to fail. With a real registry and real Debezium: `tests/cdc`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pulselake_model::Entity;
use pulselake_source::{KafkaSink, KafkaSinkSettings};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::common::engine::{free_address, http_get, metric_sum};
use crate::common::kafka::brokers;
use crate::common::{PATIENCE, repository};
use crate::place::{Place, dimension, query};

const PASSWORD: &str = "hunter2";
/// `me` and the password, as a browser would send them.
const AUTHORIZATION: &str = "Basic bWU6aHVudGVyMg==";
/// A schema that the registry does not have.
const UNKNOWN_ID: u32 = 99;

struct Schemas {
    by_id: BTreeMap<u32, String>,
    is_away: AtomicBool,
    answers: AtomicUsize,
}

async fn answer(
    State(schemas): State<Arc<Schemas>>,
    headers: HeaderMap,
    Path(id): Path<u32>,
) -> (StatusCode, String) {
    if schemas.is_away.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned());
    }
    if headers.get("authorization").is_none_or(|sent| sent != AUTHORIZATION) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    schemas.answers.fetch_add(1, Ordering::SeqCst);
    match schemas.by_id.get(&id) {
        Some(schema) => (StatusCode::OK, json!({ "schema": schema }).to_string()),
        None => {
            (StatusCode::NOT_FOUND, json!({"error_code": 40403, "message": "Schema not found"}).to_string())
        }
    }
}

struct Registry {
    schemas: Arc<Schemas>,
    url: String,
    // It serves for as long as this is there.
    _runtime: Runtime,
}

/// One that is away.
fn registry() -> Registry {
    let by_id = lines("avro_schemas.ndjson").into_iter().map(|line| {
        (u32::try_from(line["id"].as_u64().unwrap()).unwrap(), line["schema"].as_str().unwrap().to_owned())
    });
    let schemas = Arc::new(Schemas {
        by_id: by_id.collect(),
        is_away: AtomicBool::new(true),
        answers: AtomicUsize::new(0),
    });
    let routes = Router::new().route("/schemas/ids/{id}", get(answer)).with_state(schemas.clone());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    Registry { schemas, url, _runtime: runtime }
}

fn lines(file: &str) -> Vec<Value> {
    let path = repository("crates/cdc/tests/samples").join(file);
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Debezium's changes of videos in Avro, tombstones left out.
fn records() -> Vec<Vec<u8>> {
    let values = lines("videos_avro.ndjson");
    let texts = values.iter().filter_map(|line| line["value"].as_str());
    texts.map(|text| STANDARD.decode(text).unwrap()).collect()
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn avro() {
    let place = Place::new("dims-avro");
    let registry = registry();
    let password = place.scene.directory().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let address = free_address();
    let settings = [
        "kafka.group_mode=assign".to_owned(),
        format!("http.bind={address}"),
        format!("cdc.schema_registry_url={}", registry.url),
        "cdc.schema_registry_user=me".to_owned(),
        format!("cdc.schema_registry_password_file={}", password.display()),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();

    let topic = place.topic(Entity::Videos).to_owned();
    let sink =
        KafkaSink::connect(&KafkaSinkSettings { brokers: brokers(), topic, ..Default::default() }).unwrap();
    let send = |values: &[&[u8]]| {
        for value in values {
            sink.send(Some(0), b"key", value, 1_770_458_400_000).unwrap();
        }
        sink.flush(PATIENCE).unwrap();
    };
    // A change in JSON, one that names a schema that nobody has, and one of Debezium's.
    let bare =
        br#"{"op":"c","after":{"video_id":"v_json","category":"json"},"source":{"ts_ms":1770458400000}}"#;
    let unknown = [&[0_u8][..], &UNKNOWN_ID.to_be_bytes(), b"anything"].concat();
    let records = records();
    send(&[bare, &unknown, &records[0]]);

    // Nothing is rejected because the registry is away, and a stop does not wait for it.
    let mut engine = place.start(&settings, "");
    engine.wait_until("the registry is asked", |log| log.has("schema_registry_away"));
    engine.terminate();
    let log = engine.log();
    assert_eq!(log.commits(dimension(Entity::Videos)), 0, "{}", log.tail());
    assert!(!log.has("generation_killed") && !log.has("changes_quarantined"), "{}", log.tail());

    let mut engine = place.start(&settings, "");
    engine.wait_until("the registry is asked again", |log| log.has("schema_registry_away"));
    registry.schemas.is_away.store(false, Ordering::SeqCst);
    engine.wait_until("the first batch is committed", |log| log.commits(dimension(Entity::Videos)) >= 1);
    assert!(engine.log().has("schema_registry_back"), "{}", engine.log().tail());
    let (_, exposition) = http_get(&address, "/metrics").unwrap();
    let failed = r#"pulselake_schema_registry_requests_total{outcome="failed"}"#;
    assert!(metric_sum(&exposition, "pulselake_schema_registry_requests_total") >= 4.0, "{exposition}");
    assert!(exposition.lines().any(|line| line.starts_with(failed)), "{exposition}");

    let rest: Vec<&[u8]> = records[1..].iter().map(Vec::as_slice).collect();
    send(&rest);
    let wanted = (records.len() + 2) as f64;
    let committed = crate::common::poll(PATIENCE, || {
        engine.assert_alive();
        let rows = query(
            &place,
            "SELECT (SELECT count(*) FROM dim_videos_history) + (SELECT count(*) FROM invalid_events_cdc_videos)",
        );
        (rows[0][0].as_f64() == Some(wanted)).then_some(())
    });
    assert!(committed.is_some(), "{}", engine.log().tail());
    engine.terminate();
    place.audit();

    let rows = query(&place, "SELECT video_id, category FROM dim_videos ORDER BY video_id");
    let expected =
        json!([["v_1", "again"], ["v_33", "dance"], ["v_4", "after incremental"], ["v_json", "json"],]);
    assert_eq!(rows, expected);
    let rejected = query(
        &place,
        "SELECT error_code, error_reason FROM invalid_events_cdc_videos ORDER BY source_offset",
    );
    assert_eq!(
        (&rejected[0][0], &rejected[1][0]),
        (&json!("UNKNOWN_SCHEMA"), &json!("TYPE_CHANGED")),
        "{rejected}"
    );
    assert!(rejected[0][1].as_str().unwrap().contains("no schema 99"), "{rejected}");

    // Each schema once, and twice the one that is not there.
    let schemas = registry.schemas.by_id.len() - 1;
    assert_eq!(registry.schemas.answers.load(Ordering::SeqCst), schemas + 2);
    assert!(!engine.log().text.contains(PASSWORD), "the password is in the log");
}
