//! What was known of video and user at the event.

use super::lake::{ColdLake, Event, UserVersion, VideoVersion, event};

fn video(
    id: &str,
    from: &str,
    op: &'static str,
    category: Option<&'static str>,
    duration_ms: Option<i64>,
) -> VideoVersion {
    VideoVersion { id: id.to_owned(), from: from.to_owned(), op, category, duration_ms }
}

fn user(from: &str, op: &'static str, segment: Option<&'static str>) -> UserVersion {
    UserVersion { id: "u_1".to_owned(), from: from.to_owned(), op, segment }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_holds_from_its_first_microsecond_to_the_next_ones() {
    let lake = ColdLake::new(true).await;
    lake.add_videos(&[
        video("v_1", "2026-02-01T00:00:00", "r", Some("music"), Some(10_000)),
        video("v_1", "10:00:00", "u", Some("sport"), Some(20_000)),
        video("v_1", "11:00:00", "d", None, None),
        video("v_1", "12:00:00", "c", Some("news"), Some(0)),
        // Begins on the next day: says nothing of this one.
        video("v_1", "2026-02-08T00:00:00", "u", Some("games"), Some(40_000)),
    ])
    .await;
    lake.add_users(&[
        user("09:30:00", "c", Some("Low")),
        user("10:00:00", "u", Some("VIP")),
        user("13:00:00", "d", None),
    ])
    .await;
    let at = |id: &str, moment: &str, body: &str| Event { body: body.to_owned(), ..event(id, "u_1", moment) };
    lake.add(&[
        at("a", "09:29:59.999999", r#"{"watch_time_ms":5000}"#),
        at("b", "09:59:59.999999", r#"{"watch_time_ms":5000}"#),
        at("c", "10:00:00", r#"{"watch_time_ms":5000}"#),
        at("d", "10:59:59.999999", r#"{"watch_time_ms":50000}"#),
        at("e", "11:00:00", r#"{"watch_time_ms":5000}"#),
        at("f", "12:00:00", r#"{"watch_time_ms":5000}"#),
        at("g", "23:59:59.999999", r#"{"watch_time_ms":5000,"video_duration_ms":8000}"#),
        Event { video: "v_unknown".to_owned(), ..at("h", "10:00:00", "{}") },
    ])
    .await;
    lake.run_silver("2026-02-07", "2026-02-07").await;
    let found = lake
        .rows(
            "SELECT event_id, category, region, creator_id, video_status, video_duration_ms, completion_rate, user_segment, user_country, is_creator \
             FROM silver.fact_user_engagement ORDER BY event_id",
        )
        .await;
    let expected = [
        "a music eu creator active 10000 0.5 - - -",
        "b music eu creator active 10000 0.5 Low DE true",
        "c sport eu creator active 20000 0.25 VIP DE true",
        "d sport eu creator active 20000 1.0 VIP DE true",
        "e - - - - - - VIP DE true",
        "f news eu creator active - - VIP DE true",
        "g news eu creator active 8000 0.625 - - -",
        "h - - - - - - VIP DE true",
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_version_makes_the_days_due_that_it_may_hold_for() {
    let lake = ColdLake::new(true).await;
    lake.add(&[event("a", "u_1", "10:00:00"), event("b", "u_1", "2026-02-08T10:00:00")]).await;
    lake.run_silver("2026-02-07", "2026-02-08").await;
    lake.add_videos(&[video("v_1", "2026-02-08T09:00:00", "c", Some("music"), None)]).await;
    let report = lake.run_silver("2026-02-07", "2026-02-08").await;
    let ran: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.ran.is_some())
        .map(|step| (step.job, step.date.to_string()))
        .collect();
    assert_eq!(ran, [("fact_user_engagement", "2026-02-08".to_owned())]);
    assert_eq!(
        lake.rows("SELECT event_id, category FROM silver.fact_user_engagement ORDER BY event_id").await,
        ["a -", "b music"]
    );
}
