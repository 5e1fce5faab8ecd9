//! Runs after runs: what is made again, and what is not.

use pulselake_model::tables::LakeTable;
use pulselake_query::batch::plan::Verdict;
use pulselake_query::batch::run::{Outcome, Report};

use super::lake::{ColdLake, event, jobs, request};

fn made(report: &Report) -> Vec<String> {
    let ran = report.steps.iter().filter(|step| step.ran.is_some());
    ran.map(|step| format!("{} {}", step.date.format("%d"), step.job)).collect()
}

fn due(steps: &[Outcome]) -> Vec<String> {
    let due = steps.iter().filter(|step| matches!(step.verdict, Verdict::Due(_)));
    due.map(|step| format!("{} {}", step.date.format("%d"), step.job)).collect()
}

async fn three_days() -> ColdLake {
    let lake = ColdLake::new(true).await;
    let events: Vec<_> = (7..10)
        .flat_map(|day| {
            (0..20).map(move |n| {
                event(
                    &format!("e{day}-{n}"),
                    &format!("u_{}", n % 5),
                    &format!("2026-02-{day:02}T12:{n:02}:00"),
                )
            })
        })
        .collect();
    lake.add(&events).await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_changes_nothing_and_late_rows_are_picked_up() {
    let lake = three_days().await;
    let planned = due(&lake.plan("2026-02-07", "2026-02-09").await);
    let first = lake.run("2026-02-07", "2026-02-09").await;
    assert_eq!(made(&first), planned, "the plan is what is done");
    assert_eq!(planned.iter().filter(|step| step.contains("batch_video_daily")).count(), 5);
    let tables = [
        LakeTable::EngagementFacts,
        LakeTable::BatchVideoDaily,
        LakeTable::BatchRuns,
        LakeTable::PayloadFields,
    ];
    let mut before = Vec::new();
    for table in tables {
        before.push(lake.snapshot_of(table).await);
    }
    let again = lake.run("2026-02-07", "2026-02-09").await;
    assert_eq!(made(&again), Vec::<String>::new());
    assert_eq!(due(&lake.plan("2026-02-07", "2026-02-09").await), Vec::<String>::new());
    for (table, snapshot) in tables.into_iter().zip(before) {
        assert_eq!(lake.snapshot_of(table).await, snapshot, "{table:?}");
    }
    lake.add(&[event("late", "u_9", "2026-02-08T12:00:30")]).await;
    let chain = [
        "08 payload_fields",
        "08 fact_user_engagement",
        "07 batch_video_daily",
        "08 batch_video_daily",
        "08 batch_quality_daily",
        "08 session_health_daily",
        "08 rt_batch_reconciliation",
        "08 rt_rule_quantile_baselines",
        "09 rt_rule_quantile_baselines",
    ];
    assert_eq!(due(&lake.plan("2026-02-07", "2026-02-09").await), chain);
    assert_eq!(made(&lake.run("2026-02-07", "2026-02-09").await), chain);
    assert_eq!(due(&lake.plan("2026-02-07", "2026-02-09").await), Vec::<String>::new());
    assert_eq!(lake.rows("SELECT count(*) FROM silver.fact_user_engagement").await, ["61"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forced_is_made_again_and_comes_out_the_same() {
    let lake = three_days().await;
    lake.run("2026-02-07", "2026-02-08").await;
    let sql = "SELECT * FROM silver.fact_user_engagement ORDER BY event_id";
    let (rows, snapshot) = (lake.rows(sql).await, lake.snapshot_of(LakeTable::EngagementFacts).await);
    let forced = pulselake_query::batch::run::Request {
        jobs: jobs(&["fact_user_engagement"]),
        force: true,
        ..request("2026-02-08", "2026-02-08")
    };
    let report = lake.batch().await.run(&forced).await.unwrap();
    assert_eq!(made(&report), ["08 fact_user_engagement"]);
    assert_eq!(lake.rows(sql).await, rows);
    assert_ne!(lake.snapshot_of(LakeTable::EngagementFacts).await, snapshot);
    assert_eq!(
        due(&lake.plan("2026-02-07", "2026-02-08").await),
        Vec::<String>::new(),
        "nothing hangs on it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_or_tables_it_says_so() {
    let lake = ColdLake::new(false).await;
    let report = lake.run("2026-02-07", "2026-02-07").await;
    let verdicts: Vec<_> = report.steps.iter().map(|step| (step.job, step.ran.is_some())).collect();
    assert_eq!(
        verdicts.iter().filter(|(_, ran)| *ran).map(|(job, _)| *job).collect::<Vec<_>>(),
        ["creator_retention_weekly"]
    );
    assert!(report.steps.iter().any(|step| step.reason == "bronze has no events of the day"));
    let alone = pulselake_query::batch::run::Request {
        jobs: jobs(&["batch_quality_daily"]),
        ..request("2026-02-07", "2026-02-07")
    };
    let report = lake.batch().await.run(&alone).await.unwrap();
    assert_eq!(report.error, None, "there is nothing that it could be made of");
    lake.add(&[event("a", "u_1", "10:00:00")]).await;
    let report = lake.batch().await.run(&alone).await.unwrap();
    let error = report.error.unwrap();
    assert!(error.contains("fact_user_engagement of the day was not made; make it first"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_what_it_does() {
    let lake = three_days().await;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let plan = lake.output(&["plan", "--date", "2026-02-07"]);
    assert!(
        text(&plan.stdout).contains("2026-02-07 fact_user_engagement         make  never made"),
        "{}",
        text(&plan.stdout)
    );
    let run = lake.output(&[
        "run",
        "--from",
        "2026-02-07",
        "--to",
        "2026-02-08",
        "--job",
        "payload_fields",
        "--job",
        "fact_user_engagement",
        "--format",
        "json",
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["steps"][2]["job"], "fact_user_engagement");
    assert_eq!(report["steps"][2]["ran"]["rows_out"], 20);
    assert_eq!(report["steps"][2]["ran"]["status"], "done");
    assert!(
        text(&run.stderr).contains("2026-02-08 fact_user_engagement: 20 rows in "),
        "{}",
        text(&run.stderr)
    );
    let runs = lake.output(&["runs", "--format", "json"]);
    let log: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(log["runs"].as_array().unwrap().len(), 4);
    assert_eq!(log["runs"][1]["rows_in"], 20);
    let again = lake.output(&["run", "--date", "2026-02-07", "--job", "fact_user_engagement"]);
    assert_eq!(text(&again.stdout), "1 up to date\n");
    for (arguments, words) in [
        (vec!["run"], "--date"),
        (vec!["run", "--date", "tomorrow"], "a day such as 2026-01-31, or yesterday"),
        (
            vec!["run", "--date", "2026-02-07", "--job", "nope"],
            "there are payload_fields, fact_user_engagement",
        ),
        (vec!["run", "--from", "2026-02-07"], "--to"),
    ] {
        let refused = lake.output(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
    }
    let reversed = lake.output(&["run", "--from", "2026-02-08", "--to", "2026-02-07"]);
    assert_eq!(reversed.status.code(), Some(1));
    assert!(text(&reversed.stderr).contains("give the earlier day first"), "{}", text(&reversed.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_rendered_for_others() {
    let lake = three_days().await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    for dialect in ["spark", "trino", "datafusion"] {
        let output =
            lake.output(&["render", "--dialect", dialect, "--date", "2026-02-08", "--format", "json"]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(document["dialect"], dialect);
        let statements = document["statements"].as_array().unwrap();
        let silver = &statements[0];
        assert_eq!(silver["job"], "fact_user_engagement");
        assert_eq!(silver["columns"][0], "event_id");
        assert_eq!(silver["partition"], "day(event_timestamp)");
        assert!(silver["sql"].as_str().unwrap().contains("2026-02-09 00:00:00 UTC"));
        let video_days: Vec<_> = statements
            .iter()
            .filter(|one| one["job"] == "batch_video_daily")
            .map(|one| one["date"].clone())
            .collect();
        assert_eq!(video_days, ["2026-02-07", "2026-02-08"]);
        let carried = silver["sql"].as_str().unwrap().contains("FROM silver.fact_user_engagement");
        assert_eq!(carried, dialect != "datafusion", "the day before is in silver");
    }
}
