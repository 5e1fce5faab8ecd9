//! Days that are larger than the memory.

use pulselake_query::batch::progress::Audience;
use pulselake_query::batch::run::Request;
use pulselake_query::batch::{Batch, BatchSettings};

use super::lake::{ColdLake, Event, UserVersion, event, jobs, of_silver, request, us};

const USERS: i64 = 4_000;

async fn a_large_day() -> ColdLake {
    let lake = ColdLake::new(true).await;
    let start = us("00:00:00");
    let events: Vec<Event> = (0..2 * USERS)
        .map(|number| Event {
            at_us: start + number * 3_000_000,
            body: format!(
                r#"{{"watch_time_ms":{number},"video_duration_ms":60000,"app_version":"14.{}"}}"#,
                number % 7
            ),
            kind: if number % 3 == 0 { "play_start" } else { "skip" }.to_owned(),
            ..event(
                &format!("e{}", number % (2 * USERS - 50)),
                &format!("u_{}", number * 7 % USERS),
                "00:00:00",
            )
        })
        .collect();
    lake.add(&events).await;
    let users: Vec<UserVersion> = (0..USERS)
        .map(|number| UserVersion {
            id: format!("u_{number}"),
            from: "2026-02-01T00:00:00".to_owned(),
            op: "c",
            segment: Some(["VIP", "High", "Low"][usize::try_from(number % 3).unwrap()]),
        })
        .collect();
    lake.add_users(&users).await;
    lake
}

async fn run(
    lake: &ColdLake,
    memory_bytes: usize,
    day_memory_bytes: usize,
    wanted: &Request,
) -> Vec<Option<String>> {
    let mut settings = BatchSettings { day_memory_bytes, ..lake.settings() };
    settings.engine.memory_bytes = memory_bytes;
    let report = Batch::open(settings, Audience::Nobody).await.unwrap().run(wanted).await.unwrap();
    assert_eq!(report.error, None);
    report.steps.into_iter().filter_map(|step| step.ran).map(|ran| ran.remark).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_divided_where_memory_is_short_and_nothing_changes_by_it() {
    let lake = a_large_day().await;
    let day = of_silver("2026-02-07", "2026-02-07");
    let remarks = run(&lake, 256 << 20, 64 << 20, &day).await;
    assert_eq!(remarks.last().unwrap().as_deref(), Some("50 repeated events left out"));
    let rows = "SELECT * FROM silver.fact_user_engagement ORDER BY event_id";
    let whole = lake.rows(rows).await;
    assert_eq!(whole.len(), usize::try_from(2 * USERS - 50).unwrap());
    let again = Request { force: true, ..day };
    let remarks = run(&lake, 256 << 20, 100 << 10, &again).await;
    let remark = remarks.last().unwrap().clone().unwrap();
    assert!(remark.contains("users in "), "{remark}");
    assert_eq!(lake.rows(rows).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_goes_on_on_disk_where_memory_is_short() {
    let lake = a_large_day().await;
    run(&lake, 256 << 20, 64 << 20, &of_silver("2026-02-07", "2026-02-07")).await;
    let wanted = Request { jobs: jobs(&["session_health_daily"]), ..request("2026-02-07", "2026-02-07") };
    let rows = "SELECT * FROM gold.session_health_daily ORDER BY user_segment";
    let mut settings = lake.settings();
    settings.engine.memory_bytes = 8 << 20;
    settings.engine.spill_bytes = 0;
    let report = Batch::open(settings, Audience::Nobody).await.unwrap().run(&wanted).await.unwrap();
    let error = report.error.unwrap();
    assert!(error.contains("the query needs more memory than is left for it"), "{error}");
    run(&lake, 8 << 20, 64 << 20, &wanted).await;
    let spilled = lake.rows(rows).await;
    assert_eq!(spilled.len(), 4);
    run(&lake, 256 << 20, 64 << 20, &Request { force: true, ..wanted }).await;
    assert_eq!(lake.rows(rows).await, spilled);
}
