//! Runs that are killed between the registry and the columns.

use std::os::unix::process::ExitStatusExt;

use pulselake_model::tables::LakeTable;

use super::accounts::{assert_nothing_is_lost, events, registry};
use super::lake::ColdLake;

const ARGUMENTS: [&str; 5] = ["run", "--date", "2026-02-07", "--job", "payload_fields"];

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_a_killed_run_did_not_add_are_added_by_the_next() {
    let lake = ColdLake::new(false).await;
    let events = events("2026-02-07", &[r#"{"n":1,"watch_time_ms":-1}"#, r#"{"n":2}"#]);
    lake.add(&events).await;
    let killed = |point: &str| {
        let output =
            lake.command(&ARGUMENTS).env("FAILPOINTS", format!("{point}=return(abort)")).output().unwrap();
        assert_eq!(output.status.signal(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    };
    killed("lake::before_catalog_swap");
    assert!(registry(&lake).await.fields.is_empty(), "nothing was committed");
    killed("lake::after_catalog_swap");
    let written = registry(&lake).await;
    assert_eq!(written.fields.len(), 2, "the registry was");
    let has = |name: &'static str| {
        let lake = lake.lake().clone();
        async move { lake.table_schema(LakeTable::EngagementFacts).await.unwrap().field_with_name(name).is_ok() }
    };
    assert!(!has("n").await, "the columns were not");
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(registry(&lake).await, written);
    assert!(has("n").await && has("watch_time_ms_text").await);
    assert_eq!(assert_nothing_is_lost(&lake, &events).await, 0);
}
