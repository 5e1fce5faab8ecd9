//! `/openapi.json` describes what there is, and everything that it refers to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fixture::fixture;

const PATHS: [&str; 16] = [
    "/api/v1/board",
    "/api/v1/decisions",
    "/api/v1/decisions/{action_id}/ack",
    "/api/v1/decisions/{action_id}/done",
    "/api/v1/decisions/{action_id}/hold",
    "/api/v1/engine",
    "/api/v1/events",
    "/api/v1/health",
    "/api/v1/pulse",
    "/api/v1/quarantine",
    "/api/v1/sql",
    "/api/v1/trending",
    "/api/v1/videos/{video_id}",
    "/healthz",
    "/metrics",
    "/readyz",
];

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field.as_str()) {
                    ("$ref", Some(target)) => {
                        found.insert(target.to_owned());
                    }
                    _ => references(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_path_is_described_and_every_reference_leads_somewhere() {
    let scene = fixture(|_| ()).await;
    let description = scene.get("/openapi.json").await.body;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{}", description["openapi"]);
    let described: BTreeSet<&str> =
        description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, PATHS.into());
    let mut targets = BTreeSet::new();
    references(&description, &mut targets);
    assert!(targets.contains("#/components/schemas/Trending"), "{targets:?}");
    for target in targets {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{target}");
    }
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_answers() {
    let scene = fixture(|_| ()).await;
    let description = scene.get("/openapi.json").await.body;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{method} {path}");
        }
    }
}
