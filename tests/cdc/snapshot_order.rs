//! Where rows of a snapshot stand among the changes of their key. Their `source` does not say it as it does for changes:
//! see `crates/cdc/tests/samples/README.md`.

use crate::changes::Changes;
use crate::common::engine::Engine;
use crate::common::kafka::unique;
use crate::common::seed;
use crate::dimensions::Dimensions;
use crate::source::Source;

/// A source with some rows, and an engine whose dimensions have them.
fn followed(name: &str) -> (Source, Dimensions, Engine) {
    let mut source = Source::start(&unique(name));
    Changes::new(seed()).fill(&mut source.database, 10);
    source.follow();
    let dimensions = Dimensions::of(&source, name);
    let mut engine = dimensions.start_engine(&["cdc.commit_interval_ms=500"]);
    dimensions.wait_until_equal(&mut engine, "first snapshot");
    (source, dimensions, engine)
}

/// Versions of a video that an update wrote into the log before the place at which a snapshot since then stood.
fn overtaken(dimensions: &Dimensions, video: &str, since_ms: i64) -> Option<i64> {
    dimensions.number(&format!(
        "SELECT count(*) FROM dim_videos_history AS change JOIN dim_videos_history AS snapshot USING (video_id)
         WHERE video_id = '{video}' AND change.op = 'u' AND snapshot.op = 'r'
         AND snapshot.source_ts_ms >= {since_ms} AND change.source_position_minor < snapshot.source_position"
    ))
}

/// The row was written before the snapshot's position in the log, and the snapshot could not see it.
#[test]
#[ignore = "needs a broker and services: run through make test"]
fn a_change_whose_transaction_was_open_during_a_snapshot_is_newer() {
    let (mut source, dimensions, mut engine) = followed("open-snapshot");
    let mut open = source.database.session();
    open.run("BEGIN");
    open.run("UPDATE content.videos SET category = 'committed later' WHERE video_id = 'v_1'");
    // A commit, so that the log is written beyond the open transaction's row.
    source.database.run("UPDATE content.videos SET category = 'committed before' WHERE video_id = 'v_2'");
    let since_ms = source.database.now_ms();
    source.debezium.snapshot_again(&source.videos, || ());
    dimensions.wait_for_snapshot_of_videos(&mut engine, &mut source.database, since_ms);
    // The first commit after a snapshot does not say what was committed before it (docs/adr/0016): any other goes first.
    source.database.run("UPDATE content.videos SET category = 'committed between' WHERE video_id = 'v_3'");
    open.run("COMMIT");
    dimensions.wait_until_equal(&mut engine, "committed after the snapshot");
    assert_eq!(overtaken(&dimensions, "v_1", since_ms), Some(1), "the case was not met");
    engine.terminate();
    dimensions.scene.audit();
}

/// Rows of an incremental snapshot have no position of their own, and still replace what was there before.
#[test]
#[ignore = "needs a broker and services: run through make test"]
fn an_incremental_snapshot_replaces_what_is_older() {
    let (mut source, dimensions, mut engine) = followed("incremental");
    source.database.run("ALTER TABLE content.videos ADD COLUMN tier text NOT NULL DEFAULT 'basic'");
    source.database.run("UPDATE content.videos SET tier = 'gold' WHERE video_id = 'v_1'");
    let mut open = source.database.session();
    open.run("BEGIN");
    open.run("UPDATE content.videos SET tier = 'committed later' WHERE video_id = 'v_2'");
    let since_ms = source.database.now_ms();
    source.snapshot_videos_incrementally();
    dimensions.wait_for_snapshot_of_videos(&mut engine, &mut source.database, since_ms);
    open.run("COMMIT");
    dimensions.wait_until_equal(&mut engine, "after an incremental snapshot");
    assert_eq!(overtaken(&dimensions, "v_2", since_ms), Some(1), "the case was not met");
    engine.terminate();
    dimensions.scene.audit();
}
