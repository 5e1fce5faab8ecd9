//! The failpoints of the stores: the same names do the same in each.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "failpoints")]

mod common;

use bytes::Bytes;
use common::{Bed, PART_BYTES, noise};

/// One after the other in one test: failpoints are the process's.
async fn the_points_act(bed: Bed) {
    let scenario = fail::FailScenario::setup();
    for (point, name) in [
        ("lake::store_data", "a.parquet"),
        ("lake::store_metadata", "v1.metadata.json"),
        ("lake::store_manifest", "m.avro"),
    ] {
        for length in [100, PART_BYTES + 1] {
            let bytes = noise(length);
            for (action, written, visible) in [
                ("return", false, false),
                ("return(unknown)", false, true),
                ("return(twice)", true, true),
                ("return(late:1)", true, true),
            ] {
                let context = format!("{point} {action} {length}");
                fail::cfg(point, &format!("1*{action}")).unwrap();
                let outcome = bed.write_in_pieces(name, &bytes, PART_BYTES).await;
                assert_eq!(outcome.is_ok(), written, "{context}: {outcome:?}");
                assert_eq!(bed.exists(name).await, visible, "{context}");
                if visible {
                    assert!(bed.read(name).await.unwrap() == bytes, "{context}");
                }
                if let Err(error) = outcome {
                    assert!(error.retryable() && error.message().contains(point), "{context}: {error}");
                }
                fail::remove(point);
                bed.warehouse.delete(vec![bed.at(name)]).await;
            }
        }
    }
    fail::cfg("lake::store_write", "1*return").unwrap();
    let error = bed.write_in_pieces("a.parquet", &Bytes::from_static(b"x"), 1).await.unwrap_err();
    assert!(error.message().contains("lake::store_write"), "{error}");
    assert_eq!(bed.list("").await, []);
    scenario.teardown();
}

#[tokio::test]
async fn the_points_act_on_local_files() {
    the_points_act(Bed::local()).await;
}

#[tokio::test]
#[ignore = "needs an S3 server: run through make test"]
async fn the_points_act_on_s3() {
    the_points_act(Bed::s3()).await;
}
