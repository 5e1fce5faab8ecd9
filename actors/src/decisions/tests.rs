//! The decision maker on a board that is filled by hand, with real tables.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use pulselake_actions::{ActionFilter, ActionQueue, QueueSettings, QueuedAction};
use pulselake_board::{BoardSettings, LiveBoard, PartitionTime, VideoDelta};
use pulselake_decision::{DecisionType, MINUTE_US, Rules};
use pulselake_lake::{Lake, LakeSettings, LedgeredAppend, OpenMode, WriterOptions};
use pulselake_ledger::{Advance, PartitionLedger};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, EventType, WindowCounters, decisions};

use super::settings::for_tests;
use super::{DecisionParts, DecisionSettings, Decisions};
use crate::dimensions::DimensionCache;
use crate::status::{EngineStatus, now_us};

const VIDEOS: LakeTable = LakeTable::Dimension(Entity::Videos);
const PARTITION: i32 = 0;
const GENERATION: u64 = 1;
const RULES: &str = include_str!("../../../config/rules.toml");
/// Impressions, plays, finished, likes, shares, skips of each minute of a video that is to be boosted.
const VIRAL: [i64; EventType::COUNT] = [200, 170, 130, 30, 12, 40];

struct Scene {
    directory: tempfile::TempDir,
    lake: Lake,
    queue: ActionQueue,
    board: LiveBoard,
    status: EngineStatus,
}

impl Scene {
    /// Active and banned videos with rows of the dimension, and half an hour of a rising video each, up to now.
    async fn new(active: &[&str], banned: &[&str], unknown: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let settings = LakeSettings {
            fsync: false,
            ..LakeSettings::new(format!("sqlite://{root}/catalog.db"), format!("file://{root}/warehouse"))
        };
        let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&[LakeTable::ActionQueue, LakeTable::RuleBaselines, VIDEOS]).await.unwrap();
        let rows = active.iter().map(|id| (*id, "active")).chain(banned.iter().map(|id| (*id, "banned")));
        add_videos(&lake, &rows.collect::<Vec<_>>()).await;
        let queue = ActionQueue::open(lake.clone(), QueueSettings::default()).await.unwrap();
        let board = LiveBoard::new(BoardSettings::default());
        board.begin(PARTITION, GENERATION, Some(0));
        let all: Vec<&str> = [active, banned, unknown].concat();
        board.add(PARTITION, GENERATION, &deltas(&all, newest_closed()));
        Self { directory, lake, queue, board, status: EngineStatus::default() }
    }

    /// The partition has closed everything up to so many minutes ago, and gold shows it.
    fn advance(&self, minutes_ago: i64) {
        let closed_through_us = newest_closed() + MINUTE_US - minutes_ago * MINUTE_US;
        let time = PartitionTime {
            watermark_us: Some(closed_through_us),
            closed_through_us: Some(closed_through_us),
            newest_event_us: Some(closed_through_us),
            is_replaying: false,
            is_idle: false,
        };
        self.board.advance(PARTITION, GENERATION, time);
        self.status.committed(LakeTable::VideoStats1Min, 1, 1, 1, Some(closed_through_us));
    }

    fn start(&self, settings: DecisionSettings) -> Decisions {
        let parts = DecisionParts {
            settings,
            lake: self.lake.clone(),
            queue: self.queue.clone(),
            board: self.board.clone(),
            videos: DimensionCache::new(10),
            status: self.status.clone(),
        };
        Decisions::start(parts).unwrap()
    }

    fn actions(&self) -> Vec<QueuedAction> {
        self.queue.list(&ActionFilter::default())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Start of the newest minute that has surely ended.
fn newest_closed() -> i64 {
    now_us().div_euclid(MINUTE_US) * MINUTE_US - MINUTE_US
}

fn deltas(videos: &[&str], newest_us: i64) -> Vec<VideoDelta> {
    let counters = WindowCounters { by_type: VIRAL, watch_time_sum_ms: 0 };
    let of_video = |video_id: &str| {
        let video_id: Box<str> = video_id.into();
        (0..30).map(move |back| VideoDelta {
            video_id: video_id.clone(),
            minute_start_us: newest_us - back * MINUTE_US,
            counters,
        })
    };
    videos.iter().flat_map(|video_id| of_video(video_id)).collect()
}

async fn add_videos(lake: &Lake, videos: &[(&str, &str)]) {
    let count = videos.len();
    let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
    let moments = |value: i64| {
        Arc::new(TimestampMicrosecondArray::from(vec![value; count]).with_timezone("+00:00")) as ArrayRef
    };
    let rows = RecordBatch::try_from_iter([
        ("video_id", text(videos.iter().map(|video| video.0).collect())),
        ("category", text(vec!["music"; count])),
        ("region", text(vec!["de"; count])),
        ("status", text(videos.iter().map(|video| video.1).collect())),
        ("upload_time", moments(now_us() - 40 * MINUTE_US)),
        ("updated_at", moments(now_us())),
        ("source_ts_ms", Arc::new(Int64Array::from(vec![1; count])) as ArrayRef),
    ]);
    let files = lake.write_rows(VIDEOS, &rows.unwrap(), WriterOptions::default()).await.unwrap();
    let request = LedgeredAppend {
        commit_id: uuid::Uuid::now_v7().to_string(),
        cluster_id: "cluster".to_owned(),
        fingerprint: "decoder".to_owned(),
        advances: vec![Advance {
            topic: "videos".to_owned(),
            partition: 0,
            built_on_seq: 0,
            entry: PartitionLedger::default(),
        }],
        files,
        deletes: Vec::new(),
        replayed: None,
    };
    lake.append(VIDEOS, &request).await.unwrap();
}

fn soon() -> DecisionSettings {
    for_tests(Duration::from_millis(20))
}

/// Waits for a condition, but not for ever.
async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix::test]
async fn what_the_board_shows_is_decided_on_the_dimension_as_it_is() {
    let scene = Scene::new(&["good", "other"], &["banned"], &["unknown"]).await;
    scene.advance(0);
    let running = scene.start(soon());
    wait_for("two actions", || scene.actions().len() == 2).await;
    let handle = running.handle();
    wait_for("the minute is shown", || handle.last_decided_minute_us().is_some()).await;
    running.stop().await;
    let mut found: Vec<(String, DecisionType)> =
        scene.actions().into_iter().map(|action| (action.video_id, action.decision)).collect();
    found.sort();
    assert_eq!(
        found,
        [("good", DecisionType::Boost), ("other", DecisionType::Boost)]
            .map(|(id, decision)| (id.to_owned(), decision))
    );
    assert_eq!(handle.rule_version(), Rules::DEFAULT_VERSION);
    // As after a restart: the same minutes again.
    let again = scene.start(soon());
    let handle = again.handle();
    wait_for("the minute again", || handle.last_decided_minute_us().is_some()).await;
    again.stop().await;
    assert_eq!(scene.actions().len(), 2);
}

#[actix::test]
async fn a_partition_that_reads_the_past_is_not_decided_about() {
    let scene = Scene::new(&["good"], &[], &[]).await;
    scene.advance(10);
    let running = scene.start(soon());
    // Long enough for many looks: nothing else would tell that nothing happens.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((scene.actions(), running.handle().last_decided_minute_us()), (Vec::new(), None));
    scene.advance(0);
    wait_for("the action", || scene.actions().len() == 1).await;
    running.stop().await;
}

#[actix::test]
async fn rules_come_into_force_while_it_runs_and_bad_ones_do_not() {
    let scene = Scene::new(&["good"], &[], &[]).await;
    let path = scene.write("rules.toml", RULES);
    let running = scene.start(DecisionSettings { rules_file: Some(path), ..soon() });
    let handle = running.handle();
    scene.write("rules.toml", "version = 7");
    wait_for("the error", || handle.rules_error().is_some()).await;
    assert_eq!(handle.rule_version(), Rules::DEFAULT_VERSION);
    let renamed = RULES.replace(&format!("{:?}", Rules::DEFAULT_VERSION), "\"trial\"");
    scene.write("rules.toml", &renamed);
    wait_for("the new rules", || handle.rule_version() == "trial").await;
    assert_eq!(handle.rules_error(), None);
    scene.advance(0);
    wait_for("the action", || scene.actions().len() == 1).await;
    assert_eq!(scene.actions()[0].rule_version, "trial");
    running.stop().await;
    let refused = DecisionSettings { rules_file: Some(scene.write("rules.toml", "")), ..soon() };
    let parts = DecisionParts {
        settings: refused,
        lake: scene.lake.clone(),
        queue: scene.queue.clone(),
        board: scene.board.clone(),
        videos: DimensionCache::new(1),
        status: scene.status.clone(),
    };
    assert!(Decisions::start(parts).is_err(), "there is nothing that could stay in force");
}

#[actix::test]
async fn a_published_baseline_takes_the_place_of_the_seed() {
    let scene = Scene::new(&["good"], &[], &[]).await;
    let running = scene.start(soon());
    let handle = running.handle();
    assert_eq!(handle.baseline_origin(), "built-in seed");
    let version = Rules::DEFAULT_VERSION;
    let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        text([Some(version); 2]),
        Arc::new(Date32Array::from(vec![1; 2])),
        Arc::new(Date32Array::from(vec![None; 2])),
        text([Some("velocity_30m"), Some("impressions_30m")]),
        Arc::new(Int32Array::from(vec![90, 40])),
        text([None; 2]),
        text([None; 2]),
        // Nothing is that viral.
        Arc::new(Float64Array::from(vec![9.0, 100.0])),
        Arc::new(Int64Array::from(vec![2_000; 2])),
        Arc::new(BooleanArray::from(vec![false; 2])),
        Arc::new(TimestampMicrosecondArray::from(vec![7; 2]).with_timezone("+00:00")),
    ];
    let rows = RecordBatch::try_new(decisions::rule_baselines(), columns).unwrap();
    scene.lake.append_rows(LakeTable::RuleBaselines, &rows).await.unwrap();
    wait_for("the baseline", || handle.baseline_origin().starts_with("dims.rt_rule_quantile_baselines"))
        .await;
    assert_eq!(handle.baseline().global().velocity_p90, 9.0);
    scene.advance(0);
    wait_for("a round", || handle.last_decided_minute_us().is_some()).await;
    running.stop().await;
    assert_eq!(scene.actions(), []);
}
