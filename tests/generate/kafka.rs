//! Through Kafka and the engine: the tables come to the truth.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;

use crate::common::kafka::brokers;
use crate::common::scene::Scene;
use crate::truth::Rows;
use crate::{CHAOS, pulselake, table_rows, told, truth};

/// All rows of a table, some columns.
fn rows_of(scene: &Scene, table: LakeTable, columns: &[&str]) -> Rows {
    let directory = scene.data_dir();
    let settings = LakeSettings::new(
        format!("sqlite://{}/catalog.db", directory.display()),
        format!("file://{}/warehouse", directory.display()),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(&settings, OpenMode::MustExist).await.unwrap();
        let batches: Vec<RecordBatch> = lake.read(table, columns).await.unwrap().try_collect().await.unwrap();
        Rows(concat_batches(&batches[0].schema(), &batches).unwrap())
    })
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn the_tables_come_to_the_truth() {
    let scene = Scene::new("generate-truth", 4);
    let (truth_directory, data_dir) = (scene.directory().join("truth"), scene.data_dir());
    let (truth_path, data_path) = (truth_directory.to_str().unwrap(), data_dir.to_str().unwrap());
    let brokers = brokers();
    let mut arguments = vec!["generate", "--brokers", &brokers, "--topic", &scene.topic, "--events", "60007"];
    arguments.extend(["--seed", "7", "--start", crate::START, "--invalid-ratio", "0.02", "--videos", "500"]);
    arguments.extend(["--truth", truth_path, "--qa", "--data-dir", data_path]);
    arguments.extend(CHAOS.iter().flat_map(|scenario| ["--scenario", scenario]));
    let output = pulselake(&arguments);
    assert!(output.status.success(), "{}", told(&output));
    scene.run_to_end();

    let gold = rows_of(
        &scene,
        LakeTable::VideoStats1Min,
        &[
            "video_id",
            "window_start",
            "impressions",
            "play_start",
            "play_finish",
            "likes",
            "shares",
            "skips",
            "watch_time_sum_ms",
        ],
    );
    let (found, expected) = (truth::counts_of(&gold), truth::counts(&truth_directory));
    let differing: Vec<_> =
        expected.iter().filter(|(key, counts)| found.get(key) != Some(counts)).take(3).collect();
    assert_eq!(differing, [], "of {} rows", expected.len());
    assert_eq!(found.len(), expected.len());

    let rejected = rows_of(&scene, LakeTable::InvalidEventsContent, &["error_code"]);
    let mut by_code: BTreeMap<String, i64> = BTreeMap::new();
    for code in rejected.0.column(0).as_string::<i32>().iter().flatten() {
        *by_code.entry(code.to_owned()).or_default() += 1;
    }
    assert_eq!(by_code, truth::quarantine(&truth_directory));
    let manifest = Rows::read(&truth_directory.join("run_manifest.parquet"));
    let accepted = manifest.only("records") - manifest.only("malformed");
    assert_eq!(table_rows(data_path, "bronze.raw_events"), Some(accepted.unsigned_abs()));
    assert_eq!(table_rows(data_path, "qa.run_manifest"), Some(1));
    scene.audit();
}
