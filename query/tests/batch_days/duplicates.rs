//! Events that were delivered more than once.

use super::lake::{ColdLake, Event, event, us};

#[tokio::test(flavor = "multi_thread")]
async fn of_several_rows_with_one_id_the_first_delivered_counts() {
    let lake = ColdLake::new(false).await;
    let at = |id: &str, user: &str, moment: &str, partition: i32, offset: i64| Event {
        partition,
        offset: Some(offset),
        ..event(id, user, moment)
    };
    lake.add(&[
        // In one partition, and in another one.
        at("a", "u_a", "10:00:00", 1, 7),
        at("a", "u_a", "10:00:00", 1, 3),
        at("a", "u_a", "10:00:00", 0, 9),
        // With another user and another time: still one event. The one left out would join two sessions.
        at("b", "u_b", "11:00:00", 0, 1),
        at("b", "u_c", "12:20:00", 0, 2),
        at("c1", "u_c", "12:00:00", 0, 3),
        at("c2", "u_c", "12:40:00", 0, 4),
        // On two days: two events.
        at("d", "u_d", "2026-02-07T23:59:59.999999", 0, 5),
        at("d", "u_d", "2026-02-08T00:00:00", 0, 6),
    ])
    .await;
    let report = lake.run_silver("2026-02-07", "2026-02-08").await;
    let found = lake
        .rows(
            "SELECT event_id, user_id, source_partition, source_offset, unix_micros(session_started_at) \
             FROM silver.fact_user_engagement ORDER BY event_id, source_offset",
        )
        .await;
    let expected = [
        format!("a u_a 0 9 {}", us("10:00:00")),
        format!("b u_b 0 1 {}", us("11:00:00")),
        format!("c1 u_c 0 3 {}", us("12:00:00")),
        format!("c2 u_c 0 4 {}", us("12:40:00")),
        format!("d u_d 0 5 {}", us("23:59:59.999999")),
        format!("d u_d 0 6 {}", us("23:59:59.999999")),
    ];
    assert_eq!(found, expected);
    let silver = report.steps.iter().find(|step| step.job == "fact_user_engagement").unwrap();
    let ran = silver.ran.as_ref().unwrap();
    assert_eq!((ran.rows_in, ran.rows_out), (8, 5));
    assert_eq!(ran.remark.as_deref(), Some("3 repeated events left out"));
}
