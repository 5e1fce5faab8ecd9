//! Sessions: where they end, and that they go on across midnight.

use super::lake::{ColdLake, Event, event, us};

const SESSIONS: &str =
    "SELECT event_id, unix_micros(session_started_at) FROM silver.fact_user_engagement ORDER BY event_id";

fn lines(expected: &[(&str, &str)]) -> Vec<String> {
    expected.iter().map(|(id, start)| format!("{id} {}", us(start))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_minutes_without_an_event_end_a_session() {
    let lake = ColdLake::new(false).await;
    lake.add(&[
        event("a1", "u_a", "10:00:00"),
        event("a2", "u_a", "10:29:59.999"),
        event("a3", "u_a", "10:59:59.998999"),
        event("b1", "u_b", "10:00:00"),
        event("b2", "u_b", "10:30:00"),
        // Delivered last, it makes one of what would be two.
        event("c1", "u_c", "10:00:00"),
        event("c3", "u_c", "10:40:00"),
        event("c2", "u_c", "10:20:00"),
    ])
    .await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let expected = lines(&[
        ("a1", "10:00:00"),
        ("a2", "10:00:00"),
        ("a3", "10:00:00"),
        ("b1", "10:00:00"),
        ("b2", "10:30:00"),
        ("c1", "10:00:00"),
        ("c2", "10:00:00"),
        ("c3", "10:00:00"),
    ]);
    assert_eq!(lake.rows(SESSIONS).await, expected);
    let id = lake.rows("SELECT session_id FROM silver.fact_user_engagement WHERE event_id = 'b2'").await;
    assert_eq!(id, [format!("u_b@{}", us("10:30:00"))]);
}

/// One session from the evening of the 7th to the morning of the 9th, and who comes back just too late.
fn across_three_days() -> Vec<Event> {
    let start = us("2026-02-07T23:30:00");
    let mut events: Vec<Event> = (0..100)
        .map(|number| Event {
            at_us: start + number * 15 * 60_000_000,
            ..event(&format!("long{number:03}"), "u_long", "00:00:00")
        })
        .collect();
    events.extend([
        event("late1", "u_late", "2026-02-07T23:45:00"),
        event("late2", "u_late", "2026-02-08T00:15:00"),
        event("soon1", "u_soon", "2026-02-07T23:45:00"),
        event("soon2", "u_soon", "2026-02-08T00:14:59.999999"),
    ]);
    events
}

fn expected_across_three_days() -> Vec<String> {
    let mut expected = lines(&[("late1", "2026-02-07T23:45:00"), ("late2", "2026-02-08T00:15:00")]);
    expected.extend((0..100).map(|number| format!("long{number:03} {}", us("2026-02-07T23:30:00"))));
    expected.extend(lines(&[("soon1", "2026-02-07T23:45:00"), ("soon2", "2026-02-07T23:45:00")]));
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_across_midnights() {
    let lake = ColdLake::new(false).await;
    lake.add(&across_three_days()).await;
    lake.run_silver("2026-02-07", "2026-02-09").await;
    assert_eq!(lake.rows(SESSIONS).await, expected_across_three_days());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_silver_lacks_the_day_before_bronze_of_that_one_day_counts() {
    let lake = ColdLake::new(false).await;
    let mut events = across_three_days();
    // Would join two sessions of the day before if it counted.
    events.push(Event { offset: Some(1_000), ..event("late1", "u_late", "2026-02-07T23:46:00") });
    lake.add(&events).await;
    lake.run_silver("2026-02-09", "2026-02-09").await;
    // The 8th is looked up, the 7th is not.
    let found = lake.rows(&SESSIONS.replace("ORDER", "WHERE event_id LIKE 'long%' ORDER")).await;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| line.ends_with(&us("2026-02-08T00:00:00").to_string())), "{found:?}");
    // Once silver has the days before, the 9th is made anew.
    lake.run_silver("2026-02-07", "2026-02-09").await;
    assert_eq!(lake.rows(SESSIONS).await, expected_across_three_days());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_before_midnight_makes_the_next_day_due_where_it_changes_its_sessions() {
    let lake = ColdLake::new(false).await;
    lake.add(&[event("a1", "u_a", "2026-02-07T10:00:00"), event("a2", "u_a", "2026-02-08T00:10:00")]).await;
    lake.run_silver("2026-02-07", "2026-02-08").await;
    lake.add(&[event("a0", "u_a", "2026-02-07T10:05:00")]).await;
    let ran = |report: pulselake_query::batch::run::Report| -> Vec<String> {
        let ran = report.steps.into_iter().filter(|step| step.ran.is_some());
        ran.map(|step| format!("{} {}", step.date, step.job)).collect()
    };
    let of_the_7th = ["2026-02-07 payload_fields", "2026-02-07 fact_user_engagement"];
    assert_eq!(ran(lake.run_silver("2026-02-07", "2026-02-08").await), of_the_7th);
    lake.add(&[event("a15", "u_a", "2026-02-07T23:50:00")]).await;
    let with_the_8th = [of_the_7th[0], of_the_7th[1], "2026-02-08 fact_user_engagement"];
    assert_eq!(ran(lake.run_silver("2026-02-07", "2026-02-08").await), with_the_8th);
    let found = lake.rows(SESSIONS).await;
    assert_eq!(found[3], format!("a2 {}", us("2026-02-07T23:50:00")), "{found:?}");
}
