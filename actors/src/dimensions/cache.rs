//! What the live path knows of a video without asking a table: category, region, status, time of upload.
//!
//! Loaded from the dimension when its stream starts, and told of every upsert and delete once it is committed: a reader
//! sees nothing that a crash could take back. The number of videos is bounded; when it is full, the older uploads of a
//! handful of videos make room, since fresh ones are what the live path asks for. Shared by all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use dashmap::DashMap;
use futures::StreamExt;
use pulselake_telemetry::CacheMetrics;

use super::recovery::answered;
use super::stream::DimensionStream;
use crate::recovery::StartError;

/// Videos that are compared for who goes when one too many comes.
const EVICTION_SAMPLE: usize = 8;

/// Columns that the cache reads.
const COLUMNS: [&str; 5] = ["video_id", "category", "region", "status", "upload_time"];

/// A video as the live path needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedVideo {
    /// `category`. Few values, each kept once.
    pub category: Option<Arc<str>>,
    /// `region`.
    pub region: Option<Arc<str>>,
    /// `status`: active or banned.
    pub status: Option<Arc<str>>,
    /// `upload_time`, microseconds since the epoch.
    pub upload_time_us: Option<i64>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct DimensionCache {
    shared: Arc<Shared>,
}

struct Shared {
    videos: DashMap<Box<str>, CachedVideo>,
    /// Values of category, region and status, each once.
    names: DashMap<Box<str>, Arc<str>>,
    max_videos: usize,
    /// Rises with each eviction, so that not the same videos are compared again.
    evictions: AtomicUsize,
    metrics: CacheMetrics,
}

impl DimensionCache {
    /// An empty cache for at most so many videos.
    pub fn new(max_videos: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                videos: DashMap::new(),
                names: DashMap::new(),
                max_videos: max_videos.max(1),
                evictions: AtomicUsize::new(0),
                metrics: CacheMetrics::default(),
            }),
        }
    }

    /// What is known of a video; one that is not there counts as a miss.
    pub fn get(&self, video_id: &str) -> Option<CachedVideo> {
        let found = self.shared.videos.get(video_id).map(|entry| entry.clone());
        if found.is_none() {
            self.shared.metrics.missed();
        }
        found
    }

    /// What is known of a video, without counting a miss: for showing it, not for deciding about it.
    pub fn peek(&self, video_id: &str) -> Option<CachedVideo> {
        self.shared.videos.get(video_id).map(|entry| entry.clone())
    }

    /// Videos in the cache.
    pub fn len(&self) -> usize {
        self.shared.videos.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shared.videos.is_empty()
    }

    /// Fills the cache with the rows of the dimension as it is now; what was in it before is forgotten, since another
    /// process may have deleted it.
    pub(super) async fn load(&self, stream: &DimensionStream) -> Result<(), StartError> {
        let table = stream.table();
        let mut batches = answered(stream, table.full_name(), stream.lake.read(table, &COLUMNS)).await??;
        self.shared.videos.clear();
        while let Some(batch) = answered(stream, table.full_name(), batches.next()).await? {
            self.insert_all(&batch?);
        }
        Ok(())
    }

    /// Takes in what a commit has changed: rows of the dimension, and keys whose rows it deleted. A key that is among both
    /// was replaced.
    pub(super) fn apply(&self, upserts: &RecordBatch, deleted: &[String]) {
        for video_id in deleted {
            self.shared.videos.remove(video_id.as_str());
        }
        self.insert_all(upserts);
    }

    fn insert_all(&self, rows: &RecordBatch) {
        let text = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let upload_times = rows
            .column_by_name("upload_time")
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(ids) = text("video_id") else { return };
        let (categories, regions, states) = (text("category"), text("region"), text("status"));
        for row in 0..rows.num_rows() {
            let name = |column: Option<&arrow::array::StringArray>| {
                column.filter(|values| values.is_valid(row)).map(|values| self.name(values.value(row)))
            };
            let video = CachedVideo {
                category: name(categories),
                region: name(regions),
                status: name(states),
                upload_time_us: upload_times
                    .filter(|times| times.is_valid(row))
                    .map(|times| times.value(row)),
            };
            self.insert(ids.value(row), video);
        }
        self.shared.metrics.holds(self.len());
    }

    /// Puts one video in, or exchanges it.
    pub fn insert(&self, video_id: &str, video: CachedVideo) {
        self.shared.videos.insert(video_id.into(), video);
        while self.shared.videos.len() > self.shared.max_videos {
            self.evict_one();
        }
    }

    /// Takes out the oldest upload of a few videos.
    fn evict_one(&self) {
        let turn = self.shared.evictions.fetch_add(1, Ordering::Relaxed);
        // Another place of the map each time; modulo a part of it, so that skipping stays cheap.
        let skipped = turn.wrapping_mul(EVICTION_SAMPLE) % 1_024;
        let sample = self.shared.videos.iter().skip(skipped % self.len().max(1)).take(EVICTION_SAMPLE);
        let oldest = sample.min_by_key(|entry| entry.upload_time_us).map(|entry| entry.key().clone());
        if let Some(video_id) = oldest {
            self.shared.videos.remove(&video_id);
            self.shared.metrics.evicted(1);
        }
    }

    /// The one copy of a value that many videos share.
    fn name(&self, value: &str) -> Arc<str> {
        if let Some(known) = self.shared.names.get(value) {
            return known.clone();
        }
        self.shared.names.entry(value.into()).or_insert_with(|| value.into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn rows(videos: &[(&str, &str, i64)]) -> RecordBatch {
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        let ids = text(videos.iter().map(|video| video.0).collect());
        let states = text(videos.iter().map(|video| video.1).collect());
        let uploads: Vec<i64> = videos.iter().map(|video| video.2).collect();
        let uploads = Arc::new(TimestampMicrosecondArray::from(uploads).with_timezone("+00:00")) as ArrayRef;
        RecordBatch::try_from_iter([("video_id", ids), ("status", states), ("upload_time", uploads)]).unwrap()
    }

    #[test]
    fn a_commit_replaces_and_deletes() {
        let cache = DimensionCache::new(10);
        cache.apply(&rows(&[("v1", "active", 1), ("v2", "active", 2)]), &[]);
        cache.apply(&rows(&[("v1", "banned", 1)]), &["v1".to_string(), "v2".to_string()]);
        assert_eq!(cache.get("v1").unwrap().status.as_deref(), Some("banned"));
        assert_eq!(cache.get("v2"), None);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_full_cache_keeps_its_bound_and_the_fresh_uploads() {
        let cache = DimensionCache::new(100);
        for upload in 0..2_000_i64 {
            cache.apply(&rows(&[(&format!("v{upload}"), "active", upload)]), &[]);
            assert!(cache.len() <= 100);
        }
        let newest = (1_950..2_000).filter(|upload| cache.get(&format!("v{upload}")).is_some()).count();
        let oldest = (0..1_000).filter(|upload| cache.get(&format!("v{upload}")).is_some()).count();
        assert!(newest > oldest, "{newest} of the newest 50, {oldest} of the oldest 1,000");
    }

    #[test]
    fn values_are_kept_once() {
        let cache = DimensionCache::new(10);
        cache.apply(&rows(&[("v1", "active", 1), ("v2", "active", 2)]), &[]);
        let (first, second) = (cache.get("v1").unwrap(), cache.get("v2").unwrap());
        assert!(Arc::ptr_eq(&first.status.unwrap(), &second.status.unwrap()));
    }
}
