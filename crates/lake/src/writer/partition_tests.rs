use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use pulselake_model::schema;

use super::*;

/// A bronze batch with these event times; `source_offset` is the row number.
fn bronze(times_us: &[i64]) -> RecordBatch {
    let rows = times_us.len();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
    let times =
        Arc::new(TimestampMicrosecondArray::from(times_us.to_vec()).with_timezone("+00:00")) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        text("e"),
        times.clone(),
        text("v"),
        text("u"),
        text("like"),
        text("1.0"),
        text("{}"),
        Arc::new(StringArray::new_null(rows)),
        text("t"),
        Arc::new(Int32Array::from(vec![0; rows])),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        times,
    ];
    RecordBatch::try_new(schema::bronze_events(), columns).unwrap()
}

fn gold(rows: &[(i64, String)]) -> RecordBatch {
    let count = rows.len();
    let columns: Vec<ArrayRef> = schema::gold_video_stats()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "video_id" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))) as ArrayRef,
            "window_start" | "window_end" | "processed_at" => Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0))
                    .with_timezone("+00:00"),
            ),
            "source_partition" | "revision" => Arc::new(Int32Array::from(vec![0; count])),
            _ => Arc::new(Int64Array::from_iter_values(0..count as i64)),
        })
        .collect();
    RecordBatch::try_new(schema::gold_video_stats(), columns).unwrap()
}

fn crate_transform(transform: Transform, column: &ArrayRef) -> ArrayRef {
    create_transform_function(&transform).unwrap().transform(column.clone()).unwrap()
}

#[test]
fn the_spec_s_hash_vectors_hold() {
    // Iceberg spec, appendix B: hash("iceberg") = 1210000089.
    let function = create_transform_function(&Transform::Bucket(1_000_000)).unwrap();
    let input: ArrayRef = Arc::new(StringArray::from(vec!["iceberg"]));
    let bucket = function.transform(input).unwrap();
    assert_eq!(bucket.as_primitive::<Int32Type>().value(0), 1_210_000_089 % 1_000_000);
}

#[test]
fn a_batch_of_one_hour_passes_untouched() {
    let batch = bronze(&[0, HOUR_US - 1, 5]);
    let parts = Partitioner::new(LakeTable::RawEvents).unwrap().split(&batch).unwrap();
    assert_eq!(parts.len(), 1);
    assert!(Arc::ptr_eq(parts[0].1.column(0), batch.column(0)), "columns were copied");
}

#[test]
fn the_cap_counts_hours_that_are_open_already() {
    let batch = bronze(&[0, HOUR_US, 0, 2 * HOUR_US, 3 * HOUR_US]);
    let open = |hours: &[i32]| hours.iter().copied().collect::<HashSet<i32>>();
    for (already, cap, rows) in [
        (open(&[]), 4, 5),
        (open(&[]), 3, 4),
        (open(&[]), 1, 1),
        (open(&[]), 0, 1),
        (open(&[9]), 1, 0),
        (open(&[0, 9]), 2, 1),
        (open(&[0, 1, 2, 3]), 1, 5),
    ] {
        assert_eq!(prefix_within_partition_cap(&batch, &already, cap), rows, "{already:?} cap {cap}");
    }
    assert_eq!(prefix_within_partition_cap(&bronze(&[7, 8]), &open(&[4]), 1), 0);
    assert_eq!(prefix_within_partition_cap(&bronze(&[7, 8]), &open(&[0]), 1), 2);
}

proptest! {
    #[test]
    fn hours_agree_with_the_crate(times in prop::collection::vec(-3 * DAY_US..3 * DAY_US, 1..60)) {
        let batch = bronze(&times);
        let mut seen = Vec::new();
        let mut last_key = None;
        for (key, part) in Partitioner::new(LakeTable::RawEvents).unwrap().split(&batch).unwrap() {
            prop_assert!(last_key < Some(key), "a partition came twice or out of order");
            last_key = Some(key);
            let expected = crate_transform(Transform::Hour, part.column(1));
            prop_assert!(expected.as_primitive::<Int32Type>().values().iter().all(|&hour| hour == key.time));
            let offsets = part.column(10).as_primitive::<Int64Type>().values().to_vec();
            prop_assert!(offsets.is_sorted(), "rows changed their order");
            for &offset in &offsets {
                let time = part.column(1).as_primitive::<TimestampMicrosecondType>().value(
                    offsets.iter().position(|&other| other == offset).unwrap());
                prop_assert_eq!(time, times[offset as usize]);
            }
            seen.extend(offsets);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..times.len() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn days_and_buckets_agree_with_the_crate(
        rows in prop::collection::vec((0..3 * DAY_US, "[a-z]{0,9}"), 1..60),
    ) {
        let batch = gold(&rows);
        let mut count = 0;
        for (key, part) in Partitioner::new(LakeTable::VideoStats1Min).unwrap().split(&batch).unwrap() {
            let days = crate_transform(Transform::Day, part.column(2));
            let buckets = crate_transform(Transform::Bucket(16), part.column(1));
            prop_assert!(days.as_primitive::<Date32Type>().values().iter().all(|&day| day == key.time));
            prop_assert!(buckets.as_primitive::<Int32Type>().values().iter().all(|&one| one == key.bucket));
            count += part.num_rows();
        }
        prop_assert_eq!(count, rows.len());
    }

    #[test]
    fn the_prefix_is_the_longest_that_fits(
        hours in prop::collection::vec(0i64..6, 1..30), open in prop::collection::hash_set(0i32..6, 0..4), cap in 1usize..6,
    ) {
        let times: Vec<i64> = hours.iter().map(|hour| hour * HOUR_US).collect();
        let rows = prefix_within_partition_cap(&bronze(&times), &open, cap);
        let with = |count: usize| {
            let mut all = open.clone();
            all.extend(hours[..count].iter().map(|&hour| hour as i32));
            all.len()
        };
        // Hours that are open already never count against a batch that stays within them.
        prop_assert!(with(rows) <= cap.max(open.len()));
        if rows < hours.len() {
            prop_assert!(with(rows + 1) > cap.max(open.len()));
        }
    }
}
