//! The queue as a process sees it that is not the engine, and what must always hold of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use pulselake_actions::{ActionFilter, ActionQueue, QueueSettings, QueuedAction};
use pulselake_decision::{ActionState, MINUTE_US, Rules};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::common::{environment, repository};

/// See the module. The table has to be there.
pub struct OtherProcess {
    pub runtime: Runtime,
    pub lake: Lake,
    pub queue: ActionQueue,
}

impl OtherProcess {
    /// `None` while there is no table yet.
    pub fn open(data_dir: &Path) -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let directory = data_dir.display();
        let settings = LakeSettings::new(
            format!("sqlite://{directory}/catalog.db"),
            format!("file://{directory}/warehouse"),
        );
        let (lake, queue) = runtime.block_on(async {
            let lake = Lake::open(&settings, OpenMode::MustExist).await.ok()?;
            let queue = ActionQueue::open(lake.clone(), QueueSettings::default()).await.ok()?;
            Some((lake, queue))
        })?;
        Some(Self { runtime, lake, queue })
    }

    /// All actions as they are now, the one that was decided last first.
    pub fn actions(&self) -> Vec<QueuedAction> {
        self.runtime.block_on(self.queue.refresh()).unwrap();
        self.queue.list(&ActionFilter::default())
    }

    /// Every version of each video: when it came to be in the source (µs), and its status.
    fn versions(&self) -> BTreeMap<String, Vec<(i64, Option<String>)>> {
        let table = LakeTable::DimensionHistory(Entity::Videos);
        let columns = ["video_id", "source_ts_ms", "status"];
        let batches: Vec<RecordBatch> = self
            .runtime
            .block_on(async { self.lake.read(table, &columns).await.unwrap().try_collect().await })
            .unwrap();
        let mut versions: BTreeMap<String, Vec<(i64, Option<String>)>> = BTreeMap::new();
        for batch in &batches {
            let (ids, states) = (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
            let moments = batch.column(1).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let status = states.iter().nth(row).unwrap().map(str::to_owned);
                let of_video = versions.entry(ids.value(row).to_owned()).or_default();
                of_video.push((moments.value(row) * 1_000, status));
            }
        }
        versions
    }

    /// No action is about a video that was unknown or not active for some time before it was decided.
    pub fn assert_all_were_active(&self, actions: &[QueuedAction]) {
        // What the source says is committed to the dimension some seconds later.
        const ON_ITS_WAY_US: i64 = 20_000_000;
        let mut versions = self.versions();
        for action in actions {
            let of_video = versions.get_mut(&action.video_id);
            let of_video = of_video.unwrap_or_else(|| panic!("{} is unknown: {action:?}", action.video_id));
            of_video.sort();
            let (from_us, to_us) = (action.decided_at_us - ON_ITS_WAY_US, action.decided_at_us);
            let before = of_video.iter().rev().find(|(moment_us, _)| *moment_us <= from_us);
            let during = of_video.iter().filter(|(moment_us, _)| (from_us..=to_us).contains(moment_us));
            let was_active =
                before.into_iter().chain(during).any(|(_, status)| status.as_deref() == Some("active"));
            assert!(was_active, "{action:?} of {of_video:?}");
        }
    }
}

/// The pause between two actions of a video, one open action at most, and ids that are never twice.
pub fn assert_sound(actions: &[QueuedAction]) {
    let mut by_video: BTreeMap<&str, Vec<&QueuedAction>> = BTreeMap::new();
    for action in actions {
        by_video.entry(&action.video_id).or_default().push(action);
    }
    for (video, mut of_video) in by_video {
        of_video.sort_by_key(|action| action.window_start_us);
        for pair in of_video.windows(2) {
            let apart_us = pair[1].window_start_us - pair[0].window_start_us;
            assert!(apart_us >= Rules::default().cooldown_us, "{video}: {} min apart", apart_us / MINUTE_US);
        }
        let open = of_video.iter().filter(|action| action.state.is_open()).count();
        assert!(open <= 1, "{video} has {open} open actions");
    }
}

/// The queue as these readers see it, deletes applied, against `actions`.
pub fn assert_readers_agree(data_dir: &Path, readers: &[&str], actions: &[QueuedAction]) {
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(repository("tests/decisions/read_queue.py"))
        .arg(data_dir)
        .args(readers)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut expected: Vec<Value> =
        actions.iter().map(|action| serde_json::to_value(action).unwrap()).collect();
    expected.sort_by_key(|action| action["action_id"].as_str().unwrap().to_owned());
    for reader in readers {
        let seen: Vec<Value> = found[*reader].as_array().unwrap().iter().map(rounded).collect();
        assert_eq!(seen, expected.iter().map(rounded).collect::<Vec<_>>(), "{reader}");
    }
}

/// The same with its fractions to 12 digits: serde_json reads the last bit of a number only nearly.
pub fn rounded(action: &Value) -> Value {
    let mut same = action.clone();
    for value in same.as_object_mut().unwrap().values_mut().filter(|value| value.is_f64()) {
        *value = format!("{:.12}", value.as_f64().unwrap()).into();
    }
    same
}

/// Actions by their state.
pub fn in_state(actions: &[QueuedAction], state: ActionState) -> Vec<&QueuedAction> {
    actions.iter().filter(|action| action.state == state).collect()
}
