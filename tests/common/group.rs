//! Members of a consumer group: what they are set to, and waiting for their shares.

use super::PATIENCE;
use super::engine::Engine;
use super::kafka::topic_ends;
use super::poll;
use super::scene::Scene;

const TABLES: [&str; 3] = ["bronze.raw_events", "bronze.invalid_events_content", "gold.rt_video_stats_1min"];

/// The group notices quickly who comes, goes and dies. The broker allows no session shorter than this.
pub const QUICK_GROUP: [&str; 2] =
    ["kafka.librdkafka.session.timeout.ms=6000", "kafka.librdkafka.heartbeat.interval.ms=500"];

/// Waits until the engine has so many partitions, and then for a commit of bronze.
pub fn wait_for_share(engine: &mut Engine, who: &str, is_share: impl Fn(usize) -> bool) {
    engine.wait_until(&format!("{who} has its share of partitions"), |log| is_share(log.assigned().len()));
    let commits = engine.log().commits(TABLES[0]);
    engine.wait_until(&format!("{who} goes on to commit"), |log| log.commits(TABLES[0]) > commits);
}

/// Waits until each table has committed something of each partition that was not yet in the topic at this moment.
pub fn wait_until_all_tables_pass_the_present_ends(scene: &Scene) {
    let ends = topic_ends(&scene.topic, scene.partitions);
    let has_passed = |table: &&str| scene.committed(table).iter().zip(&ends).all(|(next, end)| next > end);
    let mut missing = Vec::new();
    let passed = poll(PATIENCE, || {
        missing = TABLES.into_iter().filter(|table| !has_passed(table)).collect();
        missing.is_empty().then_some(())
    });
    assert!(passed.is_some(), "{missing:?} did not get past {ends:?}");
}
