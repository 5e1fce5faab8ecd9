//! The queue over HTTP, in a lake of its own.

use pulselake_actors::status::now_us;
use pulselake_decision::MINUTE_US;
use serde_json::json;

use super::fixture::{ACT, fixture};

#[tokio::test]
async fn an_action_is_listed_taken_up_and_finished() {
    let scene = fixture(|_| ()).await;
    let id = scene.decide("nova", now_us()).await;
    let list = scene.get("/api/v1/decisions").await.body;
    assert_eq!(
        (&list["freshness"], &list["rule_version"]),
        (&json!("fresh"), &json!(pulselake_decision::Rules::DEFAULT_VERSION))
    );
    let action = &list["actions"][0];
    assert_eq!((&action["action_id"], &action["state"]), (&json!(id), &json!("PENDING")));
    assert_eq!(action["reason_codes"], json!(["HIGH_VELOCITY_P90", "GATE_PASS"]));
    // The list of videos shows it too.
    let nova = scene.get("/api/v1/trending?limit=1").await.body["videos"][0].clone();
    assert_eq!((&nova["action"]["action_id"], &nova["action"]["state"]), (&json!(id), &json!("PENDING")));

    let ack = format!("/api/v1/decisions/{id}/ack");
    let acked = scene.ask("POST", &ack, ACT, "{\"expected_state\":\"PENDING\"}").await;
    assert_eq!((acked.status, &acked.body["state"]), (200, &json!("ACKED")), "{acked:?}");
    let again = scene.ask("POST", &ack, ACT, "").await;
    assert_eq!((again.status, again.code()), (409, "wrong_state"));
    assert_eq!(again.body["error"]["state"], "ACKED");
    let done = scene.ask("POST", &format!("/api/v1/decisions/{id}/done"), ACT, "").await;
    assert_eq!((done.status, &done.body["state"]), (200, &json!("DONE")));
    assert_eq!(scene.get("/api/v1/decisions?state=DONE").await.body["actions"][0]["action_id"], id);
    assert_eq!(scene.get("/api/v1/decisions?state=PENDING").await.body["actions"], json!([]));
}

#[tokio::test]
async fn a_change_that_is_not_possible_says_why() {
    let scene = fixture(|_| ()).await;
    let id = scene.decide("nova", now_us()).await;
    let of = |id: &str, verb: &str| format!("/api/v1/decisions/{id}/{verb}");
    let nil = "00000000-0000-0000-0000-000000000000";
    for (path, body, status, code) in [
        (of(&id, "done"), "", 409, "wrong_state"),
        (of(&id, "ack"), "{\"expected_state\":\"ACKED\"}", 409, "wrong_state"),
        (of(&id, "ack"), "{\"expected_state\":\"GONE\"}", 400, "bad_parameter"),
        (of(&id, "ack"), "{\"expected\":\"PENDING\"}", 400, "bad_request"),
        (of(&id, "ack"), "not json", 400, "bad_request"),
        (of(nil, "ack"), "", 404, "not_found"),
        (of("7", "ack"), "", 400, "bad_parameter"),
        (of(&id, "boost"), "", 404, "not_found"),
    ] {
        let answer = scene.ask("POST", &path, ACT, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path} {body}: {answer:?}");
    }
    let unchanged = scene.get("/api/v1/decisions").await.body;
    assert_eq!(unchanged["actions"][0]["state"], "PENDING");
}

#[tokio::test]
async fn what_has_expired_is_gone() {
    let scene = fixture(|_| ()).await;
    let id = scene.decide("nova", now_us() - 20 * MINUTE_US).await;
    let answer = scene.ask("POST", &format!("/api/v1/decisions/{id}/ack"), ACT, "").await;
    assert_eq!((answer.status, answer.code()), (410, "expired"), "{answer:?}");
}

#[tokio::test]
async fn a_process_that_decides_nothing_has_an_empty_list() {
    let scene = fixture(|parts| parts.decisions = None).await;
    let list = scene.get("/api/v1/decisions").await;
    assert_eq!((list.status, &list.body["actions"]), (200, &json!([])));
    assert!(list.body["freshness"].is_null() && list.body["rule_version"].is_null());
}
