//! Runs that are killed: the day stays as it was, or is as it is now, and the next run makes it good.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use pulselake_lake::BEFORE_REPLACE_COMMIT;

use super::lake::{ColdLake, event};

const COUNT: &str = "SELECT count(*) FROM silver.fact_user_engagement";
const LOGGED: &str =
    "SELECT count(*) FROM qa.batch_runs WHERE job = 'fact_user_engagement' AND status = 'done'";

async fn a_day_with_late_rows() -> ColdLake {
    let lake = ColdLake::new(false).await;
    lake.add(&(0..10).map(|n| event(&format!("e{n}"), "u_1", &format!("10:{n:02}:00"))).collect::<Vec<_>>())
        .await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    lake.add(&[event("late", "u_1", "10:30:00")]).await;
    lake
}

fn killed_at(lake: &ColdLake, failpoints: &str) -> Output {
    let arguments = ["run", "--date", "2026-02-07", "--job", "fact_user_engagement"];
    let output = lake.command(&arguments).env("FAILPOINTS", failpoints).output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_commit_the_old_day_is_visible_and_a_rerun_completes() {
    let lake = a_day_with_late_rows().await;
    for point in [BEFORE_REPLACE_COMMIT, "lake::before_parquet_close", "lake::before_catalog_swap"] {
        killed_at(&lake, &format!("{point}=return(abort)"));
        assert_eq!(lake.rows(COUNT).await, ["10"], "{point}");
        assert_eq!(lake.rows(LOGGED).await, ["1"], "{point}");
    }
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(lake.rows(COUNT).await, ["11"]);
    assert_eq!(lake.rows(LOGGED).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_commits_the_day_is_made_once_more() {
    let lake = a_day_with_late_rows().await;
    killed_at(&lake, "lake::after_catalog_swap=return(abort)");
    assert_eq!(lake.rows(COUNT).await, ["11"], "the day is there");
    assert_eq!(lake.rows(LOGGED).await, ["1"], "nobody wrote it down");
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(lake.rows(COUNT).await, ["11"]);
    assert_eq!(lake.rows(LOGGED).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_written_down_and_ends_the_run() {
    let lake = a_day_with_late_rows().await;
    let arguments = ["run", "--from", "2026-02-07", "--to", "2026-02-08", "--job", "fact_user_engagement"];
    let output =
        lake.command(&arguments).env("FAILPOINTS", "batch::before_replace_commit=return").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: fact_user_engagement of 2026-02-07: "), "{said}");
    let failed = lake.rows("SELECT status, rows_out FROM qa.batch_runs WHERE status = 'failed'").await;
    assert_eq!(failed, ["failed 0"]);
    assert_eq!(lake.rows(COUNT).await, ["10"]);
    lake.run_silver("2026-02-07", "2026-02-07").await;
    assert_eq!(lake.rows(COUNT).await, ["11"]);
}
