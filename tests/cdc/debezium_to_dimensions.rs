//! Everything that happens to an operational database, one after the other, and each time the dimensions become
//! PostgreSQL's rows again.

use std::time::Duration;

use crate::changes::Changes;
use crate::common::engine::Engine;
use crate::common::group::QUICK_GROUP;
use crate::common::{PATIENCE, poll, scaled, seed};
use crate::dimensions::Dimensions;
use crate::source::Source;

/// Longer than any engine here needs to take in what is on its way.
const FRESH: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a broker and services: run through make test"]
fn debezium_to_dimensions() {
    // The topics have their default names.
    let mut source = Source::start("cdc");
    let mut changes = Changes::new(seed());
    changes.fill(&mut source.database, scaled(100, 2_000));
    source.follow();

    let mut dimensions = Dimensions::of(&source, "cdc");
    // The long form measures freshness with the interval that users have.
    let interval = scaled("cdc.commit_interval_ms=1000", "cdc.commit_interval_ms=30000");
    // The next engine need not wait long for a dead one to be given up.
    let settings = [&[interval], &QUICK_GROUP[..]].concat();
    let mut engine = dimensions.start_engine(&settings);
    dimensions.wait_until_equal(&mut engine, "first snapshot");
    dimensions.bring_trino();

    let live_since_ms = source.database.now_ms();
    for round in 1..=scaled(3, 10) {
        changes.make(&mut source.database, scaled(40, 400));
        let took = dimensions.wait_until_equal(&mut engine, &format!("live changes {round}"));
        assert!(took < FRESH, "round {round} took {took:?}");
    }

    evolve(&mut source);
    changes.make(&mut source.database, 20);
    dimensions.wait_until_equal(&mut engine, "columns added and widened");
    dimensions.assert_fresh(live_since_ms);

    // Killed with deliveries on their way that it has not noted.
    changes.make(&mut source.database, 20);
    source.debezium.kill();
    changes.make(&mut source.database, 20);
    source.debezium.bring_back();
    changes.make(&mut source.database, 20);
    dimensions.wait_until_equal(&mut engine, "Debezium killed and started again");

    let snapshot_since_ms = source.database.now_ms();
    // No change says that old rows have this value: a snapshot alone does.
    source.database.run("ALTER TABLE content.videos ADD COLUMN tier text NOT NULL DEFAULT 'basic'");
    let Source { database, debezium, videos, users } = &mut source;
    debezium.snapshot_again(videos, || changes.make_without_deletions(database, 20));
    dimensions.wait_for_snapshot_of_videos(&mut engine, database, snapshot_since_ms);
    debezium.snapshot_again(users, || changes.make_without_deletions(database, 20));
    dimensions.wait_until_equal(&mut engine, "snapshots taken again");

    // The next engine knows what came before it.
    changes.make(&mut source.database, 20);
    engine.kill();
    changes.make(&mut source.database, 20);
    let mut engine = dimensions.start_engine(&settings);
    dimensions.wait_until_equal(&mut engine, "engine killed and started again");

    a_change_of_type_that_no_column_can_follow(&mut source, &dimensions, &mut engine);
    changes.make(&mut source.database, 20);
    dimensions.wait_until_equal(&mut engine, "the column has another name");

    engine.terminate();
    dimensions.scene.audit();
    let restarts = engine.log().count("generation_killed");
    assert_eq!(restarts, 0, "{}", engine.log().tail());
}

/// Columns of several types come, and types become wider; values that need the new width follow.
pub fn evolve(source: &mut Source) {
    let database = &mut source.database;
    database
        .run("ALTER TABLE content.videos ADD COLUMN quality_score integer, ADD COLUMN price numeric(10,2)");
    database.run(
        "UPDATE content.videos SET quality_score = 2147483647, price = 12345678.91 WHERE status = 'banned'",
    );
    database.run("ALTER TABLE content.videos ALTER COLUMN quality_score TYPE bigint, ALTER COLUMN price TYPE numeric(14,2)");
    database.run("UPDATE content.videos SET quality_score = 5000000000, price = 123456789012.34 WHERE duration_ms < 300000");
    // A text that lies out of line and that later updates don't touch.
    database.run("ALTER TABLE users.profiles ADD COLUMN level integer, ADD COLUMN bio text, ADD COLUMN verified boolean");
    let bio = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)";
    database
        .run(&format!("UPDATE users.profiles SET level = 1, bio = {bio}, verified = true WHERE is_creator"));
    database.run("ALTER TABLE users.profiles ALTER COLUMN level TYPE bigint");
    database.run("UPDATE users.profiles SET level = 5000000000, verified = NULL WHERE is_creator");
}

/// A number becomes text. What can't be kept is in quarantine with its reason, the rest goes on; under a new name the column is
/// kept again.
fn a_change_of_type_that_no_column_can_follow(
    source: &mut Source,
    dimensions: &Dimensions,
    engine: &mut Engine,
) {
    let quarantined = "SELECT count(*) FROM invalid_events_cdc_videos WHERE error_code = 'TYPE_CHANGED'
        AND error_reason LIKE '%quality_score%'";
    assert_eq!(dimensions.number("SELECT count(*) FROM invalid_events_cdc_videos"), Some(0));
    assert_eq!(dimensions.number("SELECT count(*) FROM invalid_events_cdc_users"), Some(0));
    let database = &mut source.database;
    database.run("ALTER TABLE content.videos ALTER COLUMN quality_score TYPE text");
    database.run("INSERT INTO content.videos (video_id, quality_score) VALUES ('no number', 'very good')");
    database.run("INSERT INTO content.videos (video_id) VALUES ('without it')");
    dimensions.wait_for_number(engine, quarantined, 1);
    dimensions.wait_for_number(engine, "SELECT count(*) FROM dim_videos WHERE video_id = 'without it'", 1);
    assert_eq!(dimensions.number("SELECT count(*) FROM dim_videos WHERE video_id = 'no number'"), Some(0));
    let told = poll(PATIENCE, || engine.log().has("changes_quarantined").then_some(()));
    assert!(told.is_some(), "{}", engine.log().tail());

    source.database.run("ALTER TABLE content.videos RENAME COLUMN quality_score TO quality_label");
    // Rows that nobody touches would lack it under its new name.
    source.database.run("UPDATE content.videos SET quality_label = quality_label");
}
