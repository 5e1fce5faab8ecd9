//! The views on DataFusion come to the metrics, thresholds and decisions of the rules' own crate, row by row.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::json::ReaderBuilder;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use pulselake_decision::{
    MINUTE_US, Rules, ThresholdOrigin, Thresholds, VideoFacts, VideoMinutes, decide_minute,
};
use pulselake_model::{Entity, WindowCounters, decisions, schema};
use serde_json::{Value, json};

use super::serving_views;

/// 2026-02-07T23:20:00Z: the minutes of a case go on over midnight.
const START_US: i64 = 1_770_506_400_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Videos of a case.
const VIDEOS: usize = 3;

/// Everything that the tables of one case hold.
#[derive(Clone, Debug)]
struct Case {
    /// Rows of gold: video, minute, impressions … skips. Several for a minute add up.
    deltas: Vec<(usize, i64, [i64; 6])>,
    dimension: Vec<Option<Video>>,
    /// By day (counted from the start's), whether the rules are those in force, and the cohort: velocity, impressions.
    baselines: BTreeMap<(i64, bool, Option<String>), (f64, f64)>,
}

#[derive(Clone, Debug)]
struct Video {
    category: Option<String>,
    status: Option<String>,
    /// Before the start, milliseconds.
    age_ms: Option<i64>,
    duration_ms: Option<i64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let text = |of: &'static [&'static str]| {
        prop::option::weighted(0.9, prop::sample::select(of).prop_map(str::to_owned))
    };
    let video = (
        text(&["music", "dance", ""]),
        text(&["active", "active", "active", "banned"]),
        prop::option::weighted(0.9, -4_000_000_i64..4_000_000),
        prop::option::of(prop::sample::select(&[0_i64, 5_000, 60_000, 60_001, 150_000, 180_001][..])),
    );
    let video = video.prop_map(|(category, status, age_ms, duration_ms)| Video {
        category,
        status,
        age_ms,
        duration_ms,
    });
    // Around the bounds: a quarter of an hour of such minutes is near the gate and the percentiles.
    let counts = (0_i64..25, 0_i64..12, 0_i64..8, 0_i64..4, 0_i64..2, 0_i64..5);
    let counts = counts.prop_map(|(shown, started, finished, likes, shares, skips)| {
        [shown, started, finished, likes, shares, skips]
    });
    let baseline = ((-1_i64..3, any::<bool>(), text(&["music", "dance"])), (0.0_f64..0.5, 0.0_f64..400.0));
    (
        prop::collection::vec((0..VIDEOS, 0_i64..75, counts), 1..150),
        prop::collection::vec(prop::option::weighted(0.9, video), VIDEOS),
        prop::collection::btree_map(baseline.0, baseline.1, 0..8),
    )
        .prop_map(|(deltas, dimension, baselines)| Case { deltas, dimension, baselines })
}

impl Case {
    fn gold(&self) -> Vec<Value> {
        let rows = self.deltas.iter().enumerate().map(|(revision, (video, minute, counts))| {
            let window_start = START_US + minute * MINUTE_US;
            let [impressions, play_start, play_finish, likes, shares, skips] = counts;
            json!({
                "source_partition": video, "video_id": format!("v_{video}"), "window_start": window_start,
                "window_end": window_start + MINUTE_US, "impressions": impressions, "play_start": play_start,
                "play_finish": play_finish, "likes": likes, "shares": shares, "skips": skips,
                "watch_time_sum_ms": 0, "revision": revision, "processed_at": window_start,
            })
        });
        rows.collect()
    }

    fn dimension(&self) -> Vec<Value> {
        let known =
            self.dimension.iter().enumerate().filter_map(|(number, video)| Some((number, video.as_ref()?)));
        let rows = known.map(|(number, video)| {
            json!({
                "video_id": format!("v_{number}"), "category": video.category, "region": "de", "status": video.status,
                "upload_time": upload_time_us(video), "duration_ms": video.duration_ms, "updated_at": 0, "source_ts_ms": 0,
            })
        });
        rows.collect()
    }

    fn baselines(&self) -> Vec<Value> {
        let rows = self.baselines.iter().flat_map(|((day, is_ours, category), (velocity, impressions))| {
            let date = chrono::DateTime::from_timestamp_micros(START_US + day * DAY_US).unwrap().date_naive();
            [("velocity_30m", 90, velocity), ("impressions_30m", 40, impressions)].map(|(metric, percentile, value)| {
                json!({
                    "rule_version": if *is_ours { Rules::DEFAULT_VERSION } else { "others" },
                    "effective_from": date.to_string(), "metric_name": metric, "percentile": percentile,
                    "cohort_category": category, "cohort_region": category.as_ref().map(|_| "de"),
                    "threshold_value": value, "sample_size": 1_000, "is_fallback": false, "computed_at": 0,
                })
            })
        });
        rows.collect()
    }

    fn minutes_of(&self, video: usize) -> VideoMinutes {
        let mut minutes = VideoMinutes::new();
        for (_, minute, counts) in self.deltas.iter().filter(|(of, ..)| *of == video) {
            let counters = WindowCounters { by_type: *counts, watch_time_sum_ms: 0 };
            minutes.entry(START_US + minute * MINUTE_US).or_default().merge(&counters);
        }
        minutes
    }

    /// The newest baseline of the rules that holds for everybody on the day; in it the cohort's own thresholds, if any.
    fn thresholds(&self, category: Option<&str>, as_of_us: i64) -> Thresholds {
        let day = as_of_us.div_euclid(DAY_US) - START_US.div_euclid(DAY_US);
        let published = self
            .baselines
            .keys()
            .filter(|(from, is_ours, cohort)| *is_ours && cohort.is_none() && *from <= day);
        let Some(from) = published.map(|(from, ..)| *from).max() else { return Thresholds::SEED };
        let of = |cohort: Option<&str>| self.baselines.get(&(from, true, cohort.map(str::to_owned)));
        let own = category.and_then(|category| of(Some(category)));
        let (found, origin) = match own {
            Some(own) => (own, ThresholdOrigin::Cohort),
            None => (of(None).unwrap(), ThresholdOrigin::Global),
        };
        Thresholds { velocity_p90: found.0, impressions_p40: found.1, sample_size: 1_000, origin }
    }

    /// What the rules' crate says of each video's minutes.
    fn expected(&self) -> Vec<Row> {
        let rules = Rules::default();
        let mut rows = Vec::new();
        for number in 0..VIDEOS {
            let minutes = self.minutes_of(number);
            let video = self.dimension[number].as_ref();
            let facts = video.map(|video| VideoFacts {
                category: video.category.as_deref(),
                region: Some("de"),
                upload_time_us: upload_time_us(video),
                status: video.status.as_deref(),
                duration_ms: video.duration_ms,
            });
            for &minute_us in minutes.keys() {
                let thresholds =
                    self.thresholds(facts.and_then(|facts| facts.category), minute_us + MINUTE_US);
                let (metrics, verdict) =
                    decide_minute(&rules, &thresholds, facts.as_ref(), &minutes, minute_us);
                rows.push(Row {
                    video: format!("v_{number}"),
                    minute_us,
                    impressions: metrics.impressions,
                    rates: [metrics.velocity, metrics.completion_rate, metrics.skip_rate],
                    thresholds: [thresholds.velocity_p90, thresholds.impressions_p40],
                    words: [thresholds.origin.as_str().to_owned(), verdict.decision.as_str().to_owned()],
                    flags: [metrics.passes_gate(&rules), verdict.waits_for_plays],
                });
            }
        }
        rows
    }
}

fn upload_time_us(video: &Video) -> Option<i64> {
    video.age_ms.map(|age_ms| START_US - age_ms * 1_000)
}

/// One row of the context.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    video: String,
    minute_us: i64,
    impressions: i64,
    rates: [f64; 3],
    thresholds: [f64; 2],
    words: [String; 2],
    flags: [bool; 2],
}

fn table(rows: &[Value], schema: SchemaRef) -> MemTable {
    let lines = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let batches = ReaderBuilder::new(schema.clone()).build(Cursor::new(lines)).unwrap();
    MemTable::try_new(schema, vec![batches.map(Result::unwrap).collect()]).unwrap()
}

/// A session with the case's tables and all views.
async fn session(case: &Case) -> SessionContext {
    let mut config =
        SessionConfig::new().with_default_catalog_and_schema("lake", "serving").with_target_partitions(2);
    config.options_mut().execution.time_zone = Some("+00:00".into());
    let session = SessionContext::new_with_config(config);
    crate::functions::all().into_iter().for_each(|function| session.register_udf(function));
    let catalog = session.catalog("lake").unwrap();
    for name in ["gold", "dims", "bronze"] {
        catalog.register_schema(name, Arc::new(MemorySchemaProvider::new())).unwrap();
    }
    for (name, rows, columns) in [
        ("gold.rt_video_stats_1min", case.gold(), schema::gold_video_stats()),
        ("dims.dim_videos", case.dimension(), schema::dimension(Entity::Videos)),
        ("dims.rt_rule_quantile_baselines", case.baselines(), decisions::rule_baselines()),
        ("dims.dim_users", Vec::new(), schema::dimension(Entity::Users)),
        ("dims.dim_videos_history", Vec::new(), schema::dimension_history(Entity::Videos)),
        ("dims.dim_users_history", Vec::new(), schema::dimension_history(Entity::Users)),
        ("bronze.raw_events", Vec::new(), schema::bronze_events()),
    ] {
        session.register_table(name, Arc::new(table(&rows, columns))).unwrap();
    }
    for view in serving_views() {
        let made = session.sql(&format!("CREATE VIEW {} AS {}", view.name, view.query())).await;
        made.unwrap_or_else(|error| panic!("{}: {error}", view.name)).collect().await.unwrap();
    }
    session
}

async fn rows_of(session: &SessionContext) -> Vec<Row> {
    let sql = "SELECT * FROM v_rt_video_decision_context_30m_1m ORDER BY video_id, metric_minute";
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    batches.iter().flat_map(rows_of_batch).collect()
}

fn rows_of_batch(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str, data_type: &DataType| -> ArrayRef {
        let found = batch.column_by_name(name).unwrap();
        assert_eq!(found.null_count(), 0, "{name}");
        cast(found, data_type).unwrap()
    };
    let text =
        |name: &str, row: usize| column(name, &DataType::Utf8).as_string::<i32>().value(row).to_owned();
    let number =
        |name: &str, row: usize| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(row);
    let flag = |name: &str, row: usize| column(name, &DataType::Boolean).as_boolean().value(row);
    let minute = column("metric_minute", &schema::timestamp_type());
    let impressions = column("impressions_30m", &DataType::Int64);
    let rows = (0..batch.num_rows()).map(|row| Row {
        video: text("video_id", row),
        minute_us: minute.as_primitive::<TimestampMicrosecondType>().value(row),
        impressions: impressions.as_primitive::<Int64Type>().value(row),
        rates: ["velocity_30m", "completion_rate_30m", "skip_rate_30m"].map(|name| number(name, row)),
        thresholds: ["velocity_p90", "impressions_p40"].map(|name| number(name, row)),
        words: ["threshold_origin", "decision_type"].map(|name| text(name, row)),
        flags: ["passes_gate", "waits_for_plays"].map(|name| flag(name, row)),
    });
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_context_says_what_the_rules_say(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async { rows_of(&session(&case).await).await });
        prop_assert_eq!(found, case.expected());
    }
}

/// Every view is one row per something also when there is nothing.
#[tokio::test]
async fn empty_tables_are_no_errors() {
    let case = Case { deltas: Vec::new(), dimension: vec![None; VIDEOS], baselines: BTreeMap::new() };
    let session = session(&case).await;
    for view in serving_views() {
        let rows = session.table(view.name).await.unwrap().count().await.unwrap();
        let expected = usize::from(matches!(view.name, "cold_start_health" | "fresh_supply"));
        assert_eq!(rows, expected, "{}", view.name);
    }
}
